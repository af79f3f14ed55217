"""Care of an atlas: what is damaged is named, and atlases merge to the same files in any order."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import duckdb
import pandas as pd
import pytest
import small_cortex

from murine.atlas.content import rows_digest
from murine.atlas.maintenance import check_atlas, leftovers, merge_atlases, repair_atlas
from murine.atlas.store import Atlas
from murine.atlas.sweep import sweep
from murine.errors import MurineError


@pytest.fixture(scope="module")
def labs(tmp_path_factory):
    """Two atlases that share a network, and one of all networks."""
    folder = tmp_path_factory.mktemp("mouse")
    plan = small_cortex.write(folder)
    made = {}
    for name, networks in {
        "a": ("pixels", "gabor"),
        "b": ("gabor", "neurn"),
        "ab": ("pixels", "gabor", "neurn"),
    }.items():
        made[name] = Atlas(tmp_path_factory.mktemp(name))
        sweep(small_cortex.choices(folder, *networks), plan, made[name])
    return made


@pytest.fixture
def atlas(labs, tmp_path):
    """A copy that may be damaged."""
    shutil.copytree(labs["a"].folder, tmp_path / "copy")
    return Atlas(tmp_path / "copy")


def files_of(folder: Path) -> dict[str, str]:
    """Digests of the content of all files of results and kernels."""
    return {
        f"{table}/{file.name}": hashlib.sha256(file.read_bytes()).hexdigest()
        for table in ("scores", "kernels")
        for file in (folder / table).glob("*")
    }


def first(atlas: Atlas, table: str = "scores") -> Path:
    return sorted((atlas.folder / table).glob("[!.]*"))[0]


def test_an_intact_atlas_has_no_problems(labs, murine):
    assert check_atlas(labs["ab"]) == []
    ran = murine("atlas", "check", "--atlas", labs["ab"].folder)
    assert (ran.code, ran.out) == (0, "")


@pytest.mark.parametrize("table", ["scores", "kernels"])
@pytest.mark.parametrize("damage", ["bit", "cut", "empty", "foreign", "renamed"])
def test_damage_is_named_and_moved_away(atlas, murine, table, damage):
    file = first(atlas, table)
    content = bytearray(file.read_bytes())
    if damage == "bit":
        content[len(content) // 2] ^= 4
    elif damage == "cut":
        del content[len(content) // 2 :]
    elif damage == "empty":
        content.clear()
    elif damage == "foreign":
        content = bytearray(b"not a file of results")
    if damage == "renamed":
        file = file.rename(file.with_stem("0" * 32))
    else:
        file.write_bytes(content)
    (problem,) = check_atlas(atlas)
    assert (problem.file, problem.kind) == (file, "damaged")
    ran = murine("atlas", "check", "--atlas", atlas.folder)
    assert ran.code == 1
    assert str(file) in ran.out
    assert "murine atlas repair" in ran.err
    (moved,) = repair_atlas(atlas)
    assert moved == atlas.folder / "damaged" / table / file.name
    assert moved.exists()
    assert check_atlas(atlas) == []


def test_a_file_is_never_overwritten_by_repair(atlas):
    for number in range(3):
        first(atlas).with_name("0123.parquet").write_text(str(number))
        repair_atlas(atlas)
    assert sorted(f.read_text() for f in (atlas.folder / "damaged" / "scores").iterdir()) == ["0", "1", "2"]


def test_results_of_another_version_are_named(atlas, monkeypatch, murine):
    monkeypatch.setattr("murine.atlas.maintenance._MODELS", {"scores": (None, 99)})
    assert {problem.kind for problem in check_atlas(atlas)} == {"other version"}
    assert murine("atlas", "check", "--atlas", atlas.folder).code == 1
    assert repair_atlas(atlas) == []  # they are intact
    report = merge_atlases(Atlas(atlas.folder.with_name("new")), [atlas])
    assert len(report.refused) == 2
    assert "version 3 of the method; this murine has 99" in next(iter(report.refused.values()))


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a"), ("b", "a", "b", "ab"), ("ab",)])
def test_merging_gives_the_same_bytes_in_any_order(labs, tmp_path, order):
    report = merge_atlases(Atlas(tmp_path), [labs[name] for name in order])
    assert report.refused == {}
    reference = Atlas(tmp_path.with_name(f"{tmp_path.name}-reference"))
    merge_atlases(reference, [labs["ab"], labs["b"], labs["a"]])
    mine, theirs = files_of(tmp_path), files_of(reference.folder)
    assert mine.keys() == theirs.keys()
    assert mine == theirs


def with_provenance(atlas: Atlas, text: str) -> None:
    """Write the first result again, as if other software had computed the same rows."""
    from murine.atlas.identity import ScoreTask

    file = first(atlas)
    task = ScoreTask.model_validate(atlas.about(file.stem)["task"])
    rows = pd.read_parquet(file)
    atlas.write_scores(task, rows, {"murine": text})


def test_the_same_rows_of_other_software_are_no_conflict(labs, atlas, tmp_path):
    with_provenance(atlas, "9.9")
    merged = [Atlas(tmp_path / name) for name in ("one", "two")]
    for target, order in zip(merged, ([labs["a"], atlas], [atlas, labs["a"]]), strict=True):
        assert merge_atlases(target, order).refused == {}
    assert files_of(merged[0].folder) == files_of(merged[1].folder)


def test_other_numbers_and_damage_are_refused_by_name(labs, atlas, tmp_path, murine):
    from murine.atlas.identity import ScoreTask

    file = first(atlas)
    task = ScoreTask.model_validate(atlas.about(file.stem)["task"])
    rows = pd.read_parquet(file)
    rows.loc[0, "score"] += 1e-9
    atlas.write_scores(task, rows, {})
    last = sorted((atlas.folder / "scores").glob("*"))[-1]
    last.write_bytes(last.read_bytes()[:-5])
    merge_atlases(Atlas(tmp_path / "mine"), [labs["a"]])
    before = files_of(tmp_path / "mine")
    ran = murine("atlas", "merge", atlas.folder, "--atlas", tmp_path / "mine")
    assert ran.code == 1
    assert f"refused: {file}" in ran.err
    assert "other numbers for the same configuration" in ran.err
    assert f"refused: {last}" in ran.err
    assert "0 files taken" in ran.err
    assert files_of(tmp_path / "mine") == before


def test_a_missing_atlas_is_not_merged(tmp_path):
    with pytest.raises(MurineError, match="there is no atlas"):
        merge_atlases(Atlas(tmp_path), [Atlas(tmp_path / "typo")])


def test_leftovers_are_named_and_deleted(atlas, murine):
    assert leftovers(atlas).files == ()
    first(atlas).unlink()
    (kernels,) = leftovers(atlas).kernels
    dry = murine("atlas", "gc", "--dry-run", "--atlas", atlas.folder)
    assert dry.out == f"{kernels}\n"
    assert kernels.exists()
    assert murine("atlas", "gc", "--atlas", atlas.folder).out == f"{kernels}\n"
    assert not kernels.exists()
    assert leftovers(atlas).files == ()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_an_export_is_read_by_others(atlas, murine, tmp_path, ending):
    file = tmp_path / f"scores.{ending}"
    assert murine("atlas", "export", file, "--atlas", atlas.folder).code == 0
    rows = pd.read_csv(file) if ending == "csv" else pd.read_parquet(file)
    assert len(rows) == atlas.query("SELECT count(*) AS n FROM scores").n[0]
    assert not {"draws", "without_one"} & set(rows.columns)
    assert duckdb.sql(f"SELECT count(DISTINCT network) FROM '{file}'").fetchall() == [(2,)]
    before = file.read_bytes()
    murine("atlas", "export", file, "--atlas", atlas.folder)
    assert file.read_bytes() == before


def test_wrong_exports_are_refused(atlas, murine, tmp_path):
    assert ".parquet or .csv" in murine("atlas", "export", tmp_path / "a.xlsx", "--atlas", atlas.folder).err
    assert "no table" in murine("atlas", "export", tmp_path / "a.csv", "--table", "t", "--atlas", atlas.folder).err
    assert murine("atlas", "export", tmp_path / "a.csv", "--table", "maps", "--atlas", atlas.folder).code == 2


def test_why_tells_where_a_result_is_from(atlas, murine):
    digest = first(atlas).stem
    ran = murine("why", digest[:8], "--atlas", atlas.folder)
    assert ran.code == 0
    about = atlas.about(digest)
    assert f"  network_digest: {about['task']['capture']['network_digest']}" in ran.out
    assert f"  numpy: {about['provenance']['numpy']}" in ran.out
    assert "no result '0000'" in murine("why", "0000", "--atlas", atlas.folder).err
    assert "at least the first 4 letters" in murine("why", "../x", "--atlas", atlas.folder).err


def test_the_digest_of_rows_is_that_of_their_values():
    import pyarrow as pa

    table = pa.table({"a": ["x", None, "y"], "b": [1.0, float("nan"), 3.0], "c": [[1.0], None, []]})
    same = pa.concat_tables([table.slice(0, 2), table.slice(2)])
    assert rows_digest(table) == rows_digest(same)
    seen = {rows_digest(table)}
    for changed in (
        {"a": ["x", "", "y"], "b": [1.0, float("nan"), 3.0], "c": [[1.0], None, []]},
        {"a": ["x", None, "y"], "b": [1.0, None, 3.0], "c": [[1.0], None, []]},
        {"a": ["x", None, "y"], "b": [1.0, float("nan"), 3.0], "c": [[1.0], [], []]},
        {"a": ["x", None, "y"], "b": [1.0, float("nan"), 3.0], "c": [[], None, [1.0]]},
    ):
        digest = rows_digest(pa.table(changed))
        assert digest not in seen
        seen.add(digest)
