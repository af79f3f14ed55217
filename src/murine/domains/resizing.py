"""Bilinear resizing of many images in whole numbers, with the same bytes on every machine.

Square images are equal to Pillow's to the last bit. For others, newer versions of Pillow may resize columns before
rows, and then a quarter of the pixels differ by one level.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from jaxtyping import Float, UInt8

#: Fractional bits of Pillow's coefficients for bytes (Resample.c: 32 - 8 - 2).
_BITS = 22

#: Number of images that are resized together.
_BATCH = 512


def resize_stack(
    images: UInt8[np.ndarray, "n height width *channels"], height: int, width: int
) -> UInt8[np.ndarray, "n _height _width *channels"]:
    """Resize images with a triangle filter, which is wider if an image becomes smaller, as Pillow does.

    Rows are resized first, then columns, each rounded to bytes. Coefficients are whole numbers, so sums in float64 are
    exact.

    Parameters
    ----------
    images
        uint8 (n, h, w) or (n, h, w, 3).
    height, width
        Height and width of the results.

    Examples
    --------
    >>> resize_stack(np.full((2, 28, 28), 7, np.uint8), 32, 32).shape
    (2, 32, 32)
    """
    across, down = _coefficients(images.shape[2], width), _coefficients(images.shape[1], height)
    resized = np.empty((len(images), height, width, *images.shape[3:]), dtype=np.uint8)
    for start in range(0, len(images), _BATCH):
        rows = slice(start, start + _BATCH)
        planes = np.ascontiguousarray(np.moveaxis(images[rows], (1, 2), (-2, -1)))  # channels before rows and columns
        if across is not None:
            planes = _rounded(planes.astype(np.float64) @ across.T)
        if down is not None:
            planes = _rounded(down @ planes.astype(np.float64))
        resized[rows] = np.moveaxis(planes, (-2, -1), (1, 2))
    return resized


def _rounded(sums: np.ndarray) -> UInt8[np.ndarray, "..."]:
    sums += 2.0 ** (_BITS - 1)
    sums *= 2.0**-_BITS
    return np.floor(sums, out=sums).clip(0, 255, out=sums).astype(np.uint8)


@cache
def _coefficients(n_in: int, n_out: int) -> Float[np.ndarray, "out in"] | None:
    """Return the weights of the old pixels in each new one, times 2^22, as whole numbers; None if the size stays."""
    if n_in == n_out:
        return None
    scale = n_in / n_out
    support = max(scale, 1.0)
    table = np.zeros((n_out, n_in))
    for i in range(n_out):
        centre = (i + 0.5) * scale
        first, last = max(math.trunc(centre - support + 0.5), 0), min(math.trunc(centre + support + 0.5), n_in)
        weights = [max(1 - abs((x + first - centre + 0.5) / support), 0.0) for x in range(last - first)]
        total = sum(weights)
        table[i, first:last] = [math.trunc(0.5 + weight / total * 2**_BITS) for weight in weights]
    return table
