"""References for regression (ridge, PLS), scores of predictions, and the reliability of neurons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from murine.cortex import reliability
from murine.encoding import conwell2021 as projection
from murine.encoding import pls
from murine.encoding import prediction_scores as prediction
from murine.encoding import ridge as encoding
from murine.encoding.ridge_spectrum import N_PROJECTED, projection_gains
from murine.networks.layer_kernel import LayerKernel
from murine.scoring.encoding_metrics import EncodingMetric, SiteNeurons
from murine.scoring.metric import metrics
from murine.studies.reference_libraries.definitions import (
    HIMALAYA,
    NUMPY,
    SCIPY,
    SKLEARN,
    ArrayPair,
    Features,
    ReferenceMetric,
    TestData,
)


def _ridge_gcv(sample: TestData) -> ArrayPair:
    from sklearn.linear_model import RidgeCV

    fitted = RidgeCV([1.0], scoring="explained_variance", store_cv_results=True).fit(sample.features, sample.means.T)
    return encoding.ridge_loo(sample.gram, sample.means, 1.0, scale="none"), fitted.cv_results_[:, :, 0].T


def _refitted(features: Features, responses: np.ndarray) -> np.ndarray:
    """Predictions of models fitted without one stimulus, in turn."""
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import LeaveOneOut, cross_val_predict

    predictions: np.ndarray = cross_val_predict(Ridge(1.0), features, responses.T, cv=LeaveOneOut()).T
    return predictions


def _ridge_refitted(sample: TestData) -> ArrayPair:
    return encoding.ridge_loo(sample.gram, sample.means, 1.0, scale="none"), _refitted(sample.features, sample.means)


def _ridge_scores(sample: TestData) -> ArrayPair:
    from scipy.stats import pearsonr

    predictions = _refitted(sample.features, sample.means)
    theirs = [pearsonr(p, y).statistic for p, y in zip(predictions, sample.means, strict=True)]
    return encoding.ridge_correlations(sample.gram[None], sample.means, 1.0, scale="none")[0], np.array(theirs)


def _ridge_grid(sample: TestData) -> ArrayPair:
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold, cross_val_predict

    grid = np.logspace(-2, 4, 7)
    model = RidgeCV(grid, alpha_per_target=True)
    theirs = cross_val_predict(model, sample.features, sample.means.T, cv=KFold(6)).T
    return encoding.ridge_cv(sample.gram, sample.means, KFold(6), grid, scale="none")[0], theirs


def _ridge_himalaya(sample: TestData) -> ArrayPair:
    from himalaya.kernel_ridge import KernelRidgeCV
    from sklearn.model_selection import KFold, cross_val_predict

    model = KernelRidgeCV([10.0], cv=2, fit_intercept=True, warn=False)
    theirs = cross_val_predict(model, sample.features, sample.means.T, cv=KFold(6)).T
    return encoding.ridge_cv(sample.gram, sample.means, KFold(6), 10.0, scale="none")[0], np.asarray(theirs)


def _projection_sklearn(sample: TestData) -> ArrayPair:
    """As published, with fewer columns (Conwell et al. 2021)."""
    from sklearn.linear_model import RidgeCV
    from sklearn.preprocessing import scale
    from sklearn.random_projection import SparseRandomProjection

    n_columns = 256
    columns = scale(SparseRandomProjection(n_columns, random_state=1).fit_transform(sample.features))
    fitted = RidgeCV([1.0], scoring="explained_variance", store_cv_results=True).fit(columns, sample.means.T)
    found, _ = projection.conwell2021_regression(sample.features, sample.means, 1, n_features=n_columns)
    return found, fitted.cv_results_[:, :, 0].T


def _pls_sklearn(sample: TestData) -> ArrayPair:
    from sklearn.cross_decomposition import PLSRegression
    from sklearn.model_selection import KFold, cross_val_predict

    n_components = min(10, sample.features.shape[1] // 2)
    model = PLSRegression(n_components, scale=False, tol=1e-20, max_iter=10_000)
    theirs = cross_val_predict(model, sample.features, sample.means.T, cv=KFold(4)).T
    return pls.pls_cv(sample.gram, sample.means, KFold(4), [n_components], scale=False)[0], theirs


def _projected(features: Features) -> Features:
    """Features scaled as random projections that are standardised, in the limit of many."""
    vectors, lengths, _ = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
    gains = N_PROJECTED * len(features) * projection_gains(lengths**2)
    return np.asarray(vectors * lengths * np.sqrt(gains))


def _mean_correlation(predictions: np.ndarray, responses: np.ndarray) -> float:
    from scipy.stats import pearsonr

    return float(np.mean(pearsonr(predictions, responses, axis=1).statistic))


def _encoded(sample: TestData, name: str) -> tuple[EncodingMetric, np.ndarray, SiteNeurons]:
    """A metric, the layers as it sees them, and all neurons as one site."""
    metric = metrics[name]
    if not isinstance(metric, EncodingMetric):
        raise TypeError(f"{name} does not predict single neurons")
    kernels = [LayerKernel.of(x) for x in sample.layers]
    site = SiteNeurons(sample.means, (np.arange(len(sample.means)),))
    return metric, metric.of_layers(kernels, sample.site_data), site


def _plain_ridge(sample: TestData) -> ArrayPair:
    metric, layers, site = _encoded(sample, "ridge")
    theirs = [_mean_correlation(_refitted(_projected(x), sample.means), sample.means) for x in sample.layers]
    return metric.plain(layers, site)[:, 0], np.array(theirs)


def _chance_ridge(sample: TestData) -> ArrayPair:
    """The mean over responses to stimuli in random order."""
    metric, layers, site = _encoded(sample, "ridge")
    rng = np.random.default_rng(0)
    shuffled = np.concatenate([sample.means[:, rng.permutation(sample.means.shape[1])] for _ in range(200)])
    theirs = [_mean_correlation(_refitted(_projected(x), shuffled), shuffled) for x in sample.layers]
    return metric.chance(layers, site, np.empty((0, len(sample.gram)), int))[:, 0], np.array(theirs)


def _plain_pls(sample: TestData) -> ArrayPair:
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.cross_decomposition import PLSRegression
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.preprocessing import StandardScaler

    metric, layers, site = _encoded(sample, "pls-10")
    inner = PLSRegression(10, scale=False, tol=1e-20, max_iter=10_000)
    model = TransformedTargetRegressor(inner, transformer=StandardScaler())
    cv = KFold(6, shuffle=True, random_state=0)
    usable = [x for x in sample.layers if x.shape[1] >= 10]
    theirs = [_mean_correlation(cross_val_predict(model, x, sample.means.T, cv=cv).T, sample.means) for x in usable]
    ours = metric.plain(layers, site)[:, 0]
    return ours[[x.shape[1] >= 10 for x in sample.layers]], np.array(theirs)


def _scores(sample: TestData, name: str) -> ArrayPair:
    from scipy.stats import pearsonr
    from sklearn.metrics import explained_variance_score, r2_score

    responses = sample.means
    predictions = encoding.ridge_loo(sample.gram, responses, 1.0)
    functions: dict[str, Callable[[], Any]] = {
        "correlations": lambda: [pearsonr(p, y).statistic for p, y in zip(predictions, responses, strict=True)],
        "r2": lambda: r2_score(responses.T, predictions.T, multioutput="raw_values"),
        "explained_variance": lambda: explained_variance_score(responses.T, predictions.T, multioutput="raw_values"),
    }
    return getattr(prediction, name)(predictions, responses), np.asarray(functions[name]())


def _split_half_loop(sample: TestData) -> ArrayPair:
    """The definition: every neuron, every split."""
    n_splits = 20
    halves = reliability.random_halves(sample.trials.shape[2], n_splits, 0)
    expected = []
    for trials in sample.trials:
        r = [np.corrcoef(trials[:, one].mean(axis=1), trials[:, ~one].mean(axis=1))[0, 1] for one in halves]
        expected.append(np.mean([2 * x / (1 + x) for x in r]))
    return reliability.split_half(sample.trials, n_splits, 0), np.array(expected)


#: References for regression and reliability, in the order of the table.
REFERENCES: Sequence[ReferenceMetric] = (
    ReferenceMetric("ridge, leave-one-out", SKLEARN, "RidgeCV", 1e-8, _ridge_gcv),
    ReferenceMetric("ridge, leave-one-out", SKLEARN, "Ridge, refitted n times", 1e-8, _ridge_refitted),
    ReferenceMetric("ridge, r of neurons", SCIPY, "pearsonr", 1e-5, _ridge_scores),
    ReferenceMetric("ridge, penalty of each neuron", SKLEARN, "RidgeCV, 6 folds", 1e-8, _ridge_grid),
    ReferenceMetric("ridge, 6 folds", HIMALAYA, "KernelRidgeCV", 1e-5, _ridge_himalaya),
    ReferenceMetric(
        "ridge, Conwell et al. 2021", SKLEARN, "SparseRandomProjection, RidgeCV", 1e-8, _projection_sklearn
    ),
    ReferenceMetric("PLS", SKLEARN, "PLSRegression", 1e-6, _pls_sklearn),
    ReferenceMetric("plain score, ridge", SKLEARN, "Ridge, refitted n times", 1e-6, _plain_ridge),
    ReferenceMetric("plain score, pls-10", SKLEARN, "PLSRegression, 6 folds", 1e-6, _plain_pls),
    # The mean of 200 random orders is itself uncertain by about 0.005.
    ReferenceMetric("chance level, ridge", SKLEARN, "Ridge, 200 orders of the stimuli", 0.02, _chance_ridge),
    ReferenceMetric("score, Pearson", SCIPY, "pearsonr", 1e-10, partial(_scores, name="correlations")),
    ReferenceMetric("score, R2", SKLEARN, "r2_score", 1e-10, partial(_scores, name="r2")),
    ReferenceMetric(
        "score, explained variance",
        SKLEARN,
        "explained_variance_score",
        1e-10,
        partial(_scores, name="explained_variance"),
    ),
    ReferenceMetric("split-half reliability", NUMPY, "definition, split by split", 1e-10, _split_half_loop),
)
