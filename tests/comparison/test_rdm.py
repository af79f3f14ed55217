"""RDMs against numpy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from scipy.stats import zscore as scipy_zscore

from murine.comparison.rdm import kernel_rdm, pearson_rdm, upper, zscore
from murine.networks.kernel import LayerKernel


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
    np.testing.assert_allclose(squareform(upper(rdm)), rdm, atol=0)
    np.testing.assert_allclose(upper(rdm), pdist(x.astype(np.float64), "correlation"), atol=tolerance)
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


def test_upper_triangles_of_stacks():
    stack = np.random.default_rng(0).random((2, 3, 5, 5))
    vectors = upper(stack)
    assert vectors.shape == (2, 3, 10)
    expected = [stack[1, 2, i, j] for i in range(5) for j in range(i + 1, 5)]
    np.testing.assert_array_equal(vectors[1, 2], expected)


def test_zscore_is_scipys_and_zero_for_constants():
    responses = np.random.default_rng(0).normal(3, 5, (8, 40))
    np.testing.assert_allclose(zscore(responses), scipy_zscore(responses, axis=1), atol=1e-12)
    responses[3] = 0.1
    responses[5] = 1e8 + 1e-9
    z = zscore(responses)
    assert (z[[3, 5]] == 0).all()
    np.testing.assert_allclose(z[[0, 7]], scipy_zscore(responses[[0, 7]], axis=1), atol=1e-12)
