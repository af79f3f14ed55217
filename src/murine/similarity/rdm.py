"""Representational dissimilarity matrices (RDMs) of layers and of neurons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import comb, isqrt

import numpy as np
from jaxtyping import Float, Int, Num

from murine.errors import MurineError, some
from murine.networks.layer_kernel import LayerKernel
from murine.registry import Registry

Square = Float[np.ndarray, "n_stimuli n_stimuli"]
Covariance = Float[np.ndarray, "n_neuroids n_neuroids"]

#: Measures of dissimilarity by name: of a layer or of mean responses, from their kernel.
dissimilarities: Registry[Callable[[LayerKernel], Square]] = Registry("dissimilarity")


def pearson_rdm(
    patterns: Float[np.ndarray, "n_stimuli n_features"],
) -> Float[np.ndarray, "n_stimuli n_stimuli"]:
    """1 - Pearson correlation between the patterns of every two stimuli.

    NaN in the rows and columns of a stimulus whose pattern is constant or not finite.
    """
    return kernel_rdm(LayerKernel.of(patterns))


@dissimilarities.register("pearson")
def kernel_rdm(kernel: LayerKernel) -> Square:
    """The Pearson RDM of a layer from its kernel: 1 - C_ij / sqrt(C_ii C_jj), symmetric, zero on the diagonal."""
    products = kernel.covariance
    # What rounding leaves of a constant pattern is no direction.
    constant = np.diag(products) <= 1e-24 * np.diag(kernel.gram)
    return _one_less_cosine(np.where(constant[:, None] | constant, 0, products))


@dissimilarities.register("cosine")
def cosine_rdm(kernel: LayerKernel) -> Square:
    """1 - cosine of the angle between the patterns of every two stimuli, which are not centred.

    NaN in the rows and columns of a stimulus whose pattern is all zero or not finite."""
    return _one_less_cosine(kernel.gram)


def _one_less_cosine(products: Square) -> Square:
    scale = np.sqrt(np.maximum(np.diag(products), 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        rdm = 1 - products / np.outer(scale, scale)
    rdm = (rdm + rdm.T) / 2
    np.fill_diagonal(rdm, np.where(scale > 0, 0.0, np.nan))
    return rdm


@dissimilarities.register("euclidean")
def euclidean_rdm(kernel: LayerKernel) -> Square:
    """Squared Euclidean distance between the patterns of every two stimuli, divided by the number of units.

    That is what rsatoolbox calls ``euclidean``: a mean over units, so that layers of different size are on one scale;
    the root is not taken, so that distances add up over units. NaN in the rows and columns of a stimulus whose
    pattern is not finite."""
    products = kernel.covariance / kernel.n_units
    power = np.diag(products)
    shifts = kernel.means[:, None] - kernel.means
    rdm = np.maximum(power[:, None] + power - products - products.T + shifts**2, 0)
    np.fill_diagonal(rdm, np.where(np.isfinite(power), 0.0, np.nan))
    return rdm


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


def upper(rdm: Num[np.ndarray, "*stack n_stimuli n_stimuli"]) -> Num[np.ndarray, "*stack n_pairs"]:
    """The strict upper triangle, row by row (as ``numpy.triu_indices(n, 1)``, SciPy's condensed form)."""
    n = rdm.shape[-1]
    rows, columns = np.triu_indices(n, 1)
    # Indexing by both would put the vectors of a stack beside each other in memory, which slows all that follows.
    return rdm.reshape(*rdm.shape[:-2], n * n).take(rows * n + columns, axis=-1)


def n_stimuli_of(n_pairs: int) -> int:
    """How many stimuli have this many pairs."""
    n_stimuli = (1 + isqrt(1 + 8 * n_pairs)) // 2
    if n_stimuli * (n_stimuli - 1) // 2 != n_pairs:
        raise MurineError(
            f"a vector of {n_pairs} dissimilarities is no upper triangle of an RDM: {n_stimuli} stimuli have "
            f"{comb(n_stimuli, 2)} pairs, {n_stimuli + 1} have {comb(n_stimuli + 1, 2)}."
        )
    return n_stimuli


def pairs_among(members: Int[np.ndarray, " n_members"], n_stimuli: int) -> Int[np.ndarray, " n_pairs"]:
    """Return where the pairs of some stimuli are in the vectors of all (`upper`), in the order of ``members``."""
    position = np.zeros((n_stimuli, n_stimuli), np.intp)
    rows, columns = np.triu_indices(n_stimuli, 1)
    position[rows, columns] = position[columns, rows] = np.arange(len(rows))
    return upper(position[np.ix_(members, members)])


def zscore(responses: Float[np.ndarray, "n_neuroids n_stimuli"]) -> Float[np.ndarray, "n_neuroids n_stimuli"]:
    """Standardise every neuron over stimuli (mean 0, population standard deviation 1); a constant one becomes 0."""
    centred = responses - responses.mean(axis=1, keepdims=True)
    scale = centred.std(axis=1, keepdims=True)
    tiny = 1e-12 * np.abs(responses).max(axis=1, keepdims=True, initial=0)
    return np.divide(centred, scale, out=np.zeros_like(centred), where=scale > tiny)
