"""Targets cannot leak: labels that would reward who peeks change nothing but the targets' own numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import toy_domains

from murine.atlas.store import Atlas
from murine.generalization import matrix
from murine.generalization.network_builder import build
from murine.generalization.predictions import predict
from murine.generalization.protocol import EvaluatedDomain, Setting, pooled, settings
from murine.generalization.recipe import Recipe
from murine.generalization.results import Results
from murine.generalization.splits import split
from murine.generalization.training import train

RECIPE = Recipe(epochs=8, batch_size=8, learning_rate=0.01, patience=4)


def baited(target, source):
    """The target with the labels that the network of the first epoch gives: who peeks stops there."""
    training, validation = split(source, RECIPE, 0)
    network = build(toy_domains.NETWORK, 3, seed=0).module
    train(network, training, validation, RECIPE.changed({"epochs": 1}))
    bait = predict(network, target).predicted
    sources = (*target.identity.sources, ("bait", ""))
    return replace(target, labels=bait, identity=target.identity.model_copy(update={"sources": sources}))


def test_bait_in_targets_changes_nothing(tmp_path):
    setting = settings("full", ["dark"], ["grey"], toy_domains.load)[0]
    own, honestly = setting.evaluated
    target = honestly.target
    bait = baited(target, setting.source)
    both = []
    for name, last in (("honest", target), ("baited", bait)):
        runs = matrix.plan(
            [Setting(setting.source, (own, EvaluatedDomain(last, unseen=True)))],
            [toy_domains.NETWORK],
            ["plain"],
            RECIPE,
            matrix.seed_pairs(1),
        )
        both.append(matrix.compute(runs, Results(Atlas(tmp_path / name))))
    honest, planted = both
    same = ["task", "weights_digest", "best_epoch", "n_epochs", "validation_accuracy"]
    assert honest[same].equals(planted[same])
    assert honest.best_epoch.iloc[0] > 1, "else the bait would have rewarded nothing"
    assert planted.accuracy[1] < 1, "who had stopped at the bait would have all right"
    assert planted.accuracy[1] != honest.accuracy[1], "the bait is in the rows"
    assert honest.accuracy[0] == planted.accuracy[0]
    assert (honest.predicted[1] == planted.predicted[1]).all()


def test_test_part_of_the_source_is_not_seen_either(tmp_path):
    """Other test images, other labels: the same weights from the same epoch."""
    source = toy_domains.bars("dark")
    other = replace(source, labels=np.where(source.parts == "test", 2 - source.labels, source.labels))
    digests = []
    for domain in (source, other):
        training, validation = split(domain, RECIPE, 3)
        network = build(toy_domains.NETWORK, 3, seed=0).module
        digests.append((train(network, training, validation, RECIPE), [p.sum().item() for p in network.parameters()]))
    assert digests[0] == digests[1]


@pytest.mark.parametrize("seed", range(5))
def test_split_respects_groups(seed):
    source = toy_domains.bars("dark", n_groups=23)
    training, validation = split(source, Recipe(validation=0.3), seed)
    assert not set(training.groups) & set(validation.groups)
    assert training.n_images + validation.n_images == source.part("train").n_images
    assert abs(validation.n_images / source.part("train").n_images - 0.3) < 0.1
    assert not set(training.positions) & set(validation.positions)
    assert set(training.parts) == set(validation.parts) == {"train"}


def test_seed_of_the_data_decides_what_is_held_back():
    source = toy_domains.bars("dark")
    held = [set(split(source, Recipe(), seed)[1].positions) for seed in (0, 0, 1)]
    assert held[0] == held[1] != held[2]


def test_first_images_are_those_of_the_archive():
    source = toy_domains.bars("dark")
    training, validation = split(source, Recipe(n_train=100, validation=0.2), 7)
    assert training.positions.tolist() == list(range(100))
    assert validation.positions.tolist() == list(range(100, 120))


def test_first_images_of_a_sorted_source_are_of_all_classes():
    source = toy_domains.bars("dark")
    by_class = source.subset(np.argsort(source.labels, kind="stable"))
    recipe = Recipe(n_train=60, validation=0.5)
    for seed in (0, 1):
        training, validation = split(by_class, recipe, seed)
        assert np.bincount(training.labels, minlength=3).min() >= 10
        assert np.bincount(validation.labels, minlength=3).min() >= 4
    mixed, _ = split(source, recipe, 0)
    assert mixed.positions.tolist() == source.part("train").positions[:60].tolist(), (
        "nothing is drawn where none need be"
    )


def test_a_large_group_is_not_held_back_where_a_small_one_is_left():
    source = toy_domains.bars("dark")
    sizes = [100, 20, 20, 20, 80]
    groups = np.repeat([f"family{i}" for i in range(5)], sizes)
    for seed in range(10):
        training, validation = split(replace(source, groups=groups), Recipe(validation=0.1), seed)
        assert validation.n_images == 20
        assert training.n_images == 140


def test_images_made_of_those_trained_on_are_no_targets():
    source, target = toy_domains.bars("dark"), toy_domains.bars("grey")
    trained = np.flatnonzero(source.parts == "train")[:7]
    groups, twins = source.groups.astype("U9"), target.groups.astype("U9")
    groups[trained] = [f"digit{i}" for i in range(7)]
    tests = np.flatnonzero(target.parts == "test")[:7]
    twins[tests] = [f"digit{i}" for i in range(7)]
    named = {"dark": replace(source, groups=groups), "grey": replace(target, groups=twins)}

    def load(name, part):
        return named[name] if part is None else named[name].part(part)

    other = settings("full", ["dark"], ["grey"], load)[0].evaluated[1]
    assert other.unseen
    met = other.target
    assert met.n_images == target.part("test").n_images - 7
    assert not set(met.positions) & set(tests)
    pool = pooled([named["dark"], named["grey"]], "both")
    assert pool.n_images == 480 - 7
    assert not set(pool.part("train").groups) & set(pool.part("test").groups) - {""}


def test_leave_one_out_trains_on_all_others():
    found = settings("leave-one-out", ["grey", "dark"], ["dark", "grey", "noisy"], toy_domains.load)
    assert [setting.source.name for setting in found] == ["not-grey", "not-dark"]
    own, left_out = found[0].evaluated
    assert (own.unseen, left_out.unseen, left_out.target.name) == (False, True, "grey")
    assert found[0].source.n_images == 480
    first = found[0].source.part("train").positions[:60]
    assert 20 < (first < 240).sum() < 40, "of a pool's two domains the first images are of both"
    assert own.target.n_images == 160
