"""Shorten network names to fit a picture."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable


def shortened(name: str, longest: int) -> str:
    """Shorten a name that is too long by leaving out its middle, because both ends are informative."""
    return name if len(name) <= longest else f"{name[: longest // 2]}…{name[1 - longest // 2 :]}"


def without_files(networks: Iterable[str]) -> dict[str, str]:
    """Return short names of networks.

    A network from a user's file gets the name of its function, ``net`` for ``folder/nets.py:net``, if this is unique;
    others keep their names.
    """
    short = {name: re.sub(r"^.*\.py:", "", name) for name in networks}
    n_same = Counter(short.values())
    return {name: function if n_same[function] == 1 else name for name, function in short.items()}
