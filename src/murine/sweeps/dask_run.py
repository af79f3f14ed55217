"""Run networks on a Dask cluster.

A task of Dask is one network under all its settings. The Dask worker passes it to a process of its own
(`murine.atlas.workers`), which keeps the data between networks. A network that crashes, hangs or needs too much memory
ends that process and not the worker. Only settings and paths are sent; rows are written to the atlas, which the client
and all workers see under the same path.
"""

from __future__ import annotations

import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from murine.atlas.store import Atlas
from murine.atlas.sweep import NetworkResult, NetworkTask
from murine.atlas.workers import WorkerPool, network_of
from murine.errors import MurineError, reason_of, some
from murine.io.files import atomic_write
from murine.io.software import software_versions
from murine.networks.spec import NetworkSpec
from murine.sweeps.clusters import Connection, connection

if TYPE_CHECKING:
    from distributed import Client, Future

log = logging.getLogger(__name__)

#: How often a network is tried whose worker was lost, and seconds before the second time; they double each time.
TRIES, BACK_OFF = 4, 2.0

#: Seconds between notes that no worker is there.
_WAITING = 60.0


@dataclass(frozen=True)
class Order:
    """What a Dask worker needs to know to run networks of a sweep.

    Attributes
    ----------
    number
        Tells sweeps apart.
    task
        The task with its settings.
    folder
        The atlas, which all machines see.
    directory
        The working directory of the client, from which names of files are read.
    probe
        A file in the atlas that exists while the sweep runs.
    software
        The versions on the client.
    time_limit, n_threads
        As in `murine.atlas.workers.WorkerPool`.
    """

    number: str
    task: NetworkTask
    folder: Path
    directory: Path
    probe: Path
    software: Mapping[str, str]
    time_limit: float | None
    n_threads: int


@dataclass
class _Tried:
    """A network that was given to the cluster, and how often."""

    chunk: tuple[NetworkSpec, ...]
    tries: int = 1
    not_before: float = field(default=0.0)


def in_dask(
    task: NetworkTask,
    specs: Sequence[NetworkSpec],
    atlas: Atlas,
    cluster: str,
    jobs: int,
    time_limit: float | None,
    n_threads: int,
) -> Iterator[NetworkResult]:
    """Run networks on a Dask cluster, and yield results as they finish.

    Neighbours in ``specs`` that are the same network are one task of Dask.

    Parameters
    ----------
    cluster, jobs
        As in `murine.sweeps.clusters.connection`.
    time_limit, n_threads
        As in `murine.atlas.workers.WorkerPool`.

    Raises
    ------
    MurineError
        If there is no such cluster, its workers have other versions or do not see the atlas, the data cannot be used,
        or the scheduler is lost.
    """
    with _probe(atlas.folder.absolute()) as probe, connection(cluster, jobs) as connected:
        order = Order(
            uuid4().hex,
            task,
            atlas.folder.absolute(),
            Path.cwd(),
            probe,
            software_versions(),
            time_limit,
            n_threads,
        )
        _check_workers(connected.client, order)
        try:
            yield from _results(connected, order, [tuple(same) for _, same in groupby(specs, network_of)])
        finally:
            with suppress(Exception):  # the cluster may be gone
                connected.client.run(release, order.number, on_error="ignore")


@contextmanager
def _probe(folder: Path) -> Iterator[Path]:
    """Keep a file in the atlas, by which workers see that it is the same folder."""
    probe = folder / "running" / f"probe-{uuid4().hex}"
    with atomic_write(probe) as partial:
        partial.write_text(f"{socket.gethostname()} {os.getpid()}\n", encoding="utf-8")
    try:
        yield probe
    finally:
        with suppress(OSError):
            probe.unlink()


def _check_workers(client: Client, order: Order) -> None:
    """Refuse a cluster whose workers cannot do the work. Later workers are checked with their first network."""
    try:
        found = client.run(objection, order, on_error="return")
    except Exception as error:
        raise MurineError(f"the workers of the cluster cannot be asked: {reason_of(error)}") from error
    said = {
        name: "murine cannot be imported there, or is of another version: " + reason_of(answer)
        if isinstance(answer, BaseException)
        else answer
        for name, answer in found.items()
    }
    if wrong := [f"{name}: {text}" for name, text in said.items() if text]:
        raise MurineError(f"{len(wrong)} of {len(said)} workers cannot be used. {some(wrong, 3)}")


def _results(connected: Connection, order: Order, chunks: Sequence[tuple[NetworkSpec, ...]]) -> Iterator[NetworkResult]:
    client = connected.client
    done: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
    running: dict[Future[Any], _Tried] = {}
    later: list[_Tried] = []

    def give(tried: _Tried) -> None:
        future = client.submit(
            run_chunk, order, tried.chunk, pure=False, key=f"murine-{tried.chunk[0].full_name}-{uuid4()}"
        )
        running[future] = tried
        future.add_done_callback(done.put)

    told = time.monotonic()
    for chunk in chunks:
        give(_Tried(chunk))
    try:
        while running or later:
            with suppress(queue.Empty):
                future = done.get(timeout=0.5)
                tried = running.pop(future)
                again, results = _outcome(future, tried)
                yield from results
                later += again
                continue
            connected.look()
            now = time.monotonic()
            for tried in [each for each in later if each.not_before <= now]:
                later.remove(tried)
                give(tried)
            if client.status not in ("running", "connecting"):
                raise _lost()
            if now - told > _WAITING and not client.scheduler_info().get("workers"):
                told = now
                log.warning("%d networks wait: the cluster has no workers at the moment.", len(running) + len(later))
    finally:
        with suppress(Exception):
            client.cancel(list(running), force=True)


def _outcome(future: Future[Any], tried: _Tried) -> tuple[list[_Tried], list[NetworkResult]]:
    """Return what has to be tried again, and the results."""
    from distributed import KilledWorker

    if future.status == "finished":
        return [], list(future.result())
    if future.status != "error":  # cancelled or lost: nobody but a scheduler that has gone does that
        raise _lost()
    error = future.exception()
    if isinstance(error, MurineError):
        raise error
    if isinstance(error, KilledWorker):
        if tried.tries < TRIES:
            wait = BACK_OFF * 2 ** (tried.tries - 1)
            return [_Tried(tried.chunk, tried.tries + 1, time.monotonic() + wait)], []
        reason = f"its Dask workers were lost {TRIES} times in a row: {reason_of(error)}"
    else:
        reason = reason_of(error) if error else "the cluster gives no reason"
    return [], [NetworkResult(unit, "failed", reason=reason) for unit in tried.chunk]


def _lost() -> MurineError:
    return MurineError(
        "the connection to the Dask scheduler was lost. What was finished is in the atlas; the same command goes on "
        "from there."
    )


# What follows runs on the workers.

_pools: dict[int, tuple[str, WorkerPool]] = {}  # by thread: each thread of a worker has a process of its own
_lock = threading.Lock()


def objection(order: Order) -> str:
    """Return why this worker cannot run a sweep; '' if it can."""
    mine = software_versions()
    if different := [
        f"{name} {mine.get(name, 'missing')} instead of {wanted}"
        for name, wanted in order.software.items()
        if mine.get(name) != wanted
    ]:
        return f"it has {some(different)}, and rows would not be the same. Install the same versions on all machines."
    if not order.probe.is_file():
        return (
            f"it does not see the atlas {str(order.folder)!r} of the client. Put the atlas on a file system that all "
            "machines share, under the same path."
        )
    if not order.directory.is_dir():
        return f"it does not see the working directory {str(order.directory)!r} of the client."
    return ""


def run_chunk(order: Order, chunk: Sequence[NetworkSpec]) -> list[NetworkResult]:
    """Run one network under its settings, in a process that belongs to this thread of the worker.

    Raises
    ------
    MurineError
        If this worker, or the data, cannot be used.
    """
    pool = _pool_of(order)
    try:
        return list(pool.run(chunk))
    except BaseException:
        _close(threading.get_ident())
        raise


def _pool_of(order: Order) -> WorkerPool:
    me = threading.get_ident()
    kept = _pools.get(me)
    if kept is None or kept[0] != order.number:
        _close(me)
        if text := objection(order):
            raise MurineError(f"the worker on {socket.gethostname()} cannot be used: {text}")
        pool = WorkerPool(
            order.task,
            order.folder,
            1,
            order.time_limit,
            n_threads=order.n_threads,
            directory=order.directory,
        )
        with _lock:
            _pools[me] = order.number, pool
    return _pools[me][1]


def release(number: str) -> None:
    """End the processes of a sweep on this worker."""
    for thread in [thread for thread, (kept, _) in list(_pools.items()) if kept == number]:
        _close(thread)


def _close(thread: int) -> None:
    with _lock:
        found = _pools.pop(thread, None)
    if found is not None:
        found[1].close()
