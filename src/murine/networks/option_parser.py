"""Parse ``NAME(OPTION=VALUE, ...)``, the form in which users name layers and functions, and lists of ``KEY=VALUE``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any

from murine.errors import MurineError, nearest

#: Short names of options.
_SHORT = {"k": "kernel_size"}


def split_call(text: str) -> tuple[str, str] | None:
    """Return the name and the text in its brackets, of ``NAME`` or ``NAME(OPTION=VALUE, ...)``; None for other texts.

    Examples
    --------
    >>> split_call("neurn(k=3)"), split_call("neurn"), split_call("neurn(k=3")
    (('neurn', 'k=3'), ('neurn', ''), None)
    """
    match = re.fullmatch(r"\s*([\w-]+)\s*(?:\((.*)\))?\s*", text)
    return (match[1], match[2] or "") if match else None


def key_value_pairs(texts: Iterable[str], what: str, example: str) -> list[tuple[str, str]]:
    """Return the keys and values in texts of the form ``KEY=VALUE``, in order.

    Parameters
    ----------
    texts
        The texts. A value may contain further equals signs.
    what
        The option that they belong to, for messages: ``--select``.
    example
        A right text, for messages: ``area=VISp``.

    Raises
    ------
    MurineError
        If a text has no equals sign.

    Examples
    --------
    >>> key_value_pairs(["area=VISp", " depth = 2"], "--select", "area=VISp")
    [('area', 'VISp'), ('depth', '2')]
    """
    pairs = []
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise MurineError(f"{what} {text!r} is not understood; expected KEY=VALUE, as {example}.")
        pairs.append((key.strip(), value.strip()))
    return pairs


def parse_options(text: str, function: Callable[..., Any], what: str) -> dict[str, Any]:
    """Return the keyword arguments in a text, ``k=3, eps=1e-3``.

    Parameters
    ----------
    text
        ``OPTION=VALUE``, separated by commas. Values become integers, numbers, True, False, or else text.
    function
        The function that takes the options.
    what
        What the function is, for messages: ``the layer 'neurn'``.

    Raises
    ------
    MurineError
        If the function does not take an option. The message suggests the nearest names.

    Examples
    --------
    >>> def build(width=8, kernel_size=3): ...
    >>> parse_options("width=64, k=5", build, "the function build")
    {'width': 64, 'kernel_size': 5}
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
