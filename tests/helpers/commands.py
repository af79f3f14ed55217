"""What a command printed, and how it ended."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

import pytest
import typer.main

#: Typer makes all commands of their functions anew in every call, which takes as long as many a command.
_made_once = cache(typer.main.get_command)


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


def run_here(*arguments: object) -> int:
    """Run a command in this process, through the same `main` as the installed script; return its exit code."""
    from murine.cli import main

    with pytest.MonkeyPatch.context() as patch, own_notes():
        patch.setattr(sys, "argv", ["murine", *map(str, arguments)])
        patch.setattr(typer.main, "get_command", _made_once)
        try:
            main()
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


@contextmanager
def own_notes() -> Iterator[None]:
    """Undo what the block does to logging: a command with ``--quiet`` would silence the notes of all that follow."""
    log = logging.getLogger("murine")
    handlers, level = log.handlers[:], log.level
    try:
        yield
    finally:
        log.handlers[:], log.level = handlers, level
