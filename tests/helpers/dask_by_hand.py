"""A Dask scheduler and workers on loopback, started as a person starts them: `dask scheduler`, `dask worker`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class DaskByHand:
    """Processes of a Dask cluster.

    Attributes
    ----------
    address
        Of the scheduler.
    scheduler, workers
        The processes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workers: list[subprocess.Popen[bytes]] = []
        log = folder / "scheduler.log"
        self.scheduler = _start(
            ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"], log, folder, dict(os.environ)
        )
        end = time.monotonic() + 60
        while not (found := re.search(r"Scheduler at:\s+(tcp://\S+)", log.read_text())):
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        self.address = found[1]

    def add_worker(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker of one thread, without a nanny: a killed one stays dead."""
        number = len(self.workers)
        process = _start(
            ["worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--name", f"by-hand-{number}"],
            self.folder / f"worker{number}.log",
            self.folder,
            {**os.environ, **environment},
        )
        self.workers.append(process)
        return process

    def has_workers(self, n: int) -> bool:
        """Return whether the scheduler has seen ``n`` workers."""
        return (self.folder / "scheduler.log").read_text().count("Register worker") >= n

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            with suppress(OSError):
                process.kill()
            process.wait()


@contextmanager
def dask_by_hand(folder: Path, n_workers: int) -> Iterator[DaskByHand]:
    """Start a scheduler and workers; end them after the block."""
    cluster = DaskByHand(folder)
    try:
        for _ in range(n_workers):
            cluster.add_worker()
        yield cluster
    finally:
        cluster.close()


def _start(arguments: list[str], log: Path, folder: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    with log.open("wb") as opened:
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments],
            stdout=opened,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
        )
