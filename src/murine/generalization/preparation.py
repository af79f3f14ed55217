"""What is done to an image of a domain before any network sees it: one published preparation, part of the identity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from murine.errors import MurineError
from murine.generalization.resampling import resize_stack

#: Side of an MNIST image, and of the box its ink was fitted into.
_MNIST_SIDE, _MNIST_BOX = 28, 20


class Preparation(BaseModel):
    """How images of every domain become uint8 arrays of (size, size, 3).

    Grey images are copied to three channels. Bilinear resizing is done with whole numbers, and gives the same bytes on
    every machine and with every version of Pillow, which does the other kinds. The default is that of the literature: the whole image is resized bilinearly to 32 x 32
    (``specs/papers.md``, section 2.7), polarity is as the source has it.

    Attributes
    ----------
    size
        Side of the prepared image in pixels.
    interpolation
        Filter of the resizing; antialiased where an image is reduced.
    fit
        What becomes of the shape. ``stretch``: the whole image, resized to a square; the aspect ratio changes.
        ``crop``: the shorter side is resized to ``size``, the middle is kept. ``pad``: the longer side is resized to
        ``size``, the rest filled. ``place``: as ``pad``, but an image that fits is not enlarged: MNIST gets a margin of
        2 px, USPS one of 8.
    framing
        ``as-is``, or ``mnist``: what MNIST's authors did to theirs is done to other images of ink on plain ground
        (USPS, Semeion, fonts): the box of the ink is fitted into 20/28 of the side, its aspect ratio kept, the centre
        of mass in the middle. MNIST itself and photographs stay as they are.
    polarity
        ``as-is``, or ``white-on-black`` or ``black-on-white``: an image of ink on plain ground is inverted where its
        ground (median of its outermost pixels) is on the wrong side of 127.5. Photographs have no polarity, and
        stay as they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(default=32, ge=8, le=1024)
    interpolation: Literal["bilinear", "bicubic", "lanczos", "nearest"] = "bilinear"
    fit: Literal["stretch", "crop", "pad", "place"] = "stretch"
    framing: Literal["as-is", "mnist"] = "as-is"
    polarity: Literal["as-is", "white-on-black", "black-on-white"] = "as-is"


def prepare(
    images: NDArray[Any] | Sequence[NDArray[Any]], preparation: Preparation, *, ink: bool = False, framed: bool = False
) -> NDArray[np.uint8]:
    """Prepare images.

    Parameters
    ----------
    images
        Each (height, width) or (height, width, 3), of any size: uint8, or floats between 0 (black) and 1 (white).
    preparation
        What to do.
    ink
        Whether these are images of ink on plain ground, to which polarity and framing apply.
    framed
        Whether they are framed as MNIST's are already.

    Returns
    -------
    prepared
        uint8 array (n_images, size, size, 3).

    Raises
    ------
    MurineError
        If an image is empty, of another shape or type, or holds NaN or floats outside of 0 .. 1.
    """
    size = preparation.size
    if isinstance(images, np.ndarray) and len(images) and _plain(preparation, images, ink):
        resized = resize_stack(images, size, size)
        return resized if resized.ndim == 4 else np.repeat(resized[..., None], 3, axis=3)
    prepared = np.empty((len(images), size, size, 3), dtype=np.uint8)
    for i, image in enumerate(images):
        levels = _levels(np.asarray(image), i)
        if ink:
            levels = _turned(levels, preparation)
            if preparation.framing == "mnist" and not framed:
                levels = _framed(levels, preparation)
        fitted = _fitted(levels, preparation)
        prepared[i] = fitted if fitted.ndim == 3 else fitted[..., None]
    return prepared


def ground(image: NDArray[np.uint8]) -> float:
    """The median of an image's outermost pixels (of a colour image: of their channels' mean)."""
    grey = image if image.ndim == 2 else image.mean(axis=2)
    return float(np.median(np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])))


def _plain(preparation: Preparation, images: NDArray[Any], ink: bool) -> bool:
    """Whether nothing is to be done but to resize images of one size, which has a quick way."""
    usual = preparation.fit == "stretch" and preparation.interpolation == "bilinear"
    changed = ink and (preparation.framing, preparation.polarity) != ("as-is", "as-is")
    shaped = images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)
    return usual and not changed and shaped and images.dtype == np.uint8 and 0 not in images.shape


def _levels(image: NDArray[Any], i: int) -> NDArray[np.uint8]:
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3) or 0 in image.shape:
        raise MurineError(f"image {i} has shape {image.shape}; expected (height, width) or (height, width, 3).")
    if image.dtype == np.uint8:
        return image
    if not np.issubdtype(image.dtype, np.floating):
        raise MurineError(f"image {i} has dtype {image.dtype}; expected uint8, or floats between 0 and 1.")
    if not (np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1):
        raise MurineError(
            f"image {i} holds NaN, infinity or values from {np.nanmin(image):.4g} to {np.nanmax(image):.4g}; floats "
            "have to be between 0 (black) and 1 (white)."
        )
    return np.rint(image * 255).astype(np.uint8)


def _turned(image: NDArray[np.uint8], preparation: Preparation) -> NDArray[np.uint8]:
    if preparation.polarity == "as-is":
        return image
    light = ground(image) > 127.5
    return 255 - image if light == (preparation.polarity == "white-on-black") else image


def _framed(image: NDArray[np.uint8], preparation: Preparation) -> NDArray[np.uint8]:
    """The ink of an image in a square as MNIST's authors would have put it: 20 of 28 wide or high, balanced."""
    plain = round(ground(image))
    grey = image if image.ndim == 2 else image.mean(axis=2)
    ink = np.abs(grey.astype(np.float64) - plain)
    there = ink > 0.1 * ink.max(initial=0)
    if not there.any():
        return image
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    box = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    size = preparation.size
    scale = size * _MNIST_BOX / _MNIST_SIDE / max(box.shape[:2])
    height, width = (max(1, round(scale * side)) for side in box.shape[:2])
    digit = _resized(box, width, height, preparation)
    weight = np.abs((digit if digit.ndim == 2 else digit.mean(axis=2)).astype(np.float64) - plain) + 1e-9
    centre = [
        float((weight.sum(axis=1 - axis) * (np.arange(n) + 0.5)).sum() / weight.sum())
        for axis, n in enumerate((height, width))
    ]
    top, left = (min(max(round(size / 2 - c), 0), size - n) for c, n in zip(centre, (height, width), strict=True))
    canvas = np.full((size, size, *image.shape[2:]), plain, dtype=np.uint8)
    canvas[top : top + height, left : left + width] = digit
    return canvas


def _fitted(image: NDArray[np.uint8], preparation: Preparation) -> NDArray[np.uint8]:
    size = preparation.size
    height, width = image.shape[:2]
    if preparation.fit == "stretch":
        return _resized(image, size, size, preparation)
    if preparation.fit == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return _resized(image[top : top + side, left : left + side], size, size, preparation)
    scale = size / max(height, width)
    if preparation.fit == "place":
        scale = min(scale, 1.0)
    tall, wide = (min(size, max(1, round(scale * side))) for side in (height, width))
    canvas = np.full((size, size, *image.shape[2:]), round(ground(image)), dtype=np.uint8)
    top, left = (size - tall) // 2, (size - wide) // 2
    canvas[top : top + tall, left : left + wide] = _resized(image, wide, tall, preparation)
    return canvas


def _resized(image: NDArray[np.uint8], width: int, height: int, preparation: Preparation) -> NDArray[np.uint8]:
    if image.shape[:2] == (height, width):
        return image
    if preparation.interpolation == "bilinear":
        return resize_stack(image[None], height, width)[0]
    chosen = Image.Resampling[preparation.interpolation.upper()]
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize((width, height), chosen))
