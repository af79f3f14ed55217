"""Ceilings of RDMs and kernels against simulations in which the noise-free ones are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from murine.cortex.recording import Recording
from murine.networks.layer_kernel import LayerKernel
from murine.scoring.site_preparation import make_site_data
from murine.similarity.kernel_similarity import u_centre_kernels
from murine.similarity.rdm import dissimilarities
from murine.similarity.rdm_ceilings import (
    SplitHalfRDM,
    cosine_reliability,
    noise_ratio,
    split_half_correlation,
    whole_reliability,
)
from murine.similarity.rdm_vectors import upper_triangle
from murine.statistics.bootstrap import bootstrap_counts
from murine.statistics.noise_ceiling import Ceiling

N_NEUROIDS, N_STIMULI = 150, 60


def experiment(seed, repetitions, spread=0.5):
    """Noise of different strength in every stimulus, shared by neurons in two dimensions; true responses, trials."""
    rng = np.random.default_rng(seed)
    axes, sharing = rng.normal(size=(10, N_NEUROIDS)), rng.normal(size=(2, N_NEUROIDS))
    true = (rng.normal(size=(N_STIMULI, 10)) * np.exp(spread * rng.normal(size=(N_STIMULI, 1)))) @ axes
    true += 1.5 * rng.normal(size=N_NEUROIDS)
    most = max(repetitions)
    noise = 8 * rng.normal(size=(most, N_STIMULI, N_NEUROIDS)) + 2 * rng.normal(size=(most, N_STIMULI, 2)) @ sharing
    trials = (true + noise).transpose(2, 1, 0)
    numbers = rng.integers(repetitions[0], most + 1, size=N_STIMULI)
    trials[:, np.arange(most) >= numbers[:, None]] = np.nan
    return true, trials


def recording(trials):
    neuroid = {"neuroid_id": np.arange(len(trials)).astype(str), "area": np.full(len(trials), "V")}
    return Recording.from_arrays(trials, neuroid, {"stimulus_id": [f"{i:03d}" for i in range(trials.shape[1])]})


def rdm(patterns):
    return upper_triangle(dissimilarities["pearson"](LayerKernel.of(np.ascontiguousarray(patterns)))[None])[0]


@pytest.mark.parametrize("repetitions", [(2, 2), (3, 3), (8, 8), (2, 8)], ids=str)
@pytest.mark.parametrize("normalise", ["none", "zscore"])
def test_ceilings_are_the_correlation_with_the_noise_free_rdm(repetitions, normalise):
    found = {name: [] for name in ("pearson", "spearman", "tau", "cka")}
    for seed in range(4):
        true, trials = experiment(seed, repetitions)
        site_data = make_site_data(recording(trials), normalise=normalise, n_splits=12)
        counts = bootstrap_counts(N_STIMULI, 2, 0)
        sd = np.nanmean(trials, axis=2).std(axis=1) if normalise == "zscore" else 1
        noise_free = rdm(true if normalise == "none" else (true - true.mean(axis=0)) / sd)
        measured = upper_triangle(site_data.rdms)[0]
        kernels = upper_triangle(u_centre_kernels(np.stack([site_data.kernels[0], (true / sd) @ (true / sd).T])))
        cosine = kernels[0] @ kernels[1] / np.linalg.norm(kernels[0]) / np.linalg.norm(kernels[1])
        ceilings = [
            site_data.ceiling(scale, counts, ranks=rank) for scale, rank in (("r", False), ("r", True), ("tau-a", True))
        ]
        truths = np.corrcoef(measured, noise_free)[0, 1], spearmanr(measured, noise_free)[0]
        truths = *truths, kendalltau(measured, noise_free)[0], cosine
        for name, ceiling, truth in zip(found, [*ceilings, site_data.kernel_ceiling(counts)], truths, strict=True):
            found[name].append((ceiling.value[0], truth))
    for name, pairs in found.items():
        estimate, truth = np.mean(pairs, axis=0)
        assert estimate == pytest.approx(truth, abs=0.03), (name, pairs)


def test_matches_the_definition_where_noise_draws_nothing_towards_zero():
    rng = np.random.default_rng(0)
    signal = rng.normal(size=45)
    first, second = signal + rng.normal(size=(2, 6, 45))
    whole = (first[0] + second[0]) / 2
    counts = bootstrap_counts(10, 3, 0)
    halved = SplitHalfRDM(whole, first, second, None, np.ones(10), np.full(10, 2.0))
    value, draws = halved.reliability(counts, ranks=False)
    covariance = np.mean([np.cov(a, b, ddof=0)[0, 1] for a, b in zip(first, second, strict=True)])
    assert value == pytest.approx(covariance / whole.var(), rel=0.02)  # but for means of halves that differ
    assert draws.shape == (3,)


def test_a_half_that_is_not_defined_has_no_ceiling():
    whole, half = np.linspace(0, 1, 45), np.full((2, 45), np.nan)
    counts = bootstrap_counts(10, 3, 0)
    halved = SplitHalfRDM(whole, half, half, np.full(10, 0.5), np.ones(10), np.full(10, 2.0))
    for ranks in (False, True):
        value, draws = halved.reliability(counts, ranks=ranks)
        assert np.isnan([value, *draws]).all()
    value, draws = cosine_reliability(whole, half, half, counts)
    assert np.isnan([value, *draws]).all()
    assert Ceiling.from_reliability(np.array([value]), draws[:, None], "r").flags == ("ceiling not known",)


def test_noise_of_the_whole_in_that_of_its_halves():
    half, whole = np.array([0.5, 0.5, 0.2, 0.0, np.nan]), np.array([2 / 3, 0.8, 0.9, 0.5, 0.5])
    np.testing.assert_allclose(noise_ratio(half, whole), [0.5, 0.25, 0.2, np.nan, np.nan])
    np.testing.assert_allclose(whole_reliability(half, np.full(5, 0.5)), [2 / 3, 2 / 3, 1 / 3, 0, np.nan])
    np.testing.assert_allclose(whole_reliability(half[:2], noise_ratio(half, whole)[:2]), whole[:2])


def test_halves_that_do_not_vary_have_no_reliability():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 3, 45)).astype(np.float32)
    second[1] = 2.0
    value, draws = split_half_correlation(first, second, bootstrap_counts(10, 5, 0))
    assert np.isnan(value)
    assert np.isnan(draws).all()
    # One pair alone varies: it is in a third of the samples, and nothing but rounding is left of the others.
    first, second = (np.full((2, 45), 3.0, np.float32) for _ in range(2))
    first[:, 0] = second[:, 0] = 4.0
    counts = bootstrap_counts(10, 40, 0)
    with_pair = (counts[:, :2] > 0).all(axis=1)
    value, draws = split_half_correlation(first, second, counts)
    assert value == pytest.approx(1)
    np.testing.assert_allclose(draws[with_pair], 1, atol=1e-3)
    assert np.isnan(draws[~with_pair]).all()


@pytest.fixture
def halves():
    rng = np.random.default_rng(0)
    signal = rng.normal(size=45)
    return [(3 + signal + rng.normal(size=(6, 45))).astype(np.float32) for _ in range(2)]


def test_reliability_of_halves_is_the_mean_correlation(halves):
    first, second = halves
    counts = bootstrap_counts(10, 12, 1)
    value, draws = split_half_correlation(first, second, counts)
    assert value == pytest.approx(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(*halves, strict=True)]), abs=1e-6)
    rows, columns = np.triu_indices(10, 1)
    position = np.zeros((10, 10), int)
    position[rows, columns] = position[columns, rows] = np.arange(45)
    for count, draw in zip(counts, draws, strict=True):
        drawn = np.repeat(np.arange(10), count)
        pairs = [position[i, j] for k, i in enumerate(drawn) for j in drawn[k + 1 :] if i != j]
        expected = np.mean([np.corrcoef(a[pairs], b[pairs])[0, 1] for a, b in zip(*halves, strict=True)])
        assert draw == pytest.approx(expected, abs=1e-5)
