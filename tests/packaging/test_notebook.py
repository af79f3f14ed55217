"""The ten lines of the README in a notebook, with the installed wheel: the numbers of the command line, to the bit."""

from __future__ import annotations

import json
import os
import subprocess

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient
from nwb_files import Spikes, add_presentations, add_units, empty, save, shown

from murine.scenes import synthetic_scenes

STIMULI = [f"im{i}" for i in range(20)]
FEW = ("--bootstraps", 20, "--permutations", 20, "--splits", 2, "--no-controls", "--by", "area")

SETUP = """
import json
import numpy as np, pandas as pd, torch
from torch import nn
import murine

FEW = {"n_bootstraps": 20, "n_permutations": 20, "n_splits": 2, "by": "area"}

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.conv, self.act = nn.Conv2d(3, 6, 5, 3), nn.ReLU()

    def forward(self, images):
        return self.act(self.conv(images))

def keep(name, scores):
    rows = scores.to_frame()
    rows = rows.iloc[np.lexsort([rows[key].astype(str) for key in ("chosen", "split", "layer", "site")])]
    columns = ["site", "layer", "split", "chosen", "score", "low", "high", "ceiling", "ceiled", "p_value"]
    rows[columns].to_json(f"{name}.json", orient="split", double_precision=15)
    np.save(f"{name}.npy", rows[columns[4:]].to_numpy(float))
"""

#: A name of the case, the cell, and what the command line is asked for.
CASES = {
    "name": (
        """
data = murine.load_data("simulated")
network = murine.load_network("test_vit@random:0", input_size=32)
scores = murine.score(network, data, metric="rsa-pearson", **FEW)
print(scores.summary())
keep("name", scores)
scores
""",
        ("test_vit@random:0", "--input-size", 32, "--against", "simulated"),
    ),
    "module": (
        """
network = murine.load_network(Net(), mean=0.5, std=0.25, input_size=32)
keep("module", murine.score(network, "simulated", **FEW))
""",
        ("net.py:build", "--input-size", 32, "--against", "simulated"),
    ),
    "array": (
        """
arrays = np.load("arrays.npz")
recording = murine.Recording.from_arrays(arrays["trials"], {"neuroid_id": arrays["units"], "area": arrays["areas"]},
                                         arrays["ids"], name="array")
data = murine.load_data(recording, stimuli=murine.StimulusSet.from_arrays(arrays["images"], arrays["ids"]))
recording.write("array.nc")
keep("array", murine.score(network, data, **FEW))
""",
        ("net.py:build", "--input-size", 32, "--against", "array.nc", "--stimuli", "images.npz"),
    ),
    "table": (
        """
data = murine.load_data("trials.csv", stimuli="images.npz")
keep("table", murine.score(network, data, **FEW))
""",
        ("net.py:build", "--input-size", 32, "--against", "trials.csv", "--stimuli", "images.npz"),
    ),
    "frame": (
        """
recording = murine.Recording.from_frame(pd.read_csv("trials.csv"), area="area")
keep("frame", murine.score(network, murine.load_data(recording, stimuli="images.npz"), **FEW))
""",
        ("net.py:build", "--input-size", 32, "--against", "trials.csv", "--stimuli", "images.npz"),
    ),
    "nwb": (
        """
data = murine.load_data("units.nwb", stimuli="images.npz")
keep("nwb", murine.score(network, data, **FEW))
""",
        ("net.py:build", "--input-size", 32, "--against", "units.nwb", "--stimuli", "images.npz"),
    ),
}

NET_FILE = SETUP.split("FEW")[0].replace("import murine\n", "") + SETUP[SETUP.index("class") : SETUP.index("def keep")]
NET_FILE += """
def build():
    net = Net()
    net.default_cfg = {"input_size": (3, 32, 32), "mean": (0.5,) * 3, "std": (0.25,) * 3}
    return net
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with images, and the responses of neurons that see them in several kinds of files."""
    desk = tmp_path_factory.mktemp("desk")
    rng = np.random.default_rng(0)
    images = synthetic_scenes(len(STIMULI), 32).images
    clean = rng.normal(size=(12, images[0].size)) @ (images.reshape(len(images), -1) / 255 - 0.5).T
    trials = (clean[:, :, None] + rng.normal(size=(12, len(images), 4)) * clean.std()).astype(np.float32)
    units, areas = [f"n{i}" for i in range(12)], ["VISp"] * 6 + ["VISl"] * 6
    np.savez(desk / "images.npz", images=images, ids=STIMULI)
    np.savez(desk / "arrays.npz", images=images, ids=STIMULI, trials=trials, units=units, areas=areas)
    rows = [
        (STIMULI[j], units[i], k, trials[i, j, k], areas[i])
        for i in range(12)
        for j in range(len(STIMULI))
        for k in range(4)
    ]
    columns = ["stimulus", "neuroid", "repetition", "response", "area"]
    pd.DataFrame(rows, columns=columns).to_csv(desk / "trials.csv", index=False)
    nwb = empty()
    add_presentations(nwb, shown(STIMULI, n_repetitions=2))
    add_units(nwb, Spikes([np.sort(rng.uniform(0, 24, 3000)) for _ in range(12)], areas))
    save(nwb, desk / "units.nwb")
    (desk / "net.py").write_text(NET_FILE)
    return desk


@pytest.fixture(scope="module")
def notebook(installed, desk, tmp_path_factory):
    """The notebook, executed by the Python of the wheel's environment."""
    kernels = tmp_path_factory.mktemp("jupyter")
    (kernels / "kernels" / "wheel").mkdir(parents=True)
    argv = [str(installed / "python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "wheel", "language": "python"}
    (kernels / "kernels" / "wheel" / "kernel.json").write_text(json.dumps(spec))
    cells = [nbformat.v4.new_code_cell(text) for text in (SETUP, *(cell for cell, _ in CASES.values()))]
    made = nbformat.v4.new_notebook(cells=cells)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(kernels))
        patch.setenv("JUPYTER_RUNTIME_DIR", str(kernels))
        patch.delenv("PYTHONPATH", raising=False)
        NotebookClient(made, timeout=300, kernel_name="wheel", resources={"metadata": {"path": str(desk)}}).execute()
    return made


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
@pytest.mark.parametrize("case", CASES)
def test_the_notebook_has_the_numbers_of_the_command_line(case, notebook, installed, desk):
    surroundings = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = (installed / "murine", "score", *CASES[case][1], *FEW, "--atlas", f"atlas-{case}", "--quiet")
    done = subprocess.run([*map(str, command)], cwd=desk, env=surroundings, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    table = pd.read_parquet(desk / f"atlas-{case}" / "scores")
    table = table.iloc[np.lexsort([table[key].astype(str) for key in ("chosen", "split", "layer", "site")])]
    theirs = table[["score", "low", "high", "ceiling", "ceiled", "p_value"]].to_numpy(float)
    ours = np.load(desk / f"{case}.npy")
    assert np.isfinite(theirs[:, 0]).any()
    np.testing.assert_array_equal(ours, theirs)


def test_scores_show_as_a_table_in_the_notebook(notebook):
    outputs = notebook.cells[1].outputs
    printed = "".join(output["text"] for output in outputs if output.get("name") == "stdout")
    assert "of the noise ceiling of simulated cortex" in printed
    assert "<table" in outputs[-1]["data"]["text/html"]
