"""Rows of single neurons against a simulated cortex that is itself the network, and against plain loops."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import pearsonr

from murine.cortex.natural_scenes import BLANK
from murine.cortex.recording import Recording
from murine.cortex.response_maps import response_weighted, stimulus_maps
from murine.cortex.simulated import simulate
from murine.errors import MurineError
from murine.networks.preprocessing import Preprocessing
from murine.networks.zoo import Network
from murine.scenes import synthetic_scenes
from murine.units.layer_maps import map_layers
from murine.units.layer_matching import match_layers
from murine.units.maps import nearest_units, normalise_maps
from murine.units.matching import shuffle_stimuli
from murine.units.site_tables import summarise_sites

N_NEUROIDS, N_STIMULI = 12, 40


@pytest.fixture(scope="module")
def cortex():
    return simulate(synthetic_scenes(N_STIMULI, seed=2), n_neuroids=N_NEUROIDS, n_repetitions=10, reliability=0.9)


def network(module, name="own"):
    preprocessing = Preprocessing.from_config(getattr(module, "pretrained_cfg", {"input_size": (3, 64, 64)}))
    return Network(name, "none", "control", module.eval(), preprocessing, "0" * 64)


def convolution():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return network(torch.nn.Sequential(torch.nn.Conv2d(3, 5, 9, stride=6), torch.nn.ReLU()), "convolution")


@pytest.fixture(scope="module")
def own_rows(cortex):
    return match_layers(network(cortex.model), cortex.stimuli, cortex.recording, n_candidates=8, overlap=True)


def test_neurons_are_found_in_the_network_that_they_are(cortex, own_rows):
    """Each neuron is a unit of the layer of its area: it is found, and scores as well as its noise allows."""
    own = own_rows[own_rows.layer == "areas." + own_rows.area]
    assert len(own) == 3 * N_NEUROIDS
    number = own.neuroid_id.str[-3:].astype(int)
    assert (own.best_unit == number).mean() > 0.95
    np.testing.assert_array_equal(own.assigned_unit, number)
    assert (own.assigned_r_test - own.r_test).abs().max() < 0.1
    assert own.r_test.mean() == pytest.approx(own.ceiling.mean(), abs=0.02)
    assert own.ceiling.mean() == pytest.approx((0.9 / 1.1) ** 0.5, abs=0.02)  # of half the repetitions
    assert own.r_train_shuffled.mean() < 0.4
    assert own.overlap.mean() > own.overlap_shuffled.mean()
    assert own.assigned_r_test_shuffled.mean() < own.assigned_r_test.mean() - 0.3
    table = summarise_sites(own_rows, n_bootstraps=200)
    assert table.area.tolist() == ["SIMam", "SIMl", "SIMp"]
    assert (table.layer == "areas." + table.area).all()
    assert (table.above_chance_low > 0.3).all()
    assert (table.r_test_low < table.r_test).all()
    assert (table.r_test < table.r_test_high).all()


def test_rows_are_those_of_plain_loops(cortex):
    net = convolution()
    rows = match_layers(net, cortex.stimuli, cortex.recording, n_shuffles=2, seed=3)
    assert rows.layer.unique().tolist() == ["0", "1"]  # the output of the whole is that of the last
    order, neuroids = np.argsort(cortex.recording.stimulus_ids), np.argsort(cortex.recording["neuroid_id"])
    trials = cortex.recording.responses[neuroids][:, order].astype(np.float64)
    odd, even = trials[..., ::2].mean(axis=2), trials[..., 1::2].mean(axis=2)
    images = net.preprocessing.apply(cortex.stimuli.select(sorted(cortex.stimuli.ids)))
    with torch.no_grad():
        features = net.module[0](images).flatten(1).double().numpy()
    found = rows[rows.layer == "0"].reset_index(drop=True)
    assert found.neuroid_id.tolist() == sorted(cortex.recording["neuroid_id"])
    for i in range(0, len(found), 5):
        r = [pearsonr(odd[i], x).statistic for x in features.T]
        best = int(np.argmax(r))
        assert found.best_unit[i] == best
        assert found.r_train[i] == pytest.approx(r[best], abs=1e-6)
        assert found.r_test[i] == pytest.approx(pearsonr(even[i], features[:, best]).statistic, abs=1e-6)
    assert found.r_train_shuffled.between(0.2, 0.8).all()
    again = match_layers(net, cortex.stimuli, cortex.recording, n_shuffles=2, seed=3, batch_size=9)
    pd.testing.assert_frame_equal(rows, again, atol=1e-5, rtol=0)


def test_units_of_their_own_by_chance_are_those_of_plain_loops(cortex):
    """The assignment of neurons whose stimuli are shuffled: SciPy's dense one, on the same relabellings."""
    net = convolution()
    rows = match_layers(net, cortex.stimuli, cortex.recording, n_shuffles=2, n_candidates=200, seed=3)
    assert (rows.assigned_gap < 1e-4).all()
    order, neuroids = np.argsort(cortex.recording.stimulus_ids), np.argsort(cortex.recording["neuroid_id"])
    trials = cortex.recording.responses[neuroids][:, order].astype(np.float64)
    odd, even = shuffle_stimuli(trials[..., ::2].mean(axis=2), trials[..., 1::2].mean(axis=2), 2, 3)
    images = net.preprocessing.apply(cortex.stimuli.select(sorted(cortex.stimuli.ids)))
    with torch.no_grad():
        features = net.module[0](images).flatten(1).double().numpy()
    n, train, test = len(neuroids), [], []
    for i in range(2):
        mine = slice(i * n, (i + 1) * n)
        r = np.corrcoef(odd[mine], features.T)[:n, n:]
        neurons, units = linear_sum_assignment(r, maximize=True)
        train.append(r[neurons, units])
        test.append([pearsonr(even[mine][a], features[:, b]).statistic for a, b in zip(neurons, units, strict=True)])
    found = rows[rows.layer == "0"]
    assert found.assigned_r_train_shuffled.sum() == pytest.approx(np.mean(train, axis=0).sum(), abs=1e-3)
    np.testing.assert_allclose(found.assigned_r_test_shuffled, np.mean(test, axis=0), atol=0.05)
    table = summarise_sites(rows, n_bootstraps=20)
    assert (table.assigned_r_test_shuffled < table.r_train).all()


def test_order_and_the_blank_screen_do_not_count(cortex):
    net, recording = convolution(), cortex.recording
    rng = np.random.default_rng(0)
    neuroids, stimuli = rng.permutation(recording.n_neuroids), rng.permutation(N_STIMULI)
    responses = recording.responses[neuroids][:, stimuli]
    labels = {key: recording[key][neuroids] for key in ("neuroid_id", "area", "cell_class")}
    ids = [*np.array(recording.stimulus_ids)[stimuli], BLANK]
    blank = rng.normal(size=(len(neuroids), 1, recording.n_repetitions))
    other = Recording.from_arrays(np.concatenate([responses, blank], axis=1), labels, {"stimulus_id": ids})
    images = cortex.stimuli.select([cortex.stimuli.ids[i] for i in rng.permutation(N_STIMULI)])
    for study, options in ((match_layers, {}), (map_layers, {"centred": True})):
        tables = [
            study(net, i, r, **options).set_index(["layer", "neuroid_id"]).sort_index()
            for i, r in ((cortex.stimuli, recording), (images, other))
        ]
        pd.testing.assert_frame_equal(*tables, atol=1e-6, rtol=0)


def test_maps_are_those_of_the_formulas(cortex):
    net = convolution()
    rows = map_layers(net, cortex.stimuli, cortex.recording, sides=(11, 14), centred=True, n_shuffles=4)
    stimuli = cortex.stimuli.select(sorted(cortex.stimuli.ids))
    responses = cortex.recording.select(stimuli=stimuli.ids).responses.astype(np.float64).mean(axis=2)
    responses = responses[np.argsort(cortex.recording["neuroid_id"])]
    with torch.no_grad():
        mean = net.module[0](net.preprocessing.apply(stimuli)).mean(dim=0, keepdim=True)
    for side in (11, 14):
        found = rows[(rows.layer == "0") & (rows.side == side)]
        neurons = normalise_maps(response_weighted(responses, stimulus_maps(stimuli, side), centred=True))
        resized = torch.nn.functional.interpolate(mean, (side, side), mode="bilinear", antialias=True)
        expected = nearest_units(neurons, normalise_maps(resized[0].flatten(1).double().numpy()))
        np.testing.assert_array_equal(found.best_unit, expected.unit)
        np.testing.assert_allclose(found.rmse_best, expected.best, atol=1e-6)
        np.testing.assert_allclose(found.rmse_mean, expected.mean, atol=1e-6)
        assert (found.n_units == 5).all()
    assert set(rows.p_value) <= {0.2, 0.4, 0.6, 0.8, 1.0}
    table = summarise_sites(rows, ("area", "cell_class"), n_bootstraps=100)
    assert len(table) == 2 * 3 * 2
    best = rows[(rows.side == 14) & (rows.area == "SIMl") & (rows.cell_class == "inhibitory")]
    least = best.groupby("layer").rmse_best.mean()
    row = table[(table.side == 14) & (table.area == "SIMl") & (table.cell_class == "inhibitory")].iloc[0]
    assert (row.layer, row.rmse_best) == (least.idxmin(), pytest.approx(14 / 11 * least.min()))


def test_maps_of_the_network_that_the_neurons_are(cortex):
    """Tuned as the neuron is, its unit has its map but for noise, and shuffled responses do not."""
    rows = map_layers(network(cortex.model), cortex.stimuli, cortex.recording, unit_maps="weighted", centred=True)
    own = rows[rows.layer == "areas." + rows.area]
    assert (own.best_unit == own.neuroid_id.str[-3:].astype(int)).mean() > 0.9
    table = summarise_sites(rows, n_bootstraps=200)
    assert (table.below_chance_low > 0.02).all()


def test_noise_is_at_chance(cortex):
    """Neurons that have nothing to do with the images are no better than the same neurons shuffled."""
    rng = np.random.default_rng(4)
    signal = rng.normal(size=(150, N_STIMULI, 1)) + 0.5 * rng.normal(size=(150, N_STIMULI, 10))
    labels = {"neuroid_id": np.arange(150).astype(str), "area": np.full(150, "noise")}
    recording = Recording.from_arrays(signal, labels, {"stimulus_id": cortex.stimuli.ids})
    table = summarise_sites(match_layers(convolution(), cortex.stimuli, recording), n_bootstraps=200)
    assert table.r_test[0] > 0.3  # and yet nothing links them
    assert table.above_chance_low[0] < 0 < table.above_chance_high[0]
    table = summarise_sites(map_layers(convolution(), cortex.stimuli, recording, centred=True), n_bootstraps=200)
    assert table.below_chance_low[0] < 0 < table.below_chance_high[0]


def test_neurons_that_lack_something_are_flagged(cortex):
    responses = cortex.recording.responses[:4].copy()
    responses[0, 3], responses[1] = np.nan, 0.0
    labels = {"neuroid_id": list("abcd"), "area": ["A", "A", "", "A"]}
    recording = Recording.from_arrays(responses, labels, {"stimulus_id": cortex.recording.stimulus_ids})
    rows = match_layers(convolution(), cortex.stimuli, recording)
    assert rows[rows.layer == "0"].flag.tolist() == ["not finite", "constant", "", ""]
    assert summarise_sites(rows, n_bootstraps=20).n_neuroids.tolist() == [1]
    rows = map_layers(convolution(), cortex.stimuli, recording, n_shuffles=0)
    assert rows[rows.layer == "0"].flag.tolist() == ["not finite", "no response", "", ""]
    assert rows.p_value.isna().all()
    assert summarise_sites(rows, n_bootstraps=20).n_neuroids.tolist() == [1]
    with pytest.raises(MurineError, match="no column cell_type"):
        summarise_sites(rows, ("cell_type",))
    with pytest.raises(MurineError, match="no neuron has a score and a label cre_line"):
        summarise_sites(rows, ("cre_line",))


def test_what_is_refused(cortex):
    ids = cortex.stimuli.ids
    with pytest.raises(MurineError, match="have no responses"):
        match_layers(convolution(), cortex.stimuli, cortex.recording.select(stimuli=ids[1:]))
    with pytest.raises(MurineError, match="have no image"):
        map_layers(convolution(), cortex.stimuli.select(ids[1:]), cortex.recording)
    single = Recording(cortex.recording.dataset.isel(repetition=[0]), "single")
    with pytest.raises(MurineError, match="at least 2"):
        match_layers(convolution(), cortex.stimuli, single)
