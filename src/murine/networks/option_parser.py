"""NAME(OPTION=VALUE, ...): how layers, and functions in files, are asked for."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from murine.errors import MurineError, nearest

#: What an option may be called for short.
_SHORT = {"k": "kernel_size"}


def split(text: str) -> tuple[str, str] | None:
    """The name and what its brackets hold, ``NAME`` or ``NAME(OPTION=VALUE, ...)``; None of any other text."""
    match = re.fullmatch(r"\s*([\w-]+)\s*(?:\((.*)\))?\s*", text)
    return (match[1], match[2] or "") if match else None


def options(text: str, function: Callable[..., Any], what: str) -> dict[str, Any]:
    """Options as a function takes them, ``k=3, eps=1e-3``: whole numbers, numbers, True, False, else text.

    Parameters
    ----------
    what
        What the options are of, for messages.

    Raises
    ------
    MurineError
        With the nearest names, if the function does not take one.
    """
    parameters = inspect.signature(function).parameters.values()
    known = [each.name for each in parameters if each.kind is not each.VAR_KEYWORD]
    all_taken = len(known) < len(parameters)
    found: dict[str, Any] = {}
    for part in text.split(","):
        if not part.strip():
            continue
        key, equals, value = (piece.strip() for piece in part.partition("="))
        key = _SHORT[key] if _SHORT.get(key) in known else key
        if not equals or not (key in known or all_taken):
            raise MurineError(
                f"the option {part.strip()!r} of {what} is not understood{nearest(key, known) or '.'} "
                f"Options: {', '.join(known) or 'none'}."
            )
        found[key] = _value(value)
    return found


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"True": True, "False": False}.get(text, text.strip("'\""))
