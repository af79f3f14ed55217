"""Draws of scores of predictions: against derivatives, and how often intervals cover what is true."""

from __future__ import annotations

import numpy as np
import pytest

from murine.comparison.chance import chance_correlations
from murine.comparison.encoding import correlate, loo_operators
from murine.comparison.inference import bootstrap_counts
from murine.comparison.influence import resampled_neurons, resampled_scores
from murine.comparison.prediction import resampled_correlations
from murine.errors import MurineError

N = 40


def data(seed, n_units=300, n_neuroids=30, shared=1.0, n=N):
    rng = np.random.default_rng([seed, n_units])
    features = rng.normal(size=(n, n_units)) / np.arange(1, n_units + 1) ** 0.5
    signal = features @ rng.normal(size=(n_units, n_neuroids))
    noise = rng.normal(size=(n, n_neuroids)) @ rng.normal(size=(n_neuroids, n_neuroids))
    responses = shared * signal / signal.std() + noise / noise.std()
    features -= features.mean(axis=0)
    return (features @ features.T)[None], np.ascontiguousarray(responses.T)


def ridge(seed, **options):
    gram, responses = data(seed, **options)
    return loo_operators(gram, relative=True), responses


def once_more(n):
    """Every stimulus once, but one of them twice."""
    return (1 + np.eye(n)).astype(np.uint16)


def test_draws_follow_the_weights_of_stimuli_that_are_predicted_and_learned_from():
    """The derivative of r, where stimulus j weighs w in moments, and its residual w in the predictions of others."""
    operators, responses = ridge(0)
    y = responses - responses.mean(axis=1, keepdims=True)
    centred = operators[0] - operators[0].mean(axis=0)
    z = y @ centred.T
    slope = np.einsum("ij,ij->i", y, z) / np.einsum("ij,ij->i", z, z)
    rest = y - slope[:, None] * z
    step, expected = 1e-5, np.empty((len(y), N))
    plain = np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(z, y, strict=True)])
    for j in range(N):
        weights = np.ones(N)
        weights[j] += step
        moved = z + step * rest[:, [j]] * centred[:, j]
        moments = [np.cov(a, b, aweights=weights, ddof=0) for a, b in zip(moved, y, strict=True)]
        expected[:, j] = [m[0, 1] / np.sqrt(m[0, 0] * m[1, 1]) for m in moments]
    expected = (expected - plain[:, None]) / step * N
    expected -= expected.mean(axis=1, keepdims=True)
    ones = np.ones((1, N), np.uint16)
    draws = resampled_neurons(operators, responses, np.concatenate([ones, once_more(N)]))[:, 0]
    np.testing.assert_allclose(draws[0], plain, atol=1e-5)
    found = (draws[1:] - draws[0]).T * (N + 1)
    factor = (found * expected).sum() / (expected**2).sum()
    np.testing.assert_allclose(found, factor * expected, atol=5e-3 * np.abs(expected).max())
    assert np.sqrt(0.5) - 1e-3 <= factor / np.sqrt(N / (N - 1)) <= 1


def test_a_site_is_the_mean_of_its_neurons():
    operators, responses = ridge(1)
    counts = bootstrap_counts(N, 20, 0)
    groups = [np.arange(12), np.arange(8, 30)]
    for fitted in (False, True):
        found = resampled_scores(operators, responses, counts, groups, fitted_to_responses=fitted)
        for s, members in enumerate(groups):
            each = resampled_neurons(operators, responses[members], counts, fitted_to_responses=fitted)
            np.testing.assert_allclose(found[:, :, s], each.mean(axis=2), atol=1e-5)


def test_fitted_operators_have_twice_the_variance_of_predictions_as_they_are():
    operators, responses = ridge(2)
    y = responses - responses.mean(axis=1, keepdims=True)
    counts, groups = bootstrap_counts(N, 4000, 0), [np.arange(30)]
    exact = resampled_correlations((y @ operators[0].T)[None], y, counts, groups)
    found = resampled_scores(operators, responses, counts, groups, fitted_to_responses=True)
    assert found.var() == pytest.approx(2 * exact.var(), rel=0.2)  # which are not linear in the counts


# 400 scores: a rate of 5 % has a standard error of 1.1 %.
def test_intervals_of_unrelated_layers_hold_zero_as_often_as_they_say():
    outside, plain, n = [], [], 80
    counts, site = bootstrap_counts(n, 300, 0), [np.arange(8)]
    for seed in range(400):
        operators, responses = ridge(seed, shared=0.0, n_neuroids=8, n=n)
        score = correlate(operators, responses)[0].mean() - chance_correlations(operators)[0]
        draws = resampled_scores(operators, responses, counts, site)
        outside.append(abs(score) > 1.96 * draws.std())
        twice = resampled_scores(operators, responses, counts, site, fitted_to_responses=True)
        plain.append(abs(score) > 1.96 * twice.std() / np.sqrt(2))
    assert np.mean(outside) == pytest.approx(0.05, abs=0.03)
    assert np.mean(plain) > 0.12  # without what is learned from stimuli


@pytest.mark.parametrize("shared", [0.5, 2.0])
def test_intervals_cover_scores_of_any_size(shared):
    counts = bootstrap_counts(N, 400, 0)
    scores, spreads = [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        features = rng.normal(size=(N, 300)) / np.arange(1, 301) ** 0.5
        axes = np.random.default_rng(99).normal(size=(300, 8))  # the same neurons, other stimuli
        responses = (shared * features @ axes / 2.5 + rng.normal(size=(N, 8))).T
        features -= features.mean(axis=0)
        operators = loo_operators((features @ features.T)[None], relative=True)
        scores.append(correlate(operators, responses)[0].mean())
        spreads.append(resampled_scores(operators, responses, counts, [np.arange(8)]).std())
    covered = np.mean(np.abs(scores - np.mean(scores)) <= 1.96 * np.array(spreads))
    assert 0.92 <= covered <= 0.99, covered


def test_what_is_refused():
    operators, responses = ridge(3)
    counts = bootstrap_counts(N, 5, 0)
    with pytest.raises(MurineError, match="positions"):
        resampled_scores(operators, responses, counts, [np.array([30])])
    responses[3] = 2.5
    with pytest.raises(MurineError, match="Neuron 3"):
        resampled_scores(operators, responses, counts, [np.arange(30)])
    assert np.isfinite(resampled_scores(operators, responses, counts, [np.array([0, 1, 4])])).all()
