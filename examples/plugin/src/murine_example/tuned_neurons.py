"""A data set: simulated neurons that prefer an orientation, and the gratings that were shown to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from murine.cortex import Dataset, Recording, dataset_source
from murine.stimuli import StimulusSet

N_IMAGES, N_NEURONS, N_REPETITIONS, SIZE = 36, 30, 10, 32


@dataset_source(
    about="Simulated neurons that prefer an orientation, and the gratings that were shown to them.",
    species="none (simulation)",
    licence="CC0",
    caveats=("Gratings differ in orientation only, so a score tells nothing about natural images.",),
    folders=(),
)
def tuned_neurons(root: Path | None = None) -> Dataset:
    """Return the gratings and the responses. ``root`` is the folder of data, which a simulation does not need."""
    rng = np.random.default_rng(0)
    orientations = np.arange(N_IMAGES) * np.pi / N_IMAGES
    y, x = np.mgrid[:SIZE, :SIZE]
    waves = [np.sin(0.8 * (x * np.cos(angle) + y * np.sin(angle))) for angle in orientations]
    images = np.round(127.5 * (1 + np.array(waves))).astype(np.uint8)
    ids = tuple(f"grating{i:02d}" for i in range(N_IMAGES))
    preferred = rng.uniform(0, np.pi, N_NEURONS)
    rates = np.exp(2 * np.cos(2 * (orientations - preferred[:, None])))
    trials = rng.poisson(rates[:, :, None], (N_NEURONS, N_IMAGES, N_REPETITIONS))
    labels = {"neuroid_id": [f"n{i:02d}" for i in range(N_NEURONS)], "area": ["V1"] * N_NEURONS}
    recording = Recording.from_arrays(trials.astype(float), labels, {"stimulus_id": list(ids)}, name="tuned-neurons")
    return Dataset(StimulusSet(images, ids, (), "gratings"), recording)
