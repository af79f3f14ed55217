"""Kernels against numpy in float64, also where digits would cancel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import murine.networks.layer_kernel
from murine.networks.capture import device_kernel
from murine.networks.layer_kernel import BLOCK, LayerKernel


def exact(features):
    """Covariance and means in float64, by the definition."""
    x = np.asarray(features, dtype=np.float64)
    means = x.mean(axis=1)
    centred = x - means[:, None]
    return centred @ centred.T, means


def relative_error(kernel, features):
    """Largest error of a covariance relative to the geometric mean of the two variances."""
    covariance, means = exact(features)
    spread = np.sqrt(np.diag(covariance))
    error = np.abs(kernel.covariance - covariance) / np.outer(spread, spread)
    return max(error.max(), (np.abs(kernel.means - means) / np.abs(np.asarray(features)).max(axis=1)).max())


def features(n_stimuli=20, n_units=1000, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_stimuli, n_units)) + rng.normal(size=n_units)


@pytest.mark.parametrize("n_units", [2, 7, 999, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-5)])
def test_equals_numpy(n_units, dtype, tolerance):
    x = features(n_units=n_units).astype(dtype)
    kernel = LayerKernel.of(x)
    assert (kernel.n_stimuli, kernel.n_units) == (20, n_units)
    assert kernel.covariance.dtype == kernel.means.dtype == np.float64
    assert relative_error(kernel, x) < tolerance
    np.testing.assert_allclose(kernel.gram, x.astype(np.float64) @ x.T, rtol=1e-3, atol=1e-4 * n_units)


@pytest.mark.parametrize("block", [1, 3, 64, 1000, 5000])
def test_the_size_of_blocks_does_not_matter(block, monkeypatch):
    monkeypatch.setattr(murine.networks.layer_kernel, "BLOCK", block)
    assert relative_error(LayerKernel.of(features()), features()) < 1e-12
    assert relative_error(LayerKernel.of(features().astype(np.float32)), features().astype(np.float32)) < 1e-6


@pytest.mark.parametrize("offset", [1.0, 1e2, 1e4])
@pytest.mark.parametrize("kind", ["all images", "each image", "each unit"])
def test_large_offsets_cost_no_digits(offset, kind):
    x = features(n_units=5000)
    if kind == "each image":
        x += offset * np.arange(1, 21)[:, None]
    elif kind == "each unit":
        x[:, ::7] += offset
    else:
        x -= offset
    assert relative_error(LayerKernel.of(x), x) < 1e-10
    single = x.astype(np.float32)
    assert relative_error(LayerKernel.of(single), single) < 1e-5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_and_skewed_features(dtype):
    """As after a rectification: most units silent, a few strong, all means above zero."""
    rng = np.random.default_rng(1)
    x = np.maximum(rng.normal(-1.5, 1, (15, 40_000)), 0) * rng.lognormal(0, 2, 40_000)
    x = x.astype(dtype)
    assert relative_error(LayerKernel.of(x), x) < (1e-10 if dtype == np.float64 else 1e-5)


def test_memory_layout_does_not_matter():
    x = features()
    right = LayerKernel.of(x)
    assert relative_error(LayerKernel.of(np.asfortranarray(x)), x) < 1e-12
    wide = np.zeros((20, 2000))
    wide[:, ::2] = x
    assert relative_error(LayerKernel.of(wide[:, ::2]), x) < 1e-12
    assert LayerKernel.of(x).digest == right.digest  # to the last bit
    space = np.zeros((20, 20))
    assert LayerKernel.of(x, space).covariance is space
    np.testing.assert_array_equal(space, right.covariance)


def test_features_are_not_changed():
    x = features()
    before = x.copy()
    LayerKernel.of(x)
    np.testing.assert_array_equal(x, before)


def test_the_order_of_units_does_not_matter_and_that_of_images_is_kept():
    x = features()
    rng = np.random.default_rng(2)
    assert relative_error(LayerKernel.of(x[:, rng.permutation(1000)]), x) < 1e-12
    chosen = rng.permutation(20)[:7]
    assert relative_error(LayerKernel.of(x).select(chosen), x[chosen]) < 1e-12


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("unit", [0, 500, 999])
def test_what_is_not_finite_stays_in_its_image(value, unit):
    x = features()
    x[3, unit] = value
    kernel = LayerKernel.of(x)
    assert kernel.flag == "not finite"
    others = np.delete(np.arange(20), 3)
    assert relative_error(kernel.select(others), x[others]) < 1e-12
    assert not np.isfinite(kernel.covariance[3, 3])
    assert not np.isfinite(kernel.covariance[3]).any()
    assert not np.isfinite(kernel.covariance[:, 3]).any()


def test_flags():
    x = features(6, 50)
    assert LayerKernel.of(x).flag == ""
    assert LayerKernel.of(x[:, :1]).flag == "one unit"
    assert LayerKernel.of(x[:, :2]).flag == ""
    silent = x.copy()
    silent[4] = 0
    assert LayerKernel.of(silent).flag == "constant within images"
    silent[4] = 0.1
    assert LayerKernel.of(silent).flag == "constant within images"
    assert LayerKernel.of(np.repeat(x[:1], 6, axis=0)).flag == "same for all images"
    assert LayerKernel.of(np.zeros((6, 50))).flag == "constant within images"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0.1, 1e3, 1e6])
def test_constants_are_recognised_through_rounding(dtype, offset):
    rng = np.random.default_rng(3)
    flat = np.repeat(offset * (1 + rng.random((8, 1))), 10_001, axis=1).astype(dtype)
    assert LayerKernel.of(flat).flag == "constant within images"
    same = np.repeat(offset * rng.random((1, 10_001)), 8, axis=0).astype(dtype)
    assert LayerKernel.of(same).flag == "same for all images"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_small_true_differences_are_not_flagged(dtype):
    rng = np.random.default_rng(4)
    units = rng.normal(size=3000)
    small = 1e-3 * rng.normal(size=(8, 3000))
    nearly_same = (units + small).astype(dtype)
    nearly_flat = (1 + small).astype(dtype)
    for x in (nearly_same, nearly_flat):
        kernel = LayerKernel.of(x)
        assert kernel.flag == ""
        assert relative_error(kernel, x) < (1e-10 if dtype == np.float64 else 1e-5)


def test_digest_tells_features_apart():
    x = features(6, 50)
    other = x.copy()
    other[2, 7] += 1e-9
    digests = {LayerKernel.of(a).digest for a in (x, other, x[:, ::-1] + 1, x[:, :49])}
    assert len(digests) == 4
    kernel = LayerKernel.of(x)
    more = LayerKernel(kernel.covariance, kernel.means, kernel.n_units + 1)
    assert more.digest != kernel.digest


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-5)])
def test_on_a_device_it_is_the_same(device, dtype, tolerance):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    for offset in (0, 1e3):
        x = (features(n_units=2 * BLOCK + 3) + offset).astype(dtype)
        kernel = device_kernel(torch.from_numpy(x).to(device))
        assert relative_error(kernel, x) < tolerance
        assert kernel.n_units == x.shape[1]
