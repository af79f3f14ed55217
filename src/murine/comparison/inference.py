"""Resampling of stimuli, intervals, permutation p-values and rank bands."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Float32, Int, UInt16

from murine.errors import MurineError

#: How often each stimulus was drawn in each bootstrap sample.
Counts = UInt16[np.ndarray, "n_draws n_stimuli"]

#: Fewer stimuli than this leave fewer than six dissimilarities: nothing to correlate.
MIN_STIMULI = 4


def bootstrap_counts(n_stimuli: int, n_bootstraps: int, seed: int) -> Counts:
    """How often each stimulus is drawn in each bootstrap sample (multinomial, ``n_stimuli`` draws with replacement).

    The same seed gives the same samples, so scores of different networks are paired. Samples with fewer than four
    different stimuli are drawn anew."""
    if n_stimuli < MIN_STIMULI:
        raise MurineError(f"{n_stimuli} stimuli are too few to compare RDMs; at least {MIN_STIMULI} are needed.")
    generator = np.random.default_rng([seed, n_stimuli])
    counts = np.empty((n_bootstraps, n_stimuli), np.uint16)
    for row in counts:
        row[:] = 0
        while (row > 0).sum() < MIN_STIMULI:
            row[:] = np.bincount(generator.integers(n_stimuli, size=n_stimuli), minlength=n_stimuli)
    return counts


def folds(n_stimuli: int, n_folds: int, seed: int) -> list[Int[np.ndarray, " _"]]:
    """Test stimuli of every fold, the same for the same seed: what all cross-validated metrics share.

    The same indices as scikit-learn's ``KFold(n_folds, shuffle=True, random_state=seed)``, ascending in every fold;
    the first ``n_stimuli % n_folds`` folds have one stimulus more.

    Raises
    ------
    MurineError
        With fewer than two folds, or with more folds than stimuli.
    """
    if not 2 <= n_folds <= n_stimuli:
        raise MurineError(
            f"{n_stimuli} stimuli cannot be cross-validated in {n_folds} folds; expected at least 2, and at most as "
            "many folds as stimuli."
        )
    # The legacy generator, since scikit-learn shuffles with it.
    order = np.random.RandomState(seed).permutation(n_stimuli)
    return [np.sort(part) for part in np.array_split(order, n_folds)]


def pair_weights(counts: Counts) -> Float32[np.ndarray, "n_draws n_pairs"]:
    """How often each pair of different stimuli occurs in each sample: the product of their counts."""
    rows, columns = np.triu_indices(counts.shape[1], 1)
    weights = counts.astype(np.float32)
    return weights[:, rows] * weights[:, columns]


def permutations(n_stimuli: int, n_permutations: int, seed: int) -> Int[np.ndarray, "n_permutations n_stimuli"]:
    """Random relabellings of the stimuli, the same for the same seed."""
    generator = np.random.default_rng([seed, n_stimuli, 1])
    return generator.permuted(np.tile(np.arange(n_stimuli), (n_permutations, 1)), axis=1)


def relabelled_pairs(
    relabellings: Int[np.ndarray, "n_draws n_stimuli"],
) -> Iterator[Int[np.ndarray, " n_pairs"]]:
    """Yield, for each relabelling, where every pair of stimuli finds its dissimilarity in the old vector."""
    n = relabellings.shape[1]
    rows, columns = np.triu_indices(n, 1)
    position = np.zeros((n, n), np.intp)
    position[rows, columns] = position[columns, rows] = np.arange(len(rows))
    for relabelling in relabellings:
        yield position[relabelling[rows], relabelling[columns]]


def interval(
    draws: Float[np.ndarray, n_draws * shape], level: float = 0.95
) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
    """Percentile interval over draws; NaN where more than one draw in twenty is NaN (nothing to tell)."""
    lost = np.isnan(draws).mean(axis=0)
    clean = np.where(lost > 0.05, 0.0, draws)
    low, high = np.nanquantile(clean, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return np.where(lost > 0.05, np.nan, low), np.where(lost > 0.05, np.nan, high)


def permutation_p(
    scores: Float[np.ndarray, "n_layers n_sites"], null: Float[np.ndarray, "n_draws n_layers n_sites"]
) -> Float[np.ndarray, "n_layers n_sites"]:
    """One-sided p: (1 + number of relabellings that score at least as high) / (1 + number); NaN where the score is."""
    reached = (null >= scores.astype(null.dtype)).sum(axis=0)
    return np.where(np.isnan(scores), np.nan, (1 + reached) / (1 + len(null)))


def rank_bands(
    scores: Float[np.ndarray, " n_models"], draws: Float[np.ndarray, "n_draws n_models"], level: float = 0.95
) -> Int[np.ndarray, " n_models"]:
    """Put models that cannot be told apart into one band.

    From the best score downwards: a band is its best model and all that follow until the first whose paired
    difference to that model has an interval (over draws) above zero; that one opens the next band. Models without a
    score get band 0."""
    bands = np.zeros(len(scores), int)
    order = [i for i in np.argsort(-scores, kind="stable") if np.isfinite(scores[i])]
    band, leader = 0, -1
    for i in order:
        if leader < 0 or interval(draws[:, leader] - draws[:, i], level)[0] > 0:
            band, leader = band + 1, i
        bands[i] = band
    return bands
