"""What is known of networks beside their scores, on simulated neurons."""

from __future__ import annotations

import numpy as np
import pytest

import murine
from murine.atlas.network_predictors import COLUMNS, PREDICTORS, network_predictors
from murine.networks.catalogue import entry
from murine.networks.layer_geometry import effective_dimensionality, sparseness

NAMES = ("resnet10t@random:0", "vit_tiny_patch16_224@random:0", "mixer_s32_224@random:0")


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    atlas = murine.Atlas(tmp_path_factory.mktemp("predictors"))
    few = {"n_bootstraps": 10, "n_permutations": 0, "n_splits": 10, "controls": True, "layers": "blocks"}
    data = murine.load_data("simulated")
    scores = murine.compare(["resnet10t@random:0"], data, input_size=32, atlas=atlas, **few)
    wide = murine.compare(NAMES[1:], data, atlas=atlas, **few)
    tables = [network_predictors(atlas, one.leaderboard, one.chosen) for one in (scores, wide)]
    return scores, tables


def test_kinds_and_sizes_are_those_of_the_catalogue(known):
    _, (small, wide) = known
    assert small.network.tolist() == ["resnet10t"]  # controls are left out
    kinds = {**small.set_index("network").kind, **wide.set_index("network").kind}
    assert kinds == {
        "resnet10t": "convolution",
        "vit_tiny_patch16_224": "transformer",
        "mixer_s32_224": "mixer",
    }
    assert small.log_parameters.item() == pytest.approx(np.log10(entry("resnet10t").parameters))
    assert small[["trained", "transformer", "mixer", "self_supervised"]].values.tolist() == [[0, 0, 0, 0]]
    assert set(PREDICTORS) <= set(small.columns)
    assert set(COLUMNS) <= set(small.columns)


def test_accuracy_is_unknown_of_random_weights(known):
    assert known[1][1].accuracy.isna().all()
    assert entry("vit_tiny_patch16_224").top1 is not None


def test_geometry_is_that_of_the_chosen_layers(known):
    scores, (small, _) = known
    layers = {layer.name: layer.kernel for layer in murine.capture(
        murine.load_network("resnet10t@random:0", input_size=32), murine.load_data("simulated").stimuli
    )}  # fmt: skip
    rows = scores.chosen
    own = rows[(rows.network == "resnet10t") & (rows.stimuli == "all") & (rows.chosen == "nested")]
    logs = [np.log10(effective_dimensionality(layers[name])) for name in own.layer]
    assert small.log_dimensionality.item() == pytest.approx(np.mean(logs))
    assert small.sparseness.item() == pytest.approx(np.mean([sparseness(layers[name]) for name in own.layer]))
