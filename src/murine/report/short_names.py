"""Shorten network names to fit a picture."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable


def shortened(name: str, longest: int) -> str:
    """A name without its middle, if it has more letters than there is room for: both its ends tell something."""
    return name if len(name) <= longest else f"{name[: longest // 2]}…{name[1 - longest // 2 :]}"


def without_files(networks: Iterable[str]) -> dict[str, str]:
    """What networks are called: those from users' files by their functions alone, ``net`` for ``folder/nets.py:net``,
    if that is still one network; others by their names."""
    short = {name: re.sub(r"^.*\.py:", "", name) for name in networks}
    n_same = Counter(short.values())
    return {name: function if n_same[function] == 1 else name for name, function in short.items()}
