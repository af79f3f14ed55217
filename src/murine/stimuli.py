"""Stimulus sets: images with ids and a digest of what is in them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from murine.errors import MurineError, some
from murine.io.files import atomic_write, read_npz
from murine.io.image_files import (
    ENDINGS,
    image_files,
    is_hidden,
    label_of,
    read_content,
    read_picture,
    warn_about,
)
from murine.io.labels import as_labels


@dataclass(frozen=True, eq=False, repr=False)
class StimulusSet:
    """Images of one size, each with an id.

    Attributes
    ----------
    images
        uint8 array of shape (n_stimuli, height, width) for grey images or (n_stimuli, height, width, 3) for
        RGB; 0 is black and 255 white.
    ids
        ``n_stimuli`` different names; responses are matched to images by these, never by position.
    groups
        Optional label of each stimulus (``n_stimuli`` strings, for example by origin or resolution), or an
        empty tuple. Scores can be computed within a group.
    name
        Name of the set in tables; it is not part of the digest.

    Raises
    ------
    MurineError
        If a shape or type is not possible, or ids are missing or repeated.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.random.default_rng(0).random((4, 32, 32))
    >>> stimuli = StimulusSet.from_arrays(images, ids=["cat", "dog", "car", "bus"], name="mine")
    >>> stimuli
    <StimulusSet mine: 4 grey images, 32 x 32 px>
    >>> stimuli.select(["dog", "cat"]).ids
    ('dog', 'cat')
    >>> stimuli.write("mine.npz")
    >>> StimulusSet.from_npz("mine.npz").n_stimuli
    4
    """

    images: NDArray[np.uint8]
    ids: tuple[str, ...]
    groups: tuple[str, ...] = ()
    name: str = "stimuli"

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", as_labels(tuple(self.ids), f"stimulus ids of {self.name!r}"))
        object.__setattr__(self, "groups", as_labels(tuple(self.groups), f"groups of {self.name!r}"))
        images = self.images
        if images.dtype != np.uint8:
            raise MurineError(
                f"the images of {self.name!r} have dtype {images.dtype}; StimulusSet holds uint8. "
                "StimulusSet.from_arrays converts floats between 0 and 1."
            )
        if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[-1] != 3) or 0 in images.shape:
            raise MurineError(
                f"the images of {self.name!r} have shape {images.shape}; expected (n_stimuli, height, width) "
                "or (n_stimuli, height, width, 3)."
            )
        for label, values in (("ids", self.ids), ("groups", self.groups)):
            if len(values) != len(images) and not (label == "groups" and not values):
                raise MurineError(f"{len(images)} images of {self.name!r} came with {len(values)} {label}.")
        if len(set(self.ids)) != len(self.ids):
            twice = sorted({i for i in self.ids if self.ids.count(i) > 1})
            raise MurineError(f"stimulus ids must differ; these occur more than once: {some(twice)}.")

    def __repr__(self) -> str:
        _, height, width, *channels = self.images.shape
        return (
            f"<StimulusSet {self.name}: {self.n_stimuli} {'RGB' if channels else 'grey'} images, {height} x {width} px>"
        )

    @property
    def n_stimuli(self) -> int:
        return len(self.ids)

    @cached_property
    def digest(self) -> str:
        """The sha256 of ids, pixels and size; it does not depend on the order of the stimuli, groups or name."""
        total = hashlib.sha256(repr(self.images.shape[1:]).encode())
        for i in np.argsort(np.asarray(self.ids)):
            total.update(self.ids[i].encode() + b"\0")
            total.update(hashlib.sha256(self.images[i].tobytes()).digest())
        return total.hexdigest()

    @property
    def groups_digest(self) -> str:
        """The sha256 of the groups of all stimuli; it does not depend on their order; '' without groups."""
        if not self.groups:
            return ""
        pairs = sorted(zip(self.ids, self.groups, strict=True))
        return hashlib.sha256(repr(pairs).encode()).hexdigest()

    def select(self, ids: Iterable[object]) -> StimulusSet:
        """Return the stimuli with these ids, in this order; an unknown id is an error."""
        ids = as_labels(tuple(ids), "stimulus ids to select")
        position = {stimulus: i for i, stimulus in enumerate(self.ids)}
        missing = [stimulus for stimulus in ids if stimulus not in position]
        if missing:
            raise MurineError(
                f"{len(missing)} of {len(ids)} stimuli have no image in {self.name!r}: {some(missing)}. "
                f"It has {self.n_stimuli}: {some(self.ids, 3)}."
            )
        rows = [position[stimulus] for stimulus in ids]
        groups = tuple(self.groups[i] for i in rows) if self.groups else ()
        return StimulusSet(self.images[rows], ids, groups, self.name)

    def write(self, file: str | Path) -> None:
        """Write images, ids and groups to an npz file that `from_npz` reads; it appears only when it is complete."""
        groups = {"groups": np.array(self.groups)} if self.groups else {}
        with atomic_write(Path(file)) as partial, partial.open("wb") as opened:
            np.savez_compressed(opened, images=self.images, ids=np.array(self.ids), **groups)  # type: ignore[arg-type]

    @classmethod
    def from_arrays(
        cls,
        images: NDArray[np.generic],
        ids: Iterable[object] | None = None,
        *,
        groups: Iterable[object] = (),
        name: str = "stimuli",
    ) -> StimulusSet:
        """Make a set from an array of images.

        Parameters
        ----------
        images
            (n_stimuli, height, width) or (n_stimuli, height, width, 3); uint8, or floats between 0 and 1 (rounded to
            256 levels). NaN and values outside are refused.
        ids
            One id per image. There is no default: unlabelled images cannot be matched to responses. Bytes and whole
            numbers, as floats too, become their text: ``b"7"``, ``7`` and ``7.0`` are ``"7"``.
        """
        if np.ma.is_masked(images):
            raise MurineError(
                f"the images of {name!r} have masked pixels, which have no value that a network could see. Fill them "
                "first (numpy.ma.filled), with what was shown there."
            )
        images = np.asarray(images)
        if ids is None:
            raise MurineError(
                f"{len(images)} images came without ids. Give ids=..., the names by which responses refer to "
                "the images."
            )
        if np.issubdtype(images.dtype, np.floating):
            unknown = ~np.isfinite(images).reshape(len(images), -1).all(axis=1)
            if unknown.any():
                named = [str(i) for i, lacks in zip(ids, unknown, strict=False) if lacks]
                raise MurineError(
                    f"{len(named)} of the {len(images)} images of {name!r} hold NaN or infinite values: {some(named)}. "
                    "Fill them with what was shown, or leave these images and their responses out."
                )
            if not (images.min(initial=0) >= 0 and images.max(initial=0) <= 1):
                raise MurineError(
                    f"float images of {name!r} must be between 0 and 1; found {images.min():.4g} to "
                    f"{images.max():.4g}. Divide by the maximum of their scale first."
                )
            images = np.rint(images * 255).astype(np.uint8)
        return cls(images, as_labels(ids, "stimulus ids"), as_labels(groups, "groups"), name)  # type: ignore[arg-type]

    @classmethod
    def from_folder(cls, folder: str | Path, pattern: str = "*") -> StimulusSet:
        """Read every image of a folder; the file name without its ending is the id.

        Grey images stay grey; if one image has colour, all become RGB. The rotation that a camera recorded is applied,
        and transparent pixels are drawn on white. Hidden files of other systems (``._NAME``) are ignored.

        Parameters
        ----------
        folder
            Subfolders are not read.
        pattern
            Shell pattern of the file names, as ``*.png``; by default all usual endings of images, in either case.

        Raises
        ------
        MurineError
            If there is no such folder or no image, two files have the same id, an image cannot be read, has more than
            8 bits a channel or several frames, or the images have different sizes.
        """
        folder = Path(folder).expanduser()
        if not folder.is_dir():
            found = "a file" if folder.exists() else "nothing"
            raise MurineError(f"there is no folder {str(folder)!r} (found {found}); expected a folder of images.")
        files = image_files(folder, pattern)
        if not files:
            raise MurineError(_no_image(folder, pattern))
        ids = tuple(label_of(file) for file in files)
        if len(set(ids)) < len(ids):
            twice = [file.name for file, own in zip(files, ids, strict=True) if ids.count(own) > 1]
            raise MurineError(
                f"the folder {str(folder)!r} has several images with the same id, which is the file name without its "
                f"ending: {some(twice, 6)}. Keep one of each, or choose an ending (StimulusSet.from_folder(..., "
                "pattern='*.png'))."
            )
        pictures = [read_picture(read_content(file), file, exact=True) for file in files]
        warn_about(files, pictures)
        sizes = [picture.pixels.shape[1::-1] for picture in pictures]
        common = max(set(sizes), key=sizes.count)
        others = [f"{f.name} is {w} x {h}" for f, (w, h) in zip(files, sizes, strict=True) if (w, h) != common]
        if others:
            raise MurineError(
                f"the images of {str(folder)!r} must have one size; most are {common[0]} x {common[1]} "
                f"(width x height), but {some(others)}."
            )
        images = [picture.pixels for picture in pictures]
        if any(image.ndim == 3 for image in images):
            images = [image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2) for image in images]
        return cls(np.stack(images), ids, name=folder.name)

    @classmethod
    def from_npz(cls, file: str | Path, *, images: str = "images", ids: str = "ids") -> StimulusSet:
        """Read a set from an npz file with an array of images and one of ids (no pickles)."""
        arrays = read_npz(file)
        for key in (images, ids):
            if key not in arrays:
                raise MurineError(f"{str(file)!r} has no array {key!r}; it has {some(arrays)}.")
        groups = arrays.get("groups", np.array([]))
        return cls.from_arrays(arrays[images], arrays[ids], groups=groups, name=Path(file).stem)


def _no_image(folder: Path, pattern: str) -> str:
    """Return the message for a folder without images: what was expected, and which subfolders have images."""
    wanted = f"image ({', '.join(ENDINGS)})" if pattern == "*" else f"image that matches {pattern!r}"
    told = f"the folder {str(folder)!r} holds no {wanted}"
    others = [child.name for child in folder.iterdir() if child.is_dir() and not is_hidden(child)]
    inside = [name for name in sorted(others) if image_files(folder / name)]
    if inside:
        return f"{told}, but its subfolders do: {some(inside)}. Give one of these, or put all images into one folder."
    found = sorted({child.suffix for child in folder.iterdir() if child.suffix and not is_hidden(child)})
    return f"{told}{f'; it holds files that end in {some(found)}' if found else ''}."


def matched(stimuli: StimulusSet, stimulus_ids: Sequence[str]) -> StimulusSet:
    """Return the images of the responses, in the order of their ids. Images without responses are refused."""
    extra = sorted(set(stimuli.ids) - set(stimulus_ids))
    if extra:
        raise MurineError(
            f"{len(extra)} of the {stimuli.n_stimuli} images of {stimuli.name!r} have no responses: {some(extra)}. "
            f"Images and responses are matched by id; the responses are to {some(sorted(stimulus_ids), 3)}."
        )
    return stimuli.select(sorted(stimulus_ids))
