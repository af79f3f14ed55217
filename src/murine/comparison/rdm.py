"""Representational dissimilarity matrices (RDMs) of layers and of neurons."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Num

from murine.networks.kernel import LayerKernel


def pearson_rdm(
    patterns: Float[np.ndarray, "n_stimuli n_features"],
) -> Float[np.ndarray, "n_stimuli n_stimuli"]:
    """1 - Pearson correlation between the patterns of every two stimuli.

    NaN in the rows and columns of a stimulus whose pattern is constant or not finite.
    """
    return kernel_rdm(LayerKernel.of(patterns))


def kernel_rdm(kernel: LayerKernel) -> Float[np.ndarray, "n_stimuli n_stimuli"]:
    """The Pearson RDM of a layer from its kernel: 1 - C_ij / sqrt(C_ii C_jj), symmetric, zero on the diagonal."""
    scale = np.sqrt(np.maximum(np.diag(kernel.covariance), 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        rdm = 1 - kernel.covariance / np.outer(scale, scale)
    rdm = (rdm + rdm.T) / 2
    np.fill_diagonal(rdm, np.where(scale > 0, 0.0, np.nan))
    return rdm


def upper(rdm: Num[np.ndarray, "*stack n_stimuli n_stimuli"]) -> Num[np.ndarray, "*stack n_pairs"]:
    """The strict upper triangle, row by row (as ``numpy.triu_indices(n, 1)``, SciPy's condensed form)."""
    rows, columns = np.triu_indices(rdm.shape[-1], 1)
    return rdm[..., rows, columns]


def zscore(responses: Float[np.ndarray, "n_neuroids n_stimuli"]) -> Float[np.ndarray, "n_neuroids n_stimuli"]:
    """Standardise every neuron over stimuli (mean 0, population standard deviation 1); a constant one becomes 0."""
    centred = responses - responses.mean(axis=1, keepdims=True)
    scale = centred.std(axis=1, keepdims=True)
    tiny = 1e-12 * np.abs(responses).max(axis=1, keepdims=True, initial=0)
    return np.divide(centred, scale, out=np.zeros_like(centred), where=scale > tiny)
