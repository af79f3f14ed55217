"""Sweeps on a real SLURM: job arrays, requeue, scancel, a killed node, and dask-jobqueue."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
import small_sweep
import yaml
from small_sweep import assert_same_rows

from murine.sweeps.batch_script import write_sbatch
from murine.sweeps.run import sweep
from murine.sweeps.status import sweep_status
from murine.sweeps.sweep_file import read_sweep

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def script(lab, tmp_path):
    """An array of three jobs, of which two run at once."""
    file = tmp_path / "job.sh"
    write_sbatch(file, lab / "sweep.yaml", read_sweep(lab / "sweep.yaml"), tmp_path / "atlas", 3, throttle=2)
    return file


def wait_for_something_to_run(atlas) -> None:
    end = time.monotonic() + 120
    while not list((atlas / "running").glob("*.json")):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_an_array_gives_the_same_rows(slurm, script, tmp_path, whole):
    slurm.submit(script)
    slurm.wait()
    assert_same_rows(tmp_path / "atlas", whole)
    logs = "".join(file.read_text() for file in (tmp_path / "atlas" / "log").glob("slurm-*.out"))
    assert "Traceback" not in logs
    assert logs.count("results are in") == 3


def test_requeued_cancelled_and_repeated_jobs_lose_nothing(slurm, script, lab, tmp_path, whole):
    atlas = tmp_path / "atlas"
    slurm.submit(script)
    wait_for_something_to_run(atlas)
    running = next(name for name, state in slurm.queue() if state == "RUNNING")
    slurm.run("scontrol", "requeue", running)
    waiting = [name for name, _ in slurm.queue() if name != running]
    if waiting:
        slurm.run("scancel", waiting[-1])
    slurm.wait_until(lambda: all(state != "COMPLETING" for _, state in slurm.queue()))
    for name, state in slurm.queue():
        if state == "PENDING":  # a requeued job waits for two minutes unless it is told to begin
            slurm.run("scontrol", "update", f"JobId={name}", "StartTime=now")
    slurm.wait()
    slurm.submit(script)
    slurm.wait()
    assert_same_rows(atlas, whole)
    assert set(sweep_status(lab / "sweep.yaml", atlas).state) == {"done"}


def test_a_killed_node_loses_nothing(slurm, script, tmp_path, whole):
    slurm.submit(script)
    wait_for_something_to_run(tmp_path / "atlas")
    slurm.kill_node()
    time.sleep(1)
    slurm.start_node()
    slurm.run("scancel", "--user", "root")
    slurm.wait()
    slurm.submit(script)
    slurm.wait()
    assert_same_rows(tmp_path / "atlas", whole)


@pytest.fixture
def jobs(slurm, tmp_path, monkeypatch):
    """A cluster file of two jobs."""
    monkeypatch.setenv("SLURM_CONF", str(slurm.configuration))
    file = tmp_path / "slurm.yaml"
    options = {"cores": 1, "memory": "1500MB", "walltime": "00:20:00", "interface": "lo", "job_extra_directives": []}
    file.write_text(yaml.safe_dump({"kind": "slurm", "jobs": 2, **options, "log_directory": str(tmp_path)}))
    return file


def test_workers_in_jobs_give_the_same_rows(slurm, jobs, lab, tmp_path, whole):
    sweep(lab / "sweep.yaml", tmp_path / "atlas", cluster=str(jobs))
    assert_same_rows(tmp_path / "atlas", whole)
    slurm.wait(60)  # the jobs end with the sweep


def test_jobs_that_end_are_replaced(slurm, jobs, lab, tmp_path, whole, monkeypatch):
    """As at the walltime: all jobs are cancelled while networks run, and others take their place."""
    monkeypatch.setattr("murine.sweeps.clusters.LOOK", 1.0)
    monkeypatch.setattr("murine.sweeps.dask_run.BACK_OFF", 0.5)
    cancelled = []

    def cancel() -> None:
        wait_for_something_to_run(tmp_path / "atlas")
        for name, _ in slurm.queue():
            slurm.run("scancel", name)
            cancelled.append(name)

    canceller = threading.Thread(target=cancel)
    canceller.start()
    outcome = sweep(lab / "sweep.yaml", tmp_path / "atlas", cluster=str(jobs))
    canceller.join()
    assert cancelled
    assert outcome.count("failed") == 0
    assert_same_rows(tmp_path / "atlas", whole)


def test_the_script_can_be_read_by_bash_and_sbatch(slurm, lab, tmp_path):
    folder = tmp_path / "a folder with 'quotes' & %"
    folder.mkdir()
    file = small_sweep.write_sweep(folder / "sweep.yaml", lab)
    write_sbatch(folder / "job.sh", file, read_sweep(file), folder / "atlas", 1, directives=["--time=10"])
    subprocess.run(["bash", "-n", folder / "job.sh"], check=True)
    text = (folder / "job.sh").read_text()
    assert "#SBATCH --time=10\n" in text
    assert sys.executable in text
    slurm.submit(folder / "job.sh")
    slurm.wait()
    assert len(small_sweep.rows(folder / "atlas")) > 0
