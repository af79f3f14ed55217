"""The work on one network after the other, in this process or in a worker process of a sweep.

A process of a sweep (`serve`) reads networks from its standard input and answers with events: what was begun, steps
that were done, signs of life, and results. It ends when its input closes, even if the network is running."""

from __future__ import annotations

import ctypes
import logging
import os
import pickle
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from murine.atlas.process_cost import Measured, resident_memory
from murine.atlas.store import Atlas
from murine.atlas.sweep import NetworkResult, NetworkTask, UnusableDataError
from murine.errors import MurineError, reason_of
from murine.networks.memory import freed_memory_kept, release_freed_memory
from murine.networks.spec import NetworkSpec
from murine.progress import Progress

#: Threads that a network computes with, if the machine has them. How a sum is split among threads changes its last
#: bits, so the number must not depend on how many processes there are. OMP_NUM_THREADS overrides it.
MOST_THREADS = 8

#: Seconds between signs of life.
_BEAT = 0.5


def in_this_process(
    task: NetworkTask,
    specs: Sequence[NetworkSpec],
    atlas: Atlas,
    progress: Progress | None = None,
    n_threads: int | None = None,
) -> Iterator[NetworkResult]:
    """Run one network after the other in this process; an error of a network becomes its failure.

    Raises
    ------
    MurineError
        If what all networks share cannot be used.
    """
    task.prepare()
    with fixed_threads(n_threads), freed_memory_kept():
        for spec in specs:
            cost = Measured()
            try:
                result = task.run(spec, atlas, progress)
            except (UnusableDataError, KeyboardInterrupt):
                raise
            except BaseException as error:  # SystemExit, too: it is somebody else's code
                result = NetworkResult(spec, "failed", reason=_reason(error))
            release_freed_memory()
            yield cost.added_to(result)


@contextmanager
def fixed_threads(n: int | None = None) -> Iterator[None]:
    """Set the number of threads to ``n``, or to one that does not depend on the number of processes."""
    import torch
    from threadpoolctl import threadpool_limits

    before, n = torch.get_num_threads(), n or _n_threads()
    torch.set_num_threads(n)
    try:
        with threadpool_limits(n):
            yield
    finally:
        torch.set_num_threads(before)


def _n_threads() -> int:
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if given.isdigit() and int(given) > 0:
        return int(given)
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(there, MOST_THREADS)


def _reason(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"it calls sys.exit({error.code!r})" if isinstance(error.code, int | None) else "it calls sys.exit"
    if isinstance(error, MemoryError):
        return "it needs more memory than there is (MemoryError); a smaller --batch-size or fewer --jobs need less"
    return reason_of(error)


def serve() -> None:
    """Run the networks that standard input names; see `murine.atlas.workers`."""
    requests, answers = os.fdopen(os.dup(0), "rb"), _Answers(os.fdopen(os.dup(1), "wb"))
    # Output that a network prints must not mix with the answers, and a network must not read from the requests.
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    _be_the_first_to_go()
    copy, folder, n_threads = pickle.load(requests)
    inbox: queue.SimpleQueue[NetworkSpec] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, inbox), daemon=True).start()
    log = logging.getLogger("murine")
    log.handlers, log.propagate = [_Forward(answers)], False
    try:
        task: NetworkTask = pickle.loads(copy)
        task.prepare()
    except MurineError as error:
        answers.send("unusable", str(error))
        return
    except BaseException:
        answers.send("mistake", traceback.format_exc())
        return
    answers.send("ready", resident_memory())
    _beat_with_every_module(answers)
    progress, atlas = _Reporter(answers), Atlas(folder)
    with fixed_threads(n_threads), freed_memory_kept():
        while True:
            spec = inbox.get()
            answers.send("begin")
            _answer(spec, task, atlas, progress, answers)


def _answer(spec: NetworkSpec, task: NetworkTask, atlas: Atlas, progress: _Reporter, answers: _Answers) -> None:
    """Run one network. After anything but a clear refusal the process is not to be trusted with another one."""
    clean = True
    cost = Measured()
    try:
        result = task.run(spec, atlas, progress)
    except UnusableDataError as error:
        answers.send("unusable", str(error))
        return
    except MurineError as error:
        result = NetworkResult(spec, "failed", reason=str(error))
    except BaseException as error:  # KeyboardInterrupt, too: nobody's Ctrl-C reaches this process
        clean = False
        try:
            reason = _reason(error)
        except BaseException as second:
            reason = f"{type(error).__name__} (its text cannot be read: {type(second).__name__})"
        result = NetworkResult(spec, "failed", reason=reason)
    result = cost.added_to(result)
    release_freed_memory()
    answers.send("result", result, clean, resident_memory())


class _Answers:
    """Events on their way to the process that started this one. Safe for use by several threads."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._last = 0.0

    def send(self, *event: Any) -> None:
        content = pickle.dumps(event)
        with self._lock:
            self._last = time.monotonic()
            try:
                self._stream.write(content)
                self._stream.flush()
            except OSError:
                _end_at_once()

    def beat(self) -> None:
        """A sign of life, if the last event is not of just now."""
        if time.monotonic() - self._last > _BEAT:
            self.send("alive")


class _Reporter:
    """Progress that is shown in another process."""

    def __init__(self, answers: _Answers) -> None:
        self._answers = answers
        self._n_bars = 0

    def task(self, description: str, total: int | None) -> _RemoteBar:
        self._n_bars += 1
        self._answers.send("open", self._n_bars, description, total)
        return _RemoteBar(self._answers, self._n_bars)

    @contextmanager
    def own_work(self) -> Iterator[None]:
        self._answers.send("rest", True)
        try:
            yield
        finally:
            self._answers.send("rest", False)


class _RemoteBar:
    def __init__(self, answers: _Answers, number: int) -> None:
        self._answers, self._number = answers, number

    def __enter__(self) -> _RemoteBar:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def advance(self, n: int = 1, done: str = "") -> None:
        self._answers.send("advance", self._number, n, done)

    def close(self) -> None:
        self._answers.send("close", self._number)


class _Forward(logging.Handler):
    """The parent process prints each warning once."""

    def __init__(self, answers: _Answers) -> None:
        super().__init__(logging.WARNING)
        self._answers = answers

    def emit(self, record: logging.LogRecord) -> None:
        self._answers.send("log", record.name, record.levelno, record.getMessage())


def _beat_with_every_module(answers: _Answers) -> None:
    """A network that calls modules is alive, however slow it is."""
    from torch.nn.modules.module import register_module_forward_pre_hook

    register_module_forward_pre_hook(lambda *_: answers.beat())


def _listen(requests: IO[bytes], inbox: queue.SimpleQueue[NetworkSpec]) -> None:
    """Take requests; end this process when no more can come."""
    with suppress(Exception):
        while True:
            inbox.put(pickle.load(requests))
    _end_at_once()


def _end_at_once() -> None:
    """End this process, and those that a network has started, which are of its group."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _be_the_first_to_go() -> None:
    """Let the system end this process with the one that started it, and before any other where memory runs out."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash is expected; its gigabytes help nobody
    if sys.platform == "linux":
        parent = os.getppid()
        _die_with_parent()
        os.register_at_fork(after_in_child=_die_with_parent)  # what a network forks goes with this process
        if os.getppid() != parent:
            _end_at_once()


def _die_with_parent() -> None:
    """Have the system end this process with its parent, even if it holds the interpreter for ever."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG
