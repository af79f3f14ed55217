"""Standardised rows, against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import zscore as scipy_zscore

from murine.statistics.standardisation import unit_length, unit_length_and_scale, zscore


def test_zscore_is_scipys_and_zero_for_constants():
    responses = np.random.default_rng(0).normal(3, 5, (8, 40))
    np.testing.assert_allclose(zscore(responses), scipy_zscore(responses, axis=1), atol=1e-12)
    responses[3] = 0.1
    responses[5] = 1e8 + 1e-9
    z = zscore(responses)
    assert (z[[3, 5]] == 0).all()
    np.testing.assert_allclose(z[[0, 7]], scipy_zscore(responses[[0, 7]], axis=1), atol=1e-12)


def test_products_of_rows_of_unit_length_are_pearsons_r():
    rows = np.random.default_rng(0).normal(3.0, 2.0, size=(4, 30))
    unit = unit_length(rows)
    np.testing.assert_allclose(unit @ unit.T, np.corrcoef(rows), atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lengths_and_means_give_the_rows_back(dtype):
    rows = np.random.default_rng(0).normal(3.0, 2.0, size=(4, 30)).astype(dtype)
    unit, means, lengths = unit_length_and_scale(rows)
    assert unit.dtype == dtype
    np.testing.assert_allclose(unit * lengths[:, None] + means[:, None], rows, rtol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rows_without_a_direction_are_nan(value):
    rows = np.random.default_rng(0).normal(size=(4, 30))
    rows[1, 3] = value
    rows[2] = 0.1 + 0.2  # constant but for rounding
    assert np.isnan(unit_length(rows)).all(axis=1).tolist() == [False, True, True, False]
