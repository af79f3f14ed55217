"""Selection of the best layer of each site.

`murine.scoring.held_out` chooses layers on other images than those that they are scored on.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def best_layer(scores: Float[np.ndarray, "... n_layers n_sites"]) -> Int[np.ndarray, "... n_sites"]:
    """Return the position of the best layer of each site.

    Parameters
    ----------
    scores
        (..., n_layers, n_sites); NaN where a layer has no score.

    Returns
    -------
    position
        (..., n_sites): the first of equally good layers; -1 where no layer has a score.

    Examples
    --------
    >>> import numpy as np
    >>> best_layer(np.array([[0.1, np.nan], [0.3, np.nan]]))
    array([ 1, -1])
    """
    filled = np.where(np.isnan(scores), -np.inf, scores)
    if not scores.shape[-2]:
        return np.full((*scores.shape[:-2], scores.shape[-1]), -1)
    return np.where(np.isfinite(filled.max(axis=-2)), filled.argmax(axis=-2), -1)
