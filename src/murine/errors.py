"""The error class that is meant for users, and descriptions of other errors in words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: Characters of somebody else's error that a message repeats.
LONGEST_REASON = 400


class MurineError(ValueError):
    """An error in what the user gave: the input cannot be used.

    The message says what was given, what was expected and what to do. The command line prints it alone,
    without a traceback, and exits with code 2.

    Examples
    --------
    >>> import murine
    >>> try:
    ...     murine.load_data("simulate")
    ... except murine.MurineError as error:
    ...     print(error)
    unknown dataset 'simulate'; did you mean simulated...
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


def reason_of(error: BaseException) -> str:
    """Return what an exception says, in one printable line: ``'KeyError: 3'``.

    The text of an exception from other code may be empty, very long, or contain control characters, or its ``__str__``
    may raise. This function raises only `KeyboardInterrupt`. A `MurineError` is returned without its type and at full
    length.
    """
    kind = type(error).__name__
    try:
        text = str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as second:  # ``__str__`` may do anything, `sys.exit` included
        return f"{kind} (its text cannot be read: {type(second).__name__})"
    whole = " ".join(text.encode("utf-8", "replace").decode("utf-8").split())
    line = "".join(character if character.isprintable() else "?" for character in whole)
    if isinstance(error, MurineError):
        return line or kind
    if len(line) > LONGEST_REASON:
        line = line[:LONGEST_REASON].rstrip() + " ..."
    return f"{kind}: {line}" if line else kind
