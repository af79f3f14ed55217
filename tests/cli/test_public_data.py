"""A third public data set, from a package beside murine: every data command works with it, and none was edited."""

from __future__ import annotations

import functools
import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import three_mice

from murine.cortex.public_data import DataAccess, PublicOption, public_datasets
from murine.cortex.recording import Recording
from murine.errors import MurineError
from murine.limits import Limits
from murine.stimuli import StimulusSet

HELPERS = Path(three_mice.__file__).parent


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Tell nobody of requests."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A plain web server with the files of the data set."""
    folder = tmp_path_factory.mktemp("server")
    three_mice.write_files(folder)
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(folder))
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run murine in a folder of its own, with the package of the data set installed beside it."""
    folder, packages = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("packages")
    about = packages / "three_mice-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: three_mice\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[murine.public_dataset]\nthree-mice = three_mice:three_mice\nmice-class = three_mice:ThreeMice\n"
    )
    paths = [str(packages), str(HELPERS), *([os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else [])]
    surroundings = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "MURINE_CACHE": str(folder / "cache"),
        "COLUMNS": "160",
    }

    def run(*arguments):
        command = [sys.executable, "-m", "murine", *map(str, arguments)]
        done = subprocess.run(
            command, cwd=folder, env=surroundings, capture_output=True, text=True, timeout=300, check=False
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    run.folder = folder
    return run


def test_it_is_listed_with_its_own_options(run):
    assert "`murine data list three-mice`: Three mice that saw twelve gratings." in run("data", "list").stderr
    listed = run("data", "list", "three-mice", "--area", "VISp", "--whiskers", 30, "--format", "json")
    assert [(row["mouse"], row["whiskers"]) for row in json.loads(listed.stdout)] == [("anna", 30), ("bert", 30)]
    listed = run("data", "list", "three-mice")
    assert "whiskers" not in listed.stdout
    assert "3 mice\n" in listed.stderr
    told = " ".join(run("data", "list", "--help").stdout.replace("│", " ").split())
    assert "three-mice: How many whiskers a mouse has. [default: 24]" in told
    assert "allen, allen-neuropixels: Only this session" in told  # which this one has not


def test_an_option_of_another_data_set_is_refused_in_its_words(run):
    done = run("data", "list", "three-mice", "--cre", "sst")
    assert done.returncode == 2
    assert done.stderr == ("murine: --cre: not for three-mice, only for allen. three-mice takes --area, --whiskers.\n")
    done = run("data", "build", "three-mice", "--out", "a.nc", "--scenes", "a.npz", "--warp")
    assert "--warp: not for three-mice, only for allen and allen-neuropixels. three-mice takes --area." in done.stderr
    done = run("data", "build", "three-mice", "--out", "a.nc", "--grey")
    assert "--grey is about the images; give --scenes FILE.npz to write them." in done.stderr


def test_it_is_fetched_and_built(run, server):
    url, folder = server
    fetch = ("data", "fetch", "three-mice", "--check", "size", "--endpoint", url)
    assert "3 of 3 files to fetch" in run(*fetch, "--area", "VISp", "--dry-run").stderr
    assert "no mouse is here" in run("data", "build", "three-mice", "--out", "a.nc").stderr
    done = run(*fetch, "--area", "VISp")
    assert (done.returncode, "nobody to ask" in done.stderr) == (2, True)
    done = run(*fetch, "--area", "VISp", "--yes")
    assert done.returncode == 0, done.stderr
    assert "3 files fetched\n`murine data build three-mice --out FILE.nc`" in done.stderr
    assert "Please cite Mus et al. 2020, https://doi.org/10.1/mus. CC0." in done.stderr
    done = run("data", "build", "three-mice", "--out", "two.nc", "--scenes", "two.npz", "--grey")
    assert done.returncode == 0, done.stderr
    recording = Recording.read(run.folder / "two.nc")
    expected = np.concatenate([np.load(folder / f"{mouse}.npz")["rates"] for mouse in ("anna", "bert")])
    np.testing.assert_allclose(recording.responses, expected, rtol=1e-6)
    images = StimulusSet.from_npz(run.folder / "two.npz").images
    assert {len(np.unique(image)) for image in images} == {1}
    (folder / "carl.npz").unlink()
    done = run(*fetch, "--yes", "--retries", "0")
    assert done.returncode == 2
    assert "murine: carl.npz: " in done.stderr


def test_an_entry_that_is_no_data_set_is_told_and_harms_no_other(run):
    """A class in place of an object is the mistake that is made."""
    done = run("data", "fetch", "mice-class", "--yes")
    assert done.returncode == 2
    assert "expected an object of a subclass of PublicDataset" in done.stderr
    assert "mice-class" not in run("data", "list").stderr


def test_a_selection_of_neurons_applies_to_it(run, server):
    run("data", "fetch", "three-mice", "--check", "size", "--endpoint", server[0], "--yes", "--area", "VISp")
    chosen = ("--selection", "conwell2021", "--set", "min_reliability=-1", "--set", "run_alpha=none")
    done = run("data", "build", "three-mice", "--out", "c.nc", *chosen)
    assert done.returncode == 0, done.stderr
    assert "conwell2021: 8 neurons" in done.stderr


# ------------------------------------------------------------------------------------------------------- options


def test_values_are_checked_before_anything_is_read():
    number = PublicOption("limit", "At most so many.", ("list",), int, limits=Limits(1, 5))
    assert number.checked(5) == 5
    for wrong, said in ((6, "--limit is 6; expected a number from 1 to 5"), ("6", "--limit is '6'; expected a whole")):
        with pytest.raises(MurineError, match=said):
            number.checked(wrong)
    scheme = PublicOption("scheme", "Rule.", ("list",), choices=("deep", "flat"))
    with pytest.raises(MurineError, match="--scheme is 'dep'; did you mean deep"):
        scheme.checked("dep")
    several = PublicOption("area", "Area.", ("list",), many=True, parse=str.upper)
    assert several.checked(["a", "b"]) == ("A", "B")
    assert several.checked("ab") == ("AB",)


def test_settings_hold_every_option_of_a_use_and_no_other():
    settings = public_datasets["allen"].read_options("list", {"depth": ["175", "200:300"]})
    assert settings["depth"] == ((175.0, 175.0), (200.0, 300.0))
    assert (settings["area"], settings["cells"], settings["layer-scheme"]) == ((), False, "allen-cnn")
    assert "keep-raw" not in settings
    assert public_datasets["allen"].read_options("plan", {})["keep-raw"] is None
    with pytest.raises(MurineError, match=r"--tail: not for allen\. allen takes --area, "):
        public_datasets["allen"].read_options("list", {"tail": 1})
    with pytest.raises(MurineError, match="no address"):
        DataAccess(endpoint="ftp://x")


@pytest.mark.parametrize("name", ["allen", "allen-neuropixels"])
def test_a_data_set_says_whom_to_cite(name):
    data_set = public_datasets[name]
    assert data_set.name == name
    assert data_set.about.count(".") == 1
    assert "https://doi.org/10.1038/s415" in data_set.citation_text()
    assert "https://alleninstitute.org/terms-of-use" in data_set.citation_text()
