"""The search looks at the source alone, and goes on where it was stopped."""

from __future__ import annotations

import dataclasses

import optuna
import pytest
import toy_domains

from murine.atlas.store import Atlas
from murine.generalization.conv_space import ConvSpace
from murine.generalization.protocol import EvaluatedDomain, Setting, settings
from murine.generalization.recipe import Recipe
from murine.generalization.results import Results
from murine.generalization.search import search, suggested

RECIPE = Recipe(epochs=1, batch_size=16, learning_rate=0.01, validation=0.2)


def setting(planted=False):
    found = settings("full", ["dark"], ["grey"], toy_domains.load)[0]
    if not planted:
        return found
    turned = [dataclasses.replace(met.target, labels=2 - met.target.labels) for met in found.evaluated]
    return Setting(found.source, tuple(EvaluatedDomain(target, i > 0) for i, target in enumerate(turned)))


def test_stopped_search_finds_the_same_and_targets_do_not_matter(tmp_path):
    whole = search(setting(), RECIPE, Results(Atlas(tmp_path / "whole")), 2)
    left = [1]

    def power_cut():
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        search(setting(), RECIPE, Results(Atlas(tmp_path / "cut")), 2, tick=power_cut)
    again = []
    resumed = search(setting(planted=True), RECIPE, Results(Atlas(tmp_path / "cut")), 2, tick=lambda: again.append(1))
    assert resumed == whole
    assert len(again) == 2, "two of four trials were finished"
    assert [best.side for best in whole] == ["without", "with"]
    assert whole[0].variant == "plain"
    assert whole[1].variant.startswith("neurn")
    assert all(best.value == pytest.approx((best.clean + best.corrupted) / 2) for best in whole)


def test_every_network_of_the_space_can_be_spelt():
    for side in ("without", "with"):
        for seed in range(10):
            study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
            network, variant = suggested(study.ask(), side)
            assert ConvSpace.parse(network).name == network
            assert (variant == "plain") == (side == "without")
