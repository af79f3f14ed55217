"""RDMs as vectors."""

from __future__ import annotations

import numpy as np
import pytest

from murine.errors import MurineError
from murine.similarity.rdm_vectors import n_stimuli_of_pairs, upper_triangle


def test_upper_triangles_of_stacks():
    stack = np.random.default_rng(0).random((2, 3, 5, 5))
    vectors = upper_triangle(stack)
    assert vectors.shape == (2, 3, 10)
    expected = [stack[1, 2, i, j] for i in range(5) for j in range(i + 1, 5)]
    np.testing.assert_array_equal(vectors[1, 2], expected)


def test_the_size_of_an_rdm_follows_from_its_pairs():
    assert [n_stimuli_of_pairs(n * (n - 1) // 2) for n in range(1, 300)] == list(range(1, 300))
    with pytest.raises(MurineError, match="5 stimuli have 10 pairs, 6 have 15"):
        n_stimuli_of_pairs(11)
