"""Map errors of neurons and their differences, by hand and on a planted change."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from murine.errors import MurineError
from murine.units.maps import rmse_scale
from murine.units.nearest_maps import map_error_contrast, map_error_differences, neuron_map_errors


def rows(errors, network="net", **columns):
    """Rows of maps: ``errors[layer]`` holds the RMSE of each neuron."""
    parts = [
        pd.DataFrame(
            {
                "network": network,
                "weights": "none",
                "neuroid_id": [f"n{i}" for i in range(len(values))],
                "area": ["V1"] * (len(values) - 1) + [""],
                "layer": layer,
                "side": 22,
                "normalisation": "l2",
                "rmse_best": values,
                "rmse_best_shuffled": np.asarray(values)[::-1] + 1,
            }
        )
        for layer, values in errors.items()
    ]
    return pd.concat(parts).assign(**columns)


def test_the_layer_is_the_nearest_of_the_site():
    found = neuron_map_errors(rows({"a": [0.1, 0.5, 0.0], "b": [0.2, 0.2, 9.0]}), ["area"])
    assert found.layer.tolist() == ["b", "b"]  # the mean over neurons with a label: 0.3 and 0.2
    scale = rmse_scale(22, "l2")
    np.testing.assert_allclose(found.rmse, [0.2 * scale, 0.2 * scale])
    np.testing.assert_allclose(found.rmse_shuffled, [scale * 1.0, scale * 1.5])  # that layer a has, which is nearer


def test_neurons_without_a_map_are_left_out_and_none_is_refused():
    table = rows({"a": [0.1, np.nan, 0.3]})
    assert neuron_map_errors(table, ["area"]).neuroid_id.tolist() == ["n0"]
    with pytest.raises(MurineError, match="no neuron has a map"):
        neuron_map_errors(table.assign(rmse_best=np.nan), ["area"])
    with pytest.raises(MurineError, match="several sizes: 11, 22"):
        neuron_map_errors(pd.concat([table, table.assign(side=11)]), ["area"])


def _errors(values, network="net"):
    ids = [f"n{i}" for i in range(len(values))]
    return pd.DataFrame({"network": network, "weights": "none", "neuroid_id": ids, "area": "V1", "rmse": values})


def test_the_difference_is_paired_by_neuron():
    rng = np.random.default_rng(0)
    before = rng.gamma(2.0, 1.0, 80)
    after = before - 0.05 + rng.normal(0, 0.01, 80)
    (row,) = map_error_differences(_errors(before), _errors(after[::-1]).iloc[::-1], ["area"]).to_dict("records")
    shuffled = row["high"] - row["low"]
    (row,) = map_error_differences(_errors(before), _errors(after), ["area"]).to_dict("records")
    assert row["difference"] == pytest.approx(np.mean(after - before))
    assert row["low"] < row["difference"] < row["high"] < 0
    assert row["high"] - row["low"] < 0.1 * shuffled
    assert row["n_neuroids"] == 80


def test_intervals_cover_a_planted_change():
    hits = []
    for seed in range(200):
        rng = np.random.default_rng([7, seed])
        before = rng.normal(1, 0.2, 60)
        table = map_error_differences(
            _errors(before), _errors(before + rng.normal(0.03, 0.1, 60)), ["area"], n_bootstraps=400, seed=seed
        )
        hits.append(table.low[0] <= 0.03 <= table.high[0])
    assert 0.9 <= np.mean(hits) <= 0.98


def test_one_neuron_has_no_interval_and_none_in_common_is_refused():
    table = map_error_differences(_errors([1.0]), _errors([2.0]), ["area"])
    assert np.isnan(table.low[0])
    with pytest.raises(MurineError, match="no neuron in common"):
        map_error_differences(_errors([1.0]), _errors([1.0]).assign(neuroid_id="other"), ["area"])


def _classes(excitatory, inhibitory):
    values = [*excitatory, *inhibitory]
    kinds = ["excitatory"] * len(excitatory) + ["inhibitory"] * len(inhibitory)
    ids = [f"n{i}" for i in range(len(values))]
    return pd.DataFrame({"network": "net", "weights": "none", "neuroid_id": ids, "cell_class": kinds, "rmse": values})


def test_groups_of_neurons_are_compared_by_their_means_over_networks():
    first, second = _classes([1.0, 2.0], [4.0, 6.0, 5.0]), _classes([2.0, 3.0], [5.0, 7.0, 6.0]).assign(network="b")
    row = map_error_contrast(pd.concat([first, second]), "cell_class", "excitatory", "inhibitory")
    assert row["difference"] == pytest.approx(2.0 - 5.5)
    assert (row["n_first"], row["n_second"]) == (2, 3)
    assert row["low"] <= row["difference"] <= row["high"] < 0


def test_the_interval_of_groups_is_that_of_a_difference_of_means():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, 400), rng.normal(0.5, 2, 100)
    row = map_error_contrast(_classes(first, second), "cell_class", "excitatory", "inhibitory", n_bootstraps=4000)
    error = 1.96 * np.sqrt(first.var(ddof=1) / 400 + second.var(ddof=1) / 100)
    assert row["high"] - row["low"] == pytest.approx(2 * error, rel=0.06)


def test_a_group_of_one_neuron_is_refused():
    with pytest.raises(MurineError, match="1 neurons have cell_class 'excitatory'"):
        map_error_contrast(_classes([1.0], [2.0, 3.0]), "cell_class", "excitatory", "inhibitory")
