"""How reproducible responses are: split-half reliability of single neurons."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from murine.errors import MurineError

BLOCK = 2**18  # trials of as many neurons as stay in the cache of a core
LARGEST_WEIGHTS = 2**23  # numbers; more repetitions or splits than that are faster and smaller one neuron at a time
CONSTANT = 1e-12  # of the size of the responses: variation up to this is what rounding leaves of a constant


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
        Computed in float64, whatever the responses are; NaN for a neuron that is constant or has no valid trial of some
        stimulus in some half. A neuron that misses single trials, not whole repetitions, takes about five times as long
        as others.
    """
    from threadpoolctl import threadpool_limits

    n_neuroids, n_stimuli, n_repetitions = responses.shape
    first = random_halves(n_repetitions, n_splits, seed)
    reliability = np.full(n_neuroids, np.nan)
    complete = np.zeros(n_neuroids, dtype=bool)
    with threadpool_limits(1, "blas"):  # these products are too small to share: on a busy machine threads only wait
        if n_repetitions * (n_repetitions + 1) // 2 * (2 * n_splits + 1) <= LARGEST_WEIGHTS:
            weights = _weights_of_pairs(first)
            size = max(1, BLOCK // max(1, n_stimuli * n_repetitions))
            for start in range(0, n_neuroids, size):
                block = slice(start, start + size)
                reliability[block], complete[block] = _from_products(responses[block], first, weights)
        halves = first.T.astype(np.float64)
        valid = counts = None
        for i in np.flatnonzero(~complete):
            finite = np.isfinite(responses[i])
            if valid is None or counts is None or not np.array_equal(finite, valid):
                valid, counts = finite, _sums(finite.astype(np.float64), halves)
            if (counts > 0).all():
                reliability[i] = _from_means(_sums(np.where(valid, responses[i], 0.0), halves) / counts)
    return reliability


def _weights_of_pairs(first: Bool[np.ndarray, "n_splits n_repetitions"]) -> Float[np.ndarray, "n_pairs n_sums"]:
    """What each pair of repetitions t <= u counts in a sum over all t, u of the first half of each split, of the second
    halves, and of all repetitions (last column)."""
    members = np.concatenate([first, ~first, np.ones_like(first[:1])]).astype(np.float64).T
    t, u = np.triu_indices(first.shape[1])
    weights: Float[np.ndarray, "n_pairs n_sums"] = members[t] * members[u] * np.where(t == u, 1, 2)[:, None]
    return weights


def _from_products(
    responses: Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"],
    first: Bool[np.ndarray, "n_splits n_repetitions"],
    weights: Float[np.ndarray, "n_pairs n_sums"],
) -> tuple[Float[np.ndarray, " n_neuroids"], Bool[np.ndarray, " n_neuroids"]]:
    """Reliability of the neurons that have all trials of every repetition or none, and which they are.

    With the trials centred over stimuli, X, the variance of the sum over a half h of the repetitions is h' X'X h:
    linear in the products X'X of pairs of repetitions. So these serve all splits, and no half mean is ever computed.
    """
    n_repetitions = responses.shape[2]
    trials = responses.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):  # what is missing or too large ends in a sum that is not finite
        means = np.full((1, trials.shape[1]), 1 / trials.shape[1]) @ trials
        short = np.flatnonzero(~np.isfinite(means).all(axis=(1, 2)))
        if len(short):  # a repetition that was not shown at all counts for nothing in any half
            never = ~np.isfinite(trials[short]).any(axis=1, keepdims=True)
            trials[short] = np.where(never, 0, trials[short])
            means[short] = np.where(never, 0, means[short])
        trials -= means
        products = (trials.transpose(0, 2, 1) @ trials).reshape(len(trials), n_repetitions**2)
        t, u = np.triu_indices(n_repetitions)
        sums = products.take(t * n_repetitions + u, axis=1) @ weights
        a, b, total = np.split(sums, [len(first), 2 * len(first)], axis=1)
        rounding = CONSTANT * np.abs(means).max(axis=2)
        sizes = first.sum(axis=1), (~first).sum(axis=1)
        covariance, a, b = (total - a - b) / 2, np.sqrt(a), np.sqrt(b)
        varying = (a > rounding * sizes[0]) & (b > rounding * sizes[1])
        r = np.divide(covariance, a * b, out=np.full(a.shape, np.nan), where=varying)
    return spearman_brown(r).mean(axis=1), np.isfinite(total[:, 0])


def _sums(
    trials: Float[np.ndarray, "n_stimuli n_repetitions"], first: Float[np.ndarray, "n_repetitions n_splits"]
) -> Float[np.ndarray, "2 n_stimuli n_splits"]:
    """Sums over the first half and over the second half of each split."""
    half = trials @ first
    return np.stack([half, trials.sum(axis=1, keepdims=True) - half])


def _from_means(means: Float[np.ndarray, "2 n_stimuli n_splits"]) -> float:
    """Reliability of one neuron from the half means."""
    size = np.abs(means).max()
    means = means - means.mean(axis=1, keepdims=True)
    norm = np.sqrt((means**2).sum(axis=1))
    if not (norm > CONSTANT * size).all():
        return float("nan")
    return float(spearman_brown((means[0] * means[1]).sum(axis=0) / norm.prod(axis=0)).mean())
