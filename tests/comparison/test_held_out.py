"""Nested choice of a layer: constructed scores, and what it removes on random layers."""

from __future__ import annotations

import numpy as np
import pytest

from murine.comparison.choice import best_layer, choose, chosen_predictions, fold_scores
from murine.comparison.inference import folds
from murine.comparison.rdm import pearson_rdm, upper, zscore
from murine.comparison.rsa import comparisons
from murine.cortex.simulated import SimulatedCortex, simulate
from murine.errors import MurineError


def test_best_layers():
    scores = np.array([[0.1, np.nan, np.nan], [0.5, 0.2, np.nan], [0.5, -0.3, np.nan]])
    assert best_layer(scores).tolist() == [1, 1, -1]
    assert best_layer(np.stack([scores, scores[::-1]])).tolist() == [[1, 1, -1], [0, 1, -1]]
    assert best_layer(np.empty((0, 2))).tolist() == [-1, -1]


def test_scores_of_chosen_layers():
    train = np.array([[[0.9], [0.1]], [[0.2], [0.8]]])
    test = np.array([[[0.3], [0.46]], [[0.6], [0.4]]])
    choice = choose(train, test)
    assert choice.layers.tolist() == [[0], [1]]
    assert choice.nested[0] == pytest.approx((0.3 + 0.4) / 2)
    assert choice.naive_layer.tolist() == [0]
    assert choice.naive[0] == pytest.approx(0.45)
    assert choice.optimism[0] == pytest.approx(0.1)


def test_draws_keep_the_chosen_layers():
    rng = np.random.default_rng(0)
    train, test = rng.normal(size=(2, 3, 7, 4))
    draws = test + rng.normal(size=(500, 3, 7, 4))
    choice = choose(train, test)
    nested, naive = choice.resampled(draws)
    for site in range(4):
        own = [draws[:, fold, choice.layers[fold, site], site] for fold in range(3)]
        np.testing.assert_allclose(nested[:, site], np.mean(own, axis=0))
        np.testing.assert_allclose(naive[:, site], draws[:, :, choice.naive_layer[site], site].mean(axis=1))
    low, high = choice.optimism_interval(draws)
    np.testing.assert_allclose([low, high], np.quantile(naive - nested, [0.025, 0.975], axis=0))
    np.testing.assert_allclose(choice.optimism, choice.naive - choice.nested)


def test_layers_and_sites_without_scores(unchecked):
    train, test = np.random.default_rng(0).normal(size=(2, 2, 3, 3))
    train[:, :, 1] = np.nan  # no layer can be chosen for a site
    test[:, best_layer(train)[0, 2], 2] = np.nan  # the chosen layer has no score on the other part
    choice = choose(train, test)
    assert np.isnan(choice.nested).tolist() == [False, True, True]
    assert choice.layers[:, 1].tolist() == [-1, -1]
    assert np.isfinite(choice.naive).all()
    assert np.isnan(choose(train[:, :0], test[:, :0]).nested).all()
    with pytest.raises(MurineError, match=r"shape \(2, 3, 3\), those to report \(2, 2, 3\)"):
        choose(train, test[:, :2])


def test_predictions_of_the_layer_chosen_in_each_fold():
    rng = np.random.default_rng(0)
    predictions, parts = rng.normal(size=(5, 23, 4)), folds(23, 3, 0)
    layers = rng.integers(5, size=(3, 4))
    layers[1, 2] = -1
    out = chosen_predictions(layers, predictions, parts)
    for k, fold in enumerate(parts):
        for site in range(4):
            expected = predictions[layers[k, site], fold, site] if layers[k, site] >= 0 else np.full(len(fold), np.nan)
            np.testing.assert_array_equal(out[fold, site], expected)
    for wrong in (parts[:2], [parts[0], parts[1], parts[1]]):
        with pytest.raises(MurineError, match="expected every stimulus in one of them"):
            chosen_predictions(layers, predictions, wrong)


def test_fold_scores_are_those_of_selected_stimuli():
    rng = np.random.default_rng(0)
    layers, sites = (np.stack([pearson_rdm(rng.normal(size=(24, 9))) for _ in range(n)]) for n in (3, 2))
    parts = folds(24, 3, 1)
    train, test = fold_scores(layers, sites, parts, comparisons["rsa-pearson"].score)
    for k, fold in enumerate(parts):
        rest = [i for i in range(24) if i not in fold]
        for scores, members in ((train, rest), (test, fold)):
            vectors = [[upper(rdm[np.ix_(members, members)]) for rdm in rdms] for rdms in (layers, sites)]
            expected = [[np.corrcoef(a, b)[0, 1] for b in vectors[1]] for a in vectors[0]]
            np.testing.assert_allclose(scores[k], expected)
    with pytest.raises(MurineError, match="a fold with 3 stimuli is too small"):
        fold_scores(layers, sites, folds(24, 8, 0), comparisons["rsa-pearson"].score)


N_LAYERS, N_STIMULI = 300, 60


@pytest.fixture(scope="module")
def cortex() -> SimulatedCortex:
    return simulate(n_neuroids=40, n_repetitions=10, reliability=0.6)


def random_layers(seed: int) -> np.ndarray:
    rng = np.random.default_rng([seed, 300])
    return np.stack([pearson_rdm(rng.normal(size=(N_STIMULI, 15))) for _ in range(N_LAYERS)])


def test_nested_choice_removes_the_optimism_of_the_best_of_300_random_layers(cortex: SimulatedCortex) -> None:
    """Layers of random features, sites of a simulated cortex: every true score is zero.

    Choosing within the training stimuli leaves nothing; choosing on odd repetitions leaves what the random layers have
    in common with the reliable responses to these very images."""
    score = comparisons["rsa-pearson"].score
    rows = []
    for seed in range(40):
        recording = cortex.redraw(seed).recording
        shown = np.random.default_rng(seed).permutation(recording.n_stimuli)[:N_STIMULI]
        sites = {}
        for split, repetitions in (("all", slice(None)), ("odd", slice(0, None, 2)), ("even", slice(1, None, 2))):
            means = recording.mean(repetitions)[:, shown]
            areas = [means[recording["area"] == area] for area in ("SIMp", "SIMl", "SIMam")]
            sites[split] = np.stack([pearson_rdm(np.ascontiguousarray(zscore(x).T)) for x in areas])
        layers = random_layers(seed)
        by_stimuli = choose(*fold_scores(layers, sites["all"], folds(N_STIMULI, 2, seed), score))
        odd, even = (score(upper(layers), upper(sites[split])) for split in ("odd", "even"))
        by_repetitions = choose(np.stack([odd, even]), np.stack([even, odd]))
        rows.append(
            [x.mean() for x in (by_stimuli.naive, by_stimuli.nested, by_repetitions.naive, by_repetitions.nested)]
        )
    mean, error = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1) / np.sqrt(len(rows))
    naive, nested, naive_repetitions, nested_repetitions = mean
    assert naive > 0.05
    assert abs(nested) < 3 * error[1] < 0.02
    assert naive_repetitions > nested_repetitions > 5 * error[3]


def test_nested_choice_finds_the_layer_there_is(cortex: SimulatedCortex) -> None:
    """One layer is the population itself, among random ones: no optimism, and no loss, from choosing it."""
    mine = cortex.recording["area"] == "SIMl"
    means = cortex.recording.mean()[mine][:, :N_STIMULI]
    truth = pearson_rdm(np.ascontiguousarray(zscore(cortex.true_responses[mine][:, :N_STIMULI]).T))
    site = pearson_rdm(np.ascontiguousarray(zscore(means).T))[None]
    layers = np.concatenate([random_layers(0), truth[None]])
    choice = choose(*fold_scores(layers, site, folds(N_STIMULI, 2, 0), comparisons["rsa-pearson"].score))
    assert (choice.layers == N_LAYERS).all()
    assert choice.optimism[0] == 0
    assert choice.nested[0] > 0.5
