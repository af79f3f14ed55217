"""A source of networks: a few convolutions with random weights, named small:shallow and small:deep."""

from __future__ import annotations

from torch import nn

from murine.networks.sources import IMAGENET_CONFIG, NetworkSource

_DEPTHS = {"shallow": 1, "deep": 3}


class SmallSource(NetworkSource):
    """Networks of one and three convolutions."""

    about = "Networks of a few convolutions with random weights."
    licence = "BSD-3-Clause"

    def architectures(self) -> list[str]:
        return list(_DEPTHS)

    def create(self, architecture: str, tag: str, input_size: tuple[int, int] | None) -> nn.Module:
        layers: list[nn.Module] = []
        for n_inputs in [3, 8, 8][: _DEPTHS[architecture]]:
            layers += [nn.Conv2d(n_inputs, 8, 3, padding=1), nn.ReLU()]
        module = nn.Sequential(*layers)
        module.default_cfg = IMAGENET_CONFIG | {"input_size": (3, 64, 64)}  # type: ignore[assignment]
        return module
