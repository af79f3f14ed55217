"""The catalogue against the options of a tree of files, and against plain loops over its JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from allen_files import SHARED_CELL, SOURCES, Tree, standard_experiments, write_tree

from murine.cortex.allen.catalogue import CELLS_FILE, CONTAINERS_FILE, EXPERIMENTS_FILE, Catalogue
from murine.errors import MurineError

SLOW = {
    "Ai93(TITL-GCaMP6f)": "GCaMP6f",
    "Ai148(TIT2L-GC6f-ICL-tTA2)": "GCaMP6f",
    "Ai162(TIT2L-GC6s-ICL-tTA2)": "GCaMP6s",
}
METRICS = ("p", "pref_image", "time_to_peak", "image_sel", "reliability", "run_mod", "p_run_mod", "peak_dff")


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Tree:
    experiments, containers = standard_experiments(repetitions=3)
    return write_tree(tmp_path_factory.mktemp("tree"), experiments, containers, foreign_rows=True)


@pytest.fixture(scope="module")
def catalogue(tree) -> Catalogue:
    return Catalogue.read(tree.prefix, cells=True)


@pytest.fixture
def folder(tree, tmp_path) -> Path:
    """A copy of the JSON files that may be changed."""
    for file in tree.prefix.glob("*.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def change(file: Path, edit: Callable[[Any], Any]) -> None:
    content = json.loads(file.read_text())
    changed = edit(content)
    file.write_text(json.dumps(content if changed is None else changed))


def row_of(catalogue: Catalogue, experiment: int) -> pd.Series:
    (row,) = catalogue.experiments[catalogue.experiments.experiment_id == experiment].itertuples(index=False)
    return row


def test_every_experiment_is_told_as_it_was_written(tree, catalogue):
    assert catalogue.experiments.experiment_id.tolist() == sorted(tree.experiments)  # nothing of other projects
    for number, options in tree.experiments.items():
        container, row = tree.containers[options.container], row_of(catalogue, number)
        assert row.container_id == options.container
        assert row.session_type == options.session_type
        assert row.area == options.area
        assert row.depth_um == options.depth
        assert row.cre_line == options.driver
        assert row.reporter == SOURCES[options.driver][-1]
        assert row.indicator == SLOW[row.reporter]
        assert row.cell_class == ("inhibitory" if options.driver[:3] in ("Sst", "Vip", "Pva") else "excitatory")
        assert row.donor == options.donor
        assert row.sex == options.sex
        assert row.age_days == options.age_days  # born 2016-05-11, seen 2016-08-22
        assert row.date == "2016-08-22T20:17:30Z"
        assert row.failed == container.failed
        assert row.tags == "; ".join(container.tags)


@pytest.mark.parametrize("scheme", ["allen-cnn", "de-vries2020"])
def test_layers_follow_the_scheme(scheme, tree):
    catalogue = Catalogue.read(tree.prefix, layer_scheme=scheme)
    assert catalogue.layer_scheme == scheme
    assert catalogue.select(limit=1).layer_scheme == scheme
    for number, options in tree.experiments.items():
        expected = {175: "2/3", 225: "4", 275: "4", 350: "5"}[options.depth]
        assert row_of(catalogue, number).layer == ("4" if options.driver.startswith("Scnn1a") else expected)


def test_cells_are_those_of_the_file(tree, catalogue):
    table = catalogue.cells
    assert len(table) == len(tree.cells)
    columns = [key for key in tree.cells[0] if not key.endswith(("_small", "_large"))]
    assert set(table) == {"container_id" if key == "experiment_container_id" else key for key in columns}
    for i, row in enumerate(tree.cells):
        assert table.cell_specimen_id[i] == row["cell_specimen_id"]
        assert table.container_id[i] == row["experiment_container_id"]
        for metric in METRICS:
            value = row[f"{metric}_ns"]
            assert np.array_equal(table[f"{metric}_ns"][i], np.nan if value is None else value, equal_nan=True)
    assert all(table[f"{metric}_ns"].dtype == np.float64 for metric in METRICS)
    assert table.p_ns.notna().any()
    assert table.p_ns.isna().any()
    assert (table.cell_specimen_id == SHARED_CELL).sum() == 1
    assert Catalogue.read(tree.prefix).cells.empty


def test_the_file_of_cells_is_not_needed(folder):
    (folder / CELLS_FILE).unlink()
    assert len(Catalogue.read(folder).experiments) == 10
    with pytest.raises(MurineError, match=r"there is no file '.*cell_specimens\.json'"):
        Catalogue.read(folder, cells=True)


def test_sessions_with_scenes_by_default_failed_ones_out_tagged_ones_marked(tree, catalogue):
    chosen = catalogue.select().experiments
    assert chosen.experiment_id.tolist() == sorted(tree.scene_experiments)
    assert not chosen.failed.any()
    tagged = {number for number, o in tree.experiments.items() if tree.containers[o.container].tags}
    assert set(chosen.experiment_id[chosen.tags == "Epileptiform Events"]) == tagged & set(tree.scene_experiments)
    assert tagged & set(tree.scene_experiments)
    untagged = catalogue.select(tagged=False).experiments
    assert set(untagged.experiment_id) == set(tree.scene_experiments) - tagged
    with_failed = catalogue.select(failed=True).experiments
    assert set(with_failed.experiment_id) - set(chosen.experiment_id) == {497256116}


def test_selections_are_those_of_a_plain_loop(tree, catalogue):
    rng = np.random.default_rng(0)
    rows = list(catalogue.experiments.itertuples(index=False))
    values = {
        key: sorted({getattr(row, key) for row in rows})
        for key in ("area", "cre_line", "cell_class", "layer", "session_type")
    }
    empty = 0
    for _ in range(300):
        asked: dict[str, Any] = {"tagged": bool(rng.random() < 0.7), "failed": bool(rng.random() < 0.5)}
        for key, known in values.items():
            if rng.random() < 0.3 or key == "session_type":
                asked[key] = rng.choice(known, int(rng.integers(1, len(known) + 1)), replace=False).tolist()
        if rng.random() < 0.4:
            depths = np.sort(rng.choice([100.0, 175.0, 200.0, 225.0, 275.0, 350.0, 400.0], (2, 2)), axis=1)
            asked["depth"] = [(low, high) for low, high in depths.tolist()]
        if rng.random() < 0.2:
            asked["experiments"] = rng.choice([row.experiment_id for row in rows], 6, replace=False).tolist()
        if rng.random() < 0.2:
            asked["containers"] = rng.choice([row.container_id for row in rows], 3).tolist()
        limit = int(rng.integers(1, 5)) if rng.random() < 0.3 else None
        expected = []
        for row in rows:
            keep = all(getattr(row, key) in asked[key] for key in values if key in asked)
            keep = keep and ("experiments" not in asked or row.experiment_id in asked["experiments"])
            keep = keep and ("containers" not in asked or row.container_id in asked["containers"])
            keep = keep and ("depth" not in asked or any(low <= row.depth_um <= high for low, high in asked["depth"]))
            if keep and (asked["failed"] or not row.failed) and (asked["tagged"] or not row.tags):
                expected.append(row.experiment_id)
        if not expected:
            empty += 1
            with pytest.raises(MurineError, match="none of the 10 experiments meets all conditions at once"):
                catalogue.select(**asked, limit=limit)
            continue
        chosen = catalogue.select(**asked, limit=limit)
        assert chosen.experiments.experiment_id.tolist() == expected[:limit]
        kept = {row.container_id for row in rows if row.experiment_id in expected[:limit]}
        cells = [row["cell_specimen_id"] for row in tree.cells if row["experiment_container_id"] in kept]
        assert chosen.cells.cell_specimen_id.tolist() == cells
    assert 20 < empty < 250


def test_lines_by_parts_of_their_names(catalogue):
    assert set(catalogue.select(cre_line=["cux2", "Sst-IRES-Cre"]).experiments.cre_line) == {
        "Cux2-CreERT2",
        "Sst-IRES-Cre",
    }
    with pytest.raises(MurineError, match=r"'IRES' names .* Cre lines"):
        catalogue.select(cre_line=["IRES"])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"area": ["VISpl"]}, r"no experiment has area VISpl; did you mean VISp.*Values: VISl, VISp"),
        ({"cre_line": ["Tlx3"]}, r"no experiment has cre_line Tlx3-Cre_PL56"),
        ({"cell_class": ["excited"]}, r"no experiment has cell_class excited; did you mean excitatory"),
        ({"layer": ["2"]}, r"no experiment has layer 2.*Values: 2/3, 4"),
        ({"session_type": ["B"]}, r"no experiment has session_type B"),
        ({"experiments": [501559087, 7]}, r"no experiment has experiment_id 7"),
        ({"containers": [8]}, r"no experiment has container_id 8"),
        ({"depth": [(1000, 2000)]}, "none of the 10 experiments meets all conditions at once"),
    ],
)
def test_values_that_do_not_exist(asked, message, catalogue):
    with pytest.raises(MurineError, match=message):
        catalogue.select(**asked)


@pytest.mark.parametrize("by", [("area", "cre_line"), ("layer",), ("session_type", "tags"), ("cell_class", "area")])
def test_counts_are_those_of_a_plain_loop(by, tree, catalogue):
    rows = list(catalogue.experiments.itertuples(index=False))
    expected = []
    for key in sorted({tuple(getattr(row, column) for column in by) for row in rows}):
        group = [row for row in rows if tuple(getattr(row, column) for column in by) == key]
        containers = {row.container_id for row in group}
        expected.append(
            {
                **dict(zip(by, key, strict=True)),
                "experiments": len(group),
                "containers": len(containers),
                "mice": len({row.donor for row in group}),
                "tagged": sum(bool(row.tags) for row in group),
                "failed": sum(row.failed for row in group),
                "cells": sum(row["experiment_container_id"] in containers for row in tree.cells),
            }
        )
    found = catalogue.summary(by).to_dict("records")
    assert [{key: row[key] for key in expected[0]} for row in found] == expected
    assert sum(row["experiments"] for row in found) == 10


def test_the_line_is_the_first_driver_whose_name_has_cre(folder):
    lines = [
        {"name": "Ai93(TITL-GCaMP6f)", "transgenic_line_type_name": "reporter"},
        {"name": "Cre-like reporter", "transgenic_line_type_name": "reporter"},
        {"name": "Camk2a-tTA", "transgenic_line_type_name": "driver"},
        {"name": "Rbp4-Cre", "transgenic_line_type_name": "driver"},
        {"name": "Sst-IRES-Cre", "transgenic_line_type_name": "driver"},
        {"name": "Ai94(TITL-GCaMP6s)", "transgenic_line_type_name": "reporter"},
        {},
    ]

    def edit(rows: Any) -> None:
        rows[0]["specimen"]["donor"]["transgenic_lines"] = lines
        rows[1]["specimen"]["donor"]["transgenic_lines"] = lines[:3]
        del rows[2]["specimen"]["donor"]["transgenic_lines"]

    change(folder / EXPERIMENTS_FILE, edit)
    numbers = [row["id"] for row in json.loads((folder / EXPERIMENTS_FILE).read_text())]
    catalogue = Catalogue.read(folder)
    first, second, third = (row_of(catalogue, number) for number in numbers[:3])
    assert (first.cre_line, first.cell_class) == ("Rbp4-Cre_KL100", "excitatory")
    assert (first.reporter, first.indicator) == ("Ai93(TITL-GCaMP6f)", "GCaMP6f")
    assert (second.cre_line, second.cell_class) == ("", "unknown")
    assert third.cre_line == "Cux2-CreERT2"  # the container's


def test_what_may_be_absent(folder):
    def edit(rows: Any) -> None:
        for row in rows:
            row.pop("date_of_acquisition")
            row["specimen"]["donor"].pop("sex")
            row["specimen"]["donor"]["external_donor_name"] = None
            row.pop("experiment_container")

    change(folder / EXPERIMENTS_FILE, edit)
    table = Catalogue.read(folder).experiments
    assert table.age_days.isna().all()
    assert set(table.date) == set(table.sex) == {""}
    assert "222426" in set(table.donor)  # the container's
    assert table.failed.sum() == 1


def test_failure_is_told_by_either_file(folder):
    def edit(rows: Any) -> None:
        rows[0]["experiment_container"]["failed"] = True

    change(folder / EXPERIMENTS_FILE, edit)
    assert Catalogue.read(folder).experiments.failed.sum() == 2


def test_tags_are_conditions_but_for_tissuecyte(folder):
    def edit(rows: Any) -> None:
        names = ["tissuecyte x", "B", "tissuecyte", "A", ""]
        rows[0]["specimen"]["donor"]["conditions"] = [{"id": i, "name": name} for i, name in enumerate(names)]

    change(folder / CONTAINERS_FILE, edit)
    number = json.loads((folder / CONTAINERS_FILE).read_text())[0]["id"]
    table = Catalogue.read(folder).experiments
    assert set(table.tags[table.container_id == number]) == {"B; A"}


def test_the_envelope_of_the_warehouse(folder, catalogue):
    for file in (CONTAINERS_FILE, EXPERIMENTS_FILE, CELLS_FILE):
        change(folder / file, lambda rows: {"success": True, "id": 0, "num_rows": len(rows), "msg": rows})
    read = Catalogue.read(folder, cells=True)
    pd.testing.assert_frame_equal(read.experiments, catalogue.experiments)
    pd.testing.assert_frame_equal(read.cells, catalogue.cells)


def test_rows_of_other_projects_only(folder):
    change(folder / EXPERIMENTS_FILE, lambda rows: rows[-1:])
    with pytest.raises(MurineError, match=r"ophys_experiments\.json' lists no experiment .* 'three_session_'"):
        Catalogue.read(folder)


@pytest.mark.parametrize(
    ("file", "path", "value", "message"),
    [
        (EXPERIMENTS_FILE, "id", "501559087", "id: found '501559087'; expected a whole number"),
        (EXPERIMENTS_FILE, "id", True, "id: found True; expected a whole number"),
        (EXPERIMENTS_FILE, "id", 2**70, "id: found 1180591620717411303424; expected a whole number"),
        (EXPERIMENTS_FILE, "experiment_container_id", 5, "experiment_container_id: found 5; expected one of the 5 ids"),
        (EXPERIMENTS_FILE, "experiment_container_id", [], "experiment_container_id: found .*expected a whole number"),
        (EXPERIMENTS_FILE, "imaging_depth", 175.5, "imaging_depth: found 175.5; expected a whole number"),
        (EXPERIMENTS_FILE, "targeted_structure.acronym", 7, "targeted_structure.acronym: found 7; expected a text"),
        (EXPERIMENTS_FILE, "specimen.donor.transgenic_lines", {}, "transgenic_lines: found .*a list of objects"),
        (EXPERIMENTS_FILE, "specimen.donor.transgenic_lines", [1], "transgenic_lines: found .*a list of objects"),
        (EXPERIMENTS_FILE, "experiment_container.failed", "no", "failed: found 'no'; expected true or false"),
        (CONTAINERS_FILE, "id", 511510736, "id: found 511510736; expected ids that differ"),
        (CONTAINERS_FILE, "failed", 1, "failed: found 1; expected true or false"),
        (CELLS_FILE, "experiment_container_id", "", "experiment_container_id: found ''; expected a whole number"),
        (CELLS_FILE, "p_ns", "high", "p_ns: found no number .*expected one, or null"),
        (CELLS_FILE, "reliability_nm1_a", [1], "reliability_nm1_a: found no number"),
    ],
)
def test_fields_that_are_not_as_they_should_be(file, path, value, message, folder):
    def edit(rows: Any) -> None:
        node = rows[2]
        *above, key = path.split(".")
        for part in above:
            node = node[part]
        node[key] = value

    change(folder / file, edit)
    with pytest.raises(MurineError, match=rf"{file}', row 2, .*{message}"):
        Catalogue.read(folder, cells=True)


@pytest.mark.parametrize("absent", [False, True], ids=["null", "absent"])
@pytest.mark.parametrize(
    ("file", "path"),
    [
        (EXPERIMENTS_FILE, "id"),
        (EXPERIMENTS_FILE, "experiment_container_id"),
        (EXPERIMENTS_FILE, "stimulus_name"),
        (EXPERIMENTS_FILE, "imaging_depth"),
        (EXPERIMENTS_FILE, "targeted_structure.acronym"),
        (EXPERIMENTS_FILE, "targeted_structure"),
        (CONTAINERS_FILE, "id"),
        (CELLS_FILE, "cell_specimen_id"),
        (CELLS_FILE, "experiment_container_id"),
    ],
)
def test_a_row_with_a_null_is_skipped_and_told_once(file, path, absent, folder, caplog):
    """The rest is as if the row were not there; a file of nothing but such rows is refused."""
    *above, key = path.split(".")

    def empty(row: Any) -> None:
        for part in above:
            row = row[part]
        if absent:
            del row[key]
        else:
            row[key] = None

    rows = json.loads((folder / file).read_text())
    lost = rows[2]["id"] if file == CONTAINERS_FILE else None
    change(folder / file, lambda rows: [*rows[:2], *rows[3:]])
    if lost is not None:
        whole = (folder / EXPERIMENTS_FILE).read_text()
        change(folder / EXPERIMENTS_FILE, lambda rows: [r for r in rows if r["experiment_container_id"] != lost])
    expected = Catalogue.read(folder, cells=True)
    if lost is not None:
        (folder / EXPERIMENTS_FILE).write_text(whole)
    empty(rows[2])
    (folder / file).write_text(json.dumps(rows))
    caplog.clear()
    found = Catalogue.read(folder, cells=True)
    pd.testing.assert_frame_equal(found.experiments, expected.experiments)
    pd.testing.assert_frame_equal(found.cells, expected.cells)
    (said,) = [record.getMessage() for record in caplog.records]
    field = f"{path}.acronym" if path == "targeted_structure" else path
    assert f"1 of {len(rows)} rows are skipped" in said
    assert said.endswith(f"the first is row 2, {field}")
    for row in (*rows[:2], *rows[3:]):
        empty(row)
    (folder / file).write_text(json.dumps(rows))
    with pytest.raises(MurineError, match=rf"{file}', row 0, {field}: found None; expected a value"):
        Catalogue.read(folder, cells=True)


@pytest.mark.parametrize(
    "edit",
    [
        lambda rows: [],
        lambda rows: {"rows": rows},
        lambda rows: {"msg": "error", "success": False},
        lambda rows: [*rows, 7],
        lambda rows: "rows",
        lambda rows: 7,
        lambda rows: {"msg": []},
    ],
)
@pytest.mark.parametrize("file", [CONTAINERS_FILE, EXPERIMENTS_FILE, CELLS_FILE])
def test_files_that_are_no_list_of_rows(file, edit, folder):
    change(folder / file, edit)
    with pytest.raises(MurineError, match=rf"{file}': found .*; expected a list of objects"):
        Catalogue.read(folder, cells=True)


def test_an_experiment_that_is_listed_twice(folder):
    change(folder / EXPERIMENTS_FILE, lambda rows: [*rows, rows[1]])
    with pytest.raises(MurineError, match=r"ophys_experiments\.json' lists experiment 501559087 more than once"):
        Catalogue.read(folder)


@pytest.mark.parametrize("file", [CONTAINERS_FILE, EXPERIMENTS_FILE])
def test_missing_and_truncated_files(file, folder):
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[:-5])
    with pytest.raises(MurineError, match=rf"{file}' is no readable JSON .*truncated"):
        Catalogue.read(folder)
    (folder / file).unlink()
    with pytest.raises(MurineError, match=rf"there is no file '.*{file}'"):
        Catalogue.read(folder)


def test_a_scheme_that_does_not_exist(tree):
    with pytest.raises(MurineError, match="layer scheme 'hawrylycz'"):
        Catalogue.read(tree.prefix, layer_scheme="hawrylycz")
