"""Files beside raw ones: marks of those that are only fetched to be reduced, and reasons why a recording is missing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from murine import download
from murine.download.ledger import beside
from murine.io.files import meaning

log = logging.getLogger(__name__)


def verdict_of(recording: Path) -> Path:
    """Where the reason lies why a recording cannot be made."""
    return recording.with_suffix(".impossible.txt")


def passing_mark(raw: Path) -> Path:
    """The mark of a raw file that is only fetched to be reduced: nobody misses it afterwards."""
    return beside(raw, "passing")


def mark_as_passing(raw: Path) -> None:
    with suppress(OSError):  # where nothing can be written, the fetch tells so
        passing_mark(raw).touch()


def let_go(raw: Path, keep: bool | None) -> None:
    """Delete a raw file that is not to be kept, or stays for nobody."""
    marked = passing_mark(raw).exists()
    try:
        if keep is False or (keep is None and marked):
            download.remove(raw)
        if marked:
            passing_mark(raw).unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s could not be deleted: %s", raw, meaning(error))


def unless_used(file: Path, act: Callable[[], None]) -> None:
    """Do something with a file, except while another process works on it; then that one decides."""
    from filelock import FileLock, Timeout

    try:
        held = FileLock(beside(file, "lock")).acquire(timeout=0)
    except (Timeout, OSError, NotImplementedError):
        # Another has it; or the file system is read-only, or has no locks: then who may write there tidies up.
        return
    with held:
        act()
