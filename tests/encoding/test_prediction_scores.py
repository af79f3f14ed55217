"""Scores of single neurons and their bootstrap: against definitions and repeated calculation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr

from murine.encoding.prediction_scores import correlations, explained_variance, r2, resampled_correlations
from murine.errors import MurineError
from murine.statistics.bootstrap import bootstrap_counts

N = 30


def pair(n_neuroids=8, seed=0, skewed=False):
    rng = np.random.default_rng([seed, n_neuroids])
    responses = rng.normal(size=(n_neuroids, N))
    predictions = 0.5 * responses + rng.normal(size=(n_neuroids, N))
    if skewed:  # as of neurons that answer to a few stimuli
        responses = np.exp(1.5 * responses)
    return 2 * predictions + 7, 3 * responses - 5


@pytest.mark.parametrize("score", [correlations, r2, explained_variance])
def test_neurons_without_an_answer_are_nan(score):
    predictions, responses = pair()
    predictions[0] = 0.1
    responses[1] = 0.3
    responses[2, 4] = np.nan
    predictions[3, 4] = np.nan
    np.testing.assert_array_equal(np.isnan(score(predictions, responses)), np.arange(8) < 4)


def test_what_scores_forgive():
    predictions, responses = pair()
    np.testing.assert_allclose(correlations(3 * predictions + 1, responses), correlations(predictions, responses))
    np.testing.assert_allclose(
        explained_variance(predictions + 1, responses), explained_variance(predictions, responses)
    )
    assert (r2(predictions + 100, responses) < r2(predictions, responses)).all()
    np.testing.assert_allclose(r2(responses, responses), 1)
    at_mean = responses.mean(axis=1, keepdims=True) + 1e-6 * predictions
    np.testing.assert_allclose(
        r2(at_mean - at_mean.mean(axis=1, keepdims=True) + responses.mean(axis=1, keepdims=True), responses),
        0,
        atol=1e-5,
    )


def by_repetition(predictions, responses, counts, groups):
    """Stimuli repeated as often as drawn, one neuron after the other."""
    draws = np.empty((len(counts), len(groups)))
    for b, count in enumerate(counts):
        drawn = np.repeat(np.arange(N), count)
        r = [pearsonr(p[drawn], y[drawn]).statistic for p, y in zip(predictions, responses, strict=True)]
        draws[b] = [np.mean(np.array(r)[group]) for group in groups]
    return draws


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("skewed", [False, True])
def test_resampled_correlations_are_those_of_repeated_stimuli(skewed, dtype):
    n_neuroids = 150  # more than one block
    pairs = [pair(n_neuroids, seed, skewed) for seed in (0, 1)]
    responses = pairs[0][1]
    predictions = np.stack([pairs[0][0], 0.3 * pairs[0][0] + pairs[1][0]])
    counts = bootstrap_counts(N, 7, 0)
    groups = [np.arange(100), np.array([3, 5]), np.arange(50, n_neuroids)]
    found = resampled_correlations(predictions.astype(dtype), responses, counts, groups)
    assert found.shape == (7, 2, 3)
    for k in range(2):
        expected = by_repetition(predictions[k], responses, counts, groups)
        np.testing.assert_allclose(found[:, k], expected, rtol=0, atol=1e-5 if dtype == np.float64 else 1e-4)


def test_a_neuron_constant_in_a_sample_is_left_out_of_its_mean():
    predictions, responses = pair()
    responses[0] = 0
    responses[0, 5] = 1  # silent without stimulus 5
    counts = np.ones((2, N), np.uint16)
    counts[0, 5] = 0
    draws = resampled_correlations(predictions[None], responses, counts, [np.arange(4), np.array([0])])[:, 0]
    kept = np.delete(np.arange(N), 5)
    others = [pearsonr(predictions[k, kept], responses[k, kept]).statistic for k in (1, 2, 3)]
    assert draws[0, 0] == pytest.approx(np.mean(others), abs=1e-5)
    assert np.isnan(draws[0, 1])
    assert np.isfinite(draws[1]).all()


def test_what_is_refused(unchecked):
    predictions, responses = pair()
    counts, groups = bootstrap_counts(N, 5, 0), [np.arange(8)]
    with pytest.raises(MurineError, match="expected the same"):
        correlations(predictions[:, :-1], responses)
    with pytest.raises(MurineError, match="at least 4"):
        r2(predictions[:, :3], responses[:, :3])
    with pytest.raises(MurineError, match="n_draws"):
        resampled_correlations(predictions[None], responses, counts[:, :-1], groups)
    with pytest.raises(MurineError, match="n_layers"):
        resampled_correlations(predictions, responses, counts, groups)
    for wrong in (np.array([], int), np.array([8]), np.array([-1])):
        with pytest.raises(MurineError, match="positions"):
            resampled_correlations(predictions[None], responses, counts, [wrong])
    responses[3] = 2.5
    with pytest.raises(MurineError, match="Neuron 3"):
        resampled_correlations(predictions[None], responses, counts, groups)
    used = [np.array([0, 1, 2, 4])]  # without it
    assert np.isfinite(resampled_correlations(predictions[None], responses, counts, used)).all()
