"""Reweighted RSA: planted weights, hostile layers, and what must not matter."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import nnls
from scipy.stats import pearsonr

from murine.errors import MurineError
from murine.similarity.nonnegative_least_squares import fit_nonnegative
from murine.similarity.rdm import pearson_rdm
from murine.similarity.rdm_vectors import upper_triangle
from murine.similarity.reweighted_rsa import fit_reweighted_rsa
from murine.statistics.bootstrap import bootstrap_counts

N = 24


def folds_of(n_stimuli=N, n_folds=6, seed=0):
    return np.array_split(np.random.default_rng(seed).permutation(n_stimuli), n_folds)


def rdms(n_vectors, n_stimuli=N, seed=0):
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n_stimuli, 5))
    found = [
        pearson_rdm(common @ rng.normal(size=(5, 30)) + 2 * rng.normal(size=(n_stimuli, 30))) for _ in range(n_vectors)
    ]
    return upper_triangle(np.stack(found))


def test_planted_weights_are_found():
    layers = rdms(8)
    planted = np.zeros((3, 8))
    planted[0, [1, 4]] = 0.5, 2
    planted[1] = np.linspace(0, 1, 8)
    planted[2, 6] = 1e-3
    sites = planted @ layers + np.array([[0.3], [-1], [5]])
    found = fit_reweighted_rsa(layers, sites, folds_of())
    np.testing.assert_allclose(found.weights, np.broadcast_to(planted, (6, 3, 8)), atol=1e-10)
    np.testing.assert_allclose(found.intercepts, np.broadcast_to([0.3, -1, 5], (6, 3)), atol=1e-10)
    np.testing.assert_allclose(found.predictions, sites, atol=1e-10)
    np.testing.assert_allclose(found.scores, 1, atol=1e-12)
    assert found.flags == ("",) * 8


def test_planted_weights_are_found_under_noise_and_predict_held_out_stimuli():
    rng = np.random.default_rng(1)
    layers = rdms(6, 80)
    planted = np.array([[0, 1.5, 0, 0, 0.7, 0]])
    signal = planted @ layers
    sites = signal + 0.5 * signal.std() * rng.normal(size=signal.shape)
    found = fit_reweighted_rsa(layers, sites, folds_of(80))
    np.testing.assert_allclose(found.weights.mean(axis=0), planted, atol=0.1)
    assert found.scores[0] == pytest.approx(1 / np.sqrt(1.25), abs=0.02)  # signal over signal and noise
    alone = [pearsonr(layer, sites[0]).statistic for layer in layers]
    assert found.scores[0] > max(alone)


def test_noise_is_not_predicted():
    scores = [fit_reweighted_rsa(rdms(10, 40, s), rdms(3, 40, 1000 + s), folds_of(40)).scores for s in range(20)]
    assert np.abs(np.nanmean(scores)) < 0.1


def test_what_does_not_matter():
    layers, sites, folds = rdms(7), rdms(3, seed=5) + 0.4 * rdms(7)[:3], folds_of()
    right = fit_reweighted_rsa(layers, sites, folds)
    assert (right.weights > 0).sum() > 30
    order = np.random.default_rng(2).permutation(7)
    np.testing.assert_allclose(
        fit_reweighted_rsa(layers[order], sites, folds).weights, right.weights[:, :, order], atol=1e-12
    )
    scale = np.logspace(-6, 6, 7)
    scaled = fit_reweighted_rsa(scale[:, None] * layers + 3 * scale[:, None], 1e5 * sites, folds)
    np.testing.assert_allclose(scaled.weights * scale / 1e5, right.weights, atol=1e-9)
    np.testing.assert_allclose(scaled.scores, right.scores, atol=1e-9)
    np.testing.assert_allclose(fit_reweighted_rsa(layers, sites, folds[::-1]).weights, right.weights[::-1], atol=1e-12)
    np.testing.assert_allclose(fit_reweighted_rsa(layers, sites[[2]], folds).scores, right.scores[[2]], atol=1e-12)
    # Stimuli in another order, the folds with them.
    stimuli = np.random.default_rng(3).permutation(N)
    rows, columns = np.triu_indices(N, 1)
    square = np.zeros((N, N), int)
    square[rows, columns] = square[columns, rows] = np.arange(len(rows))
    pairs = upper_triangle(square[np.ix_(stimuli, stimuli)])
    moved = fit_reweighted_rsa(layers[:, pairs], sites[:, pairs], [stimuli.argsort()[fold] for fold in folds])
    np.testing.assert_allclose(moved.weights, right.weights, atol=1e-12)
    np.testing.assert_allclose(moved.predictions, right.predictions[:, pairs], atol=1e-12)


def test_adding_copies_constants_and_nan_changes_no_prediction():
    layers, sites, folds = rdms(5), rdms(2, seed=5) + 0.5 * rdms(5)[:2], folds_of()
    right = fit_reweighted_rsa(layers, sites, folds)
    nothing = [np.full_like(layers[0], value) for value in (0, 0.1, 1e9, np.nan)]
    broken = layers[0].copy()
    broken[3] = np.inf
    hostile = np.concatenate([layers, layers, layers[[2]] * 3 + 1, layers[[0]] + layers[[1]], nothing, [broken]])
    found = fit_reweighted_rsa(hostile, sites, folds)
    np.testing.assert_allclose(found.predictions, right.predictions, atol=1e-8)
    np.testing.assert_allclose(found.scores, right.scores, atol=1e-8)
    assert found.flags == ("",) * 12 + ("constant",) * 3 + ("not finite",) * 2
    assert (found.weights[:, :, 12:] == 0).all()
    assert (found.weights >= 0).all()
    assert found.violations.max() < 1e-10


@pytest.mark.parametrize("value", [0.0, 0.1, np.nan, np.inf])
def test_a_site_without_rdm_has_no_score_and_does_not_touch_others(value):
    layers, sites, folds = rdms(5), rdms(3, seed=5) + 0.5 * rdms(5)[:3], folds_of()
    right = fit_reweighted_rsa(layers, sites, folds)
    sites[1] = value
    found = fit_reweighted_rsa(layers, sites, folds)
    assert np.isnan(found.scores[1])
    assert np.isnan(found.predictions[1]).all()
    for name in ("scores", "predictions"):
        np.testing.assert_allclose(getattr(found, name)[[0, 2]], getattr(right, name)[[0, 2]], atol=1e-12)
    draws = found.resample(sites, bootstrap_counts(N, 5, 0))
    assert np.isnan(draws[:, 1]).all()
    assert np.isfinite(draws[:, [0, 2]]).all()


def test_a_site_that_layers_can_only_oppose_has_weights_of_zero_and_no_score():
    layers = rdms(3)
    found = fit_reweighted_rsa(layers, -layers[:1], folds_of())
    assert (found.weights[:, 0] >= 0).all()
    opposed = fit_reweighted_rsa(layers[:1], -layers[:1], folds_of())
    assert (opposed.weights == 0).all()
    assert np.isnan(opposed.scores).all()
    assert np.isfinite(opposed.predictions).all()  # the mean of the training pairs


def test_without_layers_there_is_no_score():
    sites = rdms(2)
    for layers in (np.empty((0, sites.shape[1])), np.ones((3, sites.shape[1]))):
        found = fit_reweighted_rsa(layers, sites, folds_of())
        assert np.isnan(found.scores).all()
        assert found.weights.shape == (6, 2, len(layers))


def test_more_layers_than_pairs_end_and_are_optimal():
    layers, sites = rdms(200, 12), rdms(4, 12, seed=3)
    found = fit_reweighted_rsa(layers, sites, folds_of(12, 3))
    assert found.violations.max() < 1e-9
    assert np.isfinite(found.scores).all()


def test_each_stimulus_by_itself():
    layers, sites = rdms(4, 12), rdms(2, 12, seed=3) + rdms(4, 12)[:2]
    found = fit_reweighted_rsa(layers, sites, list(np.arange(12)[:, None]))
    rows, columns = np.triu_indices(12, 1)
    for i in (0, 7):
        train = (rows != i) & (columns != i)
        design = layers[:, train] - layers[:, train].mean(axis=1, keepdims=True)
        expected = nnls(design.T, sites[0, train] - sites[0, train].mean())[0]
        np.testing.assert_allclose(found.weights[i, 0], expected, atol=1e-10)


def test_resampled_scores_are_those_of_explicit_resampling():
    layers, sites = rdms(5), rdms(2, seed=5) + 0.5 * rdms(5)[:2]
    found = fit_reweighted_rsa(layers, sites, folds_of())
    counts = bootstrap_counts(N, 20, 3)
    draws = found.resample(sites, counts)
    rows, columns = np.triu_indices(N, 1)
    for b, count in enumerate(counts):
        times = (count[rows] * count[columns]).astype(int)
        for s in range(2):
            expected = pearsonr(np.repeat(found.predictions[s], times), np.repeat(sites[s], times)).statistic
            assert draws[b, s] == pytest.approx(expected, abs=1e-5)
    once = np.ones((1, N), np.uint16)
    np.testing.assert_allclose(found.resample(sites, once)[0], found.scores, atol=1e-6)


@pytest.mark.parametrize(
    ("folds", "reason"),
    [
        ([np.arange(12), np.arange(11, 24)], "hold out 25, and not once: 11"),
        ([np.arange(12), np.arange(12, 23)], "hold out 23, and not once: 23"),
        ([np.arange(12), np.append(np.arange(12, 23), 40)], "not once: 23"),
        ([np.arange(21), np.arange(21, 24)], "leaves 3 stimuli to train on"),
        ([np.arange(24)], "leave 0 stimuli"),
        ([], "0 folds"),
        ([*np.arange(24)[:, None], np.array([], int)], "hold out none"),
    ],
)
def test_folds_that_do_not_hold_out_each_stimulus_once_are_refused(folds, reason):
    with pytest.raises(MurineError, match=reason):
        fit_reweighted_rsa(rdms(2), rdms(1), folds)


def hostile_problems():
    rng = np.random.default_rng(0)
    for n, k in ((1, 1), (30, 3), (30, 12), (12, 30), (200, 60)):
        a, b = rng.normal(size=(n, k)), rng.normal(size=n)
        yield "plain", a, b
        yield "positive", np.abs(a), np.abs(b)
        yield "duplicates", np.concatenate([a, a, a[:, ::-1]], axis=1), b
        yield "sums", np.concatenate([a, np.cumsum(a, axis=1)], axis=1), b
        for gap in (1e-3, 1e-5, 1e-7, 1e-9, 1e-15):
            yield f"nearly equal {gap}", a[:, :1] + gap * a, a[:, 0] + gap * b
        yield "one column", np.repeat(a[:, :1], k, axis=1), a[:, 0]
        yield "opposite", np.concatenate([a, -a], axis=1), b
        yield "zeros", a * 0, b
        yield "constant", np.ones((n, k)), b
        yield "zero target", a, b * 0
        yield "target inside", a, a @ np.abs(rng.normal(size=k))
        yield "target on the border", a, a @ np.maximum(rng.normal(size=k), 0)
        yield "target opposed", np.abs(a), -np.abs(b)
        yield "huge", 1e150 * a[:, :3], b
        yield "tiny", 1e-150 * a[:, :3], 1e-150 * b
        yield "uneven", a * np.logspace(-8, 8, k), b
        yield "few values", np.sign(a), np.sign(b)
        yield "low rank", a[:, :2] @ rng.normal(size=(min(2, k), k)), b
        yield "Hilbert", 1 / (np.arange(n)[:, None] + np.arange(k) + 1), b


@pytest.mark.parametrize(("name", "a", "b"), [pytest.param(*p, id=f"{p[0]}-{p[1].shape}") for p in hostile_problems()])
def test_fits_end_and_are_as_good_as_scipys(name, a, b):
    gram, product, power = a.T @ a, a.T @ b, b @ b
    solutions, violations = fit_nonnegative(gram[None], product[None, None], np.array([[power]]))
    x = solutions[0, 0]
    assert (x >= 0).all()
    bound = 1e-6 if name == "Hilbert" else 1e-9  # of directions that are left out as collinear
    assert violations[0, 0] < bound
    if name not in ("huge", "tiny"):
        scipys = nnls(a, b, maxiter=100 * a.shape[1])[1]
        # Directions of less than 1e-6 of their length count as none.
        assert np.linalg.norm(b - a @ x) <= scipys + 1e-5 * np.linalg.norm(b)
    # As the conditions of optimality say, found anew.
    gradient = a.T @ (b - a @ x)
    lengths = np.linalg.norm(a, axis=0) * np.linalg.norm(b)
    assert (gradient <= 10 * bound * lengths).all()
    assert (np.abs(gradient[x > 0]) <= 10 * bound * lengths[x > 0]).all()


def test_a_fit_that_does_not_end_has_no_weights(monkeypatch):
    rng = np.random.default_rng(0)
    a, b = np.abs(rng.normal(size=(30, 12))), np.abs(rng.normal(size=30))
    monkeypatch.setattr("murine.similarity.nonnegative_least_squares._STEPS", 0.1)
    solutions, violations = fit_nonnegative((a.T @ a)[None], (a.T @ b)[None, None], np.array([[b @ b]]))
    assert np.isnan(solutions).all()
    assert np.isnan(violations).all()
    assert np.isnan(fit_reweighted_rsa(rdms(12), rdms(1, seed=5), folds_of()).scores).all()


def test_thousands_of_degenerate_problems_end():
    """Few values make many ties between variables: what sends active sets round in circles."""
    rng = np.random.default_rng(1)
    worst = 0.0
    for _ in range(3000):
        n, k = rng.integers(2, 25, 2)
        a = rng.integers(-1, 2, (n, k)) * rng.choice([1.0, 1e-3, 1 / 3], k)
        b = rng.integers(-1, 2, n) / 3
        flat = rng.normal(size=(n, 2)) @ rng.normal(size=(2, k))
        flat += rng.choice([0, 1e-8, 1e-6, 1e-4]) * rng.normal(size=(n, k))
        for x in (a, flat):
            _, violations = fit_nonnegative((x.T @ x)[None], (x.T @ b)[None, None], np.array([[b @ b]]))
            worst = max(worst, violations[0, 0])
    assert worst < 1e-5  # what is left out as collinear
