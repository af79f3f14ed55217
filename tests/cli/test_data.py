"""The commands about public data, end to end against a bucket on loopback: what they print, write and refuse."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from allen_bucket import FAILED, GONE, NO_DEMIXED, NO_EVENTS, SmallBucket, filled
from commands import Ran
from public_bucket import FaultProxy

from murine.cortex.recording import Recording
from murine.stimuli import StimulusSet

pytestmark = pytest.mark.usefixtures("unchecked")

README = Path(__file__).parents[2] / "README.md"
PARAGRAPH = "## Mouse responses from the public bucket"

NOWHERE = "http://127.0.0.1:9"
FEW = ("--bootstraps", "20", "--permutations", "20", "--splits", "5", "--layers", "blocks")


@pytest.fixture(scope="module")
def allen(server_of_buckets, tmp_path_factory) -> SmallBucket:
    return filled(server_of_buckets, tmp_path_factory)


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """One cache for all tests that do not say otherwise."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def murine(murine, monkeypatch, cache, tmp_path) -> Callable[..., Ran]:
    """Run a command in an empty folder, with the cache of all tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MURINE_CACHE", str(cache))
    return murine


@pytest.fixture
def at(allen) -> tuple[str, str]:
    """The option that leads to the bucket."""
    return "--endpoint", allen.public.endpoint


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


# ------------------------------------------------------------------------------------------------------- the README


def commands() -> list[list[str]]:
    """The first block of commands of the paragraph in README.md, without comments."""
    block = README.read_text(encoding="utf-8").split(PARAGRAPH)[1].split("```")[1]
    return [shlex.split(line, comments=True) for line in block.strip().splitlines()]


def test_the_commands_of_the_readme(murine, at, tmp_path, monkeypatch):
    """As they stand there, with the server and few samples added; the data set has three sessions in VISp."""
    monkeypatch.setenv("MURINE_CACHE", str(tmp_path / "cache"))
    told = {}
    for program, *arguments in commands():
        assert program == "murine"
        kind = arguments[1] if arguments[0] == "data" else arguments[0]
        more = {"list": at, "fetch": at, "score": FEW}.get(kind, ())
        told[kind] = murine(*arguments, *more)
        assert told[kind].code == 0, told[kind].err
    assert list(told) == ["list", "fetch", "build", "score"]
    assert "3 experiments with natural scenes, of 2 mice" in told["list"].err
    assert "3 sessions done now, 0 before" in told["fetch"].err
    assert "mouse.nc: <Recording allen-2p-corrected-allensdk: 17 neuroids x 119 stimuli" in told["build"].err
    assert "`murine score NETWORK --against mouse.nc --stimuli scenes.npz`" in told["build"].err
    assert "4 computed, 0 done before, 0 failed" in told["score"].err
    scored = rows(murine("results", "--view", "sites", "--format", "csv").out)
    assert {row["network"] for row in scored} == {"resnet18", "pixels", "gabor", "neurn"}
    assert {row["site"] for row in scored} == {"VISp"}
    assert np.isfinite([float(row["score"]) for row in scored]).all()
    assert StimulusSet.from_npz(tmp_path / "scenes.npz").images.shape == (118, 9, 11)


# ------------------------------------------------------------------------------------------------------- list


def test_list_counts_and_filters(murine, at):
    ran = murine("data", "list", "allen", *at, "--format", "csv")
    counted = {(row["area"], row["cre_line"]): int(row["experiments"]) for row in rows(ran.out)}
    assert counted == {
        ("VISl", "Scnn1a-Tg3-Cre"): 1,
        ("VISl", "Sst-IRES-Cre"): 2,
        ("VISp", "Cux2-CreERT2"): 1,
        ("VISp", "Vip-IRES-Cre"): 2,
        ("VISpm", "Rbp4-Cre_KL100"): 1,
    }
    ran = murine("data", "list", "allen", "--cre", "vip", "--cells", "--by", "area,depth_um", *at)
    assert "VISp  225" in ran.out
    assert ran.out.split()[-1] == "11"  # cells, of which one was seen twice
    assert ran.told == (
        "2 experiments with natural scenes, of 1 mouse; those of failed containers are left out (--failed)\n"
    )
    ran = murine("data", "list", "allen", "--area", "VISp", "--depth", "200:300", "--each", "--format", "json")
    assert [row["experiment_id"] for row in json.loads(ran.out)] == [503019786, 503019999]
    ran = murine("data", "list", "allen", "--failed", "--layer", "4", "--class", "excitatory", "--each")
    assert str(FAILED) in ran.out
    ran = murine("data", "list", "allen", "--no-tagged", "--by", "tags", "--format", "csv")
    assert rows(ran.out)[0]["tags"] == ""
    assert len(rows(ran.out)) == 1


def test_list_neuropixels_counts_units(murine, at):
    ran = murine("data", "list", "allen-neuropixels", *at, "--format", "csv")
    assert [int(row["session_id"]) for row in rows(ran.out)] == [715093703, 719161530]
    # the seven kinds of units in VISp that pass, and one whose channel is not valid: only the file tells
    assert {(row["units_VISp"], row["units_VISal"]) for row in rows(ran.out)} == {("8", "0")}


def test_list_without_a_name_tells_both_kinds(murine):
    ran = murine("data", "list")
    assert "It needs no data." in ran.out
    assert "`murine data list allen-neuropixels`" in ran.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["list", "alen"], "unknown public dataset 'alen'; did you mean allen"),
        (["list", "--area", "VISp"], "--area: of which public data set? Give its name: allen, allen-neuropixels"),
        (["list", "allen", "--layer-scheme", "alen-cnn"], "--layer-scheme is 'alen-cnn'; did you mean allen-cnn"),
        (["build", "allen", "--out", "x.nc", "--signal", "dff", "--signal", "events"], "one --signal; it was given 2"),
        (["list", "allen", "--area", "VISP"], "no experiment has area VISP; did you mean VISp"),
        (["list", "allen", "--cre", "foo"], "'foo' names no Cre lines"),
        (["list", "allen", "--depth", "300:200"], "--depth '300:200' is not understood"),
        (["list", "allen", "--by", "aera"], "cannot be counted by aera; did you mean area"),
        (["list", "allen", "--by", ","], "cannot be counted by nothing. There are"),
        (["list", "allen", "--experiments", str(FAILED)], "; 1 would, but belong to failed containers."),
        (["list", "allen", "--endpoint", "localhost:1"], "'localhost:1' is no address; expected one as http://"),
        (["list", "allen-neuropixels", "--area", "VISx"], "no area VISx; did you mean VISp"),
        (["list", "allen-neuropixels", "--sessions", "5"], "no session 5 with natural scenes. Sessions with natural"),
        (
            ["list", "allen-neuropixels", "--cre", "sst", "--cells"],
            "--cre, --cells: not for allen-neuropixels, only for allen. allen-neuropixels takes --area, --sessions.",
        ),
        (["fetch", "allen", "--signal", "df"], "no signal 'df'; did you mean dff?"),
        (["fetch", "allen", "--window", "12"], "there is no window '12'"),
        (["fetch", "allen-neuropixels", "--window", "allensdk"], "expected milliseconds after onset as 0:250"),
        (["fetch", "allen-neuropixels", "--events"], "--events: not for allen-neuropixels, only for allen."),
        (["build", "allen", "--out", "x.npz"], "--out 'x.npz' has to end with .nc"),
        (["build", "allen", "--out", "x.nc", "--mask"], "--warp, --mask and --scene-size are about the images"),
        (["build", "allen", "--out", "x.nc", "--scenes", "s.npz", "--scene-size", "8"], "expected HEIGHTxWIDTH"),
        (["build", "allen", "--out", "x.nc", "--set", "a=1"], "need a --selection"),
        (["build", "allen", "--out", "x.nc", "--selection", "conwell"], "did you mean conwell2021?"),
        (["build", "allen", "--out", "x.nc", "--selection", "conwell2021", "--set", "a"], "expected KEY=VALUE"),
        (
            ["build", "allen", "--out", "x.nc", "--selection", "conwell2021", "--set", "min_reliabilty=1"],
            "no setting 'min_reliabilty'; did you mean min_reliability",
        ),
        (
            ["build", "allen", "--out", "x.nc", "--selection", "conwell2021", "--set", "min_reliability=high"],
            "--set min_reliability=high is not understood; expected a number, as 0.75",
        ),
        (
            ["build", "allen", "--out", "x.nc", "--selection", "mice-to-machines", "--set", "n_per_class=5"],
            "no setting 'n_per_class'; did you mean n_per_cluster",
        ),
        (
            ["build", "allen", "--out", "x.nc", "--selection", "conwell2021", "--choices", "2"],
            "--choices repeats --selection mice-to-machines",
        ),
        (
            ["build", "allen", "--out", "x.nc", "--selection", "conwell2021", "--picture", "p"],
            "--picture shows the embedding that --selection mice-to-machines chooses in",
        ),
        (["reduce", "x.nwb", "--out", "y", "--signal", "events"], "--signal events needs --events FOLDER"),
        (["reduce", "x.nwb", "--out", "y", "--signal", "raw"], "there is no signal 'raw'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_meant_is_refused_with_one_message(murine, at, arguments, told):
    reaches = arguments[0] in ("list", "fetch") and "--endpoint" not in arguments
    ran = murine("data", *arguments, *(at if reaches else ()))
    assert ran.code == 2
    assert told in ran.err
    assert ran.err.count("\n") == 1
    assert ran.err.startswith("murine: ")
    assert ran.out == ""


# ------------------------------------------------------------------------------------------------------- fetch


def test_fetch_tells_its_plan_asks_and_does_it_once(murine, allen, tmp_path, monkeypatch):
    monkeypatch.setenv("MURINE_CACHE", str(tmp_path / "cache"))
    with FaultProxy(allen.public.endpoint, lambda r: None) as proxy:
        command = ("data", "fetch", "allen", "--cre", "vip", "--events", "--endpoint", proxy.url)
        ran = murine(*command, "--dry-run")
        assert ran.code == 0
        assert "2 sessions: 0 done, 2 to do\n3 files to fetch, " in ran.err
        assert " free in " in ran.err
        assert "raw files that are fetched are deleted when their recordings are made" in ran.err
        assert f"{NO_EVENTS}_events.npz: no recordings of those events" in ran.err
        monkeypatch.setattr(sys, "stdin", io.StringIO(""))
        ran = murine(*command)
        assert ran.code == 2
        assert "there is nobody to ask whether to do that; give --yes, or --dry-run to see the plan." in ran.err
        assert proxy.sent(".nwb") == 0
        ran = murine(*command, "--yes")
        assert ran.code == 0, ran.err
        assert f"no recording of session {NO_EVENTS}: events-allensdk: the bucket has no events" in ran.err
        assert "2 sessions done now, 0 before, 1 recording impossible (--refresh tries again)" in ran.err
        asked = len(proxy.answers)
        ran = murine(*command)  # nothing to ask about
        assert ran.code == 0
        assert "2 sessions: 2 done, 0 to do" in ran.err
        assert len(proxy.answers) == asked
    assert murine(*command).code == 0  # nobody listens any more
    ran = murine(*command, "--quiet")
    assert (ran.out, ran.err) == ("", "")


def test_fetch_with_raw_files_kept_and_later_deleted(murine, at, tmp_path, monkeypatch):
    monkeypatch.setenv("MURINE_CACHE", str(tmp_path / "cache"))
    command = ("data", "fetch", "allen", "--cre", "vip", "--limit", "1", "--yes")
    ran = murine(*command, *at, "--keep-raw", "--signal", "corrected", "--signal", "dff", "--window", "2:12")
    assert "raw files are kept" in ran.err
    (raw,) = (tmp_path / "cache").rglob("*.nwb")
    assert {file.parent.name for file in (tmp_path / "cache").rglob("*.nc")} == {"corrected-2to12.v1", "dff-2to12.v1"}
    assert murine(*command, "--endpoint", NOWHERE).code == 0  # another window of the file that is here
    assert raw.exists()
    ran = murine(*command, "--endpoint", NOWHERE, "--reduce")
    assert "raw files are deleted, also those that were kept before" in ran.err
    assert not raw.exists()


def test_fetch_that_fails_tells_which_and_why(murine, at, cache):
    ran = murine("data", "fetch", "allen", "--area", "VISpm", "--yes", *at)
    assert ran.code == 2
    assert f"the bucket does not have {GONE}" in ran.err
    assert f"murine: 1 session could not be had:\n  {GONE}: the bucket does not have it\n" in ran.err
    ran = murine("data", "fetch", "allen", "--cre", "sst", "--yes", "--endpoint", NOWHERE, "--retries", "0")
    assert ran.code == 2
    assert f"murine: the bucket at '{NOWHERE}/allen-brain-observatory' cannot be listed: no connection" in ran.err
    ran = murine("data", "fetch", "allen-neuropixels", "--yes", "--endpoint", NOWHERE, "--retries", "0", "--cache", "x")
    assert "Not here yet, in 'x/allen-brain-observatory/visual-coding-neuropixels/ecephys-cache': sessions" in ran.err


# ------------------------------------------------------------------------------------------------------- build


@pytest.fixture(scope="module")
def stocked(allen, cache) -> Path:
    """The cache with all two-photon sessions and both Neuropixels ones."""
    environment = os.environ | {"MURINE_CACHE": str(cache)}
    for name in ("allen", "allen-neuropixels"):
        command = [sys.executable, "-m", "murine", "data", "fetch", name, "--yes"]
        subprocess.run(
            [*command, "--endpoint", allen.public.endpoint], env=environment, capture_output=True, check=False
        )
    return cache


@pytest.mark.usefixtures("stocked")
def test_build_chooses_sessions_and_neurons(murine, tmp_path):
    ran = murine("data", "build", "allen", "--class", "inhibitory", "--out", "new/folder/i.nc")
    assert ran.code == 0, ran.err
    assert f"session {NO_DEMIXED} left out: corrected-allensdk: '{NO_DEMIXED}.nwb'" in ran.err
    assert set(Recording.read(tmp_path / "new/folder/i.nc")["cell_class"]) == {"inhibitory"}
    ran = murine(
        *("data", "build", "allen", "--out", "c.nc", "--selection", "conwell2021"),
        *("--set", "min_reliability=0.5", "--set", "run_alpha=none"),
    )
    assert "conwell2021: " in ran.err
    assert "neurons; of these" in ran.err
    assert "with a split-half reliability of at least 0.5" in ran.err
    assert (Recording.read(tmp_path / "c.nc")["reliability"] >= 0.5).all()
    ran = murine("data", "build", "allen", "--out", "w.nc", "--scenes", "w.npz", "--warp")
    assert "the warp and the mask are those of templates of 918 x 1174 pixels" in ran.err
    assert not (tmp_path / "w.nc").exists()  # nothing half done
    ran = murine("data", "build", "allen", "--out", "s.nc", "--scenes", "s.npz", "--scene-size", "5x6", "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert StimulusSet.from_npz(tmp_path / "s.npz").images.shape == (118, 5, 6)
    ran = murine("data", "build", "allen", "--out", "n.nc", "--window", "0-250ms")
    assert "as corrected-0-250ms. Of any session there is corrected-allensdk" in ran.err


@pytest.mark.usefixtures("stocked")
def test_build_by_clusters_with_a_picture(murine, tmp_path):
    settings = ("n_clusters=2", "n_per_cluster=2", "n_neighbors=3", "n_restarts=2")
    ran = murine(
        *("data", "build", "allen", "--out", "m.nc", "--selection", "mice-to-machines", "--picture", "pictures"),
        *(part for setting in settings for part in ("--set", setting)),
    )
    assert ran.code == 0, ran.err
    assert Recording.read(tmp_path / "m.nc").n_neuroids == 8
    assert re.search(r"choices with 3 seeds share \d \(\d to \d\) of 8 neurons, two lotteries \d; repeat", ran.err)
    base = ("data", "build", "allen", "--selection", "mice-to-machines", "--out", "c.nc", "--set", "seed=4")
    several = murine(*base, "--choices", 2, *(part for setting in settings for part in ("--set", setting)))
    assert several.code == 0, several.err
    choices = [Recording.read(tmp_path / f"c-{seed}.nc") for seed in (4, 5)]
    assert [each.n_neuroids for each in choices] == [8, 8]
    assert not (tmp_path / "c.nc").exists()
    story = choices[0].dataset.attrs["selection"]
    assert story in several.err
    assert story == choices[1].dataset.attrs["selection"]
    other = murine(*base, "--set", "vectors=responses", *(part for s in settings for part in ("--set", s)))
    assert other.code == 0, other.err
    assert list((tmp_path / "pictures").iterdir())


@pytest.mark.usefixtures("stocked")
def test_build_and_score_neuropixels(murine, tmp_path):
    ran = murine("data", "build", "allen-neuropixels", "--area", "VISp", "--out", "p.nc", "--scenes", "p.npz")
    assert ran.code == 0, ran.err
    recording = Recording.read(tmp_path / "p.nc")
    assert set(recording["area"]) == {"VISp"}
    assert set(recording["session_id"]) == {"715093703", "719161530"}
    ran = murine("data", "build", "allen-neuropixels", "--out", "c.nc", "--selection", "conwell2021")
    assert "has no coordinate 'p_run_mod_ns'" in ran.err
    assert "Give run_alpha=None" in ran.err
    ran = murine(
        "score", "pixels", "--no-controls", "--against", "p.nc", "--stimuli", "p.npz", "--input-size", "64", *FEW
    )
    assert ran.code == 0, ran.err
    assert "1 computed" in ran.err


@pytest.mark.usefixtures("stocked")
def test_the_cache_is_a_data_set_by_name(murine):
    ran = murine("data", "show", "allen", "--by", "area,cell_class", "--format", "csv")
    assert ran.code == 0, ran.err
    assert "VISp inhibitory" in {row["site"] for row in rows(ran.out)}
    assert {row["n_stimuli"] for row in rows(ran.out)} == {"118"}
    assert ran.err.count("left out for constant responses") == 1


# ------------------------------------------------------------------------------------------------------- reduce


def test_reduce_files_that_are_here_already(murine, allen, tmp_path):
    files = [allen.tree.nwb(503019786), allen.tree.nwb(501704220), Path("nothing.nwb")]
    ran = murine("data", "reduce", *files, "--out", "made", "--signal", "dff", "--window", "0-250ms")
    assert ran.code == 2
    assert "1 recording written to made\n" in ran.err
    assert "no recording of 2 of 3 files:\n" in ran.err
    assert "of the three sessions of a container only B shows natural scenes" in ran.err
    assert "there is no file 'nothing.nwb'" in ran.err
    assert Recording.read(tmp_path / "made" / "503019786.nc")["window"][0] == "0-250ms"
    events = allen.tree.events(503019786).parent
    ran = murine("data", "reduce", files[0], "--out", "made", "--signal", "events", "--events", events)
    assert ran.code == 0, ran.err
    assert Recording.read(tmp_path / "made" / "503019786.nc")["signal"][0] == "events"
