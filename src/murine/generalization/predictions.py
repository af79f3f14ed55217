"""Predictions of a network for the images of a domain, their accuracy and their calibration error."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from numpy.typing import NDArray
from torch import nn

from murine.domains.domain import Domain
from murine.generalization.batches import EVALUATION_BATCH, Batches
from murine.networks.devices import usable_device


@dataclass
class Predictions:
    """Predictions of a network for the images of a domain.

    Attributes
    ----------
    predicted
        int64 array (n_images,): the class with the highest probability.
    confidence
        float32 array (n_images,): this probability.
    """

    predicted: NDArray[np.int64]
    confidence: NDArray[np.float32]


def predict(module: nn.Module, domain: Domain, *, device: str = "cpu", precision: str = "32") -> Predictions:
    """Return the classes that a network predicts for the images of a domain, with their probabilities.

    Parameters
    ----------
    module
        A network from images (n, 3, side, side) in [0, 1] to (n, n_classes). It is moved to the device and put into
        evaluation mode.
    domain
        The images.
    device
        ``auto``, ``cpu``, ``cuda``, ...
    precision
        Precision of the network's training; see `murine.generalization.recipe.Recipe`.

    Raises
    ------
    MurineError
        If the device cannot be used.

    Examples
    --------
    >>> from murine.domains import load_domain
    >>> from murine.generalization import build
    >>> digits = load_domain("rendered-fonts", part="test").subset(range(10))
    >>> found = predict(build("lenet-small", digits.n_classes, seed=0).module, digits)
    >>> found.predicted.shape, found.confidence.shape
    ((10,), (10,))
    """
    target = usable_device(device)
    module.to(target).eval()
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    with torch.no_grad(), torch.autocast(target.type, half, enabled=half is not None):
        found = [
            module(images).float().softmax(dim=1).max(dim=1) for images, _ in Batches(domain, EVALUATION_BATCH, target)
        ]
    confidence = torch.cat([each.values for each in found]).cpu().numpy()
    return Predictions(torch.cat([each.indices for each in found]).cpu().numpy(), confidence)


def accuracy(predicted: Int64[np.ndarray, " n"], labels: Int64[np.ndarray, " n"]) -> float:
    """Return the share of images whose predicted class is right.

    Examples
    --------
    >>> accuracy(np.array([0, 1, 1]), np.array([0, 1, 2]))
    0.6666666666666666
    """
    return float((predicted == labels).mean())


def calibration_error(confidence: Float[np.ndarray, " n"], correct: Bool[np.ndarray, " n"], n_bins: int = 15) -> float:
    """Return the expected calibration error: the mean distance between confidence and accuracy over bins of confidence.

    Guo, Pleiss, Sun, Weinberger 2017 (ICML), equation 3, with their 15 bins of equal width, each open below and closed
    above.

    Parameters
    ----------
    confidence
        Probabilities of the predicted classes.
    correct
        Whether each prediction is right.
    n_bins
        Number of bins.

    Returns
    -------
    error
        Between 0 and 1; NaN without images.

    Examples
    --------
    >>> calibration_error(np.array([0.75, 0.75]), np.array([True, False]))
    0.25
    """
    if not len(confidence):
        return math.nan
    bins = np.clip(np.ceil(confidence.astype(np.float64) * n_bins).astype(int) - 1, 0, n_bins - 1)
    gap = np.bincount(bins, confidence.astype(np.float64) - correct, minlength=n_bins)
    return float(np.abs(gap).sum() / len(confidence))
