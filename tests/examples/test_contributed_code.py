"""The code blocks of CONTRIBUTING.md work as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from commands import run_here
from PIL import Image
from typer.testing import CliRunner

import murine
from murine.cli.options import DataOption
from murine.cortex.dataset_registry import datasets
from murine.cortex.public_data import public_datasets
from murine.cortex.public_files import PublicFiles
from murine.cortex.recording import Recording
from murine.cortex.simulated import simulate
from murine.domains.catalogue import domains, load_domain
from murine.download import Remote
from murine.io.files import read_npz
from murine.networks import zoo
from murine.networks.sources.source import get_source, network_sources
from murine.stimuli import StimulusSet
from murine.studies.study import studies

PAGE = Path(__file__).resolve().parents[2] / "CONTRIBUTING.md"


def block(title: str, **names: object) -> dict[str, object]:
    """Run the Python block of a section, with names that its text says where to import."""
    section = PAGE.read_text("utf-8").partition(f"## {title}\n")[2].partition("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip() and "import " not in line]) <= 12
    found: dict[str, object] = {"__name__": "contributed", **names}
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


def test_a_public_data_set(registered, bucket, tmp_path, monkeypatch, capsys):
    """It is fetched and built by the commands, from a server on loopback."""
    random = np.random.default_rng(0)
    rates = random.gamma(2.0, 1.0, (3, 5, 2))
    file = tmp_path / "gratings.npz"
    images = random.integers(0, 256, (5, 16, 16), dtype=np.uint8)
    np.savez(file, rates=rates, neurons=np.array(["a", "b", "c"]), ids=np.array([*"vwxyz"]), images=images)
    bucket.put("gratings.npz", file.read_bytes())
    names = {"PublicFiles": PublicFiles, "Remote": Remote, "Recording": Recording}
    gratings = block("Add a public data set", **names, read_npz=read_npz, StimulusSet=StimulusSet)["Gratings"]()
    gratings.files = (Remote(gratings.files[0].url),)  # the size is that of somebody's file
    registered(public_datasets, "gratings", gratings)
    monkeypatch.chdir(tmp_path)
    where = ("--cache", tmp_path / "cache")
    server = ("--endpoint", f"{bucket.endpoint}/{bucket.name}")
    assert run_here("data", "build", "gratings", "--out", "g.nc", *where) == 2
    assert "gratings.npz' is not here; `murine data fetch gratings` fetches it." in capsys.readouterr().err
    assert run_here("data", "fetch", "gratings", "--yes", *server, *where) == 0
    told = capsys.readouterr().err
    assert "0 of 1 files are here, 1 to fetch" in told
    assert "1 of 1 files fetched now" in told
    assert run_here("data", "fetch", "gratings", *server, *where) == 0  # nothing to ask about
    assert run_here("data", "list", "gratings", "--format", "csv", *where) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "gratings.npz,,yes"
    assert run_here("data", "build", "gratings", "--out", "g.nc", "--scenes", "g.npz", *where) == 0
    np.testing.assert_allclose(Recording.read(tmp_path / "g.nc").responses, rates, rtol=1e-6)
    assert np.array_equal(StimulusSet.from_npz(tmp_path / "g.npz").images, images)


def test_a_group_of_commands():
    app = block("Add a group of commands", typer=typer, DataOption=DataOption)["app"]
    ran = CliRunner().invoke(app, ["simulated"])
    assert (ran.exit_code, ran.stdout) == (0, "360\n"), ran.output
