"""CKA and Procrustes against their definitions on patterns: scores, resampled and relabelled stimuli."""

from __future__ import annotations

from itertools import permutations as orders

import numpy as np
import pytest

from murine.encoding.kernels import centre_layer_grams
from murine.networks.layer_kernel import LayerKernel
from murine.similarity.kernel_similarity import centre_kernels, kernel_metrics, u_centre_kernels
from murine.statistics.bootstrap import bootstrap_counts
from murine.statistics.permutation import permutations

N = 14

NAMES = list(kernel_metrics)


def patterns(n_sets=4, n_stimuli=N, n_units=20, seed=0):
    rng = np.random.default_rng([seed, n_sets])
    common = np.random.default_rng(9).normal(size=(n_stimuli, 4))
    return [common @ rng.normal(size=(4, n_units)) + rng.normal(size=(n_stimuli, n_units)) + 1 for _ in range(n_sets)]


def kernels(sets):
    return np.stack([x @ x.T for x in sets])


def test_centring_takes_the_mean_pattern_away():
    sets = patterns()
    shifted = [x - x.mean(axis=0) for x in sets]
    np.testing.assert_allclose(centre_kernels(kernels(sets)), kernels(shifted), atol=1e-10)
    u = u_centre_kernels(kernels(sets))
    np.testing.assert_allclose(u.sum(axis=1), 0, atol=1e-10)
    assert (np.diagonal(u, axis1=1, axis2=2) == 0).all()
    np.testing.assert_allclose(u, u_centre_kernels(kernels(shifted)), atol=1e-10)


@pytest.mark.parametrize("offset", [0, 1e5])
def test_kernels_of_layers_keep_the_digits_of_large_means(offset):
    sets = patterns()
    found = centre_layer_grams([LayerKernel.of(x + offset) for x in sets])
    np.testing.assert_allclose(found, centre_kernels(kernels(sets)), atol=1e-8 if offset else 1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_what_rotations_scales_and_shifts_do_not_change(name):
    metric, a, b = kernel_metrics[name], patterns(), patterns(3, seed=1)
    right = metric.score(kernels(a), kernels(b))
    assert right.shape == (4, 3)
    assert (right < 0.999).all()
    rng = np.random.default_rng(2)
    moved = []
    for k, x in enumerate(a):
        rotation = np.linalg.qr(rng.normal(size=(20, 20)))[0]
        moved.append(10.0 ** (3 * k - 5) * (x @ rotation + rng.normal(size=20)))
    np.testing.assert_allclose(metric.score(kernels(moved), kernels(b)), right, atol=1e-7)
    order = rng.permutation(N)
    np.testing.assert_allclose(
        metric.score(kernels(x[order] for x in a), kernels(x[order] for x in b)), right, atol=1e-10
    )
    np.testing.assert_allclose(metric.score(kernels(b), kernels(a)), right.T, atol=1e-10)
    np.testing.assert_allclose(np.diag(metric.score(kernels(a), kernels(moved))), 1, atol=1e-7)
    stretched = [x * np.logspace(0, 2, 20) for x in a]  # which no rotation undoes
    assert np.abs(metric.score(kernels(stretched), kernels(b)) - right).min() > 1e-3


def test_only_debiased_cka_is_zero_for_layers_that_share_nothing():
    rng = np.random.default_rng(0)
    scores = {name: [] for name in NAMES}
    for _ in range(200):
        x, y = rng.normal(size=(2, 1, N, 300))
        for name in NAMES:
            scores[name].append(kernel_metrics[name].score(kernels(x), kernels(y))[0, 0])
    means = {name: np.mean(values) for name, values in scores.items()}
    assert abs(means["cka-debiased"]) < 4 * np.std(scores["cka-debiased"]) / np.sqrt(200)
    assert means["cka"] > 0.9
    assert means["procrustes"] > 0.9


def sampled_cka(x, y, count):
    """The stimuli as drawn, centred on the sample's mean; products between copies are left out."""
    drawn = np.repeat(np.arange(len(count)), count)
    k, m = ((z[drawn] - z[drawn].mean(axis=0)) @ (z[drawn] - z[drawn].mean(axis=0)).T for z in (x, y))
    kept = (drawn[:, None] != drawn) | np.eye(len(drawn), dtype=bool)
    return (k * m)[kept].sum() / np.sqrt((k**2)[kept].sum() * (m**2)[kept].sum())


def sampled_debiased_cka(x, y, count):
    """The mean over quadruples of different stimuli, each as often as drawn."""
    quadruples = np.array(list(orders(range(len(count)), 4)))
    weight = count[quadruples].astype(float).prod(axis=1)
    i, j, q, r = quadruples.T

    def hsic(k, m):
        return (weight * (k[i, j] * (m[i, j] + m[q, r] - 2 * m[i, q]))).sum()

    k, m = x @ x.T, y @ y.T
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


@pytest.mark.parametrize(("name", "explicit"), [("cka", sampled_cka), ("cka-debiased", sampled_debiased_cka)])
def test_draws_are_those_of_explicit_resampling(name, explicit):
    n = 9
    a, b = patterns(3, n), patterns(2, n, seed=1)
    counts = bootstrap_counts(n, 25, 4)
    draws = kernel_metrics[name].resample(kernels(a), kernels(b), counts)
    assert draws.shape == (25, 3, 2)
    expected = np.array([[[explicit(x, y, count) for y in b] for x in a] for count in counts])
    # A sample with few different stimuli may have an estimate of its squared norm that is small, or negative.
    steady = np.isfinite(expected) & (np.abs(expected) < 1.5)
    assert steady.mean() > 0.9
    np.testing.assert_allclose(draws[steady], expected[steady], atol=1e-4)


@pytest.mark.parametrize("name", ["cka", "cka-debiased"])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_many_layers_of_any_size_are_resampled_right(name, scale):
    metric, counts = kernel_metrics[name], bootstrap_counts(N, 4, 4)
    a, b = kernels(patterns(300)) * scale, kernels(patterns(2, seed=1))
    draws = metric.resample(a, b, counts)
    for i in (0, 255, 256, 299):
        np.testing.assert_allclose(draws[:, [i]], metric.resample(a[[i]] / scale, b, counts), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_drawing_every_stimulus_once_is_the_score_itself(name):
    metric, a, b = kernel_metrics[name], kernels(patterns()), kernels(patterns(2, seed=1))
    once = np.ones((1, N), np.uint16)
    np.testing.assert_allclose(metric.resample(a, b, once)[0], metric.score(a, b), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_permutations_are_explicit_relabellings(name):
    metric, a, b = kernel_metrics[name], patterns(), patterns(2, seed=1)
    relabellings = permutations(N, 6, 4)
    null = metric.permute(kernels(a), kernels(b), relabellings)
    for k, order in enumerate(relabellings):
        np.testing.assert_allclose(null[k], metric.score(kernels(a), kernels(y[order] for y in b)), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["zero", "same for all", np.nan, np.inf])
def test_layers_without_geometry_have_no_score_and_do_not_touch_others(name, value):
    metric, a, b = kernel_metrics[name], kernels(patterns()), kernels(patterns(2, seed=1))
    right = metric.score(a, b)
    if isinstance(value, str):
        a[1] = 0 if value == "zero" else 0.1
    else:
        a[1, 3] = a[1, :, 3] = value
    others = [0, 2, 3]
    counts, relabellings = bootstrap_counts(N, 5, 0), permutations(N, 3, 0)
    for layers, sites, axis in ((a, b, 0), (b, a, 1)):
        score = metric.score(layers, sites)
        expected = right[others] if axis == 0 else right[others].T
        np.testing.assert_allclose(np.take(score, others, axis), expected, atol=1e-12)
        for draws in (
            score[None],
            metric.resample(layers, sites, counts),
            metric.permute(layers, sites, relabellings),
        ):
            assert np.isnan(np.take(draws, 1, axis + 1)).all()
            assert np.isfinite(np.take(draws, others, axis + 1)).all()


@pytest.mark.parametrize("name", NAMES)
def test_no_layers_give_empty_scores(name):
    metric, none, sites = kernel_metrics[name], np.empty((0, N, N)), kernels(patterns())
    assert metric.score(none, sites).shape == (0, 4)
    assert metric.resample(none, sites, bootstrap_counts(N, 3, 0)).shape == (3, 0, 4)
    assert metric.permute(none, sites, permutations(N, 2, 0)).shape == (2, 0, 4)


def test_scales_are_their_own():
    assert {name: kernel_metrics[name].scale for name in NAMES} == {name: name for name in NAMES}
