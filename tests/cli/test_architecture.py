"""`murine align` and `murine explain` as a user meets them."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import spearmanr

from murine.architecture.sequence_similarity import similarities
from murine.atlas.identity import CortexSettings
from murine.atlas.store import Atlas
from murine.atlas.sweep import SweepSettings, sweep
from murine.cortex.simulated import simulate
from murine.errors import MurineError
from murine.networks.zoo import NetworkSpec
from murine.scenes import synthetic_scenes
from murine.scoring.settings import ScoreSettings
from murine.similarity.rdm_vectors import upper_triangle
from murine.studies.architectures import explain, relate

pytestmark = pytest.mark.usefixtures("unchecked")

NETWORKS = """
import torch
from torch import nn


class Net(nn.Sequential):
    default_cfg = {"input_size": (3, 32, 32), "mean": (0, 0, 0), "std": (1, 1, 1)}


def chain(*widths, relu=True, kernel=3):
    layers = []
    for inputs, outputs in zip((3, *widths), widths):
        layers += [nn.Conv2d(inputs, outputs, kernel), *([nn.ReLU()] if relu else [])]
    return Net(*layers, nn.AdaptiveAvgPool2d(4), nn.Flatten())


def short():
    return chain(5)


def middle():
    return chain(5, 6)


def long():
    return chain(4, 5, 6, 4)


def linear():
    return chain(5, 6, relu=False)


def pooled():
    return Net(nn.AvgPool2d(2), *chain(5, 5), nn.Linear(80, 7))


def wide():
    return chain(12, kernel=5)


def nothing():
    return Net(nn.Identity())


def wrong():
    return Net(nn.Linear(7, 7))
"""

NAMES = ("short", "middle", "long", "linear", "pooled", "wide")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A file of networks, and an atlas of them against a small cortex."""
    place = tmp_path_factory.mktemp("architectures")
    (place / "nets.py").write_text(NETWORKS)
    cortex = simulate(synthetic_scenes(16, 40), n_neuroids=8, n_repetitions=6, reliability=0.9)
    cortex.recording.write(place / "mouse.nc")
    np.savez(place / "images.npz", images=cortex.stimuli.images, ids=cortex.stimuli.ids)
    plan = SweepSettings(
        CortexSettings(cortex=str(place / "mouse.nc"), n_splits=2),
        input_size=32,
        scoring=ScoreSettings(n_bootstraps=4, n_permutations=4, seed=0),
        stimuli=place / "images.npz",
    )
    choices = [NetworkSpec.parse(f"{place / 'nets.py'}:{name}@random:0") for name in NAMES]
    choices += [NetworkSpec.parse(f"{place / 'nets.py'}:short@random:1"), NetworkSpec("pixels")]
    outcomes = sweep(choices, plan, Atlas(place / "atlas"))
    sweep(choices[:1], replace(plan, metrics=("cka",)), Atlas(place / "two"))
    sweep(choices[:1], plan, Atlas(place / "two"))
    assert {outcome.state for outcome in outcomes} == {"computed"}
    return place


def is_picture(file: Path) -> bool:
    """A picture with something on it."""
    with Image.open(file) as opened:
        return bool(np.asarray(opened.convert("L")).std() > 10)


def test_published_alignments(murine, tmp_path):
    ran = murine("align", "vgg11", "vgg16", "vgg19", "--figure", tmp_path / "vgg.png")
    assert ran.code == 0
    assert is_picture(tmp_path / "vgg.png")
    assert "vgg16 and vgg19: score 15, 21 matches" in ran.out
    lines = ran.out.splitlines()
    at = lines.index("vgg16     1 CCMCCM-CCCM-CCCM-CCCMLLL")
    assert lines[at + 1] == "            |||||| |||| |||| |||||||"
    assert lines[at + 2] == "vgg19     1 CCMCCMCCCCMCCCCMCCCCMLLL"
    assert "C convolution" in ran.out
    assert "vgg16     21 layers  Keras 3.15.1 VGG16" in ran.out


def test_tables_for_other_programs(murine):
    rows = list(csv.DictReader(io.StringIO(murine("align", "vgg11", "vgg16", "vgg19", "--format", "csv").out)))
    assert [(row["first"], row["second"], row["score"]) for row in rows] == [
        ("vgg11", "vgg16", "-10"),
        ("vgg11", "vgg19", "-10"),
        ("vgg16", "vgg19", "15"),
    ]
    assert rows[2]["aligned"] == "CCMCCM-CCCM-CCCM-CCCMLLL"
    assert float(rows[2]["index"]) == pytest.approx(15 / np.sqrt(21 * 24))
    (row,) = json.loads(murine("align", "torchvision:vgg16", "vgg16", "--format", "json").out)
    assert row["layers"] == 39
    assert row["shared"] == pytest.approx(2 * 21 / (39 + 21))


def test_the_suite_its_heat_map_short_list_and_lengths(murine, tmp_path):
    files = {name: tmp_path / f"{name}.png" for name in ("heatmap", "lengths", "published")}
    options = [text for name, file in files.items() for text in (f"--{name}", file)]
    ran = murine("align", "--suite", "neurn44", "--shortlist", 13, *options)
    assert ran.code == 0
    assert all(is_picture(file) for file in files.values())
    assert "2 of 44 networks cannot be built: proxyless_nas, midas" in ran.err
    assert "13 clusters by index" in ran.out
    assert "vgg19: vgg16, vgg11" in ran.out
    assert "36 of suite:neurn44 and the published one, 630 pairs: r 0.928" in ran.out
    assert "without vit, whose row agrees least (r 0.50): 35 networks, r 0.980" in ran.out
    assert "index: Spearman's rho with the ratio of lengths -0.93" in ran.out
    assert "score" in ran.out
    assert "matches\n" not in ran.out  # no alignments of 861 pairs


def test_other_similarities(murine, folder, tmp_path):
    nets = [f"{folder / 'nets.py'}:{name}" for name in NAMES]
    ran = murine("align", *nets, "--similarity", "shared", "--shortlist", 2, "--heatmap", tmp_path / "h.pdf", "-q")
    assert ran.code == 0
    assert (tmp_path / "h.pdf").read_bytes().startswith(b"%PDF")
    assert "2 clusters by shared" in ran.out
    assert ran.err == ""


def test_pictures_have_room_for_long_paths(murine, tmp_path):
    """Names of files and functions as long as users have them, and a dollar sign: warnings would fail this."""
    one, two = (tmp_path / "projects" / "$HOME" / ("a folder of the laboratory " * 4) / name for name in "ab")
    for folder in (one, two):
        folder.mkdir(parents=True)
        (folder / "networks.py").write_text(NETWORKS)
    nets = [f"{one / 'networks.py'}:{name}" for name in ("short", "long", "pooled")]
    nets.append(f"{two / 'networks.py'}:short")
    options = ["--heatmap", tmp_path / "h.svg", "--figure", tmp_path / "f.svg", "-q"]
    ran = murine("align", *nets, *options)
    assert (ran.code, ran.err) == (0, "")
    for picture in ("h.svg", "f.svg"):
        written = (tmp_path / picture).read_text()
        assert "<!-- long -->" in written
        assert "a/networks.py:short -->" in written  # which of two of the same name
        assert "b/networks.py:short -->" in written


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vgg16"], "1 network to align; give at least two"),
        ([], "0 networks to align"),
        (["vgg16", "vgg16"], "1 network to align"),
        (["vgg16", "vgg61"], "unknown network 'vgg61'; did you mean vgg19"),
        (["vgg16", "vgg19", "--vocabulary", "papper"], "unknown vocabulary 'papper'; did you mean paper?"),
        (["vgg16", "vgg19", "--vocabulary", "none.json"], "there is no file 'none.json'"),
        (["vgg16", "vgg19", "--similarity", "indx"], "did you mean index?"),
        (["vgg16", "vgg19", "--heatmap", "h.png"], "at least 3 are needed"),
        (["vgg16", "vgg19", "vgg11", "--shortlist", "4"], "4 clusters of 3 networks"),
        (["vgg16", "vgg19", "--figure", "f.gif"], "pictures are written as .png, .pdf, .svg"),
        (["--suite", "neurn45"], "there is no suite 'neurn45'; did you mean neurn44"),
        (["vgg16", "{nets}:wrong"], "Net fails on an input of 3 x 32 x 32"),
        (["vgg16", "{nets}:nothing"], "is empty: of the 1 layers that ran (identity) none"),
        (["vgg16", "{nets}:none"], "has no function 'none'"),
    ],
)
def test_wrong_input_to_align(murine, folder, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    ran = murine("align", *(text.replace("{nets}", str(folder / "nets.py")) for text in arguments))
    assert ran.code == 2
    assert message in ran.err
    assert "Traceback" not in ran.err


def test_a_picture_of_many_alignments_shows_the_first_and_says_so(murine, tmp_path, monkeypatch):
    monkeypatch.setattr("murine.cli.align._DRAWN", 2)
    ran = murine("align", "vgg11", "vgg13", "vgg16", "--figure", tmp_path / "f.png", "--format", "csv")
    assert ran.code == 0, ran.err
    assert is_picture(tmp_path / "f.png")
    assert "f.png shows the first 2 of 3 alignments." in ran.err
    assert len(ran.out.splitlines()) == 1 + 3


@pytest.mark.parametrize("option", ["--figure", "--heatmap", "--lengths", "--published"])
def test_pictures_that_cannot_be_written_are_refused_before_anything_runs(murine, monkeypatch, option):
    monkeypatch.setattr("murine.architecture.named_sequences.find_sequences", None)
    ran = murine("align", "vgg11", "vgg13", option, "f.gif")
    assert ran.code == 2
    assert "pictures are written as .png, .pdf, .svg" in ran.err


def test_explaining_an_atlas(murine, folder, tmp_path):
    given = ["--atlas", folder / "atlas", "--role", "random", "--file", folder / "nets.py"]
    given += ["--bootstraps", 20, "--permutations", 99]
    ran = murine("explain", *given, "--figure", tmp_path / "explained.png", "--format", "csv")
    assert ran.code == 0, ran.err
    assert is_picture(tmp_path / "explained.png")
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert {row["n_networks"] for row in rows} == {"6"}
    assert {row["n_permutations"] for row in rows} == {"99"}
    assert len(rows) == 4 * 4 + 3 * 4 + 2 * 2 * 2
    assert "of each architecture the first counts; left out: nets.py:short@random:1" in ran.err
    assert "6 networks tell little: 20 or more are needed for a conclusion." in ran.err
    for row in rows:
        if row["r"]:
            assert float(row["p"]) <= 0.05 or float(row["low"]) <= 0 <= float(row["high"]), row
    shown = murine("explain", *given).out
    assert shown.splitlines()[0].endswith(" permutations; fewer than 20 networks are too few for a conclusion")


def test_of_a_family_one_network_counts_and_of_a_network_not_its_variants(tmp_path):
    names = ["test_resnet", "test_resnet+neurn", "test_vit", "test_vit2", "test_convnext", "test_mambaout"]
    names += ["test_efficientnet"]
    cortex = simulate(synthetic_scenes(16, 40), n_neuroids=8, n_repetitions=6, reliability=0.9)
    cortex.recording.write(tmp_path / "mouse.nc")
    np.savez(tmp_path / "images.npz", images=cortex.stimuli.images, ids=cortex.stimuli.ids)
    plan = SweepSettings(
        CortexSettings(cortex=str(tmp_path / "mouse.nc"), n_splits=2),
        layers="blocks",
        input_size=64,
        scoring=ScoreSettings(n_bootstraps=4, n_permutations=0, seed=0),
        stimuli=tmp_path / "images.npz",
    )
    atlas = Atlas(tmp_path / "atlas")
    outcomes = sweep([NetworkSpec.parse(f"{name}@random:0") for name in names], plan, atlas)
    assert {outcome.state for outcome in outcomes} == {"computed"}, outcomes
    few = {"role": "random", "n_permutations": 99, "n_bootstraps": 0}
    assert sorted(explain(atlas, **few).networks.network) == sorted({*names} - {"test_resnet+neurn"})
    one = explain(atlas, one_per_family=True, **few)
    assert sorted(one.networks.network) == [
        "test_convnext",
        "test_efficientnet",
        "test_mambaout",
        "test_resnet",
        "test_vit",
    ]


def test_the_least_p_is_not_zero(murine, folder):
    given = ["--atlas", folder / "atlas", "--role", "random", "--file", folder / "nets.py", "--permutations", 99]
    ran = murine("explain", *given, "--bootstraps", 20, "--format", "markdown")
    assert "| first | second | given | r | p | q |" in ran.out
    assert "| 0.000 |" not in ran.out
    assert all(float(line.split("|")[5]) >= 0.01 for line in ran.out.splitlines()[2:] if line)


def test_what_is_explained_is_what_the_atlas_holds(folder):
    store = Atlas(folder / "atlas")
    found = explain(store, role="random", files=[folder / "nets.py"], n_permutations=99, n_bootstraps=0)
    networks = found.networks.set_index("network")
    assert networks.letters["nets.py:long"] == "CRCRCRCRa"
    assert networks.letters["nets.py:linear"] == "CCa"
    letters = list(networks.letters)
    np.testing.assert_allclose(found.distances["shared"], 1 - similarities["shared"](letters))
    rows = store.query("SELECT network, site, score, ceiled, chosen FROM scores WHERE stimuli = 'all' AND chosen <> ''")
    rows = rows[rows.chosen == ("nested" if (rows.chosen == "nested").any() else "naive")]
    sites = rows[rows.network.isin(networks.index)].pivot_table(index="network", columns="site", values="ceiled")
    sites = sites.loc[networks.index].to_numpy()
    profile = np.sqrt(((sites[0] - sites[1]) ** 2).mean())
    assert found.distances["profile"][0, 1] == pytest.approx(profile)
    assert found.distances["score"][0, 1] == pytest.approx(abs(sites[0].mean() - sites[1].mean()))
    for name in ("cka-debiased", "rsa-pearson", "profile", "score"):
        matrix = found.distances[name]
        np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    np.testing.assert_allclose(np.diag(found.distances["rsa-pearson"]), 0, atol=1e-9)
    assert (found.distances["score"] <= found.distances["profile"] + 1e-9).all()  # Jensen
    row = found.relations.query("first == 'index' and second == 'score' and given == ''").iloc[0]
    assert row.r == pytest.approx(
        spearmanr(*(upper_triangle(found.distances[k]) for k in ("index", "score"))).statistic
    )


def test_a_confounder_is_found_out():
    """Brain scores depend on the length alone, and so does the index: nothing is left when the length is held."""
    rng = np.random.default_rng(0)

    def apart(values):
        return np.abs(values[:, None] - values)

    def noisy(matrix, amount):
        return matrix + amount * apart(rng.standard_normal(len(matrix)))

    length = apart(rng.standard_normal(25))
    distances = {name: noisy(length, 0.1) for name in ("index", "score", "profile")}
    distances |= {name: apart(rng.standard_normal(25)) for name in ("shared", "motifs", "cka-debiased")}
    distances |= {"length": length, "rsa-pearson": noisy(distances["profile"], 0.02)}
    found = relate(distances, n_permutations=199, n_bootstraps=0).set_index(["first", "second", "given"])
    assert found.p["index", "score", ""] == 1 / 200
    assert found.p["index", "score", "length"] > 0.05
    assert found.p["rsa-pearson", "profile", "shared"] == 1 / 200
    assert found.p["motifs", "cka-debiased", ""] > 0.05
    assert (found.q >= found.p).all()


def test_wrong_input_to_explain(murine, folder, tmp_path):
    ran = murine("explain", "--atlas", tmp_path)
    assert (ran.code, "there are no results in" in ran.err) == (2, True)
    ran = murine("explain", "--atlas", folder / "atlas")
    assert (ran.code, "no trained network has a score there" in ran.err) == (2, True)
    ran = murine("explain", "--atlas", folder / "atlas", "--role", "random")
    assert ran.code == 2
    assert "there are 0 random networks of different architecture" in ran.err
    assert "Networks of a file need --file" in ran.err
    ran = murine("explain", "--atlas", folder / "two", "--role", "random")
    assert (ran.code, "several: cka, rsa-pearson. Choose one with --metric" in ran.err) == (2, True)
    with pytest.raises(MurineError, match="at least 5 are needed"):
        explain(Atlas(folder / "two"), metric="cka", role="random", files=[folder / "nets.py"])
