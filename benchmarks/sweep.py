"""What it costs to run tasks through a sweep, and what more workers gain.

Claims, each a ratio of times measured side by side in this run:

1. 500 tasks of 50 ms in a process of this machine take at most 1.10 x the bare loop; starting the process, which
   loads libraries and data once, is told apart.
2. On Dask with 2 workers, the same tasks are at least 1.7 x faster than the bare loop.
3. Real networks (resnet18 with random weights at 224 px, one thread each) are at least 1.8 x faster with 2 processes
   than with 1. It needs two cores that nothing else uses.

Run: python benchmarks/sweep.py
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
N_TASKS, SECONDS = 500, 0.05
N_NETWORKS = 8


class Sleep:
    """A task that takes a known time."""

    def asked(self, spec) -> dict[str, str]:
        return {"work": "sleep", "network": spec.name, "weights": "", "input_size": "", "layers": "", "cortex": ""}

    def known(self, spec, atlas) -> None:
        return None

    def prepare(self) -> None:
        pass

    def run(self, spec, atlas, progress=None):
        from murine.atlas.sweep import NetworkResult

        time.sleep(SECONDS)
        return NetworkResult(spec, "computed")


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def between_first_and_last(results: Iterator[object]) -> float:
    """Seconds for each task, from the first result to the last: without the start of processes."""
    next(results)
    start = time.perf_counter()
    n = sum(1 for _ in results)
    return (time.perf_counter() - start) / n


def bare() -> float:
    start = time.perf_counter()
    for _ in range(N_TASKS):
        time.sleep(SECONDS)
    return (time.perf_counter() - start) / N_TASKS


def local() -> float:
    from murine.atlas.store import Atlas
    from murine.atlas.sweep import each
    from murine.networks.spec import NetworkSpec

    specs = [NetworkSpec(f"task{i}") for i in range(N_TASKS)]
    with folder() as made:
        return between_first_and_last(each(Sleep(), specs, Atlas(made), isolated=True))


def on_dask() -> float:
    from murine.atlas.store import Atlas
    from murine.networks.spec import NetworkSpec
    from murine.sweeps.dask_run import in_dask

    specs = [NetworkSpec(f"task{i}") for i in range(N_TASKS)]
    with folder() as made:
        results = in_dask(Sleep(), specs, Atlas(made), "local", 2, None, 1)
        for _ in range(20):  # both workers have started
            next(results)
        return between_first_and_last(results)


def networks(jobs: int) -> float:
    """Seconds of a sweep over real networks, from the first finished network of each process on."""
    from murine.atlas.store import Atlas
    from murine.atlas.sweep import each
    from murine.sweeps.run import prepared
    from murine.sweeps.sweep_file import read_sweep

    sweep = read_sweep(
        {
            "networks": [f"resnet18@random:{seed}" for seed in range(N_NETWORKS + 2)],
            "data": "simulated",
            "controls": False,
            "input_sizes": 224,
            "bootstraps": 100,
            "permutations": 100,
        }
    )
    task, units = prepared(sweep)
    with folder() as made:
        results = each(task, units, Atlas(made), jobs=jobs, isolated=True, n_threads=1)
        for _ in range(jobs):
            next(results)
        start = time.perf_counter()
        n = sum(1 for _ in results)
        return (time.perf_counter() - start) / n


def main() -> None:
    loop = bare()
    print(f"bare loop                     {1000 * loop:7.1f} ms a task")
    here = local()
    print(f"one process of a sweep        {1000 * here:7.1f} ms a task")
    dask = on_dask()
    print(f"Dask, 2 workers               {1000 * dask:7.1f} ms a task")
    one, two = networks(1), networks(2)
    print(f"resnet18 at 224 px, 1 process {one:7.2f} s a network")
    print(f"resnet18 at 224 px, 2         {two:7.2f} s a network")
    print(f"one process / bare loop: {here / loop:.3f} (claim: at most 1.10)")
    print(f"bare loop / Dask with 2 workers: {loop / dask:.2f} (claim: at least 1.7)")
    print(f"real networks, 1 process / 2 processes: {one / two:.2f} (claim: at least 1.8)")


if __name__ == "__main__":
    # Tasks go to other processes by the name of their module, which must be importable there.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH"))))
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.path.insert(0, str(HERE))
    import sweep

    sweep.main()
