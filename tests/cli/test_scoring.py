"""The command line as a user meets it: what it prints where, its exit codes, and what it leaves on the disk."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from commands import run_here, without_progress
from PIL import Image

from murine.cortex.recording import Recording

pytestmark = pytest.mark.usefixtures("unchecked")

FEW = ("--bootstraps", "50", "--permutations", "20", "--splits", "5")
COMMANDS = ("demo", "score", "results", "report", "models", "data list", "data show")


@pytest.fixture(scope="module")
def atlas(tmp_path_factory) -> Path:
    """The three controls against the simulated cortex, scored once."""
    folder = tmp_path_factory.mktemp("cli") / "atlas"
    assert run_here("score", "pixels", "gabor", "neurn", *FEW, "--atlas", folder, "-q") == 0
    return folder


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file with the time it was written and its size."""
    files = sorted(f for f in folder.rglob("*") if f.is_file())
    return {str(f.relative_to(folder)): (f.stat().st_mtime_ns, f.stat().st_size) for f in files}


def own_cortex(folder: Path) -> tuple[Path, Path, np.ndarray]:
    """A small recording of a user's own, with its images: a file, a folder and the responses."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (24, 16, 16)).astype(np.uint8)
    (folder / "images").mkdir(parents=True)
    ids = [f"scene{i:02}" for i in range(len(images))]
    for name, image in zip(ids, images, strict=True):
        Image.fromarray(image).save(folder / "images" / f"{name}.png")
    signal_ = generator.standard_normal((10, 256)) @ (images.reshape(24, -1).T / 255 - 0.5)
    responses = signal_[:, :, None] + generator.standard_normal((10, 24, 4))
    neuroid = {"neuroid_id": [f"n{i}" for i in range(10)], "area": ["A", "B"] * 5}
    Recording.from_arrays(responses, neuroid, {"stimulus_id": ids}).write(folder / "mine.nc")
    return folder / "mine.nc", folder / "images", responses


# ------------------------------------------------------------------------------------------------- help


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(murine, command):
    ran = murine(*command.split(), "--help")
    assert ran.code == 0
    assert ran.err == ""
    assert "Example" in ran.out
    assert f"murine {command}" in ran.out.split("Example", 1)[1]


def test_help_version_and_no_arguments(murine):
    ran = murine("--help")
    assert ran.code == 0
    assert all(command.split()[0] in ran.out for command in COMMANDS)
    assert "murine demo" in ran.out
    assert murine("--version").out.startswith("murine 0.")
    assert "Usage" in "".join(murine()[1:])


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from murine.cli import main\n"
        "sys.argv = ['murine', '--help']\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'timm', 'pandas', 'numpy', 'scipy', 'xarray', 'duckdb', 'plotly'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stderr
    assert "Usage" in ran.stdout


def test_python_dash_m_and_its_exit_code():
    ran = subprocess.run(
        [sys.executable, "-m", "murine", "score", "pixels", "--select", "area"],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr == "murine: --select 'area' is not understood; expected KEY=VALUE, as area=VISp.\n"


# ------------------------------------------------------------------------------------------------- score


def test_controls_without_the_layers_that_were_asked_for_are_taken_whole(murine, tmp_path):
    cortex, images, _ = own_cortex(tmp_path)
    (tmp_path / "nets.py").write_text(SLOW_NETWORKS)
    own = ("--against", cortex, "--stimuli", images, *FEW, "--atlas", tmp_path / "a")
    ran = murine("score", f"{tmp_path}/nets.py:fast", "--layers", "co*", *own)
    assert ran.code == 0, ran.err
    assert ran.told.count("controls without a layer 'co*' are scored with all their layers.") == 1
    rows = murine("results", "--view", "layers", "--atlas", tmp_path / "a", "--format", "json").rows
    layers = {name: {row["layer"] for row in rows if row["network"] == name} for name in ("pixels", "nets.py:fast")}
    assert layers == {"pixels": {"pixels"}, "nets.py:fast": {"conv"}}
    assert {row["network"] for row in rows} == {"pixels", "gabor", "neurn", "nets.py:fast"}
    again = murine("score", f"{tmp_path}/nets.py:fast", "--layers", "co*", *own)
    assert "0 computed, 4 done before, 0 failed" in again.err
    wrong = murine("score", f"{tmp_path}/nets.py:fast", "--layers", "relu*", *own)  # the network itself has none
    assert wrong.code == 1
    assert "no module matches 'relu*'" in wrong.err


def test_score_ranks_the_controls(murine, atlas):
    ran = murine("score", "pixels", *FEW, "--atlas", atlas)
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0].startswith("simulated cortex 0, rsa-pearson")
    assert lines[1].split()[:3] == ["band", "network", "weights"]
    assert [line.split()[1] for line in lines[2:5]] == ["gabor", "neurn", "pixels"]
    assert "Traceback" not in ran.err


def test_a_second_run_computes_nothing(murine, atlas):
    before = contents(atlas)
    assert sum(name.startswith("scores/") for name in before) == 3
    ran = murine("score", "pixels", "gabor", "neurn", *FEW, "--atlas", atlas)
    assert ran.code == 0
    assert ran.told == f"0 computed, 3 done before, 0 failed; results are in {atlas}\n"
    assert contents(atlas) == before


def test_quiet_prints_the_result_alone(murine, atlas):
    ran = murine("score", "pixels", *FEW, "--atlas", atlas, "--quiet", "--format", "json")
    assert ran.code == 0
    assert ran.err == ""
    assert {row["network"] for row in json.loads(ran.out)} == {"pixels", "gabor", "neurn"}


def test_formats_agree(murine, atlas):
    command = ("score", "pixels", *FEW, "--atlas", atlas)
    from_json = json.loads(murine(*command, "--format", "json").out)
    from_csv = list(csv.DictReader(io.StringIO(murine(*command, "--format", "csv").out)))
    assert [row["network"] for row in from_json] == [row["network"] for row in from_csv]
    for one, other in zip(from_json, from_csv, strict=True):
        assert one["ceiled_low"] <= one["ceiled"] <= one["ceiled_high"]
        assert {"score", "band", "p_max", "n_sites", "selection", "task"} <= set(one)
        for key in ("score", "ceiled", "ceiled_low", "ceiled_high"):
            assert one[key] == pytest.approx(float(other[key]), abs=1e-12)
    table = murine(*command).out
    assert all(f"{row['ceiled']:.3f} [{row['ceiled_low']:.2f}, {row['ceiled_high']:.2f}]" in table for row in from_json)


def test_results_are_the_same_from_a_second_computation(murine, atlas, tmp_path):
    again = murine("score", "gabor", "--no-controls", *FEW, "--atlas", tmp_path / "b", "-q", "--format", "json").out
    first = murine("results", "--atlas", atlas, "--format", "json", "--network", "gabor").out
    drop = {"band"}  # of another company
    one, other = json.loads(again)[0], json.loads(first)[0]
    assert {k: v for k, v in one.items() if k not in drop} == {k: v for k, v in other.items() if k not in drop}


def test_seed_changes_the_task_and_settings_are_never_mixed(murine, tmp_path):
    cortex, images, _ = own_cortex(tmp_path)
    base = ("score", "pixels", "--no-controls", "--against", cortex, "--stimuli", images, "--atlas", tmp_path / "a")
    base = (*base, *FEW, "--format", "json")
    variants = ((), ("--seed", 1), ("--seed", 1, "--bootstraps", 30), ("--input-size", 16), ("--by", "area,neuroid_id"))
    rows = [json.loads(murine(*base, *variant).out)[0] for variant in variants[:4]]
    assert len({row["task"] for row in rows}) == 4
    # A network of one layer has no choice, whatever the seed: it changes intervals alone.
    assert rows[0]["score"] == rows[1]["score"] == rows[2]["score"] != rows[3]["score"]
    assert rows[0]["ceiled_low"] != rows[1]["ceiled_low"]
    ran = murine("results", "--atlas", tmp_path / "a", "--format", "json")
    assert ran.code == 0, ran.err
    listed = {row["task"]: row for row in json.loads(ran.out)}
    assert len(listed) == 4
    for row in rows:
        for key in ("score", "ceiled", "ceiled_low", "ceiled_high", "naive", "n_sites"):
            assert listed[row["task"]][key] == row[key]
    # Sites of a single neuron are refused before anything is computed, once for all networks.
    ran = murine(*base, "gabor", *variants[4])
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "murine: 'mine' has no group of at least 2 neurons by area, neuroid_id.\n"


def test_several_metrics_sizes_and_twins(murine, tmp_path):
    cortex, images, _ = own_cortex(tmp_path)
    base = ("score", "--no-controls", "--against", cortex, "--stimuli", images, "--atlas", tmp_path / "a", *FEW)
    options = ("--metric", "rsa-pearson", "--metric", "rsa-spearman", "--input-size", "16", "--input-size", "8x12")
    rows = json.loads(murine(*base, "pixels", *options, "--format", "json").out)
    found = {(row["metric"], row["input_size"]) for row in rows}
    assert found == {(metric, size) for metric in ("rsa-pearson", "rsa-spearman") for size in ("16x16", "8x12")}
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "def net():\n"
        "    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())\n"
        "    module.default_cfg = {'input_size': (3, 16, 16)}\n"
        "    return module\n"
    )
    ran = murine(*base, f"{tmp_path}/net.py:net", "pixels", "--twins", 2, "--format", "json")
    assert ran.code == 0, ran.err
    rows = json.loads(ran.out)
    assert sorted((row["network"], row["weights"], row["role"]) for row in rows) == [
        ("net.py:net", "as built", "as built"),
        ("net.py:net", "random:0", "random"),
        ("net.py:net", "random:1", "random"),
        ("pixels", "none", "control"),
    ]


# ------------------------------------------------------------------------------------------------- results


def test_views_carry_scores_with_intervals_and_ceilings(murine, atlas):
    sites = json.loads(murine("results", "--atlas", atlas, "--view", "sites", "--format", "json").out)
    layers = json.loads(murine("results", "--atlas", atlas, "--view", "layers", "--format", "json").out)
    assert {row["site"] for row in sites} == {"SIMp", "SIMl", "SIMam"}
    assert {row["chosen"] for row in sites} == {"naive", "nested"}
    assert {row["layer"] for row in layers if row["network"] == "gabor"} > {"energy_8"}
    for row in (*sites, *(row for row in layers if row["stimuli"] == "all")):
        assert row["low"] <= row["score"] <= row["high"]
        assert row["ceiling_low"] <= row["ceiling"] <= row["ceiling_high"]
        assert row["ceiled"] == pytest.approx(row["score"] / row["ceiling"], abs=1e-12)
    assert "draws" not in sites[0]
    assert murine("results", "--atlas", atlas, "--view", "sites").out.splitlines()[1].split()[0] == "network"


def test_filters_sorting_and_limit(murine, atlas):
    base = ("results", "--atlas", atlas, "--view", "layers", "--format", "json")
    everything = json.loads(murine(*base).out)
    some = json.loads(murine(*base, "--network", "ga*", "--site", "SIM[lp]", "--layer", "energy_?").out)
    assert 0 < len(some) < len(everything)
    assert {row["network"] for row in some} == {"gabor"}
    assert {row["site"] for row in some} == {"SIMl", "SIMp"}
    assert all(row["layer"].startswith("energy_") for row in some)
    up = [row["score"] for row in json.loads(murine(*base, "--sort", "score").out)]
    down = [row["score"] for row in json.loads(murine(*base, "--sort", "-score", "--limit", 5).out)]
    assert up == sorted(up)
    assert down == sorted(up, reverse=True)[:5]
    ran = murine("results", "--atlas", atlas, "--network", "gobar")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("murine: no result has network 'gobar'")
    assert "gabor" in ran.err
    for option, value in (("--cortex", "simulated cortex 0"), ("--metric", "rsa-pearson")):
        assert len(json.loads(murine(*base, option, value).out)) == len(everything)
        assert murine("results", "--atlas", atlas, option, value).code == 0


def test_sql(murine, atlas):
    question = "SELECT network, count(DISTINCT site) AS n FROM scores GROUP BY network ORDER BY network"
    answer = json.loads(murine("results", "--atlas", atlas, "--sql", question, "--format", "json").out)
    assert answer == [{"network": name, "n": 3} for name in ("gabor", "neurn", "pixels")]
    assert murine("results", "--atlas", atlas, "--sql", question, "--format", "csv").out.splitlines()[1] == "gabor,3"
    assert "gabor" in murine("results", "--atlas", atlas, "--sql", question).out


def test_report_writes_one_file(murine, atlas, tmp_path):
    ran = murine("report", "--atlas", atlas, "--out", tmp_path / "new" / "page.html")
    assert ran.code == 0
    assert ran.err == f"the report is in {tmp_path / 'new' / 'page.html'}\n"
    assert [f.name for f in tmp_path.rglob("*") if f.is_file()] == ["page.html"]
    assert "gabor" in (tmp_path / "new" / "page.html").read_text()
    assert murine("report", "--atlas", atlas, "--out", tmp_path / "page.html", "-q")[1:] == ("", "")


# ------------------------------------------------------------------------------------------------- models and data


def test_models(murine):
    names = [row["network"] for row in json.loads(murine("models", "resnet1*", "--format", "json").out)]
    assert {"resnet18", "resnet101"} <= set(names)
    assert all(name.startswith("resnet1") for name in names)
    tags = json.loads(murine("models", "resnet18", "--pretrained", "--format", "json").out)
    assert any("a1_in1k" in row["network"] for row in tags)
    assert "control" in murine("models", "gabor").out
    ran = murine("models", "rezzznet")
    assert ran.code == 2
    assert ran.err.startswith("murine: no network matches 'rezzznet'")


def test_data_list_and_show(murine):
    listed = json.loads(murine("data", "list", "--format", "json").out)
    assert {row["name"] for row in listed} >= {"simulated", "allen-2p", "allen-neuropixels"}
    assert all(len(row["about"]) > 20 for row in listed)
    shown = json.loads(murine("data", "show", "simulated", "--format", "json").out)
    assert [row["site"] for row in shown] == ["SIMam", "SIMl", "SIMp"]
    for row in shown:
        assert row["n_repetitions"] == 20
        assert row["n_stimuli"] == 100
        assert row["ceiling_low"] <= row["ceiling"] <= row["ceiling_high"]
        assert 0 < row["neuron_reliability_median"] <= 1


# ------------------------------------------------------------------------------------------------- one's own cortex


def test_own_recording_with_a_folder_of_images(murine, tmp_path):
    cortex, images, responses = own_cortex(tmp_path)
    common = ("--stimuli", images, "--format", "json")
    command = ("score", "pixels", "--against", cortex, *FEW, "--atlas", tmp_path / "a", *common)
    ran = murine(*command, "--no-controls", "--input-size", 16)
    assert ran.code == 0, ran.err
    (row,) = json.loads(ran.out)
    assert (row["cortex"], row["network"], row["n_sites"]) == ("mine", "pixels", 2)
    sites = json.loads(murine("results", "--atlas", tmp_path / "a", "--view", "layers", "--format", "json").out)
    # The whole way, checked against a few lines of numpy: neurons as they are, correlation distance, Pearson.
    pixels = np.stack([np.asarray(Image.open(f), float).ravel() for f in sorted(images.glob("*.png"))])
    upper = np.triu_indices(24, 1)
    for site in sites:
        mean = responses[["A", "B"].index(site["site"]) :: 2].astype(np.float32).astype(float).mean(axis=2)
        expected = np.corrcoef(np.corrcoef(mean.T)[upper], np.corrcoef(pixels)[upper])[0, 1]
        assert site["score"] == pytest.approx(expected, abs=1e-5)
    selected = json.loads(murine(*command, "--no-controls", "--select", "area=A").out)
    assert selected[0]["n_sites"] == 1
    shown = json.loads(murine("data", "show", cortex, *common).out)
    assert [(row["site"], row["n_neuroids"]) for row in shown] == [("A", 5), ("B", 5)]


def test_own_matrices_with_images_in_an_npz(murine, tmp_path):
    _, folder, responses = own_cortex(tmp_path)
    ids = [f.stem for f in sorted(folder.glob("*.png"))]
    np.savez(tmp_path / "images.npz", images=[np.asarray(Image.open(folder / f"{i}.png")) for i in ids], ids=ids)
    matrices = 1 - np.stack([np.corrcoef(responses[half].mean(axis=2).T) for half in (slice(5), slice(5, 10))])
    np.savez(
        tmp_path / "rdms.npz", matrices=(matrices + matrices.transpose(0, 2, 1)) / 2, sites=["A", "B"], stimulus_ids=ids
    )
    command = ("score", "pixels", "gabor", "--no-controls", "--against", tmp_path / "rdms.npz")
    command = (*command, "--stimuli", tmp_path / "images.npz", *FEW, "--atlas", tmp_path / "a", "--format", "json")
    ran = murine(*command)
    assert ran.code == 0, ran.err
    rows = json.loads(ran.out)
    assert {(row["cortex"], row["selection"]) for row in rows} == {("rdms", "nested")}
    assert all(row["n_sites"] == 2 for row in rows)
    ran = murine(*command, "--select", "area=A")
    assert ran.code == 2
    assert "neurons cannot be selected" in ran.err


# ------------------------------------------------------------------------------------------------- Ctrl-C

SLOW_NETWORKS = """
import pathlib, time
from torch import nn

class Net(nn.Module):
    default_cfg = {"input_size": (3, 16, 16), "mean": (0, 0, 0), "std": (1, 1, 1)}

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, images):
        return self.conv(images)

class Slow(Net):
    def forward(self, images):
        pathlib.Path(__file__).with_name("started").touch()
        time.sleep(300)

fast, slow = (lambda: Net()), (lambda: Slow())
"""


def test_ctrl_c_tells_and_keeps_what_is_finished(murine, tmp_path):
    cortex, images, _ = own_cortex(tmp_path)
    (tmp_path / "nets.py").write_text(SLOW_NETWORKS)
    own = ("--against", str(cortex), "--stimuli", str(images), "--atlas", str(tmp_path / "a"), "--no-controls", *FEW)
    networks = [f"{tmp_path}/nets.py:{name}" for name in ("fast", "slow")]
    process = subprocess.Popen(
        [sys.executable, "-m", "murine", "score", *networks, *own],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 200
        while not (tmp_path / "started").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, err
    assert out == ""
    assert without_progress(err) == "murine: stopped. What was finished is kept; the same command goes on from there.\n"
    assert not list((tmp_path / "a").rglob("*.partial"))
    ran = murine("score", networks[0], *own)
    assert ran.code == 0, ran.err
    assert ran.told.startswith("0 computed, 1 done before, 0 failed")


def test_the_published_protocol_is_one_option(murine, tmp_path):
    common = ("score", "pixels", "gabor", "--no-controls", *FEW, "--atlas", tmp_path / "a", "-q")
    ran = murine(*common, "--protocol", "conwell2021", "--format", "json")
    assert ran.code == 0, ran.err
    rows = json.loads(ran.out)
    assert {row["metric"] for row in rows} == {"rsa-pearson", "rsa-reweighted", "ridge-conwell2021-per-neuron"}
    for row in rows:
        assert row["treatment"] == "both as they are"
        # Reweighted RSA fits its mixture to other images than it is scored on; nothing else is held out.
        assert row["selection"] == ("nested" if row["metric"] == "rsa-reweighted" else "naive")
    # Beside our own choice of layers, in a table of its own.
    murine(*common)
    text = murine("results", "--atlas", tmp_path / "a", "--metric", "rsa-pearson").out
    assert "layer choice naive" in text
    assert "layer choice held-out" in text


@pytest.mark.parametrize("more", [("--metric", "cka"), ("--normalise", "zscore"), ("--dissimilarity", "cosine")])
def test_a_published_protocol_is_not_changed(murine, tmp_path, more):
    ran = murine("score", "pixels", "--protocol", "conwell2021", *more, "--atlas", tmp_path / "a")
    assert ran.code == 2
    assert ran.err.startswith("murine: --protocol conwell2021 fixes the metrics")
    assert more[0] in ran.err
