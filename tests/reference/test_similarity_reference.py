"""Dissimilarities, comparisons, reweighting and geometry against rsatoolbox, SciPy, scikit-learn and plain formulas."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis, pdist
from scipy.stats import kendalltau, pearsonr
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold, LeaveOneOut

from murine.encoding.kernels import centre_layer_grams
from murine.networks.layer_kernel import LayerKernel
from murine.similarity.crossnobis import crossnobis_rdm, mahalanobis_rdm
from murine.similarity.kernel_similarity import kernel_metrics
from murine.similarity.neural_noise import noise_covariance
from murine.similarity.procrustes import angular_procrustes_distances
from murine.similarity.rdm import cosine_rdm, dissimilarities, euclidean_rdm, pearson_rdm
from murine.similarity.rdm_vectors import upper_triangle
from murine.similarity.reweighted_rsa import fit_reweighted_rsa
from murine.similarity.rsa import Cosine, comparisons

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the packages it imports
    rsatoolbox = pytest.importorskip("rsatoolbox")

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:invalid value encountered in cast"
)

# Conditions in an order that is not sorted: rsatoolbox sorts them, murine keeps its own order.
NAMES = ["zebra", "ant", "mole", "cat", "yak", "bee", "ox", "elk", "dog"]


def as_rsatoolbox(vectors):
    return rsatoolbox.rdm.RDMs(np.atleast_2d(vectors).astype(np.float64))


def patterns(n_stimuli=25, n_features=80, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_stimuli, n_features)) + 3 * rng.random(n_features)


def trials(n_neuroids=14, n_repetitions=6, seed=0):
    """Noise with correlations between neurons."""
    rng = np.random.default_rng(seed)
    mixing = np.eye(n_neuroids) + 0.3 * rng.normal(size=(n_neuroids, n_neuroids))
    signal = rng.normal(size=(n_neuroids, len(NAMES), 1))
    return signal + np.einsum("ij,jsr->isr", mixing, rng.normal(size=(n_neuroids, len(NAMES), n_repetitions)))


def dataset(responses, seed=0):
    """One row for each trial, in random order."""
    n_repetitions = responses.shape[2]
    rows = np.array([(s, r) for s in range(len(NAMES)) for r in range(n_repetitions)])
    rows = np.random.default_rng(seed).permutation(rows)
    return rsatoolbox.data.Dataset(
        np.array([responses[:, s, r] for s, r in rows]),
        obs_descriptors={"stimulus": [NAMES[s] for s, _ in rows], "run": [int(r) for _, r in rows]},
    )


def in_our_order(rdms):
    theirs = rdms.get_matrices()[0]
    order = [list(rdms.pattern_descriptors["stimulus"]).index(name) for name in NAMES]
    return theirs[np.ix_(order, order)]


@pytest.mark.parametrize("n_features", [2, 80, 3000])
def test_dissimilarities_of_patterns(n_features):
    x = patterns(n_features=n_features)
    kernel = LayerKernel.of(x)
    data = rsatoolbox.data.Dataset(x)
    for name, method in (("pearson", "correlation"), ("euclidean", "euclidean")):
        theirs = rsatoolbox.rdm.calc_rdm(data, method=method).dissimilarities[0]
        np.testing.assert_allclose(upper_triangle(dissimilarities[name](kernel)), theirs, rtol=0, atol=1e-10)
    np.testing.assert_allclose(upper_triangle(cosine_rdm(kernel)), pdist(x, "cosine"), rtol=0, atol=1e-10)
    np.testing.assert_allclose(upper_triangle(euclidean_rdm(kernel)), pdist(x, "sqeuclidean") / n_features, rtol=1e-10)


@pytest.mark.parametrize("n_repetitions", [2, 6, 40])  # fewer and more trials than neurons
@pytest.mark.parametrize(
    ("shrinkage", "method"),
    [("diagonal", "shrinkage_diag"), ("identity", "shrinkage_eye"), ("none", "full"), ("variances", "diag")],
)
def test_noise_covariance(shrinkage, method, n_repetitions):
    responses = trials(n_repetitions=n_repetitions)
    theirs = rsatoolbox.data.noise.cov_from_unbalanced(dataset(responses), "stimulus", method=method)
    ours = noise_covariance(responses, shrinkage)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10)
    if n_repetitions == 40 and shrinkage != "variances":
        assert np.abs(ours - np.diag(np.diag(ours))).max() > 0.1


@pytest.mark.parametrize("shrinkage", ["diagonal", "identity"])
def test_mahalanobis(shrinkage):
    responses = trials()
    covariance = noise_covariance(responses, shrinkage)
    precision = np.linalg.inv(covariance)
    rdms = rsatoolbox.rdm.calc_rdm(dataset(responses), "mahalanobis", descriptor="stimulus", noise=precision)
    means = responses.mean(axis=2).T
    ours = mahalanobis_rdm(means, covariance)
    np.testing.assert_allclose(ours, in_our_order(rdms), rtol=0, atol=1e-8)
    assert ours[2, 5] * len(responses) == pytest.approx(mahalanobis(means[2], means[5], precision) ** 2)


@pytest.mark.parametrize("n_repetitions", [2, 6])
@pytest.mark.parametrize("whitened", [True, False])
def test_crossnobis(whitened, n_repetitions):
    responses = trials(n_repetitions=n_repetitions)
    covariance = noise_covariance(responses) if whitened else None
    rdms = rsatoolbox.rdm.calc_rdm(
        dataset(responses),
        "crossnobis",
        descriptor="stimulus",
        noise=np.linalg.inv(covariance) if whitened else None,
        cv_descriptor="run",
    )
    np.testing.assert_allclose(crossnobis_rdm(responses, covariance), in_our_order(rdms), rtol=0, atol=1e-8)


def test_crossnobis_with_several_repetitions_held_out_together():
    responses = trials()
    folds = [np.array([0, 3]), np.array([1, 4]), np.array([2, 5])]
    data = dataset(responses)
    data.obs_descriptors["part"] = [r % 3 for r in data.obs_descriptors["run"]]
    rdms = rsatoolbox.rdm.calc_rdm(data, "crossnobis", descriptor="stimulus", cv_descriptor="part")
    np.testing.assert_allclose(crossnobis_rdm(responses, None, folds), in_our_order(rdms), rtol=0, atol=1e-8)


@pytest.mark.parametrize("decimals", [None, 1])
def test_cosine_and_tau_a_of_rdms(decimals):
    layers = np.stack([upper_triangle(pearson_rdm(patterns(seed=seed))) for seed in range(6)])
    sites = layers[:3] + 0.5 * np.stack([upper_triangle(pearson_rdm(patterns(seed=seed))) for seed in (7, 8, 9)])
    if decimals is not None:
        layers, sites = layers.round(decimals), sites.round(decimals)
    theirs = rsatoolbox.rdm.compare(as_rsatoolbox(layers), as_rsatoolbox(sites), method="cosine")
    np.testing.assert_allclose(Cosine().score(layers, sites), theirs, rtol=0, atol=1e-12)
    tau = comparisons["rsa-tau-a"].score(layers, sites)
    theirs = rsatoolbox.rdm.compare(as_rsatoolbox(layers), as_rsatoolbox(sites), method="tau-a")
    np.testing.assert_allclose(tau, theirs, rtol=0, atol=1e-12)
    if decimals is None:  # without ties all tau are one
        np.testing.assert_allclose(tau[1, 2], kendalltau(layers[1], sites[2]).statistic, rtol=0, atol=1e-12)


@pytest.mark.parametrize("splitter", [KFold(6, shuffle=True, random_state=3), KFold(4), LeaveOneOut()])
@pytest.mark.parametrize("n_layers", [1, 5, 20])
def test_reweighting_is_the_plain_protocol_fold_by_fold(n_layers, splitter):
    """As Conwell et al. 2021 do it: one regression for each site and fold, on pairs of training stimuli."""
    n = 25
    layers = np.stack([upper_triangle(pearson_rdm(patterns(n, 12, seed))) for seed in range(n_layers)])
    sites = np.random.default_rng(1).random((3, n_layers)) @ layers / n_layers
    sites += 0.4 * np.stack([upper_triangle(pearson_rdm(patterns(n, 12, seed))) for seed in (107, 108, 109)])
    folds = [test for _, test in splitter.split(np.arange(n))]
    found = fit_reweighted_rsa(layers, sites, folds)
    rows, columns = np.triu_indices(n, 1)
    for s, site in enumerate(sites):
        total, times = np.zeros(len(site)), np.zeros(len(site))
        for f, test in enumerate(folds):
            held_out = np.isin(rows, test) | np.isin(columns, test)
            model = LinearRegression(positive=True).fit(layers[:, ~held_out].T, site[~held_out])
            np.testing.assert_allclose(found.weights[f, s], model.coef_, rtol=0, atol=1e-9)
            np.testing.assert_allclose(found.intercepts[f, s], model.intercept_, rtol=0, atol=1e-9)
            total[held_out] += model.predict(layers[:, held_out].T)
            times[held_out] += 1
        np.testing.assert_allclose(found.predictions[s], total / times, rtol=0, atol=1e-9)
        assert found.scores[s] == pytest.approx(pearsonr(total / times, site).statistic, abs=1e-9)
    assert found.violations.max() < 1e-12
    assert n_layers < 20 or (found.weights == 0).mean() > 0.1


def hsic_1(k, m):
    """Song et al. 2012, equation 5, as printed."""
    n = len(k)
    k, m = (x - np.diag(np.diag(x)) for x in (k, m))
    one = np.ones(n)
    return (
        np.trace(k @ m) + one @ k @ one * (one @ m @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ k @ m @ one)
    ) / (n * (n - 3))


@pytest.mark.parametrize("n_units", [(5, 8), (80, 12), (300, 200)])
def test_geometry_is_that_of_plain_formulas_on_patterns(n_units):
    x, y = (patterns(25, n, seed) for seed, n in enumerate(n_units))
    k, m = x @ x.T, y @ y.T
    x, y = (z - z.mean(axis=0) for z in (x, y))

    def score(name):
        return kernel_metrics[name].score(k[None], m[None])[0, 0]

    frobenius = np.linalg.norm
    cka = frobenius(y.T @ x) ** 2 / frobenius(x.T @ x) / frobenius(y.T @ y)
    assert score("cka") == pytest.approx(cka, abs=1e-12)
    debiased = hsic_1(k, m) / np.sqrt(hsic_1(k, k) * hsic_1(m, m))
    assert score("cka-debiased") == pytest.approx(debiased, abs=1e-12)
    procrustes = np.linalg.svd(x.T @ y, compute_uv=False).sum() / frobenius(x) / frobenius(y)
    assert score("procrustes") == pytest.approx(procrustes, abs=1e-8)
    assert angular_procrustes_distances(k[None], m[None])[0, 0] == pytest.approx(np.arccos(procrustes), abs=1e-8)


def test_geometry_is_that_of_rsatoolbox_on_euclidean_distances():
    """CKA is the whitened cosine of RDMs (Diedrichsen et al. 2021), Procrustes their Bures similarity."""
    layers, sites = ([patterns(25, 60, seed) for seed in seeds] for seeds in ((1, 2, 3), (4, 5)))
    rdms = [as_rsatoolbox([pdist(x, "sqeuclidean") for x in sets]) for sets in (layers, sites)]
    k, m = (np.stack([x @ x.T for x in sets]) for sets in (layers, sites))
    for name, method, tolerance in (("cka", "cosine_cov", 1e-10), ("procrustes", "bures", 1e-8)):
        theirs = rsatoolbox.rdm.compare(*rdms, method=method)
        np.testing.assert_allclose(kernel_metrics[name].score(k, m), theirs, rtol=0, atol=tolerance)


@pytest.mark.parametrize("n_units", [40, 5000])
def test_kernels_from_float32_features_are_enough(n_units):
    rng = np.random.default_rng(0)
    sets = [(rng.normal(size=(25, 10)) @ rng.normal(size=(10, n_units))).astype(np.float32) for _ in range(2)]
    single, double = (
        [centre_layer_grams([LayerKernel.of(x.astype(dtype))]) for x in sets] for dtype in (np.float32, np.float64)
    )
    for name, tolerance in (("cka", 1e-7), ("cka-debiased", 1e-7), ("procrustes", 1e-5)):
        metric = kernel_metrics[name]
        np.testing.assert_allclose(metric.score(*single), metric.score(*double), rtol=0, atol=tolerance)
