"""A user's own files on the command line, in processes of their own and from another folder: the same scores from all
of them, and one message for each thing that is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import Ran
from nwb_files import Spikes, add_presentations, add_units, empty, save, shown
from PIL import Image

from murine.cortex.recording import Recording
from murine.scenes import synthetic_scenes

pytestmark = pytest.mark.usefixtures("unchecked")

FEW = ("--input-size", 32, "--bootstraps", 20, "--permutations", 0, "--splits", 2, "--no-controls")
STIMULI = [f"{i:03}" for i in range(24)]  # names that look like numbers


def run(folder: Path, *arguments: object) -> Ran:
    """Run a command as a user does: in a process of its own, in a folder of his."""
    command = [sys.executable, "-m", "murine", *map(str, arguments)]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, env=os.environ)
    return Ran(ran.returncode, ran.stdout, ran.stderr)


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    """Images and the responses of neurons that see them, as an array and as a table of trials."""
    desk = tmp_path_factory.mktemp("desk")
    scenes = synthetic_scenes(len(STIMULI), 32).images
    (desk / "images").mkdir()
    for name, image in zip(STIMULI, scenes, strict=True):
        Image.fromarray(image).save(desk / "images" / f"{name}.png")
    rng = np.random.default_rng(0)
    pixels = scenes.reshape(len(scenes), -1) / 255 - 0.5
    clean = rng.normal(size=(12, pixels.shape[1])) @ pixels.T
    trials = (clean[:, :, None] + rng.normal(size=(12, len(scenes), 4)) * clean.std()).astype(np.float32)
    trials[3, 5, 2] = np.nan
    areas = ["VISp"] * 6 + ["VISl"] * 6
    Recording.from_arrays(
        trials, {"neuroid_id": [f"n{i}" for i in range(12)], "area": areas}, STIMULI, name="made"
    ).write(desk / "made.nc")
    rows = np.argwhere(np.isfinite(trials))
    table = pd.DataFrame(
        {
            "image": [STIMULI[j] for _, j, _ in rows],
            "unit": [f"n{i}" for i, _, _ in rows],
            "run": rows[:, 2],
            "rate": trials[tuple(rows.T)],
            "region": [areas[i] for i, _, _ in rows],
        }
    )
    table.to_csv(desk / "lab.csv", index=False)
    names = {"image": "stimulus", "unit": "neuroid", "run": "repetition", "rate": "response", "region": "area"}
    table.rename(columns=names).to_csv(desk / "trials.csv", index=False)
    np.save(desk / "array.npy", trials)
    (desk / "array_stimuli.txt").write_text("\n".join(STIMULI))
    pd.DataFrame({"neuroid_id": [f"n{i}" for i in range(12)], "area": areas}).to_csv(
        desk / "array_neurons.csv", index=False
    )
    nwb = empty()
    add_presentations(nwb, shown(STIMULI[:20], n_repetitions=2))
    add_units(nwb, Spikes.drawn())
    save(nwb, desk / "units.nwb")
    return desk


def scores(ran: Ran, folder: Path, atlas: object) -> list[tuple[object, ...]]:
    assert ran.code == 0, ran.err
    found = run(folder, "results", "--atlas", atlas, "--view", "layers", "--format", "json")
    columns = ("site", "layer", "score", "ceiling", "score_low", "score_high", "n_neuroids")
    return [tuple(row.get(column) for column in columns) for row in json.loads(found.out)]


def test_the_same_scores_from_every_file_to_the_last_bit(desk, tmp_path):
    """Import and then score, score the file directly, and a recording of the array."""
    columns = (
        "--stimulus",
        "image",
        "--neuroid",
        "unit",
        "--response",
        "rate",
        "--repetition",
        "run",
        "--area",
        "region",
    )
    ran = run(tmp_path, "data", "import", desk / "lab.csv", *columns, "--stimuli", desk / "images", "--out", "mine.nc")
    assert ran.code == 0, ran.err
    assert "mine.nc: <Recording lab: 12 neuroids x 24 stimuli x 4 repetitions; {'VISp': 6, 'VISl': 6}>" in ran.err
    assert f"`murine score NETWORK --against mine.nc --stimuli {desk / 'images'}` scores against it." in ran.err
    assert Recording.read(tmp_path / "mine.nc").digest == Recording.read(desk / "made.nc").digest
    found = {}
    for file in (desk / "made.nc", "mine.nc", desk / "trials.csv", desk / "array.npy"):
        atlas = f"{Path(file).stem}.atlas"
        ran = run(tmp_path, "score", "pixels", "--against", file, "--stimuli", desk / "images", *FEW, "--atlas", atlas)
        found[str(file)] = scores(ran, tmp_path, atlas)
    first, *others = found.values()
    assert {row[0] for row in first} == {"VISp", "VISl"}
    assert all(np.isfinite(row[2]) for row in first)
    for other in others:
        assert other == first


def test_other_commands_take_the_same_files(desk, tmp_path):
    for command in ("match", "maps"):
        options = (
            "--against",
            desk / "trials.csv",
            "--stimuli",
            desk / "images",
            "--input-size",
            32,
            "--bootstraps",
            5,
        )
        ran = run(tmp_path, command, "pixels", *options, "--atlas", "atlas")
        assert ran.code == 0, ran.err
        assert "1 computed" in ran.err
    ran = run(tmp_path, "data", "show", desk / "array.npy", "--stimuli", desk / "images", "--format", "json")
    assert [(row["site"], row["n_neuroids"]) for row in ran.rows] == [("VISl", 6), ("VISp", 6)]


def test_nwb_files_of_two_days(desk, tmp_path):
    chosen = ("--window", "0.05:0.2", "--stimulus-table", "images_presentations", "--signal", "units")
    for day in ("day1.nwb", "day2.nwb"):
        (tmp_path / day).write_bytes((desk / "units.nwb").read_bytes())
    ran = run(tmp_path, "data", "import", "day1.nwb", "day2.nwb", *chosen, "--out", "mine.nc")
    assert ran.code == 2
    assert "3 neurons have the same id in several files: 10, 11, 12." in ran.err
    ran = run(
        tmp_path, "data", "import", "day1.nwb", "day2.nwb", *chosen, "--shared-ids", "different", "--out", "mine.nc"
    )
    assert ran.code == 0, ran.err
    found = Recording.read(tmp_path / "mine.nc")
    assert (found.n_neuroids, found.n_stimuli, found.n_repetitions) == (6, 20, 2)
    one = Recording.from_nwb(desk / "units.nwb", window=(0.05, 0.2))
    np.testing.assert_array_equal(found.responses[3:], one.responses)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lab.csv", "--out", "x.nc"), "no column 'neuroid'"),
        (("trials.csv", "--out", "x.npz"), "has to end with .nc, for what"),
        (("trials.csv", "--out", "x.txt"), "has to end with .nc (single trials) or .npz (matrices)"),
        (("trials.csv", "--window", "0:1", "--out", "x.nc"), "window does not apply to"),
        (("units.nwb", "--window", "fast", "--out", "x.nc"), "--window 'fast' is not understood"),
        (("units.nwb", "--stimulus-table", "gabors", "--out", "x.nc"), "no table of intervals called 'gabors'"),
        (("nothing.csv", "--out", "x.nc"), "expected a file of responses"),
        (("images", "--out", "x.nc"), "is a folder; expected a file of responses"),
        (("units.nwb", "--stimuli", "few", "--out", "x.nc"), "19 of 20 stimuli have no image in 'few'"),
    ],
)
def test_what_cannot_be_imported_is_one_message(desk, run_here, arguments, message):
    (desk / "few").mkdir(exist_ok=True)
    (desk / "few" / "000.png").write_bytes((desk / "images" / "000.png").read_bytes())
    ran = run_here("data", "import", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.told.startswith("murine: ")
    assert message in ran.told
    assert "Traceback" not in ran.err
    assert not (desk / "x.nc").exists()


@pytest.fixture
def run_here(murine, desk, monkeypatch):
    monkeypatch.chdir(desk)
    return murine


def test_what_cannot_be_scored_against_says_what_it_is(desk, run_here):
    (desk / "mine.mat").write_bytes(b"MATLAB 5.0 MAT-file" + b"\0" * 99)
    ran = run_here("score", "pixels", "--against", "mine.mat", "--stimuli", "images", *FEW)
    assert ran.code == 2
    assert "it is a MATLAB file before version 7.3" in ran.err
    assert "Expected a recording of murine (.nc), labelled arrays of xarray (.nc), a table of trials" in ran.err
    ran = run_here("score", "pixels", "--against", "trials.csv", *FEW)
    assert ran.code == 2
    assert "'trials.csv' came without images; give them with --stimuli FOLDER or FILE.npz" in ran.err


def test_names_that_are_no_file_and_no_data_set(desk, run_here):
    for name, message in (
        ("images", "'images' is a folder; expected a file of responses: a recording of murine (.nc)"),
        ("trials.tsv", "there is no file 'trials.tsv'; expected a file of responses"),
        ("mouse", "unknown dataset 'mouse'"),
    ):
        ran = run_here("score", "pixels", "--against", name, "--stimuli", "images", *FEW)
        assert ran.code == 2
        assert message in ran.err
