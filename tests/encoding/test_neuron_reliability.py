"""Reliability of neurons: against loops over resampled data, closed forms and simulations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr

from murine.cortex.reliability import split_half
from murine.encoding.reliability import (
    METHODS,
    neuron_reliability,
    oracle_correlation,
    oracle_reliability,
    resample_correlations,
)
from murine.statistics.bootstrap import bootstrap_counts


def responses(n_repetitions=6, n_neuroids=5, n_stimuli=30, noise=1.5, seed=0):
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(n_neuroids, n_stimuli, 1))
    return 4 + signal + noise * rng.normal(size=(n_neuroids, n_stimuli, n_repetitions))


def with_gaps(seed=0):
    """A trial missing here and there, never more than one of a stimulus, and a repetition one neuron never had."""
    trials = responses(seed=seed)
    rng = np.random.default_rng(seed)
    for neuron in range(4):
        for stimulus in range(0, 30, 4):
            trials[neuron, stimulus, rng.integers(6)] = np.nan
    trials[4, :, 2] = np.nan
    return trials


def resampled(trials, counts):
    """The data that each row of counts stands for, one after the other."""
    return [trials[:, np.repeat(np.arange(trials.shape[1]), count)] for count in counts]


def oracle_by_loops(trials):
    """As DeepMouseTrap does it: every trial, the mean of the others, Pearson's r; gaps left out pairwise."""
    out = []
    for neuron in trials:
        r = []
        for t in range(neuron.shape[1]):
            left = np.isfinite(neuron[:, t])
            if left.any():
                others = np.nanmean(np.delete(neuron, t, axis=1)[left], axis=1)
                r.append(pearsonr(neuron[left, t], others).statistic)
        out.append(np.mean(r))
    return np.array(out)


def variance_by_loops(trials):
    out = []
    for neuron in trials:
        means = [np.nanmean(x) for x in neuron]
        noise = [np.nanvar(x, ddof=1) / np.isfinite(x).sum() for x in neuron]
        out.append(1 - np.mean(noise) / np.var(means, ddof=1))
    return np.array(out)


@pytest.mark.parametrize("trials", [responses(), responses(5), with_gaps()], ids=["whole", "odd", "gaps"])
def test_draws_are_the_same_statistic_of_the_resampled_data(trials):
    counts = bootstrap_counts(30, 4, 0)
    data = [trials, *resampled(trials, counts)]
    cases = {
        "split-half": (
            neuron_reliability(trials, counts, "split-half", n_splits=15, seed=3),
            lambda x: split_half(x, 15, 3),
        ),
        "variance": (neuron_reliability(trials, counts, "variance"), variance_by_loops),
        "oracle": (oracle_correlation(trials, counts), oracle_by_loops),
    }
    for name, ((value, draws), plain) in cases.items():
        np.testing.assert_allclose([value, *draws], [plain(x) for x in data], atol=1e-10, rtol=0, err_msg=name)


def test_single_precision_and_infinite_trials():
    trials = with_gaps()
    counts = bootstrap_counts(30, 3, 0)
    infinite = np.where(np.isnan(trials), np.inf, trials)
    for method in METHODS:
        ours = neuron_reliability(trials, counts, method)
        for other, tolerance in ((infinite, 0), (trials.astype(np.float32), 1e-5)):
            for a, b in zip(ours, neuron_reliability(other, counts, method), strict=True):
                np.testing.assert_allclose(a, b, atol=tolerance, rtol=0)


def test_large_responses_keep_their_digits():
    trials, counts = responses(), bootstrap_counts(30, 3, 0)
    for method in METHODS:
        for a, b in zip(*(neuron_reliability(x, counts, method) for x in (trials, trials + 1e6)), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-7, rtol=0)


@pytest.mark.parametrize("reliability", [0.2, 0.6, 0.95])
@pytest.mark.parametrize("n_repetitions", [2, 5, 50])
def test_oracle_is_corrected_in_closed_form(reliability, n_repetitions):
    ratio = n_repetitions * (1 / reliability - 1)  # noise to signal of one trial
    oracle = 1 / np.sqrt((1 + ratio) * (1 + ratio / (n_repetitions - 1)))
    assert oracle_reliability(np.array([oracle]), n_repetitions)[0] == pytest.approx(reliability)


def test_oracle_at_its_bounds():
    np.testing.assert_array_equal(oracle_reliability(np.array([1.0, 0.0, -0.5, np.nan]), 7), [1, 0, 0, np.nan])


def test_methods_agree_with_the_truth_where_there_is_much_data():
    rng = np.random.default_rng(0)
    ratio = np.array([[[1.0]], [[9.0]], [[39.0]]])
    trials = rng.normal(size=(3, 6000, 1)) + np.sqrt(ratio) * rng.normal(size=(3, 6000, 8))
    truth = 1 / (1 + ratio.ravel() / 8)
    for method in METHODS:
        value, _ = neuron_reliability(trials, bootstrap_counts(6000, 1, 0), method, n_splits=30)
        np.testing.assert_allclose(value, truth, atol=0.02, err_msg=method)


def test_a_neuron_whose_only_response_is_not_drawn_has_no_draw():
    trials = np.zeros((1, 6, 4))
    trials[0, 2] = [1, 2, 1, 3]
    counts = np.array([[1, 1, 1, 1, 1, 1], [2, 1, 0, 1, 1, 1]], np.uint16)
    for method in METHODS:
        value, draws = neuron_reliability(trials, counts, method)
        assert value[0] > 0
        assert np.isnan(draws[:, 0]).tolist() == [False, True]


def test_correlation_of_resampled_columns():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 12, 3))
    a[4, 1] = b[5, 1] = b[6, 1] = np.nan
    a[:, 2] = 0.1
    counts = bootstrap_counts(12, 10, 0)
    ours = resample_correlations(a, b, counts)
    for row, count in zip(ours, counts, strict=True):
        drawn = np.repeat(np.arange(12), count)
        known = drawn[~np.isin(drawn, [4, 5, 6])]
        assert row[0] == pytest.approx(pearsonr(a[drawn, 0], b[drawn, 0]).statistic)
        assert row[1] == pytest.approx(pearsonr(a[known, 1], b[known, 1]).statistic)
    assert np.isnan(ours[:, 2]).all()
