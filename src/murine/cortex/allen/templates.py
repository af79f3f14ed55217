"""The natural scenes stored beside the recordings: checked, kept once, compared, and returned as a StimulusSet.

Every two-photon file contains a copy of the same pictures, as whole numbers in float32. The Neuropixels sessions share
one TIFF file per scene.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Shaped, UInt8

from murine.cortex.allen import screen
from murine.cortex.natural_scenes import N_SCENES, SCENE_IDS, scene_groups
from murine.errors import MurineError, some
from murine.io.files import atomic_write, read_npz
from murine.stimuli import StimulusSet

#: As much as is read of a stack of templates at once.
_BLOCK_BYTES = 64 << 20


@runtime_checkable
class Stack(Protocol):
    """The common interface of an array and an open ``h5py.Dataset``."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...

    def __getitem__(self, key: Any, /) -> Any: ...


def scene_images(stack: Stack, source: str = "") -> UInt8[np.ndarray, "118 height width"]:
    """Read a stack of scene templates as grey levels.

    Parameters
    ----------
    stack
        (118, height, width), whole numbers from 0 to 255 of any dtype: an open ``h5py.Dataset`` (the public ones are
        float32, 918 x 1174, 509 MB) or an array. It is read in blocks of at most 64 MB.
    source
        Name of the array in errors; by default the file and path of the dataset.

    Raises
    ------
    MurineError
        If the shape or dtype is another, the data cannot be read, or a value is NaN, infinite, out of range or no whole
        number; the message names the scene.
    """
    blocks = _blocks(stack, source)
    images = np.empty(stack.shape, np.uint8)
    for start, block in blocks:
        images[start : start + len(block)] = block
    return images


def scene_digests(stack: Stack, source: str = "") -> tuple[str, ...]:
    """sha256 of each scene's size and grey levels, in order: equal where two files show the same pictures.

    Never holds more than a block; parameters and errors as of `scene_images`.
    """
    digests = []
    for _, block in _blocks(stack, source):
        size = repr(block.shape[1:]).encode()
        digests += [hashlib.sha256(size + image.tobytes()).hexdigest() for image in block]
    return tuple(digests)


class Templates:
    """The scenes of a two-photon data set, kept once; each further file is compared with them.

    Parameters
    ----------
    folder
        Where ``natural_scenes.npz`` is, or will be: ``images`` uint8 (118, height, width), ``ids``, and the ``source``
        they were first read from. It appears whole or not at all.
    """

    def __init__(self, folder: str | Path) -> None:
        self.file = Path(folder) / "natural_scenes.npz"

    def keep(self, stack: Stack, source: str = "") -> bool:
        """Keep the scenes of a file if they are the first, or compare them with those that are kept.

        Parameters
        ----------
        stack, source
            As of `scene_images`.

        Returns
        -------
        Whether they were the first.

        Raises
        ------
        MurineError
            If one pixel differs from the scenes that are kept, naming both sources and the first scenes that differ; if
            the stack is not what `scene_images` asks for, or the kept file is damaged.
        """
        source = source or _name(stack)
        if not self.file.exists():
            images = scene_images(stack, source)
            with atomic_write(self.file) as partial, partial.open("wb") as file:
                np.savez(file, images=images, ids=np.array(SCENE_IDS), source=np.array(source))
            return True
        kept, first = self._read()
        if kept.shape != stack.shape:
            raise MurineError(
                f"the natural scenes of {source} have the shape {stack.shape}, those of {first} {kept.shape}. "
                "Responses to different pictures cannot be put together: verify both files, or keep them in different "
                "folders."
            )
        different = [
            SCENE_IDS[start + i]
            for start, block in _blocks(stack, source)
            for i, image in enumerate(block)
            if not np.array_equal(image, kept[start + i])
        ]
        if different:
            raise MurineError(
                f"the natural scenes of {source} are not those of {first}: {len(different)} of {N_SCENES} differ "
                f"({some(different)}). Responses to different pictures cannot be put together: verify both files, or "
                "keep them in different folders."
            )
        return False

    def images(self) -> UInt8[np.ndarray, "118 height width"]:
        """Return the stored scenes; raise a MurineError if there are none."""
        return self._read()[0]

    def stimuli(self, *, warp: bool = False, mask: bool = False, size: tuple[int, int] | None = None) -> StimulusSet:
        """The stored scenes, as `natural_scenes` returns them."""
        return natural_scenes(self.images(), warp=warp, mask=mask, size=size)

    def _read(self) -> tuple[np.ndarray, str]:
        if not self.file.exists():
            raise MurineError(
                f"there are no natural scenes in {str(self.file.parent)!r} yet; they are kept when the first recording "
                "of them is read."
            )
        arrays = read_npz(self.file)
        images = arrays.get("images", np.empty(0))
        ids = tuple(arrays.get("ids", np.empty(0)).ravel().tolist())
        if images.dtype != np.uint8 or images.ndim != 3 or ids != SCENE_IDS or len(images) != N_SCENES:
            raise MurineError(
                f"{str(self.file)!r} holds {images.dtype} of shape {images.shape} with {len(ids)} ids; expected uint8 "
                f"({N_SCENES}, height, width) for {SCENE_IDS[0]} to {SCENE_IDS[-1]}. Delete it; it is written again "
                "from the next recording."
            )
        return images.astype(np.uint8, copy=False), str(arrays.get("source", np.array("the file read first")))


def natural_scenes(
    images: UInt8[np.ndarray, "n_scenes height width"],
    *,
    warp: bool = False,
    mask: bool = False,
    size: tuple[int, int] | None = None,
) -> StimulusSet:
    """The natural scenes as stimuli, with the groups of `murine.cortex.shared_arrays.natural_scenes`.

    Parameters
    ----------
    images
        Grey levels, scene k in row k (`scene_images`, `tiff_images`).
    warp, mask, size
        As of `displayed`; by default the templates stay as they are stored, as in published model comparisons.

    Raises
    ------
    MurineError
        If there are not 118 images, or `displayed` refuses.
    """
    if len(images) != N_SCENES:
        raise MurineError(f"found {len(images)} natural scenes; expected {N_SCENES}.")
    return displayed(StimulusSet(images, SCENE_IDS, scene_groups(), "natural scenes"), warp=warp, mask=mask, size=size)


def displayed(
    scenes: StimulusSet, *, warp: bool = False, mask: bool = False, size: tuple[int, int] | None = None
) -> StimulusSet:
    """Scenes as the screen displayed them.

    The stored pictures are equidistant in visual angle (about 0.103 degrees per pixel), because they were made to be
    warped for the flat screen. So the stored pictures, except for the parts that were cut off, are what the eye saw.
    The warped pictures are what the screen showed.

    Parameters
    ----------
    scenes
        Grey pictures; for warp and mask 918 x 1174.
    warp
        Whether to return the picture on the screen, 1200 x 1920, as AllenSDK computes it. It takes about 0.3 s per
        scene and processor.
    mask
        Whether to paint the 14 % of each template that were outside the screen in the grey of the blank screen (127).
    size
        Height and width to reduce the pictures to, after warp or mask, by means over areas. None keeps their size.

    Raises
    ------
    MurineError
        If warp or mask is used for pictures that are not 918 x 1174, or both are used together (the masked part is
        outside the screen); if the size is larger than the pictures; or if they are not grey.
    """
    shape = scenes.images.shape[1:]
    if len(shape) != 2:
        raise MurineError(f"the pictures of {scenes.name!r} are in colour; the screen showed grey ones.")
    if warp and mask:
        raise MurineError(
            "the warp leaves out what never reached the screen, so there is nothing for a mask to cover. Choose one: "
            "warp for what the screen showed, mask for the template with the hidden part in grey."
        )
    if (warp or mask) and shape != screen.TEMPLATE:
        raise MurineError(
            f"the warp and the mask are those of templates of {_by(screen.TEMPLATE)} pixels (height x width); these "
            f"are {_by(shape)}."
        )
    steps: list[Callable[[np.ndarray], np.ndarray]] = []
    name = scenes.name
    if warp:
        origins = screen.shown_from()
        steps.append(lambda image: screen.warped(image, origins))
        shape = screen.SCREEN
        name += ", warped"
    if mask:
        visible = screen.visible()
        steps.append(lambda image: np.where(visible, image, np.uint8(screen.GREY)))
        name += ", masked"
    if size is not None:
        wanted = size
        if not all(1 <= n <= own for n, own in zip(wanted, shape, strict=True)):
            raise MurineError(f"the pictures are {_by(shape)} (height x width) and cannot be reduced to {_by(wanted)}.")
        steps.append(lambda image: _reduced(image, wanted))
    return StimulusSet(_each(scenes.images, steps), scenes.ids, scenes.groups, name) if steps else scenes


def tiff_images(folder: str | Path) -> UInt8[np.ndarray, "118 height width"]:
    """Read the templates of the Neuropixels sessions: ``natural_scene_<k>.tiff``, k = 0 to 117, 8-bit grey.

    Raises
    ------
    MurineError
        If some are missing (all are named), damaged, no grey pictures of 256 levels, of different sizes, or larger than
        the screen, as a decompression bomb would be.
    """
    folder = Path(folder)
    files = [folder / f"natural_scene_{k}.tiff" for k in range(N_SCENES)]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise MurineError(
            f"{len(missing)} of the {N_SCENES} natural scenes are missing in {str(folder)!r}: "
            f"{some(missing, N_SCENES)}."
        )
    images = [_tiff(file) for file in files]
    shapes = [image.shape for image in images]
    common = max(set(shapes), key=shapes.count)
    others = [f"{f.name} is {_by(shape)}" for f, shape in zip(files, shapes, strict=True) if shape != common]
    if others:
        raise MurineError(
            f"the natural scenes of {str(folder)!r} must have one size; most are {_by(common)} (height x width), but "
            f"{some(others)}."
        )
    return np.stack(images)


def _name(stack: Stack) -> str:
    """The file and path of a dataset; arrays have no name."""
    file = getattr(getattr(stack, "file", None), "filename", None)
    return f"{file!r}, {getattr(stack, 'name', '')}" if file else "an array"


def _blocks(stack: Stack, source: str) -> Iterator[tuple[int, np.ndarray]]:
    """Check a stack, at once, and read it in blocks of scenes as uint8: (the first scene's number, its block)."""
    source = source or _name(stack)
    shape, dtype = stack.shape, stack.dtype
    fits = len(shape) == 3 and shape[0] == N_SCENES
    # no picture is larger than the screen, which limits the memory that is allocated
    if not (fits and all(0 < n <= most for n, most in zip(shape[1:], screen.SCREEN, strict=True))):
        raise MurineError(
            f"the natural scenes of {source} have the shape {shape}; expected ({N_SCENES}, height, width), "
            f"{_by(screen.TEMPLATE)} in public files and at most {_by(screen.SCREEN)}."
        )
    if dtype.kind not in "fiu":
        raise MurineError(f"the natural scenes of {source} have dtype {dtype}; expected numbers from 0 to 255.")
    chunks = getattr(stack, "chunks", None) or (1,)
    if len(chunks) == 3 and np.prod(chunks, dtype=float) > np.prod(shape, dtype=float):
        raise MurineError(
            f"the natural scenes of {source} are stored in pieces of {chunks}, larger than their shape {shape}; the "
            "file may be damaged."
        )
    # whole chunks where they are small, because each is decompressed anew for every block that touches it
    n = max(1, min(int(chunks[0]), _BLOCK_BYTES // (shape[1] * shape[2] * dtype.itemsize)))
    return ((start, _block(stack, slice(start, min(start + n, N_SCENES)), source)) for start in range(0, N_SCENES, n))


def _block(stack: Stack, scenes: slice, source: str) -> np.ndarray:
    try:
        values = np.asarray(stack[scenes])
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, MemoryError) as error:
        raise MurineError(
            f"the natural scenes from {SCENE_IDS[scenes.start]} on of {source} cannot be read ({error}); the file may "
            "be damaged."
        ) from error
    return np.stack([_levels(v, f"{SCENE_IDS[scenes.start + i]} of {source}") for i, v in enumerate(values)])


def _levels(values: Shaped[np.ndarray, "height width"], where: str) -> UInt8[np.ndarray, "height width"]:
    """Return whole numbers from 0 to 255 as uint8. Other values are refused, not rounded."""
    if values.dtype == np.uint8:
        return values
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 255):  # NaN fails too
        raise MurineError(f"{where} has values from {low:g} to {high:g}; expected whole numbers from 0 to 255.")
    levels = values.astype(np.uint8)
    if not np.array_equal(levels, values):
        odd = values[levels != values]
        raise MurineError(
            f"{where} has {len(odd)} values that are no whole numbers, such as {odd[0]:g}; expected grey levels from 0 "
            "to 255."
        )
    return levels


def _each(images: np.ndarray, steps: list[Callable[[np.ndarray], np.ndarray]]) -> np.ndarray:
    """Take every picture through the steps; NumPy, SciPy and Pillow let threads work at the same time."""

    def through(image: np.ndarray) -> np.ndarray:
        for step in steps:
            image = step(image)
        return image

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        return np.stack(list(threads.map(through, images)))


def _reduced(image: UInt8[np.ndarray, "height width"], size: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    # as floats, because Pillow rounds bytes twice, after rows and after columns
    means = Image.fromarray(image.astype(np.float32)).resize(size[::-1], Image.Resampling.BOX)
    return np.rint(np.asarray(means)).astype(np.uint8)


def _tiff(file: Path) -> UInt8[np.ndarray, "height width"]:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd tags; what matters of them is checked here
            with Image.open(file, formats=["TIFF"]) as image:
                if not all(n <= most for n, most in zip(image.size[::-1], screen.SCREEN, strict=True)):
                    raise MurineError(
                        f"{str(file)!r} is a picture of {_by(image.size[::-1])} (height x width); expected a natural "
                        f"scene, no larger than the screen ({_by(screen.SCREEN)})."
                    )
                if image.mode not in ("L", "F", "I") and not image.mode.startswith("I;16"):
                    raise MurineError(f"{str(file)!r} is a picture of mode {image.mode}; expected grey levels.")
                if (n_pictures := getattr(image, "n_frames", 1)) != 1:
                    raise MurineError(f"{str(file)!r} holds {n_pictures} pictures; expected one natural scene.")
                values = np.asarray(image)
    except MurineError:
        raise
    except Exception as error:  # a damaged TIFF file can make Pillow raise almost anything
        raise MurineError(f"{str(file)!r} cannot be read as a TIFF picture ({error}).") from error
    return _levels(values, repr(str(file)))


def _by(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))
