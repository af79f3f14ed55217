"""Failures: networks that could not be scored, with the reason; removed when the network is scored.

``failures/<digest>.json`` holds one, named by what was asked for. The next run tries again."""

from __future__ import annotations

import hashlib
import json
import logging
import socket
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from murine.errors import MurineError
from murine.io.files import atomic_write, read_json

log = logging.getLogger(__name__)

#: Columns of the table of failures.
COLUMNS = (
    *("work", "network", "weights", "input_size", "cortex", "layers", "reason", "time", "host", "murine"),
    "cortex_settings",
)


def add(folder: Path, asked: dict[str, str], reason: str) -> None:
    """Record a failure in a folder; it replaces an earlier record of the same network and task."""
    about = {
        **asked,
        "reason": reason,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "murine": version("murine"),
    }
    with atomic_write(_file(folder, asked)) as partial:
        partial.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def remove(folder: Path, asked: dict[str, str]) -> None:
    """Delete the record of a failure, if there is one."""
    try:
        _file(folder, asked).unlink(missing_ok=True)
    except OSError as error:
        raise MurineError(f"{str(_file(folder, asked))!r} could not be removed: {error.strerror}.") from error


def read(folder: Path) -> pd.DataFrame:
    """Read all failures, the latest first; columns as `COLUMNS`, all text. Files that cannot be read are left out."""
    found = []
    for file in sorted(folder.glob("*.json")):
        if file.name.startswith("."):
            continue
        try:
            about = read_json(file)
            found.append({name: str(about[name]) for name in COLUMNS})
        except (MurineError, KeyError, TypeError) as error:
            log.warning("left out %r, which is no record of a failure (%s).", str(file), error)
    table = pd.DataFrame(found, columns=list(COLUMNS), dtype="str")
    return table.sort_values("time", ascending=False, kind="stable", ignore_index=True)


def _file(folder: Path, asked: dict[str, str]) -> Path:
    canonical = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    return folder / f"{hashlib.sha256(canonical.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}.json"
