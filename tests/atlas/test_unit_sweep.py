"""What identifies rows of single units, how sites are made of labels, and what pictures show of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import murine.report.unit_pictures
from murine.atlas.identity import CortexSettings
from murine.atlas.store import Atlas
from murine.atlas.unit_sweep import (
    MapComparison,
    Matching,
    NeuronData,
    UnitSettings,
    site_table,
    unscored,
    with_labels,
)
from murine.cortex.response_maps import response_weighted, stimulus_maps
from murine.cortex.simulated import simulate
from murine.errors import MurineError
from murine.networks.zoo import NetworkSpec
from murine.report.unit_pictures import pictures
from murine.scenes import synthetic_scenes
from murine.units.maps import normalise_maps
from murine.units.site_tables import summarise_sites

NETWORK = """
from torch import nn


class Net(nn.Sequential):
    default_cfg = {"input_size": (3, 40, 40), "mean": (0, 0, 0), "std": (1, 1, 1)}


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        return {"first": self.conv(x), "second": self.conv(self.conv(x).relu())}


class Last(nn.Module):
    def forward(self, x):
        return x["second"]


def twice():
    return Net(Twice(), Last(), nn.AvgPool2d(4))
"""


@pytest.fixture(scope="module")
def neurons(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    cortex = simulate(synthetic_scenes(24, 40), n_neuroids=8, n_repetitions=6, reliability=0.9)
    cortex.recording.write(folder / "mouse.nc")
    np.savez(folder / "images.npz", images=cortex.stimuli.images, ids=cortex.stimuli.ids)
    (folder / "net.py").write_text(NETWORK)
    return NeuronData(CortexSettings(cortex=str(folder / "mouse.nc")), stimuli=folder / "images.npz")


@pytest.fixture(scope="module")
def choice(neurons):
    return NetworkSpec(f"{neurons.settings.cortex.removesuffix('mouse.nc')}net.py:twice")


def test_identity_is_what_can_change_a_result(neurons, choice, tmp_path):
    atlas = Atlas(tmp_path)
    base = UnitSettings()
    (first,) = Matching(neurons, base).run(choice, atlas).tasks
    assert Matching(neurons, UnitSettings(batch_size=8)).run(choice, atlas).tasks == (first,)
    for plan in (
        UnitSettings(seed=1),
        UnitSettings(n_shuffles=2),
        UnitSettings(layers="0*"),
        UnitSettings(input_size=32),
    ):
        assert Matching(neurons, plan).run(choice, atlas).tasks != (first,)
    assert Matching(neurons, base, n_candidates=2).run(choice, atlas).tasks != (first,)
    variants = (
        {},
        {"sides": (5,)},
        {"unit_maps": "weighted"},
        {"normalisation": "min-max"},
        {"centred": False},
    )
    digests = [MapComparison(neurons, base, **variant).run(choice, atlas).tasks for variant in variants]
    assert len({first, *sum(digests, ())}) == 6
    both = MapComparison(neurons, base, sides=(5, 11)).run(choice, atlas)
    assert (both.state, both.tasks) == ("done", (*digests[1], *digests[0]))


def test_rows_are_those_of_the_study_and_sites_those_of_the_labels(neurons, choice, tmp_path):
    atlas = Atlas(tmp_path)
    outcome = Matching(neurons, UnitSettings()).run(choice, atlas)
    rows = atlas.read_units("matches", outcome.tasks[0])
    assert rows.layer.unique().tolist() == ["0.conv", "0.conv:3", "2"]
    labels = neurons.labels(["area", "cell_class"])
    table = site_table(rows, labels, n_bootstraps=50)
    expected = summarise_sites(rows, ("area", "cell_class"), n_bootstraps=50)
    np.testing.assert_array_equal(table.r_test, expected.r_test)
    coloured = labels.assign(colour=np.where(labels.index.str[-1].astype(int) < 3, "red", ""))
    reds = site_table(rows, coloured[["colour"]], n_bootstraps=50)
    assert reds[["colour", "n_neuroids"]].values.tolist() == [["red", 9]]
    assert unscored(rows) == {}
    spoilt = rows.assign(r_test=rows.r_test.where(rows.neuroid_id != "SIMl_003"), flag="odd")
    assert unscored(spoilt) == {"SIMl_003": "odd"}
    with pytest.raises(MurineError, match="r_train cannot define sites: it differs between the rows of one neuron"):
        summarise_sites(rows, ("r_train",))
    with pytest.raises(MurineError, match="over 'cats' is not known"):
        summarise_sites(rows, over="cats")


def drawn(monkeypatch, name, *arguments):
    """What a figure is made of."""
    seen = []
    figure = getattr(murine.report.unit_pictures, name)
    monkeypatch.setattr(murine.report.unit_pictures, name, lambda *given: seen.append(given) or figure(*given))
    names = [name for name, _ in pictures(*arguments)]
    return seen[0], names


def test_curves_are_those_of_the_pairs(neurons, choice, tmp_path, monkeypatch):
    """Also of units that only the third call of a module has."""
    atlas, matching = Atlas(tmp_path), Matching(neurons, UnitSettings())
    outcome = matching.run(choice, atlas)
    labels = neurons.labels(["area"])
    (_, columns, role), names = drawn(monkeypatch, "pairs_figure", matching, outcome, atlas, labels)
    assert names == ["pairs-mouse-twice-as-built-40x40", "r-mouse-twice-as-built-40x40"]
    assert role == "as built"
    rows = atlas.read_units("matches", outcome.tasks[0])
    chosen = rows.loc[rows.groupby("neuroid_id").r_train.idxmax()].set_index("neuroid_id")
    even = dict(zip(neurons.recording["neuroid_id"], neurons.recording.odd_even()[1], strict=True))
    assert len({pair.unit.split(" ")[0] for pairs in columns.values() for pair in pairs}) > 1
    for pairs in columns.values():
        assert [pair.site for pair in pairs] == ["SIMam", "SIMl", "SIMp"]
        for pair in pairs:
            assert pair.r == pytest.approx(np.corrcoef(pair.responses, pair.activations)[0, 1], abs=1e-6)
            np.testing.assert_array_equal(pair.responses, even[pair.neuron])
            assert pair.r_odd == pytest.approx(chosen.r_train[pair.neuron], abs=1e-6)
            assert pair.unit.startswith(chosen.layer[pair.neuron] + " [")
    figure = next(figure for name, figure in pictures(matching, outcome, atlas, labels) if name.startswith("pairs"))
    assert "chosen on odd repetitions and shown on even ones" in figure.get_suptitle()
    texts = " ".join(text.get_text() for axes in figure.axes for text in axes.texts)
    first = next(iter(columns.values()))[0]
    assert f"r even {first.r:.2f}" in texts
    assert f"r odd {first.r_odd:.2f}" in texts
    by_chance = rows.loc[rows.groupby("neuroid_id").r_train_shuffled.idxmax()].set_index("neuroid_id")
    above = chosen.r_train - by_chance.r_train_shuffled
    for best, farthest, median in zip(*columns.values(), strict=True):
        of_site = chosen.area == best.site
        assert chosen.r_train[best.neuron] == chosen.r_train[of_site].max()
        assert above[farthest.neuron] == above[of_site].max()
        assert (chosen.r_train[of_site] < chosen.r_train[median.neuron]).sum() == 4  # of eight
        assert best.r_shuffled == by_chance.r_test_shuffled[best.neuron]


def test_maps_are_those_of_the_pairs(neurons, choice, tmp_path, monkeypatch):
    atlas, comparison = Atlas(tmp_path), MapComparison(neurons, UnitSettings(layers="2"), sides=(9,), centred=True)
    outcome = comparison.run(choice, atlas)
    labels = neurons.labels(["area", "cell_class"])
    (_, sites, headings), names = drawn(monkeypatch, "maps_figure", comparison, outcome, atlas, labels)
    assert names[0] == "maps-mouse-twice-as-built-40x40-9-centred-activation-l2"
    rows = with_labels(atlas.read_units("maps", outcome.tasks[0]), labels).set_index("neuroid_id")
    images = neurons.images
    own = normalise_maps(response_weighted(neurons.recording.mean(), stimulus_maps(images, 9), centred=True))
    place = {name: i for i, name in enumerate(neurons.recording["neuroid_id"])}
    network = UnitSettings().load(choice)
    with torch.no_grad():
        features = network.module(network.preprocessing.apply(images)).mean(dim=0, keepdim=True)
    resized = torch.nn.functional.interpolate(features, (9, 9), mode="bilinear", antialias=True)[0].double().numpy()
    assert len(headings) == 4
    assert len(sites) == 6
    for pairs in sites.values():
        assert len(pairs) == 4
        *neurons_own, by_chance = pairs
        for pair in neurons_own:
            row = rows.loc[pair.neuron]
            unit = resized[row.best_unit]
            np.testing.assert_allclose(pair.neuron_map.ravel(), own[place[pair.neuron]], atol=1e-12)
            np.testing.assert_allclose(pair.unit_map, unit / np.linalg.norm(unit), atol=1e-6)
            assert pair.rmse == pytest.approx(9 / 11 * row.rmse_best, abs=1e-6), "comparable between sizes"
        assert [pair.rmse for pair in neurons_own] == sorted(pair.rmse for pair in neurons_own)
        assert by_chance.rmse == pytest.approx(9 / 11 * rows.rmse_best_shuffled[by_chance.neuron], abs=1e-6)
        assert not np.allclose(by_chance.neuron_map.ravel(), own[place[by_chance.neuron]], atol=1e-3)


def test_distributions_and_figures_of_nothing():
    from murine.report.units import Distributions, distributions_figure, maps_figure, pairs_figure

    rng = np.random.default_rng(0)
    scores = {"near": rng.normal(1, 0.1, 50), "mean": rng.normal(3, 0.1, 50)}
    sites = [Distributions(f"site {i}", scores, {k: v + 0.2 for k, v in scores.items()}) for i in range(3)]
    sites.append(
        Distributions("one $neuron", {k: v[:1] for k, v in scores.items()}, {k: v[:1] for k, v in scores.items()})
    )
    axes = distributions_figure("a title", sites, "RMSE", "trained").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [*(f"site {i}" for i in range(3)), "one $neuron"]
    medians = {round(float(line.get_xdata()[0]), 9) for line in axes.lines}
    for values in scores.values():
        assert round(float(np.median(values)), 9) in medians
        assert round(float(np.median(values + 0.2)), 9) in medians
    for figure, nothing in ((pairs_figure, {}), (maps_figure, {}), (distributions_figure, [])):
        with pytest.raises(MurineError, match="there is nothing to draw"):
            figure("a title", nothing, "trained", *(["trained"] if figure is distributions_figure else []))
