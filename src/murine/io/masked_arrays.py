"""Masked arrays: masked values are missing values."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def unmasked(values: ArrayLike) -> np.ndarray:
    """Return an array with NaN for its masked values; an array without a mask is unchanged.

    ``numpy.asarray`` would drop the mask and return the values under it.

    Examples
    --------
    >>> unmasked(np.ma.masked_equal([1.0, -9.0], -9.0))
    array([ 1., nan])
    """
    if not np.ma.isMaskedArray(values):
        return np.asarray(values)
    masked = np.ma.asarray(values)
    if not np.ma.is_masked(masked) or masked.dtype.kind not in "biuf":
        return np.asarray(masked.data)
    return np.ma.filled(masked.astype(np.result_type(masked.dtype, np.float32)), np.nan)
