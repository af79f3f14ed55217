"""Probabilities of ranks against counting, closed forms and constructed ties."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import norm

from murine.statistics.ranking import better_probability, rank_probability, top_probability


def by_counting(draws):
    """Every order that sorts a draw counts the same: with ties there are several."""
    n = draws.shape[1]
    out = np.zeros((n, n))
    for scores in draws:
        orders = [o for o in permutations(range(n)) if (np.diff(scores[list(o)]) <= 0).all()]
        for order in orders:
            out[list(order), range(n)] += 1 / len(orders) / len(draws)
    return out


@pytest.mark.parametrize("values", [3, 1000])
def test_ranks_are_counted_with_and_without_ties(values):
    draws = np.random.default_rng(0).integers(values, size=(60, 5)).astype(float)
    probability = rank_probability(draws)
    np.testing.assert_allclose(probability, by_counting(draws), atol=1e-12)
    np.testing.assert_allclose(probability.sum(axis=0), 1)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    np.testing.assert_allclose(top_probability(draws, 2), probability[:, :2].sum(axis=1))


def test_probability_of_being_better_is_that_of_the_normal_distribution():
    rng = np.random.default_rng(0)
    means, shared = np.array([0.3, 0.2, 0.25]), rng.normal(size=(40_000, 1))
    draws = means + 0.1 * rng.normal(size=(40_000, 3)) + shared
    expected = norm.cdf((means[:, None] - means) / (0.1 * np.sqrt(2)))
    np.testing.assert_allclose(better_probability(draws), expected, atol=0.01)


def test_of_two_models_rank_and_being_better_are_the_same():
    draws = np.random.default_rng(0).integers(4, size=(200, 2)).astype(float)
    np.testing.assert_allclose(rank_probability(draws)[:, 0], better_probability(draws)[[0, 1], [1, 0]])


def test_models_that_cannot_be_told_apart():
    draws = np.ones((50, 4))
    np.testing.assert_allclose(rank_probability(draws), 0.25)
    np.testing.assert_allclose(better_probability(draws), 0.5)


def test_models_without_scores_are_not_ranked():
    rng = np.random.default_rng(0)
    full = rng.normal(size=(100, 3))
    draws = np.insert(full, 1, np.nan, axis=1)
    probability = rank_probability(draws)
    np.testing.assert_allclose(probability[[0, 2, 3], :3], rank_probability(full))
    assert np.isnan(probability[1]).all()
    assert (probability[[0, 2, 3], 3] == 0).all()
    better = better_probability(draws)
    assert np.isnan(better[1]).all()
    assert np.isnan(better[:, 1]).all()
    np.testing.assert_allclose(better[np.ix_([0, 2, 3], [0, 2, 3])], better_probability(full))
    assert np.isnan(top_probability(draws, 2)).tolist() == [False, True, False, False]


def test_single_lost_draws_are_left_out():
    full = np.random.default_rng(0).normal(size=(100, 3))
    draws = full.copy()
    draws[[5, 60], 1] = np.nan
    kept = np.delete(full, [5, 60], axis=0)
    np.testing.assert_allclose(rank_probability(draws), rank_probability(kept))
    np.testing.assert_allclose(better_probability(draws), better_probability(kept))


@pytest.mark.parametrize("draws", [np.empty((0, 3)), np.full((10, 3), np.nan)])
def test_without_draws_nothing_is_ranked(draws):
    assert np.isnan(rank_probability(draws)).all()
    assert np.isnan(better_probability(draws)).all()
    assert rank_probability(draws).shape == (3, 3)
    assert rank_probability(np.empty((5, 0))).shape == (0, 0)
