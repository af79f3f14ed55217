"""SIGKILL at any moment of a sweep over single units: files are whole, and the next run completes what is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

# Sweeps run in forks of one process that has imported everything. The disk is made slow: many kills fall into the
# writing of a file, or between that and its renaming.
SCRIPT = """
import io, json, os, random, signal, sys, time
from pathlib import Path

import pyarrow.parquet
import torch

sys.path.insert(0, sys.argv[1])
import small_cortex
from murine.atlas.store import Atlas
from murine.atlas.sweep import each
from murine.atlas.unit_sweep import MapComparison, Matching, NeuronData, UnitSettings

torch.set_num_threads(1)
folder = Path(sys.argv[2])
plan = small_cortex.write(folder)
choices = small_cortex.choices(folder, "pixels", "conv@random:0", "conv@random:1", "pool", "square")
neurons = NeuronData(plan.cortex, stimuli=plan.stimuli)
shown = UnitSettings(input_size=16)
runners = [Matching(neurons, shown), MapComparison(neurons, shown, sides=(4, 5), centred=True)]
write_table, sync = pyarrow.parquet.write_table, os.fsync


def slow_write_table(table, where, **options):
    whole = io.BytesIO()
    write_table(table, whole, **options)
    content = whole.getvalue()
    with open(where, "wb") as file:
        file.write(content[: len(content) // 2])
        file.flush()
        time.sleep(0.02)
        file.write(content[len(content) // 2 :])


def slow_sync(descriptor):
    time.sleep(0.01)
    sync(descriptor)


def start(atlas):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            pyarrow.parquet.write_table, os.fsync = slow_write_table, slow_sync
            states = {outcome.state for runner in runners for outcome in each(runner, choices, Atlas(atlas))}
            code = 0 if states <= {"computed", "done"} else 2
        finally:
            os._exit(code)
    return pid


def files(atlas):
    return sorted(str(f.relative_to(atlas)) for f in atlas.rglob("*") if f.is_file())


report = {"kills": []}
begin = time.perf_counter()
report["undisturbed"] = os.waitpid(start(folder / "undisturbed"), 0)[1]
duration = time.perf_counter() - begin
moments = random.Random(0)
for _ in range(6):
    pid = start(folder / "disturbed")
    time.sleep(moments.uniform(0.02, duration / 4))
    os.kill(pid, signal.SIGKILL)
    killed = os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    report["kills"].append({"killed": killed, "files": files(folder / "disturbed")})
report["final"] = os.waitpid(start(folder / "disturbed"), 0)[1]
report["files"] = files(folder / "disturbed")
print(json.dumps(report))
"""


def whole(files: list[str]) -> list[str]:
    return [file for file in files if not Path(file).name.startswith(".")]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_killed_sweeps_leave_whole_rows_and_the_next_completes_them(tmp_path):
    helpers = Path(__file__).resolve().parents[1] / "helpers"
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(helpers), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["undisturbed"] == report["final"] == 0
    assert sum(kill["killed"] for kill in report["kills"]) >= 3  # the others came too late to hit
    grown = [whole(kill["files"]) for kill in report["kills"]]
    for before, after in zip(grown, [*grown[1:], whole(report["files"])], strict=True):
        assert set(before) <= set(after)  # nothing that was finished is lost
    assert 0 < len(grown[-1]) <= 15
    for kill in report["kills"]:  # what is not whole has a name that nobody reads
        assert all(file.endswith(".partial") for file in set(kill["files"]) - set(whole(kill["files"])))

    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    finished = whole(report["files"])
    assert sorted(finished) == sorted(str(f.relative_to(undisturbed)) for f in undisturbed.rglob("*.parquet"))
    assert len(finished) == 5 * 3
    for file in finished:  # also those that a killed sweep wrote, which no later one wrote again
        pd.testing.assert_frame_equal(pd.read_parquet(undisturbed / file), pd.read_parquet(disturbed / file))
