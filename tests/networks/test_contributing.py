"""The code blocks of CONTRIBUTING.md work as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import murine
from murine.cortex.dataset_registry import datasets
from murine.cortex.simulated import simulate
from murine.domains.catalogue import domains, load_domain
from murine.networks import zoo
from murine.networks.sources.source import get_source, network_sources
from murine.studies.study import studies

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


def test_a_data_set(registered, tmp_path):
    cortex = simulate(n_neuroids=6, n_repetitions=2)
    cortex.stimuli.write(tmp_path / "images.npz")
    (tmp_path / "images").mkdir()
    for name, pixels in zip(cortex.stimuli.ids, cortex.stimuli.images, strict=True):
        Image.fromarray(pixels).save(tmp_path / "images" / f"{name}.png")
    cortex.recording.write(tmp_path / "mouse.nc")
    registered(datasets, "my-mouse", block("Add a data set")["my_mouse"])
    data = murine.datasets["my-mouse"](tmp_path)
    assert data.responses.digest == cortex.recording.digest
    assert (data.species, data.licence, data.caveats) == ("mouse", "CC BY 4.0", ("One animal only.",))
    assert murine.datasets.describe()["my-mouse"] == "Two-photon responses of one mouse to 50 images."


def test_a_study(registered):
    study = block("Add a study")["Ranking"]()
    registered(studies, "ranking", study)
    few = {"n_bootstraps": 20, "n_permutations": 0, "n_splits": 2}
    result = murine.studies.studies["ranking"].run(data=["simulated"], networks=["pixels"], controls=False, **few)
    assert result.tables["ranking"].network.tolist() == ["pixels"]
    assert murine.studies.describe()["ranking"] == "Which network is best?"


def test_a_domain(registered):
    registered(domains, "stripes", block("Add a domain")["stripes"])
    domain = load_domain("stripes")
    assert domain.images.shape == (40, 32, 32, 3)
    assert domain.part("test").n_images == domains["stripes"].n_test
    assert np.bincount(domain.part("test").labels).tolist() == [4, 4]
    assert load_domain("stripes+noise:3", part="test").n_images == 8
