"""What is planted in a simulated cortex is found on fixed seeds; benchmarks/known_answers.py measures the rates."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

_FILE = Path(__file__).parents[2] / "benchmarks" / "known_answers.py"


@pytest.fixture(scope="module")
def known_answers():
    spec = importlib.util.spec_from_file_location("known_answers", _FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("part", ["hierarchy", "classes", "factor"])
def test_what_is_planted_is_found_and_nothing_else(part, known_answers):
    findings = list(known_answers.PARTS[part](0, known_answers.cortex_of(0)))
    promised = [finding for finding in findings if finding[:2] != (known_answers.SHOWN, True)]
    assert {planted for _, planted, _ in promised} == {True, False}
    assert [found for _, _, found in promised] == [planted for _, planted, _ in promised]


def test_the_private_noise_of_two_networks_is_independent_and_of_the_planted_size(known_answers):
    images = torch.randint(0, 256, (4000, 1, 32, 32), generator=torch.Generator().manual_seed(0)) / 255
    scale = torch.tensor([1.0, 2.0])
    one, two = (
        known_answers.PrivateNoise(lambda x: torch.zeros(len(x), 2), scale, seed)(images).numpy() for seed in (1, 2)
    )
    np.testing.assert_allclose(one.std(axis=0), scale, rtol=0.05)
    assert abs(np.corrcoef(one[:, 0], two[:, 0])[0, 1]) < 0.05
    assert abs(np.corrcoef(one[1:, 0], one[:-1, 0])[0, 1]) < 0.05
