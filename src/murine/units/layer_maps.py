"""T."""

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
    stimuli, recording
        Matched by id. The blank screen is left out; responses are means over repetitions.
    sides, unit_maps, normalisation, centred
        As in `murine.units.maps.MapSearch`.
    layers, batch_size
        As in `murine.networks.capture.capture`.
    n_shuffles
        How many maps of shuffled responses stand beside each neuron's own.
    seed
        Of the relabelling.

    Returns
    -------
    rows
        One per layer x size of maps x neuron (in the order of their ids); layers with the output of an earlier one have
        none. Columns:

        * ``network, weights, layer, layer_index, depth``
        * ``side, unit_maps, normalisation, centred, n_units`` (channels that have a map)
        * ``neuroid_id, area, cortical_layer, cell_class, cre_line, donor``
        * ``best_unit``: number of the nearest channel, -1 without one
        * ``rmse_best, rmse_mean``: to that channel, and the mean over channels; scale distance. Of ``l2`` maps it
          shrinks as 1 / side (`murine.units.maps.rmse_scale`)
        * ``rmse_best_shuffled, rmse_mean_shuffled``: the same with the stimuli of the responses shuffled; means over
          shuffles
        * ``p_value``: (1 + number of shuffles that come at least as near) / (1 + n_shuffles); NaN without shuffles
        * ``flag``: '' or why there is none: ``no map``, ``no channels``, ``no unit``, or ``not finite`` (a neuron
          without a response to some stimulus) or ``no response``

    Raises
    ------
    MurineError
        Where images and responses do not match, an option is unknown, or `capture` refuses.
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
