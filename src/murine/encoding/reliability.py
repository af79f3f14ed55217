"""Reliability of the mean responses of single neurons, with draws under resampled stimuli."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float

from murine.cortex.reliability import CONSTANT, random_halves, spearman_brown
from murine.errors import MurineError
from murine.statistics.bootstrap import MIN_STIMULI, Counts
from murine.statistics.random_halves import Trials

#: Number of columns that are correlated at once: their sums over draws take less than 100 MB.
BLOCK_COLUMNS = 2048


Columns = Float[np.ndarray, "n_stimuli n_columns"]


def neuron_reliability(
    responses: Trials, counts: Counts, method: str = "split-half", *, n_splits: int = 100, seed: int = 0
) -> tuple[Float[np.ndarray, " n_neuroids"], Float[np.ndarray, "n_draws n_neuroids"]]:
    """Return the reliability of the mean response of each neuron over all repetitions, and its bootstrap draws.

    The reliability is the share of signal in the variance of the mean over stimuli, signal / (signal + noise /
    n_repetitions). Three methods agree up to sampling error:

    ``split-half``
        The means of two random halves correlate with r, and Spearman-Brown gives 2r / (1 + r), averaged over
        ``n_splits`` random halves (Conwell et al. 2021; `murine.cortex.reliability.split_half`).
    ``oracle``
        `oracle_correlation`, corrected by `oracle_reliability`.
    ``variance``
        1 - (variance of trials within stimuli / number of trials) / variance of means. It is the limit of
        ``split-half`` when covariances and variances are averaged over all halves before they are divided. It needs no
        random halves, and only two matrix products for all draws: use it for many neurons.

    Parameters
    ----------
    responses
        (n_neuroids, n_stimuli, n_repetitions): single trials, any unit. Values that are not finite are missing trials.
    counts
        (n_draws, n_stimuli): how often each stimulus is in each bootstrap sample.
    method
        One of the three.
    n_splits, seed
        Number and seed of the random halves, for ``split-half``.

    Returns
    -------
    reliability, draws
        (n_neuroids,) and (n_draws, n_neuroids) float64. NaN for a neuron that is constant or lacks trials:
        ``split-half`` needs a trial of every stimulus in each half, ``variance`` two trials of every stimulus,
        ``oracle`` one.

    Raises
    ------
    MurineError
        If the method is unknown, there are fewer than two repetitions or four stimuli, or the counts are for another
        number of stimuli.

    Examples
    --------
    >>> import numpy as np
    >>> from murine.statistics.bootstrap import bootstrap_counts
    >>> rng = np.random.default_rng(0)
    >>> trials = rng.normal(size=(1, 500, 1)) + rng.normal(size=(1, 500, 4))  # signal and noise of variance 1
    >>> reliability, draws = neuron_reliability(trials, bootstrap_counts(500, 10, 0), "variance")
    >>> bool(abs(reliability[0] - 4 / 5) < 0.03), draws.shape
    (True, (10, 1))
    """
    _check_sizes(responses, counts)
    if method not in METHODS:
        raise MurineError(
            f"unknown method {method!r} for the reliability of neurons; expected one of {', '.join(METHODS)}."
        )
    everything = np.ones((1, responses.shape[1]), np.uint16)
    with np.errstate(invalid="ignore", over="ignore"):
        stacked = METHODS[method](responses, np.concatenate([everything, counts]), n_splits, seed)
    return stacked[0], stacked[1:]


def oracle_correlation(
    responses: Trials, counts: Counts
) -> tuple[Float[np.ndarray, " n_neuroids"], Float[np.ndarray, "n_draws n_neuroids"]]:
    """Correlate each trial with the mean of the other trials over stimuli, averaged over trials, and draw it.

    This is the "oracle" of DeepMouseTrap. It is a ceiling of correlations with *single trials*. For scores against the
    mean over repetitions it is far too low; `oracle_reliability` converts it.

    Parameters
    ----------
    responses
        (n_neuroids, n_stimuli, n_repetitions): single trials, any unit. A trial is correlated over the stimuli that
        were shown in it.
    counts
        (n_draws, n_stimuli): how often each stimulus is in each bootstrap sample.

    Returns
    -------
    r, draws
        (n_neuroids,) and (n_draws, n_neuroids); NaN for a constant neuron, or one without any trial of some stimulus.

    Raises
    ------
    MurineError
        As in `neuron_reliability`.

    Examples
    --------
    >>> import numpy as np
    >>> from murine.statistics.bootstrap import bootstrap_counts
    >>> rng = np.random.default_rng(0)
    >>> trials = rng.normal(size=(1, 500, 1)) + rng.normal(size=(1, 500, 4))
    >>> r, _ = oracle_correlation(trials, bootstrap_counts(500, 10, 0))
    >>> bool(abs(r[0] - 1 / np.sqrt(2 * (1 + 1 / 3))) < 0.03)
    True
    """
    _check_sizes(responses, counts)
    everything = np.ones((1, responses.shape[1]), np.uint16)
    with np.errstate(invalid="ignore", over="ignore"):
        stacked = _oracle(responses, np.concatenate([everything, counts]))
    return stacked[0], stacked[1:]


def oracle_reliability(
    oracle: Float[np.ndarray, "..."], n_repetitions: Float[np.ndarray, "..."] | int
) -> Float[np.ndarray, "..."]:
    """Convert the oracle correlation into the reliability of the mean over all n repetitions.

    With q the ratio of noise to signal variance, the oracle correlation is 1 / sqrt((1 + q) (1 + q / (n - 1))) in
    expectation. This is a quadratic equation in q, and the reliability is 1 / (1 + q / n).

    Parameters
    ----------
    oracle
        From `oracle_correlation`, any shape.
    n_repetitions
        Number of trials; a shape that broadcasts.

    Returns
    -------
    reliability
        0 where the oracle correlation is not above zero; NaN stays NaN.

    Examples
    --------
    >>> import numpy as np
    >>> oracle_reliability(1 / np.sqrt(np.array([2.0]) * (1 + 1 / 3)), 4).round(3)  # noise as strong as signal
    array([0.8])
    """
    others = np.asarray(n_repetitions) - 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        linear = 1 + 1 / others
        excess = 1 / np.where(oracle > 0, oracle, np.nan) ** 2 - 1
        ratio = others / 2 * (np.sqrt(linear**2 + 4 * excess / others) - linear)
        reliability = 1 / (1 + ratio / (others + 1))
    return np.where(np.isnan(oracle), np.nan, np.where(oracle > 0, reliability, 0.0))


def resample_correlations(a: Columns, b: Columns, counts: Counts) -> Float[np.ndarray, "n_draws n_columns"]:
    """Return Pearson's r of every column of ``a`` with the same column of ``b``, under resampled stimuli.

    A stimulus that is NaN in either is left out of that column. NaN where a column is constant among the drawn stimuli.

    Parameters
    ----------
    a, b
        (n_stimuli, n_columns).
    counts
        (n_draws, n_stimuli).

    Returns
    -------
    r
        (n_draws, n_columns).
    """
    valid = np.isfinite(a) & np.isfinite(b)
    weights = counts.astype(np.float64)
    total = weights.sum(axis=1, keepdims=True) if valid.all() else weights @ valid
    with np.errstate(invalid="ignore", divide="ignore"):
        x, y = (_standardise_columns(np.where(valid, v, np.nan)) for v in (a, b))
        mean_x, mean_y, xx, yy, xy = (weights @ v / total for v in (x, y, x * x, y * y, x * y))
        variances = xx - mean_x**2, yy - mean_y**2
        # The columns have variance 1: less than this is what rounding leaves of a constant.
        constant = (variances[0] < CONSTANT) | (variances[1] < CONSTANT)
        r = (xy - mean_x * mean_y) / np.sqrt(variances[0] * variances[1])
    return np.where(constant, np.nan, np.clip(r, -1, 1))


def _standardise_columns(columns: Columns) -> Columns:
    """Give the finite values of each column mean 0 and variance 1; NaN and constant columns become 0."""
    valid = np.isfinite(columns)
    n = np.maximum(valid.sum(axis=0), 1)
    filled = np.where(valid, columns, 0.0)
    centred = np.where(valid, filled - filled.sum(axis=0) / n, 0.0)
    scale = np.sqrt((centred**2).sum(axis=0) / n)
    varying = scale > CONSTANT * np.abs(filled).max(axis=0, initial=0)
    return np.divide(centred, scale, out=np.zeros_like(centred), where=varying)


def _check_sizes(responses: Trials, counts: Counts) -> None:
    _, n_stimuli, n_repetitions = responses.shape
    if n_repetitions < 2 or n_stimuli < MIN_STIMULI:
        raise MurineError(
            f"a ceiling cannot be estimated from {n_repetitions} repetitions of {n_stimuli} stimuli; expected at least "
            f"2 repetitions and {MIN_STIMULI} stimuli."
        )
    if counts.shape[1] != n_stimuli:
        raise MurineError(
            f"bootstrap samples of {counts.shape[1]} stimuli do not fit responses to {n_stimuli} stimuli; give the "
            "samples of the scores."
        )


def _blocks(n_neuroids: int, columns_each: int) -> Iterator[slice]:
    size = max(1, BLOCK_COLUMNS // columns_each)
    return (slice(start, start + size) for start in range(0, n_neuroids, size))


def _centre_trials(responses: Trials) -> tuple[Trials, np.ndarray]:
    """Return trials less the mean of the neuron in float64 (0 where missing), and which trials are valid.

    Without large means, squares keep their digits.
    """
    valid = np.isfinite(responses)
    trials = np.where(valid, responses, 0).astype(np.float64)
    n = np.maximum(valid.sum(axis=(1, 2), keepdims=True), 1)
    return np.where(valid, trials - trials.sum(axis=(1, 2), keepdims=True) / n, 0.0), valid


def _split_half(responses: Trials, counts: Counts, n_splits: int, seed: int) -> np.ndarray:
    n_neuroids, n_stimuli, n_repetitions = responses.shape
    first = random_halves(n_repetitions, n_splits, seed)
    out = np.empty((len(counts), n_neuroids))
    for block in _blocks(n_neuroids, n_splits):
        trials, valid = _centre_trials(responses[block])
        halves = []
        for members in (first.T.astype(np.float64), (~first).T.astype(np.float64)):
            number = valid.astype(np.float64) @ members
            means = np.divide(trials @ members, number, out=np.full(number.shape, np.nan), where=number > 0)
            halves.append(means.transpose(1, 0, 2).reshape(n_stimuli, -1))
        r = resample_correlations(halves[0], halves[1], counts)
        r[:, ~np.isfinite(halves[0] + halves[1]).all(axis=0)] = np.nan
        out[:, block] = spearman_brown(r).reshape(len(counts), -1, n_splits).mean(axis=2)
    return out


def _oracle(responses: Trials, counts: Counts) -> np.ndarray:
    n_neuroids, n_stimuli, n_repetitions = responses.shape
    out = np.empty((len(counts), n_neuroids))
    for block in _blocks(n_neuroids, n_repetitions):
        trials, valid = _centre_trials(responses[block])
        number = valid.sum(axis=2, keepdims=True) - valid
        others = trials.sum(axis=2, keepdims=True) - trials
        others = np.divide(others, number, out=np.full(trials.shape, np.nan), where=valid & (number > 0))
        columns = [v.transpose(1, 0, 2).reshape(n_stimuli, -1) for v in (np.where(valid, trials, np.nan), others)]
        r = resample_correlations(columns[0], columns[1], counts).reshape(len(counts), -1, n_repetitions)
        known = ~np.isnan(r)
        mean = np.where(known, r, 0).sum(axis=2) / np.where(known.any(axis=2), known.sum(axis=2), np.nan)
        shown = np.all(valid.any(axis=2), axis=1)
        out[:, block] = np.where(shown, mean, np.nan)
    return out


def _corrected_oracle(responses: Trials, counts: Counts, n_splits: int, seed: int) -> np.ndarray:
    with np.errstate(divide="ignore"):
        n_trials = 1 / (1 / np.isfinite(responses).sum(axis=2)).mean(axis=1)
    return oracle_reliability(_oracle(responses, counts), n_trials)


def _means_and_noise(
    responses: Trials,
) -> tuple[Float[np.ndarray, "n_neuroids n_stimuli"], Float[np.ndarray, "n_neuroids n_stimuli"]]:
    """Return mean responses less that of the neuron, and their noise variances; NaN for stimuli with a single trial."""
    trials, valid = _centre_trials(responses)
    number = valid.sum(axis=2).astype(np.float64)
    number[number < 2] = np.nan
    means = trials.sum(axis=2) / number
    within = np.where(valid, trials - means[:, :, None], 0)
    return means, (within**2).sum(axis=2) / (number - 1) / number


def _variance(responses: Trials, counts: Counts, n_splits: int, seed: int) -> np.ndarray:
    n_neuroids, n_stimuli, _ = responses.shape
    weights = counts / counts.sum(axis=1, keepdims=True)
    out = np.empty((len(counts), n_neuroids))
    for block in _blocks(n_neuroids, 1):
        means, noise = _means_and_noise(responses[block])
        means -= means.mean(axis=1, keepdims=True)
        largest = np.abs(responses[block])
        # Missing and infinite trials are ignored. Float64, because squares may leave the range of float32.
        size = np.where(np.isfinite(largest), largest, 0).max(axis=(1, 2)).astype(np.float64)
        total = (weights @ (means**2).T - (weights @ means.T) ** 2) * n_stimuli / (n_stimuli - 1)
        total[total <= (CONSTANT * size) ** 2] = np.nan
        out[:, block] = 1 - (weights @ noise.T) / total
    return out


#: The ways to estimate the reliability of neurons.
METHODS: dict[str, Callable[[Trials, Counts, int, int], np.ndarray]] = {
    "split-half": _split_half,
    "oracle": _corrected_oracle,
    "variance": _variance,
}
