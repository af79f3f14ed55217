"""The preparation of a domain's images: size, shape, framing and polarity. It is part of the identity of results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from murine.domains.resizing import resize_stack
from murine.errors import MurineError

InkPolarity: TypeAlias = Literal["white-on-black", "black-on-white"]

#: Side of an MNIST image, and of the box its ink was fitted into.
_MNIST_SIDE, _MNIST_BOX = 28, 20


class Preparation(BaseModel):
    """How the images of every domain become uint8 arrays (size, size, 3).

    Grey images are copied to three channels. Bilinear resizing uses whole numbers and gives the same bytes on every
    machine; Pillow does the other kinds of resizing. The default follows the literature: the whole image is resized
    bilinearly to 32 x 32 pixels, and polarity is unchanged.

    Attributes
    ----------
    size
        Side of the prepared image in pixels.
    interpolation
        Filter of the resizing, with antialiasing where an image becomes smaller.
    fit
        How an image becomes a square. ``stretch``: the whole image is resized; the aspect ratio changes. ``crop``: the
        shorter side is resized to ``size`` and the middle is kept. ``pad``: the longer side is resized to ``size`` and
        the rest is filled with the background (of a photograph: the median of its outermost pixels). ``place``: like
        ``pad``, but a small image is not enlarged, so MNIST gets a margin of 2 pixels and USPS one of 8.
    framing
        ``as-is``, or ``mnist``: other images with ink on a plain background (USPS, Semeion, fonts) are framed as MNIST
        is. The box of the ink is fitted into 20/28 of the side with its aspect ratio, and its centre of mass is moved
        to the middle. MNIST itself and photographs are unchanged.
    polarity
        ``as-is``, or ``white-on-black`` or ``black-on-white``: images with ink on a plain background are inverted if
        their source has the other polarity. Photographs are unchanged.

    Examples
    --------
    >>> Preparation(size=28, framing="mnist", polarity="white-on-black").fit
    'stretch'
    >>> prepare(np.zeros((5, 16, 16), np.uint8), Preparation(size=28)).shape
    (5, 28, 28, 3)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(default=32, ge=8, le=1024)
    interpolation: Literal["bilinear", "bicubic", "lanczos", "nearest"] = "bilinear"
    fit: Literal["stretch", "crop", "pad", "place"] = "stretch"
    framing: Literal["as-is", "mnist"] = "as-is"
    polarity: Literal["as-is", "white-on-black", "black-on-white"] = "as-is"


def prepare(
    images: NDArray[Any] | Sequence[NDArray[Any]],
    preparation: Preparation,
    *,
    polarity: InkPolarity | None = None,
    framed: bool = False,
) -> NDArray[np.uint8]:
    """Prepare images: resize, frame and invert them.

    Parameters
    ----------
    images
        Images (height, width) or (height, width, 3) of any size: uint8, or floats between 0 (black) and 1 (white).
    preparation
        How the images are prepared.
    polarity
        Polarity of the source, if its images have ink on a plain background; None for photographs, to which polarity
        and framing do not apply. It is not estimated from single images, because a digit may fill its frame.
    framed
        Whether the images are already framed as in MNIST.

    Returns
    -------
    prepared
        uint8 array (n_images, size, size, 3).

    Raises
    ------
    MurineError
        If an image is empty, has another shape or type, or contains NaN or floats outside 0 ... 1.

    Examples
    --------
    >>> prepare(np.zeros((5, 28, 28), np.uint8), Preparation(size=32)).shape
    (5, 32, 32, 3)
    """
    size = preparation.size
    turned = polarity is not None and preparation.polarity not in ("as-is", polarity)
    reframed = polarity is not None and preparation.framing == "mnist" and not framed
    quick = preparation.fit == "stretch" and preparation.interpolation == "bilinear" and not reframed
    if isinstance(images, np.ndarray) and images.dtype != object and len(images):
        images = _levels(images, images.shape[1:], "the images")
        if quick:
            resized = resize_stack(255 - images if turned else images, size, size)
            return resized if resized.ndim == 4 else np.repeat(resized[..., None], 3, axis=3)
    ground = None if polarity is None else 255 * (turned != (polarity == "black-on-white"))
    prepared = np.empty((len(images), size, size, 3), dtype=np.uint8)
    for i, given in enumerate(images):
        image = np.asarray(given)
        levels = _levels(image, image.shape, f"image {i}")
        levels = 255 - levels if turned else levels
        plain = round(margin(levels)) if ground is None else ground
        fitted = _framed(levels, plain, preparation) if reframed else _fitted(levels, plain, preparation)
        prepared[i] = fitted if fitted.ndim == 3 else fitted[..., None]
    return prepared


def margin(image: NDArray[np.uint8]) -> float:
    """Return the median of an image's outermost pixels; in a colour image, of the mean of their channels."""
    grey = image if image.ndim == 2 else image.mean(axis=2)
    return float(np.median(np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])))


def _levels(images: NDArray[Any], shape: tuple[int, ...], what: str) -> NDArray[np.uint8]:
    """Return images as uint8; ``shape`` is the shape of one image."""
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] != 3) or 0 in shape:
        raise MurineError(f"{what}: shape {shape}; expected (height, width) or (height, width, 3).")
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise MurineError(f"{what}: dtype {images.dtype}; expected uint8, or floats between 0 and 1.")
    if not (np.isfinite(images).all() and images.min() >= 0 and images.max() <= 1):
        held = "NaN or infinity" if not np.isfinite(images).all() else f"{images.min():.4g} to {images.max():.4g}"
        raise MurineError(f"{what}: levels are {held}; floats have to be between 0 (black) and 1 (white).")
    return np.rint(images * 255).astype(np.uint8)


def _framed(image: NDArray[np.uint8], plain: int, preparation: Preparation) -> NDArray[np.uint8]:
    """Return an image with its ink framed as in MNIST: fitted into 20/28 of the side, centre of mass in the middle."""
    grey = image if image.ndim == 2 else image.mean(axis=2)
    ink = np.abs(grey.astype(np.float64) - plain)
    there = ink > 0.1 * ink.max(initial=0)
    if not there.any():
        return _fitted(image, plain, preparation)
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


def _fitted(image: NDArray[np.uint8], plain: int, preparation: Preparation) -> NDArray[np.uint8]:
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
    canvas = np.full((size, size, *image.shape[2:]), plain, dtype=np.uint8)
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
