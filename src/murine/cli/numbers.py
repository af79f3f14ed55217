"""Large numbers as people write them: ``5M``, ``1.2B``, ``8G``."""

from __future__ import annotations

import re

from murine.errors import MurineError


def number_with_unit(text: str, option: str) -> float:
    """``5M`` -> 5e6; ``8G`` -> 8e9"""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMgGbBtT]?)(?:i?B)?", text.strip())
    if not match:
        raise MurineError(f"{option} {text!r} is not understood; expected a number, as 5M, 1.2B or 8G.")
    return float(match[1]) * {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12}[match[2].lower()]


def short_number(number: int | None) -> str:
    """5300000 -> ``5.3M``; '' for None."""
    if number is None:
        return ""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return str(number)
