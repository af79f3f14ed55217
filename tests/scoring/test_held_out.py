"""Held-out scores: what they remove on random layers, and that they keep what is there."""

from __future__ import annotations

import numpy as np
import pytest

from murine.cortex.recording import Recording
from murine.networks.layer_kernel import LayerKernel
from murine.scoring.held_out import MIN_HALF, Choices, choose, random_splits
from murine.scoring.metric import Metric, metrics
from murine.scoring.site_data import SiteData
from murine.scoring.site_preparation import make_site_data
from murine.statistics.layer_selection import best_layer

N_STIMULI, N_LAYERS = 60, 100


def random_layers(seed: int, n: int = N_LAYERS) -> list[LayerKernel]:
    rng = np.random.default_rng([seed, 300])
    return [LayerKernel.of(rng.normal(size=(N_STIMULI, 15))) for _ in range(n)]


def random_targets(seed: int, n_sites: int = 2) -> tuple[SiteData, list[np.ndarray]]:
    """Sites of 20 neurons, and their true responses."""
    rng = np.random.default_rng([seed, 7])
    truth = rng.normal(size=(20 * n_sites, N_STIMULI))
    trials = truth[:, :, None] + rng.normal(size=(*truth.shape, 4))
    areas = np.repeat([f"area {s}" for s in range(n_sites)], 20)
    neuroid = {"neuroid_id": [f"n{i:03d}" for i in range(len(trials))], "area": areas}
    recording = Recording.from_arrays(trials, neuroid, {"stimulus_id": [f"s{i:02d}" for i in range(N_STIMULI)]})
    return make_site_data(recording, n_splits=2), list(truth.reshape(n_sites, 20, -1))


def scored(metric: Metric, layers: list[LayerKernel], site_data: SiteData, seed: int) -> tuple[np.ndarray, Choices]:
    splits = random_splits(metric, site_data, 10, seed)
    assert splits is not None
    stack, defined = metric.prepare(layers, site_data)
    scores = metric.score(stack, metric.of_sites(site_data))
    return scores, choose(metric, layers, stack, defined, scores, splits)


def test_best_layers() -> None:
    scores = np.array([[0.1, np.nan, np.nan], [0.5, 0.2, np.nan], [0.5, -0.3, np.nan]])
    assert best_layer(scores).tolist() == [1, 1, -1]
    assert best_layer(np.stack([scores, scores[::-1]])).tolist() == [[1, 1, -1], [0, 1, -1]]
    assert best_layer(np.empty((0, 2))).tolist() == [-1, -1]


@pytest.mark.parametrize(("name", "n_seeds"), [("rsa-pearson", 20), ("cka-debiased", 4), ("ridge", 4)])
def test_the_best_of_many_random_layers_has_the_score_of_a_random_layer(name: str, n_seeds: int) -> None:
    """Every layer is random: on new stimuli the best one scores as all of them do in the mean."""
    rows = []
    for seed in range(n_seeds):
        site_data, _ = random_targets(seed)
        scores, choices = scored(metrics[name], random_layers(seed), site_data, seed)
        rows.append([scores.max(axis=0).mean(), choices.scores(scores).mean(), scores.mean()])
    naive, held_out, typical = np.transpose(rows)
    error = (held_out - typical).std(ddof=1) / np.sqrt(n_seeds)
    assert naive.mean() - typical.mean() > 0.03
    assert abs(held_out.mean() - typical.mean()) < 3 * error < 0.03


def test_the_layer_there_is_is_chosen_by_every_half() -> None:
    """One layer is the population itself, among random ones: nothing is lost by choosing it."""
    site_data, truth = random_targets(0)
    layers = [*random_layers(0), LayerKernel.of(np.ascontiguousarray(truth[1].T))]
    scores, choices = scored(metrics["rsa-pearson"], layers, site_data, 0)
    assert (choices.layers[:, :, 1] == N_LAYERS).all()
    assert choices.scores(scores)[1] == scores[-1, 1] > 0.5
    assert choices.ranked[0][:, 1].tolist() == [N_LAYERS, -1]
    assert choices.ranked[1][1] == 1


def test_layers_without_a_score_in_some_half_are_not_chosen() -> None:
    site_data, _ = random_targets(0)
    flat = np.ones((N_STIMULI, 8))
    flat[:2] = np.random.default_rng(0).normal(size=(2, 8))
    layers = [LayerKernel.of(flat), LayerKernel.of(np.full((N_STIMULI, 8), np.nan))]
    scores, choices = scored(metrics["rsa-pearson"], layers, site_data, 0)
    assert (choices.layers == -1).all()
    assert np.isnan(choices.scores(scores)).all()
    assert choices.ranked[0].tolist() == [[-1, -1], [-1, -1]]


def test_few_stimuli_and_metrics_that_combine_layers_choose_nothing() -> None:
    site_data, _ = random_targets(0)
    few = site_data.select(np.arange(2 * MIN_HALF - 1))
    assert random_splits(metrics["rsa-pearson"], few, 10, 0) is None
    assert random_splits(metrics["rsa-pearson"], site_data.select(np.arange(2 * MIN_HALF)), 10, 0) is not None
    assert random_splits(metrics["rsa-reweighted"], site_data, 10, 0) is None


def test_random_splits_are_what_is_left_of_chance() -> None:
    """Two seeds differ by about what the draws over splits say, and both choose halves of all stimuli."""
    site_data, _ = random_targets(3)
    layers, metric = random_layers(3), metrics["rsa-pearson"]
    found, spread = [], []
    for seed in range(25):
        splits = random_splits(metric, site_data, 400, seed)
        assert splits is not None
        stack, defined = metric.prepare(layers, site_data)
        scores = metric.score(stack, metric.of_sites(site_data))
        choices = choose(metric, layers, stack, defined, scores, splits)
        found.append(choices.scores(scores))
        draws = choices.mixed(np.broadcast_to(scores, (400, *scores.shape)), splits.drawn)
        left = choices.mixed(np.broadcast_to(scores, (N_STIMULI, *scores.shape)), splits.left_out)
        spread.append([draws.std(axis=0), np.sqrt((N_STIMULI - 1) * left.var(axis=0))])
    observed = np.std(found, axis=0, ddof=1)
    for expected in np.sqrt(np.mean(np.square(spread), axis=0)):
        assert (observed / expected > 0.5).all()
        assert (observed / expected < 2).all()
