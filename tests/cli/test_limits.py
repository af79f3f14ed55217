"""Numbers that cannot be meant are one sentence, before anything runs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from murine.cortex.recording import Recording
from murine.errors import MurineError
from murine.limits import INPUT_SIZE, SEED, Limits
from murine.networks import zoo
from murine.scoring.settings import ScoreSettings
from murine.scoring.site_preparation import make_site_data

SCORE = ("score", "pixels")


@pytest.mark.parametrize(
    "command",
    [
        (*SCORE, "--input-size", "999999"),
        (*SCORE, "--input-size", "²"),
        (*SCORE, "--input-size", "٣٢"),
        (*SCORE, "--input-size", "64x0"),
        (*SCORE, "--input-size", "9" * 5000),
        (*SCORE, "--seed", 2**64),
        (*SCORE, "--seed", -1),
        (*SCORE, "--bootstraps", 3_000_000_000),
        (*SCORE, "--permutations", 3_000_000_000),
        (*SCORE, "--splits", 100_000_000),
        (*SCORE, "--jobs", -1),
        (*SCORE, "--jobs", 1_000_000),
        (*SCORE, "--batch-size", 1),
        (*SCORE, "--batch-size", 10**15),
        (*SCORE, "--twins", -1),
        (*SCORE, "--min-reliability", "nan"),
        (*SCORE, "--min-reliability", "85"),
        ("score", "resnet18", "--weights", "random:99999999999999999999999"),
        ("score", "resnet18@random:18446744073709551616"),
        ("match", "pixels", "--shuffles", 10**9),
        ("match", "pixels", "--bootstraps", 10**9),
        ("match", "pixels", "--candidates", -1),
        ("maps", "pixels", "--side", 10**6),
        ("neurn", "pixels", "--splits", 10**8),
        ("explain", "--permutations", 10),
        ("explain", "--bootstraps", 10**9),
        ("align", "vgg11", "vgg13", "--shortlist", 0),
        ("results", "--limit", 0),
        ("generalize", "--seeds", 10**6),
        ("generalize", "--data-seed", 2**70),
        ("generalize", "--search", -1),
        ("domains", "show", "mnist", "--size", 10**6),
        ("data", "fetch", "allen", "--timeout", "nan"),
        ("data", "fetch", "allen", "--workers", 1000),
        ("data", "fetch", "allen", "--limit", -3),
        ("data", "build", "allen", "--out", "a.nc", "--scenes", "s.npz", "--scene-size", "²x²"),
        ("data", "build", "allen", "--out", "a.nc", "--scenes", "s.npz", "--scene-size", "231x999999"),
        ("verify", "--seed", -1),
    ],
    ids=lambda command: " ".join(map(str, command))[:50],
)
def test_a_number_that_cannot_be_meant_is_one_sentence(murine, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = murine(*command)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("murine: ")
    assert ran.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []  # nothing ran


def test_limits_hold_their_ends():
    limits = Limits(2, 5)
    for value in (2, 5, None):
        limits.check("--x", value)
    for value in (1, 6, math.nan, math.inf):
        with pytest.raises(MurineError, match=r"--x is .*; expected a number from 2 to 5"):
            limits.check("--x", value)
    SEED.check("--seed", 2**63 - 1)
    INPUT_SIZE.check("--input-size", 1024)


@pytest.mark.parametrize(
    "options",
    [{"n_bootstraps": 1}, {"n_bootstraps": 3_000_000_000}, {"n_permutations": -1}, {"seed": 2**63}, {"seed": -1}],
)
def test_the_api_has_the_same_limits(options):
    with pytest.raises(MurineError, match=f"{next(iter(options))} is"):
        ScoreSettings(**options)


def test_the_api_refuses_splits_and_seeds():
    recording = Recording.from_arrays(
        np.random.default_rng(0).standard_normal((4, 12, 4)),
        {"neuroid_id": list("abcd"), "area": ["A"] * 4},
        {"stimulus_id": [f"s{i:02}" for i in range(12)]},
    )
    with pytest.raises(MurineError, match="n_splits is 100000000"):
        make_site_data(recording, n_splits=100_000_000)
    with pytest.raises(MurineError, match="the seed of 'random:18446744073709551616'"):
        zoo.load("resnet18@random:18446744073709551616")
