"""Maps of neurons beside those of their nearest units, against the table that found them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from murine.cortex.simulated import simulate
from murine.errors import MurineError
from murine.networks import zoo
from murine.scenes import synthetic_scenes
from murine.units import map_layers
from murine.units.map_examples import extreme_pairs, map_overlaps, maps_side_by_side, nearest_map_cells


@pytest.fixture(scope="module")
def cortex():
    return simulate(synthetic_scenes(20, 32, seed=0), n_neuroids=6, n_repetitions=4)


@pytest.fixture(scope="module")
def network():
    return zoo.load("resnet10t@random:0", input_size=32)


@pytest.fixture(scope="module")
def rows(cortex, network):
    found = map_layers(network, cortex.stimuli, cortex.recording, n_shuffles=0)
    return found[(found.layer == "layer2.0.conv1") & found.rmse_best.notna()].set_index("neuroid_id")


@pytest.fixture(scope="module")
def cells(cortex, network):
    return nearest_map_cells(network, cortex.stimuli, cortex.recording, "layer2.0.conv1")


def test_they_are_the_units_and_errors_of_the_table(rows, cells):
    assert set(cells.neuroid_id) == set(rows.index)
    for name, own in cells.groupby("neuroid_id"):
        assert own.unit.unique().tolist() == [f"layer2.0.conv1 [{rows.best_unit[name]}]"]
        rmse = np.sqrt(((own.neuron_value - own.unit_value) ** 2).mean())
        assert rmse == pytest.approx(rows.rmse_best[name], rel=1e-4)
        assert (own.neuron_value**2).sum() == pytest.approx(1)


def test_an_unknown_layer_and_one_without_maps_are_refused(cortex, network):
    with pytest.raises(MurineError, match="has no maps"):
        nearest_map_cells(network, cortex.stimuli, cortex.recording, "fc")
    with pytest.raises(MurineError, match="no module matches"):
        nearest_map_cells(network, cortex.stimuli, cortex.recording, "layer9")


def test_overlap_is_highest_for_equal_densities(cells):
    own = map_overlaps(cells)
    same = map_overlaps(cells.assign(unit_value=cells.neuron_value))
    assert list(own.index) == list(dict.fromkeys(cells.neuroid_id))
    assert (same > 0.99).all()
    assert (own < same).all()


def test_extreme_pairs_are_the_ends_and_never_both():
    overlaps = pd.Series([0.1, 0.9, np.nan, 0.5, 0.3], index=list("abcde"))
    assert extreme_pairs(overlaps, 5) == {"large overlap": ["b", "d"], "small overlap": ["a", "e"]}
    with pytest.raises(MurineError, match="at least two neurons"):
        extreme_pairs(overlaps[:1], 1)


def test_maps_stand_below_each_other_in_the_order_of_the_neurons(cells):
    names = list(dict.fromkeys(cells.neuroid_id))[2:0:-1]
    maps = maps_side_by_side({"one": cells, "two": cells}, names)
    assert list(dict.fromkeys(maps.neuroid_id)) == names
    assert maps.of.value_counts().to_dict() == dict.fromkeys(("neuron", "one", "two"), 2 * 121)
