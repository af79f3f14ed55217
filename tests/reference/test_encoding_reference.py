"""Ridge, PLS and scores of single neurons against scikit-learn, SciPy and himalaya."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.base import clone
from sklearn.cross_decomposition import PLSRegression
from sklearn.exceptions import DataDimensionalityWarning, SkipTestWarning
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.linear_model import RidgeCV
from sklearn.metrics import explained_variance_score, r2_score
from sklearn.model_selection import KFold, RepeatedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from sklearn.random_projection import SparseRandomProjection
from sklearn.utils.estimator_checks import estimator_checks_generator

from murine.encoding.conwell2021 import conwell2021_regression, project_features
from murine.encoding.estimators import PLSRegressor, RidgeRegressor
from murine.encoding.pls import pls_cv
from murine.encoding.prediction_scores import correlations, explained_variance, r2
from murine.encoding.ridge import ridge_correlations, ridge_cv, ridge_loo
from murine.encoding.ridge_spectrum import Spectrum
from murine.errors import MurineError
from murine.statistics.folds import kfold

N = 40


def data(n_units=300, n_neuroids=15, n_stimuli=N):
    rng = np.random.default_rng(n_units)
    features = rng.normal(size=(n_stimuli, n_units)) / np.sqrt(np.arange(1, n_units + 1)) + 3
    responses = features @ rng.normal(size=(n_units, n_neuroids)) + rng.normal(size=(n_stimuli, n_neuroids))
    return features, np.ascontiguousarray(responses.T) + 10


def ridge_cv_of_sklearn(features, responses, alpha):
    fitted = RidgeCV([alpha], scoring="explained_variance", store_cv_results=True).fit(features, responses.T)
    return fitted.cv_results_[:, :, 0].T


@pytest.mark.parametrize("n_units", [12, 300])
@pytest.mark.parametrize("alpha", [0.01, 1.0, 100.0])
def test_ridge_leave_one_out(n_units, alpha):
    features, responses = data(n_units)
    found = ridge_loo(features @ features.T, responses, alpha, scale="none")
    np.testing.assert_allclose(found, ridge_cv_of_sklearn(features, responses, alpha), rtol=0, atol=1e-8)
    refitted = cross_val_predict(SklearnRidge(alpha), features, responses.T, cv=KFold(N)).T
    np.testing.assert_allclose(found, refitted, rtol=0, atol=1e-8)
    r = [pearsonr(p, y).statistic for p, y in zip(refitted, responses, strict=True)]
    np.testing.assert_allclose(correlations(found, responses), r, rtol=0, atol=1e-8)
    batch = ridge_correlations((features @ features.T)[None], responses, alpha, scale="none")[0]
    np.testing.assert_allclose(batch, r, rtol=0, atol=1e-5)


def test_ridge_by_any_splitter():
    features, responses = data()
    gram = features @ features.T
    shuffled = KFold(5, shuffle=True, random_state=3)
    expected = cross_val_predict(SklearnRidge(2.0), features, responses.T, cv=shuffled).T
    for given in (shuffled, kfold(N, 5, 3)):
        found, _ = ridge_cv(gram, responses, given, 2.0, scale="none")
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    repeated = RepeatedKFold(n_splits=4, n_repeats=3, random_state=1)
    sums = np.zeros_like(responses)
    for train, test in repeated.split(features):
        sums[:, test] += SklearnRidge(2.0).fit(features[train], responses[:, train].T).predict(features[test]).T
    found, _ = ridge_cv(gram, responses, repeated, 2.0, scale="none")
    np.testing.assert_allclose(found, sums / 3, rtol=0, atol=1e-9)


@pytest.mark.parametrize("n_units", [12, 300])
def test_choice_of_penalty(n_units):
    features, responses = data(n_units)
    grid = np.logspace(-3, 4, 8)
    theirs = RidgeCV(grid, alpha_per_target=True)
    ours = RidgeRegressor(grid)
    expected = cross_val_predict(theirs, features, responses.T, cv=KFold(4)).T
    np.testing.assert_allclose(cross_val_predict(ours, features, responses.T, cv=KFold(4)).T, expected, atol=1e-8)
    found, chosen = ridge_cv(features @ features.T, responses, KFold(4), grid, scale="none")
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)
    assert len(np.unique(chosen)) > 1
    np.testing.assert_array_equal(ours.fit(features, responses.T).alpha_, theirs.fit(features, responses.T).alpha_)


def test_kernel_ridge_of_himalaya():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the packages it imports
        himalaya = pytest.importorskip("himalaya.kernel_ridge")
    features, responses = data()
    grid = [0.1, 1.0, 10.0, 100.0, 1000.0]
    gram = features @ features.T
    found, chosen = ridge_cv(gram, responses, KFold(5), grid, scale="none")
    for k, (train, test) in enumerate(KFold(5).split(features)):
        means = features[train].mean(axis=0)
        x, held_out = features[train] - means, features[test] - means
        # Its search centres features once for all left out; with that the same, penalties may differ from ours.
        theirs = himalaya.KernelRidgeCV(grid, cv=KFold(len(train)), fit_intercept=True, warn=False)
        theirs.fit(x, responses[:, train].T)
        expected = theirs.predict(held_out).T
        same = np.isclose(theirs.best_alphas_, chosen[k])
        assert same.mean() >= 0.8
        np.testing.assert_allclose(found[same][:, test], expected[same], rtol=0, atol=1e-5)
    single, _ = ridge_cv(gram, responses, KFold(5), 10.0, scale="none")
    theirs = himalaya.KernelRidgeCV([10.0], cv=2, fit_intercept=True, warn=False)
    expected = cross_val_predict(theirs, features, responses.T, cv=KFold(5)).T
    np.testing.assert_allclose(single, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("n_components", [10, 25])
@pytest.mark.parametrize("standardise", [False, True])
def test_pls(n_components, standardise):
    features, responses = data(n_units=200, n_neuroids=60)
    found = pls_cv(features @ features.T, responses, kfold(N, 5, 0), [n_components], scale=standardise)[0]
    expected = np.empty_like(responses)
    for test in kfold(N, 5, 0):
        train = np.setdiff1d(np.arange(N), test)
        y = StandardScaler(with_std=standardise).fit(responses[:, train].T)
        theirs = PLSRegression(n_components, scale=False, tol=1e-20, max_iter=100_000)
        theirs.fit(features[train], y.transform(responses[:, train].T))
        expected[:, test] = y.inverse_transform(theirs.predict(features[test])).T
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("n_units", [12, 200])
@pytest.mark.parametrize("standardise", [False, True])
def test_pls_of_features(n_units, standardise):
    features, responses = data(n_units, n_neuroids=60)
    features[:, 3] = 2.0  # a constant unit
    theirs = PLSRegression(10, scale=standardise, tol=1e-20, max_iter=100_000)
    expected = cross_val_predict(theirs, features, responses.T, cv=KFold(5, shuffle=True, random_state=0))
    found = cross_val_predict(
        PLSRegressor(10, scale=standardise), features, responses.T, cv=KFold(5, shuffle=True, random_state=0)
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_scores():
    rng = np.random.default_rng(0)
    responses = rng.normal(size=(20, N)) * 3 + 5
    predictions = responses + rng.normal(size=(20, N)) * rng.uniform(0.1, 5, (20, 1)) + 0.5
    for ours, theirs in (
        (correlations, lambda y, p: [pearsonr(a, b).statistic for a, b in zip(y, p, strict=True)]),
        (r2, lambda y, p: r2_score(y.T, p.T, multioutput="raw_values")),
        (explained_variance, lambda y, p: explained_variance_score(y.T, p.T, multioutput="raw_values")),
    ):
        np.testing.assert_allclose(ours(predictions, responses), theirs(responses, predictions), rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_units", [50, 20_000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_protocol_of_conwell_2021(n_units, dtype):
    features, responses = data(n_units)
    features = features.astype(dtype)
    found, r = conwell2021_regression(features, responses, seed=0, n_features=512)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataDimensionalityWarning)
        columns = SparseRandomProjection(512, random_state=0).fit_transform(features)
    expected = ridge_cv_of_sklearn(scale(columns.astype(np.float64)), responses, 1.0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)
    np.testing.assert_allclose(
        r, [pearsonr(p, y).statistic for p, y in zip(expected, responses, strict=True)], rtol=0, atol=1e-8
    )


def test_default_scale_is_the_mean_over_projections():
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(N, 20)) / np.arange(1, 21)
    features = latent @ rng.normal(size=(20, 3_000)) + 5
    mean = np.mean(
        [columns @ columns.T for columns in (project_features(features, seed, 512) for seed in range(30))], axis=0
    )
    errors = {}
    for scaling in ("projection", "trace"):
        spectrum = Spectrum.of_kernel(features @ features.T, scaling, 512)
        kernel = (spectrum.vectors * (spectrum.gains * spectrum.values)) @ spectrum.vectors.T
        errors[scaling] = np.linalg.norm(kernel - mean) / np.linalg.norm(mean)
    assert errors["projection"] < 0.02
    assert errors["trace"] > 0.1


def test_projection_of_features():
    features = data(50)[0]
    assert project_features(features, 0).shape == (N, 4096)
    np.testing.assert_allclose(project_features(features, 0).mean(axis=0), 0, atol=1e-12)
    features[0, 0] = np.nan
    with pytest.raises(MurineError, match="NaN"):
        project_features(features, 0)


@pytest.mark.parametrize(
    "estimator",
    [RidgeRegressor(), RidgeRegressor([0.1, 1, 10], scale="projection"), PLSRegressor(1), PLSRegressor(1, scale=False)],
    ids=str,
)
def test_estimators_are_scikit_learns(estimator, unchecked):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)
        for checked, check in estimator_checks_generator(estimator):
            if check.func.__name__ != "check_array_api_input":  # needs a setting of SciPy at its start
                check(checked)


@pytest.mark.parametrize("scaling", ["projection", "trace", "none"])
@pytest.mark.parametrize("n_units", [8, 300])
def test_estimator_is_the_function(scaling, n_units):
    features, responses = data(n_units)
    model = make_pipeline(RidgeRegressor(3.0, scale=scaling))
    found = cross_val_predict(clone(model), features, responses.T, cv=KFold(5)).T
    expected, _ = ridge_cv(features @ features.T, responses, KFold(5), 3.0, scale=scaling)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_estimators_refuse_what_says_nothing():
    features, responses = data()
    for model in (RidgeRegressor(), PLSRegressor(2)):
        with pytest.raises(MurineError, match="same for all stimuli"):
            model.fit(np.full_like(features, 0.1), responses.T)
    for wrong in (0, N):
        with pytest.raises(MurineError, match="components"):
            PLSRegressor(wrong).fit(features, responses.T)
    with pytest.raises(MurineError, match="above 0"):
        RidgeRegressor(0.0).fit(features, responses.T)
    few = np.tile(features[:, :3], 4)  # fewer directions than units
    expected = SklearnRidge(1.0).fit(few, responses.T).predict(few)
    np.testing.assert_allclose(RidgeRegressor(1.0).fit(few, responses.T).predict(few), expected, atol=1e-9)
