"""Resampling, intervals, p-values and bands against explicit counts and closed forms."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import chisquare, kstest, norm
from sklearn.model_selection import KFold

from murine.errors import MurineError
from murine.statistics.bootstrap import bootstrap_counts, pair_weights, percentile_interval
from murine.statistics.folds import kfold
from murine.statistics.permutation import permutation_p_values, permutations, permuted_pairs
from murine.statistics.ranking import rank_bands
from murine.statistics.variance_correction import correct_for_pairs, effective_n_stimuli, student_factor


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


@pytest.mark.parametrize(("n_stimuli", "n_folds"), [(118, 6), (119, 6), (7, 3), (5, 5), (4, 2)])
def test_folds_are_those_of_scikit_learn(n_stimuli, n_folds):
    for seed in (0, 1, 42):
        splits = KFold(n_folds, shuffle=True, random_state=seed).split(np.zeros(n_stimuli))
        for ours, (_, theirs) in zip(kfold(n_stimuli, n_folds, seed), splits, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("n_stimuli", "n_folds"), [(5, 6), (5, 1), (5, 0), (0, 2)])
def test_folds_that_cannot_be_are_refused(n_stimuli, n_folds):
    with pytest.raises(MurineError, match=f"{n_stimuli} stimuli cannot be cross-validated in {n_folds} folds"):
        kfold(n_stimuli, n_folds, 0)


def test_pair_weights_count_pairs_in_the_resampled_matrix():
    counts = bootstrap_counts(7, 20, 2)
    for count, weights in zip(counts, pair_weights(counts), strict=True):
        drawn = np.repeat(np.arange(7), count)
        seen = [tuple(sorted((drawn[i], drawn[j]))) for i, j in combinations(range(7), 2)]
        expected = [seen.count(pair) for pair in combinations(range(7), 2)]
        np.testing.assert_array_equal(weights, expected)


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


def draws_around(means, sd, shared=0.0, n=2000, seed=0):
    rng = np.random.default_rng(seed)
    return np.asarray(means) + sd * rng.normal(size=(n, len(means))) + shared * rng.normal(size=(n, 1))


def bands_of(scores, draws):
    def difference(i, j):
        low, high = percentile_interval((draws[:, i] - draws[:, j])[:, None])
        return float(low[0]), float(high[0])

    return rank_bands(scores, difference).tolist()


@pytest.mark.parametrize(
    ("means", "sd", "bands"),
    [
        ([0.9, 0.5, 0.1], 0.01, [1, 2, 3]),
        ([0.1, 0.9, 0.5], 0.01, [3, 1, 2]),
        ([0.50, 0.51, 0.52], 0.1, [1, 1, 1]),
        ([0.90, 0.89, 0.50, 0.49, 0.10], 0.05, [1, 1, 2, 2, 3]),
        # A staircase: each is like the next, but the third is not like the first.
        ([0.60, 0.50, 0.40, 0.30], 0.045, [1, 1, 2, 2]),
        ([np.nan, 0.9, 0.5], 0.01, [0, 1, 2]),
        ([np.nan, np.nan], 0.01, [0, 0]),
        ([0.3], 0.1, [1]),
    ],
)
def test_bands_of_constructed_examples(means, sd, bands):
    scores = np.array(means)
    assert bands_of(scores, draws_around(np.nan_to_num(scores), sd)) == bands


def test_bands_look_at_paired_differences():
    scores = np.array([0.55, 0.50])
    # Both move together by far more than they differ: apart when paired, together when not.
    assert bands_of(scores, draws_around(scores, 0.005, shared=0.3)) == [1, 2]
    unpaired = draws_around(scores, 0.005, shared=0.3)
    unpaired[:, 1] = np.random.default_rng(5).permutation(unpaired[:, 1])
    assert bands_of(scores, unpaired) == [1, 1]


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
