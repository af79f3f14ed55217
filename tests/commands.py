"""What a command printed, and how it ended."""

from __future__ import annotations

import json
import re
from typing import NamedTuple


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, object]]:
        """Of ``--format json``."""
        return json.loads(self.out)

    @property
    def told(self) -> str:
        """Standard error without the lines of progress."""
        return without_progress(self.err)


def without_progress(err: str) -> str:
    """Without lines that end with how long the work took so far: ``murine: networks 1/3, pixels: done (2 s)``."""
    return re.sub(r"^murine: .* \([\d.]+ (s|min|h)\)\n", "", err, flags=re.MULTILINE)
