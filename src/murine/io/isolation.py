"""A separate process for work that may crash, hang or use all memory: reading files that were not verified.

A damaged file can make libhdf5 crash or loop forever. In a separate process this gives one clear error and does not end
the whole run.
"""

from __future__ import annotations

import errno
import logging
import os
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, TypeVar

from murine.errors import MurineError

P = ParamSpec("P")
T = TypeVar("T")

#: Messages of libhdf5 when it cannot allocate memory.
_NO_MEMORY = "memory allocation failed|unable to allocate|can't allocate"

#: Seconds after which a process ends itself if its parent has not ended it.
_GRACE = 5.0


class Crashed(MurineError):
    """The process was killed, ran out of its time or memory, or ended without an answer."""


class OutOfMemory(Crashed):
    """The process needed more memory than its limit. The file may still be intact."""


class Isolated:
    """A separate process that calls functions, one after the other, with limits of time and memory.

    It starts at the first call.

    After a call that did not return, a new process is started, so that a damaged file cannot affect the next call.

    Parameters
    ----------
    memory
        Limit of the bytes that the process may use in addition to its memory when the first function is loaded. macOS
        and Windows do not support this limit. Mapped files and reserved address space do not count.

    Notes
    -----
    Functions must be importable by name, and arguments and results must pickle. Only one thread at a time may use an
    object. The process ends when the parent process ends.

    Examples
    --------
    >>> import math
    >>> with Isolated() as process:
    ...     process.call(60, math.factorial, 5)
    120
    """

    def __init__(self, memory: int = 2 << 30) -> None:
        self.memory = memory
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Isolated:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process, at once."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with suppress(OSError):
                        stream.close()

    def call(self, seconds: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in the process and return its result.

        Raises
        ------
        MurineError
            An error that the function raised; `Crashed` if it took longer than ``seconds`` or too much memory, or the
            process died.
        RuntimeError
            If the function raised any other exception, which is a mistake in the program; with the traceback as text.
        """
        process = self._started()
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the process has no pipes")
        late = threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, stop)
        timer.daemon = True
        timer.start()
        state = ""
        try:
            pickle.dump((seconds, function, args, kwargs), process.stdin)
            process.stdin.flush()
            state, value = pickle.load(process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            code = process.wait()
            reason = f"took longer than {seconds:.0f} s" if late.is_set() else f"ended with {_cause(code)}"
            raise Crashed(f"the process {reason}") from None
        finally:
            timer.cancel()
            # Ctrl-C: the answer that still comes must not be taken for the next one's.
            if state != "done" or late.is_set():
                self.close()
        if state == "refused":
            raise MurineError(value)
        if state == "exhausted":
            raise OutOfMemory(f"the process took more than {self.memory:,} bytes of memory{value}")
        if state == "failed":
            raise RuntimeError(value)
        result: T = value
        return result

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            # -P and the same search path: what lies in the current folder is no more importable there than here.
            code = (
                f"import sys; sys.path[:] = {sys.path!r}; from murine.io.isolation import serve; serve({self.memory})"
            )
            # Arrow's own allocator takes a gigabyte at its start, whatever is read.
            environment = os.environ | {"ARROW_DEFAULT_MEMORY_POOL": "system"}
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
            )
        return self._process


#: GiB that the process which reads a file may take, unless the environment variable says otherwise; and the variable.
_READING_GIB = 4.0
READING_MEMORY_VARIABLE = "MURINE_READING_MEMORY"

#: Time that reading one file may take: a fixed part and one for its size.
_SECONDS = 60.0
_BYTES_PER_SECOND = 1e6


def reading_memory() -> int:
    """Return the memory (bytes) that reading one file may take: 4 GiB, or what ``MURINE_READING_MEMORY`` says in GiB.

    Raises
    ------
    MurineError
        If the variable holds no positive number.
    """
    given = os.environ.get(READING_MEMORY_VARIABLE) or str(_READING_GIB)
    try:
        gib = float(given)
        if not 0 < gib < float("inf"):
            raise ValueError
    except ValueError:
        raise MurineError(
            f"the environment variable {READING_MEMORY_VARIABLE} is {given!r}; expected a positive number, the memory "
            "in GiB that reading one file may take."
        ) from None
    return round(gib * 2**30)


def read_apart(file: Path, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that reads a file in a separate process, with a time limit that depends on the size of the file.

    Raises
    ------
    MurineError
        An error that the function raised, or an error with the name of the file if the process crashed, hung or ran out
        of memory.

    Parameters
    ----------
    file
        The file that the function reads. Its size decides how long the function may take: a minute, and a second for
        every megabyte.
    function, args, kwargs
        An importable function and its arguments. Arguments and results must pickle.

    Examples
    --------
    >>> from murine.io import read_json
    >>> size = Path("about.json").write_text('{"n": 3}')
    >>> read_apart(Path("about.json"), read_json, "about.json")
    {'n': 3}
    """
    with Isolated(reading_memory()) as process:
        try:
            result, told = process.call(reading_seconds(file), with_warnings, function, *args, **kwargs)  # type: ignore[arg-type]
        except Crashed as error:
            raise could_not_read(file, error) from None
    for name, text in told:
        logging.getLogger(name).warning("%s", text)
    answer: T = result
    return answer


def with_warnings(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> tuple[T, list[tuple[str, str]]]:
    """Call a function, and return its result and its warnings (logger and text, each once).

    The warnings are not printed here; the parent process prints them.
    """
    handler = _Collector()
    logger = logging.getLogger("murine")
    logger.addHandler(handler)
    propagated, logger.propagate = logger.propagate, False
    try:
        return function(*args, **kwargs), list(handler.told)
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.told: dict[tuple[str, str], None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        self.told[record.name, record.getMessage()] = None


def could_not_read(file: Path, error: Crashed) -> MurineError:
    """Return the error for a file whose reader did not answer, with advice."""
    if isinstance(error, OutOfMemory):
        advice = (
            f"This limit protects against damaged files. If the file may be damaged, fetch it again; if it is whole, "
            f"raise the limit with the environment variable {READING_MEMORY_VARIABLE}, in GiB "
            f"(now {reading_memory() / 2**30:g})."
        )
    else:
        advice = (
            "The file may be damaged: compare it with its source, or fetch it again. A system that has run out of "
            "memory, or a disk that does not answer, can be the cause as well."
        )
    return MurineError(f"{str(file)!r} could not be read: {error}. {advice}")


def reading_seconds(*files: Path) -> float:
    """Return the seconds after which a process that reads these files is considered to hang."""
    return _SECONDS + sum(file.stat().st_size for file in files if file.is_file()) / _BYTES_PER_SECOND


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    import signal

    with suppress(ValueError):
        return f"{signal.Signals(-code).name}"
    return f"signal {-code}"


def serve(memory: int) -> None:
    """Answer calls from standard input until it closes. The process of `Isolated` runs this function."""
    import signal
    import traceback

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get among the answers
    limited = False
    while True:
        try:
            seconds, function, args, kwargs = pickle.load(requests)
        except EOFError:
            return
        if not limited:
            _limit_memory(memory)
            limited = True
        _limit_time(seconds)
        try:
            answer = _pickled("done", function(*args, **kwargs))
        except Exception as error:
            if (lack := _lack_of_memory(error)) is not None:
                answer = _pickled("exhausted", f" ({lack})" if str(lack) else "")
            elif isinstance(error, MurineError):
                answer = _pickled("refused", str(error))
            else:
                answer = _pickled("failed", traceback.format_exc())
        _limit_time(None)
        answers.write(answer)
        answers.flush()


def _pickled(state: str, value: object) -> bytes:
    return pickle.dumps((state, value), protocol=pickle.HIGHEST_PROTOCOL)


def _lack_of_memory(error: BaseException) -> BaseException | None:
    """Return the first lack of memory among an error and its causes; None if there is none.

    libhdf5 says so in the text of an OSError.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, MemoryError) or (isinstance(cause, OSError) and cause.errno == errno.ENOMEM):
            return cause
        if isinstance(cause, OSError) and re.search(_NO_MEMORY, str(cause), re.IGNORECASE):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None


def _limit_memory(memory: int) -> None:
    """Limit the data of this process. Its address space is no measure: allocators reserve much that they never use."""
    try:
        import resource

        import h5py  # noqa: F401  (what it and NumPy take at their start is not counted)

        has = re.search(r"VmData:\s*(\d+) kB", Path("/proc/self/status").read_text())
        if has is None:
            return
        limit = int(has[1]) * 1024 + memory
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash is expected; its gigabytes help nobody
    except (ImportError, OSError, ValueError):
        pass  # a system without that limit: time and crashes are still contained


def _limit_time(seconds: float | None) -> None:
    """Set a system timer that ends this process if it hangs in a library after its parent has died."""
    import signal

    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0 if seconds is None else max(seconds, 0) + _GRACE)
