"""Components of PLS from products, against the plain definition: decompose, deflate the features, and again."""

from __future__ import annotations

import numpy as np
import pytest

from murine.encoding.pls_components import pls_rotations


def plain(coordinates, products, n_components):
    """Scores by decomposing X'YY'X as a whole and taking every score out of X."""
    left, scores = coordinates.copy(), []
    for _ in range(n_components):
        weights = np.linalg.eigh(left.T @ products @ left)[1][:, -1]
        score = left @ weights
        score /= np.linalg.norm(score)
        left -= np.outer(score, score @ left)
        scores.append(score)
    return np.array(scores)


def data(n_stimuli, n_directions, n_neuroids, decay=1.0, seed=0):
    """Coordinates along principal directions, whose powers fall, and products of responses that follow them."""
    rng = np.random.default_rng([seed, n_stimuli, n_directions])
    vectors = np.linalg.qr(rng.normal(size=(n_stimuli, n_directions)))[0]
    coordinates = vectors * np.arange(1.0, n_directions + 1) ** -decay
    responses = coordinates @ rng.normal(size=(n_directions, n_neuroids)) + 0.1 * rng.normal(
        size=(n_stimuli, n_neuroids)
    )
    return coordinates, responses @ responses.T


def scores_of(coordinates, products, n_components):
    powers = (coordinates**2).sum(axis=0)
    return pls_rotations(coordinates.T @ products @ coordinates, powers, n_components) @ coordinates.T


@pytest.mark.parametrize("decay", [0.0, 1.0, 3.0])
@pytest.mark.parametrize(("n_stimuli", "n_directions", "n_neuroids"), [(98, 97, 300), (40, 39, 5), (30, 7, 50)])
def test_scores_are_those_of_the_definition(n_stimuli, n_directions, n_neuroids, decay):
    coordinates, products = data(n_stimuli, n_directions, n_neuroids, decay)
    # Where features have equal powers, one component explains what a direction of the responses has.
    n_components = min(25, n_directions, 25 if decay else n_neuroids)
    found, expected = scores_of(coordinates, products, n_components), plain(coordinates, products, n_components)
    np.testing.assert_allclose(found @ found.T, np.eye(n_components), atol=1e-12)
    np.testing.assert_allclose(found.T @ found, expected.T @ expected, atol=1e-7)
    first = np.abs((found * expected).sum(axis=1))[:5]
    np.testing.assert_allclose(first, 1, atol=1e-9)


def test_directions_that_are_equally_good_are_taken_one_after_the_other():
    coordinates = np.eye(80)[:, :79]
    powers = np.full(79, 1.0)
    covariances = np.diag(np.r_[4.0, 4.0, 4.0 - 1e-9, np.linspace(3, 1, 76)])
    found = pls_rotations(covariances, powers, 3) @ coordinates.T
    np.testing.assert_allclose(found @ found.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose((found[:, :3] ** 2).sum(), 3, atol=1e-8)


def test_nothing_is_made_of_responses_that_are_explained():
    coordinates, _ = data(30, 20, 5)
    responses = coordinates[:, [2, 5]] @ np.array([[1.0, 2.0, -1.0], [0.0, 3.0, 1.0]])
    found = scores_of(coordinates, responses @ responses.T, 6)
    np.testing.assert_allclose((found**2).sum(axis=1), [1, 1, 0, 0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(found.T @ (found @ responses), responses, atol=1e-12)
    assert (scores_of(coordinates, np.zeros((30, 30)), 2) == 0).all()


@pytest.mark.parametrize("size", [1, 2, 60])
@pytest.mark.parametrize("kind", ["zero", "constant", "identity", "rank 1", "rank 2"])
def test_degenerate_covariances_give_as_many_components_as_they_have(kind, size):
    rng = np.random.default_rng(size)
    rank = {"zero": 0, "identity": size, "rank 2": min(2, size)}.get(kind, 1)
    vectors = np.ones((size, 1)) if kind == "constant" else rng.normal(size=(size, rank))
    covariances = np.eye(size) if kind == "identity" else vectors @ vectors.T * (rank > 0)
    powers = np.full(size, 0.5)
    found = pls_rotations(covariances.copy(), powers, 5)
    assert np.isfinite(found).all()
    gram = found @ np.diag(powers) @ found.T
    n = min(rank, 5)
    np.testing.assert_allclose(gram, np.diag(np.r_[np.ones(n), np.zeros(5 - n)]), atol=1e-10)
    if kind in ("rank 1", "rank 2", "constant"):  # what they span is what the covariances do, as equal powers say
        span = np.linalg.qr(found[:n].T)[0]
        np.testing.assert_allclose(span @ (span.T @ covariances), covariances, atol=1e-8 * np.abs(covariances).max())


def test_matrices_of_rank_1_whatever_their_rounding():
    """The second vector of Lanczos' iteration is nothing but rounding."""
    rng = np.random.default_rng(7)
    for size in range(1, 40):
        for vector in (np.full(size, rng.random()), np.full(size, 0.1) * 3, rng.integers(1, 4, size) / 7):
            found = pls_rotations(np.outer(vector, vector), np.ones(size), 3)
            first = vector / np.linalg.norm(vector)
            np.testing.assert_allclose(abs(found[0] @ first), 1, rtol=1e-8)
            np.testing.assert_allclose(found[0], first * (found[0] @ first), atol=1e-8)
            np.testing.assert_array_equal(found[1:], 0)
