"""Networks whose authors publish weights at an address: the table of these weights, and the base of their sources."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, ClassVar

from torch import Tensor, nn

from murine.networks import checkpoints
from murine.networks.sources import weight_downloads
from murine.networks.sources.source import NetworkSource


@dataclass(frozen=True)
class PublishedWeights:
    """A row of ``tables/published.csv``.

    Attributes
    ----------
    name
        Full name of the network, for example ``hub:cornet_s``.
    architecture
        Key in `PublishedSource.builders`.
    layout
        How the tensors in the file are named; see `murine.networks.sources.hub.trunk_tensors`.
    address, digest
        URL of the file, and its digest: ``sha256:HEX`` or ``md5:HEX``; '' if none is published.
    family, cluster, task, data, year, citation, note
        What is known about the network.
    """

    name: str
    architecture: str
    layout: str
    address: str
    digest: str
    family: str
    cluster: str
    task: str
    data: str
    year: str
    citation: str
    note: str


@cache
def published_weights() -> dict[str, PublishedWeights]:
    """Return all published weights by the full names of their networks."""
    text = (files("murine.networks") / "tables" / "published.csv").read_text("utf-8")
    return {row["name"]: PublishedWeights(**row) for row in csv.DictReader(text.splitlines())}


class PublishedSource(NetworkSource):
    """A source whose networks are the rows of ``tables/published.csv`` with its name.

    Attributes
    ----------
    builders
        Functions that build the architectures with random weights, by the names in the table.
    config
        The preprocessing of all networks, with timm's keys.
    """

    builders: ClassVar[Mapping[str, Callable[[], nn.Module]]]
    config: ClassVar[dict[str, Any]]

    def architectures(self) -> list[str]:
        prefix = f"{self.name}:"
        return [name.removeprefix(prefix) for name in published_weights() if name.startswith(prefix)]

    def create(self, architecture: str, tag: str, input_size: tuple[int, int] | None) -> nn.Module:
        module: nn.Module = self.builders[self._row(architecture, tag).architecture]()
        module.pretrained_cfg = self.config  # type: ignore[assignment]
        return module

    def create_trained(
        self, architecture: str, tag: str, input_size: tuple[int, int] | None, digest: str = ""
    ) -> tuple[nn.Module, str]:
        row = self._row(architecture, tag)
        file = weight_downloads.fetch_weights(row.name, row.address, digest or row.digest)
        module = self.create(architecture, tag, input_size)
        checkpoints.load_file_into(module, file, row.name, lambda state: self.rename_tensors(architecture, state))
        return module, "pretrained"

    def rename_tensors(self, architecture: str, state: dict[str, Tensor]) -> Mapping[str, Tensor]:
        return state

    def facts(self, architecture: str, tag: str) -> dict[str, Any]:
        row = self._row(architecture, tag)
        facts = {"task": row.task, "data": row.data, "citation": row.citation, "origin": "the rest: published.csv"}
        return facts | {"input_size": tuple(self.config["input_size"][1:])}

    def _row(self, architecture: str, tag: str = "") -> PublishedWeights:
        name = self.full_name(f"{architecture}.{tag}" if tag else architecture)
        found = published_weights().get(name)
        if found is None:
            raise self.unknown(f"{architecture}.{tag}" if tag else architecture)
        return found
