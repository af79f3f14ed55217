"""Bad input: one clear message on standard error, exit code 2, no traceback, and nothing lost."""

from __future__ import annotations

import json
import os
import pickle
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import Ran
from PIL import Image
from safetensors.torch import save_file

from murine.cortex.recording import Recording
from murine.errors import MurineError
from murine.stimuli import StimulusSet

pytestmark = pytest.mark.usefixtures("unchecked")

FEW = ("--bootstraps", "20", "--permutations", "10", "--splits", "3", "--no-controls")

NETWORKS = """
import torch
from torch import nn


class Net(nn.Module):
    default_cfg = {"input_size": (3, 16, 16)}

    def __init__(self):
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 4, 3), nn.ReLU()
        self.odd = nn.Identity()

    def forward(self, images):
        return self.relu(self.conv(images)) + 0 * torch.nan_to_num(self.odd(self.spoil(images))).mean()

    def spoil(self, images):
        return images


class WithNaN(Net):
    def spoil(self, images):
        return images / 0 - images / 0


class Constant(Net):
    def spoil(self, images):
        return torch.ones_like(images)


class Same(Net):
    def spoil(self, images):
        return images[:1].expand_as(images)


class OnlyConstant(Net):
    def forward(self, images):
        return self.odd(torch.ones_like(images))


class Raising(Net):
    def forward(self, images):
        raise RuntimeError("the flux is out of range")


def good():
    return Net()


def with_nan():
    return WithNaN()


def constant():
    return Constant()


def same():
    return Same()


def only_constant():
    return OnlyConstant()


def raising():
    return Raising()


def failing():
    raise FileNotFoundError("no weights at /nowhere")


def wrong():
    return 3
"""


@dataclass
class Mine:
    """A user's own cortex, which a test spoils."""

    folder: Path
    responses: np.ndarray
    stimulus_ids: list[str]

    @property
    def images(self) -> Path:
        return self.folder / "images"

    @property
    def nets(self) -> Path:
        return self.folder / "nets.py"

    def write(self) -> Path:
        neuroid = {"neuroid_id": [f"n{i}" for i in range(len(self.responses))], "area": ["A", "B"] * 5}
        file = self.folder / "mine.nc"
        Recording.from_arrays(self.responses, neuroid, {"stimulus_id": self.stimulus_ids}).write(file)
        return file

    def options(self, *more: object) -> tuple[object, ...]:
        own = ("--against", self.folder / "mine.nc", "--stimuli", self.images, "--atlas", self.folder / "atlas")
        return (*own, *FEW, *more)


@pytest.fixture
def mine(tmp_path) -> Mine:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (24, 16, 16)).astype(np.uint8)
    ids = [f"scene{i:02}" for i in range(len(images))]
    (tmp_path / "images").mkdir()
    for name, image in zip(ids, images, strict=True):
        Image.fromarray(image).save(tmp_path / "images" / f"{name}.png")
    true = generator.standard_normal((10, 256)) @ (images.reshape(24, -1).T / 255 - 0.5)
    found = Mine(tmp_path, true[:, :, None] + generator.standard_normal((10, 24, 4)), ids)
    found.write()
    found.nets.write_text(NETWORKS)
    return found


def refused(ran: Ran, *parts: str, noted: bool = False) -> None:
    """One message, exit code 2, no traceback; ``noted`` where networks failed: exit code 1, their count before it."""
    assert ran.code == (1 if noted else 2), (ran.out, ran.err)
    assert ran.out == ""
    assert "Traceback" not in ran.err
    # Notes on the network and on the atlas may stand before.
    notes = ("does not say how its images", "the failure of pixels is not recorded")
    lines = [line for line in ran.told.splitlines() if not any(note in line for note in notes)]
    if noted:
        assert lines.pop(0).startswith("0 computed, 0 done before, 1 failed")
    assert lines[0].startswith("murine: ")
    assert "\n".join(lines).count("murine: ") == 1
    for part in parts:
        assert part in ran.err


# ------------------------------------------------------------------------------------------------- networks


def test_unknown_networks_suggest_the_nearest(murine, mine):
    refused(murine("score", "resnet1000", *mine.options()), "unknown network 'resnet1000'", "resnet10t", noted=True)
    refused(murine("score", "pixel", *mine.options()), "did you mean pixels", noted=True)
    refused(murine("score", "nothing*", *mine.options()), "no network matches 'nothing*'")
    refused(murine("score", "@random:0", *mine.options()), "names no network")


def test_one_bad_network_does_not_stop_the_others(murine, mine):
    ran = murine("score", f"{mine.nets}:failing", "pixels", "rezznet18", f"{mine.nets}:good", *mine.options())
    assert ran.code == 1
    assert "pixels" in ran.out
    assert "nets.py:good" in ran.out
    assert "2 computed, 0 done before, 2 failed" in ran.err
    assert "murine: 2 of 4 networks could not be scored:" in ran.err
    assert "FileNotFoundError: no weights at /nowhere" in ran.err
    assert "unknown network 'rezznet18'" in ran.err


def test_weights_that_cannot_be_used(murine, mine):
    state = {name: torch.ones(1) for name in ("one", "two")}
    torch.save(state, mine.folder / "other.pt")
    torch.save({"conv.weight": torch.ones(4, 3, 5, 5), "conv.bias": torch.ones(4)}, mine.folder / "shape.pt")
    save_file({name: torch.ones(50, 50) for name in state}, mine.folder / "whole.safetensors")
    for whole, cut in (("whole.safetensors", "cut.safetensors"), ("other.pt", "cut.pt")):
        data = (mine.folder / whole).read_bytes()
        (mine.folder / cut).write_bytes(data[: len(data) // 2])
    (mine.folder / "empty.pt").touch()
    (mine.folder / "text.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    cases = {
        "missing.pt": ("there is no file of weights", "missing.pt"),
        "cut.safetensors": ("is no readable safetensors file; it may be truncated",),
        "text.safetensors": ("is no readable safetensors file",),
        "cut.pt": ("is no readable PyTorch file of weights; it may be truncated",),
        "empty.pt": ("empty.pt",),
        "other.pt": ("do not fit", "2 of the network's 2 tensors are missing", "2 of the file's are unknown"),
        "shape.pt": ("conv.weight is (4, 3, 5, 5) in the file and (4, 3, 3, 3) in the network",),
    }
    for file, parts in cases.items():
        ran = murine("score", f"{mine.nets}:good@{mine.folder / file}", *mine.options())
        refused(ran, *parts, noted=True)
    refused(murine("score", "resnet18", "--weights", "nowhere.pt", *mine.options()), "no file of weights", noted=True)
    refused(murine("score", f"{mine.nets}:good@random:x", *mine.options()), "expected random:SEED")
    refused(murine("score", "pixels@random:0", *mine.options()), "has no weights", noted=True)


class Code:
    """Unpickled, it writes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return (open, (str(self.file), "w"))


def test_a_pickle_with_code_is_never_run(murine, mine):
    proof = mine.folder / "proof"
    (mine.folder / "evil.pkl").write_bytes(pickle.dumps(Code(proof)))
    torch.save({"conv.bias": Code(proof)}, mine.folder / "evil.pt")
    for file in ("evil.pkl", "evil.pt"):
        ran = murine("score", f"{mine.nets}:good@{mine.folder / file}", *mine.options())
        refused(ran, "murine never runs code from a file of weights", noted=True)
    np.savez(mine.folder / "evil.npz", matrices=np.array([Code(proof)], dtype=object), sites=["A"], stimulus_ids=["s"])
    options = mine.options("--against", mine.folder / "evil.npz")
    refused(murine("score", "pixels", *options), "evil.npz", "pickled objects, which are never loaded")
    options = mine.options("--stimuli", mine.folder / "evil.npz")
    refused(murine("score", "pixels", *options), "evil.npz", "pickled objects, which are never loaded")
    assert not proof.exists()


def test_no_connection_for_pretrained_weights(mine):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = unused.getsockname()[1]  # bound and not listening: nobody else can answer there
        proxies = ("http_proxy", "https_proxy", "all_proxy", "HF_HUB_OFFLINE")
        environment = {k: v for k, v in os.environ.items() if k not in proxies and k.lower() not in proxies}
        environment |= {"HF_ENDPOINT": f"http://127.0.0.1:{closed}", "HF_HOME": str(mine.folder / "hub")}
        ran = subprocess.run(
            [sys.executable, "-m", "murine", "score", "resnet18", *map(str, mine.options())],
            capture_output=True,
            text=True,
            env=environment,
            timeout=90,  # nearly all of it is importing; the hub's own retries would take longer
        )
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert "Traceback" not in ran.stderr
    assert "the pretrained weights of 'resnet18' could not be fetched from" in ran.stderr
    assert "resnet18@random:0" in ran.stderr


def test_files_of_factories(murine, mine):
    (mine.folder / "syntax.py").write_text("def net(:\n")
    (mine.folder / "raises.py").write_text("import no_such_package\n")
    cases = {
        "syntax.py:net": ("syntax.py", "cannot be imported", "SyntaxError"),
        "raises.py:net": ("cannot be imported", "No module named 'no_such_package'"),
        "nowhere.py:net": ("there is no file", "path/to/file.py:factory"),
        "nets.py:goood": ("has no function 'goood'", "did you mean good"),
        "nets.py:failing": ("failed: FileNotFoundError: no weights at /nowhere",),
        "nets.py:wrong": ("returned int; expected a torch.nn.Module",),
        "nets.py:raising": ("the flux is out of range",),
    }
    for name, parts in cases.items():
        refused(murine("score", mine.folder / name, *mine.options()), *parts, noted=True)


@pytest.mark.parametrize(
    ("factory", "flag"),
    [
        ("with_nan", "not finite"),
        ("constant", "constant within images"),
        ("same", "depends on the other images of the batch"),
    ],
)
def test_a_layer_without_information_is_flagged_and_the_rest_scored(murine, mine, factory, flag):
    ran = murine("score", f"{mine.nets}:{factory}", *mine.options("--format", "json"))
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)[0]["n_sites"] == 2
    view = ("results", "--atlas", mine.folder / "atlas", "--view", "layers", "--format", "json")
    rows = json.loads(murine(*view).out)
    flagged = [row for row in rows if row["flag"]]
    assert {row["layer"] for row in flagged} == {"odd"}
    assert {row["site"] for row in flagged} == {"A", "B"}
    assert all(row["score"] is None and flag in row["flag"] for row in flagged), flagged[0]["flag"]
    scored = {row["layer"] for row in rows if row["score"] is not None}
    assert {"conv", "relu"} <= scored
    assert flag in murine(*view[:-2]).out


def test_a_network_with_one_value_for_every_image(murine, mine):
    options = mine.options()
    refused(murine("score", f"{mine.nets}:only_constant", *options), "no layer has a score", "--view layers")
    rows = json.loads(murine("results", "--atlas", mine.folder / "atlas", "--view", "layers", "--format", "json").out)
    assert rows
    assert all(row["flag"] and row["score"] is None for row in rows)
    ran = murine("score", f"{mine.nets}:only_constant", "pixels", *options)
    assert ran.code == 0
    assert "pixels" in ran.out


# ------------------------------------------------------------------------------------------------- images


def test_wrong_folders_of_images(murine, mine):
    (mine.folder / "empty").mkdir()
    refused(murine("score", "pixels", *mine.options("--stimuli", mine.folder / "no")), "there is no folder")
    refused(murine("score", "pixels", *mine.options("--stimuli", mine.folder / "empty")), "holds no image")
    refused(murine("score", "pixels", *mine.options("--stimuli", mine.nets)), "there is no folder")
    without = [x for x in mine.options() if x not in ("--stimuli", mine.images)]
    refused(murine("score", "pixels", *without), "came without images", "--stimuli FOLDER")
    refused(murine("score", "pixels", "--against", "allen-2p", "--data", mine.folder), "allen_natural_scenes")


def test_an_image_of_another_size(murine, mine):
    Image.new("L", (20, 16)).save(mine.images / "scene03.png")
    refused(murine("score", "pixels", *mine.options()), "must have one size", "scene03.png is 20 x 16")


def test_an_image_that_is_none(murine, mine):
    whole = (mine.images / "scene03.png").read_bytes()
    (mine.images / "scene03.png").write_bytes(whole[: len(whole) // 2])
    refused(murine("score", "pixels", *mine.options()), "scene03.png", "is no readable image", "truncated")


def test_missing_and_extra_images(murine, mine):
    shutil.copy(mine.images / "scene03.png", mine.images / "holiday.png")
    refused(murine("score", "pixels", *mine.options()), "1 of the 25 images", "have no responses: holiday")
    (mine.images / "holiday.png").unlink()
    (mine.images / "scene03.png").unlink()
    refused(murine("score", "pixels", *mine.options()), "1 of 24 stimuli have no image", "scene03")


def test_ids_that_do_not_match(murine, mine):
    mine.stimulus_ids = [f"im{i}" for i in range(24)]
    mine.write()
    refused(murine("score", "pixels", *mine.options()), "matched by id", "scene00", "im0")


# ------------------------------------------------------------------------------------------------- responses


@pytest.mark.parametrize("reason", ["missing", "constant"])
def test_unusable_neurons_are_reported_and_left_out(murine, mine, reason):
    mine.responses[3, 5 if reason == "missing" else slice(None)] = np.nan if reason == "missing" else 7
    mine.write()
    ran = murine("score", "pixels", *mine.options())
    assert ran.code == 0
    assert f"murine: mine: 1 neurons left out for {reason} responses: n3" in ran.err
    rows = json.loads(murine("results", "--atlas", mine.folder / "atlas", "--view", "sites", "--format", "json").out)
    assert {row["site"]: row["n_neuroids"] for row in rows} == {"A": 5, "B": 4}
    assert np.isfinite([row["score"] for row in rows]).all()
    shown = murine("data", "show", mine.folder / "mine.nc", "--stimuli", mine.images)
    assert shown.code == 0
    assert "n3" in shown.err


def test_no_usable_neuron(murine, mine):
    mine.responses[:] = 7
    mine.write()
    ran = murine("score", "pixels", "gabor", *mine.options("--quiet"))
    refused(ran, "no neuron of 'mine' can be used: 10 with constant responses")
    assert ran.err.count("\n") == 1  # once, not for each network


def test_one_repetition_has_raw_scores_and_no_ceiling(murine, mine):
    mine.responses = mine.responses[:, :, :1]
    mine.write()
    ran = murine("score", "pixels", *mine.options())
    assert ran.code == 0
    assert "Traceback" not in ran.err
    rows = json.loads(murine("results", "--atlas", mine.folder / "atlas", "--view", "layers", "--format", "json").out)
    assert all(row["ceiling"] is None and row["ceiled"] is None for row in rows)
    assert any(row["score"] is not None for row in rows)


def test_broken_recordings(murine, mine):
    whole = (mine.folder / "mine.nc").read_bytes()
    for share in (0.0, 0.1, 0.5, 0.9, 0.999):
        (mine.folder / "cut.nc").write_bytes(whole[: int(share * len(whole))])
        says = "may be truncated" if share else "it is empty"
        refused(murine("score", "pixels", *mine.options("--against", mine.folder / "cut.nc")), says)
    refused(murine("score", "pixels", *mine.options("--against", mine.folder / "no.nc")), "there is no file")
    (mine.folder / "cut.npz").write_bytes(b"PK\x03\x04 and no more")
    refused(murine("score", "pixels", *mine.options("--against", mine.folder / "cut.npz")), "no readable npz")
    np.savez(mine.folder / "bare.npz", rdm=np.zeros((3, 3)))
    refused(murine("score", "pixels", *mine.options("--against", mine.folder / "bare.npz")), "has no array matrices")
    asymmetric = {"sites": ["A"], "stimulus_ids": mine.stimulus_ids, "matrices": np.tri(24)[None]}
    np.savez(mine.folder / "bare.npz", **asymmetric)
    refused(murine("score", "pixels", *mine.options("--against", mine.folder / "bare.npz")), "no dissimilarity matrix")


@pytest.mark.parametrize("file", ["damaged.nc", "foreign.nc"])
def test_files_that_are_not_recordings(murine, mine, file):
    if file == "foreign.nc":
        import xarray as xr

        xr.Dataset({"x": ("t", [1.0])}).to_netcdf(mine.folder / file, engine="h5netcdf")
        parts = ("holds no variable of responses", "It holds x ('t',)")
    else:
        whole = bytearray((mine.folder / "mine.nc").read_bytes())
        whole[:8] = b"nonsense"
        (mine.folder / file).write_bytes(whole)
        parts = ("is no file of responses that murine knows", "it may be damaged")
    refused(murine("score", "pixels", *mine.options("--against", mine.folder / file)), *parts)


# ------------------------------------------------------------------------------------------------- options


def test_options_that_are_not_understood(murine, mine):
    cases = {
        ("--metric", "rsa-person"): ("unknown metric 'rsa-person'; did you mean rsa-pearson",),
        ("--by", "aera"): ("no coordinate 'aera'; did you mean area",),
        ("--select", "area"): ("--select 'area' is not understood; expected KEY=VALUE",),
        ("--select", "area=C"): ("no neuron of 'mine' has area 'C'", "A, B"),
        ("--select", "aera=A"): ("no coordinate 'aera'; did you mean area",),
        ("--min-reliability", "2"): ("--min-reliability is 2.0; expected a number from -1 to 1",),
        ("--input-size", "0"): ("--input-size is 0; expected a number from 1 to 4096",),
        ("--input-size", "big"): ("--input-size 'big' is not understood",),
        ("--device", "abacus"): ("unknown device 'abacus'",),
        ("--against", "simulatd"): ("unknown dataset 'simulatd'; did you mean simulated",),
    }
    for options, parts in cases.items():
        refused(murine("score", "pixels", "gabor", *mine.options(*options)), *parts)
    ran = murine("score", f"{mine.nets}:good", *mine.options("--layers", "nolayer"))
    refused(ran, "no module matches 'nolayer'", "--layers all", noted=True)
    for options in (("--bootstraps", "1"), ("--seed", "-1"), ("--format", "xml"), ("--jobs", "0"), ("--nonsense",)):
        ran = murine("score", "pixels", *mine.options(*options))
        assert ran.code == 2
        assert options[0] in ran.err
        assert "Traceback" not in ran.err


def test_questions_that_cannot_be_answered(murine, mine):
    atlas = ("--atlas", mine.folder / "atlas")
    refused(murine("results", *atlas), "there are no results in", "murine score NETWORK")
    refused(murine("report", *atlas, "--out", mine.folder / "r.html"), "there are no results in")
    assert murine("score", "pixels", *mine.options()).code == 0
    cases = {
        ("--sort", "nope"): ("there is no column 'nope'; columns are", "ceiled"),
        ("--site", "A"): ("this view has no column 'site'", "--view sites"),
        ("--cortex", "min"): ("no result has cortex 'min'; did you mean mine",),
        ("--metric", "rsa"): ("no result has metric 'rsa'",),
        ("--sql", "SELEC x"): ("the query failed", "SELEC x"),
        ("--sql", "SELECT x FROM scores"): ("the query failed", "x"),
        ("--sql", "DELETE FROM scores"): ("the query is a DELETE statement",),
        ("--sql", " "): ("the query holds no statements; expected one",),
    }
    for options, parts in cases.items():
        refused(murine("results", *atlas, *options), *parts)
    next((mine.folder / "atlas" / "scores").glob("*.parquet")).write_bytes(b"PAR1")
    ran = murine("results", *atlas)
    assert ran.code == 2
    assert "left out" in ran.err
    assert "there are no results in" in ran.err


# ------------------------------------------------------------------------------------------------- where to write


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What a full disk is to a process: a write beyond this fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(("place", "size"), [("kernels", 1000), ("scores", 6000)])
def test_a_full_disk(murine, mine, place, size):
    assert murine("score", f"{mine.nets}:good", *mine.options()).code == 0
    before = {f: f.read_bytes() for f in (mine.folder / "atlas").rglob("*") if f.is_file()}
    with files_of_at_most(size):
        ran = murine("score", "pixels", *mine.options())
    refused(ran, f"/{place}/", "could not be written: the file would be too large", "goes on from there", noted=True)
    left = {f for f in (mine.folder / "atlas").rglob("*") if f.is_file()}
    assert {f: f.read_bytes() for f in before} == before
    assert {f.parent.name for f in left - set(before)} <= {"kernels", "failures"}
    assert murine("results", "--atlas", mine.folder / "atlas").code == 0
    ran = murine("score", "pixels", f"{mine.nets}:good", *mine.options())
    assert ran.code == 0
    assert ran.told.startswith("1 computed")
    assert ", 1 done before, 0 failed" in ran.told


def test_a_full_disk_for_the_report(murine, mine):
    assert murine("score", "pixels", *mine.options()).code == 0
    with files_of_at_most(1000):
        ran = murine("report", "--atlas", mine.folder / "atlas", "--out", mine.folder / "r.html")
    refused(ran, "r.html", "could not be written")
    assert not list(mine.folder.glob("*r.html*"))


def test_paths_that_cannot_be_folders(murine, mine):
    (mine.folder / "file").write_text("precious")
    for atlas in ("file", "file/below"):
        ran = murine("score", "pixels", *mine.options("--atlas", mine.folder / atlas))
        refused(ran, "could not be written", "a part of its path is a file, not a folder", noted=True)
        refused(murine("results", "--atlas", mine.folder / atlas), "there are no results in")
    assert murine("score", "pixels", *mine.options()).code == 0
    report = ("report", "--atlas", mine.folder / "atlas", "--out")
    refused(murine(*report, mine.folder / "file" / "r.html"), "could not be written", "is a file, not a folder")
    refused(murine(*report, mine.folder), "could not be written", "there is a folder of that name")
    assert (mine.folder / "file").read_text() == "precious"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_atlas(murine, mine):
    (mine.folder / "atlas").mkdir(mode=0o500)
    ran = murine("score", "pixels", *mine.options())
    refused(ran, "could not be written: writing is not allowed", noted=True)


def test_what_would_be_ignored_is_refused(murine, tmp_path):
    (tmp_path / "net.py").write_text("def build(): ...")
    refused(murine("score", tmp_path / "net.py"), "names no function", "file.py:FUNCTION")
    refused(murine("score", "pixels", "--stimuli", tmp_path), "'simulated' brings its own images", "would be ignored")
    for name in ("none.nc", "none.npz", "none.h5"):
        refused(murine("score", "pixels", "--against", tmp_path / name), "there is no file", name)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_images_that_are_not_finite_are_named(value):
    images = np.full((4, 5, 5), 0.5)
    images[2, 1, 1] = value
    with pytest.raises(MurineError, match=r"^1 of the 4 images of 'mine' hold NaN or infinite values: c\. Fill them"):
        StimulusSet.from_arrays(images, list("abcd"), name="mine")
