"""Ridge from kernels: against refitting, closed forms and simulations with known answers."""

from __future__ import annotations

from itertools import permutations as orders

import numpy as np
import pytest
from sklearn.model_selection import KFold, LeaveOneOut, StratifiedKFold

from murine.encoding.prediction_scores import correlations
from murine.encoding.ridge import ridge_correlations, ridge_cv, ridge_loo, ridge_loo_operators
from murine.errors import MurineError
from murine.statistics.folds import kfold

N = 20


def data(n_units=60, n_neuroids=9, n_stimuli=N, seed=0):
    rng = np.random.default_rng([seed, n_units])
    features = rng.normal(size=(n_stimuli, n_units)) / np.arange(1, n_units + 1) + 3
    responses = features @ rng.normal(size=(n_units, n_neuroids)) + 0.5 * rng.normal(size=(n_stimuli, n_neuroids))
    return features, np.ascontiguousarray(responses.T)


def primal(features, responses, alpha, others):
    """Ridge with an intercept by its normal equations, neuron by neuron as rows of responses."""
    means = features.mean(axis=0)
    x = features - means
    weights = np.linalg.solve(x.T @ x + alpha * np.eye(x.shape[1]), x.T @ (responses - responses.mean(1)[:, None]).T)
    return ((others - means) @ weights).T + responses.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("n_units", [5, N - 1, 60])
@pytest.mark.parametrize("alpha", [1e-3, 1.0, 50.0])
def test_leaving_out_in_closed_form_is_refitting(n_units, alpha):
    features, responses = data(n_units)
    expected = np.empty_like(responses)
    for i in range(N):
        kept = np.delete(np.arange(N), i)
        expected[:, i] = primal(features[kept], responses[:, kept], alpha, features[i : i + 1])[:, 0]
    found = ridge_loo(features @ features.T, responses, alpha, scale="none")
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    means = (responses.sum(axis=1, keepdims=True) - responses) / (N - 1)
    relative = ridge_loo(features @ features.T, responses, alpha, scale="none", relative=True)
    np.testing.assert_allclose(relative, expected - means, rtol=0, atol=1e-10)
    cv, chosen = ridge_cv(features @ features.T, responses, LeaveOneOut(), alpha, scale="none")
    np.testing.assert_allclose(cv, expected, rtol=0, atol=1e-10)
    assert (chosen == alpha).all()
    assert chosen.shape == (N, len(responses))


def test_scale_of_held_out_stimuli_is_that_of_projections_standardised_on_training_stimuli():
    features, responses = data(n_units=200)
    columns = features @ np.random.default_rng(1).normal(size=(200, 400_000))
    test, train = np.arange(5), np.arange(5, N)
    columns -= columns[train].mean(axis=0)
    columns *= np.sqrt(4096 / 400_000) / columns[train].std(axis=0)
    gram = columns @ columns.T
    relative = responses[:, train] - responses[:, train].mean(axis=1, keepdims=True)
    weights = np.linalg.solve(gram[np.ix_(train, train)] + 200 * np.eye(len(train)), relative.T)
    expected = (gram[np.ix_(test, train)] @ weights).T
    found, _ = ridge_cv(features @ features.T, responses, [test], 200.0, relative=True)
    np.testing.assert_allclose(found[:, test], expected, rtol=0, atol=0.01 * np.abs(expected).max())
    assert np.isnan(found[:, train]).all()


def test_penalties_are_chosen_by_error_on_training_stimuli_alone():
    features, responses = data(n_units=60, n_neuroids=30)
    responses[:10] = np.random.default_rng(3).normal(size=(10, N))  # noise wants a large penalty
    gram, grid = features @ features.T, [1e-3, 1.0, 1e3]
    parts = kfold(N, 4, 0)
    predictions, chosen = ridge_cv(gram, responses, parts, grid, scale="none")
    for k, test in enumerate(parts):
        train = np.setdiff1d(np.arange(N), test)
        inner = gram[np.ix_(train, train)]
        errors = [
            ((ridge_loo(inner, responses[:, train], a, scale="none") - responses[:, train]) ** 2).sum(1) for a in grid
        ]
        np.testing.assert_array_equal(chosen[k], np.array(grid)[np.argmin(errors, axis=0)])
        for j, response in enumerate(responses):
            expected = primal(features[train], response[None, train], chosen[k, j], features[test])[0]
            np.testing.assert_allclose(predictions[j, test], expected, rtol=0, atol=1e-9)
    assert len(np.unique(chosen)) == 3
    changed = responses.copy()
    changed[:, parts[0]] += 100
    np.testing.assert_array_equal(ridge_cv(gram, changed, parts, grid, scale="none")[1][0], chosen[0])


def test_nested_choice_of_penalty_is_not_optimistic():
    rng = np.random.default_rng(5)
    features, responses = rng.normal(size=(40, 30)), rng.normal(size=(2000, 40))
    gram, grid = features @ features.T, np.logspace(-2, 4, 13)
    errors = [((ridge_loo(gram, responses, a, scale="none") - responses) ** 2).sum(axis=1) for a in grid]
    of_means = ((ridge_loo(gram, responses, 1e12, scale="none") - responses) ** 2).sum(axis=1)
    assert (np.min(errors, axis=0) / of_means).mean() < 0.98  # noise, and yet
    parts = kfold(40, 8, 0)
    nested, of_means = (
        ((ridge_cv(gram, responses, parts, alphas, scale="none")[0] - responses) ** 2).sum(axis=1)
        for alphas in (grid, 1e12)
    )
    assert (nested / of_means).mean() > 1


def test_relative_predictions_of_noise_have_no_covariance_with_it():
    features = data(n_stimuli=6)[0]
    response = np.random.default_rng(2).normal(size=6) ** 3
    shuffled = np.array([response[list(order)] for order in orders(range(6))])
    for relative, expected in ((True, 0.0), (False, -response.var() / 5)):
        predictions = ridge_loo(features @ features.T, shuffled, 1.0, scale="none", relative=relative)
        covariance = ((shuffled - response.mean()) * predictions).mean()
        assert covariance == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("scale", ["projection", "trace", "none"])
def test_batch_of_layers_is_one_by_one(scale, relative):
    responses = data(n_neuroids=50)[1]
    responses += 20
    grams = np.stack([data(n_units)[0] @ data(n_units)[0].T for n_units in (5, 40, 300)])
    found = ridge_correlations(grams, responses, 3.0, scale=scale, relative=relative)
    expected = [correlations(ridge_loo(g, responses, 3.0, scale=scale, relative=relative), responses) for g in grams]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    operators = ridge_loo_operators(grams, 3.0, scale=scale, relative=relative)
    np.testing.assert_allclose(np.diagonal(operators, axis1=1, axis2=2), 0, atol=1e-12)


def test_neurons_and_layers_without_an_answer_are_nan():
    features, responses = data()
    responses[1, 3] = np.nan
    responses[2] = 0.1
    gram = features @ features.T
    grams = np.stack([gram, np.full_like(gram, np.nan), np.full_like(gram, 7.1)])
    found = ridge_correlations(grams, responses)
    np.testing.assert_array_equal(np.isnan(found[0]), np.isin(np.arange(9), (1, 2)))
    assert np.isnan(found[1:]).all()
    predictions = ridge_loo(gram, responses)
    np.testing.assert_array_equal(np.isnan(predictions).any(axis=1), np.arange(9) == 1)
    predictions, chosen = ridge_cv(gram, responses, kfold(N, 4, 0), [0.1, 1.0])
    np.testing.assert_array_equal(np.isnan(predictions).all(axis=1), np.arange(9) == 1)
    np.testing.assert_array_equal(np.isnan(chosen).all(axis=0), np.arange(9) == 1)
    for scale in ("projection", "trace", "none"):
        for bad in grams[1:]:
            with pytest.raises(MurineError, match="cannot predict"):
                ridge_loo(bad, responses, scale=scale)


def test_what_is_refused(unchecked):
    features, responses = data()
    gram = features @ features.T
    for alpha in (0.0, -1.0, np.nan, [1.0, 2.0]):
        with pytest.raises(MurineError, match=r"above 0|one number"):
            ridge_loo(gram, responses, alpha)
    with pytest.raises(MurineError, match="above 0"):
        ridge_cv(gram, responses, kfold(N, 4, 0), [])
    with pytest.raises(MurineError, match="at least 4"):
        ridge_loo(gram[:3, :3], responses[:, :3])
    for wrong in (responses.T, responses[:, :-1], responses[0]):
        with pytest.raises(MurineError, match="expected"):
            ridge_loo(gram, wrong)
    with pytest.raises(MurineError, match="projection"):
        ridge_loo(gram, responses, scale="standard")
    for wrong, said in (
        (KFold(N + 1), "cannot split"),
        (StratifiedKFold(3), "labels"),
        ([], "No folds"),
        (5, "splitter"),
        ([np.arange(N)], "to train on"),
        ([np.array([N])], "positions"),
        ([np.array([], int)], "at least one"),
        ([(np.arange(10), np.arange(5, 15))], "none of them both"),
    ):
        with pytest.raises(MurineError, match=said):
            ridge_cv(gram, responses, wrong)
