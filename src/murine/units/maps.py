"""Mice-to-Machines maps: what a neuron responds to, as a picture of p x p cells, against the maps of a layer's units.

The map of a neuron is N = T' F, the stimuli (resized to p x p and flattened, F) weighted by its responses T (Qazi,
Jalil & Iqbal 2025, arXiv 2505.06886). A unit's map is one of two:

``activation``
    The mean activation of a channel over all stimuli, at each place of its layer, resized to p x p. So the published
    panel must be read: its maps of a MobileNet layer are 14 x 14, the size of that layer and of no stimulus, and only
    maps of other sizes need the resizing that makes an RMSE possible. For which image is not told; the mean over those
    the neurons saw favours none.
``weighted``
    The same formula as for neurons, T being the mean activation of the channel over its places: the symmetric
    definition. It compares like with like (tuning to stimuli), and exists also where a layer has no places; but all of
    its maps, like those of neurons, are mixtures of the same stimuli, so they are alike to begin with.

Neither is published; results tell which was taken. Where responses are not negative, as rates are not, every neuron's
map is mostly the mean stimulus, and so is that of shuffled responses: on the Neuropixels recordings these come nearer
to units than the neurons do (RMSE 0.004 of maps of unit length). ``centred``, the default, takes each neuron's (and
channel's) mean response off first; then neurons are nearer than chance, on the published scale (the nearest unit 0.08,
all 0.13; published medians of areas are 0.10 to 0.13).

RMSE of maps of unit length is sqrt(2 (1 - cosine)) / p: with p x p cells it shrinks as 1 / p, whatever is compared.
Tables and pictures therefore show it times p / 11 (`comparable`), the size of the published maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from murine.cortex.response_maps import SIDE, resized, response_weighted, stimulus_maps
from murine.errors import MurineError
from murine.stimuli import StimulusSet

if TYPE_CHECKING:
    from torch import Tensor

    from murine.networks.capture import Features

UNIT_MAPS = ("activation", "weighted")

NORMALISATIONS = ("l2", "min-max", "none")

#: Those that give neurons and units one scale. Without one, a neuron's map is pixels times responses, a unit's is
#: activations: their difference has no unit.
COMPARABLE = ("l2", "min-max")

#: Tokens before those of an image's patches: a class, a distillation token, registers.
PREFIXES = (0, 1, 2, 5)

#: How much the shape of a layer's maps may differ from that of the images, as a ratio.
DISTORTION = 1.5

#: Neurons compared at once.
BLOCK = 1024

Maps = Float[np.ndarray, "n_maps n_cells"]


def normalised(maps: Maps, how: str = "l2") -> Maps:
    """Maps made comparable.

    Parameters
    ----------
    how
        ``l2``: unit length; ``min-max``: from 0 to 1; ``none``.

    Returns
    -------
    maps
        NaN where a map is not finite, of length 0 (``l2``), or the same everywhere (``min-max``).
    """
    if how not in NORMALISATIONS:
        raise MurineError(f"normalisation is {how!r}; expected one of {', '.join(NORMALISATIONS)}.")
    finite = np.isfinite(maps).all(axis=1, keepdims=True)
    clean = np.where(finite, maps, 0.0).astype(np.float64)
    size = np.abs(clean).max(axis=1, keepdims=True, initial=0)
    low = np.zeros_like(size)
    scale = np.ones_like(size)
    if how == "l2":
        scale = size * np.sqrt((np.divide(clean, size, out=np.zeros_like(clean), where=size > 0) ** 2).sum(1))[:, None]
    elif how == "min-max":
        low = clean.min(axis=1, keepdims=True)
        spread = clean.max(axis=1, keepdims=True) - low
        scale = np.where(spread > 1e-12 * size, spread, 0)
    return np.divide(clean - low, scale, out=np.full(clean.shape, np.nan), where=finite & (scale > 0))


def rmse(a: Float[np.ndarray, "n_a n_cells"], b: Float[np.ndarray, "n_b n_cells"]) -> Float[np.ndarray, "n_a n_b"]:
    """Root mean squared difference over cells of all pairs, by products: RMSE^2 = (|a|^2 + |b|^2 - 2 a.b) / p^2.

    Of maps of unit length it is sqrt(2 (1 - cosine)) / p. Of maps that are all but equal, only the first eight digits
    of their length count. NaN where a map is."""
    squares = [np.einsum("ij,ij->i", x, x) for x in (a, b)]
    total = squares[0][:, None] + squares[1] - 2 * (a @ b.T)
    return np.sqrt(np.maximum(total, 0) / a.shape[1])


def comparable(side: int, how: str) -> float:
    """The factor that makes RMSE of maps of ``side`` x ``side`` cells comparable between sizes.

    For maps of unit length it is ``side`` / `SIDE`, so an RMSE is what maps of `SIDE` x `SIDE` cells with the same
    cosine have: sqrt(2 (1 - cosine)) / 11. Maps from 0 to 1 need no factor.
    """
    return side / SIDE if how == "l2" else 1.0


@dataclass(frozen=True, eq=False)
class Nearest:
    """Each neuron's nearest unit, and how near units are on the average.

    Attributes
    ----------
    unit
        (n_neuroids,) the channel whose map has the least RMSE, the first of equals; -1 where there is none.
    best
        (n_neuroids,) its RMSE; NaN where there is none.
    mean
        (n_neuroids,) mean of the RMSE over all channels that have a map.
    n_units
        How many channels have a map.
    flag
        Why no channel has one, or ''.
    """

    unit: Int[np.ndarray, " n_neuroids"]
    best: Float[np.ndarray, " n_neuroids"]
    mean: Float[np.ndarray, " n_neuroids"]
    n_units: int
    flag: str = ""


def nearest(neurons: Float[np.ndarray, "n_neuroids n_cells"], units: Float[np.ndarray, "n_units n_cells"]) -> Nearest:
    """The unit of least RMSE to each neuron, and the mean RMSE over units.

    Parameters
    ----------
    neurons, units
        Maps that are NaN take no part.
    """
    n = len(neurons)
    unit, best, mean = np.full(n, -1), np.full(n, np.nan), np.full(n, np.nan)
    there = np.flatnonzero(np.isfinite(units).all(axis=1))
    known = np.flatnonzero(np.isfinite(neurons).all(axis=1))
    if not len(there):
        return Nearest(unit, best, mean, 0, "no unit")
    candidates = units[there].astype(np.float64)
    for i in range(0, len(known), BLOCK):
        rows = known[i : i + BLOCK]
        distances = rmse(neurons[rows].astype(np.float64), candidates)
        least = distances.min(axis=1, keepdims=True)
        # Equal but for the rounding of products.
        size = np.sqrt((neurons[rows] ** 2).mean(axis=1, keepdims=True))
        chosen = (distances**2 <= least**2 + 1e-14 * size**2).argmax(axis=1)
        unit[rows], mean[rows] = there[chosen], distances.mean(axis=1)
        best[rows] = np.sqrt(((neurons[rows] - candidates[chosen]) ** 2).mean(axis=1))
    return Nearest(unit, best, mean, len(there))


class NearestMaps:
    """Neurons whose maps are compared with those of one layer after the other: a reducer for `capture`.

    Parameters
    ----------
    responses
        (n_neuroids, n_stimuli) means over repetitions.
    stimuli
        The images that the neurons and the network saw, in the order of the responses.
    sides
        Cells along a side; results have the same order.
    unit_maps
        ``activation`` or ``weighted``: see the top of this module.
    normalisation
        ``l2`` or ``min-max``, as in `normalised`, of neurons and units alike.
    centred
        As in `response_weighted`.

    Raises
    ------
    MurineError
        Unknown options, or ``none`` as the normalisation: neurons and units would have different scales.
    """

    def __init__(
        self,
        responses: Float[np.ndarray, "n_neuroids n_stimuli"],
        stimuli: StimulusSet,
        *,
        sides: Sequence[int] = (SIDE,),
        unit_maps: str = "activation",
        normalisation: str = "l2",
        centred: bool = True,
    ) -> None:
        if unit_maps not in UNIT_MAPS:
            raise MurineError(f"maps of units are {unit_maps!r}; expected one of {', '.join(UNIT_MAPS)}.")
        if normalisation not in COMPARABLE:
            why = " Without one, pixels times responses would be compared with activations." * (normalisation == "none")
            raise MurineError(
                f"normalisation is {normalisation!r}; expected one of {', '.join(COMPARABLE)}, which give maps of "
                f"neurons and units one scale.{why}"
            )
        if not sides:
            raise MurineError("no size of maps was given; expected at least one side, for example 11.")
        self.unit_maps, self.normalisation, self.centred = unit_maps, normalisation, centred
        self.stimuli = {side: stimulus_maps(stimuli, side) for side in sides}
        self.neurons = {
            side: normalised(response_weighted(responses, flat, centred=centred), normalisation)
            for side, flat in self.stimuli.items()
        }

    def __call__(self, features: Features) -> dict[int, Nearest]:
        """For each side, the nearest channels of a layer; flagged where it has no maps."""
        maps = channel_maps(features)
        flag = "" if maps is not None else "no channels"
        if maps is not None and self.unit_maps == "activation" and min(maps.shape[2:]) < 2:
            flag = "no map"
        found = {}
        for side, neurons in self.neurons.items():
            if maps is None or flag:
                gone = np.full(len(neurons), np.nan)
                found[side] = Nearest(np.full(len(neurons), -1), gone, gone, 0, flag)
            else:
                found[side] = nearest(neurons, normalised(self._units(maps, side), self.normalisation))
        return found

    def units(self, features: Features, side: int) -> Float[np.ndarray, "n_channels n_cells"] | None:
        """The maps of a layer's channels that neurons are compared with; None where it has no channels."""
        maps = channel_maps(features)
        return None if maps is None else normalised(self._units(maps, side), self.normalisation)

    def _units(self, maps: Tensor, side: int) -> Float[np.ndarray, "n_channels n_cells"]:
        if self.unit_maps == "activation":
            return resized(maps.mean(dim=0)[:, None].double(), side)
        tuning = maps.mean(dim=(2, 3)).double().cpu().numpy().T
        return response_weighted(tuning, self.stimuli[side], centred=self.centred)


def channel_maps(features: Features) -> Tensor | None:
    """View a layer as (n_stimuli, n_channels, rows, columns); None where it has no channels to speak of.

    Of three axes, two are places: the last two (channels first) or, where these fit the shape of the images less well,
    the first two. Of two axes, the last are channels and the first are tokens: a square of them, after none, 1, 2 or 5
    others that are left out, or else as many rows of one column. One axis: channels with one place."""
    tensor = features.tensor
    shape = features.shape
    if len(shape) == 3:
        height, width = features.image_size if len(features.image_size) == 2 else (1, 1)
        first, last = (abs(np.log(r * width / (c * height))) for r, c in (shape[1:], shape[:2]))
        if min(first, last) > np.log(DISTORTION):
            return None
        return tensor if first <= last else tensor.permute(0, 3, 1, 2)
    if len(shape) == 2:
        channels = tensor.transpose(1, 2)
        for prefix in PREFIXES:
            side = round(max(shape[0] - prefix, 0) ** 0.5)
            if side > 1 and side**2 == shape[0] - prefix:
                return channels[:, :, prefix:].reshape(*channels.shape[:2], side, side)
        return channels[..., None]
    return tensor[:, :, None, None] if len(shape) == 1 else None
