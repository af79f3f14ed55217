"""Masked arrays: what is masked is missing."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def unmasked(values: ArrayLike) -> np.ndarray:
    """Return an array as it is, or, where it has a mask, with NaN for what is masked.

    ``numpy.asarray`` would drop the mask and give what lies under it.
    """
    if not np.ma.isMaskedArray(values):
        return np.asarray(values)
    masked = np.ma.asarray(values)
    if not np.ma.is_masked(masked) or masked.dtype.kind not in "biuf":
        return np.asarray(masked.data)
    return np.ma.filled(masked.astype(np.result_type(masked.dtype, np.float32)), np.nan)
