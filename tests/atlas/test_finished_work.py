"""Requests: what is done is told without building a network, and only where nothing can have changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import small_cortex

import murine.atlas.network_scorer
from murine.atlas.finished_work import data_fingerprint, request_digest
from murine.atlas.identity import CortexSettings
from murine.atlas.store import Atlas
from murine.atlas.sweep import SweepSettings, sweep
from murine.io.fingerprints import ABSENT, fingerprint
from murine.networks.dependencies import busy_packages, observation
from murine.networks.spec import NetworkSpec


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mouse")
    small_cortex.write(folder)
    time.sleep(0.1)  # files that changed just now have no fingerprint
    return folder


@pytest.fixture(scope="module")
def plan(folder):
    made = SweepSettings(
        CortexSettings(cortex=str(folder / "mouse.nc"), n_splits=4), input_size=32, stimuli=folder / "images.npz"
    )
    return replace(made, scoring=replace(made.scoring, n_bootstraps=20, n_permutations=9))


@pytest.fixture
def loaded(monkeypatch):
    """Names of the networks that were built."""
    names = []
    original = murine.atlas.network_scorer.zoo.load

    def counting(choice, **options):
        names.append(str(choice))
        return original(choice, **options)

    monkeypatch.setattr(murine.atlas.network_scorer.zoo, "load", counting)
    return names


def settled(file, text):
    file.write_text(text)
    time.sleep(0.1)
    return file


READS = """
import os
from pathlib import Path
import numpy as np
import torch
from torch import nn
import beside

HERE = Path(__file__).parent


class Net(nn.Sequential):
    default_cfg = {"input_size": (3, 32, 32), "mean": (0, 0, 0), "std": (1, 1, 1)}


def build():
    net = Net(nn.Conv2d(3, beside.WIDTH, 5, stride=4), nn.Flatten())
    scale = float(np.load(HERE / "scale.npy")) if (HERE / "scale.npy").exists() else 1.0
    scale *= float(os.environ.get("MURINE_TEST_SCALE", "1"))
    with torch.no_grad():
        net[0].weight.mul_(scale)
    return net.eval()
"""


def test_what_is_done_is_known_without_a_network(plan, folder, tmp_path, loaded):
    atlas = Atlas(tmp_path / "atlas")
    chosen = small_cortex.choices(folder, "pixels", "conv@random:0")
    first = sweep(chosen, plan, atlas)
    assert loaded == [str(choice) for choice in chosen]
    again = sweep(chosen, plan, atlas)
    assert [outcome.state for outcome in again] == ["done", "done"]
    assert [outcome.tasks for outcome in again] == [outcome.tasks for outcome in first]
    assert len(loaded) == 2  # not built again
    atlas.query()
    (scores, *_) = (atlas.folder / "scores").iterdir()
    scores.write_bytes(scores.read_bytes()[:-1])
    assert sorted(o.state for o in sweep(chosen, plan, Atlas(atlas.folder))) == ["computed", "done"]
    assert len(loaded) == 2  # its kernels are stored
    for kernels in (atlas.folder / "kernels").iterdir():
        kernels.unlink()
    scores.write_bytes(scores.read_bytes()[:-1])
    assert sorted(o.state for o in sweep(chosen, plan, Atlas(atlas.folder))) == ["computed", "done"]
    assert len(loaded) == 3


def test_whatever_a_network_is_made_from_counts(plan, folder, tmp_path, loaded, monkeypatch):
    atlas = Atlas(tmp_path / "atlas")
    file = settled(tmp_path / "reads.py", READS)
    settled(tmp_path / "beside.py", "WIDTH = 4\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    choice = NetworkSpec(f"{file}:build", "random:0")

    def run():
        sys.modules.pop("beside", None)
        loaded.clear()
        (outcome,) = sweep([choice], plan, atlas)
        assert outcome.state != "failed", outcome.reason
        return bool(loaded)

    assert run()
    assert not run()
    settled(file, READS + "# changed\n")
    assert run()
    assert not run()
    settled(tmp_path / "beside.py", "WIDTH = 5\n")
    assert run()
    assert not run()
    np_file = tmp_path / "scale.npy"
    import numpy as np

    np.save(np_file, 2.0)  # it was looked for, and not there
    time.sleep(0.1)
    assert run()
    assert not run()
    monkeypatch.setenv("MURINE_TEST_SCALE", "3")
    assert run()
    assert not run()
    np.save(np_file, 4.0)
    time.sleep(0.1)
    assert run()
    assert not run()


@pytest.mark.parametrize(
    ("more", "complete"),
    [
        ("", True),
        ("import subprocess\nsubprocess.run(['true'])\n", False),
        ("import random\n", False),
        ("import h5py\n", False),
        ("import numpy\nx = numpy.random.rand()\n", False),
        ("x = eval('1')\n", False),
        ("import json, math, torch.nn.functional\n", True),
        ("from torch import hub\nhub\n", True),
        ("import torch\nx = torch.hub\n", False),
    ],
)
def test_what_cannot_be_seen_is_told(more, complete, tmp_path):
    file = settled(tmp_path / "user.py", more)
    with observation() as seen:
        exec(compile(file.read_bytes(), str(file), "exec"), {})
    assert seen.complete == complete
    assert str(file) in seen.files
    assert seen.holds()


@pytest.mark.parametrize(
    ("text", "packages"),
    [
        ("'''In timm's convention.'''\nimport torch\n", ()),
        ("def build():\n    import timm.layers as layers\n", ("timm",)),
        ("from torchvision import models\nimport os, timm\n", ("timm", "torchvision")),
        ("# -*- coding: latin-1 -*-\nx = '\xe9'\nfrom timm import create_model\n", ("timm",)),
    ],
)
def test_packages_that_take_long_are_imported_where_a_file_does(text, packages, tmp_path):
    file = tmp_path / "user.py"
    file.write_text(text, "latin-1")
    assert busy_packages(f"{file}:build(width=2)") == packages
    assert busy_packages("pixels") == busy_packages(f"{tmp_path / 'none.py'}:build") == ()
    assert busy_packages("resnet18") == ("timm", "torchvision")


def test_what_safetensors_opens_is_seen(tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    save_file({"a": torch.ones(2)}, tmp_path / "w.safetensors")
    time.sleep(0.1)
    with observation() as seen:
        load_file(tmp_path / "w.safetensors")
        open(tmp_path / "none", "rb") if os.path.exists(tmp_path / "none") else None  # noqa: SIM115
        os.listdir(tmp_path)
    assert seen.files[str(tmp_path / "w.safetensors")] == fingerprint(tmp_path / "w.safetensors")
    assert seen.files[str(tmp_path / "none")] == ABSENT
    assert str(tmp_path) in seen.files
    assert seen.holds()
    (tmp_path / "none").write_text("now it is")
    time.sleep(0.1)
    assert not seen.holds()


def test_a_request_is_named_by_all_that_can_change_its_results(plan, folder, monkeypatch):
    data = data_fingerprint(plan)
    assert data is not None
    pixels = NetworkSpec("pixels")
    named = request_digest(plan, pixels, data)
    others = [
        request_digest(plan, NetworkSpec("gabor"), data),
        request_digest(replace(plan, metrics=("cka",)), pixels, data),
        request_digest(replace(plan, layers="blocks"), pixels, data),
        request_digest(replace(plan, input_size=64), pixels, data),
        request_digest(replace(plan, scoring=replace(plan.scoring, seed=1)), pixels, data),
        request_digest(small_cortex.with_cortex(plan, by=("cell_class",)), pixels, data),
        request_digest(plan, pixels, data + "x"),
    ]
    assert request_digest(replace(plan, batch_size=3, device="cuda"), pixels, data) == named
    monkeypatch.setattr("murine.atlas.finished_work.program_state", lambda: ["another version"])
    others.append(request_digest(plan, pixels, data))
    assert len({named, *others}) == 9
    os.utime(folder / "mouse.nc", ns=(1, 1))
    time.sleep(0.1)
    assert data_fingerprint(plan) not in (None, data)


@pytest.mark.parametrize("weights", ["", "pretrained", "nothing.pth"])
def test_published_weights_are_looked_at(weights, plan):
    assert request_digest(plan, NetworkSpec("resnet18", weights), "data") is None
    assert request_digest(plan, NetworkSpec("resnet18", "random:0"), "data") is not None
    assert request_digest(plan, NetworkSpec("resnet18", "random:0"), None) is None


def test_files_that_changed_just_now_have_no_fingerprint(tmp_path):
    file = tmp_path / "a"
    file.write_text("x")
    os.utime(file)
    assert fingerprint(file) is None
    time.sleep(0.1)
    assert fingerprint(file) == fingerprint(file) is not None
    assert fingerprint(tmp_path / "none") == ABSENT


def test_a_request_that_was_damaged_is_none(plan, folder, tmp_path, loaded):
    atlas = Atlas(tmp_path / "atlas")
    chosen = small_cortex.choices(folder, "pixels")
    (outcome,) = sweep(chosen, plan, atlas)
    (request,) = (atlas.folder / "requests").iterdir()
    about = json.loads(request.read_text())
    for wrong in (b"", b"[]", json.dumps({**about, "tasks": ["x"]}).encode(), b"{", json.dumps({}).encode()):
        request.write_bytes(wrong)
        assert atlas.answered(request.stem) is None
    sweep(chosen, plan, atlas)
    assert atlas.answered(request.stem) == outcome.tasks
    request.rename(request.with_stem("0" * 32))
    assert atlas.answered("0" * 32) is None  # the name of another request


COUNTS = """
import sys
import murine.cli
try:
    murine.cli.main()
finally:
    heavy = {"torch", "timm", "numba", "scipy.stats", "xarray"} & set(sys.modules)
    print("heavy:", sorted(heavy), file=sys.stderr)
"""


def test_commands_of_a_finished_sweep_import_nothing_heavy(plan, folder, tmp_path):
    atlas = Atlas(tmp_path / "atlas")
    data = ["--against", plan.cortex.cortex, "--stimuli", str(plan.stimuli), "--input-size", "32", "--splits", "4"]
    sizes = ["--bootstraps", "20", "--permutations", "9", "--no-controls", "--atlas", str(atlas.folder)]
    sweep([NetworkSpec("pixels")], plan, atlas)
    for arguments in (["score", "pixels", *data, *sizes], ["results", "--atlas", str(atlas.folder)]):
        done = subprocess.run([sys.executable, "-c", COUNTS, *arguments], capture_output=True, text=True, check=True)
        assert "heavy: []" in done.stderr, done.stderr
        assert "pixels" in done.stdout
