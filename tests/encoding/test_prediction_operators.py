"""Correlation of the predictions of operators."""

from __future__ import annotations

import numpy as np

from murine.encoding.prediction_operators import correlate_predictions, permute_correlations
from murine.encoding.ridge import ridge_loo_operators
from murine.statistics.permutation import permutations

N = 20


def data(n_units=60, n_neuroids=9, n_stimuli=N, seed=0):
    rng = np.random.default_rng([seed, n_units])
    features = rng.normal(size=(n_stimuli, n_units)) / np.arange(1, n_units + 1) + 3
    responses = features @ rng.normal(size=(n_units, n_neuroids)) + 0.5 * rng.normal(size=(n_stimuli, n_neuroids))
    return features, np.ascontiguousarray(responses.T)


def test_relabelled_responses_are_predicted_as_if_they_had_been_rearranged():
    features, responses = data(n_neuroids=50)
    operators = ridge_loo_operators(np.stack([features @ features.T, features[:, :4] @ features[:, :4].T]))
    relabellings = permutations(responses.shape[1], 11, 0)
    groups = (np.arange(3, 20), np.array([1, 49]))
    found = permute_correlations(operators, responses, relabellings, groups)
    for order, scores in zip(relabellings, found, strict=True):
        each = correlate_predictions(operators, responses[:, order])
        expected = np.stack([each[:, members].mean(axis=1) for members in groups], axis=1)
        np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-6)
