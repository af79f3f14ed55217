"""Covariance of the noise of neurons: how single trials differ from the mean response to their stimulus."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from murine.errors import MurineError, some

#: Ways to shrink a covariance (`noise_covariance`).
SHRINKAGES = ("diagonal", "identity", "variances", "none")


def noise_covariance(
    trials: Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"], shrinkage: str = "diagonal"
) -> Float[np.ndarray, "n_neuroids n_neuroids"]:
    """Return the covariance of single trials around the mean response to their stimulus.

    The degrees of freedom are trials less stimuli.

    Parameters
    ----------
    trials
        (n_neuroids, n_stimuli, n_repetitions); a missing trial is NaN. A repetition of a stimulus counts only if it is
        valid for all neurons. Neurons that were not recorded together share no noise: give them in separate calls.
    shrinkage
        ``diagonal``: shrink towards the diagonal (Schäfer & Strimmer 2005, with unequal variances). ``identity``:
        shrink towards a multiple of the identity (Ledoit & Wolf 2004). ``variances``: keep the diagonal only. ``none``:
        the sample covariance.

    Returns
    -------
    covariance
        (n_neuroids, n_neuroids), in the squared unit of the responses.

    Raises
    ------
    MurineError
        If no stimulus has two complete repetitions, if a neuron never differs between repetitions, or if the shrinkage
        is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> trials = np.random.default_rng(0).normal(size=(3, 50, 10))
    >>> bool(np.abs(noise_covariance(trials) - np.eye(3)).max() < 0.2)
    True
    """
    if shrinkage not in SHRINKAGES:
        raise MurineError(f"shrinkage is {shrinkage!r}; expected one of {', '.join(SHRINKAGES)}.")
    complete = np.isfinite(trials).all(axis=0)  # (n_stimuli, n_repetitions)
    n_of_each = complete.sum(axis=1)
    used = np.flatnonzero(n_of_each > 1)
    dof = int((n_of_each[used] - 1).sum())
    if not dof:
        raise MurineError(
            f"noise needs at least one stimulus with two repetitions that are valid for all {len(trials)} neurons; "
            f"the most that any of {len(complete)} stimuli has is {n_of_each.max(initial=0)}."
        )
    parts = [trials[:, i, complete[i]].T.astype(np.float64) for i in used]
    residuals = np.concatenate([part - part.mean(axis=0) for part in parts])
    variances = (residuals**2).sum(axis=0) / dof
    silent = np.flatnonzero(variances <= 1e-20 * np.max([(part**2).max(axis=0) for part in parts], axis=0))
    if len(silent):
        raise MurineError(
            f"{len(silent)} of {len(trials)} neurons respond equally in all repetitions, so their noise is not known: "
            f"positions {some(silent)}. Leave these neurons out."
        )
    if shrinkage == "variances":
        return np.diag(variances)
    covariance = residuals.T @ residuals / dof
    if shrinkage == "diagonal":
        return _towards_diagonal(covariance, residuals, dof)
    if shrinkage == "identity":
        return _towards_identity(covariance, residuals, dof)
    return covariance


def _towards_diagonal(covariance: np.ndarray, residuals: np.ndarray, dof: int) -> np.ndarray:
    """Shrink correlations by the share of their squares that is sampling noise (rsatoolbox's ``shrinkage_diag``)."""
    n = len(residuals)
    scale = np.sqrt(np.diag(covariance))
    z2 = (residuals / scale) ** 2
    # Sums of (z_i z_j)^2 and of squared correlations over pairs of different neurons, without making the pairs.
    fourth = (z2.sum(axis=1) ** 2).sum() - (z2**2).sum()
    r = covariance / np.outer(scale, scale) * dof / (n - 1)
    squares = (r**2).sum() - (np.diag(r) ** 2).sum()
    noise = n / dof**2 * (fourth / (n - 1) - squares)
    share = np.clip(noise / squares, 0, 1) if squares > 0 else 1.0
    shrunk = (1 - share) * covariance
    np.fill_diagonal(shrunk, np.diag(covariance))
    return shrunk


def _towards_identity(covariance: np.ndarray, residuals: np.ndarray, dof: int) -> np.ndarray:
    """Shrink towards the mean variance (rsatoolbox's ``shrinkage_eye``)."""
    n, n_neuroids = residuals.shape
    sample = covariance * dof / n
    mean = np.trace(sample) / n_neuroids
    fourth = ((residuals**2).sum(axis=1) ** 2).sum()
    noise = (fourth / n - (sample**2).sum()) / n
    spread = ((sample - mean * np.eye(n_neuroids)) ** 2).sum()
    share = np.clip(noise / spread, 0, 1) if spread > 0 else 1.0
    return (share * mean * np.eye(n_neuroids) + (1 - share) * sample) * n / dof
