"""Representational dissimilarity matrices (RDMs) of layers and of neurons.

Distances that need the noise of single trials are in `murine.similarity.crossnobis`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from murine.networks.layer_kernel import LayerKernel
from murine.registry import Registry

Square = Float[np.ndarray, "n_stimuli n_stimuli"]

#: Measures of dissimilarity by name. Each takes the kernel of a layer or of mean responses.
dissimilarities: Registry[Callable[[LayerKernel], Square]] = Registry("dissimilarity")


def pearson_rdm(
    patterns: Float[np.ndarray, "n_stimuli n_features"],
) -> Float[np.ndarray, "n_stimuli n_stimuli"]:
    """Return the Pearson RDM of patterns: 1 - Pearson correlation between the patterns of every two stimuli.

    Parameters
    ----------
    patterns
        (n_stimuli, n_features), for example stimuli x neurons, any unit.

    Returns
    -------
    rdm
        (n_stimuli, n_stimuli), symmetric, 0 on the diagonal. NaN in the row and column of a stimulus whose pattern is
        constant or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> pearson_rdm(np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [1.0, 2.0, 4.0]])).round(2)
    array([[0.  , 2.  , 0.02],
           [2.  , 0.  , 1.98],
           [0.02, 1.98, 0.  ]])
    """
    return kernel_rdm(LayerKernel.of(patterns))


@dissimilarities.register("pearson")
def kernel_rdm(kernel: LayerKernel) -> Square:
    """Return the Pearson RDM of a layer from its kernel: 1 - C_ij / sqrt(C_ii C_jj), with C the covariance over units.

    Parameters
    ----------
    kernel
        The kernel of a layer's features, or of mean responses.

    Returns
    -------
    rdm
        (n_stimuli, n_stimuli), as `pearson_rdm` gives it from the features.

    Examples
    --------
    >>> import numpy as np
    >>> from murine.networks.layer_kernel import LayerKernel
    >>> features = np.random.default_rng(0).normal(size=(5, 1000))
    >>> bool(np.allclose(kernel_rdm(LayerKernel.of(features)), 1 - np.corrcoef(features)))
    True
    """
    products = kernel.covariance
    # A constant pattern has no direction but what rounding leaves.
    constant = np.diag(products) <= 1e-24 * np.diag(kernel.gram)
    return _one_less_cosine(np.where(constant[:, None] | constant, 0, products))


@dissimilarities.register("cosine")
def cosine_rdm(kernel: LayerKernel) -> Square:
    """Return the cosine RDM of a layer: 1 - cosine of the angle between the patterns of every two stimuli.

    Patterns are not centred.

    Returns
    -------
    rdm
        (n_stimuli, n_stimuli). NaN in the row and column of a stimulus whose pattern is all zero or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from murine.networks.layer_kernel import LayerKernel
    >>> cosine_rdm(LayerKernel.of(np.array([[1.0, 0.0], [0.0, 1.0]])))
    array([[0., 1.],
           [1., 0.]])
    """
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
    """Return the squared Euclidean distance between the patterns of every two stimuli, divided by the number of units.

    rsatoolbox calls this ``euclidean``. It is a mean over units, so layers of different size are on one scale. The root
    is not taken, so distances add up over units.

    Returns
    -------
    rdm
        (n_stimuli, n_stimuli), in the squared unit of the features. NaN in the row and column of a stimulus whose
        pattern is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from murine.networks.layer_kernel import LayerKernel
    >>> euclidean_rdm(LayerKernel.of(np.array([[0.0, 0.0], [2.0, 4.0]])))
    array([[ 0., 10.],
           [10.,  0.]])
    """
    products = kernel.covariance / kernel.n_units
    power = np.diag(products)
    shifts = kernel.means[:, None] - kernel.means
    rdm = np.maximum(power[:, None] + power - products - products.T + shifts**2, 0)
    np.fill_diagonal(rdm, np.where(np.isfinite(power), 0.0, np.nan))
    return rdm
