"""How reproducible responses are: split-half reliability of single neurons."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from murine.errors import MurineError


def random_halves(n_repetitions: int, n_splits: int = 100, seed: int = 0) -> Bool[np.ndarray, "n_splits n_repetitions"]:
    """Draw random halvings of the repetitions.

    Row s is True for the ``n_repetitions // 2`` repetitions of the first half of split s; with an odd number, one
    repetition of the rest is left over for the second half."""
    if n_repetitions < 2:
        raise MurineError(f"a split into halves needs at least 2 repetitions; there is {n_repetitions}.")
    draws = np.random.default_rng(seed).random((n_splits, n_repetitions))
    return draws.argsort(axis=1).argsort(axis=1) < n_repetitions // 2


def spearman_brown(r: Float[np.ndarray, ...], factor: float = 2.0) -> Float[np.ndarray, ...]:
    """Predict the reliability of ``factor`` times as many repetitions: k r / (1 + (k - 1) r).

    NaN where r is NaN or the denominator is not positive.
    """
    denominator = 1 + (factor - 1) * r
    return np.divide(factor * r, denominator, out=np.full(np.shape(r), np.nan), where=denominator > 0)


def split_half(
    responses: Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"], n_splits: int = 100, seed: int = 0
) -> Float[np.ndarray, " n_neuroids"]:
    """Split-half reliability of every neuron, corrected by Spearman-Brown.

    For each of ``n_splits`` random halvings of the repetitions, the two half means over trials are correlated over
    stimuli (Pearson r), corrected as 2r / (1 + r) and averaged over splits (Conwell et al. 2021, ``specs`` 3.1).

    Parameters
    ----------
    responses
        Any unit. NaN marks a missing trial; each half averages the trials it has.

    Returns
    -------
    reliability
        NaN for a neuron that is constant or has no valid trial of some stimulus in some half.
    """
    n_neuroids, _, n_repetitions = responses.shape
    first = random_halves(n_repetitions, n_splits, seed)
    reliability = np.full(n_neuroids, np.nan)
    # One neuron at a time: its (n_stimuli, n_repetitions) trials stay in the cache, and one product with the
    # 0/1 matrix of halves gives the sums of all splits.
    halves = np.concatenate([first, ~first]).astype(np.float64).T
    for i, trials in enumerate(responses):
        valid = np.isfinite(trials)
        if valid.all():
            means = trials.astype(np.float64) @ halves / halves.sum(axis=0)
        else:
            count = valid @ halves
            if not (count > 0).all():
                continue
            means = np.where(valid, trials, 0).astype(np.float64) @ halves / count
        size = np.abs(means).max()
        means -= means.mean(axis=0)
        norm = np.sqrt((means**2).sum(axis=0))
        if (norm > 1e-12 * size).all():  # what is left of a constant is rounding, not signal
            a, b = means[:, :n_splits], means[:, n_splits:]
            r = (a * b).sum(axis=0) / (norm[:n_splits] * norm[n_splits:])
            reliability[i] = spearman_brown(r).mean()
    return reliability
