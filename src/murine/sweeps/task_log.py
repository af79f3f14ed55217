"""The log of sweeps: a line of JSON for every finished unit, and the costs of earlier ones.

Each process that runs a sweep appends to a file of its own, ``log/<host>-<pid>-<time>.jsonl`` in the folder of the
atlas, so that no two processes write to the same file.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from murine.atlas.sweep import NetworkResult

log = logging.getLogger(__name__)


class TaskLog:
    """Appends a line of JSON for every result.

    Parameters
    ----------
    folder
        The folder of the atlas.
    """

    def __init__(self, folder: Path) -> None:
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        self.file = folder / "log" / f"{socket.gethostname()}-{os.getpid()}-{now}.jsonl"
        self._failed = False

    def add(self, asked: dict[str, str], result: NetworkResult) -> None:
        """Append one result: what was asked for, its state, seconds, bytes, and the digests of its rows."""
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "host": socket.gethostname(),
            **asked,
            "state": result.state,
            "seconds": None if result.seconds is None else round(result.seconds, 3),
            "peak_memory": result.peak_memory,
            "reason": result.reason,
            "results": list(result.tasks),
        }
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a", encoding="utf-8") as opened:
                opened.write(json.dumps(line) + "\n")
        except OSError as error:
            if not self._failed:
                log.warning("the log %r cannot be written (%s); the sweep goes on.", str(self.file), error.strerror)
            self._failed = True


@dataclass(frozen=True)
class PastCost:
    """The cost of earlier runs: the median of their seconds, and the most bytes that one of them held."""

    seconds: float
    peak_memory: int | None


def past_costs(folder: Path) -> dict[tuple[str, ...], PastCost]:
    """Return the costs of computed units in the logs of an atlas, by `cost_key`."""
    seconds: dict[tuple[str, ...], list[float]] = {}
    memory: dict[tuple[str, ...], int] = {}
    for line in _lines(folder):
        key = cost_key(line)
        if line.get("state") != "computed" or not isinstance(line.get("seconds"), (int, float)):
            continue
        seconds.setdefault(key, []).append(line["seconds"])
        if isinstance(peak := line.get("peak_memory"), int):
            memory[key] = max(memory.get(key, 0), peak)
    return {key: PastCost(median(taken), memory.get(key)) for key, taken in seconds.items()}


def cost_key(asked: dict[str, Any]) -> tuple[str, ...]:
    """Return what the cost of a unit depends on: the network without its weights, the input size, layers and data."""
    return tuple(str(asked.get(name, "")) for name in ("work", "network", "input_size", "layers", "cortex"))


def _lines(folder: Path) -> Iterator[dict[str, Any]]:
    for file in sorted((folder / "log").glob("[!.]*.jsonl")):
        try:
            texts = file.read_text("utf-8", errors="replace").splitlines()
        except OSError as error:
            log.warning("the log %r cannot be read (%s).", str(file), error.strerror)
            continue
        for text in texts:
            try:
                line = json.loads(text)
            except ValueError:
                continue  # the process was killed while it wrote its last line
            if isinstance(line, dict):
                yield line
