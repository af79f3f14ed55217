"""RDMs and their comparison against rsatoolbox, which computes them in another way."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from murine.similarity.rdm import pearson_rdm
from murine.similarity.rdm_vectors import upper_triangle
from murine.similarity.rsa import comparisons
from murine.statistics.crossed_bootstrap import dual_variance

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the packages it imports
    rsatoolbox = pytest.importorskip("rsatoolbox")
    from rsatoolbox.util.inference_util import extract_variances

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def patterns(n_features, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(25, n_features)) + 3 * rng.random(n_features)


def as_rsatoolbox(vectors):
    return rsatoolbox.rdm.RDMs(np.atleast_2d(vectors).astype(np.float64))


@pytest.mark.parametrize("n_features", [50, 5000])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-5)])
def test_correlation_distance(n_features, dtype, tolerance):
    x = patterns(n_features).astype(dtype)
    dataset = rsatoolbox.data.Dataset(x.astype(np.float64), obs_descriptors={"stimulus": np.arange(25)})
    theirs = rsatoolbox.rdm.calc_rdm(dataset, method="correlation").dissimilarities[0]
    ours = upper_triangle(pearson_rdm(x))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)
    np.testing.assert_allclose(ours, upper_triangle(1 - np.corrcoef(x.astype(np.float64))), rtol=0, atol=tolerance)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(
    ("name", "method"), [("rsa-pearson", "corr"), ("rsa-spearman", "spearman"), ("rsa-tau-a", "tau-a")]
)
def test_comparison_of_rdms(name, method, ties):
    layers = np.stack([upper_triangle(pearson_rdm(patterns(30, seed))) for seed in (1, 2, 3)])
    sites = 0.5 * layers[:2] + np.stack([upper_triangle(pearson_rdm(patterns(30, seed))) for seed in (4, 5)])
    if ties:
        layers, sites = layers.round(1), sites.round(1)
    theirs = rsatoolbox.rdm.compare(as_rsatoolbox(layers), as_rsatoolbox(sites), method=method)
    ours = comparisons[name].score(layers, sites)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 if method != "tau-a" else 1e-10)


def test_without_ties_spearman_is_rho_a():
    layers = np.stack([upper_triangle(pearson_rdm(patterns(30, seed))) for seed in (1, 2)])
    sites = layers[:1] + upper_triangle(pearson_rdm(patterns(30, 6)))
    theirs = rsatoolbox.rdm.compare(as_rsatoolbox(layers), as_rsatoolbox(sites), method="rho-a")
    np.testing.assert_allclose(comparisons["rsa-spearman"].score(layers, sites), theirs, atol=1e-12)


@pytest.mark.parametrize("sizes", [None, (40, 7)])
def test_variance_of_the_dual_bootstrap(sizes):
    rng = np.random.default_rng(0)
    variances = rng.random((3, 200)) * [[3], [1], [1]]  # among them such as the bounds decide
    covariances = np.stack([np.diag(v) for v in variances])
    n_pattern, n_rdm = sizes or (None, None)
    theirs, _, _ = extract_variances(covariances, nc_included=False, n_rdm=n_rdm, n_pattern=n_pattern)
    both, subjects, stimuli = variances
    np.testing.assert_allclose(dual_variance(both, stimuli, subjects, sizes), theirs, rtol=1e-12)
