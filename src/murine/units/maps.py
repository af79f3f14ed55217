"""Mice-to-Machines maps: what a neuron responds to, as a picture, compared with maps of the units of a layer.

The map of a neuron has p x p cells. It is N = T' F: the stimuli F (resized to p x p and flattened), weighted by its
responses T (Qazi, Jalil & Iqbal 2025, arXiv 2505.06886). The map of a unit is one of two:

``activation``
    The mean activation of a channel over all stimuli at each place of its layer, resized to p x p. The published panel
    must be read this way: its maps of a MobileNet layer are 14 x 14, the size of that layer and of no stimulus, and
    only maps of different sizes need the resizing that the paper describes. The paper does not say for which image; the
    mean over the images that the neurons saw favours none.
``weighted``
    The same formula as for neurons, where T is the mean activation of the channel over its places. This compares like
    with like (tuning to stimuli), and exists also for layers without places. But all these maps, like those of neurons,
    are mixtures of the same stimuli, so they resemble each other from the start.

The paper publishes neither, so results say which was used. Responses that are never negative, such as firing rates,
make the map of every neuron mostly the mean stimulus, and so is the map of shuffled responses. On the Neuropixels
recordings shuffled maps are then nearer to units than those of the neurons (RMSE 0.004 for maps of unit length).
``centred``, the default, first subtracts the mean response of each neuron (and channel). Then neurons are nearer than
chance, on the published scale: the nearest unit has an RMSE of 0.08, the mean over units is 0.13, and the published
medians of areas are 0.10 to 0.13.

The RMSE of maps of unit length is sqrt(2 (1 - cosine)) / p, so it shrinks as 1 / p whatever is compared. Tables and
pictures therefore show it times p / 11 (`rmse_scale`), where 11 is the size of the published maps.
"""

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

#: Normalisations that give maps of neurons and units one scale. Without one, the map of a neuron is pixels times
#: responses and that of a unit is activations, so their difference has no meaning.
SHARED_SCALE = ("l2", "min-max")

#: Number of neurons that are compared at once.
BLOCK = 1024

Maps = Float[np.ndarray, "n_maps n_cells"]


def normalise_maps(maps: Maps, how: str = "l2") -> Maps:
    """Normalise each map, so that maps of neurons and units are on one scale.

    Parameters
    ----------
    maps
        (n_maps, n_cells), any unit.
    how
        ``l2``: unit length; ``min-max``: from 0 to 1; ``none``.

    Returns
    -------
    maps
        (n_maps, n_cells); NaN where a map is not finite, has length 0 (``l2``), or is the same everywhere
        (``min-max``).

    Raises
    ------
    MurineError
        If the normalisation is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> normalise_maps(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [nan, nan]])
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


def pairwise_rmse(
    a: Float[np.ndarray, "n_a n_cells"], b: Float[np.ndarray, "n_b n_cells"]
) -> Float[np.ndarray, "n_a n_b"]:
    """Return the root mean squared difference over cells, for all pairs of maps.

    It is computed from products, RMSE^2 = (|a|^2 + |b|^2 - 2 a.b) / n_cells, so maps that are almost equal have few
    exact digits. For maps of unit length it is sqrt(2 (1 - cosine)) / p.

    Parameters
    ----------
    a, b
        (n_a, n_cells) and (n_b, n_cells), in one unit.

    Returns
    -------
    rmse
        (n_a, n_b), in the unit of the maps; NaN where a map has NaN.

    Examples
    --------
    >>> import numpy as np
    >>> pairwise_rmse(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0], [1.0, 1.0]])).round(3)
    array([[3.536, 1.   ]])
    """
    squares = [np.einsum("ij,ij->i", x, x) for x in (a, b)]
    total = squares[0][:, None] + squares[1] - 2 * (a @ b.T)
    return np.sqrt(np.maximum(total, 0) / a.shape[1])


def rmse_scale(side: int, how: str) -> float:
    """Return the factor that makes the RMSE of maps of ``side`` x ``side`` cells comparable between sizes.

    For maps of unit length it is ``side`` / 11: the result is the RMSE of maps of 11 x 11 cells with the same cosine,
    sqrt(2 (1 - cosine)) / 11. Maps from 0 to 1 need no factor.

    Parameters
    ----------
    side
        Cells along a side.
    how
        The normalisation, as in `normalise_maps`.

    Examples
    --------
    >>> rmse_scale(22, "l2"), rmse_scale(22, "min-max")
    (2.0, 1.0)
    """
    return side / SIDE if how == "l2" else 1.0


@dataclass(frozen=True, eq=False)
class NearestUnits:
    """The unit whose map is nearest to that of each neuron, and the mean distance to all units.

    Attributes
    ----------
    unit
        (n_neuroids,): the channel whose map has the least RMSE, the first of equals; -1 where there is none.
    best
        (n_neuroids,): its RMSE; NaN where there is none.
    mean
        (n_neuroids,): mean RMSE over all channels that have a map.
    n_units
        Number of channels that have a map.
    flag
        Why no channel has one, or ''.

    Examples
    --------
    See `nearest_units`.

    >>> list(NearestUnits.__dataclass_fields__)
    ['unit', 'best', 'mean', 'n_units', 'flag']
    """

    unit: Int[np.ndarray, " n_neuroids"]
    best: Float[np.ndarray, " n_neuroids"]
    mean: Float[np.ndarray, " n_neuroids"]
    n_units: int
    flag: str = ""


def nearest_units(
    neurons: Float[np.ndarray, "n_neuroids n_cells"], units: Float[np.ndarray, "n_units n_cells"]
) -> NearestUnits:
    """Find the unit with the least RMSE to each neuron, and the mean RMSE over units.

    Parameters
    ----------
    neurons, units
        (n_neuroids, n_cells) and (n_units, n_cells): maps in one unit. Maps with NaN take no part.

    Returns
    -------
    nearest
        `NearestUnits`.

    Examples
    --------
    >>> import numpy as np
    >>> units = np.eye(4)
    >>> nearest_units(np.array([[0.0, 0.1, 0.9, 0.0]]), units).unit
    array([2])
    """
    n = len(neurons)
    unit, best, mean = np.full(n, -1), np.full(n, np.nan), np.full(n, np.nan)
    there = np.flatnonzero(np.isfinite(units).all(axis=1))
    known = np.flatnonzero(np.isfinite(neurons).all(axis=1))
    if not len(there):
        return NearestUnits(unit, best, mean, 0, "no unit")
    candidates = units[there].astype(np.float64)
    for i in range(0, len(known), BLOCK):
        rows = known[i : i + BLOCK]
        distances = pairwise_rmse(neurons[rows].astype(np.float64), candidates)
        least = distances.min(axis=1, keepdims=True)
        # Take the first of the units that are equally near up to rounding.
        size = np.sqrt((neurons[rows] ** 2).mean(axis=1, keepdims=True))
        chosen = (distances**2 <= least**2 + 1e-14 * size**2).argmax(axis=1)
        unit[rows], mean[rows] = there[chosen], distances.mean(axis=1)
        best[rows] = np.sqrt(((neurons[rows] - candidates[chosen]) ** 2).mean(axis=1))
    return NearestUnits(unit, best, mean, len(there))


class MapSearch:
    """Search for the channel whose map is nearest to that of each neuron, layer by layer: a reducer for `capture`.

    Parameters
    ----------
    responses
        (n_neuroids, n_stimuli): means over repetitions, any unit.
    stimuli
        The images that the neurons and the network saw, in the order of the responses.
    sides
        Cells along a side of the maps; several sizes are possible.
    unit_maps
        ``activation`` or ``weighted``; see the head of this module.
    normalisation
        ``l2`` or ``min-max``, as in `normalise_maps`, for neurons and units alike.
    centred
        As in `murine.cortex.response_maps.response_weighted`.

    Raises
    ------
    MurineError
        If an option is unknown, or the normalisation is ``none``: neurons and units would have different units.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from murine.networks.capture import capture
    >>> from murine.scenes import synthetic_scenes
    >>> stimuli = synthetic_scenes(12, seed=0)
    >>> responses = np.random.default_rng(0).normal(size=(3, 12))
    >>> layers = capture(torch.nn.Conv2d(3, 4, 5), torch.rand(12, 3, 32, 32), reducer=MapSearch(responses, stimuli))
    >>> layers[-1].reduced[11].unit.shape  # maps of 11 x 11 cells
    (3,)
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
        if normalisation not in SHARED_SCALE:
            why = " Without one, pixels times responses would be compared with activations." * (normalisation == "none")
            raise MurineError(
                f"normalisation is {normalisation!r}; expected one of {', '.join(SHARED_SCALE)}, which give maps of "
                f"neurons and units one scale.{why}"
            )
        if not sides:
            raise MurineError("no size of maps was given; expected at least one side, for example 11.")
        self.unit_maps, self.normalisation, self.centred = unit_maps, normalisation, centred
        self.stimuli = {side: stimulus_maps(stimuli, side) for side in sides}
        self.neurons = {
            side: normalise_maps(response_weighted(responses, flat, centred=centred), normalisation)
            for side, flat in self.stimuli.items()
        }

    def __call__(self, features: Features) -> dict[int, NearestUnits]:
        """Return the nearest channels of a layer for each size of maps; flagged where the layer has no maps."""
        from murine.networks.capture import channel_maps

        maps = channel_maps(features)
        flag = "" if maps is not None else "no channels"
        if maps is not None and self.unit_maps == "activation" and min(maps.shape[2:]) < 2:
            flag = "no map"
        found = {}
        for side, neurons in self.neurons.items():
            if maps is None or flag:
                gone = np.full(len(neurons), np.nan)
                found[side] = NearestUnits(np.full(len(neurons), -1), gone, gone, 0, flag)
            else:
                found[side] = nearest_units(neurons, normalise_maps(self._units(maps, side), self.normalisation))
        return found

    def units(self, features: Features, side: int) -> Float[np.ndarray, "n_channels n_cells"] | None:
        """Return the maps of the channels of a layer; None where it has no channels."""
        from murine.networks.capture import channel_maps

        maps = channel_maps(features)
        return None if maps is None else normalise_maps(self._units(maps, side), self.normalisation)

    def _units(self, maps: Tensor, side: int) -> Float[np.ndarray, "n_channels n_cells"]:
        if self.unit_maps == "activation":
            return resized(maps.mean(dim=0)[:, None].double(), side)
        tuning = maps.mean(dim=(2, 3)).double().cpu().numpy().T
        return response_weighted(tuning, self.stimuli[side], centred=self.centred)
