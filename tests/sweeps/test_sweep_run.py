"""Sweeps on this machine: the same rows however they run, shards, failures, marks and logs."""

from __future__ import annotations

import json
import os
import time

import pytest
import small_sweep
from small_sweep import assert_same_rows

import murine
from murine.atlas.store import Atlas
from murine.atlas.workers import visible_gpus
from murine.errors import MurineError
from murine.progress import Silent
from murine.sweeps.plan import HISTORY, SHAPES, plan_sweep
from murine.sweeps.run import prepared, sweep
from murine.sweeps.running import LOST, marked_as_running, running
from murine.sweeps.status import atlas_status, counts, sweep_status
from murine.sweeps.sweep_file import read_sweep
from murine.sweeps.task_log import past_costs


def test_four_processes_give_the_same_rows(lab, whole, tmp_path):
    outcome = murine.sweep(lab / "sweep.yaml", tmp_path, jobs=4)
    assert outcome.count("computed") == 12
    assert_same_rows(tmp_path, whole)
    again = sweep(lab / "sweep.yaml", tmp_path, jobs=4)
    assert again.count("done") == 12
    assert repr(again) == f"<SweepOutcome in {str(tmp_path)!r}: 0 computed, 12 done, 0 failed>"


def test_a_mapping_is_as_good_as_a_file(lab, whole, tmp_path):
    content = read_sweep(lab / "sweep.yaml").model_dump()
    sweep({**content, "input_sizes": list(content["input_sizes"])}, tmp_path, isolated=False)
    assert_same_rows(tmp_path, whole)


def test_shards_are_parts_of_the_whole(lab, whole, tmp_path):
    n = [len(sweep(lab / "sweep.yaml", tmp_path, shard=f"{i}/3", isolated=False).results) for i in range(3)]
    assert sum(n) == 12
    assert_same_rows(tmp_path, whole)


def test_the_numbers_are_those_of_compare(lab, whole, tmp_path):
    settings = read_sweep(lab / "sweep.yaml")
    murine.compare(
        list(settings.networks),
        str(lab / "mouse.nc"),
        stimuli=lab / "images.npz",
        input_size=[16, 24],
        metric=["rsa-pearson", "cka"],
        normalise="both",
        n_bootstraps=20,
        n_permutations=20,
        n_splits=5,
        atlas=tmp_path,
    )
    assert_same_rows(tmp_path, whole)


def test_a_network_that_fails_is_recorded_and_the_others_go_on(lab, whole, tmp_path):
    file = small_sweep.write_sweep(
        tmp_path / "sweep.yaml",
        lab,
        networks=[f"{lab}/nets.py:{name}" for name in ("conv@random:0", "broken@random:0", "pool@random:0")],
        controls=False,
        input_sizes=24,
    )
    outcome = sweep(file, tmp_path / "atlas", jobs=2)
    assert [result.state for result in outcome.results] == ["computed", "failed", "computed"]
    assert list(outcome.failures) == [f"{lab}/nets.py:broken@random:0"]
    table = sweep_status(file, tmp_path / "atlas")
    assert table.state.tolist() == ["done", "failed", "done"]
    assert "shapes cannot be multiplied" in table.about[1]
    assert counts(table)[["done", "running", "failed", "missing"]].sum().tolist() == [2, 0, 1, 0]
    # Once it can be scored, the record is gone.
    again = sweep(file, tmp_path / "atlas")
    assert [result.state for result in again.results] == ["done", "failed", "done"]


def test_a_network_that_kills_its_process_takes_nothing_with_it(lab, tmp_path):
    (tmp_path / "poison.py").write_text(
        "import os, torch\n"
        "class Poison(torch.nn.Module):\n"
        "    default_cfg = {'input_size': (3, 32, 32)}\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.inner = torch.nn.Conv2d(3, 2, 3)\n"
        "    def forward(self, x):\n"
        "        if x.shape[-1] == 16:\n"
        "            os._exit(7)\n"
        "        return self.inner(x)\n"
        "def poison():\n"
        "    return Poison()\n"
    )
    file = small_sweep.write_sweep(
        tmp_path / "sweep.yaml",
        lab,
        networks=[f"{tmp_path}/poison.py:poison@random:0", f"{lab}/nets.py:conv@random:0"],
        controls=False,
    )
    outcome = sweep(file, tmp_path / "atlas")
    assert [result.state for result in outcome.results] == ["failed", "computed", "computed", "computed"]
    assert "exit code 7" in next(iter(outcome.failures.values()))


def test_unusable_data_end_the_sweep_before_the_first_network(lab, tmp_path):
    file = small_sweep.write_sweep(
        tmp_path / "sweep.yaml",
        lab,
        data=[
            {"name": str(lab / "mouse.nc"), "stimuli": str(lab / "images.npz")},
            {"name": str(lab / "mouse.nc"), "stimuli": str(lab / "images.npz"), "by": "no_such_label"},
        ],
    )
    with pytest.raises(MurineError, match="no_such_label"):
        sweep(file, tmp_path / "atlas")
    assert not list((tmp_path / "atlas").glob("scores/*"))


def test_the_log_has_a_line_for_each_computed_unit(lab, tmp_path):
    sweep(lab / "sweep.yaml", tmp_path, isolated=False)
    sweep(lab / "sweep.yaml", tmp_path, isolated=False)
    (file,) = (tmp_path / "log").glob("*.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(lines) == 12
    assert {line["state"] for line in lines} == {"computed"}
    assert all(line["seconds"] > 0 and line["peak_memory"] > 10**7 and line["results"] for line in lines)
    with file.open("a") as opened:
        opened.write('{"state": "computed", "netw')  # killed while it wrote
    costs = past_costs(tmp_path)
    assert len(costs) == 12
    assert all(cost.seconds > 0 for cost in costs.values())


def test_the_plan_predicts_from_shapes_and_from_earlier_runs(lab, tmp_path):
    task, units = prepared(read_sweep(lab / "sweep.yaml"))
    atlas = Atlas(tmp_path)
    plan = plan_sweep(units, task, atlas, Silent())
    assert set(plan.table.prediction) == {SHAPES}
    assert (plan.table.seconds > 0).all()
    assert (plan.table.disk_gb > 0).all()
    assert plan.summary(2).startswith("12 tasks: 0 done, 12 missing. Predicted for 12 of the missing:")
    sweep(lab / "sweep.yaml", atlas, isolated=False)
    assert plan_sweep(units, task, atlas, Silent()).summary() == "12 tasks: 12 done, 0 missing."
    # The same networks with other weights cost the same.
    other = small_sweep.write_sweep(tmp_path / "other.yaml", lab, networks=[f"{lab}/nets.py:conv@random:1"])
    task, units = prepared(read_sweep(other))
    plan = plan_sweep(units, task, atlas, Silent())
    missing = plan.table[plan.table.state == "missing"]
    assert missing.prediction.tolist() == [HISTORY, HISTORY]


def test_what_is_too_large_is_refused_before_it_runs(lab, tmp_path, monkeypatch):
    monkeypatch.setattr("murine.sweeps.plan.available_memory", lambda: 1000)
    monkeypatch.setattr("murine.sweeps.plan.MANY", 1)
    outcome = sweep(lab / "sweep.yaml", tmp_path, isolated=False)
    assert outcome.count("failed") == 12
    assert "GB of memory" in next(iter(outcome.failures.values()))
    assert len(Atlas(tmp_path).failures()) == 12


def test_a_mark_stands_while_a_unit_runs(lab, tmp_path):
    task, units = prepared(read_sweep(lab / "sweep.yaml"))
    with marked_as_running(tmp_path, task.asked(units[0])):
        table = sweep_status(lab / "sweep.yaml", tmp_path)
        assert table.state.tolist() == ["running"] + ["missing"] * 11
        (mark,) = (tmp_path / "running").glob("*.json")
        assert len(atlas_status(tmp_path)) == 1
        os.utime(mark, (time.time() - LOST - 1,) * 2)  # as if its process were killed
        assert running(tmp_path).empty
    assert not list((tmp_path / "running").iterdir())


def test_a_mark_that_cannot_be_written_stops_nothing(lab, tmp_path, whole):
    (tmp_path / "running").write_text("a file where the folder would be")
    sweep(lab / "sweep.yaml", tmp_path, isolated=False)
    assert_same_rows(tmp_path, whole)


def test_networks_are_spread_over_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-7, 5")
    assert visible_gpus() == ["2", "GPU-7", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert visible_gpus() == []  # nothing to spread
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []


def test_a_process_that_keeps_memory_is_replaced(lab, tmp_path, monkeypatch):
    (tmp_path / "who.py").write_text(
        "import os, torch\n"
        "class Net(torch.nn.Conv2d):\n"
        "    default_cfg = {'input_size': (3, 32, 32)}\n"
        "    def forward(self, x):\n"
        "        with open(os.environ['MURINE_TEST_PIDS'], 'a') as file:\n"
        "            print(os.getpid(), file=file)\n"
        "        return super().forward(x)\n"
        "def net():\n"
        "    return Net(3, 2, 3)\n"
    )
    monkeypatch.setenv("MURINE_TEST_PIDS", str(tmp_path / "pids"))
    file = small_sweep.write_sweep(
        tmp_path / "sweep.yaml", lab, networks=[f"{tmp_path}/who.py:net@random:{i}" for i in range(3)], controls=False
    )

    def n_processes(growth: int, atlas: str) -> int:
        monkeypatch.setattr("murine.atlas.workers.GROWTH", growth)
        (tmp_path / "pids").unlink(missing_ok=True)
        assert sweep(file, tmp_path / atlas).count("computed") == 6
        return len(set((tmp_path / "pids").read_text().split()))

    assert n_processes(1 << 40, "kept") == 1
    assert n_processes(-(1 << 40), "replaced") == 6


def test_a_new_metric_touches_no_network(lab, tmp_path, monkeypatch):
    """Kernels are stored once: another metric, other neurons, another seed or more samples need no network."""
    sweep(lab / "sweep.yaml", tmp_path / "atlas", isolated=False)

    def no_network(*arguments: object, **options: object) -> None:
        raise AssertionError("a network was built")

    changes = (
        {"metrics": "rsa-spearman"},
        {"bootstraps": 30},
        {"seeds": 4},
        {"data": [{"name": str(lab / "mouse.nc"), "stimuli": str(lab / "images.npz"), "select": {"area": "SIMl"}}]},
    )
    for number, change in enumerate(changes):
        file = small_sweep.write_sweep(tmp_path / f"{number}.yaml", lab, **change)
        with monkeypatch.context() as patch:
            patch.setattr("murine.networks.zoo.load", no_network)
            outcome = sweep(file, tmp_path / "atlas", isolated=False)
        assert outcome.failures == {}
        assert not any(result.ran for result in outcome.results)
        sweep(file, tmp_path / f"fresh{number}", isolated=False)
        mine = small_sweep.rows(tmp_path / "atlas")
        fresh = small_sweep.rows(tmp_path / f"fresh{number}")
        assert_same_rows(tmp_path / f"fresh{number}", mine[mine.task.isin(fresh.task)].reset_index(drop=True))


def test_a_network_whose_file_changed_is_run_again(lab, tmp_path):
    (tmp_path / "net.py").write_text((lab / "nets.py").read_text())
    network = f"{tmp_path}/net.py:conv@random:0"
    file = small_sweep.write_sweep(tmp_path / "a.yaml", lab, networks=network, controls=False, input_sizes=24)
    assert sweep(file, tmp_path / "atlas", isolated=False).results[0].ran
    (tmp_path / "net.py").write_text((lab / "nets.py").read_text().replace("3, 6, 5", "3, 6, 3"))
    again = small_sweep.write_sweep(
        tmp_path / "b.yaml", lab, networks=network, controls=False, input_sizes=24, metrics="rsa-spearman"
    )
    assert sweep(again, tmp_path / "atlas", isolated=False).results[0].ran
