"""Tables of maps: the nearest channel of every neuron in every layer of a network.

`murine.units.site_tables.summarise_sites` turns them into a table of sites.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from murine.cortex.recording import Recording
from murine.cortex.response_maps import SIDE
from murine.networks.capture import Features
from murine.networks.network import Network
from murine.progress import Progress
from murine.stimuli import StimulusSet
from murine.units.maps import MapSearch, NearestUnits
from murine.units.matching import shuffle_stimuli
from murine.units.neuron_rows import align_stimuli, capture_rows, mean_over_shuffles, neuron_labels


def map_layers(
    network: Network,
    stimuli: StimulusSet,
    recording: Recording,
    *,
    sides: Sequence[int] = (SIDE,),
    unit_maps: str = "activation",
    normalisation: str = "l2",
    centred: bool = True,
    layers: str = "all",
    batch_size: int | None = None,
    n_shuffles: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Compare the response-weighted map of every neuron with the map of every channel of every layer.

    Parameters
    ----------
    network
        The network, for example from `murine.networks.zoo.load`.
    stimuli, recording
        Images and responses, matched by id. The blank screen is left out. Responses are means over repetitions.
    sides, unit_maps, normalisation, centred
        As in `murine.units.maps.MapSearch`.
    layers, batch_size
        As in `murine.networks.capture.capture`.
    n_shuffles
        Number of maps of shuffled responses for each neuron.
    seed
        Seed of the relabelling.
    progress
        Shows the progress of the capture.

    Returns
    -------
    rows
        One row per layer, size of maps and neuron, in the order of the ids of neurons. A layer with the same output as
        an earlier one has no rows. Columns:

        * ``network, weights, layer, layer_index, depth``
        * ``side, unit_maps, normalisation, centred``, and ``n_units``: channels that have a map
        * ``neuroid_id, area, cortical_layer, cell_class, cre_line, donor``
        * ``best_unit``: number of the nearest channel; -1 without one
        * ``rmse_best, rmse_mean``: RMSE to that channel, and the mean over channels; scale distance. For ``l2`` maps it
          shrinks as 1 / side (`murine.units.maps.rmse_scale`)
        * ``rmse_best_shuffled, rmse_mean_shuffled``: the same with the stimuli of the responses shuffled; means over
        shuffles
        * ``p_value``: (1 + number of shuffles that come at least as near) / (1 + n_shuffles); NaN without shuffles
        * ``flag``: '' or why there is none: ``no map``, ``no channels``, ``no unit``, ``not finite`` (a neuron without
        a
          response to some stimulus) or ``no response``

    Raises
    ------
    MurineError
        If images and responses do not match, an option is unknown, or `murine.networks.capture.capture` raises.

    Examples
    --------
    >>> from murine.cortex.simulated import simulate
    >>> from murine.networks import zoo
    >>> from murine.scenes import synthetic_scenes
    >>> cortex = simulate(synthetic_scenes(12, seed=0), n_neuroids=4, n_repetitions=4)
    >>> rows = map_layers(zoo.load("pixels", input_size=16), cortex.stimuli, cortex.recording, sides=(5, 11))
    >>> sorted(rows["side"].unique().tolist())
    [5, 11]
    """
    images, seen = align_stimuli(stimuli, recording)
    responses = seen.mean()
    relabelled, _ = shuffle_stimuli(responses, responses, n_shuffles, seed)
    everything = np.concatenate([responses, relabelled])
    compare = MapSearch(
        everything, images, sides=sides, unit_maps=unit_maps, normalisation=normalisation, centred=centred
    )
    n = len(responses)
    finite = np.isfinite(responses).all(axis=1)
    about = neuron_labels(seen).assign(unit_maps=unit_maps, normalisation=normalisation, centred=centred)

    def maps(features: Features) -> list[dict[str, Any]]:
        return [{"side": side, **columns(found)} for side, found in compare(features).items()]

    def columns(found: NearestUnits) -> dict[str, Any]:
        reached = (found.best[n:].reshape(n_shuffles, n) <= found.best[:n]).sum(axis=0)
        known = (found.unit[:n] >= 0) & (n_shuffles > 0)
        of_neurons = np.where(finite, "no response", "not finite")
        return {
            "n_units": found.n_units,
            "best_unit": found.unit[:n],
            "rmse_best": found.best[:n],
            "rmse_mean": found.mean[:n],
            "rmse_best_shuffled": mean_over_shuffles(found.best[n:], n_shuffles),
            "rmse_mean_shuffled": mean_over_shuffles(found.mean[n:], n_shuffles),
            "p_value": np.where(known, (1 + reached) / (1 + n_shuffles), np.nan),
            "flag": np.where(found.unit[:n] >= 0, "", found.flag or of_neurons),
        }

    return capture_rows(network, images, about, maps, layers, batch_size, progress)
