"""Fingerprints of files, which show without reading whether a file has changed.

The operating system stores the time of the last change of every file, which cannot be set back. A file that changed
just before its fingerprint is taken could change again within the same tick of that clock, so it has no fingerprint.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path

#: Smallest age of a change in nanoseconds; the second is for coarse clocks, as in network folders.
_SETTLED = 50_000_000
_COARSE = 2_000_000_000

Fingerprint = tuple[int, ...]

#: Fingerprint of a file that does not exist.
ABSENT: Fingerprint = ()


def fingerprint(path: str | Path) -> Fingerprint | None:
    """Return the fingerprint of a file, or of the names in a folder; None if it changed just now or is inaccessible.

    The fingerprint of a file that does not exist is ``()``.

    Examples
    --------
    >>> import sys
    >>> fingerprint(sys.executable) == fingerprint(sys.executable)
    True
    >>> fingerprint("no-such-file")
    ()
    """
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
    """Return one text for files, and folders with all files in them; None if one of them has no fingerprint."""
    found: dict[str, Fingerprint] = {}
    for path in paths:
        inside = [path, *sorted(path.rglob("*"))] if path.is_dir() else [path]
        for each in inside:
            one = fingerprint(each)
            if one is None or one == ABSENT:
                return None
            found[str(each.resolve())] = one
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()
