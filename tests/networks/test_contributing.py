"""The code blocks of CONTRIBUTING.md work as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from murine.domains.catalogue import domains, load_domain
from murine.networks import zoo
from murine.networks.sources.source import get_source, network_sources

PAGE = Path(__file__).resolve().parents[2] / "CONTRIBUTING.md"


def block(title: str) -> dict[str, object]:
    """Run the Python block of a section."""
    section = PAGE.read_text("utf-8").partition(f"## {title}\n")[2].partition("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(code.strip().splitlines()) <= 12
    found: dict[str, object] = {"__name__": "contributed"}
    exec(code, found)
    return found


@pytest.fixture
def registered():
    """Registers for the time of a test, which registries have no public way to undo."""
    added = []

    def register(registry, name, entry):
        registry.register(name)(entry)
        added.append((registry, name))

    yield register
    for registry, name in added:
        del registry._entries[name]
    get_source.cache_clear()


def test_a_network_source(registered):
    registered(network_sources, "tiny", block("Add a network source")["TinySource"])
    network = zoo.load("tiny:one+neurn(k=3)@input@random:0")
    torch.manual_seed(0)
    assert torch.equal(network.module[0].weight, torch.nn.Conv2d(3, 8, 3).weight)
    assert network.name == "tiny:one+neurn(k=3)@input"
    assert get_source("tiny").describe().endswith("Licence: MIT.")


def test_a_domain(registered):
    registered(domains, "stripes", block("Add a domain")["stripes"])
    domain = load_domain("stripes")
    assert domain.images.shape == (40, 32, 32, 3)
    assert domain.part("test").n_images == domains["stripes"].n_test
    assert np.bincount(domain.part("test").labels).tolist() == [4, 4]
    assert load_domain("stripes+noise:3", part="test").n_images == 8
