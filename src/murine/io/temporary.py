"""Temporary files beside the files they will become: made under names nobody can guess, removed when abandoned.

A name tells its owner: ``.NAME.MACHINE-PROCESS-START-RANDOM.partial``. What a process that was killed has left is
removed by the next one that writes into the folder. Files of living processes and of other machines stay."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
from contextlib import suppress
from functools import cache
from pathlib import Path

#: A file system takes names of 255 bytes; the rest is for the owner.
_LONGEST_NAME = 180

_OWNED = re.compile(r"\..*\.(?P<machine>[0-9a-f]{8})-(?P<pid>\d+)-(?P<start>[0-9a-f]{8})-[0-9a-f]{16}\.partial")


def create_beside(file: Path) -> Path:
    """Create an empty file beside another, which did not exist before and is no link, and return its path.

    Raises
    ------
    OSError
        If it cannot be created.
    """
    name = file.name.encode("utf-8", "surrogateescape")[:_LONGEST_NAME].decode("utf-8", "ignore")
    pid = os.getpid()
    path = file.with_name(f".{name}.{_machine()}-{pid}-{_start_of(pid)}-{secrets.token_hex(8)}.partial")
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0), 0o666))
    return path


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files of a folder whose process on this machine has ended."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".partial") and _is_abandoned(entry.name):
                with suppress(OSError):
                    if entry.is_file(follow_symlinks=False):
                        os.unlink(entry.path)


def _is_abandoned(name: str) -> bool:
    owner = _OWNED.fullmatch(name)
    if owner is None or owner["machine"] != _machine():
        return False
    pid = int(owner["pid"])
    return not _is_alive(pid) or _start_of(pid) != owner["start"]


def _is_alive(pid: int) -> bool:
    """Whether there is a process of that number; True where that cannot be known."""
    if os.name != "posix":
        return True  # os.kill would end it
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # somebody else's
    return True


def _start_of(pid: int) -> str:
    """A text that differs for processes that had the same number one after the other, where the system tells."""
    with suppress(OSError, IndexError):
        ticks = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
        return _short(Path("/proc/sys/kernel/random/boot_id").read_text(), ticks)
    return _short("")


@cache
def _machine() -> str:
    """A text that differs between machines, and between containers on one of them."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/etc/machine-id").read_text())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))  # numbers of processes mean something only within
    return _short(*parts)


def _short(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:8]
