"""The test of order, against SciPy, against all orders counted by hand, and on values without an order."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import permutation_test, spearmanr

from murine.errors import MurineError
from murine.statistics.order_test import order_test


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_exact_permutation_test_of_spearman(seed):
    values = np.random.default_rng(seed).integers(0, 6, 6)  # with ties
    order = np.arange(6)
    theirs = permutation_test(
        (values,),
        lambda x: spearmanr(x, order).statistic,
        permutation_type="pairings",
        alternative="greater",
        n_resamples=np.inf,
    )
    ours = order_test(values.tolist())
    assert ours.rho == pytest.approx(spearmanr(values, order).statistic)
    assert ours.p == pytest.approx(theirs.pvalue)


def test_the_whole_order_has_the_smallest_p_and_its_reverse_the_largest():
    assert order_test([1, 2, 3, 4]).p == pytest.approx(1 / 24)
    assert order_test([4, 3, 2, 1]).p == 1
    assert order_test([1, 2, 3]).p == pytest.approx(1 / 6)


def test_many_groups_are_tested_by_drawn_orders():
    test = order_test(np.arange(12).tolist())
    assert test.p == pytest.approx(1 / 10_001)
    assert test.n_orders == 10_001


def test_equal_values_have_no_order():
    test = order_test([0.5, 0.5, 0.5])
    assert np.isnan(test.rho)
    assert test.p == 1


def test_values_without_an_order_are_found_at_the_nominal_rate():
    rng = np.random.default_rng(0)
    rate = np.mean([order_test(rng.normal(size=5).tolist()).p <= 0.05 for _ in range(2000)])
    assert 0.03 < rate <= 0.055  # exact; 6 of 120 orders reach it


@pytest.mark.parametrize("values", [[1.0, 2.0], [1.0, np.nan, 2.0]])
def test_too_few_or_missing_values_are_refused(values):
    with pytest.raises(MurineError, match="at least 3 finite values"):
        order_test(values)
