"""Sums of singular values against LAPACK's singular values."""

from __future__ import annotations

import numpy as np
import pytest

from murine.comparison.nuclear import nuclear_norms


@pytest.mark.parametrize("decay", [0, 2, 8])
@pytest.mark.parametrize("shape", [(117, 117), (40, 13), (13, 40), (6, 5), (5, 1), (1, 1)])
def test_norms_are_sums_of_singular_values(shape, decay):
    rng = np.random.default_rng([*shape, decay])
    matrices = 1e-6 * rng.normal(size=(3, *shape)) * np.arange(1.0, shape[1] + 1) ** -decay
    given = matrices.copy()
    expected = np.linalg.svd(matrices, compute_uv=False).sum(axis=1)
    np.testing.assert_allclose(nuclear_norms(matrices), expected, rtol=1e-13)
    np.testing.assert_array_equal(matrices, given)


def test_matrices_of_few_directions():
    rng = np.random.default_rng(0)
    vectors = [np.linalg.qr(rng.normal(size=(60, 4)))[0] for _ in range(2)]
    matrices = np.stack([(a * [3.0, 2.0, 1e-7, 0.0]) @ b.T for a, b in (vectors, vectors[::-1])])
    np.testing.assert_allclose(nuclear_norms(matrices), 5 + 1e-7, rtol=1e-13)
    special = np.stack([np.eye(60), np.zeros((60, 60)), np.ones((60, 60)), np.diag(np.r_[2.0, np.zeros(59)])])
    np.testing.assert_allclose(nuclear_norms(special), [60, 0, 60, 2], rtol=1e-13)


def test_what_is_not_finite_has_none():
    matrices = np.random.default_rng(0).normal(size=(3, 8, 6))
    matrices[0, 3, 2], matrices[1, 7, 5] = np.nan, np.inf
    found = nuclear_norms(matrices)
    assert np.isnan(found[:2]).all()
    assert np.isfinite(found[2])
