"""The demonstration: a few networks against the simulated cortex, whose truth is known."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from murine.cortex.simulated import SimulatedCortex, simulate

#: Small architectures of different kinds, with random weights: the demonstration must not need a network.
ARCHITECTURES = ("resnet18", "mobilenetv3_small_100", "vit_tiny_patch16_224", "convnext_atto")

#: Pixels: the size of the simulated scenes.
INPUT_SIZE = 64


class GeneratingModel(nn.Module):
    """The network that is the simulated cortex: each area is a layer, as it is and standardised.

    Neurons are standardised over stimuli before they are compared, so that all count alike. A network in the same
    units does so too: ``standardised.AREA`` subtracts each neuron's mean over the simulated scenes and divides by its
    standard deviation."""

    def __init__(self, cortex: SimulatedCortex) -> None:
        super().__init__()
        self.cortex = cortex.model
        self.pretrained_cfg = cortex.model.pretrained_cfg
        area = cortex.recording["area"]
        self.standardised = nn.ModuleDict(
            {name: _Standardise(cortex.true_responses[area == name]) for name in cortex.model.areas}
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        responses = self.cortex(images).chunk(len(self.standardised), dim=1)
        return torch.cat([f(r) for f, r in zip(self.standardised.values(), responses, strict=True)], dim=1)


class _Standardise(nn.Module):
    mean: torch.Tensor
    sd: torch.Tensor

    def __init__(self, responses: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(responses.mean(axis=1), dtype=torch.float32))
        self.register_buffer("sd", torch.tensor(responses.std(axis=1), dtype=torch.float32))

    def forward(self, responses: torch.Tensor) -> torch.Tensor:
        return (responses - self.mean) / self.sd


def generating_model() -> GeneratingModel:
    """The generating model of ``--against simulated``."""
    return GeneratingModel(simulate())


def networks() -> list[str]:
    """Return the names of the generating model (through the route of a user's own network) and of random networks."""
    random = [f"{name}@random:{seed}" for name in ARCHITECTURES for seed in (0, 1)]
    return [f"{__file__}:{generating_model.__name__}", *random]
