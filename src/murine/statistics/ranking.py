"""How sure a ranking is: probabilities over paired draws of the scores of models."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

#: A model without a score in more than this share of the draws is not ranked.
LARGEST_LOSS = 0.05

Draws = Float[np.ndarray, "n_draws n_models"]


def rank_bands(
    scores: Float[np.ndarray, " n_models"], difference: Callable[[int, int], tuple[float, float]]
) -> Int[np.ndarray, " n_models"]:
    """Put models that cannot be told apart into one band.

    From the best score downwards: a band is its best model and all that follow until the first whose paired
    difference to that model has an interval above zero; that one opens the next band. Models without a score get
    band 0.

    Parameters
    ----------
    difference
        The interval of the score of one model (position) less that of another, from paired draws.
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
    """How often each model takes each rank: column k - 1 is rank k, the highest score first.

    Models that tie in a draw share the ranks they take in equal parts. Rows and columns of the models that are ranked
    sum to 1.

    Parameters
    ----------
    draws
        Paired: each draw holds scores of all models on the same resampled stimuli. A model that is NaN in more than
        one draw in twenty is not ranked (its row is NaN, and the last columns are 0); a draw in which a ranked model is
        NaN is left out.

    Returns
    -------
    probability
        (n_models, n_models).
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
    # Each tie adds its share from its first rank on, and takes it away after its last.
    steps = np.zeros((m, n + 1))
    model = np.broadcast_to(np.arange(m), above.shape)
    np.add.at(steps, (model, above), share)
    np.add.at(steps, (model, m - below), -share)
    probability[ranked] = np.clip(np.cumsum(steps, axis=1)[:, :n] / len(kept), 0, 1)
    probability[np.ix_(ranked, np.arange(n) >= m)] = 0
    return probability


def top_probability(draws: Draws, k: int) -> Float[np.ndarray, " n_models"]:
    """How often each model is among the best k; NaN for a model that is not ranked (`rank_probability`)."""
    return rank_probability(draws)[:, :k].sum(axis=1)


def better_probability(draws: Draws) -> Float[np.ndarray, "n_models n_models"]:
    """How often model i (row) scores higher than model j (column); a tie counts half, so p_ij + p_ji = 1, p_ii = 1/2.

    NaN in rows and columns of models that are not ranked (`rank_probability`)."""
    ranked, kept = _ranked(draws)
    out = np.full((len(ranked), len(ranked)), np.nan)
    if ranked.any():
        higher = np.stack([(column[:, None] > kept).mean(axis=0) for column in kept.T])
        out[np.ix_(ranked, ranked)] = (1 + higher - higher.T) / 2
    return out


def _ranked(draws: Draws) -> tuple[Bool[np.ndarray, " n_models"], Float[np.ndarray, "n_kept n_ranked"]]:
    """Which models are ranked, and their scores in the draws in which all of them have one."""
    lost = np.isnan(draws)
    ranked = lost.mean(axis=0) <= LARGEST_LOSS if len(draws) else np.zeros(draws.shape[1], bool)
    kept = draws[~lost[:, ranked].any(axis=1)][:, ranked]
    return (ranked, kept) if len(kept) else (np.zeros_like(ranked), kept[:, :0])
