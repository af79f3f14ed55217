"""PLS from kernels: invariances, limits and refusals. Agreement with scikit-learn is in tests/reference."""

from __future__ import annotations

import numpy as np
import pytest

from murine.encoding.pls import pls_correlations, pls_cv, pls_scores
from murine.encoding.prediction_scores import correlations
from murine.encoding.ridge import ridge_cv
from murine.errors import MurineError
from murine.statistics.folds import kfold

N = 24


def data(n_units=60, n_neuroids=40, seed=0):
    rng = np.random.default_rng([seed, n_units])
    features = rng.normal(size=(N, n_units)) / np.arange(1, n_units + 1) + 3
    responses = features @ rng.normal(size=(n_units, n_neuroids)) + 0.5 * rng.normal(size=(N, n_neuroids))
    return features, np.ascontiguousarray(responses.T)


def test_all_components_are_least_squares():
    features, responses = data(n_units=6)
    gram, parts = features @ features.T, kfold(N, 4, 0)
    expected, _ = ridge_cv(gram, responses, parts, 1e-9, scale="none")
    for scale in (False, True):
        np.testing.assert_allclose(pls_cv(gram, responses, parts, [6], scale=scale)[0], expected, rtol=0, atol=1e-6)


def test_scores_are_orthogonal_and_more_components_fit_more():
    features, responses = data()
    y = responses - responses.mean(axis=1, keepdims=True)
    vectors, lengths, _ = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
    x = (vectors * lengths)[:, :-1]  # along the last direction centred features do not vary
    scores, again = pls_scores(x, x, y, 12)
    np.testing.assert_allclose(scores @ scores.T, np.eye(12), atol=1e-10)
    np.testing.assert_allclose(again, scores, atol=1e-10)
    np.testing.assert_allclose(scores.sum(axis=1), 0, atol=1e-10)
    first = np.linalg.svd(x.T @ y.T)[0][:, 0]
    assert abs(np.corrcoef(x @ first, scores[0])[0, 1]) == pytest.approx(1, abs=1e-12)


def test_numbers_of_components_come_from_one_fit_and_units_do_not_matter():
    features, responses = data()
    gram, parts = features @ features.T, kfold(N, 4, 0)
    both = pls_cv(gram, responses, parts, [7, 2])
    for count, found in zip((7, 2), both, strict=True):
        np.testing.assert_allclose(pls_cv(gram, responses, parts, [count])[0], found, rtol=1e-10)
    np.testing.assert_allclose(pls_cv(1e-9 * gram, responses, parts, [7, 2]), both, atol=1e-7)
    factors = np.logspace(-3, 3, len(responses))[:, None]
    np.testing.assert_allclose(pls_cv(gram, factors * responses, parts, [7, 2]), factors * both, rtol=1e-6)
    assert np.abs(pls_cv(gram, factors * responses, parts, [2], scale=False) - factors * both[1]).max() > 0.1


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("scale", [False, True])
def test_batch_of_layers_is_one_by_one(scale, relative):
    responses = data()[1] + 20
    responses[1, 3] = np.nan
    responses[2] = 0.1
    grams = np.stack(
        [features @ features.T for features in (data(n)[0] for n in (30, 300))] + [np.full((N, N), np.nan)]
    )
    parts = kfold(N, 4, 0)
    found = pls_correlations(grams, responses, parts, [3, 9], scale=scale, relative=relative)
    for gram, scores in zip(grams[:2], found, strict=False):
        predictions = pls_cv(gram, responses, parts, [3, 9], scale=scale, relative=relative)
        assert np.isnan(predictions[:, 1]).all()
        expected = [correlations(prediction, responses) for prediction in predictions]
        np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(np.isnan(found[0]).all(axis=0), np.isin(np.arange(40), (1, 2)))
    assert np.isnan(found[2]).all()


def test_what_is_refused():
    features, responses = data(n_units=6)
    gram, parts = features @ features.T, kfold(N, 4, 0)
    with pytest.raises(MurineError, match="vary along 6 directions"):
        pls_cv(gram, responses, parts, [2, 7])
    for wrong in ([], [0], [3, -1]):
        with pytest.raises(MurineError, match="1 or more"):
            pls_cv(gram, responses, parts, wrong)
    with pytest.raises(MurineError, match="cannot predict"):
        pls_cv(np.ones((N, N)), responses, parts, [2])


def test_neurons_that_do_not_vary_are_not_predicted():
    features, responses = data()
    gram, parts = features @ features.T, kfold(N, 4, 0)
    assert np.isnan(pls_cv(gram, np.ones((5, N)), parts, [2])).all()
    silent = responses * np.isin(np.arange(N), parts[1])  # constant while the second fold is held out
    assert np.isnan(pls_correlations(gram[None], silent, parts, [2])).all()


def test_stimuli_held_out_twice_or_never():
    features, responses = data()
    gram, parts = features @ features.T, [np.arange(5), np.arange(3, 9)]
    both = pls_cv(gram, responses, parts, [2])[0]
    first, second = (pls_cv(gram, responses, [part], [2])[0] for part in parts)
    np.testing.assert_allclose(both[:, :3], first[:, :3])
    np.testing.assert_allclose(both[:, 3:5], (first[:, 3:5] + second[:, 3:5]) / 2)
    np.testing.assert_allclose(both[:, 5:9], second[:, 5:9])
    assert np.isnan(both[:, 9:]).all()
    assert np.isnan(pls_correlations(gram[None], responses, parts, [2])).all()
