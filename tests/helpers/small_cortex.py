"""A cortex, networks and a plan that a sweep finishes in a second."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from murine.atlas.identity import CortexSettings
from murine.atlas.sweep import SweepSettings
from murine.cortex.simulated import simulate
from murine.io.array_cache import ArrayCache
from murine.io.files import cache_folder
from murine.networks.zoo import NetworkSpec
from murine.scenes import synthetic_scenes
from murine.scoring.settings import ScoreSettings

NETWORKS = """
import torch
from torch import nn


class Net(nn.Sequential):
    default_cfg = {"input_size": (3, 32, 32)}


def conv():
    return Net(nn.Conv2d(3, 6, 5, stride=2), nn.ReLU(inplace=True), nn.Conv2d(6, 8, 3), nn.Flatten())


def pool():
    return Net(nn.AvgPool2d(4), nn.Flatten())


class Scaled(Net):
    def __init__(self, power):
        super().__init__()
        self.power = power

    def forward(self, x):
        return x**self.power


def square():
    return Scaled(2)


def cube():
    return Scaled(3)


def broken():
    return Net(nn.Conv2d(3, 4, 3), nn.Linear(7, 7))
"""


def write(folder: Path) -> SweepSettings:
    """Write a cortex, its images and ``nets.py``; return the plan of a sweep."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = ArrayCache(cache_folder() / "simulated")  # for many tests write it
    cortex = simulate(synthetic_scenes(24, 40, kept=kept), n_neuroids=10, n_repetitions=6, reliability=0.9, kept=kept)
    cortex.recording.write(folder / "mouse.nc")
    np.savez(folder / "images.npz", images=cortex.stimuli.images, ids=cortex.stimuli.ids)
    (folder / "nets.py").write_text(NETWORKS)
    return SweepSettings(
        CortexSettings(cortex=str(folder / "mouse.nc"), n_splits=4),
        input_size=32,
        scoring=ScoreSettings(n_bootstraps=20, n_permutations=9, seed=0),
        stimuli=folder / "images.npz",
    )


def choices(folder: Path, *texts: str) -> list[NetworkSpec]:
    """Choices by name; those without a file are controls, or functions in ``nets.py``."""
    controls = ("pixels", "gabor", "neurn")
    return [NetworkSpec.parse(t if t in controls else f"{folder / 'nets.py'}:{t}") for t in texts]


def with_cortex(plan: SweepSettings, **settings: object) -> SweepSettings:
    return replace(plan, cortex=plan.cortex.model_copy(update=settings))
