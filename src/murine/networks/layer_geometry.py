"""The geometry of a layer's features: effective dimensionality and sparseness, from its kernel alone."""

from __future__ import annotations

import numpy as np

from murine.networks.layer_kernel import LayerKernel


def effective_dimensionality(kernel: LayerKernel) -> float:
    """Return the participation ratio of a layer: how many dimensions its responses to the images fill evenly.

    It is (sum of eigenvalues)^2 / sum of squared eigenvalues of the covariance of the units over images, from 1 to
    n_stimuli - 1. Few images give small values, so only layers that saw the same images can be compared.

    Returns
    -------
    dimensionality
        NaN where features are not finite, or the same for all images.

    References
    ----------
    Gao P, Trautmann E, Yu B, et al. (2017). A theory of multineuronal dimensionality, dynamics and measurement.
    bioRxiv 214262.

    Examples
    --------
    >>> even = LayerKernel.of(np.concatenate([np.eye(5), -np.eye(5)]))
    >>> round(effective_dimensionality(even), 6)
    5.0
    """
    gram = kernel.gram
    centred = gram - gram.mean(axis=0) - gram.mean(axis=1)[:, None] + gram.mean()
    total, squares = float(np.trace(centred)), float((centred**2).sum())
    constant = not total > 1e-11 * float(np.trace(gram))  # also NaN
    return float("nan") if constant or not np.isfinite(squares) else total**2 / squares


def sparseness(kernel: LayerKernel) -> float:
    """Return the population sparseness of a layer: 1 - (mean over units)^2 / mean square, averaged over images.

    It is 0 where all units respond alike and near 1 where few respond. It is meant for responses that are not
    negative, as after a ReLU; responses around zero have a sparseness near 1, whatever their distribution.

    Returns
    -------
    sparseness
        NaN where features are not finite, or all zero for every image.

    References
    ----------
    Treves A, Rolls ET (1991). What determines the capacity of autoassociative memories in the brain? Network 2,
    371-397.

    Examples
    --------
    >>> sparseness(LayerKernel.of(np.array([[1.0, 0, 0, 0], [0, 2.0, 0, 0]])))
    0.75
    """
    squares = np.diag(kernel.gram) / kernel.n_units
    if not np.isfinite(squares).all() or not (squares > 0).any():
        return float("nan")
    known = squares > 0
    return float(np.mean(1 - kernel.means[known] ** 2 / squares[known]))
