"""Weighted correlations, against NumPy's correlation of repeated elements."""

from __future__ import annotations

import numpy as np

from murine.similarity.weighted_correlation import weighted_correlations
from murine.statistics.standardisation import zscore


def test_weights_are_repetitions():
    rng = np.random.default_rng(0)
    first, second = (zscore(rng.normal(size=(3, 20))) for _ in range(2))
    times = rng.integers(0, 4, size=(5, 20))
    found = weighted_correlations(first, second, times / times.sum(axis=1, keepdims=True))
    for sample, repeated in zip(found, times, strict=True):
        expected = [
            np.corrcoef(np.repeat(a, repeated), np.repeat(b, repeated))[0, 1]
            for a, b in zip(first, second, strict=True)
        ]
        np.testing.assert_allclose(sample, expected, atol=1e-12)


def test_a_vector_that_does_not_vary_in_a_sample_has_no_correlation():
    first = np.array([[1.0, 1.0, -2.0], [1.0, 0.0, -1.0]])
    second = np.array([[1.0, 0.0, -1.0], [0.5, 0.5, -1.0]])
    weights = np.array([[0.5, 0.5, 0.0]])
    assert np.isnan(weighted_correlations(first, second, weights)).tolist() == [[True, True]]
