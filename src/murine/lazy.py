"""Public names of a room that are imported when they are first used, so that importing the room stays fast."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(room: str, modules: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the functions ``__getattr__`` and ``__dir__`` of a room.

    Parameters
    ----------
    room
        Name of the package: ``__name__`` in its ``__init__.py``.
    modules
        For each module of the room, its public names in one text, separated by spaces. No name may be the name of a
        module of the room.

    Examples
    --------
    >>> get, names = lazy_names("murine.io", {"labels": "as_labels"})
    >>> get("as_labels")([1, 2.0])
    ('1', '2')
    >>> names()
    ['as_labels']
    """
    places = {name: module for module, names in modules.items() for name in names.split()}

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        return getattr(import_module(f"{room}.{places[name]}"), name)

    return get, lambda: sorted(places)
