"""Compiled sums of products against NumPy in float64, for every number of images and units near the sizes of tiles."""

from __future__ import annotations

import numpy as np
import pytest

import murine.networks.layer_kernel
from murine.networks.layer_kernel import LayerKernel
from murine.networks.unit_products import sum_products


def features(n_stimuli, n_units, seed=0):
    return np.random.default_rng(seed).standard_normal((n_stimuli, n_units), dtype=np.float32)


def check(x, centre, found):
    wide = x.astype(np.float64) - centre.astype(np.float64)[:, None]
    products, sums = found
    size = np.sqrt((wide**2).sum(axis=1))
    assert (np.abs(products - wide @ wide.T) <= 1e-6 * np.outer(size, size)).all()
    np.testing.assert_allclose(sums, wide.sum(axis=1), atol=1e-6 * np.abs(wide).sum())
    np.testing.assert_array_equal(products, products.T)


@pytest.mark.parametrize("n_stimuli", [1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 23, 24, 25])
def test_any_number_of_images(n_stimuli):
    x = features(n_stimuli, 777)
    centre = np.linspace(-1, 1, n_stimuli, dtype=np.float32)
    check(x, centre, sum_products(x, centre, 500, 1))


@pytest.mark.parametrize("n_units", [1, 15, 16, 17, 4095, 4096, 4097, 9000])
@pytest.mark.parametrize("block", [1000, 4096, 100_000])
def test_any_number_of_units(n_units, block):
    x = features(9, n_units)
    centre = np.zeros(9, np.float32)
    check(x, centre, sum_products(x, centre, block, 1))


@pytest.mark.parametrize("n_threads", [2, 3, 8])
def test_threads_do_not_change_the_numbers(n_threads):
    x, centre = features(20, 50_000), np.full(20, 0.1, np.float32)
    for one, many in zip(sum_products(x, centre, 5000, 1), sum_products(x, centre, 5000, n_threads), strict=True):
        np.testing.assert_array_equal(one, many)


@pytest.mark.parametrize("layout", ["rows apart", "units apart", "images fastest", "not writable"])
def test_order_in_memory_does_not_change_the_numbers(layout):
    x, centre = features(8, 6000), np.zeros(8, np.float32)
    wide = np.zeros((16, 12_000), np.float32)
    other = {
        "rows apart": wide[::2, :6000],
        "units apart": wide[:8, ::2],
        "images fastest": np.empty_like(x, order="F"),
    }
    given = other.get(layout, np.empty_like(x))
    given[:] = x
    given.flags.writeable = layout != "not writable"
    for one, same in zip(sum_products(x, centre, 4096, 1), sum_products(given, centre, 4096, 1), strict=True):
        np.testing.assert_array_equal(one, same)


def test_an_image_does_not_depend_on_the_others_and_nan_stays_in_its_row():
    x, centre = features(14, 5000), np.zeros(14, np.float32)
    products, sums = sum_products(x, centre, 4096, 1)
    chosen = np.array([11, 2, 7])
    np.testing.assert_array_equal(sum_products(x[chosen], centre[chosen], 4096, 1)[0], products[np.ix_(chosen, chosen)])
    x[5, 4321] = np.nan
    damaged, damaged_sums = sum_products(x, centre, 4096, 1)
    others = np.delete(np.arange(14), 5)
    np.testing.assert_array_equal(damaged[np.ix_(others, others)], products[np.ix_(others, others)])
    np.testing.assert_array_equal(damaged_sums[others], sums[others])
    assert np.isnan(damaged[5]).all()
    assert np.isnan(damaged_sums[5])


def test_errors_are_not_larger_than_with_blas(monkeypatch):
    x = features(30, 200_000)
    exact = x.astype(np.float64) @ x.T.astype(np.float64) - 200_000 * np.outer(
        x.mean(axis=1, dtype=np.float64), x.mean(axis=1, dtype=np.float64)
    )
    ours = np.abs(LayerKernel.of(x).covariance - exact).max()
    monkeypatch.setattr(murine.networks.layer_kernel, "COMPILED", 10**9)
    assert ours <= np.abs(LayerKernel.of(x).covariance - exact).max()
