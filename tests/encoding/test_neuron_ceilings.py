"""Reliability of neurons against plain loops, closed forms and the truth of the simulated cortex."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.stats import pearsonr

from murine.cortex.simulated import SimulatedCortex, simulate
from murine.encoding.neuron_ceilings import calibrate_draws, low_ceiling_note, mean_ceilings, neuron_ceiling
from murine.encoding.reliability import METHODS, neuron_reliability, oracle_correlation
from murine.errors import MurineError
from murine.statistics.bootstrap import bootstrap_counts
from murine.statistics.noise_ceiling import Ceiling


def responses(n_repetitions=6, n_neuroids=5, n_stimuli=30, noise=1.5, seed=0):
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(n_neuroids, n_stimuli, 1))
    return 4 + signal + noise * rng.normal(size=(n_neuroids, n_stimuli, n_repetitions))


def test_neurons_that_say_nothing_are_flagged():
    trials = responses(seed=2)
    trials[0] = 3.3  # constant
    trials[1, 7] = np.nan  # a stimulus without trial
    trials[2] = np.random.default_rng(4).normal(size=(30, 6))
    trials[2] -= trials[2].mean(axis=1, keepdims=True)  # noise alone: no stimulus differs from another
    trials[2, 0] += 1e-3
    counts = bootstrap_counts(30, 50, 0)
    for method in METHODS:
        value, draws = neuron_reliability(trials, counts, method)
        assert np.isnan(value[:2]).all()
        assert np.isnan(draws[:, :2]).all()
        assert value[2] < 0 or method == "oracle"
        ceiling = neuron_ceiling(trials, "r", counts, method)
        assert ceiling.flags == (*("ceiling not known",) * 2, "ceiling not above zero", "", "")
        ceiled = ceiling.apply(np.full((1, 5), 0.3), "r")
        assert np.isnan(ceiled[0, :3]).all()
        assert np.isfinite(ceiled[0, 3:]).all()
        low, high = ceiling.interval()
        assert (low[3:] < ceiling.value[3:]).all()
        assert (high[3:] > ceiling.value[3:]).all()


def test_bad_input_is_refused(unchecked):
    counts = bootstrap_counts(30, 2, 0)
    with pytest.raises(
        MurineError, match="unknown method 'half' for the reliability of neurons; expected one of split-half, oracle"
    ):
        neuron_ceiling(responses(), "r", counts, "half")
    with pytest.raises(MurineError, match="cannot be estimated from 1 repetitions of 30 stimuli"):
        neuron_ceiling(responses(1), "r", counts)
    with pytest.raises(MurineError, match="samples of 30 stimuli do not fit responses to 20"):
        oracle_correlation(responses(n_stimuli=20), counts)
    with pytest.raises(MurineError, match="from 6 repetitions of 3 stimuli"):
        neuron_ceiling(responses(n_stimuli=3), "r", np.ones((1, 3), np.uint16))
    with pytest.raises(MurineError, match="scale 'rho' has no known ceiling"):
        neuron_ceiling(responses(), "rho", counts)


def test_scales():
    trials, counts = responses(), bootstrap_counts(30, 5, 0)
    r, r2 = (neuron_ceiling(trials, scale, counts, "variance") for scale in ("r", "r2"))
    np.testing.assert_allclose(r.value**2, r2.value)
    np.testing.assert_allclose(r2.value, neuron_reliability(trials, counts, "variance")[0])
    with pytest.raises(MurineError, match="a ceiling on the scale 'r2' cannot be applied to scores on the scale 'r'"):
        r2.apply(np.ones((1, 5)), "r")


def test_calibrated_draws_keep_their_order_and_have_the_spread_of_the_jackknife():
    rng = np.random.default_rng(0)
    value, draws = np.array([0.5, 1.0]), 1 - np.exp(rng.normal(-0.8, 0.3, (4000, 2)))
    left = 1 - np.exp(np.log(0.5) + rng.normal(0, 0.05, (100, 2)))
    out = calibrate_draws(value, draws, left)
    np.testing.assert_array_equal(out.argsort(axis=0), draws.argsort(axis=0))
    np.testing.assert_array_equal(out[:, 1], draws[:, 1])  # without noise there is nothing to stretch
    log = np.log(1 - out[:, 0])
    assert log.mean() == pytest.approx(np.log(0.5))
    assert log.std() == pytest.approx(np.sqrt(99) * np.log(1 - left[:, 0]).std() * 1.98422 / 1.95996, rel=1e-4)


@pytest.fixture(scope="module")
def base() -> SimulatedCortex:
    return simulate(n_neuroids=10)


@pytest.mark.parametrize("reliability", [0.3, 0.6, 0.9])
def test_ceilings_cover_the_truth(base: SimulatedCortex, reliability: float) -> None:
    """Experiments with 100 stimuli drawn from a population of scenes, of which the reliability of a neuron is known.

    30 neurons of the simulated cortex x 100 experiments; 95 % intervals."""
    true, n_repetitions = base.true_responses, 10
    noise_sd = np.sqrt(n_repetitions * true.var(axis=1) * (1 - reliability) / reliability)[:, None, None]
    covered: dict[str, list[np.ndarray]] = {method: [] for method in METHODS}
    for seed in range(100):
        rng = np.random.default_rng([seed, 7])
        shown = true[:, rng.integers(true.shape[1], size=100), None]
        trials = shown + noise_sd * rng.normal(size=(len(true), 100, n_repetitions))
        for method in METHODS if seed < 20 else ["variance"]:
            low, high = neuron_ceiling(trials, "r", bootstrap_counts(100, 200, seed), method, n_splits=10).interval()
            covered[method].append((low <= np.sqrt(reliability)) & (np.sqrt(reliability) <= high))
    rates = {method: np.mean(hits) for method, hits in covered.items()}
    assert 0.92 <= rates["variance"] <= 0.97, rates
    assert min(rates.values()) >= 0.91, rates


def test_averaged_ceilings() -> None:
    own = Ceiling(np.array([0.5, 0.0, 0.7]), np.arange(6.0).reshape(2, 3), "r")
    groups = [np.array([0, 1]), np.array([2])]
    np.testing.assert_allclose(own.mean_over(groups).value, [0.25, 0.7])
    np.testing.assert_allclose(own.mean_over(groups).draws, [[0.5, 2], [3.5, 5]])


def truth_of_means(true, trials):
    """The correlation of mean responses with expected ones, averaged over neurons."""
    return np.mean([pearsonr(a, b).statistic for a, b in zip(true, np.nanmean(trials, axis=2), strict=True)])


@pytest.mark.parametrize(("n_repetitions", "shared_noise"), [(2, 0.0), (20, 0.0), (4, 0.6)])
def test_means_over_neurons_have_no_bias(n_repetitions, shared_noise):
    """Neurons of very different reliability, skewed signals and noise that neurons share."""
    found = []
    for seed in range(8):
        rng = np.random.default_rng([seed, n_repetitions])
        size = rng.gamma(1.5, 0.6, size=300)
        true = size[:, None] * (np.exp(rng.normal(size=(300, 60))) - 1.6) / 2
        sharing, shared = rng.normal(size=(300, 2)), rng.normal(size=(2, 60, n_repetitions))
        noise = rng.normal(size=(300, 60, n_repetitions)) + shared_noise * np.tensordot(sharing, shared, 1)
        trials = true[:, :, None] + noise * np.sqrt(n_repetitions / 4)
        ceiling = mean_ceilings(trials, [np.arange(300)], bootstrap_counts(60, 2, 0)).mean_over([np.arange(300)])
        found.append((ceiling.value[0], truth_of_means(true, trials)))
    estimate, truth = np.mean(found, axis=0)
    assert estimate == pytest.approx(truth, abs=0.025), found


def test_intervals_of_means_cover_the_truth():
    rng = np.random.default_rng(0)
    size, covered, values = rng.gamma(1.5, 0.5, size=60), [], []
    for seed in range(60):
        rng = np.random.default_rng([seed, 1])
        true = size[:, None] * rng.normal(size=(60, 50))
        trials = true[:, :, None] + 2 * rng.normal(size=(60, 50, 4))
        ceiling = mean_ceilings(trials, [np.arange(60)], bootstrap_counts(50, 200, seed)).mean_over([np.arange(60)])
        covered.append(np.concatenate(ceiling.interval()))
        values.append(truth_of_means(true, trials))
    low, high = np.array(covered).T
    assert np.mean((low <= np.mean(values)) & (np.mean(values) <= high)) >= 0.93


def test_mean_ceilings_of_groups():
    trials = responses(n_neuroids=8)
    trials[3] = 2.0
    trials[4] = np.nan
    counts = bootstrap_counts(30, 4, 0)
    groups = [np.array([0, 1, 3]), np.array([5, 6])]
    both = mean_ceilings(trials, groups, counts)
    assert np.isnan(both.value[[2, 3, 4, 7]]).all()
    assert np.isfinite(both.draws[:, [0, 1, 5, 6]]).all()
    alone = mean_ceilings(trials[5:7], [np.arange(2)], counts)
    np.testing.assert_array_equal(both.value[5:7], alone.value)
    assert both.mean_over(groups).flags == ("ceiling of 2 of 3 neurons", "")
    counts = np.ones((1, 30), np.uint16)  # every stimulus once: the ceiling itself
    np.testing.assert_allclose(mean_ceilings(trials, groups, counts).draws[0, :2], both.value[:2])


def test_neurons_of_nothing_but_noise_have_no_mean_ceiling_and_those_without_noise_one():
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(40, 30, 4))
    noise -= noise.mean(axis=2, keepdims=True) * 0.999
    counts, group = bootstrap_counts(30, 5, 0), [np.arange(40)]
    assert mean_ceilings(noise, group, counts).mean_over(group).flags == ("ceiling not above zero",)
    sure = np.repeat(rng.normal(size=(40, 30, 1)), 4, axis=2)
    assert mean_ceilings(sure, group, counts).mean_over(group).value[0] == pytest.approx(1, abs=1e-3)


def test_a_site_with_many_neurons_that_may_be_silent_is_told():
    rng = np.random.default_rng(0)
    size = np.where(np.arange(100) < 50, 0, 1.0)
    trials = size[:, None, None] * rng.normal(size=(100, 60, 1)) + 2 * rng.normal(size=(100, 60, 4))
    ceiling = mean_ceilings(trials, [np.arange(100)], bootstrap_counts(60, 2, 0))
    assert re.fullmatch(r"ceiling uncertain: \d\d% of the neurons may say nothing", low_ceiling_note(ceiling.value))
    assert low_ceiling_note(ceiling.value[50:]) == ""
