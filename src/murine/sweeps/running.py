"""Marks of the networks that run at the moment, so that others on the file system can see them.

``running/<digest>.json`` belongs to one process and one unit of a sweep. Its time is renewed while the unit runs. A
mark that was not renewed for `LOST` seconds belongs to a process that was killed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from murine.errors import MurineError
from murine.io.files import read_json

log = logging.getLogger(__name__)

#: Seconds between renewals of a mark, and seconds without one after which its process is taken for lost.
RENEWED, LOST = 20.0, 180.0

#: Columns of the table of running units.
COLUMNS = ("work", "network", "weights", "input_size", "cortex", "layers", "host", "pid", "since")


@contextmanager
def marked_as_running(atlas: Path, asked: dict[str, str]) -> Iterator[None]:
    """Keep a mark in the folder of an atlas while the block runs. A mark that cannot be written is left out."""
    about = {
        **asked,
        "host": socket.gethostname(),
        "pid": str(os.getpid()),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    name = hashlib.sha256(json.dumps(about, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()[:32]
    file = atlas / "running" / f"{name}.json"
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f".{name}")  # appears whole; it need not survive a power cut
        partial.write_text(json.dumps(about) + "\n", encoding="utf-8")
        partial.replace(file)
    ended = threading.Event()
    threading.Thread(target=_renew, args=(file, ended), name="running mark", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        with suppress(OSError):
            file.unlink(missing_ok=True)


def _renew(file: Path, ended: threading.Event) -> None:
    while not ended.wait(RENEWED):
        with suppress(OSError):
            os.utime(file)


def running(atlas: Path) -> pd.DataFrame:
    """Return the units that run now, the longest first. Marks of lost processes are removed.

    Columns are `COLUMNS` and ``cortex_settings``, all text.
    """
    found = []
    for file in sorted((atlas / "running").glob("[!.]*.json")):
        try:
            if time.time() - file.stat().st_mtime > LOST:
                file.unlink(missing_ok=True)
                continue
            about = read_json(file)
            found.append({name: str(about[name]) for name in (*COLUMNS, "cortex_settings")})
        except FileNotFoundError:
            continue  # it has just ended
        except (MurineError, OSError, KeyError, TypeError) as error:
            log.warning("left out %r, which is no mark of a running network (%s).", str(file), error)
    table = pd.DataFrame(found, columns=[*COLUMNS, "cortex_settings"], dtype="str")
    return table.sort_values("since", kind="stable", ignore_index=True)
