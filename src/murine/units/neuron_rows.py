"""Rows of tables of neurons: what `murine.units.layer_matching` and `murine.units.layer_maps` share."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from murine.cortex.natural_scenes import BLANK
from murine.cortex.recording import Recording
from murine.errors import MurineError
from murine.networks.capture import Reducer, capture
from murine.networks.memory import freed_memory_kept
from murine.networks.network import Network
from murine.progress import Progress
from murine.stimuli import StimulusSet, matched

#: Columns with labels of neurons, and the coordinates of the recording that they are taken from.
NEURON_COLUMNS = {
    "neuroid_id": "neuroid_id",
    "area": "area",
    "cortical_layer": "layer",
    "cell_class": "cell_class",
    "cre_line": "cre_line",
    "donor": "donor",
}


def align_stimuli(stimuli: StimulusSet, recording: Recording) -> tuple[StimulusSet, Recording]:
    """Return images and responses in the order of the ids, without the blank screen.

    Neurons are sorted as well, because the relabelling of a neuron depends on its position.
    """
    ids = [stimulus for stimulus in recording.stimulus_ids if stimulus != BLANK]
    if BLANK in stimuli.ids:
        stimuli = stimuli.select([stimulus for stimulus in stimuli.ids if stimulus != BLANK])
    images = matched(stimuli, ids)
    order = np.argsort(recording["neuroid_id"].astype(str))
    ordered = Recording(recording.dataset.isel(neuroid=order), recording.name)
    return images, ordered.select(stimuli=images.ids)


def capture_rows(
    network: Network,
    images: StimulusSet,
    about: pd.DataFrame,
    reducer: Reducer,
    layers: str,
    batch_size: int | None,
    progress: Progress | None,
) -> pd.DataFrame:
    """Capture a network with a reducer that returns columns over neurons (or several sets of columns), as one table."""
    device = next(chain(network.module.parameters(), network.module.buffers()), torch.empty(0)).device
    shown = network.preprocessing.apply(images).to(device)
    with freed_memory_kept():
        captured = capture(
            network.module, shown, layers=layers, batch_size=batch_size, progress=progress, reducer=reducer
        )
    frames = []
    for i, layer in enumerate(captured):
        if layer.same_as or layer.reduced is None:
            continue
        place = {"network": network.name, "weights": network.weights, "layer": layer.name, "layer_index": i}
        for columns in layer.reduced if isinstance(layer.reduced, list) else [layer.reduced]:
            frames.append(about.assign(**place, depth=layer.depth, **columns))
    if not frames:
        raise MurineError(f"none of the layers of {network.name} selected by {layers!r} has features.")
    return pd.concat(frames, ignore_index=True)


def neuron_labels(recording: Recording) -> pd.DataFrame:
    """Return the labels of the neurons of a recording (`NEURON_COLUMNS`), '' if it has none."""
    known = recording.dataset.coords
    n = recording.n_neuroids
    columns = {
        name: recording[key].astype(str).astype(object) if key in known else np.full(n, "", dtype=object)
        for name, key in NEURON_COLUMNS.items()
    }
    return pd.DataFrame(columns)


def mean_over_shuffles(
    values: Float[np.ndarray, " n_rows"], n_shuffles: int
) -> Float[np.ndarray, " n_neuroids"] | float:
    """Return the mean over shuffles of values that list the population once per shuffle; NaN where one is NaN."""
    return values.reshape(n_shuffles, -1).mean(axis=0) if n_shuffles else float("nan")
