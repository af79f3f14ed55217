"""`murine masquerade` as a user meets it, on a simulated cortex of eight mice."""

from __future__ import annotations

import many_mice
import pytest

pytestmark = pytest.mark.usefixtures("unchecked")

NETWORKS = """
import torch
from torch import nn


class Net(nn.Sequential):
    default_cfg = {"input_size": (3, 64, 64), "mean": (0, 0, 0), "std": (1, 1, 1)}


def conv(pretrained=True):
    return Net(nn.Conv2d(3, 12, 5, stride=3), nn.ReLU(), nn.Conv2d(12, 8, 3))


def tiny(pretrained=True):
    return Net(nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("masquerade")
    data = many_mice.dataset()
    data.responses.write(folder / "mice.nc")
    data.stimuli.write(folder / "images.npz")
    many_mice.relabelled(4).responses.write(folder / "four.nc")
    (folder / "nets.py").write_text(NETWORKS)
    return folder


def asked(folder, *networks, data="mice.nc"):
    named = [f"{folder / 'nets.py'}:{name}" for name in networks]
    return "masquerade", *named, "--against", folder / data, "--stimuli", folder / "images.npz"


def test_verdicts_for_every_area_with_and_without_windows(folder, murine):
    ran = murine(*asked(folder, "conv"), "--atlas", folder / "atlas", "--out", folder / "out", "--format", "json", "-q")
    assert ran.code == 0
    assert [(row["area"], row["windows"]) for row in ran.rows] == [
        (area, windows) for area in ("SIMam", "SIMl", "SIMp", "all areas") for windows in ("none", "thirds")
    ]
    assert {row["verdict"] for row in ran.rows if row["area"] != "all areas"} == {"not a mouse"}
    assert sorted(file.suffix for file in (folder / "out").iterdir()) == [".csv", ".png"]
    again = murine(*asked(folder, "conv"), "--atlas", folder / "atlas", "--format", "json", "-q")
    assert again.rows == ran.rows


def test_areas_and_words(folder, murine):
    ran = murine(*asked(folder, "conv"), "--areas", "SIMp", "--windows", "none", "--atlas", folder / "other")
    assert ran.code == 0
    assert "SIMp: not a mouse (p = 0.0" in ran.out
    assert "SIMl" not in ran.out.replace("SIMl 0%", "").replace("SIMl 100%", "").split("SIMp: not")[0]


def test_what_cannot_be_compared_is_told_in_a_sentence(folder, murine):
    ran = murine(*asked(folder, "tiny"), "--atlas", folder / "none", "-q")
    assert ran.code == 2
    assert "A layer of one pixel" in ran.err
    ran = murine(*asked(folder, "conv", data="four.nc"), "--atlas", folder / "none", "-q")
    assert ran.code == 2
    assert "has 5 animals" in ran.err
    ran = murine(*asked(folder, "conv"), "--areas", "SIMx", "--atlas", folder / "none", "-q")
    assert ran.code == 2
    assert "no area 'SIMx'" in ran.err


def test_one_network_that_fails_does_not_stop_the_others(folder, murine):
    ran = murine(*asked(folder, "tiny", "conv"), "--windows", "none", "--atlas", folder / "two", "-q")
    assert ran.code == 1
    assert "A layer of one pixel" in ran.err
    assert "not a mouse" in ran.out


def test_regression_is_described_beside_the_mice(folder, murine):
    ran = murine(*asked(folder, "conv"), "--areas", "SIMl", "--atlas", folder / "atlas2", "--regression", "-q")
    assert ran.code == 0
    heading = next(line for line in ran.out.splitlines() if "mice_to_mice" in line)
    assert "network_to_mice" in heading
