"""A domain from a folder of images, one subfolder for each class."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from murine.errors import MurineError, some
from murine.generalization.domain import PARTS
from murine.generalization.raw import Raw, drawn_parts

#: Endings of files that are taken for images.
ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

#: Of the split of a folder that has none.
SEED = 0


def image_folder(folder: str | Path) -> Raw:
    """Read a folder of images, one subfolder for each class: ``FOLDER/CLASS/IMAGE``.

    Where there are folders ``train`` and ``test`` (and nothing else but files), the classes are in these; otherwise a
    fifth of every class is drawn as the test part. Files with the same bytes are of one group, so that they are never
    on two sides. Classes and images are in the order of their names. Images may be of any size, grey or colour; what
    is transparent becomes white, sixteen bits become eight, cameras' turns are undone.

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
    contents = [_content(file) for file, _, _ in files]
    digests = [hashlib.sha256(content).hexdigest() for content in contents]
    images = [_decoded(content, file) for content, (file, _, _) in zip(contents, files, strict=True)]
    labels = np.array([label for _, label, _ in files], dtype=np.int64)
    groups = np.array([f"file-{digest[:16]}" for digest in digests])
    parts = np.array([part for _, _, part in files]) if split else drawn_parts(labels, groups, SEED)
    names = [file.relative_to(root).as_posix() for file, _, _ in files]
    listing = hashlib.sha256("".join(f"{d} {n}\n" for d, n in zip(digests, names, strict=True)).encode()).hexdigest()
    return Raw(images, labels, parts, groups, classes, (("listing of digests and names", listing),))


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _classes(folder: Path) -> dict[str, list[Path]]:
    """Images of every subfolder that has some."""
    members = {child.name: sorted(f for f in child.iterdir() if _is_image(f)) for child in _folders(folder)}
    return {name: files for name, files in members.items() if files}


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in ENDINGS and not file.name.startswith(".") and file.is_file()


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise MurineError(f"{str(file)!r} cannot be read: {error.strerror}.") from error


def _decoded(content: bytes, file: Path) -> NDArray[np.uint8]:
    """(height, width) or (height, width, 3)."""
    import io

    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content)) as opened:
                image: Image.Image = ImageOps.exif_transpose(opened)
                if image.mode.startswith("I") or image.mode == "F":
                    return _eight_bits(np.asarray(image), file)
                if image.has_transparency_data:
                    coloured = image.convert("RGBA")
                    image = Image.alpha_composite(Image.new("RGBA", coloured.size, "white"), coloured).convert("RGB")
                return np.asarray(image.convert("L" if image.mode in ("1", "L", "LA") else "RGB"))
    except MurineError:
        raise
    except Exception as error:  # decoders raise nearly everything
        raise MurineError(
            f"{str(file)!r} is no readable image ({error}); it may be damaged. Mend it, or take it out of the folder."
        ) from error


def _eight_bits(levels: NDArray[np.generic], file: Path) -> NDArray[np.uint8]:
    """Sixteen bits, or floats between 0 and 1, as eight."""
    real = levels.astype(np.float64)
    most = 1.0 if np.issubdtype(levels.dtype, np.floating) else 65535.0
    if not (np.isfinite(real).all() and real.min() >= 0 and real.max() <= most):
        raise MurineError(
            f"{str(file)!r} holds NaN or levels outside of 0 to {most:g}; save it with eight or sixteen bits."
        )
    return np.rint(255 * real / most).astype(np.uint8)
