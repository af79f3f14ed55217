"""`murine generalize` on real digits, as a user calls it."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from murine.cli.application import app


def test_generalize_prints_the_matrix_and_goes_on(tmp_path, shared_data):
    arguments = [
        "generalize",
        "--source",
        "semeion",
        "--target",
        "mnist-m,street",
        "--network",
        "conv(depth=3,width=8)",
    ]
    arguments += ["--variants", "plain,neurn3", "--seeds", "2", "--set", "epochs=2", "--atlas", str(tmp_path / "atlas")]
    page = tmp_path / "page.html"
    first = CliRunner().invoke(app, [*arguments, "--format", "json", "--out", str(page)])
    assert first.exit_code == 0, first.output
    cells = json.loads(first.stdout)
    assert [cell["target"] for cell in cells[:4]] == ["semeion", "mnist-m", "street", "mean of unseen"]
    assert all(0 <= c["accuracy_low"] <= c["accuracy"] <= c["accuracy_high"] <= 1 for c in cells)
    assert cells[4]["variant"] == "neurn3"
    assert cells[4]["difference"] == pytest.approx(cells[4]["accuracy"] - cells[0]["accuracy"])
    assert "NeuRN" in page.read_text("utf-8")

    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 0
    assert "trained on semeion: accuracy in %, 95 % intervals over 2 seeds and images" in again.stdout
    assert f"{100 * cells[0]['accuracy']:.1f}" in again.stdout

    turned = CliRunner().invoke(app, [*arguments, "--reference", "neurn3", "--format", "json"])
    other = json.loads(turned.stdout)
    assert other[0]["difference"] == pytest.approx(-cells[4]["difference"])
    assert other[4]["difference"] is None


def test_networks_are_scored_against_a_cortex_too(tmp_path, shared_data, monkeypatch):
    """Corruptions, few test images, leave-one-out and the change in brain score, all in one small matrix."""
    monkeypatch.setenv("MURINE_IN_PROCESS", "1")  # as in most tests; those of the search are scored in processes
    arguments = ["generalize", "--protocol", "leave-one-out", "--source", "street", "--target", "semeion,street"]
    arguments += ["--network", "lenet-small", "--variants", "plain,neurn3,sobel", "--seeds", "1", "--set", "epochs=1"]
    arguments += ["--corruptions", "inversion", "--test-images", "40", "--against", "simulated"]
    arguments += ["--atlas", str(tmp_path / "atlas"), "--out", str(tmp_path / "page.html")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert ", rsa-pearson: brain score in % of the noise ceiling, and accuracy on unseen domains" in result.stdout
    again = CliRunner().invoke(app, [*arguments, "--format", "json"])
    cells = pd.DataFrame(json.loads(again.stdout))
    domains = cells[~cells.target.str.contains("+", regex=False)]
    assert domains.target.unique().tolist() == ["not-street", "street"]
    assert (cells.n_images <= 40).all()
    assert cells.target.str.endswith(tuple(f"inversion:{n}" for n in range(1, 6))).sum() == 15
    assert cells[cells.variant == "plain"].brain_difference.isna().all()
    assert cells[cells.variant != "plain"].brain_after.between(-1, 1).all()
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "More like mouse cortex, more robust?" in page


def test_the_best_networks_of_a_search_are_held_side_by_side(tmp_path, shared_data):
    arguments = ["generalize", "--source", "semeion", "--target", "street", "--search", "1", "--seeds", "2"]
    arguments += ["--set", "n_train=200", "--set", "epochs=1", "--test-images", "50", "--against", "simulated"]
    arguments += ["--format", "json", "--atlas", str(tmp_path / "atlas"), "--out", str(tmp_path / "page.html")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "semeion, best of 1 without NeuRN: conv(" in result.stderr
    cells = json.loads(result.stdout)
    assert {cell["network"] for cell in cells} == {"the best of 1"}
    without, with_it = (cell for cell in cells if cell["target"] == "street")
    assert without["variant"] == "plain"
    assert with_it["difference"] == pytest.approx(with_it["accuracy"] - without["accuracy"])
    assert with_it["brain_difference"] == pytest.approx(with_it["brain_after"] - with_it["brain_before"])


def test_what_cannot_be_scored_is_told_before_training(tmp_path, shared_data):
    for option in (["--against", "nosuchcortex"], ["--against", "simulated", "--metric", "nosuchmetric"]):
        result = CliRunner().invoke(app, ["generalize", "--source", "semeion", *option, "--atlas", str(tmp_path)])
        assert "unknown" in str(result.exception)
        assert not (tmp_path / "trained").exists()


def test_what_is_not_known_is_told():
    for arguments in (
        ["--source", "mnits"],
        ["--set", "epochs"],
        ["--prepare", "polarity=pink"],
        ["--corruptions", "x"],
        ["--network", "resnet18.a1_in1k", "--pretrained", "--against", "simulated"],
        ["--search", "2", "--network", "resnet18"],
        ["--protocol", "mnist10k", "--set", "n_train=500"],
        ["--reference", "sobel"],
    ):
        result = CliRunner().invoke(app, ["generalize", *arguments])
        assert result.exit_code != 0
        assert isinstance(result.exception, ValueError), arguments
