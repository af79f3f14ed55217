"""docs/sweeps.md: every command of the page runs, and what the page says of keys is true."""

from __future__ import annotations

import os
import re
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from murine.sweeps.sweep_file import SweepFile, read_sweep

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sweeps.md").read_text("utf-8")


def fenced(language: str) -> list[str]:
    """Return the blocks of one language."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [text for found, text in blocks if found == language]


@pytest.fixture(scope="module")
def ports():
    """The page's port, and one that is free here."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return "8786", str(free.getsockname()[1])


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the files of the page, and the programs that it calls."""
    for text in fenced("yaml"):
        name = re.match(r"# (\S+)\n", text)[1]
        (tmp_path / name).write_text(text.replace("cores: 1", f"cores: 1\nlog_directory: {tmp_path}"))
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("murine", "dask"):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} -m {name} "$@"\n')
        (programs / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(block: str, timeout: float = 300) -> str:
    """Run the lines of a block in one shell; what goes on in the background ends with it."""
    script = f"set -e\ntrap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n{block}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def block_with(text: str) -> str:
    (found,) = [block for block in fenced("") if text in block]
    return found


def test_on_this_machine(place):
    said = run(block_with("--dry-run"))
    assert "Traceback" not in said
    assert "6 tasks: 0 done, 6 missing. Predicted for 6 of the missing" in said
    assert "6 computed, 0 done before, 0 failed" in said
    assert "6 done, 0 running, 0 failed, 0 missing" in said


def test_on_a_dask_cluster(place, ports):
    pytest.importorskip("distributed")
    said = run(block_with("dask scheduler").replace(*ports))
    assert "6 computed, 0 done before, 0 failed" in said


def test_on_jobs_of_slurm(place, slurm, monkeypatch):
    pytest.importorskip("dask_jobqueue")
    monkeypatch.setenv("SLURM_CONF", str(slurm.configuration))
    assert "6 computed, 0 done before, 0 failed" in run(block_with("--cluster slurm.yaml"))


def test_as_a_slurm_array(place, slurm, monkeypatch):
    monkeypatch.setenv("SLURM_CONF", str(slurm.configuration))
    write, submit, look = block_with("--write-sbatch").splitlines()
    run(f"{write}\n{submit}")
    slurm.wait()
    assert "6 done, 0 running, 0 failed, 0 missing" in run(look)


def test_from_python(place):
    (code,) = fenced("python")
    done = subprocess.run([sys.executable, "-c", f"{code}print(outcome)"], capture_output=True, text=True, timeout=300)
    assert done.stdout == "<SweepOutcome in 'atlas': 6 computed, 0 done, 0 failed>\n", done.stderr


def test_every_command_is_run_here():
    tested = ("--dry-run", "dask scheduler", "--cluster slurm.yaml", "--write-sbatch")
    assert len(fenced("")) == len(tested)
    assert all(block_with(text) for text in tested)


def test_every_key_is_in_the_table():
    first_column = [row.split("|")[1] for row in PAGE.splitlines() if row.startswith("| `")]
    named = {name for cell in first_column for name in re.findall(r"\w+", cell)}
    assert named == set(SweepFile.model_fields)


def test_the_defaults_of_the_table_are_true():
    defaults = read_sweep({"networks": "pixels", "data": "simulated"})
    spelled = {
        "weights": "",
        "variants": "plain",
        "twins": 0,
        "controls": True,
        "input_sizes": "native",
        "metrics": "rsa-pearson",
        "seeds": 0,
        "bootstraps": 1000,
        "permutations": 1000,
        "splits": 100,
        "threads": 1,
        "device": "auto",
        "time_limit": 1800,
    }
    assert read_sweep({"networks": "pixels", "data": "simulated", **spelled}) == defaults
