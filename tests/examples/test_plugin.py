"""The example plug-in as an installed package: what it adds is in every place where names are listed or used."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import murine
from murine.networks import zoo
from murine.networks.spec import NetworkSpec
from murine.stimuli import matched

ROOT = Path(__file__).resolve().parents[2]
NAME = "mutual-nearest-neighbours"
K = 10
FEW = ("--bootstraps", 20, "--permutations", 19, "--splits", 2, "--no-controls", "-q", "--format", "json")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run a program in a folder of its own, with the plug-in installed beside murine."""
    folder, target = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("plugins")
    source = shutil.copytree(ROOT / "examples" / "plugin", folder / "source")  # a build writes beside its sources
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet")
    pip = [sys.executable, "-m", "pip", "install", *offline, "--target", str(target), str(source)]
    made = subprocess.run(pip, capture_output=True, text=True, timeout=300)
    assert made.returncode == 0, made.stderr
    path = os.pathsep.join([str(Path(murine.__file__).parents[1]), str(target)])
    surroundings = os.environ | {"PYTHONPATH": path, "MURINE_IN_PROCESS": "1", "COLUMNS": "200"}

    def run(*arguments):
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, timeout=500)
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


@pytest.fixture(scope="module")
def scored(run):
    """Pixels against the simulated cortex, in the atlas of the folder."""
    return json.loads(run("-m", "murine", "score", "pixels", "--against", "simulated", "--metric", NAME, *FEW))


def neighbours(patterns):
    """The nearest images of each, by the cosine between patterns, as NumPy gives it."""
    unit = patterns / np.linalg.norm(patterns, axis=1, keepdims=True)
    similarities = unit @ unit.T
    np.fill_diagonal(similarities, -np.inf)
    return [set(order[:K]) for order in np.argsort(-similarities, axis=1)]


def test_the_metric_has_the_score_of_its_definition(run, scored):
    (row,) = scored
    assert (row["network"], row["metric"]) == ("pixels", NAME)
    rows = json.loads(run("-m", "murine", "results", "--view", "layers", "--format", "json"))
    data = murine.load_data("simulated")
    stimuli, recording = data.stimuli, data.responses
    order = [recording.stimulus_ids.index(i) for i in sorted(recording.stimulus_ids)]
    network = zoo.load(NetworkSpec("pixels"))
    images = matched(stimuli, sorted(recording.stimulus_ids))
    grey = network.preprocessing.apply(images).mean(dim=1).flatten(1).double().numpy()
    layer = neighbours(grey)
    areas = {row["site"]: row["score"] for row in rows if row["layer"] == "pixels" and row["stimuli"] == "all"}
    assert len(areas) == 3
    for area, score in areas.items():
        site = neighbours(recording.mean()[recording["area"] == area][:, order].T)
        expected = np.mean([len(a & b) / K for a, b in zip(layer, site, strict=True)])
        assert score == pytest.approx(expected, abs=1e-9)


def test_the_metric_is_in_the_help_and_the_help_imports_no_plug_in(run):
    assert NAME in " ".join(run("-m", "murine", "score", "--help").replace("│", " ").split())
    code = (
        "import sys; from murine.cli import main\n"
        "sys.argv = ['murine', 'score', '--help']\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'numpy', 'pandas', 'murine_example'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    assert NAME in run("-c", code).replace("\n", "")


@pytest.mark.usefixtures("scored")
def test_the_page_tells_what_the_metric_is(run):
    run("-m", "murine", "report", "--out", "page.html", "-q")
    page = run("-c", "print(open('page.html', encoding='utf-8').read())")
    assert "the score is the mean share of neighbours in common" in page
    assert "with fewer images they are higher" in page
    assert "The platonic representation hypothesis" in page


def test_the_metric_is_verified_by_its_own_reference(run):
    rows = json.loads(run("-m", "murine", "verify", "--format", "json", "-q"))
    (row,) = [row for row in rows if row["metric"] == NAME]
    assert (row["reference"], row["agreement"]) == ("NumPy", "ok")
    assert row["function"] == "definition, image by image"
    assert row["difference"] < 1e-12


def test_the_metric_is_in_the_table_of_metrics(run):
    lines = run(ROOT / "tools" / "tabulate_metrics.py").splitlines()
    (line,) = [line for line in lines if line.startswith(f"| `{NAME}`")]
    assert line.endswith("| no | higher | neurons or matrices |")


def test_all_metrics_are_computed_for_the_data_and_the_network_of_the_plug_in(run):
    command = ("score", "mean-colours", "--against", "tuned-neurons", "--metric", "all", "--atlas", "other")
    rows = json.loads(run("-m", "murine", *command, *FEW))
    assert {"rsa-pearson", "pls-25", NAME} <= {row["metric"] for row in rows}
    assert {row["network"] for row in rows} == {"mean-colours"}
    assert all(np.isfinite(row["value"]) for row in rows)


@pytest.mark.usefixtures("scored")
def test_the_words_about_the_data_set_are_listed_and_on_the_page(run):
    listed = json.loads(run("-m", "murine", "data", "list", "--format", "json"))
    (row,) = [row for row in listed if row["name"] == "tuned-neurons"]
    assert row["licence"] == "CC0"
    assert row["about"].startswith("Simulated neurons that prefer an orientation")
    run("-m", "murine", "score", "pixels", "--against", "tuned-neurons", "--atlas", "gratings", *FEW)
    run("-m", "murine", "report", "--atlas", "gratings", "--out", "gratings.html", "-q")
    page = run("-c", "print(open('gratings.html', encoding='utf-8').read())")
    assert "Simulated neurons that prefer an orientation, and the gratings" in page
    assert "a score tells nothing about natural images" in page
    assert "Licence: CC0." in page


def test_the_networks_of_the_source_are_listed_and_load(run):
    listed = json.loads(run("-m", "murine", "models", "small:*", "--format", "json"))
    assert [row["network"] for row in listed] == ["small:shallow", "small:deep"]
    code = (
        "from murine.networks import zoo\n"
        "network = zoo.load('small:deep+neurn(k=3)@input@random:0', input_size=32)\n"
        "print(network.name, network.weights, sum(p.numel() for p in network.module.parameters()))\n"
    )
    n_parameters = (3 * 9 + 1) * 8 + 2 * (8 * 9 + 1) * 8
    assert run("-c", code).strip() == f"small:deep+neurn(k=3)@input random:0 {n_parameters}"


STUDY = """
import json, sys
import murine
from safetensors.torch import save_model
print(json.dumps({"described": murine.studies.describe(), "names": murine.studies.names()}))
study = murine.studies.studies["trained-against-random"]
trained = murine.load_network("small:shallow@random:7", input_size=32)
save_model(trained.module, "trained.safetensors")
few = dict(n_bootstraps=20, n_permutations=0, n_splits=2, input_size=32)
result = study.run(data=["simulated"], networks=["small:shallow@trained.safetensors"], atlas="studied", **few)
networks = ["small:shallow@trained.safetensors", "small:shallow@random:0"]
paired = murine.compare(networks, "simulated", controls=False, **few).differences()
result.write("figures")
print(json.dumps([repr(result), result.verdicts().to_dict("records"), paired.to_dict("records")]))
print(study.describe())
"""


def test_the_study_is_listed_and_runs(run):
    lines = run("-c", STUDY).splitlines()
    listed = json.loads(lines[0])
    assert "trained-against-random" in listed["names"]
    assert listed["described"]["trained-against-random"] == "Do trained networks score above their random twins?"
    told, (claim,), (pair,) = json.loads(lines[1])
    assert told.startswith("<StudyResult trained-against-random: 1 table, 1 figure, 1 claim (1 ")
    assert lines[2] == "Trained against random weights: Do trained networks score above their random twins?"
    sign = -1 if pair["weights"].startswith("random") else 1
    ends = sorted([sign * pair["low"], sign * pair["high"]])
    assert [claim["estimate"], claim["low"], claim["high"]] == [sign * pair["difference"], *ends]
    assert claim["verdict"] == ("reproduced" if claim["low"] > 0 else "not reproduced")
    written = run("-c", "import os; print(*sorted(os.listdir('figures')))")
    assert written.split() == ["claims.csv", "differences.csv"]


def test_the_domain_is_listed_and_loads(run):
    rows = json.loads(run("-m", "murine", "domains", "list", "--format", "json"))
    (bars,) = [row for row in rows if row["domain"] == "bars"]
    assert (bars["train"], bars["test"], bars["here"]) == (400, 100, "yes")
    code = (
        "from murine.domains.catalogue import load_domain\n"
        "domain = load_domain('bars')\n"
        "grey = domain.images.mean(axis=3)\n"
        "upright = grey.mean(axis=1).std(axis=1) > grey.mean(axis=2).std(axis=1)\n"
        "print(((domain.labels == 0) == upright).mean(), domain.classes)\n"
    )
    assert run("-c", code).strip() == "1.0 ('upright', 'lying')"


def test_the_commands_run_and_know_the_data_set_of_the_plug_in(run):
    rows = json.loads(run("-m", "murine", "sparseness", "neurons", "tuned-neurons", "--format", "json"))
    code = "from murine_example.tuned_neurons import tuned_neurons; print(tuned_neurons().responses.mean().tolist())"
    means = np.array(json.loads(run("-c", code)))
    n = means.shape[1]
    expected = [(1 - (sum(r) / n) ** 2 / (sum(r * r) / n)) / (1 - 1 / n) for r in means]
    assert [row["sparseness"] for row in rows] == pytest.approx(expected)
    (site,) = json.loads(run("-m", "murine", "sparseness", "sites", "tuned-neurons", "--format", "json"))
    assert site == {"area": "V1", "neurons": 30, "sparseness": pytest.approx(np.median(expected))}
    assert "sparseness" in run("-m", "murine", "--help")


@pytest.mark.parametrize(("rates", "sparseness"), [([2, 2, 2, 2], 0), ([0, 0, 8, 0], 1), ([4, 4, 0, 0], 2 / 3)])
def test_sparseness_of_known_cases(run, rates, sparseness):
    code = (
        "import numpy as np, murine\n"
        f"rates = np.array({[rates, rates]}, float)[:, :, None].repeat(2, axis=2)\n"
        "labels = {'neuroid_id': ['a', 'b'], 'area': ['x', 'x']}\n"
        "murine.Recording.from_arrays(rates, labels, {'stimulus_id': [*'ijkl']}).write('known.nc')\n"
        "images = murine.StimulusSet(np.zeros((4, 8, 8), np.uint8), tuple('ijkl'), (), 'four')\n"
        "images.write('known.npz')\n"
    )
    run("-c", code)
    command = ("sparseness", "neurons", "known.nc", "--stimuli", "known.npz", "--format", "json")
    assert [row["sparseness"] for row in json.loads(run("-m", "murine", *command))] == pytest.approx([sparseness] * 2)


def test_the_metric_is_one_short_file():
    """As much as a stranger has to write."""
    folder = ROOT / "examples" / "plugin" / "src" / "murine_example"
    lengths = {file.stem: len(file.read_text("utf-8").splitlines()) for file in folder.glob("*.py")}
    assert lengths["mutual_nearest_neighbours"] <= 60
    assert set(lengths) == {
        "__init__",
        "mutual_nearest_neighbours",
        "tuned_neurons",
        "mean_colours",
        "small_networks",
        "bars",
        "trained_against_random",
        "sparseness",
    }
