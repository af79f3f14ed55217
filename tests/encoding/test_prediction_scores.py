"""Scores of single neurons and their bootstrap: against definitions and repeated calculation."""

from __future__ import annotations

import numpy as np
import pytest

from murine.encoding.prediction_scores import (
    correlations,
    explained_variance,
    membership_matrix,
    r2,
    standardise_float32,
)
from murine.errors import MurineError

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


def test_what_is_refused(unchecked):
    predictions, responses = pair()
    with pytest.raises(MurineError, match="expected the same"):
        correlations(predictions[:, :-1], responses)
    with pytest.raises(MurineError, match="at least 4"):
        r2(predictions[:, :3], responses[:, :3])
    for wrong in (np.array([], int), np.array([8]), np.array([-1])):
        with pytest.raises(MurineError, match="positions"):
            membership_matrix([wrong], 8)
    responses[3] = 2.5
    with pytest.raises(MurineError, match="Neuron 3"):
        standardise_float32(responses)
