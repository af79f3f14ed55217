"""Temporary files beside the files that they become, with names that cannot be guessed.

The name contains the owner: ``.NAME.MACHINE-PROCESS-START-RANDOM.partial``. The next process that writes into the
folder removes the temporary files of killed processes. Files of running processes and of other machines stay.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
from contextlib import suppress
from functools import cache
from pathlib import Path

#: Longest name of a file. A file system takes 255 bytes; the rest is for the owner.
_LONGEST_NAME = 180

_OWNED = re.compile(r"\..*\.(?P<machine>[0-9a-f]{8})-(?P<pid>\d+)-(?P<start>[0-9a-f]{8})-[0-9a-f]{16}\.partial")


def create_beside(file: Path) -> Path:
    """Create an empty temporary file beside a file, and return its path. It is new and not a link.

    Raises
    ------
    OSError
        If the file cannot be created.
    """
    name = file.name.encode("utf-8", "surrogateescape")[:_LONGEST_NAME].decode("utf-8", "ignore")
    pid = os.getpid()
    path = file.with_name(f".{name}.{_machine()}-{pid}-{_start_of(pid)}-{secrets.token_hex(8)}.partial")
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0), 0o666))
    return path


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files in a folder whose processes on this machine have ended."""
    for file in abandoned_files(folder):
        with suppress(OSError):
            file.unlink()


def abandoned_files(folder: Path) -> list[Path]:
    """Return the temporary files in a folder whose processes on this machine have ended."""
    found = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".partial") and _is_abandoned(entry.name):
                with suppress(OSError):
                    if entry.is_file(follow_symlinks=False):
                        found.append(Path(entry.path))
    return found


def _is_abandoned(name: str) -> bool:
    owner = _OWNED.fullmatch(name)
    if owner is None or owner["machine"] != _machine():
        return False
    pid = int(owner["pid"])
    return not _is_alive(pid) or _start_of(pid) != owner["start"]


def _is_alive(pid: int) -> bool:
    """Return whether a process with this number exists; True if that is unknown."""
    if os.name != "posix":
        return True  # os.kill would end the process
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # the process of another user
    return True


def _start_of(pid: int) -> str:
    """Return a text that differs between processes that had the same number one after another, if that is known."""
    with suppress(OSError, IndexError):
        ticks = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
        return _short(Path("/proc/sys/kernel/random/boot_id").read_text(), ticks)
    return _short("")


@cache
def _machine() -> str:
    """Return a text that differs between machines, and between containers on one machine."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/etc/machine-id").read_text())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))  # the numbers of processes are valid only inside one container
    return _short(*parts)


def _short(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:8]
