"""Files and folders here: names beside a file, and small files."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

_LARGEST_JSON = 2**20

#: What may be left beside a file by a fetch that was killed, other than bytes of it.
_LEFT = ("partial.json", "partial.json.new", "verified.json.new")


def beside(file: Path, end: str) -> Path:
    """Name of a hidden file that goes with another."""
    return file.with_name(f".{file.name}.{end}")


def read_json(file: Path) -> dict[str, Any]:
    """What a small file of ours says; nothing if it is missing, broken or not ours."""
    try:
        with file.open("rb") as opened:
            given = json.loads(opened.read(_LARGEST_JSON))
    except (OSError, ValueError, RecursionError):
        return {}
    return given if isinstance(given, dict) else {}


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Write a small file, whole or not at all; for who holds the lock of the file that it goes with."""
    new = file.with_name(f"{file.name}.new")
    with open(new, "w", encoding="utf-8", opener=unlinked) as opened:
        opened.write(json.dumps(content, indent=1) + "\n")
    os.replace(new, file)


def unlinked(path: str | Path, flags: int) -> int:
    """Open a file whose name others can guess: a link that somebody put there is refused, not followed."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def has_litter(file: Path) -> bool:
    """Whether a fetch that was killed has left something beside a file that no later one can go on with."""
    return not beside(file, "partial").exists() and any(beside(file, end).exists() for end in _LEFT)


def tidy(file: Path) -> None:
    """Delete what a fetch that was killed has left beside a file that is whole; for who holds the file's lock."""
    for end in ("partial", *_LEFT):
        with suppress(OSError):
            beside(file, end).unlink(missing_ok=True)


def existing_folder(file: Path) -> Path:
    """The folder that a file will be in, or the nearest above it that there is."""
    # Not Path.is_dir, which raises where a folder above may not be looked into.
    return next((folder for folder in file.absolute().parents if os.path.isdir(folder)), Path("/"))


def sync_folder(folder: Path) -> None:
    """Make names in a folder survive a loss of power."""
    with suppress(OSError):  # some systems do not open folders
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
