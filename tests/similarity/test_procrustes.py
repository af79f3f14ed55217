"""Procrustes similarity and distances, against singular values and explicit resampling."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes

from murine.similarity.kernel_similarity import kernel_metrics
from murine.similarity.procrustes import (
    _influence,
    _nuclear_norm,
    _unit_patterns,
    angular_procrustes_distances,
    procrustes_distances,
)
from murine.statistics.bootstrap import bootstrap_counts

N = 14


def patterns(n_sets=4, n_stimuli=N, n_units=20, seed=0):
    rng = np.random.default_rng([seed, n_sets])
    common = np.random.default_rng(9).normal(size=(n_stimuli, 4))
    return [common @ rng.normal(size=(4, n_units)) + rng.normal(size=(n_stimuli, n_units)) + 1 for _ in range(n_sets)]


def kernels(sets):
    return np.stack([x @ x.T for x in sets])


def weighted_procrustes(x, y, weight):
    x, y = (z - weight @ z / weight.sum() for z in (x, y))
    x, y = (np.sqrt(weight)[:, None] * z for z in (x, y))
    return np.linalg.norm(x.T @ y, "nuc") / np.linalg.norm(x) / np.linalg.norm(y)


def degenerate_patterns():
    rng = np.random.default_rng(3)
    few = rng.normal(size=(60, 2))
    return {
        "full rank": rng.normal(size=(60, 80)),
        "rank 1": np.outer(rng.normal(size=60), np.ones(60)),
        "rank 2": few @ rng.normal(size=(2, 60)),
        "rank 2 and a trace": few @ rng.normal(size=(2, 60)) + 1e-3 * rng.normal(size=(60, 60)),
        "repeated stimuli": np.repeat(rng.normal(size=(6, 9)), 10, axis=0),
        "one stimulus differs": np.eye(60)[:, :1] @ np.ones((1, 60)),
        "orthogonal": np.eye(60),
        "one unit": rng.normal(size=(60, 1)),
        "another unit": rng.normal(size=(60, 1)),
        "constant": np.ones((60, 60)),
        "zero": np.zeros((60, 60)),
    }


@pytest.mark.parametrize("n_stimuli", [60, 2, 1])
def test_procrustes_of_degenerate_patterns_is_that_of_singular_values(n_stimuli):
    sets = {name: x[:n_stimuli] for name, x in degenerate_patterns().items()}
    centred_sets = [x - x.mean(axis=0) for x in sets.values()]
    lengths = [np.linalg.norm(x) for x in centred_sets]
    lengths = [length if length > 1e-9 else np.nan for length in lengths]
    expected = np.array(
        [[np.linalg.svd(x.T @ y, compute_uv=False).sum() for y in centred_sets] for x in centred_sets]
    ) / np.outer(lengths, lengths)
    found = kernel_metrics["procrustes"].score(kernels(sets.values()), kernels(sets.values()))
    np.testing.assert_allclose(found, expected, atol=1e-7)
    if n_stimuli == 60:
        assert np.isfinite(found[:-2, :-2]).all()
        assert np.isnan(found[-2:]).all()


@pytest.mark.parametrize(
    "products",
    [np.ones((60, 60)), np.zeros((60, 60)), np.eye(60), np.diag(np.r_[2.0, np.zeros(59)]), np.ones((1, 1))],
    ids=["constant", "zero", "identity", "rank 1", "1 x 1"],
)
def test_nuclear_norms_of_degenerate_products(products):
    products = products / max(products.sum(), 1)
    expected = np.linalg.svd(products, compute_uv=False).sum()
    assert _nuclear_norm(np.eye(len(products)), products) == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("n_units", [5, 40])  # fewer and more than stimuli
def test_influence_on_procrustes_is_its_derivative(n_units):
    (x,), (y,) = patterns(1), patterns(1, n_units=n_units, seed=1)
    score, influence = _influence(*_unit_patterns(kernels([x, y])))
    assert score == pytest.approx(weighted_procrustes(x, y, np.ones(N)), abs=1e-8)
    for i in range(N):
        step = 1e-5 * np.eye(N)[i]
        change = weighted_procrustes(x, y, 1 + step) - weighted_procrustes(x, y, 1 - step)
        assert score * influence[i] == pytest.approx(change / 2e-5, abs=1e-6)
    assert influence.sum() == pytest.approx(0, abs=1e-8)


def test_procrustes_draws_spread_like_those_of_explicit_resampling():
    (x,), (y,) = patterns(1, 80, 6), patterns(1, 80, 8, seed=1)
    counts = bootstrap_counts(80, 400, 2)
    quick = kernel_metrics["procrustes"].resample(kernels([x]), kernels([y]), counts)[:, 0, 0]
    explicit = np.array([weighted_procrustes(x, y, count.astype(float)) for count in counts])
    assert quick.std() == pytest.approx(explicit.std(), rel=0.15)
    assert np.corrcoef(quick, explicit)[0, 1] > 0.9


def test_distances_are_those_of_the_best_rotation_and_keep_the_triangle():
    sets = patterns(6)
    k = kernels(sets)
    euclidean, angular = procrustes_distances(k, k), angular_procrustes_distances(k, k)
    for i, j in product(range(6), repeat=2):
        x, y = (z - z.mean(axis=0) for z in (sets[i], sets[j]))
        rotation, _ = orthogonal_procrustes(y, x)
        assert euclidean[i, j] == pytest.approx(np.linalg.norm(x - y @ rotation), abs=1e-5)
        x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
        assert angular[i, j] == pytest.approx(np.arccos(min((x * (y @ rotation)).sum(), 1)), abs=1e-6)
    for distance in (euclidean, angular):
        detours = (distance[:, :, None] + distance[None]).min(axis=1)
        assert (distance <= detours + 1e-9).all()
        assert np.allclose(np.diag(distance), 0, atol=1e-5)
