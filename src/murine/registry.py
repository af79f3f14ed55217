"""One registry type for everything that has a name: metrics, data sets, control networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from murine.errors import MurineError, nearest

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to things of one kind.

    Parameters
    ----------
    kind
        What the things are, in the singular: used in messages and as the entry-point group
        ``murine.<kind>``, through which other packages add theirs.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}
        self._outsiders_loaded = False

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that adds the decorated thing under ``name``; a second use of a name raises."""

        def add(entry: T) -> T:
            if name in self._entries:
                raise MurineError(f"the {self.kind} {name!r} is registered already")
            self._entries[name] = entry
            return entry

        return add

    def _load_outsiders(self) -> None:
        if not self._outsiders_loaded:
            self._outsiders_loaded = True
            for point in entry_points(group=f"murine.{self.kind}"):
                self.register(point.name)(point.load())

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            self._load_outsiders()
        if name not in self._entries:
            raise MurineError(
                f"unknown {self.kind} {name!r}{nearest(name, self) or '.'} Known: {', '.join(sorted(self))}"
            )
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        self._load_outsiders()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        self._load_outsiders()
        return iter(self._entries)

    def __len__(self) -> int:
        self._load_outsiders()
        return len(self._entries)
