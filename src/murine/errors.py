"""The one kind of error that is meant for users."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MurineError(ValueError):
    """Something the user gave cannot be used.

    The message says what was given, what was expected and what to do. The command line prints it alone,
    without a traceback, and exits with code 2.
    """


def nearest(name: str, known: Iterable[str], n: int = 3) -> str:
    """Return a hint such as ``'; did you mean resnet18, resnet10t?'``, or an empty string."""
    found = difflib.get_close_matches(name, list(known), n=n, cutoff=0.5)
    return f"; did you mean {', '.join(found)}?" if found else ""


def some(items: Iterable[object], n: int = 5) -> str:
    """Return the first ``n`` items as text, with a count of the rest."""
    texts = [str(item) for item in items]
    rest = f" and {len(texts) - n} more" if len(texts) > n else ""
    return ", ".join(texts[:n]) + rest
