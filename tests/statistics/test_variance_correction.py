"""Corrections of the variance of draws."""

from __future__ import annotations

import numpy as np
import pytest

from murine.statistics.variance_correction import correct_for_pairs, effective_n_stimuli, student_factor


def test_scores_that_few_stimuli_decide_have_wider_intervals():
    rng = np.random.default_rng(0)
    even = rng.normal(size=(4000, 2))
    assert effective_n_stimuli(even) == pytest.approx(4000, rel=0.1)
    few = np.zeros((100, 1))
    few[0] = 1.0  # one stimulus decides
    assert effective_n_stimuli(few)[0] == 5
    assert effective_n_stimuli(np.full((20, 1), np.nan))[0] == 20
    np.testing.assert_allclose(student_factor(np.array([5, 20])), [2.77645 / 1.95996, 2.09302 / 1.95996], rtol=1e-5)
    draws, left = rng.normal(size=(500, 2)), np.stack([rng.normal(size=100), few[:, 0]], axis=1)
    left *= draws.std(axis=0) / (left.std(axis=0) * np.sqrt(99))  # both with the variance of the draws
    plain, wide = correct_for_pairs(draws, left).std(axis=0) / draws.std(axis=0)
    assert plain == pytest.approx(1.01, abs=0.02)
    assert wide == pytest.approx(2.77645 / 1.95996, rel=0.02)
