"""Compiled loops: the meaning of NaN, zero and order is NumPy's, and degenerate input is no special case."""

from __future__ import annotations

import math

import numpy as np
import pytest

from murine.architecture.alignment import align, alignment_scores
from murine.compilation import compiled


@compiled
def quotient(a: float, b: float) -> float:
    return a / b


@compiled
def largest(values: np.ndarray) -> float:
    found = values[0]
    for value in values:
        if not value <= found:  # true of NaN
            found = value
    return found


@compiled
def total(values: np.ndarray) -> float:
    found = 0.0
    for k in range(len(values)):
        found += values[k]
    return found


def test_division_by_zero_is_that_of_numpy():
    assert quotient(1.0, 0.0) == math.inf
    assert quotient(-1.0, 0.0) == -math.inf
    assert math.isnan(quotient(0.0, 0.0))


def test_nan_is_seen():
    assert math.isnan(largest(np.array([1.0, math.nan])))
    assert math.isnan(total(np.array([math.inf, -math.inf, 1.0])))


def test_sums_are_taken_in_the_order_in_which_they_are_written():
    values = np.random.default_rng(0).normal(size=1001) * 10.0 ** np.random.default_rng(1).integers(-12, 12, 1001)
    expected = 0.0
    for value in values.tolist():
        expected += value
    assert total(values) == expected


@pytest.mark.parametrize("n", [1, 2, 64, 65, 8192])
def test_concordance_of_equal_elements(n):
    from murine.similarity.kendall import RankOrder, kendall_s, kendall_s_per_element

    constant, rising = RankOrder.of(np.ones(n)), RankOrder.of(np.arange(float(n)))
    assert kendall_s(constant, rising) == kendall_s(rising, constant) == kendall_s(constant, constant) == 0
    assert kendall_s(rising, rising) == n * (n - 1) // 2
    np.testing.assert_array_equal(kendall_s_per_element(constant, rising), 0)
    np.testing.assert_array_equal(kendall_s_per_element(rising, rising), n - 1)


@pytest.mark.parametrize("n", [1, 2, 50])
def test_ranks_of_equal_elements_are_none(n):
    from murine.similarity.weighted_ranks import WeightedRanks

    vectors = np.stack([np.ones(n), np.zeros(n), np.arange(float(n))])
    weight = np.arange(1.0, n + 1)
    found = WeightedRanks(vectors)(weight)
    assert np.isnan(found[:2]).all()
    assert np.isnan(found[2]).all() == (n == 1)
    # Of two elements one alone is drawn: nothing varies.
    assert np.isnan(WeightedRanks(vectors)(np.eye(n)[0])).all()


def test_sequences_of_one_letter():
    assert (align("a", "a").score, align("a", "b").score) == (1, -2)
    np.testing.assert_array_equal(
        alignment_scores(["a", "a", "b", "aaaa"]), [[1, 1, -2, -5], [1, 1, -2, -5], [-2, -2, 1, -8], [-5, -5, -8, 4]]
    )
