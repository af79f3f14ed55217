"""Standardisation."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

Rows = Float[np.ndarray, "n_rows n_columns"]


def zscore(responses: Float[np.ndarray, "n_neuroids n_stimuli"]) -> Float[np.ndarray, "n_neuroids n_stimuli"]:
    """Standardise every neuron over stimuli (mean 0, population standard deviation 1); a constant one becomes 0."""
    centred = responses - responses.mean(axis=1, keepdims=True)
    scale = centred.std(axis=1, keepdims=True)
    tiny = 1e-12 * np.abs(responses).max(axis=1, keepdims=True, initial=0)
    return np.divide(centred, scale, out=np.zeros_like(centred), where=scale > tiny)


def unit_length(rows: Rows) -> Rows:
    """X."""
    return unit_length_and_scale(rows.astype(np.float64, copy=False))[0]


def unit_length_and_scale(
    rows: Rows,
) -> tuple[Rows, Float[np.ndarray, " n_rows"], Float[np.ndarray, " n_rows"]]:
    """X."""
    with np.errstate(invalid="ignore"):
        means = rows.mean(axis=1)
        centred = rows - means[:, None]
    lengths = np.sqrt(np.einsum("ij,ij->i", centred, centred))
    rounding = 1e-12 * np.abs(rows).max(axis=1, initial=0) * np.sqrt(rows.shape[1])
    lengths = np.where((lengths > rounding) & (lengths < np.inf), lengths, np.nan)
    centred /= lengths[:, None]
    return centred, means, lengths
