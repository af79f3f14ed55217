"""A simulated cortex whose neurons belong to several mice, and networks for it."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import nn

from murine.cortex.dataset import Dataset
from murine.cortex.simulated import SimulatedCortex, simulate

N_MICE = 8


@cache
def cortex() -> SimulatedCortex:
    return simulate(n_neuroids=480, n_repetitions=6, reliability=0.8)


def mice(n_neuroids: int, n_mice: int = N_MICE) -> list[str]:
    return [f"mouse {i % n_mice}" for i in range(n_neuroids)]


@cache
def dataset() -> Dataset:
    recording = cortex().recording
    return Dataset(cortex().stimuli, recording.labelled({"donor": mice(recording.n_neuroids)}))


def toy_network(seed: int = 0) -> nn.Module:
    """A small network of two convolutions."""
    torch.manual_seed(seed)
    layers = nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 12, 3, stride=2), nn.ReLU(), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(12 * 14 * 14, 10)).eval()


def relabelled(n_mice: int) -> Dataset:
    recording = cortex().recording
    return Dataset(cortex().stimuli, recording.labelled({"donor": mice(recording.n_neuroids, n_mice)}))


def orders(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(n)
