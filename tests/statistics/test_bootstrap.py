"""Resampling, intervals, p-values and bands against explicit counts and closed forms."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import norm

from murine.errors import MurineError
from murine.statistics.bootstrap import bootstrap_counts, pair_weights, percentile_interval


def test_counts_are_multinomial():
    counts = bootstrap_counts(30, 4000, 0)
    assert counts.shape == (4000, 30)
    assert (counts.sum(axis=1) == 30).all()
    # One count is binomial (30, 1/30), and two of them correlate by -1/29.
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=5 * np.sqrt(29 / 30 / 4000))
    assert counts.var() == pytest.approx(29 / 30, rel=0.03)
    correlation = np.corrcoef(counts.T.astype(float))[np.triu_indices(30, 1)]
    assert correlation.mean() == pytest.approx(-1 / 29, abs=1e-3)


def test_counts_are_the_same_for_the_same_seed_and_nested():
    np.testing.assert_array_equal(bootstrap_counts(20, 50, 3), bootstrap_counts(20, 50, 3))
    np.testing.assert_array_equal(bootstrap_counts(20, 50, 3), bootstrap_counts(20, 80, 3)[:50])
    assert (bootstrap_counts(20, 50, 3) != bootstrap_counts(20, 50, 4)).any()


def test_samples_hold_enough_different_stimuli():
    for n in (4, 5, 6):
        counts = bootstrap_counts(n, 300, 1)
        assert ((counts > 0).sum(axis=1) >= 4).all()
        assert (counts.sum(axis=1) == n).all()
    for n in (0, 1, 3):
        with pytest.raises(MurineError, match=f"{n} stimuli are too few to compare RDMs; at least 4"):
            bootstrap_counts(n, 1, 0)


def test_pair_weights_count_pairs_in_the_resampled_matrix():
    counts = bootstrap_counts(7, 20, 2)
    for count, weights in zip(counts, pair_weights(counts), strict=True):
        drawn = np.repeat(np.arange(7), count)
        seen = [tuple(sorted((drawn[i], drawn[j]))) for i, j in combinations(range(7), 2)]
        expected = [seen.count(pair) for pair in combinations(range(7), 2)]
        np.testing.assert_array_equal(weights, expected)


def test_interval_of_a_grid_is_exact():
    draws = np.random.default_rng(0).permutation(np.arange(1001.0))
    low, high = percentile_interval(draws[:, None])
    assert (low[0], high[0]) == pytest.approx((25, 975))
    low, high = percentile_interval(draws[:, None], 0.5)
    assert (low[0], high[0]) == pytest.approx((250, 750))


def test_interval_of_normal_draws_is_that_of_the_normal_distribution():
    draws = np.random.default_rng(0).normal(2, 3, (20_000, 2, 3))
    low, high = percentile_interval(draws)
    assert low.shape == (2, 3)
    np.testing.assert_allclose(low, 2 + 3 * norm.ppf(0.025), atol=0.2)
    np.testing.assert_allclose(high, 2 + 3 * norm.ppf(0.975), atol=0.2)


def test_intervals_bear_a_few_lost_draws():
    draws = np.arange(1000.0)[:, None].repeat(3, axis=1)
    draws[::25, 0] = np.nan  # 4 %
    draws[::10, 1] = np.nan
    draws[:, 2] = np.nan
    low, high = percentile_interval(draws)
    kept = draws[~np.isnan(draws[:, 0]), 0]
    np.testing.assert_allclose([low[0], high[0]], np.quantile(kept, [0.025, 0.975]))
    assert np.isnan([low[1:], high[1:]]).all()
