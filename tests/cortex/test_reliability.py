"""Split-half reliability against its definition, one loop at a time."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from murine.cortex import reliability
from murine.cortex.reliability import random_halves, spearman_brown, split_half
from murine.errors import MurineError


def by_loops(responses, n_splits, seed):
    """The definition: every neuron, every split, with numpy's nanmean and corrcoef."""
    halves = random_halves(responses.shape[2], n_splits, seed)
    out = []
    for trials in responses.astype(np.float64):
        corrected = []
        for first in halves:
            if np.isnan(trials[:, first]).all(axis=1).any() or np.isnan(trials[:, ~first]).all(axis=1).any():
                corrected.append(np.nan)
                continue
            a, b = np.nanmean(trials[:, first], axis=1), np.nanmean(trials[:, ~first], axis=1)
            r = np.corrcoef(a, b)[0, 1]
            corrected.append(2 * r / (1 + r))
        out.append(np.mean(corrected))
    return np.array(out)


def responses(n_repetitions, dtype=np.float64, offset=0.0):
    rng = np.random.default_rng(n_repetitions)
    signal, noise = rng.normal(size=(9, 25, 1)), rng.normal(size=(9, 25, n_repetitions))
    return (offset + 2 * signal + noise).astype(dtype)


@pytest.mark.parametrize("n_repetitions", [2, 3, 7, 20])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_equals_a_plain_double_loop(n_repetitions, dtype):
    data = responses(n_repetitions, dtype)
    np.testing.assert_allclose(split_half(data, 30, 4), by_loops(data, 30, 4), atol=1e-12, rtol=0)


@pytest.mark.parametrize("n_repetitions", [6, 9])
def test_equals_the_loop_with_missing_trials(n_repetitions):
    data = responses(n_repetitions)
    rng = np.random.default_rng(1)
    for neuron in range(0, 9, 2):  # at most one missing of a stimulus, so that every half has some
        for stimulus in range(0, 25, 3):
            data[neuron, stimulus, rng.integers(n_repetitions)] = np.nan
    np.testing.assert_allclose(split_half(data, 30), by_loops(data, 30, 0), atol=1e-12, rtol=0)
    infinite = np.where(np.isnan(data), np.inf, data)
    np.testing.assert_array_equal(split_half(infinite, 30), split_half(data, 30))


def test_complete_and_incomplete_neurons_of_many_blocks_keep_their_places(monkeypatch):
    data = responses(6)
    data[2, :, 4] = np.nan  # a repetition that was never shown
    data[6, :, 3:] = np.nan  # half of them, as in a neuron of fewer sessions than others
    data[7, :, 2:] = np.inf
    data[7, 5, 1] = np.nan
    data[3, ::2, 1] = data[4, ::2, 1] = np.nan  # two neurons of one experiment
    data[5, 7, 2] = np.inf
    right = by_loops(np.where(np.isinf(data), np.nan, data), 30, 0)
    for block in (1, 2 * 25 * 6, 10**6):
        monkeypatch.setattr(reliability, "BLOCK", block)
        np.testing.assert_allclose(split_half(data, 30), right, atol=1e-12, rtol=0)
        assert np.isnan(right[7])  # some half has no trial of a stimulus
    data = responses(20)
    data[6, :, 11:] = np.nan
    np.testing.assert_allclose(split_half(data), by_loops(data, 100, 0), atol=1e-12, rtol=0)


def test_only_the_neurons_wanted():
    data = responses(6)
    data[4, 3, 2] = np.nan
    wanted = np.array([7, 4, 0, 4])
    np.testing.assert_allclose(split_half(data, neuroids=wanted), split_half(data)[wanted], atol=1e-14, rtol=0)
    assert split_half(data, neuroids=wanted[:0]).shape == (0,)


def test_threads_change_nothing(monkeypatch):
    data = np.random.default_rng(0).normal(size=(200, 25, 6))
    monkeypatch.setattr(reliability, "BLOCK", 7 * 25 * 6)
    alone = split_half(data)
    with threadpool_limits(3, "blas"):
        np.testing.assert_array_equal(split_half(data), alone)
        assert {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"} == {3}


@pytest.mark.parametrize("size", [1e2, 1e4, 1e6])
def test_one_huge_trial_spoils_no_digit(size):
    """As in dF/F over a baseline near zero: the half that has it varies far more than the other."""
    data = responses(6)
    data[:, :, 2] *= size
    np.testing.assert_allclose(split_half(data), by_loops(data, 100, 0), atol=1e-12, rtol=0)


def test_whole_repetitions_that_are_missing_need_no_slower_way(monkeypatch):
    data = responses(12)
    data[3, :, 7:] = np.nan
    monkeypatch.setattr(reliability, "_from_means", None)
    assert np.isfinite(split_half(data)).all()


def test_many_repetitions_and_splits_go_the_other_way(monkeypatch):
    """Products of pairs of repetitions are given up where there are too many; the answer stays."""
    data = responses(20)
    right = split_half(data)
    monkeypatch.setattr(reliability, "LARGEST_WEIGHTS", 0)
    np.testing.assert_allclose(split_half(data), right, atol=1e-13, rtol=0)


def test_a_neuron_that_responds_in_few_trials_is_nan_where_a_half_is_silent():
    """Sums of all trials less those of a half would leave rounding, which correlates with anything."""
    data = np.zeros((2, 25, 8))
    data[0, 4, 3] = 0.7  # whichever half has this trial, the other one is silent
    rng = np.random.default_rng(0)
    data[1, :, 3] = 0.1 * rng.normal(size=25)
    assert np.isnan(split_half(data)).all()
    data[:, :, 5] += 1e-5 * rng.normal(size=(2, 25))
    halves = random_halves(8)
    assert (halves[:, 3] == halves[:, 5]).any()  # so some half is still silent
    assert np.isnan(split_half(data)).all()
    data += 1e-5 * rng.normal(size=data.shape)
    np.testing.assert_allclose(split_half(data), by_loops(data, 100, 0), atol=1e-9, rtol=0)


def test_large_offsets_lose_nothing():
    data = responses(8, offset=1e4)
    np.testing.assert_allclose(split_half(data, 20), split_half(data - 1e4, 20), atol=1e-9)


def test_gain_offset_and_order_do_not_matter():
    data = responses(10)
    right = split_half(data)
    scale = np.linspace(0.5, 3, 9)[:, None, None]
    np.testing.assert_allclose(split_half(scale * data - 7), right, atol=1e-12)
    order = np.random.default_rng(0).permutation(25)
    np.testing.assert_allclose(split_half(data[:, order]), right, atol=1e-12)
    np.testing.assert_allclose(
        split_half(data[::-1]), right[::-1], rtol=0, atol=1e-14
    )  # the place in a block: rounding


def test_neurons_that_have_no_reliability_are_nan():
    data = responses(4)
    data[0] = 0.1
    data[1] = 1e6 + 1e-12
    data[2, 3] = np.nan  # never shown
    data[3, 3, 1:] = np.nan  # one trial: one half has none
    found = split_half(data)
    assert np.isnan(found[:4]).all()
    np.testing.assert_allclose(found[4:], by_loops(data[4:], 100, 0), atol=1e-12)


@pytest.mark.parametrize("n_repetitions", [4, 10, 50])
def test_constant_neurons_of_any_size_have_no_reliability(n_repetitions):
    """Whatever rounding leaves of them."""
    values = np.random.default_rng(0).lognormal(0, 8, 300)
    data = np.broadcast_to(values[:, None, None], (300, 119, n_repetitions))
    assert np.isnan(split_half(data)).all()
    by_trial = np.random.default_rng(1).lognormal(0, 1, (300, 1, n_repetitions))  # and differ from trial to trial
    assert np.isnan(split_half(data * by_trial)).all()


def test_repeated_trials_have_reliability_one():
    data = np.repeat(responses(1), 6, axis=2)
    np.testing.assert_allclose(split_half(data), 1, atol=1e-12)


@pytest.mark.parametrize("n_repetitions", [2, 5, 8])
def test_halves_are_random_halves(n_repetitions):
    halves = random_halves(n_repetitions, 2000, 3)
    assert (halves.sum(axis=1) == n_repetitions // 2).all()
    share = (n_repetitions // 2) / n_repetitions
    np.testing.assert_allclose(halves.mean(axis=0), share, atol=5 * np.sqrt(share * (1 - share) / 2000))
    np.testing.assert_array_equal(random_halves(n_repetitions, 2000, 3), halves)
    assert (random_halves(n_repetitions, 2000, 4) != halves).any()
    with pytest.raises(MurineError, match="at least 2 repetitions; there is 1"):
        random_halves(1)


def test_spearman_brown():
    # Variance of signal s and of noise n: a mean of k measurements has reliability s / (s + n / k).
    s, n = 2.0, 3.0
    one = np.array([s / (s + n)])
    for k in (0.5, 2, 3, 10):
        np.testing.assert_allclose(spearman_brown(one, k), s / (s + n / k))
    np.testing.assert_array_equal(spearman_brown(np.array([np.nan, -1, 0, 1])), [np.nan, np.nan, 0, 1])
    assert isinstance(spearman_brown(np.array([0.5]))[0], float)
