"""How well a network and the animals predict each other by regression, in both directions."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pandas as pd
import torch

from murine.masquerade.candidates import AnimalReducer
from murine.masquerade.regression import animal_halves, between_animals, regression_table
from murine.masquerade.result import MasqueradeResult
from murine.masquerade.run import AnimalData, animal_cache
from murine.masquerade.verdict_table import NETWORK
from murine.networks.capture import Features, capture
from murine.networks.memory import freed_memory_kept
from murine.networks.network import Network
from murine.networks.process_state import preserved_state


def describe_regression(
    network: Network, data: AnimalData, result: MasqueradeResult, *, layers: str = "own", seed: int = 0
) -> pd.DataFrame:
    """Return how well the best candidate of each area predicts the mice, the mice it, and the mice each other.

    It shows the images to the network once more. The numbers describe; they are no test, because a network and an
    animal have no number of units at which they are alike.

    Parameters
    ----------
    network, data, result
        What was asked, and the answer; ``layers`` and ``seed`` as they were.

    Returns
    -------
    table
        As `murine.masquerade.regression.regression_table`, with ``layer`` and ``window``.

    Raises
    ------
    MurineError
        If the network fails on the images.

    Examples
    --------
    >>> import murine
    >>> from murine.cortex.simulated import simulate
    >>> cortex = simulate(n_neuroids=480)
    >>> mice = [f"mouse {i % 7}" for i in range(cortex.recording.n_neuroids)]
    >>> data = murine.load_data(cortex.recording.labelled({"donor": mice}), stimuli=cortex.stimuli)
    >>> animals = AnimalData.of(data)
    >>> result = murine.is_it_a_mouse("pixels", animals, windows="none", areas="SIMp")
    >>> table = describe_regression(murine.load_network("pixels"), animals, result)
    >>> bool(table.network_to_mice[0] < table.mice_to_mice[0])
    True
    """
    rows = result.table[result.table.role == NETWORK]
    rows = rows[(rows.windows == rows.windows.iloc[-1]) & rows.t.notna() & rows.layer.notna()]
    wanted = {
        area: (str(layer), str(w or "")) for area, layer, w in zip(rows.area, rows.layer, rows.window, strict=True)
    }
    reducer = AnimalReducer(data.animals, "thirds", seed)

    def chosen(features: Features) -> dict[str, np.ndarray]:
        if features.name not in {layer for layer, _ in wanted.values()}:
            return {}
        units = {(features.name, window): patterns for window, patterns in reducer.patterns(features)}
        return {area: units[key] for area, key in wanted.items() if key in units}

    device = next(chain(network.module.parameters(), network.module.buffers()), torch.empty(0)).device
    with preserved_state(network.name), freed_memory_kept():
        shown = network.preprocessing.apply(data.images).to(device)
        captured = capture(network.module, shown, layers=layers, reducer=chosen)
    units = {area: patterns for layer in captured for area, patterns in (layer.reduced or {}).items()}
    halves = animal_halves(data.recording, data.animals, seed)
    between = between_animals(halves, data.animals, seed, animal_cache())
    ordered = {area: units[area] for area in wanted if area in units}
    table = regression_table(ordered, halves, data.animals, between, seed)
    layer, window = (table.area.map({area: key[i] for area, key in wanted.items()}) for i in (0, 1))
    return table.assign(layer=layer, window=window)
