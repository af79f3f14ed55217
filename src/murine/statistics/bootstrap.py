"""Resampling of stimuli, intervals, permutation p-values and rank bands."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, UInt16

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


def leave_one_out_counts(n_stimuli: int) -> Counts:
    """Every stimulus once but one, for each of the stimuli: counts of the jackknife."""
    return (1 - np.eye(n_stimuli)).astype(np.uint16)


def pair_weights(counts: Counts) -> Float32[np.ndarray, "n_draws n_pairs"]:
    """How often each pair of different stimuli occurs in each sample: the product of their counts."""
    rows, columns = np.triu_indices(counts.shape[1], 1)
    weights = counts.astype(np.float32)
    return weights[:, rows] * weights[:, columns]


def percentile_interval(
    draws: Float[np.ndarray, "n_draws ..."], level: float = 0.95
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Percentile interval over draws; NaN where more than one draw in twenty is NaN (nothing to tell)."""
    if not draws.size:
        return np.full(draws.shape[1:], np.nan), np.full(draws.shape[1:], np.nan)
    lost = np.isnan(draws).mean(axis=0)
    clean = np.where(lost > 0.05, 0.0, draws)
    low, high = np.nanquantile(clean, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return np.where(lost > 0.05, np.nan, low), np.where(lost > 0.05, np.nan, high)
