"""Distances in units of the noise: Mahalanobis, and its cross-validated form (crossnobis)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from murine.errors import MurineError, some
from murine.similarity.rdm import Square

Covariance = Float[np.ndarray, "n_neuroids n_neuroids"]


def mahalanobis_rdm(patterns: Float[np.ndarray, "n_stimuli n_neuroids"], covariance: Covariance) -> Square:
    """Return the squared Mahalanobis distance between the patterns of every two stimuli, over the number of neurons.

    Noise in the patterns adds to every distance. `crossnobis_rdm` does not have this bias.

    Parameters
    ----------
    patterns
        (n_stimuli, n_neuroids): mean responses. NaN in a stimulus gives NaN in its row and column.
    covariance
        (n_neuroids, n_neuroids): covariance of the noise of single trials, from
        `murine.similarity.neural_noise.noise_covariance`.

    Returns
    -------
    rdm
        (n_stimuli, n_stimuli), without a unit.

    Raises
    ------
    MurineError
        If the covariance is singular or not finite.

    References
    ----------
    Walther et al. 2016, NeuroImage 137: 188-200.

    Examples
    --------
    >>> import numpy as np
    >>> mahalanobis_rdm(np.array([[0.0, 0.0], [2.0, 2.0]]), covariance=np.diag([1.0, 4.0]))
    array([[0. , 2.5],
           [2.5, 0. ]])
    """
    finite = np.isfinite(patterns).all(axis=1)
    filled = np.where(finite[:, None], patterns, 0.0)
    rdm = _distances(filled @ _whitened(filled.T, covariance)) / patterns.shape[1]
    rdm[~finite] = rdm[:, ~finite] = np.nan
    return rdm


def crossnobis_rdm(
    trials: Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"],
    covariance: Covariance | None = None,
    folds: Sequence[Int[np.ndarray, " _"]] | None = None,
) -> Square:
    """Return the cross-validated squared Mahalanobis distance, divided by the number of neurons.

    The difference between two stimuli in some repetitions is multiplied with the difference in the other repetitions.
    Their noise is independent, so it cancels on average. Two stimuli that evoke the same response have a distance of
    zero on average; single values can be negative.

    Parameters
    ----------
    trials
        (n_neuroids, n_stimuli, n_repetitions); a missing trial is NaN. Means are over valid trials. A stimulus without
        a valid trial in a fold has no distances in that fold; the distances of the other folds are averaged.
    covariance
        (n_neuroids, n_neuroids), from `murine.similarity.neural_noise.noise_covariance`. None stands for the
        identity.
    folds
        Positions of the repetitions that are held out together. None holds out each repetition alone.

    Returns
    -------
    rdm
        (n_stimuli, n_stimuli), without a unit.

    Raises
    ------
    MurineError
        If there are fewer than two repetitions or two folds, if a fold holds out no repetition or all, if a pair of
        stimuli has no fold with valid trials on both sides, or if the covariance is singular.

    References
    ----------
    Walther et al. 2016, NeuroImage 137: 188-200.

    Examples
    --------
    >>> import numpy as np
    >>> trials = np.array([[[1.0, 1.0], [3.0, 3.0]]])  # one neuron, two stimuli, two repetitions
    >>> crossnobis_rdm(trials)
    array([[0., 4.],
           [4., 0.]])
    """
    n_neuroids, n_stimuli, n_repetitions = trials.shape
    if folds is None:
        folds = list(np.arange(n_repetitions)[:, None])
    held_out = [np.isin(np.arange(n_repetitions), fold) for fold in folds]
    if len(held_out) < 2 or not all(0 < out.sum() < n_repetitions for out in held_out):
        raise MurineError(
            f"crossnobis of {n_repetitions} repetitions in {len(held_out)} folds: it needs at least 2 folds, each with "
            "some of the repetitions, not all."
        )
    total = np.zeros((n_stimuli, n_stimuli))
    n_valid = np.zeros((n_stimuli, n_stimuli))
    for out in held_out:
        (inside, valid_in), (outside, valid_out) = _pattern(trials[:, :, out]), _pattern(trials[:, :, ~out])
        valid = np.outer(*2 * (valid_in & valid_out,))
        products = outside @ (inside.T if covariance is None else _whitened(inside.T, covariance))
        total += np.where(valid, _distances(products), 0)
        n_valid += valid
    if (n_valid == 0).any():
        never = np.diag(n_valid) == 0
        lost = np.flatnonzero(never if never.any() else (n_valid == 0).any(axis=0))
        raise MurineError(
            f"stimuli at positions {some(lost)} lack valid trials inside and outside of the same fold: hold out more "
            "repetitions together, or leave out the neurons or stimuli with missing trials."
        )
    rdm: Square = total / n_valid / n_neuroids
    return rdm


def _pattern(trials: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean over valid trials (n_stimuli, n_neuroids), and which stimuli have a trial of every neuron.

    Stimuli without one are 0.
    """
    valid = np.isfinite(trials)
    count = valid.sum(axis=2)
    mean = np.where(valid, trials, 0).sum(axis=2, dtype=np.float64) / np.maximum(count, 1)
    complete = (count > 0).all(axis=0)
    return np.where(complete, mean, 0).T, complete


def _distances(products: Square) -> Square:
    """Return squared distances from the products of patterns in two parts of the data (or of one part with itself)."""
    power = np.diag(products)
    distances: Square = power[:, None] + power - (products + products.T)
    np.fill_diagonal(distances, 0)
    return distances


def _whitened(
    patterns: Float[np.ndarray, "n_neuroids n_stimuli"], covariance: Covariance
) -> Float[np.ndarray, "n_neuroids n_stimuli"]:
    """Return patterns multiplied by the inverse of the covariance; refuse a singular covariance."""
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    try:
        factor = cho_factor(covariance, lower=True)
        if (np.diag(factor[0]) ** 2 <= 1e-10 * np.diag(covariance)).any():
            raise LinAlgError
    except (LinAlgError, ValueError) as error:
        raise MurineError(
            f"the noise covariance of {len(covariance)} neurons is singular or not finite: shrink it, or give more "
            "trials than neurons."
        ) from error
    solved: np.ndarray = cho_solve(factor, patterns)
    return solved
