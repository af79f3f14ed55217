"""Corrections of the variance of bootstrap draws: few stimuli, and scores over pairs of stimuli."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def student_factor(
    n_stimuli: int | Int[np.ndarray, "..."] | Float[np.ndarray, "..."], level: float = 0.95
) -> np.float64 | Float[np.ndarray, "..."]:
    """How much wider an interval is by Student's t than by the normal distribution: variances of few are uncertain."""
    from scipy.special import stdtrit

    quantile = (1 + level) / 2
    return np.float64(1) * stdtrit(np.asarray(n_stimuli) - 1.0, quantile) / stdtrit(np.inf, quantile)


def effective_n_stimuli(without_one: Float[np.ndarray, "n_stimuli ..."]) -> Float[np.ndarray, "..."]:
    """How many stimuli tell the variance of a score as surely as these do, of which single ones may decide.

    The variance of a score is as uncertain as the kurtosis k of its jackknife makes it: that of n normal values, with k
    = 3, has n - 1 degrees of freedom, that of others 2 n / (k - 1). Raw responses have images to which many neurons
    respond strongly, and scores that hang on a few of these. At most n, at least 5; n where a score is NaN."""
    n_stimuli = len(without_one)
    squares = (without_one - without_one.mean(axis=0, dtype=np.float64)) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        kurtosis = (squares**2).mean(axis=0) / squares.mean(axis=0) ** 2
        freedom = 2 * n_stimuli / (kurtosis - 1)
    return np.asarray(np.where(np.isfinite(freedom), np.clip(freedom + 1, min(5, n_stimuli), n_stimuli), n_stimuli))


def correct_for_pairs(
    draws: Float[np.ndarray, "n_draws ..."], without_one: Float[np.ndarray, "n_stimuli ..."]
) -> Float[np.ndarray, "n_draws ..."]:
    """Draws of a score over pairs of stimuli (RSA), drawn together until their variance is that over new stimuli.

    The variance of a mean over pairs has a part a from stimuli and a part b from pairs. Resampling stimuli makes it
    a + 3 b, as resampling two factors at once does (`murine.statistics.crossed_bootstrap`), and the jackknife a + 2 b,
    so a + b = 2 jackknife - bootstrap. Where a layer resembles a site, a is by far the larger part and little changes;
    of scores near zero, plain intervals are up to sqrt(3) times too wide (a shuffled network was found different from
    zero in 0.2 % of the cases, not in 5 %). Both variances are of few stimuli, so draws are as much wider as Student's
    t is (`student_factor`, `effective_n_stimuli`).

    Parameters
    ----------
    draws
        Under `bootstrap_counts`. They are scaled about their mean, so they stay paired. Of a difference of two scores,
        correct the difference.
    without_one
        The score without each of the stimuli, under the counts `leave_one_out_counts`. Where any is NaN the draws
        keep their variance, too wide.
    """
    n_stimuli = len(without_one)
    told = np.isfinite(draws)
    n = np.maximum(told.sum(axis=0), 1)
    centre = np.where(told, draws, 0).sum(axis=0, dtype=np.float64) / n
    bootstrap = (np.where(told, draws - centre, 0) ** 2).sum(axis=0) / n * n_stimuli / (n_stimuli - 1)
    jackknife = (n_stimuli - 1) * without_one.var(axis=0, dtype=np.float64)
    # a + 2 b is at most twice a + b; sampling error may say otherwise.
    variance = np.clip(2 * jackknife - bootstrap, jackknife / 2, bootstrap)
    ratio = np.divide(variance, bootstrap, out=np.ones_like(centre), where=bootstrap > 0)
    spread = np.sqrt(ratio) * student_factor(effective_n_stimuli(without_one))
    spread = np.where(np.isnan(ratio), 1, spread)
    return centre + (draws - centre) * spread
