"""SIGKILL at any moment of a sweep: what is there is whole, and the next run completes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from murine.atlas.store import Atlas

# The sweeps run in forks of one process that has imported everything, so that a kill hits the sweep and not the
# start of Python. The disk is made slow: many kills fall into the writing of a file, or between that and its renaming.
SCRIPT = """
import io, json, os, random, signal, sys, time
from pathlib import Path

import numpy as np
import pyarrow.parquet
import torch

sys.path.insert(0, sys.argv[1])
import small_cortex
from murine.atlas.store import Atlas
from murine.atlas.sweep import sweep
from dataclasses import replace

torch.set_num_threads(1)
folder = Path(sys.argv[2])
plan = replace(small_cortex.write(folder), metrics=("rsa-pearson", "rsa-spearman"))
names = ("pixels", "gabor", "neurn", "conv@random:0", "conv@random:1", "conv@random:2", "pool", "square", "cube")
networks = small_cortex.choices(folder, *names)
savez, write_table, sync = np.savez, pyarrow.parquet.write_table, os.fsync


def slowly(file, content):
    file.write(content[: len(content) // 2])
    file.flush()
    time.sleep(0.03)
    file.write(content[len(content) // 2 :])


def slow_savez(file, **arrays):
    whole = io.BytesIO()
    savez(whole, **arrays)
    slowly(file, whole.getvalue())


def slow_write_table(table, where, **options):
    whole = io.BytesIO()
    write_table(table, whole, **options)
    with open(where, "wb") as file:
        slowly(file, whole.getvalue())


def slow_sync(descriptor):
    time.sleep(0.01)
    sync(descriptor)


def start(atlas):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            np.savez, pyarrow.parquet.write_table, os.fsync = slow_savez, slow_write_table, slow_sync
            outcomes = sweep(networks, plan, Atlas(atlas))
            code = 0 if {o.state for o in outcomes} <= {"computed", "done"} else 2
        finally:
            os._exit(code)
    return pid


def verify(atlas):
    '''Open every file in a process of its own: exit status 0 if all are as long as without a kill.'''
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            from murine.atlas.identity import ScoreTask

            for file in (atlas / "scores").glob("*.parquet"):
                rows = pyarrow.parquet.read_table(file)
                task = ScoreTask.model_validate_json(rows.schema.metadata[b"murine.task"])
                assert task.digest == file.stem == rows["task"][0].as_py()
                whole = pyarrow.parquet.read_metadata(folder / "undisturbed" / "scores" / file.name)
                assert rows.num_rows == whole.num_rows > 0
                assert Atlas(atlas).read_kernels(task.capture) is not None
            for file in (atlas / "kernels").glob("*.npz"):
                with np.load(file, allow_pickle=False) as arrays:
                    assert arrays["covariance"].shape == (len(arrays["kept"]), 24 * 25 // 2)
                    assert np.isfinite(arrays["means"]).all()
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1]


def listing(atlas):
    return sorted(str(f.relative_to(atlas)) for f in atlas.rglob("*") if f.is_file())


report = {"kills": []}
begin = time.perf_counter()
report["undisturbed"] = os.waitpid(start(folder / "undisturbed"), 0)[1]
duration = time.perf_counter() - begin
disturbed = folder / "disturbed"
moments = random.Random(0)
for k in range(12):  # the later ones leave more time: a busy machine may do little in the first
    pid = start(disturbed)
    time.sleep(moments.uniform(0.02, duration * (k + 2) / 10))
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    report["kills"].append({"killed": os.WIFSIGNALED(status), "whole": verify(disturbed), "files": listing(disturbed)})
report["final"] = os.waitpid(start(disturbed), 0)[1]
report["whole"] = verify(disturbed)
report["files"] = listing(disturbed)
print(json.dumps(report))
"""

KEY = ["network", "weights", "metric", "layer_index", "site", "split"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_a_killed_sweep_leaves_whole_results_and_the_next_run_completes_them(tmp_path):
    helpers = Path(__file__).resolve().parents[1] / "helpers"
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(helpers), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["undisturbed"] == 0

    assert sum(kill["killed"] for kill in report["kills"]) >= 5  # the others came too late to hit
    for kill in report["kills"]:
        assert kill["whole"] == 0
        for file in kill["files"]:  # what is not whole has a name that nobody reads
            name = Path(file).name
            assert name.endswith((".parquet", ".npz", ".json")) or (name.startswith(".") and name.endswith(".partial"))
    grown = [sum(not Path(f).name.startswith(".") for f in kill["files"]) for kill in report["kills"]]
    assert grown == sorted(grown)  # nothing that was finished is lost
    assert grown[0] < grown[-1]

    assert report["final"] == 0
    assert report["whole"] == 0
    undisturbed, disturbed = (Atlas(tmp_path / name) for name in ("undisturbed", "disturbed"))
    finished = {f for f in report["files"] if not Path(f).name.startswith(".")}
    assert finished == {str(f.relative_to(undisturbed.folder)) for f in undisturbed.folder.rglob("*") if f.is_file()}
    first, second = (atlas.query().sort_values(KEY).reset_index(drop=True) for atlas in (undisturbed, disturbed))
    assert len(first) > 150
    pd.testing.assert_frame_equal(first.drop(columns="draws"), second.drop(columns="draws"), check_exact=True)
    for a, b in zip(first.draws, second.draws, strict=True):
        assert np.ndim(a) == np.ndim(b)
        if np.ndim(a):
            np.testing.assert_array_equal(a, b)
