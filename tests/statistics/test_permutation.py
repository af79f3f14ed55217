"""Relabellings and permutation p-values."""

from __future__ import annotations

import numpy as np
from scipy.stats import chisquare, kstest

from murine.statistics.permutation import permutation_p_values, permutations, permuted_pairs


def test_permutations_are_uniform():
    orders = permutations(4, 4800, 0)
    assert (np.sort(orders, axis=1) == np.arange(4)).all()
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 24
    assert chisquare(counts).pvalue > 0.001
    np.testing.assert_array_equal(permutations(9, 5, 1), permutations(9, 5, 1))
    assert (permutations(9, 5, 1) != permutations(9, 5, 2)).any()


def test_relabelled_pairs_point_at_the_relabelled_matrix():
    matrix = np.random.default_rng(0).random((8, 8))
    matrix += matrix.T
    upper = np.triu_indices(8, 1)
    orders = permutations(8, 6, 0)
    for order, pairs in zip(orders, permuted_pairs(orders), strict=True):
        np.testing.assert_array_equal(matrix[upper][pairs], matrix[np.ix_(order, order)][upper])


def test_p_values_count_relabellings():
    null = np.arange(99.0)[:, None, None].repeat(2, axis=2)
    scores = np.array([[98.5, 50.0]])
    np.testing.assert_allclose(permutation_p_values(scores, null), [[1 / 100, (1 + 49) / 100]])
    assert np.isnan(permutation_p_values(np.array([[np.nan, 1.0]]), null)[0, 0])
    # Scores in float64 and a null in float32: one that is the score itself counts as reached.
    value = np.float64(0.1)
    assert permutation_p_values(np.array([[value]]), np.full((9, 1, 1), value, np.float32))[0, 0] == 1


def test_p_values_are_uniform_where_nothing_is_shared():
    rng = np.random.default_rng(0)
    p = permutation_p_values(rng.normal(size=(500, 1)), rng.normal(size=(199, 500, 1)))
    assert kstest(p.ravel(), "uniform").pvalue > 0.01
    assert p.min() >= 1 / 200
