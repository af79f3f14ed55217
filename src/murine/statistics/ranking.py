"""Confidence of a ranking: rank bands, and the probability of each rank from paired draws of scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

#: A network without a score in more than this share of the draws is not ranked.
MAX_MISSING = 0.05

Draws = Float[np.ndarray, "n_draws n_models"]


def rank_bands(
    scores: Float[np.ndarray, " n_models"], difference: Callable[[int, int], tuple[float, float]]
) -> Int[np.ndarray, " n_models"]:
    """Put networks whose scores cannot be told apart into one band.

    The bands are made from the best score downwards. A band contains its best network and all that follow, up to the
    first network whose score is reliably lower: the interval of the paired difference lies above zero. That network
    opens the next band.

    Parameters
    ----------
    scores
        (n_models,); NaN for a network without a score.
    difference
        Function of two positions: the interval (low, high) of the score of the first less that of the second, from
        paired draws.

    Returns
    -------
    bands
        (n_models,): 1 for the best band; 0 for networks without a score.

    Examples
    --------
    >>> import numpy as np
    >>> scores = np.array([0.30, 0.29, 0.10])
    >>> rank_bands(scores, lambda i, j: (scores[i] - scores[j] - 0.05, scores[i] - scores[j] + 0.05))
    array([1, 1, 2])
    """
    bands = np.zeros(len(scores), int)
    order = [int(i) for i in np.argsort(-scores, kind="stable") if np.isfinite(scores[i])]
    band, leader = 0, -1
    for i in order:
        if leader < 0 or difference(leader, i)[0] > 0:
            band, leader = band + 1, i
        bands[i] = band
    return bands


def rank_probability(draws: Draws) -> Float[np.ndarray, "n_models n_ranks"]:
    """Return the probability of each rank for each network: column k - 1 is rank k, the highest score first.

    Networks that tie in a draw share the ranks they take in equal parts. The rows and columns of ranked networks sum to
    1.

    Parameters
    ----------
    draws
        (n_draws, n_models), paired: each draw holds the scores of all networks on the same resampled stimuli. A network
        that is NaN in more than 5 % of the draws is not ranked. A draw in which a ranked network is NaN is left out.

    Returns
    -------
    probability
        (n_models, n_models). The row of a network that is not ranked is NaN, and as many of the last columns are 0.

    Examples
    --------
    >>> import numpy as np
    >>> rank_probability(np.array([[0.3, 0.1], [0.2, 0.1], [0.1, 0.2], [0.4, 0.0]]))
    array([[0.75, 0.25],
           [0.25, 0.75]])
    """
    ranked, kept = _ranked(draws)
    n = len(ranked)
    probability = np.full((n, n), np.nan)
    if not ranked.any():
        return probability
    m = int(ranked.sum())
    ordered = np.sort(kept, axis=1)
    above = np.stack([m - np.searchsorted(row, x, side="right") for row, x in zip(ordered, kept, strict=True)])
    below = np.stack([np.searchsorted(row, x, side="left") for row, x in zip(ordered, kept, strict=True)])
    share = 1 / (m - above - below)
    # Add the share of each network at its first rank and subtract it after its last rank: the cumulative sum over
    # ranks is then the probability.
    steps = np.zeros((m, n + 1))
    model = np.broadcast_to(np.arange(m), above.shape)
    np.add.at(steps, (model, above), share)
    np.add.at(steps, (model, m - below), -share)
    probability[ranked] = np.clip(np.cumsum(steps, axis=1)[:, :n] / len(kept), 0, 1)
    probability[np.ix_(ranked, np.arange(n) >= m)] = 0
    return probability


def top_probability(draws: Draws, k: int) -> Float[np.ndarray, " n_models"]:
    """Return the probability that each network is among the best k.

    Parameters
    ----------
    draws
        (n_draws, n_models), as in `rank_probability`.
    k
        Number of best ranks.

    Returns
    -------
    probability
        (n_models,); NaN for a network that is not ranked.

    Examples
    --------
    >>> import numpy as np
    >>> top_probability(np.array([[0.3, 0.1, 0.0], [0.1, 0.2, 0.0]]), k=1)
    array([0.5, 0.5, 0. ])
    """
    return rank_probability(draws)[:, :k].sum(axis=1)


def better_probability(draws: Draws) -> Float[np.ndarray, "n_models n_models"]:
    """Return the probability that one network scores higher than another, for all pairs.

    Parameters
    ----------
    draws
        (n_draws, n_models), as in `rank_probability`.

    Returns
    -------
    probability
        (n_models, n_models): entry (i, j) is the share of draws in which network i scores higher than network j. A tie
        counts half, so entries (i, j) and (j, i) sum to 1 and the diagonal is 1/2. NaN for networks that are not
        ranked.

    Examples
    --------
    >>> import numpy as np
    >>> better_probability(np.array([[0.3, 0.1], [0.2, 0.1], [0.1, 0.2], [0.4, 0.0]]))
    array([[0.5 , 0.75],
           [0.25, 0.5 ]])
    """
    ranked, kept = _ranked(draws)
    out = np.full((len(ranked), len(ranked)), np.nan)
    if ranked.any():
        higher = np.stack([(column[:, None] > kept).mean(axis=0) for column in kept.T])
        out[np.ix_(ranked, ranked)] = (1 + higher - higher.T) / 2
    return out


def _ranked(draws: Draws) -> tuple[Bool[np.ndarray, " n_models"], Float[np.ndarray, "n_kept n_ranked"]]:
    """Return which networks are ranked, and their scores in the draws in which all of them have a score."""
    lost = np.isnan(draws)
    ranked = lost.mean(axis=0) <= MAX_MISSING if len(draws) else np.zeros(draws.shape[1], bool)
    kept = draws[~lost[:, ranked].any(axis=1)][:, ranked]
    return (ranked, kept) if len(kept) else (np.zeros_like(ranked), kept[:, :0])
