"""A source of networks from another package works as SOURCE:NAME everywhere, through its entry point alone."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import murine

PACKAGE = """
import torch
from torch import nn

from murine.networks.sources import NetworkSource


class TinySource(NetworkSource):
    about = "Networks of a few convolutions."
    citation = "arXiv:2001.00001"
    licence = "MIT"

    def architectures(self):
        return ["one", "two"]

    def create(self, architecture, tag, input_size):
        n_layers = {"one": 1, "two": 2}[architecture]
        layers = [layer for _ in range(n_layers) for layer in (nn.Conv2d(3, 3, 3), nn.ReLU())]
        module = nn.Sequential(*layers)
        module.default_cfg = {"input_size": (3, 32, 32), "mean": (0.5,) * 3, "std": (0.25,) * 3}
        return module

    def rename_tensors(self, architecture, state):
        return {name.removeprefix("net."): tensor for name, tensor in state.items()}
"""


@pytest.fixture
def run(tmp_path):
    """Run Python or the command in a process that has a package ``tiny`` with a source installed."""
    site = tmp_path / "site"
    folder = site / "tiny-1.2.dist-info"
    folder.mkdir(parents=True)
    (site / "tiny.py").write_text(PACKAGE)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny\nVersion: 1.2\n")
    (folder / "entry_points.txt").write_text(
        "[murine.network_source]\ntiny = tiny:TinySource\nnonsense = math:floor\ntimm = tiny:TinySource\n"
    )
    paths = [str(site), str(Path(murine.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "MURINE_IN_PROCESS": "1",
        "NUMBA_NUM_THREADS": "1",
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, cwd=tmp_path)

    return run


LOADED = """
import json

import torch

from murine.errors import MurineError
from murine.networks import zoo
from murine.networks.catalogue import entry
from murine.networks.sources import get_source

network = zoo.load("tiny:two@random:3", input_size=24)
torch.manual_seed(3)
expected = [torch.nn.Conv2d(3, 3, 3), torch.nn.Conv2d(3, 3, 3)]
state = {f"net.{2 * i}.{key}": value for i in (0, 1) for key, value in expected[i].state_dict().items()}
torch.save(state, "two.pth")
messages = []
for name in ("tiny:two", "tiny:three@random:0", "tinny:two", "nonsense:two"):
    try:
        zoo.load(name)
    except MurineError as error:
        messages.append(str(error))
print(json.dumps({
    "same": all(torch.equal(network.module[2 * i].weight, layer.weight) for i, layer in enumerate(expected)),
    "network": [network.name, network.weights, network.role, list(network.preprocessing.input_size)],
    "mean": network.preprocessing.mean,
    "same digest": zoo.load("tiny:two@two.pth").digest == network.digest,
    "names": [choice.name for choice in zoo.expand(["tiny:*"])],
    "all": "tiny:one" in zoo.matching_names("*"),
    "about": get_source("tiny").describe(),
    "year": entry("tiny:one").year,
    "messages": messages,
}))
"""


def test_a_source_of_another_package_is_loaded_by_name(run):
    ran = run("-c", LOADED)
    assert ran.returncode == 0, ran.stderr
    assert "the network source 'timm' of the package tiny 1.2 is left out, since murine has one" in ran.stderr
    found = json.loads(ran.stdout)
    assert found["same"]
    assert found["same digest"]
    assert found["network"] == ["tiny:two", "random:3", "random", [24, 24]]
    assert found["mean"] == [0.5, 0.5, 0.5]
    assert found["names"] == ["tiny:one", "tiny:two"]
    assert found["all"]
    assert found["about"] == "Networks of a few convolutions. Citation: arXiv:2001.00001. Licence: MIT."
    assert found["year"] == 2020
    no_weights, unknown, no_source, no_class = found["messages"]
    assert "the source 'tiny' has no pretrained weights for 'tiny:two'; use tiny:two@random:SEED" in no_weights
    assert "unknown network 'tiny:three'" in unknown
    assert "Known: one, two." in unknown
    assert "there is no source 'tinny'; did you mean tiny?" in no_source
    assert "the network source 'nonsense' is" in no_class


def test_commands_take_networks_of_another_package(run, tmp_path):
    listed = run("-m", "murine", "models", "tiny:*", "--format", "json")
    assert [row["network"] for row in json.loads(listed.stdout)] == ["tiny:one", "tiny:two"], listed.stderr
    planned = run("-m", "murine", "models", "plan", "tiny:two", "--format", "json", "--quiet")
    assert [row["network"] for row in json.loads(planned.stdout)] == ["tiny:two"], planned.stderr
    score = ("-m", "murine", "score", "tiny:one@random:0", "--atlas", "atlas", "--format", "json", "--no-controls")
    scored = run(*score, "--against", "simulated")
    assert scored.returncode == 0, scored.stderr
    assert {row["network"] for row in json.loads(scored.stdout)} == {"tiny:one"}
    kept = {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in tmp_path.rglob("*.parquet")}
    again = run(*score, "--against", "simulated")
    assert again.stdout == scored.stdout
    assert kept == {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in tmp_path.rglob("*.parquet")}
