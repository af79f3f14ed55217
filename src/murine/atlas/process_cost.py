"""Time and memory that a network takes of the process that it runs in."""

from __future__ import annotations

import re
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from murine.atlas.sweep import NetworkResult


class Measured:
    """Measures time and the largest memory of this process from its construction on."""

    def __init__(self) -> None:
        # The system forgets the largest memory of earlier networks. Where it cannot, an upper limit is measured.
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        self._start = time.perf_counter()

    def added_to(self, result: NetworkResult) -> NetworkResult:
        """Return a result with the time since the start and the largest memory."""
        return replace(result, seconds=time.perf_counter() - self._start, peak_memory=_peak_memory())


def resident_memory() -> int:
    """Return the bytes of memory that this process holds; 0 where the system does not tell."""
    return _status("VmRSS") or 0


def _peak_memory() -> int | None:
    """Return the most bytes that this process has held; None where the system does not tell."""
    if (found := _status("VmHWM")) is not None:
        return found
    with suppress(ImportError, OSError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return used if sys.platform == "darwin" else used * 1024  # macOS counts bytes, others KiB
    return None


def _status(key: str) -> int | None:
    with suppress(OSError):
        if found := re.search(rf"^{key}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE):
            return int(found[1]) * 1024
    return None
