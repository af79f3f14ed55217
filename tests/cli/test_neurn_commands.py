"""`murine neurn` as a user meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commands import Ran
from PIL import Image

from murine.atlas.store import Atlas
from murine.cortex.simulated import simulate
from murine.scenes import synthetic_scenes

pytestmark = pytest.mark.usefixtures("unchecked")

NETWORKS = """
import torch
from torch import nn


class Net(nn.Sequential):
    default_cfg = {"input_size": (3, 32, 32)}


class Call(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def conv():
    return Net(nn.Conv2d(3, 6, 5, stride=2), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.Flatten())


def wide():
    return Net(nn.Conv2d(3, 9, 3, stride=2), nn.ReLU(), nn.Flatten())


def odd():
    return Net(Call(torch.Tensor.long), Call(torch.Tensor.float), Call(lambda x: x + 0j), Call(torch.real),
               Call(lambda x: x / 0 * 0), nn.Flatten())
"""


@pytest.fixture
def murine(murine, folder) -> Callable[..., Ran]:
    """Run `murine neurn` on networks of the file."""

    def run(*arguments: object, networks: tuple[str, ...] = ("conv@random:0", "wide@random:0")) -> Ran:
        nets = [f"{folder / 'nets.py'}:{name}" for name in networks]
        few = ["--bootstraps", 20, "--splits", 2, "--input-size", 32, "--atlas", folder / "atlas"]
        cortex = ["--against", folder / "mouse.nc", "--stimuli", folder / "images.npz"]
        return murine("neurn", *nets, *cortex, *few, *arguments)

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("neurn")
    (place / "nets.py").write_text(NETWORKS)
    cortex = simulate(synthetic_scenes(24, 40), n_neuroids=40, n_repetitions=6, reliability=0.9)
    cortex.recording.write(place / "mouse.nc")
    np.savez(place / "images.npz", images=cortex.stimuli.images, ids=cortex.stimuli.ids)
    return place


def test_a_table_a_picture_and_nothing_twice(murine, folder, tmp_path):
    picture = tmp_path / "neurn.png"
    ran = murine("--figure", picture, "--by", "cell_class")
    assert ran.code == 0, ran.err
    assert "neurn(k=3)@input" in ran.out
    assert "difference" in ran.out
    assert all(site in ran.out for site in ("excitatory", "inhibitory", "all sites", "mean of 2"))
    assert "4 computed, 0 done before, 0 failed" in ran.err
    with Image.open(picture) as opened:
        assert np.asarray(opened.convert("L")).std() > 10
    again = murine("--view", "means", "--format", "json", "--by", "cell_class")
    assert "0 computed, 4 done before" in again.err
    (row,) = json.loads(again.out)
    assert row["network"] == "mean of 2"
    assert row["n_networks"] == 2
    assert row["difference"] == pytest.approx(row["after"] - row["before"])
    assert row["difference_low"] < row["difference"] < row["difference_high"]


def test_more_variants_than_fit_in_a_row_go_on_in_the_next(murine, folder, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("murine.report.architectures.write", lambda figure, file: drawn.append(figure))
    layers = [x for k in (2, 3, 4, 5, 6, 7, 8) for x in ("--layer", f"neurn(k={k})")]
    ran = murine(*layers, "--figure", tmp_path / "seven.png", "--view", "networks", "-q")
    assert ran.code == 0, ran.err
    titles = [axes.get_title(loc="left").splitlines()[0] for axes in drawn[0].axes if axes.axison]
    assert titles == [f"neurn(k={k})@input" for k in (2, 3, 4, 5, 6, 7, 8)]
    assert all(axes.get_lines() for axes in drawn[0].axes if axes.axison)


def test_means_of_one_network_are_refused_before_anything_runs(murine, monkeypatch):
    monkeypatch.setattr("murine.atlas.sweep.sweep", None)
    ran = murine("--view", "means", networks=("conv@random:0",))
    assert ran.code == 2
    assert ran.err == "murine: --view means needs two networks at least, to have a mean; --view networks shows one.\n"


def test_means_that_do_not_exist_are_no_reason_to_lose_the_rest(murine):
    """A trained and a random network have no mean."""
    ran = murine("--view", "means", networks=("conv", "wide@random:0"))
    assert ran.code == 0, ran.err
    assert "no two networks of one role have scores" in ran.err
    assert "conv" in ran.out
    assert "wide" in ran.out


def test_other_layers_places_and_metrics(murine):
    asked = ["--layer", "sobel", "--layer", "lrn", "--at", "image", "--at", "0", "--metric", "cka"]
    one = ("conv@random:0",)
    ran = murine(*asked, "--view", "networks", "--format", "json", "-q", "--over", "neurons", networks=one)
    assert ran.err == ""
    rows = json.loads(ran.out)
    assert len(rows) == 4
    variants = [
        f"{layer}@{place}" for layer in ("sobel(relative=True)", "lrn(size=5)") for place in ("image", "after:0")
    ]
    assert {row["variant"] for row in rows} == set(variants)
    assert {row["over"] for row in rows} == {"neurons"}
    assert all(row["inserted"] == 0 for row in rows)


def test_what_was_put_in_is_a_layer_to_choose_only_if_asked_for(murine, folder):
    murine("-q")
    murine("-q", "--layers", "all")
    rows = Atlas(folder / "atlas").query(
        "SELECT DISTINCT layers, layer FROM scores WHERE network LIKE '%+neurn%@input'"
    )
    found = {which: set(own.layer) for which, own in rows.groupby("layers")}
    assert found["all"] - found["own"] == {"inserted.input"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layer", "nern"], "unknown layer 'nern'; did you mean neurn"),
        (["--layer", "neurn(k=0)"], "the layer 'neurn(k=0)' cannot be made"),
        (["--layer", "neurn(k=33)"], "kernel_size 33 was given images of 32 x 32 px"),
        (["--at", "inptu:"], "the place 'inptu:' is not understood; expected input, image, after:PATTERN"),
        (["--at", "after:10"], "no module matches '10'"),
        (
            ["--at", "replace:0"],
            "it turns 1 x 3 x 32 x 32 into 1 x 3 x 32 x 32, but the module returns 1 x 6 x 14 x 14",
        ),
        (["--at", "after:3"], "which is not a map of the image; expected (n, channels, height, width)"),
        (["--metric", "rsa"], "unknown metric 'rsa'"),
        (["--figure", "f.gif"], "pictures are written as .png, .pdf, .svg"),
        (["--figure", "f.png", "--input-size", "64"], "--figure is of one --input-size"),
        (["--over", "animals"], "which animal they are of"),
    ],
)
def test_bad_input(murine, arguments, message):
    ran = murine(*arguments, networks=("conv@random:0",))
    assert ran.code == (1 if ": failed (" in ran.err else 2)  # 1 where a network failed
    assert message in " ".join(ran.err.split())
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("after:0", "its input there is 1 x 3 x 32 x 32 of torch.int64, which is not a map of the image"),
        ("after:2", "its input there is 1 x 3 x 32 x 32 of torch.complex64, which is not a map of the image"),
    ],
)
def test_integers_and_complex_numbers(murine, place, message):
    ran = murine("--at", place, networks=("odd",))
    assert ran.code == 1
    assert message in " ".join(ran.err.split())


def test_nan_gives_no_score_and_the_reason(murine):
    ran = murine("--at", "after:4", "--layers", "4", networks=("odd",))
    assert ran.code == 2
    assert "no layer has a score: every one is flagged" in ran.err


def test_one_network_that_fails_does_not_stop_the_others(murine):
    ran = murine("--at", "before:1", networks=("conv@random:0", "odd", "wide@random:1"))
    assert ran.code == 1
    assert all(name in ran.out for name in ("conv", "wide", "mean of 2"))
    assert "which is not a map of the image" in " ".join(ran.err.split())
