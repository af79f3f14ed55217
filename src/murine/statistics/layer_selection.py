"""Selection of the best layer of each site."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def best_layer(scores: Float[np.ndarray, "... n_layers n_sites"]) -> Int[np.ndarray, "... n_sites"]:
    """Return the position of each site's best layer, the first of equals; -1 where no layer has a score (NaN)."""
    filled = np.where(np.isnan(scores), -np.inf, scores)
    if not scores.shape[-2]:
        return np.full((*scores.shape[:-2], scores.shape[-1]), -1)
    return np.where(np.isfinite(filled.max(axis=-2)), filled.argmax(axis=-2), -1)
