"""Ceil."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from murine.encoding.neuron_reliability import neuron_reliability
from murine.statistics.bootstrap import Counts, leave_one_out_counts
from murine.statistics.noise_ceiling import Ceiling
from murine.statistics.random_halves import Trials
from murine.statistics.variance_correction import student_factor

#: Ceilings that neurons may have, and how often their distribution is improved.
CEILING_GRID = np.concatenate([np.linspace(0, 0.98, 50), 1 - np.geomspace(0.015, 1e-4, 10)])

N_ITERATIONS = 30

#: Of draws of mean ceilings, in that of the jackknife, which takes the size of errors to be known.
DRAW_SPREAD = 1.15

#: With more than this share of neurons below this ceiling, the mean is flagged.
MAX_LOW_SHARE, LOW_CEILING = 0.25, 0.3


def neuron_ceiling(
    responses: Trials, scale: str, counts: Counts, method: str = "split-half", *, n_splits: int = 100, seed: int = 0
) -> Ceiling:
    """The best score against each neuron's mean response over all repetitions that its noise allows.

    Parameters
    ----------
    responses
        Single trials, any unit; what is not finite is a missing trial.
    scale
        Of the scores: ``r`` (the ceiling is the root of the reliability), ``r2`` (the reliability) or ``tau-a``.
    counts
        How often each stimulus is in each bootstrap sample: those of the scores, so that both are paired.
    method
        A name in `METHODS`; see `neuron_reliability`.
    n_splits, seed
        Random halvings, for ``split-half``.

    Returns
    -------
    ceiling
        Of every neuron; 0 where the reliability is not above zero, NaN where it is not defined, and flagged: ceiled
        scores are NaN.
    """
    n_stimuli = responses.shape[1]
    without_one = leave_one_out_counts(n_stimuli)
    samples = np.concatenate([counts, without_one])
    value, draws = neuron_reliability(responses, samples, method, n_splits=n_splits, seed=seed)
    return Ceiling.from_reliability(value, calibrate_draws(value, draws[:-n_stimuli], draws[-n_stimuli:]), scale)


def mean_ceilings(responses: Trials, groups: Sequence[Int[np.ndarray, " _"]], counts: Counts) -> Ceiling:
    """Ceilings of neurons, on scale ``r``, of which the mean over a group is right.

    The ceiling of a neuron is the root of its reliability, and roots of uncertain reliabilities are no guide to their
    mean: estimates below zero have none, and all others are too low or too high by what the curvature of the root makes
    of their error. So the distribution of the true ceilings in each group is found first: that which, with the error of
    the estimates, gives the estimates that there are. On the scale log(1 - reliability) errors are nearly normal. Their
    size is that of the jackknife over stimuli, smoothed over neurons: that of a single one goes with its own error. The
    ceiling of a neuron is its mean in that distribution, given its own estimate; the mean over the group is that of the
    distribution.

    Expectation maximisation starts from a flat distribution and stops after `N_ITERATIONS`: the mean has settled then,
    and a sharper distribution would be one of noise (Efron 2016, Biometrika 103: 1-20, on the same problem).

    Parameters
    ----------
    responses
        Single trials; what is not finite is a missing one.
    groups
        Positions of the neurons of each site.
    counts
        How often each stimulus is in each bootstrap sample.

    Returns
    -------
    ceiling
        Of every neuron, NaN of those whose reliability is not defined or that are in no group; 0 for a group whose mean
        reliability is not above zero. Draws are linear in the counts, with the spread of the jackknife.
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
    """log(1 - reliability), not below that of the highest ceiling that is told apart from 1."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.log(np.maximum(1 - reliability, 1 - CEILING_GRID[-1] ** 2)))


def _smooth_errors(
    log_noise: Float[np.ndarray, " n_members"], variances: Float[np.ndarray, " n_members"]
) -> Float[np.ndarray, " n_ceilings"]:
    """The error of the estimate of a neuron with each of `CEILING_GRID`: a line through what the jackknife says."""
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
    """How probable each of `CEILING_GRID` is for each neuron, given its estimate and the distribution that all tell of."""
    distance = ((log_noise[:, None] - np.log(1 - CEILING_GRID**2)) / errors) ** 2 / 2 + np.log(errors)
    likelihood = np.exp(distance.min(axis=1, keepdims=True) - distance)
    share = np.full(len(CEILING_GRID), 1 / len(CEILING_GRID))
    for _ in range(N_ITERATIONS):
        share = share * (likelihood.T @ (1 / (likelihood @ share))) / len(likelihood)
    return np.asarray(likelihood * share / (likelihood @ share)[:, None])


def low_ceiling_note(ceilings: Float[np.ndarray, " n_members"]) -> str:
    """What is to be said of a mean of ceilings (`mean_ceilings`), '' for nothing.

    Estimates do not tell neurons that say nothing from those that say little, and the root of little is not so small:
    where half of the neurons were silent, the mean came out as 0.42, not as 0.37, and its interval did not know."""
    share = float((ceilings < LOW_CEILING).sum()) / max(int(np.isfinite(ceilings).sum()), 1)
    return f"ceiling uncertain: {share:.0%} of the neurons may say nothing" if share > MAX_LOW_SHARE else ""


def calibrate_draws(
    value: Float[np.ndarray, " n_neuroids"],
    draws: Float[np.ndarray, "n_draws n_neuroids"],
    without_one: Float[np.ndarray, "n_stimuli n_neuroids"],
) -> Float[np.ndarray, "n_draws n_neuroids"]:
    """Draws of reliabilities, shifted and stretched so that their percentiles cover the truth as often as they say.

    Percentiles of plain draws cover it too seldom (91 to 93 % for 95 % on a simulated cortex with 100 stimuli): a
    resample has less signal variance than the population, and with few stimuli, of which single ones drive a neuron,
    the draws spread too little. On the scale log(1 - reliability), where the estimate is nearest to normal, they are
    centred at it and given the spread of the jackknife, widened as Student's t is (93 to 95 % there). Their order stays
    as it is, so they stay paired with draws of scores from the same samples.

    Parameters
    ----------
    without_one
        The reliability without each of the stimuli. Draws of neurons for which that is not defined, or 1, stay as they
        are.
    """
    from scipy.special import stdtrit

    n_stimuli = len(without_one)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        noise, resampled, left = (np.log(1 - x) for x in (value, draws, without_one))
        spread = np.sqrt((n_stimuli - 1) * left.var(axis=0)) * stdtrit(n_stimuli - 1, 0.975) / stdtrit(np.inf, 0.975)
        told = np.isfinite(resampled)
        n = told.sum(axis=0)
        centre = np.where(told, resampled, 0).sum(axis=0) / n
        scale = np.sqrt((np.where(told, resampled - centre, 0) ** 2).sum(axis=0) / n)
        stretched = 1 - np.exp(noise + (resampled - centre) * (spread / scale))
    usable = np.isfinite(spread) & np.isfinite(noise) & (scale > 0)
    return np.where(usable & told, stretched, draws)
