"""Maps of chosen neurons beside the maps of their nearest units, cell by cell, as tables for figures."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from murine.cortex.recording import Recording
from murine.cortex.response_maps import SIDE
from murine.errors import MurineError, some
from murine.networks.capture import Features, capture, channel_maps
from murine.networks.network import Network
from murine.stimuli import StimulusSet
from murine.units.densities import density_overlap
from murine.units.maps import MapSearch, nearest_units
from murine.units.neuron_rows import align_stimuli


def nearest_map_cells(
    network: Network, stimuli: StimulusSet, recording: Recording, layer: str, *, side: int = SIDE, centred: bool = True
) -> pd.DataFrame:
    """Return the map of every neuron and that of its nearest unit in one layer, cell by cell.

    Parameters
    ----------
    network, stimuli, recording, side, centred
        As in `murine.units.layer_maps.map_layers`; maps are activations of unit length.
    layer
        Name of the layer, as in the rows of `map_layers`.

    Returns
    -------
    cells
        A row for each neuron and cell: ``neuroid_id, unit, row, column, neuron_value, unit_value``. Neurons without a
        map have none.

    Raises
    ------
    MurineError
        If there is no such layer, or it has no maps.

    Examples
    --------
    >>> from murine.cortex.simulated import simulate
    >>> from murine.networks import zoo
    >>> from murine.scenes import synthetic_scenes
    >>> cortex = simulate(synthetic_scenes(12, seed=0), n_neuroids=4, n_repetitions=4)
    >>> network = zoo.load("gabor", input_size=32)
    >>> cells = nearest_map_cells(network, cortex.stimuli, cortex.recording, "energy_4")
    >>> len(cells) == 12 * 11 * 11
    True
    """
    images, seen = align_stimuli(stimuli, recording)
    search = MapSearch(seen.mean(), images, sides=(side,), centred=centred)
    module = re.sub(r"(:\d+)?(\[[^\[\]]*\])*$", "", layer)  # members of outputs are named after their module

    def units_of(features: Features) -> np.ndarray | None:
        if features.name != layer:
            return None
        maps = channel_maps(features)
        has_places = maps is not None and min(maps.shape[2:]) > 1
        return search.units(features, side) if has_places else None

    layers = capture(network.module, network.preprocessing.apply(images), layers=glob.escape(module), reducer=units_of)
    units = next((found.reduced for found in layers if found.name == layer), None)
    if units is None:
        raise MurineError(f"the layer {layer!r} of {network.name!r} has no maps.")
    neurons = search.neurons[side]
    nearest = nearest_units(neurons, units)
    known = np.flatnonzero(nearest.unit >= 0)
    rows, columns = (index.ravel() for index in np.indices((side, side)))
    n_cells = side * side
    return pd.DataFrame(
        {
            "neuroid_id": np.repeat(seen["neuroid_id"].astype(str)[known], n_cells),
            "unit": np.repeat([f"{layer} [{unit}]" for unit in nearest.unit[known]], n_cells),
            "row": np.tile(rows, len(known)),
            "column": np.tile(columns, len(known)),
            "neuron_value": neurons[known].ravel(),
            "unit_value": units[nearest.unit[known]].ravel(),
        }
    )


def map_overlaps(cells: pd.DataFrame) -> pd.Series:
    """Return how much the densities of the cells of each neuron's map and of its nearest unit's map overlap.

    Parameters
    ----------
    cells
        What `nearest_map_cells` returns.

    Returns
    -------
    overlaps
        From 0 to 1, indexed by ``neuroid_id``, in the order of the rows (`murine.units.densities.density_overlap`).

    Examples
    --------
    >>> values = np.random.default_rng(0).normal(size=121)
    >>> cells = pd.DataFrame({"neuroid_id": "a", "neuron_value": values, "unit_value": values})
    >>> map_overlaps(cells).round(2).to_dict()
    {'a': 1.0}
    """
    names = list(dict.fromkeys(cells.neuroid_id))
    neurons, units = (cells[column].to_numpy().reshape(len(names), -1) for column in ("neuron_value", "unit_value"))
    return pd.Series(density_overlap(neurons, units), index=pd.Index(names, name="neuroid_id"))


def extreme_pairs(overlaps: pd.Series, n: int) -> dict[str, list[str]]:
    """Return the neurons with the largest and with the smallest overlap.

    Parameters
    ----------
    overlaps
        What `map_overlaps` returns.
    n
        Of each; fewer where there are fewer than 2 n neurons, and none is in both.

    Raises
    ------
    MurineError
        If there are fewer than two neurons with an overlap.

    Examples
    --------
    >>> extreme_pairs(pd.Series({"a": 0.2, "b": 0.9, "c": 0.5}), 1)
    {'large overlap': ['b'], 'small overlap': ['a']}
    """
    order = overlaps.dropna().sort_values(kind="stable").index.tolist()
    if len(order) < 2:
        raise MurineError(f"pairs need at least two neurons with an overlap; there are {some(order) or 'none'}.")
    n = min(n, len(order) // 2)
    return {"large overlap": order[: -n - 1 : -1], "small overlap": order[:n]}


def maps_side_by_side(cells: Mapping[str, pd.DataFrame], neuroid_ids: Sequence[str]) -> pd.DataFrame:
    """Return the maps of some neurons, and those of their nearest units in several networks, one below the other.

    Parameters
    ----------
    cells
        Tables of `nearest_map_cells` of the same neurons, by what the units are called.
    neuroid_ids
        The neurons, in the order of the rows.

    Returns
    -------
    maps
        A row for each neuron, map and cell: ``neuroid_id, row, column, value`` and ``of``: ``neuron``, then the names
        of ``cells``.

    Examples
    --------
    >>> cells = pd.DataFrame({"neuroid_id": ["a"], "row": 0, "column": 0, "neuron_value": 0.5, "unit_value": 0.4})
    >>> maps_side_by_side({"unit": cells}, ["a"])[["of", "value"]].values.tolist()
    [['neuron', 0.5], ['unit', 0.4]]
    """
    keep = ["neuroid_id", "of", "row", "column", "value"]
    first = next(iter(cells.values())).rename(columns={"neuron_value": "value"}).assign(of="neuron")[keep]
    units = [table.rename(columns={"unit_value": "value"}).assign(of=of)[keep] for of, table in cells.items()]
    both = pd.concat([first, *units], ignore_index=True)
    parts = [both[both.neuroid_id == name] for name in neuroid_ids]
    return pd.concat(parts, ignore_index=True)
