"""Vectors that describe neurons: response-weighted maps, or mean responses to each stimulus, of unit length."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from murine.cortex.natural_scenes import BLANK
from murine.cortex.recording import Recording
from murine.cortex.response_maps import SIDE, response_weighted, stimulus_maps
from murine.errors import MurineError
from murine.stimuli import StimulusSet

#: What neurons are described by.
VECTORS = ("maps", "centred-maps", "responses")


def describe_neurons(
    recording: Recording, vectors: str, stimuli: StimulusSet | None, side: int, blank: bool
) -> Float[np.ndarray, "n_neuroids n_features"]:
    """Return the vectors of one of the `VECTORS`, of unit length; NaN for neurons that cannot be described.

    Raises
    ------
    MurineError
        If there are no such vectors, or maps are asked for without images or with the blank screen.
    """
    if vectors not in VECTORS:
        raise MurineError(f"neurons are described by {vectors!r}; expected one of {', '.join(VECTORS)}.")
    if vectors == "responses":
        return response_vectors(recording, blank=blank)
    if blank:
        raise MurineError("the blank screen has no image, so no map has it: blank needs vectors=responses.")
    if stimuli is None:
        raise MurineError(
            "maps of neurons need the images that were shown: give stimuli, or vectors=responses to describe neurons "
            "by their responses alone."
        )
    return map_vectors(recording, stimuli, side=side, centred=vectors == "centred-maps")


def map_vectors(
    recording: Recording, stimuli: StimulusSet, *, side: int = SIDE, centred: bool = False
) -> Float[np.ndarray, "n_neuroids n_cells"]:
    """Response-weighted map of each neuron, flattened and scaled to unit length; the blank screen has no part in it.

    Returns
    -------
    vectors
        NaN for a neuron that misses all trials of a stimulus, or responds the same to all of them.

    Raises
    ------
    MurineError
        If a stimulus has no image.
    """
    shown = sorted(stimulus for stimulus in recording.stimulus_ids if stimulus != BLANK)
    images = stimulus_maps(stimuli.select(shown), side)
    place = {stimulus: i for i, stimulus in enumerate(recording.stimulus_ids)}
    means = recording.mean()[:, [place[stimulus] for stimulus in shown]].astype(np.float64)
    maps = response_weighted(means, images, centred=centred)
    length = np.linalg.norm(maps, axis=1, keepdims=True)
    varying = (np.ptp(means, axis=1, keepdims=True) > 0) & (length > 0)
    return np.divide(maps, length, out=np.full(maps.shape, np.nan), where=varying)


def response_vectors(recording: Recording, *, blank: bool = False) -> Float[np.ndarray, "n_neuroids n_stimuli"]:
    """Mean response of each neuron to each stimulus, scaled to unit length; stimuli in the order of their ids.

    Parameters
    ----------
    blank
        Whether the stimulus ``blank`` is one of them.

    Returns
    -------
    vectors
        NaN for a neuron that misses all trials of a stimulus, or responds the same to all of them.
    """
    stimuli = [i for i in np.argsort(np.array(recording.stimulus_ids)) if blank or recording.stimulus_ids[i] != BLANK]
    means = recording.mean()[:, stimuli]
    varying = np.ptp(means, axis=1, keepdims=True) > 0
    length = np.linalg.norm(means, axis=1, keepdims=True)
    return np.divide(means, length, out=np.full(means.shape, np.nan), where=varying)
