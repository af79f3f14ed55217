"""Fingerprints: whether files are still those that were read, without reading them again.

The system keeps the time of the last change of every file; it cannot be set back. A file that changed just before it
was looked at may change once more within the same tick of that clock, so it has no fingerprint."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path

#: Nanoseconds that a change has to be old, for clocks of files as coarse as those of network folders.
_SETTLED = 50_000_000
_COARSE = 2_000_000_000

Fingerprint = tuple[int, ...]

#: Of a file that is not there.
ABSENT: Fingerprint = ()


def fingerprint(path: str | Path) -> Fingerprint | None:
    """The fingerprint of a file, or of the names in a folder; None if it changed just now or cannot be looked at."""
    try:
        stat = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    except (OSError, ValueError):
        return None
    changed = max(stat.st_mtime_ns, stat.st_ctime_ns)
    settled = _COARSE if changed % 1_000_000_000 == 0 else _SETTLED
    if time.time_ns() - changed < settled:
        return None
    size = 0 if os.path.isdir(path) else stat.st_size
    return (size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev)


def fingerprint_of_all(paths: Iterable[Path]) -> str | None:
    """One text for files, and for folders with all files in them; None if one of them has no fingerprint."""
    found: dict[str, Fingerprint] = {}
    for path in paths:
        inside = [path, *sorted(path.rglob("*"))] if path.is_dir() else [path]
        for each in inside:
            one = fingerprint(each)
            if one is None or one == ABSENT:
                return None
            found[str(each.resolve())] = one
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()
