"""The store: what is written is read back, and a file is whole or not there."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import murine.atlas.tables
from murine.atlas.checksums import blank_seal, defect, seal
from murine.atlas.identity import CaptureTask, CortexSettings, ScoreTask
from murine.atlas.store import Atlas, provenance
from murine.errors import MurineError
from murine.io.files import atomic_write
from murine.networks.capture import CapturedLayer
from murine.networks.layer_kernel import LayerKernel
from murine.networks.preprocessing import Preprocessing

CAPTURE = CaptureTask(
    network_digest="n", preprocessing=Preprocessing(input_size=(64, 64)), stimuli_digest="s", layers="all"
)


def score_task(network="net", seed=0):
    return ScoreTask(
        network=network,
        weights="random:0",
        capture=CAPTURE,
        cortex=CortexSettings(cortex="mouse"),
        cortex_digest="c",
        metric="rsa-pearson",
        n_bootstraps=3,
        n_permutations=0,
        seed=seed,
    )


def rows(n=4):
    """Rows as a sweep writes them, with every kind of value there is."""
    columns = murine.atlas.tables._SCORE_COLUMNS
    texts = {key: "text" for key, kind in columns.items() if kind == "string"}
    frame = pd.DataFrame(
        {
            **{key: ["text"] * n for key in texts},
            **{key: np.arange(n) for key, kind in columns.items() if kind.startswith("int")},
            **{
                key: np.linspace(0, 1, n)
                for key, kind in murine.atlas.tables._SCORE_COLUMNS.items()
                if kind == "float64"
            },
            "above_ceiling": [True, False] * (n // 2),
        }
    )
    frame.loc[1, ["score", "low"]] = np.nan
    frame[["without_one", "draws_both", "draws_subjects"]] = None
    frame["draws"] = pd.Series([np.array([0.5, np.nan, 1.0], np.float32), *[None] * (n - 1)], dtype=object)
    return frame


@pytest.fixture
def atlas(tmp_path):
    return Atlas(tmp_path / "atlas")


def layers():
    rng = np.random.default_rng(0)

    def kernel(n_units, dtype=np.float64):
        return LayerKernel.of((3 + rng.normal(size=(7, n_units))).astype(dtype))

    first, single = kernel(12), kernel(5, np.float32)
    return [
        CapturedLayer("conv1", 0.0, (3, 4), first),
        CapturedLayer("drop", 0.25, (12,), first, "", "conv1"),
        CapturedLayer("a.b[0]:2", 0.5, (5,), single),
        CapturedLayer("spectrum", 0.75, (2, 2), None, "complex"),
        CapturedLayer("(output)", 1.0, (), LayerKernel.of(rng.normal(size=(7, 1))), "one unit"),
    ]


def test_kernels_are_read_back_to_the_last_bit(atlas):
    assert atlas.read_kernels(CAPTURE) is None
    written = layers()
    atlas.write_kernels(CAPTURE, written)
    read = atlas.read_kernels(CAPTURE)
    assert [(x.name, x.depth, x.shape, x.flag, x.same_as) for x in read] == [
        (x.name, x.depth, x.shape, x.flag, x.same_as) for x in written
    ]
    for a, b in zip(read, written, strict=True):
        if b.kernel is None:
            assert a.kernel is None
            continue
        np.testing.assert_array_equal(a.kernel.covariance, b.kernel.covariance)
        np.testing.assert_array_equal(a.kernel.means, b.kernel.means)
        assert a.kernel.n_units == b.kernel.n_units
        assert a.kernel.flag == b.kernel.flag
        assert a.kernel.digest == b.kernel.digest


def test_kernels_that_are_not_finite_and_none_at_all(atlas):
    x = np.random.default_rng(1).normal(size=(5, 9))
    x[2, 3] = np.nan
    broken = [CapturedLayer("nan", 0.0, (9,), LayerKernel.of(x), "not finite")]
    atlas.write_kernels(CAPTURE, broken)
    read = atlas.read_kernels(CAPTURE)[0]
    np.testing.assert_array_equal(read.kernel.covariance, broken[0].kernel.covariance)
    nothing = [CapturedLayer("complex", 0.0, (9,), None, "complex")]
    atlas.write_kernels(CAPTURE, nothing)
    assert atlas.read_kernels(CAPTURE) == nothing


def test_rows_are_read_back(atlas):
    task = score_task()
    assert not atlas.done(task)
    atlas.write_scores(task, rows(), provenance())
    assert atlas.done(task)
    read = atlas.query()
    expected = rows().assign(
        task=task.digest,
        method=3,
        network="net",
        weights="random:0",
        network_digest="n",
        layers="all",
        input_size="64x64",
        cortex="mouse",
        cortex_digest="c",
        cortex_settings=task.cortex.digest,
        normalise_neurons="none",
        normalise_features="none",
        n_bootstraps=3,
        n_permutations=0,
        seed=0,
        over="",
        n_subject_draws=0,
    )
    assert set(read.columns) == set(expected.columns)
    for column in expected.columns.drop(list(murine.atlas.tables.DRAWS)):
        assert read[column].isna().tolist() == expected[column].isna().tolist()
        known = expected[column].notna()
        assert read[column][known].tolist() == expected[column][known].tolist()
    np.testing.assert_array_equal(read.draws[0], expected.draws[0])
    assert read.draws.isna().tolist() == [False, True, True, True]


def test_columns_that_older_files_lack_are_null(atlas):
    atlas.write_scores(score_task(), rows(), {})
    file = atlas.scores_file(score_task())
    about = {"murine.seal": blank_seal(file)}
    whole = pq.read_table(file).drop_columns(["over", "n_animals", "draws_both"]).replace_schema_metadata(about)
    pq.write_table(whole, file)
    seal(file, file)
    read = atlas.query("SELECT network, over, n_animals, draws_both FROM scores")
    assert read.network.tolist() == ["net"] * 4
    assert read[["over", "n_animals", "draws_both"]].isna().all(axis=None)
    atlas.write_scores(score_task(seed=1), rows(), {})
    assert atlas.query("SELECT count(over) AS n FROM scores").n.item() == 4


def test_every_file_has_the_same_columns_even_where_all_are_missing(atlas):
    full, empty = score_task("full"), score_task("empty")
    blank = rows()
    for column in ("score", "p_value", "depth", "draws", "above_ceiling", "flag", "n_units"):
        blank[column] = None
    atlas.write_scores(full, rows(), {})
    atlas.write_scores(empty, blank, {})
    schemas = {pq.read_schema(f).remove_metadata() for f in (atlas.folder / "scores").glob("*.parquet")}
    assert len(schemas) == 1
    read = atlas.query("SELECT network, count(score) AS known, count(*) AS n FROM scores GROUP BY network ORDER BY 1")
    assert read.to_numpy().tolist() == [["empty", 0, 4], ["full", 3, 4]]


def test_questions_in_sql(atlas):
    for seed in range(3):
        task = score_task(seed=seed)
        atlas.write_scores(task, rows(), {})
    found = atlas.query("SELECT seed, max(score) AS best FROM scores WHERE seed >= ? GROUP BY seed ORDER BY seed", [1])
    assert found.to_numpy().tolist() == [[1, 1.0], [2, 1.0]]
    with pytest.raises(MurineError, match=r"the query failed: .*colour"):
        atlas.query("SELECT colour FROM scores")
    with pytest.raises(MurineError, match="the query failed"):
        atlas.query("nonsense")


def test_a_result_tells_its_configuration_and_provenance(atlas):
    task = score_task()
    atlas.write_scores(task, rows(), provenance())
    about = atlas.about(task.digest)
    assert ScoreTask.model_validate(about["task"]) == task
    assert ScoreTask.model_validate(about["task"]).digest == task.digest
    assert {"murine", "numpy", "torch", "python"} <= set(about["provenance"])
    assert about["provenance"]["numpy"] == np.__version__
    with pytest.raises(MurineError, match="there is no result 'abcd'"):
        atlas.about("abcd")


@pytest.mark.parametrize("name", ["it's", "a [b] c", "50% *?", "ünïcode"])
def test_any_name_of_a_folder_will_do(tmp_path, name):
    atlas, task = Atlas(tmp_path / name), score_task()
    atlas.write_scores(task, rows(), {})
    atlas.write_kernels(CAPTURE, layers())
    assert len(atlas.query()) == 4
    assert len(atlas.read_kernels(CAPTURE)) == 5


def test_an_empty_atlas_says_how_to_fill_it(atlas):
    with pytest.raises(MurineError, match=r"there are no results in .*murine score NETWORK"):
        atlas.query()
    assert not atlas.folder.exists()  # made when first written to


def test_what_a_killed_writer_left_is_no_result(atlas):
    task = score_task()
    atlas.write_scores(task, rows(), {})
    folder = atlas.folder / "scores"
    (folder / ".0123.parquet.99.partial").write_bytes(b"half a fi")
    assert len(atlas.query()) == 4
    assert not atlas.done(score_task("other"))


def rename(file, target):
    target.write_bytes(file.read_bytes())


def other_columns(file, target):
    pd.DataFrame({"network": ["intruder"]}).to_parquet(target)


def without_seal(file, target):
    pq.write_table(pq.read_table(file), target)


#: What may lie in the place of a result.
INTRUDERS = {
    "empty": lambda file, target: target.write_bytes(b""),
    "cut": lambda file, target: target.write_bytes(file.read_bytes()[:-40]),
    "start": lambda file, target: target.write_bytes(b"PAR1"),
    "csv": lambda file, target: target.write_text("network,score\nintruder,1\n"),
    "foreign": other_columns,
    "older": without_seal,
    "folder": lambda file, target: target.mkdir(),
    "copy": rename,
    "longer": lambda file, target: target.write_bytes(file.read_bytes() + b"x"),
}


@pytest.mark.parametrize("kind", INTRUDERS)
def test_a_file_that_cannot_be_trusted_is_left_out_and_named(kind, atlas, caplog):
    task, other = score_task(), score_task("other")
    atlas.write_scores(task, rows(), {})
    INTRUDERS[kind](atlas.scores_file(task), atlas.scores_file(other))
    assert atlas.query("SELECT DISTINCT network FROM scores").network.tolist() == ["net"]
    assert atlas.query("SELECT count(*) AS n FROM scores").n.item() == 4
    (record,) = caplog.records  # once, and no SQL
    assert str(atlas.scores_file(other)) in record.getMessage()
    assert "SELECT" not in record.getMessage()
    caplog.clear()
    again = Atlas(atlas.folder)
    assert again.done(task)
    assert not again.done(other)
    assert "computed again" in caplog.text
    if kind != "folder":
        again.write_scores(other, rows(), {})
        assert again.done(other)
        assert len(again.query()) == 8
    else:
        with pytest.raises(MurineError, match="there is a folder of that name"):
            again.write_scores(other, rows(), {})


def test_a_table_of_one_broken_file_is_empty_and_companions_of_a_mac_are_none(atlas, caplog):
    task = score_task()
    atlas.write_scores(task, rows(), {})
    (atlas.folder / "scores" / f"._{task.digest}.parquet").write_bytes(b"Mac OS X")
    assert len(atlas.query()) == 4
    assert not caplog.records
    file = atlas.scores_file(task)
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(MurineError, match="there are no results"):
        atlas.query()
    with pytest.raises(MurineError, match=f"{task.digest}.parquet' cannot be used: it was not written by murine"):
        atlas.about(task.digest)


@pytest.mark.parametrize("kind", ["scores", "kernels", "matches"])
def test_one_flipped_bit_anywhere_is_found(kind, atlas):
    task = score_task()
    if kind == "scores":
        atlas.write_scores(task, rows(), provenance())
    elif kind == "kernels":
        atlas.write_kernels(CAPTURE, layers())
    else:
        columns = murine.atlas.tables.UNITS_TABLES["matches"]
        schema = murine.atlas.tables.schema_of(columns)
        file = atlas.folder / "matches" / "0123.parquet"
        murine.atlas.tables.write_rows(file, CAPTURE, pd.DataFrame({"score": [0.5]}), schema, {})
    (file,) = (atlas.folder / kind).iterdir()
    assert defect(file) == ""
    whole = bytearray(file.read_bytes())
    seal_at = whole.rfind(b"murine-seal-1")
    bits = np.random.default_rng(0).integers(8, size=len(whole))
    flips = [(i, int(bits[i])) for i in range(0, len(whole), 1 + len(whole) // 800)]
    flips += [(i, bit) for i in range(seal_at, seal_at + 150) for bit in (0, 5)]
    with file.open("r+b", buffering=0) as opened:
        for place, bit in flips:
            if place < len(whole):
                opened.seek(place)
                opened.write(bytes([whole[place] ^ 1 << bit]))
                assert defect(file), (place, bit)
                opened.seek(place)
                opened.write(bytes([whole[place]]))
    assert defect(file) == ""
    file.write_bytes(whole[:100] + bytes([whole[100] ^ 4]) + whole[101:])
    if kind == "kernels":
        with pytest.raises(MurineError, match="its checksum does not match"):
            atlas.read_kernels(CAPTURE)
    elif kind == "matches":
        with pytest.raises(MurineError, match="its checksum does not match"):
            atlas.read_units("matches", "0123")


def test_kernels_of_another_network_are_refused(atlas):
    other = CAPTURE.model_copy(update={"network_digest": "another"})
    atlas.write_kernels(CAPTURE, layers())
    rename(atlas.kernels_file(CAPTURE), atlas.kernels_file(other))
    assert len(atlas.read_kernels(CAPTURE)) == 5
    with pytest.raises(MurineError, match="it is a copy of another result"):
        atlas.read_kernels(other)


def test_broken_kernels_are_one_clear_error(atlas):
    atlas.write_kernels(CAPTURE, layers())
    file = atlas.kernels_file(CAPTURE)
    whole = file.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(MurineError, match=file.name):
            atlas.read_kernels(CAPTURE)


@pytest.mark.parametrize(
    "question",
    [
        "FROM self",
        "SELECT * FROM frame",
        "SELECT * FROM '{secret}'",
        "SELECT * FROM read_text('{secret}')",
        "SELECT * FROM read_csv('{folder}/*')",
        "SELECT * FROM glob('{folder}/*')",
        "COPY scores TO '{folder}/out.csv'",
        "COPY scores TO '{result}'",
        "EXPORT DATABASE '{folder}/all'",
        "ATTACH '{folder}/new.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "PRAGMA enable_external_access = true",
        "RESET allowed_paths",
        "CREATE TABLE mine AS SELECT 1",
        "DROP VIEW scores",
        "DELETE FROM scores",
        "SELECT 1; COPY scores TO '{folder}/out.csv'",
        "CALL pragma_version()",
    ],
)
def test_a_question_reads_the_results_and_nothing_else(question, atlas, tmp_path):
    atlas.write_scores(score_task(), rows(), {})
    (tmp_path / "secret.csv").write_text("password\n1234\n")
    frame = pd.DataFrame({"password": [1234]})
    result = atlas.scores_file(score_task())
    before = {f: f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()}
    with pytest.raises(MurineError, match=r"^the query (failed|is a|holds 2)"):
        atlas.query(question.format(secret=tmp_path / "secret.csv", folder=tmp_path, result=result))
    assert {f: f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()} == before
    assert len(frame) == 1


def test_questions_of_one_block_are_about_the_same_files(atlas):
    atlas.write_scores(score_task(), rows(), {})
    how_many = "SELECT count(DISTINCT task) AS n FROM scores"
    with atlas.opened() as connection:
        atlas.write_scores(score_task(seed=1), rows(), {})
        assert atlas.query(how_many).n.item() == 1
        with pytest.raises(MurineError, match="there are no maps"):
            atlas.query("SELECT * FROM maps")
        with atlas.opened() as again:
            assert again is connection
        assert atlas.query(how_many).n.item() == 1
    assert atlas.query(how_many).n.item() == 2


def test_questions_of_every_form(atlas):
    atlas.write_scores(score_task(), rows(), {})
    for question, n in (
        ("FROM scores", 4),
        ("WITH a AS (SELECT * FROM scores) SELECT count(*) FROM a;", 1),
        ("SELECT 1 -- with a comment", 1),
        ("SUMMARIZE scores", len(rows().columns)),
        ("VALUES (1), (2)", 2),
        ("EXPLAIN SELECT * FROM scores", 1),
        ("PIVOT scores ON metric USING max(score)", 1),
    ):
        assert len(atlas.query(question)) >= min(n, 4), question
    for nothing in ("", "  ", ";", "-- only a comment"):
        with pytest.raises(MurineError, match="the query holds no statements; expected one"):
            atlas.query(nothing)


# ------------------------------------------------------------------------------- files appear whole or not at all


def test_a_file_appears_at_the_end(tmp_path):
    file = tmp_path / "deep" / "result"
    with atomic_write(file) as partial:
        partial.write_text("whole")
        assert not file.exists()
        written = partial.stat().st_ino
    assert file.read_text() == "whole"
    assert file.stat().st_ino == written  # renamed, which is atomic; a copy would be half there for a while
    assert list(file.parent.iterdir()) == [file]


def test_a_failed_writer_leaves_the_old_file_and_nothing_else(tmp_path):
    file = tmp_path / "result"
    file.write_text("old")

    def write(error):
        with atomic_write(file) as partial:
            partial.write_text("ha")
            raise error

    for error in (KeyError("no"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            write(error)
    with pytest.raises(MurineError, match="result' could not be written: the disk is full"):
        write(OSError(errno.ENOSPC, "No space left on device"))
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "atlas").write_text("a file")
    atlas, task = Atlas(tmp_path / "atlas"), score_task()
    with pytest.raises(MurineError, match="a part of its path is a file, not a folder"):
        atlas.write_scores(task, rows(), {})


LIMITED = """
import json, resource, sys
sys.path.insert(0, sys.argv[1])
import test_store
from murine.atlas.store import Atlas
from murine.errors import MurineError

atlas, task = Atlas(sys.argv[2]), test_store.score_task()
table, kernels = test_store.rows(), test_store.layers()
writers = {
    "scores": lambda: atlas.write_scores(task, table, {}),
    "kernels": lambda: atlas.write_kernels(test_store.CAPTURE, kernels),
}
found = {}
for size in (0, 1, 100, 1000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    for name, write in writers.items():
        try:
            write()
            found[f"{name} {size}"] = "written"
        except MurineError as error:
            found[f"{name} {size}"] = str(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(json.dumps(found))
"""


def test_where_the_disk_takes_no_more_nothing_is_left_behind(tmp_path):
    """A limit on the size of files stands for a full disk: writing fails half-way, in numpy and in Arrow."""
    pytest.importorskip("resource")
    folder = tmp_path / "atlas"
    command = [sys.executable, "-W", "ignore", "-c", LIMITED, os.path.dirname(__file__), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert len(found) == 8
    for name, message in found.items():
        assert "could not be written: the file would be too large" in message, name
    assert not [f for f in folder.rglob("*") if f.is_file()]
