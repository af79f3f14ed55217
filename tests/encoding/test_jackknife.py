"""Draws of scores of predictions: against derivatives, and how often intervals cover what is true."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import stdtrit

from murine.encoding.jackknife import VARIANCE_FACTOR, resample_neuron_scores, resample_site_scores
from murine.encoding.null_correlation import null_correlations
from murine.encoding.prediction_operators import correlate_predictions
from murine.encoding.ridge import ridge_loo_operators
from murine.errors import MurineError
from murine.statistics.bootstrap import bootstrap_counts

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
    return ridge_loo_operators(gram, relative=True), responses


def test_draws_follow_the_weights_of_stimuli():
    """The derivative of r, where stimulus j weighs w in moments, times what learning and Student's t add."""
    operators, responses = ridge(0)
    y = responses - responses.mean(axis=1, keepdims=True)
    z = y @ (operators[0] - operators[0].mean(axis=0)).T
    step, expected = 1e-5, np.empty((len(y), N))
    plain = np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(z, y, strict=True)])
    for j in range(N):
        weights = np.ones(N)
        weights[j] += step
        moments = [np.cov(a, b, aweights=weights, ddof=0) for a, b in zip(z, y, strict=True)]
        expected[:, j] = [m[0, 1] / np.sqrt(m[0, 0] * m[1, 1]) for m in moments]
    expected = (expected - plain[:, None]) / step
    twice = np.concatenate([np.ones((1, N)), 1 + np.eye(N)]).astype(np.uint16)
    draws = resample_neuron_scores(operators, responses, twice)[:, 0]
    np.testing.assert_allclose(draws[0], plain, atol=1e-5)
    spread = np.sqrt(VARIANCE_FACTOR * N / (N - 1)) * stdtrit(N - 1, 0.975) / stdtrit(np.inf, 0.975)
    np.testing.assert_allclose((draws[1:] - draws[0]).T * (N + 1) / N, spread * expected, atol=1e-5)


def test_a_site_is_the_mean_of_its_neurons():
    operators, responses = ridge(1)
    counts = bootstrap_counts(N, 20, 0)
    groups = [np.arange(12), np.arange(8, 30)]
    found = resample_site_scores(operators, responses, counts, groups)
    for s, members in enumerate(groups):
        each = resample_neuron_scores(operators, responses[members], counts)
        np.testing.assert_allclose(found[:, :, s], each.mean(axis=2), atol=1e-5)


# 400 scores: a rate of 5 % has a standard error of 1.1 %.
def test_intervals_of_unrelated_layers_hold_zero_as_often_as_they_say():
    outside, plain, n = [], [], 80
    counts, site = bootstrap_counts(n, 300, 0), [np.arange(8)]
    for seed in range(400):
        operators, responses = ridge(seed, shared=0.0, n_neuroids=8, n=n)
        score = correlate_predictions(operators, responses)[0].mean() - null_correlations(operators)[0]
        draws = resample_site_scores(operators, responses, counts, site)
        outside.append(abs(score) > 1.96 * draws.std())
        plain.append(abs(score) > 1.96 * draws.std() / np.sqrt(VARIANCE_FACTOR))
    assert 0.005 < np.mean(outside) < 0.06
    assert np.mean(plain) > 0.12  # without what is learned from stimuli


@pytest.mark.parametrize("shared", [0.5, 2.0])
@pytest.mark.parametrize(("n", "n_units"), [(40, 300), (40, 40), (60, 12)])
def test_intervals_cover_scores_and_differences_of_exchangeable_layers(shared, n, n_units):
    """Two noisy views of the same stimuli; as many units as stimuli are the worst case of a jackknife."""
    counts = bootstrap_counts(n, 400, 0)
    rows = []
    for seed in range(150):
        rng = np.random.default_rng([seed, n_units])
        latents = rng.normal(size=(n, 8))
        readout, axes = (np.random.default_rng(99).normal(size=(8, k)) for k in (n_units, 8))  # the same in all
        responses = (shared * latents @ axes / 3 + rng.normal(size=(n, 8))).T
        grams = []
        for _ in range(2):
            features = (latents + 0.7 * rng.normal(size=latents.shape)) @ readout + rng.normal(size=(n, n_units))
            features -= features.mean(axis=0)
            grams.append(features @ features.T)
        operators = ridge_loo_operators(np.stack(grams), relative=True)
        draws = resample_site_scores(operators, responses, counts, [np.arange(8)])[:, :, 0]
        score = correlate_predictions(operators, responses).mean(axis=1)
        rows.append([*score, *draws.std(axis=0), score[0] - score[1], (draws[:, 0] - draws[:, 1]).std()])
    one, other, sd, other_sd, difference, spread = np.array(rows).T
    scores, sds = np.concatenate([one, other]), np.concatenate([sd, other_sd])
    assert np.mean(np.abs(scores - scores.mean()) <= 1.96 * sds) >= 0.93
    assert np.mean(np.abs(difference) > 1.96 * spread) <= 0.08
    assert sds.mean() < 1.6 * scores.std()


def test_what_is_refused():
    operators, responses = ridge(3)
    counts = bootstrap_counts(N, 5, 0)
    with pytest.raises(MurineError, match="positions"):
        resample_site_scores(operators, responses, counts, [np.array([30])])
    responses[3] = 2.5
    with pytest.raises(MurineError, match="Neuron 3"):
        resample_site_scores(operators, responses, counts, [np.arange(30)])
    assert np.isfinite(resample_site_scores(operators, responses, counts, [np.array([0, 1, 4])])).all()
