"""A domain from a folder of images, one subfolder for each class."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from murine.domains.domain import PARTS
from murine.domains.raw_images import RawDomain, drawn_parts
from murine.errors import MurineError, some
from murine.io.image_files import (
    ENDINGS,
    image_files,
    is_hidden,
    read_content,
    read_picture,
    warn_about,
)

#: Seed of the split of a folder without one.
SEED = 0


def image_folder(folder: str | Path) -> RawDomain:
    """Read a folder of images, one subfolder for each class: ``FOLDER/CLASS/IMAGE``.

    If the only subfolders are ``train`` and ``test``, the classes are in these; otherwise a fifth of every class is
    drawn as the test part. Files with the same bytes are of one group, so that they are never in both parts. Classes
    and images are sorted by name. Images may have any size, and be grey or in colour. Transparent pixels become white,
    sixteen bits are reduced to eight, and the rotation that a camera recorded is applied.

    Raises
    ------
    MurineError
        If there is no such folder, or no image, or only one class; if a class is missing in ``train`` or ``test``; if
        an image cannot be read: the message names the file.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise MurineError(f"there is no folder {str(root)!r}; expected one with a subfolder of images for each class.")
    split = {child.name for child in _folders(root)} == set(PARTS)
    found = {part: _classes(root / part) for part in PARTS} if split else {"": _classes(root)}
    classes = tuple(sorted(set().union(*found.values())))
    if len(classes) < 2:
        raise MurineError(
            f"{str(root)!r} has {len(classes)} class{'es' * (len(classes) != 1)} of images"
            f"{f' ({classes[0]})' if classes else ''}; expected at least two subfolders with images "
            f"({', '.join(ENDINGS)}): there is nothing to tell apart."
        )
    for part, members in found.items():
        if missing := sorted(set(classes) - set(members)):
            raise MurineError(f"{str(root / part)!r} has no images of {some(missing)}, which the other part has.")
    files = [
        (file, label, part)
        for part, members in found.items()
        for label, name in enumerate(classes)
        for file in members[name]
    ]
    paths = [file for file, _, _ in files]
    contents = [read_content(file) for file in paths]
    digests = [hashlib.sha256(content).hexdigest() for content in contents]
    pictures = [read_picture(content, file) for content, file in zip(contents, paths, strict=True)]
    warn_about(paths, pictures)
    labels = np.array([label for _, label, _ in files], dtype=np.int64)
    groups = np.array([f"file-{digest[:16]}" for digest in digests])
    parts = np.array([part for _, _, part in files]) if split else drawn_parts(labels, groups, SEED)
    names = [file.relative_to(root).as_posix() for file in paths]
    listing = hashlib.sha256("".join(f"{d} {n}\n" for d, n in zip(digests, names, strict=True)).encode()).hexdigest()
    return RawDomain(
        [picture.pixels for picture in pictures],
        labels,
        parts,
        groups,
        classes,
        (("listing of digests and names", listing),),
    )


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not is_hidden(child))


def _classes(folder: Path) -> dict[str, list[Path]]:
    """Return the images of every subfolder that contains images."""
    members = {child.name: image_files(child) for child in _folders(folder)}
    return {name: files for name, files in members.items() if files}
