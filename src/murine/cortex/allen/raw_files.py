"""Small files next to raw files: marks of raw files to delete after reduction, and reasons for missing recordings."""

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
    """Return the path of the file that says why a recording cannot be made."""
    return recording.with_suffix(".impossible.txt")


def passing_mark(raw: Path) -> Path:
    """Return the path of the mark of a raw file that is fetched only to be reduced and may then be deleted."""
    return beside(raw, "passing")


def mark_as_passing(raw: Path) -> None:
    with suppress(OSError):  # where nothing can be written, the fetch tells so
        passing_mark(raw).touch()


def let_go(raw: Path, keep: bool | None) -> None:
    """Delete a raw file that the user does not want to keep, or that is marked for deletion."""
    marked = passing_mark(raw).exists()
    try:
        if keep is False or (keep is None and marked):
            download.remove(raw)
        if marked:
            passing_mark(raw).unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s could not be deleted: %s", raw, meaning(error))


def unless_used(file: Path, act: Callable[[], None]) -> None:
    """Do something with a file, unless another process works on it; then leave the file to that process."""
    from filelock import FileLock, Timeout

    try:
        held = FileLock(beside(file, "lock")).acquire(timeout=0)
    except (Timeout, OSError, NotImplementedError):
        # Another has it; or the file system is read-only, or has no locks: then who may write there tidies up.
        return
    with held:
        act()
