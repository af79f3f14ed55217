"""What the tests of isolation run in a process of its own; by plain name from there, too."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from murine.errors import MurineError

calls = 0


def echo(*args: object, **kwargs: object) -> tuple[object, ...]:
    global calls
    calls += 1
    return (os.getpid(), calls, args, kwargs)


def crash(number: int) -> None:
    os.kill(os.getpid(), number)


def overrun() -> None:
    """A real invalid access to memory, as of a library in C."""
    ctypes.string_at(1)


def hang() -> None:
    while True:
        time.sleep(1)


def hang_in_c() -> None:
    """Never gives Python a chance: holds its lock and answers no signal that Python handles."""
    libc = ctypes.PyDLL(None)
    while True:
        libc.usleep(100_000)


def block_forever(started: str) -> None:
    """As `hang_in_c`, in one single call; says first that it runs, and as which process."""
    Path(started).write_text(str(os.getpid()))
    ctypes.PyDLL(None).sleep(3600)


def eat(n_bytes: int) -> int:
    return len(np.ones(n_bytes, np.uint8))


def eat_slowly() -> None:
    eaten = []
    while True:
        eaten.append(np.ones(16 << 20, np.uint8))


def reserve(n_bytes: int) -> int:
    """Take address space that nothing may be written to, as allocators do ahead of need."""
    import mmap

    return len(mmap.mmap(-1, n_bytes, prot=mmap.PROT_READ))


def arrow(n_texts: int) -> str:
    """Let Arrow allocate, as pandas' texts do; its own allocator takes a gigabyte at the start."""
    import pyarrow

    pyarrow.array(["text"] * n_texts)
    return str(pyarrow.default_memory_pool().backend_name)


def wrapped(error: BaseException) -> None:
    """What readers do: they turn whatever a library raises into an error for users."""
    try:
        raise error
    except Exception as cause:
        raise MurineError(f"'some.nwb' is no readable file ({cause}).") from cause


def eat_and_wrap(n_bytes: int) -> None:
    try:
        eat(n_bytes)
    except MemoryError:
        raise MurineError("'some.nwb', data: found more than the memory holds.") from None


def chatter() -> str:
    print("from Python")
    os.write(1, b"from C\n")
    sys.stdout.flush()
    return "answer"


def refuse() -> None:
    raise MurineError("'some.nwb', data: found nothing; expected something.")


def stumble() -> None:
    raise ZeroDivisionError("a mistake in the program")


def leave(code: int) -> None:
    os._exit(code)


def exit_politely() -> None:
    sys.exit(3)


def large(n: int) -> np.ndarray:
    return np.arange(n)


def unpicklable() -> object:
    return lambda: None


def disposition() -> bool:
    return signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def search_path() -> list[str]:
    return sys.path
