"""A cortex whose neurons see edges: noisy mixtures of NeuRN of the image, averaged over 4 x 4 pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from murine.cortex.recording import Recording
from murine.networks.surgery.neurn import neurn
from murine.scenes import synthetic_scenes


def write(folder: Path, labels: dict[str, np.ndarray]) -> tuple[Path, Path]:
    """Write ``mouse.nc``, as many neurons as have labels, and ``images.npz`` with what they saw; return both."""
    n = len(next(iter(labels.values())))
    stimuli = synthetic_scenes(40, 32)
    images = torch.from_numpy(stimuli.images.copy()).double() / 255
    contrast = torch.nn.functional.avg_pool2d(neurn(images[:, None], 3), 4).flatten(1).numpy()
    rng = np.random.default_rng(0)
    truth = (contrast - contrast.mean(axis=0)) @ rng.normal(size=(contrast.shape[1], n))
    trials = truth.T[:, :, None] + 0.3 * truth.std() * rng.normal(size=(n, 40, 6))
    labels = {"neuroid_id": [f"n{i}" for i in range(n)], **labels}
    mouse, seen = folder / "mouse.nc", folder / "images.npz"
    Recording.from_arrays(trials, labels, {"stimulus_id": stimuli.ids}).write(mouse)
    np.savez(seen, images=stimuli.images, ids=stimuli.ids)
    return mouse, seen
