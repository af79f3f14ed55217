"""`murine verify`, and data on their way to other tools and back: what is printed, written and refused."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from commands import Ran

from murine.cortex.loading import load_responses
from murine.cortex.recording import Recording
from murine.interchange.assembly import to_assembly
from murine.interchange.rsatoolbox_files import read
from murine.similarity.cka import LinearCKA
from murine.studies import verification
from murine.studies.reference_libraries import REFERENCES

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture
def murine(murine, monkeypatch, tmp_path) -> Callable[..., Ran]:
    """Run a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return murine


IDS = [f"s{i}" for i in range(12)]


@pytest.fixture
def mouse(tmp_path) -> Recording:
    """A recording of two areas in ``mouse.nc``, with a missing presentation and a missing trial."""
    rng = np.random.default_rng(0)
    trials = rng.normal(size=(30, 12, 1)) + 0.5 * rng.normal(size=(30, 12, 4))
    trials[:, 5, 3] = trials[4, 2, 1] = np.nan
    about = {"neuroid_id": [f"n{i}" for i in range(30)], "area": ["VISp"] * 25 + ["VISl"] * 5}
    recording = Recording.from_arrays(trials, about, {"stimulus_id": IDS}, name="mouse")
    recording.write(tmp_path / "mouse.nc")
    return recording


@pytest.fixture
def few(monkeypatch):
    """Quick references only, of all libraries."""
    wanted = ("CKA", "RSA, pearson", "ridge, 6 folds", "split-half reliability")
    monkeypatch.setattr(verification, "REFERENCES", [r for r in REFERENCES if r.metric in wanted])


@pytest.mark.parametrize("command", ["verify", "data export", "data import"])
def test_every_command_has_help_with_an_example(murine, command):
    ran = murine(*command.split(), "--help")
    assert ran.code == 0
    assert f"murine {command}" in ran.out.split("Example", 1)[1]


# ------------------------------------------------------------------------------------------------ export, import


def test_assembly(murine, mouse):
    ran = murine("data", "export", "mouse.nc", "--out", "out.nc")
    assert (ran.code, ran.out) == (0, "")
    assert 'xarray.open_dataarray("out.nc")' in ran.err
    with xr.open_dataarray("out.nc") as assembly:
        assert assembly.sizes == {"presentation": 47, "neuroid": 30}
        assert Recording.from_xarray(assembly).digest == mouse.digest
    few = ("--drop", "incomplete", "--select", "area=VISp", "--min-reliability", "0.8", "-q")
    ran = murine("data", "export", "mouse.nc", "--out", "few.nc", *few)
    assert ran == (0, "", "")
    chosen = mouse.select(area="VISp", min_reliability=0.8)
    with xr.open_dataarray("few.nc") as assembly:
        assert assembly.sizes["presentation"] == 46 + ("n4" not in chosen["neuroid_id"])
        assert assembly["neuroid_id"].values.tolist() == chosen["neuroid_id"].tolist()


@pytest.mark.parametrize("drop", ["empty", "none"])
@pytest.mark.parametrize(("kind", "file"), [("assembly", "out.nc"), ("rsatoolbox", "out.h5")])
def test_what_export_writes_import_and_against_read(murine, mouse, kind, file, drop):
    if kind == "rsatoolbox":
        pytest.importorskip("rsatoolbox")
    np.savez("images.npz", images=np.random.default_rng(0).integers(0, 255, (12, 8, 8, 3), np.uint8), ids=IDS)
    ran = murine("data", "export", "mouse.nc", "--as", kind, "--drop", drop, "--out", file, "-q")
    assert ran == (0, "", "")
    ran = murine("data", "import", file, "--out", "back.nc")
    assert ran.code == 0, ran.err
    back = Recording.read("back.nc")
    assert back.digest == mouse.digest
    assert back["area"].tolist() == mouse["area"].tolist()
    assert load_responses(file).digest == mouse.digest
    few = ("--bootstraps", 20, "--permutations", 0, "--splits", 2, "--no-controls", "--stimuli", "images.npz")
    scores = {}
    for against in ("mouse.nc", file, "back.nc"):
        ran = murine("score", "pixels", "--against", against, *few, "--atlas", f"{against}.atlas", "--format", "json")
        assert ran.code == 0, ran.err
        rows = murine("results", "--atlas", f"{against}.atlas", "--view", "layers", "--format", "json").rows
        scores[against] = [(row["site"], row["score"], row["ceiling"]) for row in rows]
    assert scores["mouse.nc"] == scores[file] == scores["back.nc"]


def test_an_assembly_of_somebody_else(murine, mouse):
    to_assembly(mouse).rename({"stimulus_id": "image_id", "neuroid_id": "cell"}).drop_vars("repetition").expand_dims(
        time_bin=1
    ).to_netcdf("lab.nc", engine="h5netcdf")
    ran = murine("data", "import", "lab.nc", "--stimulus", "image_id", "--neuroid", "cell", "--out", "back.nc")
    assert ran.code == 0, ran.err
    back = Recording.read("back.nc")
    assert back["neuroid_id"].tolist() == mouse["neuroid_id"].tolist()
    np.testing.assert_array_equal(back.select(stimuli=["s0"]).responses, mouse.select(stimuli=["s0"]).responses)
    ran = murine("data", "import", "lab.nc", "--out", "other.nc")
    assert ran.code == 2
    assert "have no 'stimulus_id'" in ran.err
    ran = murine("data", "import", "mouse.nc", "--out", "other.nc")
    assert ran.code == 2
    assert "is a recording of murine already" in ran.err
    whole = Path("lab.nc").read_bytes()
    Path("half.nc").write_bytes(whole[: len(whole) // 2])
    ran = murine("data", "import", "half.nc", "--out", "other.nc")
    assert ran.code == 2
    assert "half.nc" in ran.err
    assert not Path("other.nc").exists()


def test_rsatoolbox_and_back(murine, mouse):
    pytest.importorskip("rsatoolbox")
    ran = murine("data", "export", "mouse.nc", "--as", "rsatoolbox", "--out", "out.h5")
    assert ran.code == 0, ran.err
    assert 'rsatoolbox.data.load_dataset("out.h5")' in ran.err
    assert read("out.h5").digest == mouse.digest
    ran = murine("data", "import", "out.h5", "--out", "back.nc")
    assert ran.code == 0, ran.err
    assert "30 neuroids x 12 stimuli x 4 repetitions" in ran.err
    assert Recording.read("back.nc").digest == mouse.digest
    ran = murine("data", "import", "out.h5", "--stimulus", "image", "--out", "back.nc")
    assert ran.code == 2
    assert "have no 'image'" in ran.err
    ran = murine("data", "import", "out.h5", "--out", "back.npz")
    assert ran.code == 2
    assert "has to end with .nc" in ran.err


def test_matrices_and_back(murine, shared_data):
    pytest.importorskip("rsatoolbox")
    ran = murine("data", "export", "allen-2p", "--as", "rsatoolbox", "--out", "rdms.h5")
    assert ran.code == 0, ran.err
    assert 'rsatoolbox.rdm.load_rdm("rdms.h5")' in ran.err
    ran = murine("data", "import", "rdms.h5", "--out", "rdms.npz")
    assert ran.code == 0, ran.err
    assert "rdms.npz: 21 sites" in ran.err
    ours, back = load_responses("allen-2p"), load_responses("rdms.npz")
    assert back.digest == ours.digest
    assert back.sites == ours.sites
    direct = load_responses("rdms.h5")
    assert (direct.digest, direct.sites) == (ours.digest, ours.sites)
    for wrong in (
        ("--as", "assembly", "--out", "rdms.nc"),
        ("--as", "rsatoolbox", "--select", "area=VISp", "--out", "x.h5"),
    ):
        ran = murine("data", "export", "rdms.npz", *wrong)
        assert ran.code == 2
        assert "comes as matrices of whole sites" in ran.err


def test_names_of_files_and_libraries(murine, mouse, tmp_path, monkeypatch):
    for kind, name in (("assembly", "x.h5"), ("rsatoolbox", "x.nc")):
        ran = murine("data", "export", "mouse.nc", "--as", kind, "--out", name)
        assert ran.code == 2
        assert f"--out '{name}' has to end with" in ran.err
    monkeypatch.setitem(sys.modules, "rsatoolbox", None)
    ran = murine("data", "export", "mouse.nc", "--as", "rsatoolbox", "--out", "x.h5")
    assert ran.code == 2
    assert "`pip install rsatoolbox` adds it" in ran.err
    assert [f.name for f in tmp_path.iterdir()] == ["mouse.nc"]


# -------------------------------------------------------------------------------------------------------- verify


@pytest.mark.usefixtures("few")
def test_verify_tells_what_agrees(murine, mouse):
    for name in ("rsatoolbox", "himalaya"):
        pytest.importorskip(name)
    ran = murine("verify", "--against", "mouse.nc", "--format", "csv")
    assert ran.code == 0, ran.err
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert {row["data"] for row in rows} == {"simulated", "mouse"}
    assert {row["agreement"] for row in rows} == {"ok"}
    assert all(0 <= float(row["difference"]) <= float(row["tolerance"]) for row in rows)
    assert ran.err.splitlines()[-1] == f"{len(rows)} of {len(rows)} agree"
    ran = murine("verify", "-q")
    assert ran.code == 0
    assert ran.err == ""
    assert ran.out.splitlines()[0].split() == list(rows[0])
    assert "KernelRidgeCV" in ran.out


@pytest.mark.usefixtures("few")
def test_verify_fails_where_a_metric_is_wrong(murine, monkeypatch):
    right = LinearCKA.score
    monkeypatch.setattr(LinearCKA, "score", lambda *given: right(*given) + 1e-6)
    ran = murine("verify", "--format", "json", "-q")
    assert ran.code == 1
    found = {(row["metric"], row["reference"]): row["agreement"] for row in json.loads(ran.out)}
    assert found.pop(("CKA", "NumPy")) == "MISMATCH"
    assert found.pop(("CKA", "rsatoolbox"), "MISMATCH") == "MISMATCH"
    assert "MISMATCH" not in found.values()
    assert ran.err.startswith("murine: no agreement: CKA with NumPy")
    assert "MISMATCH" in murine("verify").out


@pytest.mark.usefixtures("few")
def test_verify_goes_on_without_optional_libraries(murine, monkeypatch):
    for name in ("rsatoolbox", "himalaya"):
        monkeypatch.setitem(sys.modules, name, None)
    ran = murine("verify")
    assert ran.code == 0
    assert ran.out.count("not installed") == 3
    assert ran.told.splitlines() == ["3 of 3 agree", "`pip install rsatoolbox himalaya` lets 3 more be checked"]


def test_verify_refuses_data_that_are_too_small(murine, mouse):
    mouse.select(area="VISl").write("small.nc")
    ran = murine("verify", "--against", "small.nc")
    assert ran.code == 2
    assert "at least 24 and 2 are needed" in ran.err
