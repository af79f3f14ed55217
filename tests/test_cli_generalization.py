"""`murine generalize` on real digits, as a user calls it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from murine.cli import app


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


def test_what_is_not_known_is_told():
    for arguments in (
        ["--source", "mnits"],
        ["--set", "epochs"],
        ["--prepare", "polarity=pink"],
        ["--corruptions", "x"],
    ):
        result = CliRunner().invoke(app, ["generalize", *arguments])
        assert result.exit_code != 0
        assert isinstance(result.exception, ValueError), arguments
