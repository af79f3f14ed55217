"""Noise ceilings of neurons: the best score of a prediction that the noise of single trials allows.

Metrics of regression (ridge, PLS) take their ceilings from here, through `murine.scoring.encoding_metrics`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from murine.encoding.reliability import neuron_reliability
from murine.statistics.bootstrap import Counts, leave_one_out_counts
from murine.statistics.noise_ceiling import Ceiling
from murine.statistics.random_halves import Trials
from murine.statistics.variance_correction import student_factor

#: Grid of possible ceilings, and iterations of expectation maximisation of their distribution.
CEILING_GRID = np.concatenate([np.linspace(0, 0.98, 50), 1 - np.geomspace(0.015, 1e-4, 10)])

N_ITERATIONS = 30

#: Spread of the draws of mean ceilings over that of the jackknife, which assumes that the size of the errors is known.
DRAW_SPREAD = 1.15

#: The mean is flagged where more than this share of the neurons is below this ceiling.
MAX_LOW_SHARE, LOW_CEILING = 0.25, 0.3


def neuron_ceiling(
    responses: Trials, scale: str, counts: Counts, method: str = "split-half", *, n_splits: int = 100, seed: int = 0
) -> Ceiling:
    """Return the noise ceiling of each neuron: the best score against its mean response over all repetitions.

    Parameters
    ----------
    responses
        (n_neuroids, n_stimuli, n_repetitions): single trials, any unit. Values that are not finite are missing trials.
    scale
        Scale of the scores: ``r`` (the ceiling is the root of the reliability), ``r2`` (the reliability) or ``tau-a``.
    counts
        (n_draws, n_stimuli): the bootstrap samples of the scores, so that both are paired.
    method
        ``split-half``, ``oracle`` or ``variance``; see `murine.encoding.reliability.neuron_reliability`.
    n_splits, seed
        Number and seed of the random halves, for ``split-half``.

    Returns
    -------
    ceiling
        The `murine.statistics.noise_ceiling.Ceiling` of every neuron. It is 0 where the reliability is not above zero
        and NaN where it is undefined. Both are flagged, and their ceiled scores are NaN.

    Raises
    ------
    MurineError
        As in `murine.encoding.reliability.neuron_reliability`, or if the scale is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from murine.statistics.bootstrap import bootstrap_counts
    >>> rng = np.random.default_rng(0)
    >>> trials = rng.normal(size=(2, 200, 1)) + rng.normal(size=(2, 200, 10))  # signal and noise of variance 1
    >>> ceiling = neuron_ceiling(trials, "r", bootstrap_counts(200, 20, 0))
    >>> bool(np.allclose(ceiling.value, np.sqrt(10 / 11), atol=0.02))
    True
    """
    n_stimuli = responses.shape[1]
    without_one = leave_one_out_counts(n_stimuli)
    samples = np.concatenate([counts, without_one])
    value, draws = neuron_reliability(responses, samples, method, n_splits=n_splits, seed=seed)
    return Ceiling.from_reliability(value, calibrate_draws(value, draws[:-n_stimuli], draws[-n_stimuli:]), scale)


def mean_ceilings(responses: Trials, groups: Sequence[Int[np.ndarray, " _"]], counts: Counts) -> Ceiling:
    """Return ceilings of neurons, on the scale ``r``, whose mean over a group is right.

    The ceiling of a neuron is the square root of its reliability. The roots of uncertain reliabilities have the wrong
    mean: estimates below zero have no root, and the others are too low or too high because the root is curved. So the
    distribution of the true ceilings in each group is estimated first: the one that, together with the errors of the
    estimates, explains the estimates. On the scale log(1 - reliability) errors are nearly normal. Their size comes from
    the jackknife over stimuli, smoothed over neurons, because the jackknife variance of a single neuron is correlated
    with its own error. The ceiling of a neuron is its posterior mean, and the mean over the group is the mean of the
    distribution.

    Expectation maximisation starts from a flat distribution and stops after `N_ITERATIONS`. By then the mean has
    converged; a sharper distribution would fit noise (Efron 2016, Biometrika 103: 1-20, on the same problem).

    Parameters
    ----------
    responses
        (n_neuroids, n_stimuli, n_repetitions): single trials, any unit. Values that are not finite are missing trials.
    groups
        Positions of the neurons of each site.
    counts
        (n_draws, n_stimuli): how often each stimulus is in each bootstrap sample.

    Returns
    -------
    ceiling
        The ceiling of every neuron. NaN for neurons whose reliability is undefined or that are in no group. 0 for the
        neurons of a group whose mean reliability is not above zero. Draws are linear in the counts, with the spread of
        the jackknife.

    Raises
    ------
    MurineError
        As in `murine.encoding.reliability.neuron_reliability`.

    Examples
    --------
    >>> import numpy as np
    >>> from murine.statistics.bootstrap import bootstrap_counts
    >>> rng = np.random.default_rng(0)
    >>> trials = rng.normal(size=(50, 100, 1)) + 2 * rng.normal(size=(50, 100, 10))
    >>> ceiling = mean_ceilings(trials, [np.arange(50)], bootstrap_counts(100, 20, 0))
    >>> round(float(ceiling.value.mean()), 2), round(float(np.sqrt(1 / (1 + 4 / 10))), 2)  # estimate and truth
    (0.84, 0.85)
    """
    n_neuroids, n_stimuli, _ = responses.shape
    value, left = neuron_reliability(responses, leave_one_out_counts(n_stimuli), "variance")
    ceilings = np.full(n_neuroids, np.nan)
    draws = np.full((len(counts), n_neuroids), np.nan)
    weights = counts / counts.sum(axis=1, keepdims=True)
    spread = DRAW_SPREAD * np.sqrt(n_stimuli / (n_stimuli - 1)) * student_factor(n_stimuli)
    for group in groups:
        members = group[np.isfinite(value[group])]
        if not len(members):
            continue
        if not value[members].mean() > 0:
            ceilings[members], draws[:, members] = 0, 0
            continue
        own, without = _log_noise(value[members]), _log_noise(left[:, members])
        without = np.where(np.isfinite(without), without, own)
        errors = _smooth_errors(own, (n_stimuli - 1) * without.var(axis=0))
        ceilings[members] = _posterior(own, errors) @ CEILING_GRID
        if len(counts):
            jackknife = np.stack([_posterior(one, errors) @ CEILING_GRID for one in without])
            influence = (n_stimuli - 1) * (jackknife.mean(axis=0) - jackknife)
            draws[:, members] = ceilings[members] + spread * (weights @ influence)
    return Ceiling(ceilings, draws, "r")


def _log_noise(reliability: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Return log(1 - reliability), bounded by that of the highest ceiling of `CEILING_GRID`."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.log(np.maximum(1 - reliability, 1 - CEILING_GRID[-1] ** 2)))


def _smooth_errors(
    log_noise: Float[np.ndarray, " n_members"], variances: Float[np.ndarray, " n_members"]
) -> Float[np.ndarray, " n_ceilings"]:
    """Return the error of an estimate at each ceiling of `CEILING_GRID`: a line through the jackknife variances."""
    variances = np.minimum(variances, 10 * np.median(variances))
    least = max(float(variances.min()), 1e-12)
    shares = _posterior(log_noise, np.full(len(CEILING_GRID), np.sqrt(max(float(variances.mean()), least))))
    number = shares.sum(axis=0) + 1e-9
    expected, scale = shares.T @ variances / number, np.log(1 - CEILING_GRID**2)
    centre, mean = number @ scale / number.sum(), number @ expected / number.sum()
    slope = number @ ((scale - centre) * (expected - mean)) / (number @ (scale - centre) ** 2)
    return np.sqrt(np.clip(mean + slope * (scale - centre), least, max(float(variances.max()), least)))


def _posterior(
    log_noise: Float[np.ndarray, " n_members"], errors: Float[np.ndarray, " n_ceilings"]
) -> Float[np.ndarray, "n_members n_ceilings"]:
    """Return the probability of each ceiling of `CEILING_GRID` for each neuron.

    It combines the estimate of the neuron with the distribution that all neurons together suggest.
    """
    distance = ((log_noise[:, None] - np.log(1 - CEILING_GRID**2)) / errors) ** 2 / 2 + np.log(errors)
    likelihood = np.exp(distance.min(axis=1, keepdims=True) - distance)
    share = np.full(len(CEILING_GRID), 1 / len(CEILING_GRID))
    for _ in range(N_ITERATIONS):
        share = share * (likelihood.T @ (1 / (likelihood @ share))) / len(likelihood)
    return np.asarray(likelihood * share / (likelihood @ share)[:, None])


def low_ceiling_note(ceilings: Float[np.ndarray, " n_members"]) -> str:
    """Return a warning about a mean of ceilings (`mean_ceilings`), or ''.

    Estimates do not separate neurons without signal from those with little signal, and the root of a small reliability
    is not that small. Where half of the neurons had no signal, the mean was 0.42 instead of 0.37, and its interval did
    not cover the difference.
    """
    share = float((ceilings < LOW_CEILING).sum()) / max(int(np.isfinite(ceilings).sum()), 1)
    return f"ceiling uncertain: {share:.0%} of the neurons may say nothing" if share > MAX_LOW_SHARE else ""


def calibrate_draws(
    value: Float[np.ndarray, " n_neuroids"],
    draws: Float[np.ndarray, "n_draws n_neuroids"],
    without_one: Float[np.ndarray, "n_stimuli n_neuroids"],
) -> Float[np.ndarray, "n_draws n_neuroids"]:
    """Shift and stretch draws of reliabilities such that their percentiles cover the truth as often as they should.

    Percentiles of plain draws cover it too seldom: 91 to 93 % instead of 95 % on a simulated cortex with 100 stimuli. A
    resample has less signal variance than the population; and with few stimuli, of which single ones drive a neuron,
    the draws spread too little. So on the scale log(1 - reliability), where the estimate is nearly normal, draws are
    centred at the estimate and given the spread of the jackknife, widened as in Student's t. Coverage is then 93 to 95
    %. The order of the draws does not change, so they stay paired with draws of scores from the same samples.

    Parameters
    ----------
    value, draws
        (n_neuroids,) and (n_draws, n_neuroids): reliabilities.
    without_one
        (n_stimuli, n_neuroids): the reliability without each of the stimuli. Where it is undefined or 1, the draws of
        the neuron stay as they are.
    """
    from scipy.special import stdtrit

    n_stimuli = len(without_one)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        noise, resampled, left = (np.log(1 - x) for x in (value, draws, without_one))
        spread = np.sqrt((n_stimuli - 1) * left.var(axis=0)) * stdtrit(n_stimuli - 1, 0.975) / stdtrit(np.inf, 0.975)
        finite = np.isfinite(resampled)
        n = finite.sum(axis=0)
        centre = np.where(finite, resampled, 0).sum(axis=0) / n
        scale = np.sqrt((np.where(finite, resampled - centre, 0) ** 2).sum(axis=0) / n)
        stretched = 1 - np.exp(noise + (resampled - centre) * (spread / scale))
    usable = np.isfinite(spread) & np.isfinite(noise) & (scale > 0)
    return np.where(usable & finite, stretched, draws)
