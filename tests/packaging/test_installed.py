"""The installed wheel does what people install it for, in a folder of their own and without the checkout."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: Answers where murine is, what else a checkout would offer, and which version is installed.
WHERE = """
import importlib.metadata, importlib.util, json, sys
import murine
print(json.dumps({
    "file": murine.__file__,
    "tests": importlib.util.find_spec("runtime_checks") is not None,
    "path": sys.path,
    "version": importlib.metadata.version("murine"),
}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the person works."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def run(installed, folder):
    """Run a program of the environment, with nothing that points to the checkout."""

    def run(program, *arguments):
        surroundings = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "MURINE_SHARED")}
        command = [str(installed / program), *map(str, arguments)]
        done = subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, timeout=300)
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


@pytest.fixture(scope="module")
def demo(run, folder):
    """The demo's table, and its folder."""
    return run("murine", "demo", "--out", "made"), folder / "made"


def test_checkout_is_out_of_sight(run, installed):
    seen = json.loads(run("python", "-c", WHERE))
    assert Path(seen["file"]).is_relative_to(installed.parent)
    assert not seen["tests"]
    assert not any(Path(entry).resolve().is_relative_to(ROOT / "src") for entry in seen["path"] if entry)
    assert run("murine", "--version").split() == ["murine", seen["version"]]


def test_demo_ranks_networks_and_writes_its_page(demo):
    table, made = demo
    assert "simulated" in table
    page = (made / "report.html").read_text(encoding="utf-8")
    assert "</html>" in page


def test_report_is_written_from_the_atlas_of_the_demo(run, demo, folder):
    run("murine", "report", "--atlas", demo[1] / "atlas", "--out", "page.html")
    assert "plotly" in (folder / "page.html").read_text(encoding="utf-8")


def test_score_gives_a_row_for_every_network(run):
    small = ("--bootstraps", 20, "--permutations", 19, "--splits", 2)
    rows = json.loads(run("murine", "score", "test_vit@random:0", "--input-size", 32, *small, "--format", "json", "-q"))
    assert {row["network"] for row in rows} == {"test_vit", "pixels", "gabor", "neurn"}
    assert all(-1 <= row["score"] <= 1 for row in rows)


def test_models_are_listed_from_the_tables_of_the_wheel(run):
    rows = json.loads(run("murine", "models", "--suite", "neurn44", "--format", "json"))
    assert len(rows) == 41
    (vgg,) = (row for row in rows if row["network"] == "torchvision:vgg16")
    assert (vgg["parameters"], vgg["depth"], vgg["year"]) == (138357544, 16, 2014)


def test_networks_are_planned(run):
    # Memory to plan for is given: what is free on the machine of the tests must not decide.
    few = ("--metric", "none", "--memory", "64G", "--format", "json")
    rows = json.loads(run("murine", "models", "plan", "torchvision:vgg16", "vgg11", *few))
    assert len(rows) == 2
    assert all(row["fits"] and row["total_s"] > 0 for row in rows)


def test_networks_are_aligned(run):
    rows = json.loads(run("murine", "align", "vgg11", "vgg13", "--format", "json", "--no-alignments"))
    assert rows


def test_domains_are_listed(run):
    rows = json.loads(run("murine", "domains", "list", "--format", "json"))
    assert {"mnist", "svhn"} <= {row["domain"] for row in rows}
