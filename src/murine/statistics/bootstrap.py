"""Bootstrap samples of stimuli, and percentile intervals of what is computed in them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, UInt16

from murine.errors import MurineError

#: How often each stimulus was drawn in each bootstrap sample.
Counts = UInt16[np.ndarray, "n_draws n_stimuli"]

#: The fewest stimuli that scores are computed for: fewer have fewer than six dissimilarities.
MIN_STIMULI = 4


def bootstrap_counts(n_stimuli: int, n_bootstraps: int, seed: int) -> Counts:
    """Draw bootstrap samples of the stimuli, as counts.

    Each sample draws ``n_stimuli`` stimuli with replacement. A sample with fewer than four different stimuli is drawn
    again, because an RDM of three stimuli has only three pairs.

    Parameters
    ----------
    n_stimuli
        Number of stimuli, at least 4.
    n_bootstraps
        Number of samples.
    seed
        The same seed gives the same samples. Scores of different networks are then paired.

    Returns
    -------
    counts
        (n_bootstraps, n_stimuli): how often each stimulus is in each sample. Every row sums to ``n_stimuli``.

    Raises
    ------
    MurineError
        If there are fewer than 4 stimuli.

    References
    ----------
    Efron & Tibshirani 1993, An Introduction to the Bootstrap.

    Examples
    --------
    >>> counts = bootstrap_counts(n_stimuli=10, n_bootstraps=1000, seed=0)
    >>> counts.shape
    (1000, 10)
    >>> counts.sum(axis=1)[:3]
    array([10, 10, 10], dtype=uint64)
    """
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
    """Return the counts of the jackknife: in sample i, every stimulus but stimulus i is present once.

    Returns
    -------
    counts
        (n_stimuli, n_stimuli), in the format of `bootstrap_counts`.

    Examples
    --------
    >>> leave_one_out_counts(3)
    array([[0, 1, 1],
           [1, 0, 1],
           [1, 1, 0]], dtype=uint16)
    """
    return (1 - np.eye(n_stimuli)).astype(np.uint16)


def pair_weights(counts: Counts) -> Float32[np.ndarray, "n_draws n_pairs"]:
    """Count how often each pair of different stimuli occurs in each bootstrap sample.

    Parameters
    ----------
    counts
        (n_draws, n_stimuli), from `bootstrap_counts`.

    Returns
    -------
    weights
        (n_draws, n_pairs): the product of the counts of the two stimuli, in the order of
        `murine.similarity.rdm_vectors.upper_triangle`. A stimulus and its own copy are not a pair.

    Examples
    --------
    >>> import numpy as np
    >>> pair_weights(np.array([[2, 1, 0]], np.uint16))
    array([[2., 0., 0.]], dtype=float32)
    """
    rows, columns = np.triu_indices(counts.shape[1], 1)
    weights = counts.astype(np.float32)
    return weights[:, rows] * weights[:, columns]


def percentile_interval(
    draws: Float[np.ndarray, "n_draws ..."], level: float = 0.95
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Return the percentile interval of bootstrap draws.

    Parameters
    ----------
    draws
        (n_draws, ...), any unit.
    level
        Probability that the interval covers.

    Returns
    -------
    low, high
        The shape of ``draws`` without its first axis. NaN where more than 5 % of the draws are NaN, or where there are
        no draws; fewer NaN draws are left out.

    Examples
    --------
    >>> import numpy as np
    >>> low, high = percentile_interval(np.linspace(0.0, 1.0, 101)[:, None])
    >>> low.round(3), high.round(3)
    (array([0.025]), array([0.975]))
    """
    if not draws.size:
        return np.full(draws.shape[1:], np.nan), np.full(draws.shape[1:], np.nan)
    lost = np.isnan(draws).mean(axis=0)
    clean = np.where(lost > 0.05, 0.0, draws)
    # Where nothing is NaN both give the same numbers, and one of them does so without a loop over scores.
    quantile = np.nanquantile if np.isnan(clean).any() else np.quantile
    low, high = quantile(clean, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return np.where(lost > 0.05, np.nan, low), np.where(lost > 0.05, np.nan, high)
