"""Response-weighted maps: the stimuli, reduced to a few cells and weighted by a neuron's responses.

N = T' F of Qazi, Jalil & Iqbal 2025 (arXiv 2505.06886). `murine.units.maps` compares them with those of
units, `murine.cortex.representative` chooses neurons by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from murine.errors import MurineError
from murine.stimuli import StimulusSet

if TYPE_CHECKING:
    from torch import Tensor

#: Cells along a side: what the published figure shows, twice a MobileNet layer's, and that of small digits.
SIDE = 11


def stimulus_maps(stimuli: StimulusSet, side: int = SIDE) -> Float[np.ndarray, "n_stimuli n_cells"]:
    """Return F: the images in grey (mean of the colours, 0 black to 1 white), resized to ``side`` x ``side`` and
    flattened.

    Bilinear, averaging over what a cell covers; the shape changes where images are not square."""
    import torch

    if side < 2:
        raise MurineError(f"maps of {side} x {side} cells have no shape; expected a side of at least 2.")
    images = torch.from_numpy(stimuli.images.copy()).double() / 255
    grey = images if images.dim() == 3 else images.mean(dim=3)
    return resized(grey[:, None], side)


def response_weighted(
    responses: Float[np.ndarray, "n_neuroids n_stimuli"],
    stimuli: Float[np.ndarray, "n_stimuli n_cells"],
    *,
    centred: bool = False,
) -> Float[np.ndarray, "n_neuroids n_cells"]:
    """Return N = T' F: for each neuron, the sum of the stimuli weighted by its responses (means over repetitions).

    Not divided by anything, so in the unit of the responses.

    Parameters
    ----------
    responses
        If a response to any stimulus is NaN, the map is NaN. Leave out the blank screen, because it has no image.
    centred
        Whether to subtract each neuron's mean response over stimuli first, which is equal to subtracting the mean
        stimulus.
    """
    if responses.shape[-1] != len(stimuli):
        raise MurineError(
            f"responses of shape {responses.shape} and maps of {len(stimuli)} stimuli; expected "
            "(n_neuroids, n_stimuli) with the same stimuli."
        )
    weights = responses.astype(np.float64)
    if centred:
        size = np.abs(weights).max(axis=1, keepdims=True, initial=0)
        weights = weights - weights.mean(axis=1, keepdims=True)
        # A neuron that responds the same to all has no map, not one of rounding.
        weights[(np.abs(weights) <= 1e-12 * size).all(axis=1)] = 0
    return weights @ stimuli


def resized(maps: Tensor, side: int) -> Float[np.ndarray, "n_maps n_cells"]:
    """Resize maps (n_maps, 1, rows, columns) and flatten them; a cell that covers several places is their average."""
    from torch.nn.functional import interpolate

    small = interpolate(maps, (side, side), mode="bilinear", antialias=True, align_corners=False)
    return small.flatten(1).cpu().numpy()
