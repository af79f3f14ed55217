"""Random relabellings of stimuli and permutation p-values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int


def permutations(n_stimuli: int, n_permutations: int, seed: int) -> Int[np.ndarray, "n_permutations n_stimuli"]:
    """Random relabellings of the stimuli, the same for the same seed."""
    generator = np.random.default_rng([seed, n_stimuli, 1])
    return generator.permuted(np.tile(np.arange(n_stimuli), (n_permutations, 1)), axis=1)


def permuted_pairs(
    relabellings: Int[np.ndarray, "n_draws n_stimuli"],
) -> Iterator[Int[np.ndarray, " n_pairs"]]:
    """Yield, for each relabelling, where every pair of stimuli finds its dissimilarity in the old vector."""
    n = relabellings.shape[1]
    rows, columns = np.triu_indices(n, 1)
    position = np.zeros((n, n), np.intp)
    position[rows, columns] = position[columns, rows] = np.arange(len(rows))
    for relabelling in relabellings:
        yield position[relabelling[rows], relabelling[columns]]


def permutation_p_values(
    scores: Float[np.ndarray, "n_layers n_sites"], null: Float[np.ndarray, "n_draws n_layers n_sites"]
) -> Float[np.ndarray, "n_layers n_sites"]:
    """One-sided p: (1 + number of relabellings that score at least as high) / (1 + number); NaN where the score is."""
    reached = (null >= scores.astype(null.dtype)).sum(axis=0)
    return np.where(np.isnan(scores), np.nan, (1 + reached) / (1 + len(null)))
