"""Image files: which files of a folder are images, and their pixels as a viewer shows them."""

from __future__ import annotations

import io
import logging
import re
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from murine.errors import MurineError, some

if TYPE_CHECKING:
    from PIL import Image

log = logging.getLogger(__name__)

#: Endings of files that are taken for images, in either case.
ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

#: Folders that other systems create: in archives from a Mac, and on network drives.
_FOREIGN_FOLDERS = ("__MACOSX", "@eaDir")

#: What happened to a picture on the way, for one sentence about all of them.
_NOTES = {
    "transparent": "have transparent pixels, which are drawn on white",
    "cmyk": "are in the colours of print (CMYK), which were converted without a colour profile",
}


@dataclass(frozen=True, eq=False)
class Picture:
    """The pixels of one image file.

    Attributes
    ----------
    pixels
        (height, width) for grey images, or (height, width, 3).
    notes
        Notes on how the image was read: keys of the messages of `warn_about`.
    """

    pixels: UInt8[np.ndarray, "height width *channels"]
    notes: tuple[str, ...] = ()


def is_hidden(path: Path) -> bool:
    """Return whether a system, not the user, created a file or folder, such as ``._NAME`` or ``.DS_Store`` of a Mac."""
    return path.name.startswith(".") or path.name in _FOREIGN_FOLDERS


def image_files(folder: Path, pattern: str = "*") -> list[Path]:
    """Return the image files of a folder, sorted by name, without hidden files that other systems create.

    Parameters
    ----------
    folder
        The folder. Its subfolders are not searched.
    pattern
        Shell pattern of the names. The default takes every file with one of `ENDINGS`, in upper or lower case; a
        pattern of the user's takes what it matches.
    """
    return sorted(
        file
        for file in folder.glob(pattern)
        if not is_hidden(file)
        and (pattern != "*" or file.suffix.lower() in ENDINGS)
        and (file.is_file() or file.is_symlink())  # a link to nothing is told when it is read
        and not file.is_dir()
    )


def label_of(file: Path) -> str:
    """Return the name of a file without its ending, as text in the one spelling that other systems use too.

    A Mac's file systems take accents apart from their letters (NFD); texts elsewhere have them together (NFC).
    """
    try:
        file.stem.encode()
    except UnicodeEncodeError:
        raise MurineError(
            f"the file name {str(file)!r} is no UTF-8 text, so it cannot be an id; rename the file."
        ) from None
    return unicodedata.normalize("NFC", file.stem)


def read_content(file: Path) -> bytes:
    """Return the bytes of an image file; one that cannot be read is a MurineError."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise MurineError(f"{str(file)!r} cannot be read: {error.strerror}.") from error


def read_picture(content: bytes, file: Path, *, exact: bool = False) -> Picture:
    """Decode one image as a viewer shows it.

    The rotation that a camera recorded (EXIF) is applied. Transparent pixels are drawn on white. Grey images stay grey.

    Parameters
    ----------
    content
        Bytes of the file.
    file
        Its name, for messages.
    exact
        Whether images with more than eight bits are refused. Otherwise grey images of sixteen bits (65535 becomes 255),
        and of floats between 0 and 1, are rounded to eight bits, and colour images of sixteen bits are cut to their
        first eight bits.

    Raises
    ------
    MurineError
        If the image cannot be read, has more than one frame, or more bits than are allowed.

    Examples
    --------
    >>> import numpy as np
    >>> from PIL import Image
    >>> Image.fromarray(np.zeros((4, 6), np.uint8)).save("black.png")
    >>> file = Path("black.png")
    >>> read_picture(file.read_bytes(), file).pixels.shape
    (4, 6)
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content)) as opened:
                n_frames = getattr(opened, "n_frames", 1)
                if n_frames > 1 and opened.format != "MPO":  # a telephone's photograph: the first one is the picture
                    raise MurineError(
                        f"{str(file)!r} holds {n_frames} images (an animation, or pages); expected one. Save the one "
                        "that is meant to a file of its own."
                    )
                deep = _is_deep(opened)
                if exact and deep:
                    raise MurineError(
                        f"{str(file)!r} has more than 8 bits a channel ({deep}); expected 8-bit grey or colour, since "
                        "the finer levels would be lost. Convert it to 8 bits first, or give arrays "
                        "(StimulusSet.from_arrays)."
                    )
                image: Image.Image = ImageOps.exif_transpose(opened)
                if image.mode.startswith("I") or image.mode == "F":
                    return Picture(_eight_bits(np.asarray(image), file))
                return _shown(image)
    except MurineError:
        raise
    except Exception as error:  # decoders raise nearly everything
        raise MurineError(
            f"{str(file)!r} is no readable image ({error}); it may be damaged. Mend it, or take it out of the folder."
        ) from error


def warn_about(files: Sequence[Path], pictures: Sequence[Picture]) -> None:
    """Say once for all images, with the names of their files, what a user should know of how they were read."""
    for note, said in _NOTES.items():
        names = [file.name for file, picture in zip(files, pictures, strict=True) if note in picture.notes]
        if names:
            log.warning("%d of %d images %s: %s", len(names), len(files), said, some(names))


def _is_deep(image: Image.Image) -> str:
    """How an image of more than eight bits a channel is stored; '' for others. Pillow cuts most of them silently."""
    if image.mode.startswith("I") or image.mode == "F":
        return f"mode {image.mode}"
    for tile in getattr(image, "tile", ()):
        decoder, arguments = tile[0], tile[3]
        arguments = arguments if isinstance(arguments, tuple) else (arguments,)
        if any(isinstance(argument, str) and re.search(r";16[BLN]", argument) for argument in arguments):
            return f"16 bits, mode {image.mode}"
        if decoder.startswith("ppm") and any(isinstance(most, int) and most > 255 for most in arguments):
            return f"levels up to {max(a for a in arguments if isinstance(a, int))}"
    return ""


def _shown(image: Image.Image) -> Picture:
    """The eight bits of an image, without transparency."""
    from PIL import Image

    grey = image.mode in ("1", "L", "LA")
    notes: tuple[str, ...] = ("cmyk",) if image.mode == "CMYK" else ()
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        if np.asarray(coloured.getchannel("A")).min() < 255:
            notes += ("transparent",)
        image = Image.alpha_composite(Image.new("RGBA", coloured.size, "white"), coloured).convert("RGB")
    return Picture(np.asarray(image.convert("L" if grey else "RGB")), notes)


def _eight_bits(levels: NDArray[Any], file: Path) -> NDArray[np.uint8]:
    """Sixteen bits, or floats between 0 and 1, as eight."""
    real = levels.astype(np.float64)
    most = 1.0 if np.issubdtype(levels.dtype, np.floating) else 65535.0
    if not (np.isfinite(real).all() and real.min() >= 0 and real.max() <= most):
        raise MurineError(
            f"{str(file)!r} holds NaN or levels outside of 0 to {most:g}; save it with eight or sixteen bits."
        )
    return np.rint(255 * real / most).astype(np.uint8)
