"""The page on domains holds all numbers, loads nothing, and shows what NeuRN does."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from browser import needs_browser, shown

from murine.domains.domain import Domain, Identity
from murine.domains.preparation import Preparation
from murine.generalization import summary
from murine.networks.surgery.neurn import NeuRNTransform
from murine.report.domain_pictures import example_grid
from murine.report.generalization import board, write_page


def runs(diverged=False):
    rng = np.random.default_rng(0)
    found = []
    for variant in ("plain", "neurn3", "<i>sobel</i>"):
        for seed in range(3):
            for target in ("mnist", "usps", "svhn", "mnist+blur:1", "mnist+blur:2"):
                labels = np.arange(60) % 3
                predicted = np.where(rng.random(60) < 0.8, labels, (labels + 1) % 3)
                found.append(
                    {
                        "task": f"{variant}{seed}",
                        "source": "mnist",
                        "network": "lenet",
                        "pretrained": False,
                        "variant": variant,
                        "model_seed": seed,
                        "data_seed": seed,
                        "target": target,
                        "state": "diverged" if diverged and variant == "neurn3" and seed == 2 else "finished",
                        "unseen": target != "mnist",
                        "corruption": "+" in target,
                        "n_images": 60,
                        "n_train": 100,
                        "n_validation": 10,
                        "ece": 0.1,
                        "labels": labels,
                        "predicted": predicted,
                        "groups": np.arange(60),
                    }
                )
    return pd.DataFrame(found)


def curves():
    rows = [
        {
            "source": "mnist",
            "network": "lenet",
            "pretrained": False,
            "variant": v,
            "model_seed": s,
            "epoch": e,
            "loss": 1 / e,
        }
        for v in ("plain", "neurn3")
        for s in range(3)
        for e in (1, 2)
    ]
    return pd.DataFrame(rows).assign(validation_accuracy=0.5)


def digits():
    rng = np.random.default_rng(1)
    labels = np.array([2, 0, 1, 1, 0, 2])
    return Domain(
        name="digits",
        images=rng.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8),
        labels=labels,
        parts=np.array(["test"] * 6),
        groups=np.array([""] * 6),
        positions=np.arange(6),
        classes=("0", "1", "2"),
        identity=Identity(name="digits", sources=(), preparation=Preparation()),
    )


def test_page_tells_every_number_and_loads_nothing(tmp_path):
    rows = runs(diverged=True)
    file = write_page(rows, curves(), [digits()], tmp_path / "page.html", recipes=['{"epochs":3}'])
    text = file.read_text("utf-8")
    for cell in summary.cells(rows).itertuples():
        if "+" not in cell.target:
            assert f"{100 * cell.accuracy:.1f}" in text
    assert "1 of neurn3" in text
    assert "<i>sobel</i>" not in text
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", text.split("<script>")[0])
    figures = re.findall(r'<script type="application/json">(.*?)</script>', text)
    assert len(figures) == 6
    assert all(json.loads(figure)["data"] for figure in figures)


def test_a_network_from_weights_and_from_scratch_has_two_boards(tmp_path):
    rows = pd.concat([runs(), runs().assign(pretrained=True)])
    lines = pd.concat([curves(), curves().assign(pretrained=True, loss=0.125)])
    file = write_page(rows, lines, [digits()], tmp_path / "page.html")
    drawn = [json.loads(f) for f in re.findall(r'<script type="application/json">(.*?)</script>', file.read_text())]
    losses = [{y for t in figure["data"] for y in t["y"]} for figure in drawn if "0.125" in json.dumps(figure)]
    assert len(losses) == 1
    assert 1.0 not in losses[0]


def test_a_single_unseen_domain_is_told():
    rows = runs()
    told = board(rows[rows.target.isin(["mnist", "usps"])], curves(), "m")
    assert "accuracy on usps" in told["finding"]


def test_figures_hold_the_summary():
    rows = runs()
    told = board(rows, curves(), "m")
    cells = summary.cells(rows).set_index(["variant", "target"])
    heat = json.loads(told["figures"]["heat"])["data"][0]
    for variant, values in zip(heat["y"], heat["z"], strict=True):
        for target, value in zip(heat["x"], values, strict=True):
            assert value == pytest.approx(100 * cells.accuracy[variant, target], abs=1e-3)
    strength = json.loads(told["figures"]["strength"])["data"]
    assert strength[0]["x"] == [1, 2]
    expected = [100 * cells.accuracy["plain", f"mnist+blur:{n}"] for n in (1, 2)]
    assert strength[0]["y"] == pytest.approx(expected, abs=1e-3)


def brains():
    """Two variants: the mean of two seeds, and each."""
    rows = []
    for i, variant in enumerate(("neurn3", "<i>sobel</i>")):
        for seed in (0, 1, -1):
            row = {"source": "mnist", "network": "lenet", "pretrained": False, "variant": variant, "model_seed": seed}
            row |= {
                "no_claim": "" if seed < 0 else "one seed",
                "cortex": "allen-2p",
                "metric": "rsa-pearson",
                "brain_before": 0.25 if seed < 0 else 0.3,
            }
            for j, name in enumerate(("brain_difference", "accuracy_difference")):
                value = 0.1 * i - 0.07 * j
                row |= {name: value, f"{name}_low": value - 0.05, f"{name}_high": value + 0.02}
            rows.append(row)
    return pd.DataFrame(rows)


def test_brain_scores_are_beside_accuracies(tmp_path):
    told = board(runs(), curves(), "m", brains())
    figure = json.loads(told["figures"]["brain"])
    large = [trace for trace in figure["data"] if trace["showlegend"]]
    assert [(trace["x"], trace["y"]) for trace in large] == [([0.0], [-7.0]), ([10.0], [3.0])]
    assert large[1]["error_x"]["array"] == [2.0]
    assert large[1]["error_y"]["arrayminus"] == [5.0]
    assert figure["coloured"][0] == "plain", "a variant has one colour in all figures"
    assert "plain networks reach 25.0 % of the noise ceiling" in told["brain"]
    text = write_page(runs(), curves(), [], tmp_path / "page.html", brains=brains()).read_text("utf-8")
    assert "allen-2p, rsa-pearson" in text


def test_examples_are_the_images_and_their_contrast():
    domain = digits()
    grid = example_grid(domain)
    assert grid.shape == (64, 96, 3)
    for column, first in enumerate((1, 2, 0)):
        image = domain.images[first]
        assert (grid[:32, 32 * column : 32 * column + 32] == image).all()
        contrast = 255 * NeuRNTransform(3)(image).permute(1, 2, 0).numpy()
        assert np.abs(grid[32:, 32 * column : 32 * column + 32] - contrast).max() <= 0.51


@needs_browser
def test_in_a_browser_every_figure_is_drawn(tmp_path):
    """With the page's policy in place: a script whose digest is wrong would not run, and no figure would appear."""
    file = write_page(runs(), curves(), [digits()], tmp_path / "page.html", brains=brains())
    document = shown(file, 1000, tmp_path / "user")
    places = document.split("data-figure=")[1:]
    assert len(places) == 7
    for place in places:
        name = place.split('"')[1]
        assert 'class="main-svg"' in place, f"{name} is not drawn"
