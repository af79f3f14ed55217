"""Corrections of the variance of bootstrap draws.

Two things make plain bootstrap intervals wrong. Few stimuli give an uncertain variance, so intervals must be wider
(`student_factor`, `effective_n_stimuli`). Scores over pairs of stimuli, such as RSA, vary too much between bootstrap
samples, so their draws must be pulled together (`correct_for_pairs`).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def student_factor(
    n_stimuli: int | Int[np.ndarray, "..."] | Float[np.ndarray, "..."], level: float = 0.95
) -> np.float64 | Float[np.ndarray, "..."]:
    """Return how much wider an interval is by Student's t distribution than by the normal distribution.

    Parameters
    ----------
    n_stimuli
        Number of values that the variance is estimated from; the degrees of freedom are one less. May be an array, and
        need not be whole (`effective_n_stimuli`).
    level
        Probability that the interval covers.

    Returns
    -------
    factor
        The ratio of the quantiles, above 1; the shape of ``n_stimuli``.

    Examples
    --------
    >>> round(float(student_factor(10)), 3)
    1.154
    >>> round(float(student_factor(1000)), 3)
    1.001
    """
    from scipy.special import stdtrit

    quantile = (1 + level) / 2
    return np.float64(1) * stdtrit(np.asarray(n_stimuli) - 1.0, quantile) / stdtrit(np.inf, quantile)


def effective_n_stimuli(without_one: Float[np.ndarray, "n_stimuli ..."]) -> Float[np.ndarray, "..."]:
    """Return the number of normally distributed values whose variance is as certain as that of these scores.

    The uncertainty of a variance grows with the kurtosis k of the values. The variance of n normal values (k = 3) has n
    - 1 degrees of freedom; that of other values has 2 n / (k - 1). Raw responses contain a few images to which many
    neurons respond strongly. Scores that depend on these few images have a high kurtosis, and so fewer effective
    stimuli.

    Parameters
    ----------
    without_one
        (n_stimuli, ...): the score without each of the stimuli.

    Returns
    -------
    n
        The shape of ``without_one`` without its first axis; at most n_stimuli and at least 5. It is n_stimuli where a
        score is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> scores = np.random.default_rng(0).normal(size=(100, 1))
    >>> scores[0] = 20  # one stimulus decides
    >>> effective_n_stimuli(scores)
    array([5.])
    """
    n_stimuli = len(without_one)
    squares = (without_one - without_one.mean(axis=0, dtype=np.float64)) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        kurtosis = (squares**2).mean(axis=0) / squares.mean(axis=0) ** 2
        freedom = 2 * n_stimuli / (kurtosis - 1)
    return np.asarray(np.where(np.isfinite(freedom), np.clip(freedom + 1, min(5, n_stimuli), n_stimuli), n_stimuli))


def correct_for_pairs(
    draws: Float[np.ndarray, "n_draws ..."], without_one: Float[np.ndarray, "n_stimuli ..."]
) -> Float[np.ndarray, "n_draws ..."]:
    """Correct bootstrap draws of a score over pairs of stimuli (RSA) to the variance that new stimuli would give.

    The variance of a mean over pairs has a part a from stimuli and a part b from pairs. Resampling stimuli gives a + 3
    b, because it resamples both members of a pair (see `murine.statistics.crossed_bootstrap`). The jackknife gives a +
    2 b. The wanted variance is therefore a + b = 2 jackknife - bootstrap. Where a layer resembles a site, a is by far
    the larger part, and the correction is small. For scores near zero, uncorrected intervals are up to sqrt(3) times
    too wide: a shuffled network differed from zero in 0.2 % of the cases instead of 5 %. Both variances come from few
    stimuli, so the draws are also widened by `student_factor` of `effective_n_stimuli`.

    Parameters
    ----------
    draws
        (n_draws, ...): scores under `murine.statistics.bootstrap.bootstrap_counts`. They are scaled around their mean,
        so paired draws stay paired. To correct a difference of two scores, give the draws of the difference.
    without_one
        (n_stimuli, ...): the score without each of the stimuli, under
        `murine.statistics.bootstrap.leave_one_out_counts`.

    Returns
    -------
    draws
        The shape of the input. NaN draws stay NaN. Where any of ``without_one`` is NaN, the draws keep their variance,
        which is too wide.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> draws = rng.normal(0.1, 0.05, size=(1000, 1))
    >>> without_one = 0.1 + rng.normal(0, 0.03 / 50, size=(50, 1))
    >>> corrected = correct_for_pairs(draws, without_one)
    >>> bool(corrected.std() < draws.std())
    True
    """
    n_stimuli = len(without_one)
    finite = np.isfinite(draws)
    n = np.maximum(finite.sum(axis=0), 1)
    centre = np.where(finite, draws, 0).sum(axis=0, dtype=np.float64) / n
    bootstrap = (np.where(finite, draws - centre, 0) ** 2).sum(axis=0) / n * n_stimuli / (n_stimuli - 1)
    jackknife = (n_stimuli - 1) * without_one.var(axis=0, dtype=np.float64)
    # In theory a + 2 b is at most twice a + b; sampling error may exceed that.
    variance = np.clip(2 * jackknife - bootstrap, jackknife / 2, bootstrap)
    ratio = np.divide(variance, bootstrap, out=np.ones_like(centre), where=bootstrap > 0)
    spread = np.sqrt(ratio) * student_factor(effective_n_stimuli(without_one))
    spread = np.where(np.isnan(ratio), 1, spread)
    return centre + (draws - centre) * spread
