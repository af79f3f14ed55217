"""Processes that networks run in: started once, used for many networks, replaced after a crash.

Pools of the standard library and of pebble do not suffice. They stop a task after a fixed time even if it makes
progress, and do not report progress. When a process dies, `concurrent.futures` loses other tasks, too;
`multiprocessing` runs the caller's main module again in every process. Here, a slow network may go on; only a network
without progress is stopped."""

from __future__ import annotations

import logging
import os
import pickle
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import IO, Any

from murine.atlas.sweep import NetworkResult, NetworkTask
from murine.errors import MurineError
from murine.networks.spec import NetworkSpec
from murine.progress import Bar, Progress, Silent, duration

#: Seconds after which is looked whether a process has ended without a word.
_POLL = 0.5


#: Bytes by which a process may grow over what it had when its data were loaded. A process that keeps more after a
#: network is replaced, because libraries do not return all memory.
GROWTH = 1 << 30


class WorkerPool:
    """Processes that run the networks of one task. Use as a context manager, which ends them.

    Parameters
    ----------
    task
        The task; each process gets a copy and prepares it once.
    folder
        The folder of the atlas.
    jobs
        The largest number of processes. They are started when they are needed.
    time_limit
        Seconds without progress after which a network is stopped; None for no limit.
    progress
        Shows the progress of all processes.
    n_threads
        Threads that a network computes with; None for as many as the machine has, at most 8.
    directory
        The working directory of the processes; by default that of this process.

    Examples
    --------
    >>> from murine.atlas.identity import CortexSettings
    >>> from murine.atlas.store import Atlas
    >>> from murine.atlas.sweep import ScoringTask, SweepSettings
    >>> from murine.networks.spec import NetworkSpec
    >>> task = ScoringTask(SweepSettings(CortexSettings(cortex="simulated")))
    >>> with WorkerPool(task, Path("atlas"), 1) as pool:
    ...     [result.state for result in pool.run([NetworkSpec("pixels")])]
    ['computed']
    """

    def __init__(
        self,
        task: NetworkTask,
        folder: Path,
        jobs: int,
        time_limit: float | None = None,
        progress: Progress | None = None,
        n_threads: int | None = None,
        directory: Path | None = None,
    ) -> None:
        setup = pickle.dumps((pickle.dumps(task), folder.absolute(), n_threads))
        told: set[tuple[str, str]] = set()
        devices = visible_gpus()
        self._time_limit = time_limit
        self._events: queue.SimpleQueue[tuple[_Worker, int, Any]] = queue.SimpleQueue()
        self._crew = [
            _Worker(
                setup,
                self._events,
                progress or Silent(),
                told,
                devices[i % len(devices)] if devices else None,
                directory,
            )
            for i in range(max(1, jobs))
        ]

    def run(self, specs: Sequence[NetworkSpec]) -> Iterator[NetworkResult]:
        """Run networks, and yield results as they finish.

        Neighbours in ``specs`` that are the same network (under several settings of a sweep) run in one process, one
        after the other, so that the network passes its images once.

        Raises
        ------
        MurineError
            If what all networks share cannot be used.
        """
        waiting = deque(deque(same) for _, same in groupby(specs, network_of))
        while waiting or any(worker.spec or worker.queue for worker in self._crew):
            for worker in self._crew:
                if worker.spec is None and (worker.queue or waiting):
                    worker.queue = worker.queue or waiting.popleft()
                    worker.give(worker.queue.popleft())
            with suppress(queue.Empty):
                worker, start, event = self._events.get(timeout=_POLL)
                if start == worker.n_starts and (result := worker.take(event)):
                    yield result
                    continue
            for worker in self._crew:
                if result := worker.look(self._time_limit):
                    yield result

    def close(self) -> None:
        """End all processes, whatever they do."""
        for worker in self._crew:
            worker.end()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def visible_gpus() -> list[str]:
    """Return the GPUs that processes are distributed over, if there are several; an empty list otherwise.

    ``CUDA_VISIBLE_DEVICES`` is respected. PyTorch is not imported for this.
    """
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        numbers = (re.fullmatch("nvidia([0-9]+)", file.name) for file in Path("/dev").glob("nvidia*"))
        found = sorted((number[1] for number in numbers if number), key=int)
    else:
        found = [part.strip() for part in given.split(",") if part.strip()]
    return found if len(found) > 1 else []


def network_of(spec: NetworkSpec) -> tuple[str, str, str]:
    """Return what is the same for one network under several settings."""
    return spec.name, spec.weights, spec.variant


class _Worker:
    """One process, and what it is doing."""

    def __init__(
        self,
        setup: bytes,
        events: queue.SimpleQueue[tuple[_Worker, int, Any]],
        progress: Progress,
        told: set[tuple[str, str]],
        gpu: str | None,
        directory: Path | None,
    ) -> None:
        self._directory = directory
        self._setup, self._events, self._progress, self._told = setup, events, progress, told
        self._environment = os.environ if gpu is None else {**os.environ, "CUDA_VISIBLE_DEVICES": gpu}
        self.queue: deque[NetworkSpec] = deque()
        self.spec: NetworkSpec | None = None
        self.n_starts = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._bars: dict[int, Bar] = {}
        self._ready = self._begun = self._resting = False
        self._resident = 0
        self._last = 0.0

    def give(self, spec: NetworkSpec) -> None:
        """Start a network."""
        self.spec = spec
        if self._process is None:
            self._start()
        self._last, self._begun, self._resting = time.monotonic(), False, False
        self._send(pickle.dumps(spec))

    def take(self, event: Any) -> NetworkResult | None:
        """Take note of an event; the result, if it is one."""
        if event is None:
            return self._ended()
        self._last = time.monotonic()
        kind, *about = event
        if kind == "result":
            result, clean, resident = about
            self._finish()
            if not clean or resident > self._resident + GROWTH:
                self.end()
            done: NetworkResult = result
            return done
        if kind == "unusable":
            raise MurineError(about[0])
        if kind == "mistake":
            raise RuntimeError(about[0])
        if kind == "ready":
            self._ready, self._resident = True, about[0]
        elif kind == "begin":
            self._begun = True
        elif kind == "rest":
            self._resting = about[0]
        elif kind == "open":
            self._bars[about[0]] = self._progress.task(*about[1:])
        elif kind == "advance" and about[0] in self._bars:
            self._bars[about[0]].advance(*about[1:])
        elif kind == "close" and about[0] in self._bars:
            self._bars.pop(about[0]).close()
        elif kind == "log" and (about[0], about[2]) not in self._told:
            self._told.add((about[0], about[2]))
            logging.getLogger(about[0]).log(about[1], "%s", about[2])
        return None

    def look(self, time_limit: float | None) -> NetworkResult | None:
        """See whether the process has ended without a word, or does nothing any more."""
        if self.spec is None or self._process is None:
            return None
        # A process that a network started can keep the pipe open after the network's own process has ended.
        if self._process.poll() is not None and self._events.empty() and time.monotonic() - self._last > _POLL:
            return self._ended()
        idle = time.monotonic() - self._last
        if time_limit is None or not self._ready or self._resting or idle < time_limit:
            return None
        spec = self.spec
        self._finish()
        self.end()
        return NetworkResult(
            spec, "failed", reason=f"it did nothing for {duration(idle)} (--time-limit), and was ended"
        )

    def end(self) -> None:
        """End the process, and those that a network has started in it."""
        process, self._process = self._process, None
        self._finish()
        if process is None:
            return
        with suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()

    def _start(self) -> None:
        # -P and the same search path: what lies in the current folder is no more importable there than here.
        code = f"import sys; sys.path[:] = {sys.path!r}; from murine.atlas.worker import serve; serve()"
        # A separate process group: Ctrl-C reaches only the parent process, which then ends the others.
        group: dict[str, Any] = {"process_group": 0} if os.name == "posix" else {"creationflags": 0x200}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment,
            cwd=self._directory,
            **group,
        )
        self.n_starts += 1
        self._ready = False
        reader = threading.Thread(
            target=_read, args=(self._process.stdout, self, self.n_starts, self._events), daemon=True
        )
        reader.start()
        self._send(self._setup)

    def _send(self, content: bytes) -> None:
        if self._process is None or self._process.stdin is None:
            raise RuntimeError("the process was not started")
        with suppress(OSError):  # it has ended: its last word, or its silence, tells
            self._process.stdin.write(content)
            self._process.stdin.flush()

    def _ended(self) -> NetworkResult | None:
        """Return the result of a network whose process has died."""
        if self.spec is None or self._process is None:
            self.end()
            return None
        spec, ready, begun = self.spec, self._ready, self._begun
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        reason = _death(self._process.poll())
        self.end()
        if not ready:
            raise MurineError(
                f"a process of the sweep ended while it loaded the data: {reason}. What was finished before is kept; "
                "fewer --jobs need less memory."
            )
        if not begun:  # what an earlier network left has ended it
            self.give(spec)
            return None
        return NetworkResult(spec, "failed", reason=reason)

    def _finish(self) -> None:
        self.spec = None
        for bar in self._bars.values():
            bar.close()
        self._bars.clear()


def _read(stream: IO[bytes], worker: _Worker, start: int, events: queue.SimpleQueue[tuple[_Worker, int, Any]]) -> None:
    """Put the messages of a process into the queue, and None at the end."""
    event: Any = ()
    while event is not None:
        try:
            event = pickle.load(stream)
        except Exception:  # it closed, or broke off within a word
            event = None
        events.put((worker, start, event))


def _death(code: int | None) -> str:
    """How a process ended, in words."""
    if code is None:
        return "it closed the connection to its process"
    if code >= 0:
        return f"it ended its process with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if name == "SIGKILL":
        return (
            "its process was killed (SIGKILL), as the system does where memory runs out; a smaller --batch-size or "
            "fewer --jobs need less"
        )
    return f"it crashed ({name})"
