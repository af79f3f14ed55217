"""`murine score` against data whose ceilings or sites lack something: told, flagged and shown, never a wrong number."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest

from murine.cortex.recording import Recording
from murine.stimuli import StimulusSet

N = 40
OPTIONS = ("--stimuli", "s.npz", "--input-size", "32", "--no-controls", "--bootstraps", "40", "--permutations", "20")


@pytest.fixture
def stimuli(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (N, 32, 32), dtype=np.uint8)
    own = StimulusSet.from_arrays(images, [f"s{i:02d}" for i in range(N)])
    own.write("s.npz")
    return own


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_a_ceiling_without_an_error_leaves_the_interval_of_the_score(murine, stimuli):
    pixels = stimuli.images.reshape(N, -1).astype(float)
    matrix = 1 - np.corrcoef(pixels + np.random.default_rng(1).normal(size=pixels.shape) * 60)
    matrix = (matrix + matrix.T) / 2
    np.fill_diagonal(matrix, 0)
    given = {
        "matrices": np.stack([matrix, 1 - np.eye(N)]),
        "sites": np.array([b"A", b"B"]),
        "stimulus_ids": np.array(stimuli.ids, dtype=bytes),
        "reliability": np.array([0.85, 0.85]),
    }
    found = {}
    for name, more in (("without", {}), ("exact", {"reliability_sem": np.zeros(2)})):
        np.savez(f"{name}.npz", **given, **more)
        ran = murine("score", "pixels", "--against", f"{name}.npz", *OPTIONS, "--atlas", name)
        assert ran.code == 0, ran.err
        assert ran.err.count("has no standard error (reliability_sem)") == (name == "without")
        assert "B (the same dissimilarity for every pair)" in ran.err
        shown = rows(murine("results", "--view", "sites", "--atlas", name, "--format", "csv").out)
        found[name] = {(row["site"], row["chosen"]): row for row in shown}
        lost = found[name]["B", ""]
        assert lost["score"] == ""
        assert lost["flag"] == "the same dissimilarity for every pair"
        table = murine("results", "--view", "sites", "--atlas", name).out
        assert "the same dissimilarity for every pair" in table
    flags = {name: shown["A", "nested"]["site_flag"] for name, shown in found.items()}
    assert flags == {"without": "ceiling without an error", "exact": ""}
    for chosen in ("naive", "nested"):
        one, other = (found[name]["A", chosen] for name in found)
        for column in ("score", "ceiling", "ceiled", "ceiled_low", "ceiled_high"):
            assert float(one[column]) == float(other[column])
        assert float(one["ceiled_low"]) < float(one["ceiled"]) < float(one["ceiled_high"])
        assert float(one["ceiled_low"]) == pytest.approx(float(one["low"]) / math.sqrt(0.85))
        assert one["ceiling_low"] == ""


def test_single_repetitions_and_silent_sites_are_told(murine, stimuli):
    rng = np.random.default_rng(0)
    trials = rng.poisson(5, (16, N, 1)).astype(float)
    trials[8:] = 0
    neurons = {"neuroid_id": np.arange(16), "area": ["V1"] * 8 + ["LM"] * 8}
    Recording.from_arrays(trials, neurons, {"stimulus_id": list(stimuli.ids)}).write("mouse.nc")
    ran = murine("score", "pixels", "--against", "mouse.nc", *OPTIONS, "--atlas", "atlas", "--format", "csv")
    assert ran.code == 0, ran.err
    assert "mouse: one repetition of each stimulus gives no noise ceiling; scores are raw." in ran.err
    assert "mouse: sites without scores: LM (no usable neuron)." in ran.err
    (ranked,) = rows(ran.out)
    assert math.isfinite(float(ranked["score"]))
    shown = rows(murine("results", "--view", "sites", "--atlas", "atlas", "--format", "csv").out)
    assert {(row["site"], row["chosen"], row["site_flag"], row["ceiled"]) for row in shown} == {
        ("V1", "naive", "ceiling not known", ""),
        ("V1", "nested", "ceiling not known", ""),
        ("LM", "", "no usable neuron", ""),
    }
    assert murine("report", "--atlas", "atlas", "--out", "page.html").code == 0
