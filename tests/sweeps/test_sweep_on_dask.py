"""Sweeps on Dask clusters that were started by hand, and clusters that cannot be used."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest
import small_sweep
from dask_by_hand import dask_by_hand
from small_sweep import assert_same_rows

from murine.errors import MurineError
from murine.sweeps.run import sweep

pytest.importorskip("distributed", reason="needs the extra murine[cluster]")


@pytest.fixture
def hand(tmp_path_factory):
    with dask_by_hand(tmp_path_factory.mktemp("dask"), 2) as cluster:
        yield cluster


def test_workers_by_hand_give_the_same_rows(lab, whole, tmp_path, hand):
    outcome = sweep(lab / "sweep.yaml", tmp_path, cluster=hand.address)
    assert outcome.count("computed") == 12
    assert_same_rows(tmp_path, whole)
    assert not list((tmp_path / "running").iterdir())
    assert sweep(lab / "sweep.yaml", tmp_path, cluster=hand.address).count("done") == 12


def test_a_local_cluster_gives_the_same_rows(lab, whole, tmp_path):
    sweep(lab / "sweep.yaml", tmp_path, cluster="local", jobs=2)
    assert_same_rows(tmp_path, whole)


def test_a_lost_worker_costs_no_network(lab, whole, tmp_path, hand):
    """One of two workers is killed as soon as something runs."""

    def kill() -> None:
        while not list((tmp_path / "running").glob("*.json")):
            time.sleep(0.05)
        hand.workers[0].send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    outcome = sweep(lab / "sweep.yaml", tmp_path, cluster=hand.address)
    killer.join()
    assert outcome.count("failed") == 0
    assert_same_rows(tmp_path, whole)


def test_a_poisoned_network_ends_no_worker(lab, tmp_path, hand):
    (tmp_path / "poison.py").write_text(
        "import os, torch\n"
        "class Poison(torch.nn.Conv2d):\n"
        "    default_cfg = {'input_size': (3, 32, 32)}\n"
        "    def forward(self, x):\n"
        "        os.kill(os.getpid(), 11)\n"
        "def poison():\n"
        "    return Poison(3, 2, 3)\n"
    )
    networks = [f"{tmp_path}/poison.py:poison@random:0", f"{lab}/nets.py:conv@random:0"]
    file = small_sweep.write_sweep(tmp_path / "s.yaml", lab, networks=networks, controls=False, input_sizes=24)
    outcome = sweep(file, tmp_path / "atlas", cluster=hand.address)
    assert [result.state for result in outcome.results] == ["failed", "computed"]
    assert "SIGSEGV" in outcome.results[0].reason
    assert all(worker.poll() is None for worker in hand.workers)


def test_a_lost_scheduler_is_told_and_nothing_is_lost(lab, whole, tmp_path, hand):
    code = f"""
from murine.cli import main
import sys
sys.argv = ["murine", "sweep", {str(lab / "sweep.yaml")!r}, "--atlas", {str(tmp_path)!r}, "--cluster", {hand.address!r}]
main()
"""
    client = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    while not list((tmp_path / "running").glob("*.json")):
        time.sleep(0.05)
    hand.scheduler.send_signal(signal.SIGKILL)
    _, err = client.communicate(timeout=60)
    assert client.returncode == 2
    assert "the connection to the Dask scheduler was lost" in err
    assert "Traceback" not in err
    sweep(lab / "sweep.yaml", tmp_path)
    assert_same_rows(tmp_path, whole)


def test_nobody_at_the_address(lab, tmp_path, monkeypatch):
    monkeypatch.setattr("murine.sweeps.clusters.CONNECT", 2)
    with pytest.raises(MurineError, match=r"no Dask scheduler answers at 'tcp://127\.0\.0\.1:9'"):
        sweep(lab / "sweep.yaml", tmp_path, cluster="tcp://127.0.0.1:9")


def test_workers_of_another_version_are_refused(lab, tmp_path, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "sitecustomize.py").write_text(
        "import importlib.metadata as m\n"
        "real = m.version\n"
        "m.version = lambda name: '0.0.1' if name == 'numpy' else real(name)\n"
    )
    with dask_by_hand(tmp_path_factory.mktemp("dask"), 0) as cluster:
        cluster.add_worker(PYTHONPATH=f"{other}:{':'.join(sys.path)}")
        while not cluster.has_workers(1):
            time.sleep(0.1)
        with pytest.raises(MurineError, match=r"numpy 0\.0\.1 instead of"):
            sweep(lab / "sweep.yaml", tmp_path, cluster=cluster.address)


def test_workers_that_do_not_see_the_atlas_are_refused(lab, tmp_path, hand, monkeypatch):
    """The probe file is removed as soon as it is written: to a worker the folder is another one."""
    import murine.sweeps.dask_run as dask_run

    real = dask_run._check_workers

    def check(client, order):
        order.probe.unlink()
        real(client, order)

    monkeypatch.setattr(dask_run, "_check_workers", check)
    with pytest.raises(MurineError, match="does not see the atlas"):
        sweep(lab / "sweep.yaml", tmp_path, cluster=hand.address)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: slrum\n", "did you mean slurm"),
        ("jobs: 3\n", "kind is None"),
        ("kind: slurm\njobs: many\n", "jobs is 'many'"),
        ("kind: slurm\njobs: 1\ncores: 1\nmemory: 1GB\nwall_time: 1\n", "wall_time"),
        ("kind: pbs\njobs: 1\n", "dask-jobqueue refuses"),
        ("[1, 2\n", "is no YAML"),
        ("- a\n", "expected keys with values"),
    ],
)
def test_wrong_cluster_files(lab, tmp_path, text, said):
    (tmp_path / "cluster.yaml").write_text(text)
    with pytest.raises(MurineError) as error:
        sweep(lab / "sweep.yaml", tmp_path / "atlas", cluster=str(tmp_path / "cluster.yaml"))
    assert said in str(error.value)


def test_no_such_cluster(lab, tmp_path):
    with pytest.raises(MurineError, match="expected the address of a scheduler"):
        sweep(lab / "sweep.yaml", tmp_path, cluster="kubernetes")
