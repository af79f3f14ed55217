"""Kernels of layers for regression: n_stimuli x n_stimuli Gram matrices of features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from murine.errors import MurineError
from murine.networks.layer_kernel import LayerKernel
from murine.statistics.bootstrap import MIN_STIMULI

Kernel = Float[np.ndarray, "n_stimuli n_stimuli"]

Kernels = Float[np.ndarray, "n_layers n_stimuli n_stimuli"]

Responses = Float[np.ndarray, "n_neuroids n_stimuli"]
Operators = Float[np.ndarray, "n_layers n_stimuli n_stimuli"]


def centre_layer_grams(layers: Sequence[LayerKernel]) -> Kernels:
    """Stack the Gram matrices of the features of layers, centred over stimuli: the kernels that ridge and PLS take.

    Large means over units cost no digits, because they are added after centring.

    Parameters
    ----------
    layers
        Kernels of captured layers, all of the same stimuli.

    Returns
    -------
    kernels
        (n_layers, n_stimuli, n_stimuli) float64. NaN for a layer whose features are not finite, or are the same for all
        stimuli.

    Raises
    ------
    MurineError
        If there are no layers.

    Examples
    --------
    >>> import numpy as np
    >>> from murine.networks.layer_kernel import LayerKernel
    >>> features = np.random.default_rng(0).normal(size=(10, 50))
    >>> centred = features - features.mean(axis=0)
    >>> bool(np.allclose(centre_layer_grams([LayerKernel.of(features)])[0], centred @ centred.T))
    True
    """
    if not layers:
        raise MurineError("No layers were given; expected at least one.")
    grams = np.full((len(layers), layers[0].n_stimuli, layers[0].n_stimuli), np.nan)
    for gram, layer in zip(grams, layers, strict=True):
        shifts = layer.means - layer.means.mean()
        found = centre_kernel(layer.covariance) + layer.n_units * np.outer(shifts, shifts)
        # Float32 sums leave at most this much of features that do not differ between stimuli.
        if np.isfinite(found).all() and np.trace(found) > 1e-11 * np.trace(layer.gram):
            gram[:] = found
    return grams


def check_shapes(kernel: np.ndarray, responses: np.ndarray) -> Float[np.ndarray, "n_neuroids n_stimuli"]:
    """Refuse a kernel and responses that do not fit each other; return the responses as float64."""
    n_stimuli = len(kernel)
    if kernel.shape != (n_stimuli, n_stimuli) or responses.ndim != 2 or responses.shape[1] != n_stimuli:
        raise MurineError(
            f"Kernel of shape {kernel.shape} and responses of shape {responses.shape}; expected (n_stimuli, n_stimuli) "
            "and (n_neuroids, n_stimuli)."
        )
    if n_stimuli < MIN_STIMULI:
        raise MurineError(f"{n_stimuli} stimuli are too few to predict responses; at least {MIN_STIMULI} are needed.")
    return responses.astype(np.float64, copy=False)


def centre_kernel(kernel: Float[np.ndarray, "n_stimuli n_stimuli"]) -> Float[np.ndarray, "n_stimuli n_stimuli"]:
    """Return the Gram matrix of the features less their mean over stimuli.

    The last digits differ from `murine.similarity.kernel_similarity.centre_kernels`, which sums in another order.
    """
    means = kernel.mean(axis=0)
    return kernel - means - means[:, None] + means.mean()


def has_variance(kernel: Float[np.ndarray, "n_stimuli n_stimuli"]) -> bool:
    """Return whether the kernel is finite and its stimuli differ by more than rounding."""
    if not np.isfinite(kernel).all():
        return False
    return bool(np.trace(kernel) - kernel.mean() * len(kernel) > 1e-12 * np.abs(kernel).max())


def check_variance(kernel: Float[np.ndarray, "n_stimuli n_stimuli"]) -> None:
    """Refuse a kernel from which nothing can be predicted."""
    if not has_variance(kernel):
        raise MurineError(
            "A kernel with NaN or infinite values, or of features that are the same for all stimuli, cannot predict "
            "responses; leave the layer out."
        )
