"""docs/reference/tables.md: it is up to date, and what it says of columns holds in real tables."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import many_mice
import numpy as np
import pandas as pd
import pytest
import small_cortex
import toy_domains

import murine
from murine.atlas.columns import PARQUET
from murine.atlas.identity import CortexSettings
from murine.atlas.scores import TABLE_COLUMNS
from murine.atlas.store import Atlas
from murine.atlas.sweep import SweepSettings, sweep
from murine.atlas.tables import TABLES
from murine.atlas.unit_sweep import MapComparison, Matching, NeuronData, UnitSettings
from murine.atlas.view_columns import VIEWS
from murine.atlas.views import read_view
from murine.cortex.recording import Recording
from murine.generalization import matrix
from murine.generalization.protocol import settings
from murine.generalization.recipe import Recipe
from murine.generalization.results import Results
from murine.scenes import synthetic_scenes
from murine.scoring.settings import ScoreSettings
from murine.scoring.treatments import Treatment

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools/write_tables_page.py"

#: Layers of every kind: with the output of an earlier one, without a kernel, and pairs of trained and random networks.
NETWORKS = """
from torch import nn


class Net(nn.Sequential):
    default_cfg = {"input_size": (3, 32, 32), "mean": (0, 0, 0), "std": (1, 1, 1)}


class Constant(nn.Module):
    def forward(self, x):
        return x * 0 + 1


def one(pretrained=True):
    return Net(nn.Conv2d(3, 6, 5, stride=2), nn.ReLU(), nn.Identity(), nn.Conv2d(6, 4, 3), nn.Flatten())


def two(pretrained=True):
    return Net(nn.Conv2d(3, 4, 3, stride=2), nn.Tanh(), nn.Flatten(), Constant())
"""


def write_data(folder):
    """Write a recording with all that can be missing, and images in two groups.

    Site ``b`` has one neuron. Neuron ``n0`` has no area, ``n1`` a constant response, ``n2`` no reliability, ``n3`` no
    animal.
    """
    images = synthetic_scenes(48, 32)
    rng = np.random.default_rng(0)
    pixels = images.images.reshape(48, -1).astype(float)
    truth = (pixels - pixels.mean(0)) @ rng.normal(size=(pixels.shape[1], 18))
    responses = (truth / truth.std(0)).T[:, :, None] + 0.5 * rng.normal(size=(18, 48, 4))
    responses[1] = 1.0
    responses[2] = rng.normal(size=(48, 4))
    labels = {
        "neuroid_id": [f"n{i}" for i in range(18)],
        "area": ["", *"aaaaaaaa", "b", *"cccccccc"],
        "donor": ["" if i == 3 else f"m{i % 3}" for i in range(18)],
    }
    Recording.from_arrays(responses, labels, {"stimulus_id": images.ids}).write(folder / "mouse.nc")
    np.savez(folder / "images.npz", images=images.images, ids=images.ids, groups=["near", "far"] * 24)
    (folder / "nets.py").write_text(NETWORKS)


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    """Results of every kind, with as much missing as can be missing."""
    folder = tmp_path_factory.mktemp("tables")
    write_data(folder)
    atlas = Atlas(folder / "atlas")
    log = logging.getLogger("murine")
    log.disabled = True  # of what is missing, murine warns
    try:
        networks = small_cortex.choices(folder, "pixels", "one", "one@random:0", "two@random:0")
        cortex = CortexSettings(cortex=str(folder / "mouse.nc"), n_splits=4)
        plan = SweepSettings(
            cortex,
            ("rsa-pearson", "rsa-cosine"),
            input_size=32,
            scoring=ScoreSettings(20, 9, 0, "neurons", 10),
            stimuli=folder / "images.npz",
            treatments=(Treatment(), Treatment("zscore", "zscore")),
        )
        few = replace(plan, metrics=("rsa-reweighted", "ridge"), treatments=(Treatment(),))
        by_animal = cortex.model_copy(update={"by": ("donor",)})
        bare = replace(
            few,
            cortex=by_animal,
            metrics=("rsa-pearson", "ridge"),
            scoring=ScoreSettings(20, 0, 0, layer_choice="naive"),
        )
        for asked, own in ((plan, networks), (few, networks[1:2]), (bare, networks[1:2])):
            assert {outcome.state for outcome in sweep(own, asked, atlas)} == {"computed"}
        (failed,) = sweep(small_cortex.choices(folder, "missing"), plan, atlas)
        assert failed.state == "failed"
        neurons = NeuronData(cortex, stimuli=folder / "images.npz")
        for n_shuffles in (0, 2):
            units = UnitSettings(n_shuffles=n_shuffles, input_size=32)
            for runner in (Matching(neurons, units), Matching(neurons, units, 2), MapComparison(neurons, units)):
                runner.run(networks[2], atlas)
        found = settings("full", ["dark"], ["grey"], toy_domains.load)
        for rate in (0.01, 1e30):
            recipe = Recipe(epochs=2, batch_size=16, optimiser="sgd", learning_rate=rate)
            runs = matrix.plan(found, ["conv(depth=2,width=4,norm=none)"], ["plain", "neurn3"], recipe, [(0, 0)])
            matrix.compute(runs, Results(atlas))
        network = murine.load_network(many_mice.toy_network(), name="toy", mean=0.5, std=0.25, input_size=64)
        murine.is_it_a_mouse(network, many_mice.dataset(), atlas=atlas)
    finally:
        log.disabled = False
    return atlas


@pytest.fixture(scope="module")
def tables(atlas):
    """All tables by name: those of the files, and those that are printed."""
    files = {name: atlas.query(f"SELECT * FROM {name}") for name in TABLES}
    views = {name: read_view(atlas, name).table for name in VIEWS}
    return files | views


DESCRIBED = PARQUET | VIEWS


def pattern_of(view, name):
    """The name of a column as the page has it: ``METRIC_low`` for ``rsa-pearson_low``."""
    if name.startswith("within "):
        return "within GROUP"
    own = VIEWS.get(view, {})
    pattern = {"metrics": "METRIC", "treatments": "TREATMENT"}.get(view)
    if name in own or pattern is None:
        return name
    return pattern + next((end for end in ("_low", "_high") if name.endswith(end)), "")


def is_empty(values):
    """Which cells are null, NaN or the empty text."""
    return values.isna().to_numpy() | np.array([isinstance(value, str) and not value for value in values])


def test_the_page_is_up_to_date():
    ran = subprocess.run([sys.executable, TOOL, "--check"], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("name", DESCRIBED)
def test_every_column_is_described_in_order(name, tables):
    found = list(dict.fromkeys(pattern_of(name, str(column)) for column in tables[name].columns))
    assert found == list(DESCRIBED[name])


@pytest.mark.parametrize("name", DESCRIBED)
def test_columns_that_are_never_empty_are_not(name, tables):
    table, wrong = tables[name], []
    assert len(table)
    for column in table.columns:
        described = DESCRIBED[name][pattern_of(name, str(column))]
        if described.empty.startswith("never") and is_empty(table[column]).any():
            wrong.append(column)
    assert not wrong


@pytest.mark.parametrize("name", TABLES)
def test_columns_that_may_be_empty_are_so_somewhere(name, tables):
    """Else the page would say of a column that it may be empty, and it never is."""
    table = tables[name]
    never = {column for column, described in DESCRIBED[name].items() if not described.empty.startswith("never")}
    full = {column for column in never if not is_empty(table[column]).any()}
    # What only rows from before such a column was there lack.
    assert full == ({"layer_choice"} if name == "scores" else set())


def where(table, column):
    """Whether cells have a value, as a Series."""
    return pd.Series(~is_empty(table[column]), table.index)


def test_scores_are_empty_where_the_page_says(tables):
    rows = tables["scores"]
    flagged, chosen, whole = rows.flag != "", rows.chosen != "", rows.stimuli == "all"
    held_out = rows.split == "held out"
    assert flagged.any()
    assert held_out.any()
    assert (~whole).any()
    assert where(rows, "score").equals(~flagged)
    assert where(rows, "plain").equals(~flagged & (rows.metric == "ridge"))
    assert where(rows, "optimism").equals(held_out & whole)
    assert where(rows, "layer_share").equals(held_out)
    assert where(rows, "draws").equals(chosen)
    assert where(rows, "without_one").equals(chosen & rows.metric.str.startswith("rsa"))
    subjects = (rows.over != "") & chosen & whole
    for column in ("low_subjects", "high_both", "draws_both", "draws_subjects"):
        assert where(rows, column).equals(subjects), column
    assert where(rows, "n_animals").equals(subjects & (rows.site == "c"))  # one at site a has no animal
    assert where(rows, "ceiled").equals(where(rows, "ceiling") & ~flagged)
    costly = rows.metric == "ridge"
    tested = ~flagged & (rows.n_permutations > 0)
    assert where(rows, "p_value")[whole].equals((tested & (chosen | ~costly))[whole])
    assert not where(rows, "p_value")[~whole & held_out].any()
    assert where(rows, "p_best").equals(tested & whole & ~held_out & ~costly)
    assert not where(rows, "p_adjusted")[~chosen].any()
    assert where(rows, "p_adjusted")[whole].equals((tested & chosen)[whole])
    assert where(rows, "above_ceiling").equals(~flagged)
    assert set(rows.chosen) == {"", "naive", "nested"}
    assert set(rows[held_out].chosen) == {"nested"}


def test_single_units_are_empty_where_the_page_says(tables):
    rows = tables["matches"]
    has_unit = rows.best_unit >= 0
    assert where(rows, "flag").equals(~has_unit)
    assert where(rows, "r_train").equals(has_unit)
    assert where(rows, "r_train_shuffled").equals(has_unit & (rows.n_shuffles > 0))
    assert not rows.ceiling.isna().all()
    assert rows[rows.neuroid_id == "n1"].ceiling.isna().all()
    asked = where(rows, "assigned_unit")
    assert where(rows, "assigned_gap").equals(asked)
    assert where(rows, "assigned_r_train").equals(asked & (rows.assigned_unit.fillna(-1) >= 0).astype(bool))
    maps = tables["maps"]
    assert where(maps, "rmse_best").equals(maps.best_unit >= 0)
    assert where(maps, "p_value").equals((maps.best_unit >= 0) & (maps.n_shuffles > 0))


def test_places_among_animals_are_empty_where_the_page_says(tables):
    rows = tables["masquerade"]
    animals, everywhere = rows.role.str.contains("mice"), rows.area == "all areas"
    network = rows.role == "network"
    for column in ("windows", "network", "n_candidates", "p", "p_nested"):
        assert where(rows, column).equals(~animals), column
    for column in ("layer", "typicality", "ratio_error", "power_ratio", "p_student"):
        assert where(rows, column).equals(~animals & ~everywhere), column
    for column in ("verdict", "reason", "contrast", "contrast_p"):
        assert where(rows, column).equals(network), column
    assert where(rows, "share_rejected").equals(animals & (rows.role != "pooled mice"))


def test_training_is_empty_where_the_page_says(tables):
    rows = tables["generalization"]
    diverged = rows.state == "diverged"
    assert diverged.any()
    assert not diverged.all()
    for column in ("weights_digest", "accuracy", "ece", "predicted", "confidence"):
        assert where(rows, column).equals(~diverged), column
    for column in ("layer", "place"):
        assert where(rows, column).equals(rows.variant != "plain"), column
    assert where(rows, "validation_accuracy").equals(rows.best_epoch > 0)
    assert not rows.augmentation.any()


def test_the_page_names_the_command_of_every_table():
    text = (ROOT / "docs/reference/tables.md").read_text("utf-8")
    for table, command in TABLES.items():
        assert f"### {table}\n" in text
        assert f"`{command}`" in text
    for view in VIEWS:
        assert f"`murine results --view {view}`" in text or view == "layers"


def test_scores_in_python_have_the_same_columns():
    assert set(TABLE_COLUMNS) <= set(VIEWS["sites"])
