"""Representational dissimilarity matrices (RDMs) of layers and of neurons."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from murine.networks.layer_kernel import LayerKernel
from murine.registry import Registry

Square = Float[np.ndarray, "n_stimuli n_stimuli"]

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
