"""RDMs against numpy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from murine.networks.layer_kernel import LayerKernel
from murine.similarity.rdm import dissimilarities, kernel_rdm, pearson_rdm
from murine.similarity.rdm_vectors import upper_triangle


def patterns(n_stimuli=30, n_features=700, offset=0.0):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n_stimuli, n_features)) + rng.normal(size=n_features) + offset


@pytest.mark.parametrize("n_features", [2, 3, 700, 20_000])
@pytest.mark.parametrize("offset", [0, 30])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-5)])
def test_pearson_rdm_is_one_less_corrcoef(n_features, offset, dtype, tolerance):
    x = patterns(n_features=n_features, offset=offset).astype(dtype)
    rdm = pearson_rdm(x)
    np.testing.assert_allclose(rdm, 1 - np.corrcoef(x.astype(np.float64)), rtol=0, atol=tolerance)
    np.testing.assert_allclose(squareform(upper_triangle(rdm)), rdm, atol=0)
    np.testing.assert_allclose(upper_triangle(rdm), pdist(x.astype(np.float64), "correlation"), atol=tolerance)
    assert (rdm == rdm.T).all()
    assert (np.diag(rdm) == 0).all()


def test_what_correlation_does_not_see():
    x = patterns()
    right = pearson_rdm(x)
    rng = np.random.default_rng(1)
    scale, offset = rng.uniform(0.1, 10, (30, 1)), rng.normal(size=(30, 1))
    np.testing.assert_allclose(pearson_rdm(scale * x + offset), right, atol=1e-12)
    np.testing.assert_allclose(pearson_rdm(x[:, rng.permutation(700)]), right, atol=1e-12)
    order = rng.permutation(30)
    np.testing.assert_allclose(pearson_rdm(x[order]), right[np.ix_(order, order)], atol=1e-12)
    np.testing.assert_allclose(pearson_rdm(np.concatenate([x, x], axis=1)), right, atol=1e-12)


def test_opposite_and_equal_patterns():
    x = patterns(3)
    rdm = pearson_rdm(np.stack([x[0], 2 * x[0] + 1, -x[0]]))
    np.testing.assert_allclose(rdm, [[0, 0, 2], [0, 0, 2], [2, 2, 0]], atol=1e-12)


@pytest.mark.parametrize("value", ["constant", np.nan, np.inf])
def test_undefined_patterns_are_nan_in_their_row_alone(value):
    x = patterns(6)
    if value == "constant":
        x[2] = 0
    else:
        x[2, 5] = value
    rdm = pearson_rdm(x)
    assert np.isnan(rdm[2]).all()
    assert np.isnan(rdm[:, 2]).all()
    others = np.delete(np.arange(6), 2)
    np.testing.assert_allclose(rdm[np.ix_(others, others)], 1 - np.corrcoef(x[others]), atol=1e-12)


def test_rdm_of_a_part_is_the_part_of_the_rdm():
    kernel = LayerKernel.of(patterns())
    chosen = np.array([7, 2, 19])
    np.testing.assert_array_equal(kernel_rdm(kernel.select(chosen)), kernel_rdm(kernel)[np.ix_(chosen, chosen)])


@pytest.mark.parametrize("name", list(dissimilarities))
def test_dissimilarities_of_relabelled_scaled_and_rotated_patterns(name):
    x = patterns(12, 40, offset=1)
    dissimilarity = dissimilarities[name]
    right = dissimilarity(LayerKernel.of(x))
    assert (right == right.T).all()
    assert (np.diag(right) == 0).all()
    assert (upper_triangle(right) > 0).all()
    rng = np.random.default_rng(3)
    order = rng.permutation(12)
    np.testing.assert_allclose(dissimilarity(LayerKernel.of(x[order])), right[np.ix_(order, order)], atol=1e-12)
    np.testing.assert_allclose(
        dissimilarity(LayerKernel.of(3 * x)), right * (9 if name == "euclidean" else 1), atol=1e-9
    )
    rotation = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    rotated = dissimilarity(LayerKernel.of(x @ rotation))
    assert np.allclose(rotated, right) == (name != "pearson")  # a rotation mixes units into their mean
    x[4, 7] = np.nan
    rdm = dissimilarity(LayerKernel.of(x))
    assert np.isnan(rdm[4]).all()
    assert np.isnan(rdm[:, 4]).all()
    kept = np.delete(np.arange(12), 4)
    np.testing.assert_allclose(rdm[np.ix_(kept, kept)], right[np.ix_(kept, kept)], atol=1e-12)


def test_euclidean_distances_keep_their_digits_on_large_means():
    x = patterns(10, 500)
    far = dissimilarities["euclidean"](LayerKernel.of(x + 1e4))
    np.testing.assert_allclose(far, dissimilarities["euclidean"](LayerKernel.of(x)), rtol=1e-7)
