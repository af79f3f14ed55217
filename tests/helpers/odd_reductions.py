"""Reductions that go wrong in chosen ways; in a module of their own, so that another process can import them."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from murine.cortex.allen.fetch_plan import Session
from murine.errors import MurineError


def joined(session: Session, raw: Sequence[Path | None], missing: Sequence[Path]) -> dict[Path, str]:
    """Every recording is the raw files one after another."""
    for target in missing:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"+".join(file.read_bytes() for file in raw if file is not None))
    return {}


def odd(
    how: str, number: int, session: Session, raw: Sequence[Path | None], missing: Sequence[Path]
) -> dict[Path, str]:
    """As above, but for one session."""
    if session.id != number:
        return joined(session, raw, missing)
    if how == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "refuse":
        raise MurineError(f"{str(raw[0])!r} is odd.")
    if how == "mistake":
        raise KeyError("no such key")
    if how == "warn":
        for _ in range(2):
            logging.getLogger("murine.cortex").warning("%s is strange", raw[0])
        return joined(session, raw, missing)
    return dict.fromkeys(missing, f"{raw[0]} lacks {how}")
