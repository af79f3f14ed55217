"""The control networks as a source: pixels, Gabor energy, NeuRN of the pixels, and those of plug-ins."""

from __future__ import annotations

from typing import Any

from torch import nn

from murine.errors import MurineError
from murine.networks.module_adapters import config_of
from murine.networks.preprocessing import Preprocessing
from murine.networks.sources.source import BuiltNetwork, NetworkSource
from murine.networks.spec import controls


class ControlSource(NetworkSource):
    """The networks in the registry `murine.networks.spec.controls`. They have no weights and need no prefix."""

    about = "Fixed networks without learning, which any network should surpass."

    def architectures(self) -> list[str]:
        return list(controls)

    def full_name(self, name: str) -> str:
        return name

    def tagged_names(self, architecture: str) -> list[str]:
        return []

    def create(self, architecture: str, tag: str, input_size: tuple[int, int] | None) -> nn.Module:
        return controls[architecture]()

    def build(
        self, name: str, weights: str = "", input_size: tuple[int, int] | None = None, *, shapes_only: bool = False
    ) -> BuiltNetwork:
        if weights:
            raise MurineError(f"the control {name!r} has no weights; ask for {name!r} alone.")
        module = self.create(name, "", input_size)
        return BuiltNetwork(name, module, Preprocessing.from_config(config_of(module), input_size), "none")

    def facts(self, architecture: str, tag: str) -> dict[str, Any]:
        size = Preprocessing.from_config(config_of(controls[architecture]())).input_size
        return {"family": "control", "parameters": 0, "depth": 0, "input_size": size, "origin": "murine"}
