"""`murine match` and `murine maps` as a user meets them, on small recordings whose answers plain NumPy knows."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from murine.atlas.store import Atlas
from murine.cortex.recording import Recording
from murine.cortex.simulated import simulate
from murine.errors import MurineError
from murine.scenes import synthetic_scenes

pytestmark = pytest.mark.usefixtures("unchecked")

N_STIMULI, SIDE = 24, 40

NETWORKS = """
from torch import nn


class Net(nn.Sequential):
    default_cfg = {"input_size": (3, 32, 32), "mean": (0, 0, 0), "std": (1, 1, 1)}


def conv():
    return Net(nn.Conv2d(3, 5, 5, stride=3), nn.ReLU(), nn.Conv2d(5, 4, 3))


def flat():
    return Net(nn.Flatten(), nn.Linear(3 * 32 * 32, 6))


def wrong():
    return Net(nn.Linear(7, 7))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A simulated cortex on the disk, with lines, animals and what else neurons may be called by, and networks."""
    folder = tmp_path_factory.mktemp("units")
    cortex = simulate(synthetic_scenes(N_STIMULI, SIDE), n_neuroids=10, n_repetitions=6, reliability=0.9)
    line = np.array(["Cux2", "Sst", ""] * 10)
    recording = cortex.recording.labelled(
        {
            "cre_line": line,
            "donor": np.where(line == "Sst", "m1", np.array(["m2", "m3"] * 15)),
            "layer": np.array(["2/3", "4"] * 15),
            "depth": np.where(line == "Sst", 100.0, np.nan),
        }
    )
    recording.write(folder / "mouse.nc")
    np.savez(folder / "images.npz", images=cortex.stimuli.images, ids=cortex.stimuli.ids)
    (folder / "nets.py").write_text(NETWORKS)
    return folder


@pytest.fixture
def own(folder) -> tuple[object, ...]:
    return ("--against", folder / "mouse.nc", "--stimuli", folder / "images.npz", "--bootstraps", 50)


def written(atlas: Path) -> dict[str, tuple[int, int]]:
    """Every file with the time it was written and its size."""
    files = sorted(f for f in atlas.rglob("*") if f.is_file())
    return {str(f.relative_to(atlas)): (f.stat().st_mtime_ns, f.stat().st_size) for f in files}


def halves(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means of odd and of even repetitions, neurons and stimuli in the order of their ids, and areas."""
    recording = Recording.read(folder / "mouse.nc")
    order = np.argsort(recording["neuroid_id"].astype(str)), np.argsort(recording.stimulus_ids)
    trials = recording.responses[order[0]][:, order[1]].astype(float)
    return trials[..., ::2].mean(axis=2), trials[..., 1::2].mean(axis=2), recording["area"].astype(str)[order[0]]


# ------------------------------------------------------------------------------------------------- match


def test_match_prints_what_plain_loops_find(murine, folder, own, tmp_path):
    ran = murine("match", "pixels", *own, "--input-size", SIDE, "--atlas", tmp_path / "a", "--format", "json")
    assert ran.code == 0, ran.err
    table = {row["area"]: row for row in json.loads(ran.out)}
    images = np.load(folder / "images.npz")
    pixels = images["images"][np.argsort(images["ids"])].reshape(N_STIMULI, -1).astype(float)
    odd, even, areas = halves(folder)
    for area, row in table.items():
        r_test = []
        for neuron in np.flatnonzero(areas == area):
            r = np.corrcoef(odd[neuron], pixels.T)[0, 1:]
            r_test.append(np.corrcoef(even[neuron], pixels[:, np.argmax(r)])[0, 1])
        assert row["n_neuroids"] == 10
        assert row["r_test"] == pytest.approx(np.mean(r_test), abs=1e-6)
        for name in ("r_test", "r_test_shuffled", "above_chance"):
            assert row[f"{name}_low"] < row[name] < row[f"{name}_high"]
        assert row["above_chance"] == pytest.approx(row["r_test"] - row["r_test_shuffled"], abs=1e-12)
        assert 0.8 < row["ceiling"] < 1
        assert row["layer"] == "pixels"
    assert set(table) == {"SIMp", "SIMl", "SIMam"}


def test_tables_tell_chance_beside_every_score(murine, folder, own, tmp_path):
    atlas = ("--atlas", tmp_path / "a", "--input-size", 32)
    ran = murine("match", f"{folder}/nets.py:conv", *own, *atlas)
    assert ran.code == 0, ran.err
    title, heading, *lines = ran.out.splitlines()
    assert title.startswith("mouse: units chosen by r odd (over 24 stimuli on odd repetitions), scored by r even")
    for name in ("r odd", "r even", "r shuffled", "above shuffled", "ceiling of r", "neurons"):
        assert name in heading
    assert len(lines) == 3
    assert all(line.count("[") == 3 for line in lines)  # intervals of what is scored, of chance, of the difference
    ran = murine("maps", f"{folder}/nets.py:conv", *own, *atlas)
    assert "nearest, shuffled" in ran.out
    how = "(centred, l2, unit maps by activation)"
    assert ran.out.splitlines()[0].startswith(f"mouse: RMSE of maps times side / 11, comparable between sizes {how}")
    assert murine("match", "pixels", *own, "--shuffles", 0).code == 2
    assert murine("maps", "pixels", *own, "--shuffles", 0).code == 2


@pytest.mark.parametrize("command", ["match", "maps"])
def test_a_second_run_computes_nothing(murine, folder, own, tmp_path, command, monkeypatch):
    base = (command, f"{folder}/nets.py:conv", "pixels", *own, "--atlas", tmp_path / "a")
    first = murine(*base)
    assert first.code == 0, first.err
    assert "2 computed, 0 done before, 0 failed" in first.err
    before = written(tmp_path / "a")
    assert len(before) == 2

    def computed(*args, **options):
        raise AssertionError("a network was shown images")

    with monkeypatch.context() as patch:
        patch.setattr("murine.units.neuron_rows.capture", computed)
        again = murine(*base, "--batch-size", 8)
        assert again.out == first.out
        assert "0 computed, 2 done before, 0 failed" in again.err
        for asked in (["--by", "area,cell_class"], ["--bootstraps", 20], ["--over", "animals"], ["--format", "csv"]):
            assert murine(*base, *asked).code == 0  # other questions about the same rows
        assert written(tmp_path / "a") == before
    for asked in (["--seed", 1], ["--shuffles", 2], ["--layers", "*"], ["--select", "area=SIMp"]):
        assert murine(*base[:2], *base[3:], *asked).code == 0
    assert len(written(tmp_path / "a")) == 2 + 4


def test_another_size_of_maps_computes_itself_alone(murine, folder, own, tmp_path):
    base = ("maps", f"{folder}/nets.py:conv", *own, "--centred", "--atlas", tmp_path / "a")
    assert murine(*base).code == 0
    first = written(tmp_path / "a")
    assert len(first) == 1
    ran = murine(*base, "--side", 11, "--side", 14, "--format", "json")
    after = written(tmp_path / "a")
    assert len(after) == 2
    assert first.items() <= after.items()
    table = pd.DataFrame(json.loads(ran.out))
    assert table.groupby("side").size().to_dict() == {11: 3, 14: 3}
    assert (table.centred & (table.unit_maps == "activation") & (table.normalisation == "l2")).all()
    assert ((table.rmse_best < table.rmse_mean) & table.rmse_best_shuffled.notna()).all()
    assert len(murine(*base, "--plain", "--quiet").err) == 0
    assert len(written(tmp_path / "a")) == 3
    assert "RMSE of maps times side / 11, comparable between sizes (centred, l2," in murine(*base, "--side", 14).out


def test_maps_are_centred_and_comparable_unless_told_otherwise(murine, folder, own, tmp_path):
    base = ("maps", f"{folder}/nets.py:conv", *own, "--atlas", tmp_path / "a", "--rows", tmp_path / "rows.csv")
    ran = murine(*base, "--side", 11, "--side", 28)
    assert "(centred, l2, unit maps by activation)" in ran.out
    assert "mean stimulus" not in ran.err
    assert pd.read_csv(tmp_path / "rows.csv").centred.all()
    table = pd.DataFrame(murine(*base, "--side", 11, "--side", 28, "--format", "json").rows)
    by_size = table.groupby("side").rmse_mean.mean()
    assert by_size[28] == pytest.approx(by_size[11], rel=0.1), "not 11 / 28 of it"
    plain = murine(*base, "--plain")
    assert "a small RMSE says nothing of what neurons prefer" in plain.err
    refused = murine(*base, "--normalisation", "none")
    assert refused.code == 2
    assert "l2" in refused.err


def test_sites_are_made_of_any_label(murine, folder, own, tmp_path):
    base = ("match", f"{folder}/nets.py:conv", *own, "--atlas", tmp_path / "a", "--format", "json")
    lines = murine(*base, "--by", "cre_line,layer")
    table = json.loads(lines.out)
    assert {(row["cre_line"], row["cortical_layer"]) for row in table} == {
        (line, layer) for line in ("Cux2", "Sst") for layer in ("2/3", "4")
    }
    assert sum(row["n_neuroids"] for row in table) == 20
    assert "10 of 30 neurons have no label cre_line, cortical_layer\n" in lines.err
    depth = murine(*base, "--by", "depth")  # of the neuron; rows have a depth of the layer, too
    assert [(row["neuron_depth"], row["n_neuroids"]) for row in json.loads(depth.out)] == [("100.0", 10)]
    animals = json.loads(murine(*base, "--by", "cre_line", "--over", "animals").out)
    by_line = {row["cre_line"]: row for row in animals}
    assert by_line["Cux2"]["n_animals"] == 2
    assert by_line["Cux2"]["r_test_low"] < by_line["Cux2"]["r_test_high"]
    assert by_line["Sst"]["n_animals"] == 1
    assert by_line["Sst"]["r_test_low"] is None  # one animal says nothing of others
    shown = murine(*base[:-2], "--by", "cre_line", "--over", "animals").out.splitlines()
    assert [line.count("[") for line in shown[-2:]] == [3, 0]


def test_rows_are_exported(murine, folder, own, tmp_path):
    base = ("match", f"{folder}/nets.py:conv", "pixels", *own, "--atlas", tmp_path / "a", "--candidates", 3, "-q")
    assert murine(*base, "--rows", tmp_path / "rows.parquet").code == 0
    assert murine(*base, "--rows", tmp_path / "rows.csv").code == 0
    table = pd.read_parquet(tmp_path / "rows.parquet")
    pd.testing.assert_frame_equal(
        table,
        pd.read_csv(
            tmp_path / "rows.csv", keep_default_na=False, na_values=dict.fromkeys(table.select_dtypes("number"), "")
        ),
        check_dtype=False,
        rtol=1e-6,
    )
    assert table.groupby("network").layer.nunique().to_dict() == {"nets.py:conv": 3, "pixels": 1}
    assert len(table) == 4 * 30
    assert table.r_test.notna().all()
    assert table.r_test_shuffled.notna().all()
    conv = table[table.layer == "0"]
    assert conv.assigned_unit.is_unique
    assert conv[["assigned_r_train_shuffled", "assigned_r_test_shuffled"]].notna().all(axis=None)
    assert (conv.n_units == 5 * 10 * 10).all()
    assert (table.role == np.where(table.network == "pixels", "control", "as built")).all()
    assert table.input_size.unique().tolist() == ["32x32", "64x64"]
    refused = murine(*base, "--rows", tmp_path / "rows.xlsx")
    assert refused.code == 2
    assert "has to end with .parquet or .csv" in refused.err


def test_units_of_their_own_stand_beside_chance(murine, folder, own, tmp_path):
    base = ("match", f"{folder}/nets.py:conv", *own, "--atlas", tmp_path / "a", "-q")
    assert "one to one" not in murine(*base).out
    heading = murine(*base, "--candidates", 4).out.splitlines()[1]
    assert re.search(r"one to one +one to one, shuffled", heading)
    (row, *_) = murine(*base, "--candidates", 4, "--format", "json").rows
    assert row["assigned_r_test"] <= row["r_train"] + 1e-6
    assert row["assigned_r_test_shuffled"] < row["assigned_r_test"]
    text = " ".join(murine("match", "--help").out.replace("│", " ").split())
    assert "and do the same for shuffled stimuli" in text


def test_pictures_are_drawn(murine, folder, own, tmp_path):
    base = (f"{folder}/nets.py:conv", *own, "--atlas", tmp_path / "a", "--figures", tmp_path / "f", "-q")
    base = (*base, "--select", "area=SIMl")
    assert murine("match", *base)[0::2] == (0, "")
    assert murine("maps", *base, "--centred", "--side", 14)[0::2] == (0, "")
    name = "mouse-conv-as-built-32x32"
    kinds = (
        f"pairs-{name}",
        f"r-{name}",
        f"maps-{name}-14-centred-activation-l2",
        f"rmse-{name}-14-centred-activation-l2",
    )
    assert {f.name for f in (tmp_path / "f").iterdir()} == {f"{kind}.{end}" for kind in kinds for end in ("pdf", "png")}
    for kind in kinds:
        pixels = np.asarray(Image.open(tmp_path / "f" / f"{kind}.png").convert("L"))
        assert pixels.shape[1] == 2160
        assert 0.01 < (pixels < 250).mean() < 0.6


@pytest.mark.parametrize("command", [("match",), ("maps", "--centred")], ids=" ".join)
def test_every_site_is_drawn_however_many_there_are(murine, folder, own, tmp_path, monkeypatch, command):
    drawn: dict[str, list[str]] = {}

    def keep(figure, folder, name):
        drawn[name] = [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]

    monkeypatch.setattr("murine.report.figures.save", keep)
    by = ("--by", "area,layer,cre_line", "--figures", tmp_path / "f", "--atlas", tmp_path / "a", "-q")
    ran = murine(*command, f"{folder}/nets.py:conv", *own, *by, "--format", "json")
    assert ran.code == 0, ran.err
    sites = {f"{row['area']} {row['cortical_layer']} {row['cre_line']}" for row in ran.rows}
    assert len(sites) > 6
    pictures = {name: sites for name, sites in drawn.items() if name.startswith(("pairs-", "maps-"))}
    assert sorted(site for shown in pictures.values() for site in shown) == sorted(sites)
    assert len(pictures) == -(-len(sites) // 6)


def test_a_table_by_cre_line_has_a_row_a_line(murine, own, tmp_path, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    for command in ("match", "maps"):
        ran = murine(command, "pixels", *own, "--by", "cre_line", "--atlas", tmp_path / "a", "-q")
        assert ran.code == 0, ran.err
        title, heading, *rows = ran.out.splitlines()
        assert title.startswith("mouse: ")
        assert "cre_line" in heading
        assert [row.split()[2] for row in rows] == ["Cux2", "Sst"]


def test_the_atlas_answers_questions_about_single_units(murine, folder, own, tmp_path):
    atlas = tmp_path / "a"
    murine("match", f"{folder}/nets.py:conv", *own, "--atlas", atlas, "-q", "--min-reliability", 0.1)
    question = "SELECT layer, count(*) AS n, avg(r_test - r_test_shuffled) AS above FROM matches GROUP BY layer"
    answer = json.loads(murine("results", "--atlas", atlas, "--sql", question, "--format", "json").out)
    assert {row["layer"]: row["n"] for row in answer} == {"0": 30, "1": 30, "2": 30}
    for table, command in (("maps", "murine maps NETWORK"), ("scores", "murine score NETWORK")):
        ran = murine("results", "--atlas", atlas, "--sql", f"SELECT * FROM {table}")
        assert ran.code == 2
        assert f"there are no {table} in " in ran.err
        assert command in ran.err
    (file,) = (atlas / "matches").iterdir()
    about = Atlas(atlas).about(file.stem)
    assert about["task"]["kind"] == "match"
    assert about["provenance"]["neurons"] == "reliability>=0.1"


# ------------------------------------------------------------------------------------------------- wrong input


def test_matrices_have_no_single_neurons(murine, tmp_path):
    rng = np.random.default_rng(0)
    matrices = np.stack([1 - np.corrcoef(rng.normal(size=(8, 30))) for _ in range(2)])
    ids = [f"s{i}" for i in range(8)]
    np.savez(
        tmp_path / "rdms.npz", matrices=(matrices + matrices.transpose(0, 2, 1)) / 2, sites=["A", "B"], stimulus_ids=ids
    )
    np.savez(tmp_path / "images.npz", images=rng.integers(0, 255, (8, 16, 16)).astype(np.uint8), ids=ids)
    for command in ("match", "maps"):
        ran = murine(
            command,
            "pixels",
            "--against",
            tmp_path / "rdms.npz",
            "--stimuli",
            tmp_path / "images.npz",
            "--atlas",
            tmp_path,
        )
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith("murine: 'rdms' comes as matrices of whole sites; single neurons were expected.")
        assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--by", "cell_type"), "no coordinate 'cell_type'; did you mean cell_class?"),
        (("--by", "stimulus_id"), "'stimulus_id' is no coordinate of the neurons"),
        (("--by", " , "), "nothing was given that makes sites"),
        (("--select", "area"), "expected KEY=VALUE"),
        (("--select", "area=VISp"), "no neuron of 'mouse' has area 'VISp'"),
        (("--min-reliability", "1.5"), "--min-reliability is 1.5; expected a number from -1 to 1"),
        (("--min-reliability", "1"), "no neuron of 'mouse' meets"),
        (("--layers", "nowhere"), "no module matches 'nowhere'"),
        (("--input-size", "big"), "--input-size 'big' is not understood"),
        (("--device", "abacus"), "unknown device 'abacus'"),
        (("--against", "mouse.csv"), "there is no file 'mouse.csv'"),
        (("--rows", "rows.txt"), "has to end with .parquet or .csv"),
    ],
)
def test_what_cannot_be_is_refused(murine, own, tmp_path, options, message):
    for command in ("match", "maps"):
        ran = murine(command, "pixels", *own, "--atlas", tmp_path / "a", *options)
        # What one network lacks is the failure of that network.
        assert (ran.code, ran.out) == (1 if "--layers" in options else 2, "")
        assert message in ran.err
        assert "Traceback" not in ran.err
    assert "--layers" in options or not (tmp_path / "a").exists()  # a failure is kept


@pytest.fixture(scope="module")
def poor(folder) -> tuple[object, ...]:
    """A recording without labels and animals, some of whose neurons lack something."""
    whole = Recording.read(folder / "mouse.nc")
    responses = whole.responses[:12].copy()
    responses[0] = np.nan
    responses[1, 3] = np.inf
    responses[2] = 5.0
    labels = {"neuroid_id": [f"n{i}" for i in range(12)], "area": ["A", "B"] * 6, "cre_line": [""] * 12}
    Recording.from_arrays(responses, labels, {"stimulus_id": whole.stimulus_ids}).write(folder / "poor.nc")
    once = Recording.from_arrays(
        responses[3:, :, :1],
        {key: labels[key][3:] for key in ("neuroid_id", "area")},
        {"stimulus_id": whole.stimulus_ids},
    )
    once.write(folder / "once.nc")
    spoilt = Recording.from_arrays(np.full_like(responses, np.nan), labels, {"stimulus_id": whole.stimulus_ids})
    spoilt.write(folder / "spoilt.nc")
    return ("--against", folder / "poor.nc", "--stimuli", folder / "images.npz", "--bootstraps", 20)


def test_neurons_that_lack_something_are_told_of(murine, folder, poor, tmp_path):
    for command, constant in (("match", "constant"), ("maps", "no response")):
        ran = murine(command, f"{folder}/nets.py:conv", *poor, "--atlas", tmp_path / "a", "--format", "csv")
        assert ran.code == 0, ran.err
        table = list(csv.DictReader(io.StringIO(ran.out)))
        assert {row["area"]: int(row["n_neuroids"]) for row in table} == {"A": 4, "B": 5}
        assert "2 of 12 neurons have no score: not finite\n" in ran.err
        assert f"1 of 12 neurons have no score: {constant}\n" in ran.err


def test_blank_labels_and_missing_animals_are_refused(murine, folder, poor, tmp_path):
    base = (f"{folder}/nets.py:conv", *poor, "--atlas", tmp_path / "a")
    for command in ("match", "maps"):
        ran = murine(command, *base, "--by", "cre_line")
        assert (ran.code, ran.out) == (2, "")
        assert "no neuron of 'poor' has a label cre_line: there are no sites. It has labels area." in ran.err
        ran = murine(command, *base, "--over", "both")
        assert (ran.code, ran.out) == (2, "")
        assert "no neuron of 'poor' has a label donor" in ran.err
    spoilt = (base[0], "--against", folder / "spoilt.nc", *base[3:])
    for command in ("match", "maps"):
        ran = murine(command, *spoilt)
        assert (ran.code, ran.out) == (1, "")
        assert "no neuron has a score and a label area; flags: not finite" in ran.err
    ran = murine("match", base[0], "--against", folder / "once.nc", *base[3:])
    assert (ran.code, ran.out) == (2, "")
    assert "halves and ceilings need at least 2" in ran.err


def test_a_network_that_fails_does_not_stop_the_others(murine, folder, own, tmp_path):
    networks = [f"{folder}/nets.py:{name}" for name in ("wrong", "conv", "flat")]
    ran = murine("maps", *networks, *own, "--atlas", tmp_path / "a", "--format", "json")
    assert ran.code == 1
    assert {row["network"] for row in json.loads(ran.out)} == {"nets.py:conv"}
    assert "2 of 3 networks" in ran.err
    assert "nets.py:wrong: the network fails on 3 images of 3 x 32 x 32" in ran.err
    assert "nets.py:flat: no neuron has a score and a label area; flags: no map" in ran.err
    (damaged,) = (
        f
        for f in (tmp_path / "a" / "maps").iterdir()
        if f.stat().st_size > 0 and "conv" in str(pd.read_parquet(f).network[0])
    )
    damaged.write_bytes(damaged.read_bytes()[:100])
    ran = murine("maps", networks[1], *own, "--atlas", tmp_path / "a")
    assert ran.code == 0
    assert damaged.name in ran.err
    assert len(pd.read_parquet(damaged))


# ------------------------------------------------------------------------------------------------- help


@pytest.mark.parametrize("command", ["match", "maps"])
def test_help_tells_how_to_read_the_result(murine, command):
    ran = murine(command, "--help")
    assert ran.code == 0
    assert f"murine {command}" in ran.out.split("Example", 1)[1]
    text = " ".join(ran.out.replace("│", " ").split())
    assert "shuffled" in text
    if command == "maps":
        assert "plain maps are nearly the mean stimulus" in text
        assert "[default: centred]" in text


def test_a_result_that_is_not_there(tmp_path):
    with pytest.raises(MurineError, match="there is no result 'abc'"):
        Atlas(tmp_path).read_units("maps", "abc")
