"""Kernels."""

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
    """Stack the Gram matrices of layers' features, centred over stimuli: the kernels that this module takes.

    Means over units are put back after centring, so large ones cost no digits. A layer with features that are not
    finite, or the same for all stimuli, has NaN."""
    if not layers:
        raise MurineError("No layers were given; expected at least one.")
    grams = np.full((len(layers), layers[0].n_stimuli, layers[0].n_stimuli), np.nan)
    for gram, layer in zip(grams, layers, strict=True):
        shifts = layer.means - layer.means.mean()
        found = centre_kernel(layer.covariance) + layer.n_units * np.outer(shifts, shifts)
        # What float32 sums leave of features that do not differ is not more than this.
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
    """The Gram matrix of the features less their mean over stimuli."""
    means = kernel.mean(axis=0)
    return kernel - means - means[:, None] + means.mean()


def has_variance(kernel: Float[np.ndarray, "n_stimuli n_stimuli"]) -> bool:
    """Whether the kernel is finite and its stimuli differ by more than rounding."""
    if not np.isfinite(kernel).all():
        return False
    return bool(np.trace(kernel) - kernel.mean() * len(kernel) > 1e-12 * np.abs(kernel).max())


def check_variance(kernel: Float[np.ndarray, "n_stimuli n_stimuli"]) -> None:
    """Refuse a kernel that nothing can be predicted from."""
    if not has_variance(kernel):
        raise MurineError(
            "A kernel with NaN or infinite values, or of features that are the same for all stimuli, cannot predict "
            "responses; leave the layer out."
        )
