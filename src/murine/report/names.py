"""Names in pictures: users' files have long ones, and a picture has little room."""

from __future__ import annotations

import re
from collections.abc import Sequence


def shortened(name: str, longest: int) -> str:
    """A name without its middle, if it has more letters than there is room for: both its ends tell something."""
    return name if len(name) <= longest else f"{name[: longest // 2]}…{name[1 - longest // 2 :]}"


def without_files(networks: Sequence[str]) -> list[str]:
    """Names of networks; those from users' files by their functions alone, ``net`` for ``folder/nets.py:net``, if one
    name is still one network."""
    short = {name: re.sub(r"^.*\.py:", "", name) for name in networks}
    called = list(short.values())
    return [short[name] if called.count(short[name]) == 1 else name for name in networks]
