"""What a command printed, and how it ended."""

from __future__ import annotations

import json
from typing import NamedTuple


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, object]]:
        """Of ``--format json``."""
        return json.loads(self.out)
