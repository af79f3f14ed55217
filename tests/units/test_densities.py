"""Overlap of densities, against SciPy's kernel estimates and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import gaussian_kde, norm

from murine.units.densities import density_overlap


def test_overlap_is_the_integral_of_the_smaller_kernel_density():
    rng = np.random.default_rng(0)
    a = np.stack([rng.normal(size=118), rng.exponential(size=118), rng.normal(size=118), rng.standard_t(3, 118)])
    b = np.stack([rng.normal(size=50), rng.normal(1, 2, 50), rng.normal(8, 1, 50), rng.exponential(size=50)])
    found = density_overlap(a, b)
    for x, y, overlap in zip(a, b, found, strict=True):
        p, q = gaussian_kde(x), gaussian_kde(y)
        low, high = min(x.min(), y.min()) - 5, max(x.max(), y.max()) + 5
        truth = quad(lambda t, p=p, q=q: min(p(t)[0], q(t)[0]), low, high, limit=1000, epsabs=1e-6)[0]
        assert overlap == pytest.approx(truth, abs=1e-3)


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0, 6.0])
def test_overlap_of_two_normal_densities(shift):
    quantiles = norm.ppf((np.arange(20_000) + 0.5) / 20_000)[None]
    width = np.sqrt(1 + 20_000**-0.4)  # the kernel widens them
    assert density_overlap(quantiles, quantiles + shift)[0] == pytest.approx(2 * norm.cdf(-shift / 2 / width), abs=1e-3)


def test_overlap_has_the_symmetries_of_its_formula():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 40)), rng.exponential(size=(5, 40))
    overlap = density_overlap(a, b)
    np.testing.assert_allclose(density_overlap(b, a), overlap, atol=1e-12)
    np.testing.assert_allclose(density_overlap(3 * a - 7, 3 * b - 7), overlap, atol=1e-6)
    np.testing.assert_allclose(density_overlap(a[:, ::-1], b), overlap, atol=1e-12)
    np.testing.assert_allclose(density_overlap(a, a), 1, atol=1e-6)


def test_overlap_that_is_not_defined_is_nan():
    x = np.random.default_rng(0).normal(size=(5, 40))
    y = x.copy()
    y[0], y[1, 2], y[2, 2] = 3, np.nan, np.inf
    y[3] *= 1e-6  # no grid resolves both
    np.testing.assert_array_equal(np.isnan(density_overlap(x, y)), [True, True, True, True, False])
