"""How reproducible responses are: split-half reliability of single neurons."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Bool, Float, Int

from murine.errors import MurineError

BLOCK = 2**18  # trials of as many neurons as stay in the cache of a core
LARGEST_WEIGHTS = 2**23  # numbers; more repetitions or splits than that are faster and smaller one neuron at a time
CONSTANT = 1e-12  # of the size of the responses: variation up to this is what rounding leaves of a constant

LEAST_SHARE = 1e-3  # of the variance of the sum of all repetitions, for that of a half to keep all but 3 of 16 digits


def random_halves(n_repetitions: int, n_splits: int = 100, seed: int = 0) -> Bool[np.ndarray, "n_splits n_repetitions"]:
    """Draw random halvings of the repetitions.

    Row s is True for the ``n_repetitions // 2`` repetitions of the first half of split s; with an odd number, one
    repetition of the rest is left over for the second half."""
    if n_repetitions < 2:
        raise MurineError(f"a split into halves needs at least 2 repetitions; there is {n_repetitions}.")
    draws = np.random.default_rng(seed).random((n_splits, n_repetitions))
    return draws.argsort(axis=1).argsort(axis=1) < n_repetitions // 2


def spearman_brown(r: Float[np.ndarray, "..."], factor: float = 2.0) -> Float[np.ndarray, "..."]:
    """Predict the reliability of ``factor`` times as many repetitions: k r / (1 + (k - 1) r).

    NaN where r is NaN or the denominator is not positive.
    """
    denominator = 1 + (factor - 1) * r
    return np.divide(factor * r, denominator, out=np.full(np.shape(r), np.nan), where=denominator > 0)


def split_half(
    responses: Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"],
    n_splits: int = 100,
    seed: int = 0,
    *,
    neuroids: Int[np.ndarray, " n_wanted"] | None = None,
) -> Float[np.ndarray, " n_wanted"]:
    """Return the split-half reliability of every neuron, corrected by Spearman-Brown.

    For each of ``n_splits`` random halvings of the repetitions, the two half means over trials are correlated over
    stimuli (Pearson r), corrected as 2r / (1 + r) and averaged over splits (Conwell et al. 2021, ``specs`` 3.1).

    Parameters
    ----------
    responses
        Any unit. NaN marks a missing trial; each half averages the trials it has.
    neuroids
        Positions of the neurons wanted, by default all; the others are not touched.

    Returns
    -------
    reliability
        Computed in float64 for responses of any type. NaN for a neuron that is constant, or has no valid trial of some
        stimulus in some half. A neuron that lacks single trials, and not whole repetitions, takes several times longer.

    Raises
    ------
    MurineError
        If there are fewer than 2 repetitions.

    Examples
    --------
    >>> from murine.cortex import simulate
    >>> recording = simulate(n_neuroids=100, n_repetitions=20, reliability=0.7).recording
    >>> split_half(recording.responses).mean().round(2).item()
    0.7
    """
    from threadpoolctl import ThreadpoolController

    n_neuroids, n_stimuli, n_repetitions = responses.shape
    first = random_halves(n_repetitions, n_splits, seed)
    wanted = np.arange(n_neuroids) if neuroids is None else neuroids
    reliability = np.full(len(wanted), np.nan)
    done = np.zeros(len(wanted), dtype=bool)
    blas = ThreadpoolController().select(user_api="blas")
    n_threads = max((library.num_threads for library in blas.lib_controllers), default=1)
    # Each of the products is too small to share: as many threads as BLAS was allowed take a block of neurons each.
    with blas.limit(limits=1), ThreadPoolExecutor(n_threads) as pool:
        if n_repetitions * (n_repetitions + 1) // 2 * (n_splits + 1) <= LARGEST_WEIGHTS:
            weights = _weights_of_pairs(first)
            size = max(1, BLOCK // max(1, n_stimuli * n_repetitions))
            blocks = [slice(start, start + size) for start in range(0, len(wanted), size)]

            def work(block: slice) -> None:
                trials = responses[block] if neuroids is None else responses[wanted[block]]
                reliability[block], done[block] = _from_products(trials, first, weights)

            list(pool.map(work, blocks))
        halves = first.T.astype(np.float64)
        valid = counts = None
        for i in np.flatnonzero(~done):
            trials = responses[wanted[i]]
            finite = np.isfinite(trials)
            if valid is None or counts is None or not np.array_equal(finite, valid):
                valid, counts = finite, _sums(finite.astype(np.float64), halves)
            if (counts > 0).all():
                reliability[i] = _from_means(_sums(np.where(valid, trials, 0.0), halves) / counts)
    return reliability


def _weights_of_pairs(first: Bool[np.ndarray, "n_splits n_repetitions"]) -> Float[np.ndarray, "n_pairs n_sums"]:
    """What each pair of repetitions t <= u counts in a sum over all t, u of the first half of each split, and of all
    repetitions (last column)."""
    members = np.concatenate([first, np.ones_like(first[:1])]).astype(np.float64).T
    t, u = np.triu_indices(first.shape[1])
    weights: Float[np.ndarray, "n_pairs n_sums"] = members[t] * members[u] * np.where(t == u, 1, 2)[:, None]
    return weights


def _from_products(
    responses: Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"],
    first: Bool[np.ndarray, "n_splits n_repetitions"],
    weights: Float[np.ndarray, "n_pairs n_sums"],
) -> tuple[Float[np.ndarray, " n_neuroids"], Bool[np.ndarray, " n_neuroids"]]:
    """Reliability of the neurons that have all trials of every repetition or none, and which are done.

    With the trials centred over stimuli, X, and P = X'X the products of pairs of repetitions, the sums over a half h of
    the repetitions have the variance h' P h, and the covariance h' P (1 - h) with the sums over the other half. So P
    serves all splits, and no half mean is ever computed.

    Two kinds of neurons are not done here: neurons that lack single trials, and neurons where one half varies much less
    than the whole, so that the difference of these sums would lose digits.
    """
    n_neuroids, n_stimuli, n_repetitions = responses.shape
    trials = responses.astype(np.float64)
    t, u = np.triu_indices(n_repetitions)
    # Missing or very large trials give a sum that is not finite; constant responses give a half that is not safe.
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        means = np.full((1, n_stimuli), 1 / n_stimuli) @ trials
        short = np.flatnonzero(~np.isfinite(means).all(axis=(1, 2)))
        if len(short):  # a repetition that was not shown at all counts for nothing in any half
            never = ~np.isfinite(trials[short]).any(axis=1, keepdims=True)
            trials[short] = np.where(never, 0, trials[short])
            means[short] = np.where(never, 0, means[short])
        trials -= means
        products = trials.transpose(0, 2, 1) @ trials
        sums = products.reshape(n_neuroids, n_repetitions**2).take(t * n_repetitions + u, axis=1) @ weights
        a, total = sums[:, :-1], sums[:, -1:]
        covariance = (products @ np.ones(n_repetitions)) @ first.T.astype(np.float64) - a
        b = total - a - 2 * covariance
        rounding = (CONSTANT * np.abs(means).max(axis=2)) ** 2 * n_repetitions  # energy that a constant may leave
        least = np.maximum(LEAST_SHARE * total, rounding * n_repetitions)
        safe = (np.minimum(a, b) > least).all(axis=1)
        reliability = spearman_brown(covariance / (np.sqrt(a) * np.sqrt(b))).mean(axis=1)
    # The variance of a half is at most its size times its energy, which no difference can spoil.
    rest = np.flatnonzero(np.isfinite(total[:, 0]) & ~safe)
    energy = np.diagonal(products[rest], axis1=1, axis2=2) @ np.concatenate([first, ~first]).T
    silent = rest[(energy <= rounding[rest]).any(axis=1)]
    reliability[silent], safe[silent] = np.nan, True
    return reliability, safe


def _sums(
    trials: Float[np.ndarray, "n_stimuli n_repetitions"], first: Float[np.ndarray, "n_repetitions n_splits"]
) -> Float[np.ndarray, "2 n_stimuli n_splits"]:
    """Sums over the first half and over the second half of each split, neither from a difference."""
    return np.stack([trials @ first, trials @ (1 - first)])


def _from_means(means: Float[np.ndarray, "2 n_stimuli n_splits"]) -> float:
    """Reliability of one neuron from the half means."""
    size = np.abs(means).max()
    means = means - means.mean(axis=1, keepdims=True)
    norm = np.sqrt((means**2).sum(axis=1))
    if not (norm > CONSTANT * size).all():
        return float("nan")
    return float(spearman_brown((means[0] * means[1]).sum(axis=0) / norm.prod(axis=0)).mean())
