"""Crossnobis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from murine.errors import MurineError, some
from murine.similarity.rdm import Square

Covariance = Float[np.ndarray, "n_neuroids n_neuroids"]


def mahalanobis_rdm(patterns: Float[np.ndarray, "n_stimuli n_neuroids"], covariance: Covariance) -> Square:
    """Squared Mahalanobis distance between the patterns of every two stimuli, divided by the number of neurons.

    Noise in the patterns adds to every distance; `crossnobis_rdm` does not have this bias.

    Parameters
    ----------
    patterns
        Mean responses. NaN in a stimulus gives NaN in its row and column.
    covariance
        Of the noise of single trials, see `murine.similarity.noise_covariance.noise_covariance`.

    Raises
    ------
    MurineError
        If the covariance is singular.
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
    """Cross-validated squared Mahalanobis distance, divided by the number of neurons (Walther et al. 2016).

    The difference between two stimuli in some repetitions is multiplied with that in the others, so that noise, which
    is not shared, cancels: where two stimuli evoke the same, the distance is zero on average (and can be negative).

    Parameters
    ----------
    trials
        A missing trial is NaN. Means are over valid trials; a stimulus with none in a fold has no distances there,
        and those of the other folds are averaged.
    covariance
        Of the noise of single trials, see `murine.similarity.noise_covariance.noise_covariance`; None: the unit matrix.
    folds
        Positions of the repetitions that are held out together; None: each by itself.

    Raises
    ------
    MurineError
        Fewer than two repetitions, a fold with none or all of them, stimuli without valid trials inside and outside
        of some fold, a singular covariance.
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
    """Mean over valid trials (n_stimuli, n_neuroids), and which stimuli have one for every neuron (others are 0)."""
    valid = np.isfinite(trials)
    count = valid.sum(axis=2)
    mean = np.where(valid, trials, 0).sum(axis=2, dtype=np.float64) / np.maximum(count, 1)
    complete = (count > 0).all(axis=0)
    return np.where(complete, mean, 0).T, complete


def _distances(products: Square) -> Square:
    """Squared distances from products of patterns in two parts of the data (or twice the same)."""
    power = np.diag(products)
    distances: Square = power[:, None] + power - (products + products.T)
    np.fill_diagonal(distances, 0)
    return distances


def _whitened(
    patterns: Float[np.ndarray, "n_neuroids n_stimuli"], covariance: Covariance
) -> Float[np.ndarray, "n_neuroids n_stimuli"]:
    """Patterns multiplied by the inverse of the covariance; a singular one is refused."""
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
