"""One registry type for everything that has a name: metrics, data sets, control networks."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from importlib.metadata import EntryPoint, distributions, entry_points
from typing import Generic, TypeVar, cast

from murine.errors import MurineError, nearest, reason_of

T = TypeVar("T")


class _Place(str):
    """``module:attribute``, the place of an entry that was not used yet."""


log = logging.getLogger(__name__)


class Registry(Generic[T]):
    """A registry: entries of one kind, each with a name.

    Parameters
    ----------
    kind
        Kind of the entries, in the singular, with ``_`` for spaces. It is used in messages and in the entry-point group
        ``murine.<kind>``, through which other packages add entries. An entry that cannot be loaded, or whose name is
        taken, is left out with one warning.

    Examples
    --------
    >>> colours = Registry("colour")
    >>> _ = colours.register("red")("#ff0000")
    >>> colours["red"], "blue" in colours
    ('#ff0000', False)
    """

    def __init__(self, kind: str) -> None:
        if not re.fullmatch(r"\w+", kind):
            raise ValueError(f"{kind!r} cannot be part of the name of an entry-point group")
        self.kind = kind
        self._entries: dict[str, T | _Place] = {}
        self._outsiders: dict[str, str] = {}
        self._outsiders_loaded = False

    @property
    def _spoken(self) -> str:
        return self.kind.replace("_", " ")

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that adds the decorated thing under ``name``; a second use of a name raises."""

        def add(entry: T) -> T:
            if name in self._outsiders:
                self._warn_taken(name, self._outsiders.pop(name), "murine")
            elif name in self._entries:
                raise MurineError(f"the {self._spoken} {name!r} is registered already")
            self._entries[name] = entry
            return entry

        return add

    def refer(self, name: str, place: str) -> None:
        """Add ``module:attribute`` under ``name``; it is imported at its first use."""
        if name in self._entries:
            raise MurineError(f"the {self._spoken} {name!r} is registered already")
        self._entries[name] = _Place(place)

    def _load_outsiders(self) -> None:
        if self._outsiders_loaded:
            return
        self._outsiders_loaded = True
        for point, package in _entry_points(f"murine.{self.kind}"):
            if point.name in self._entries:
                self._warn_taken(point.name, package, self._outsiders.get(point.name, "murine"))
                continue
            try:
                entry = point.load()
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # SystemExit, too: it is somebody else's code
                log.warning(
                    "the %s %r of the package %s is left out, since it cannot be loaded (%s). Update or uninstall "
                    "that package.",
                    self._spoken,
                    point.name,
                    package,
                    reason_of(error),
                )
                continue
            self._entries[point.name] = cast("T", entry)
            self._outsiders[point.name] = package

    def _warn_taken(self, name: str, package: str, owner: str) -> None:
        log.warning(
            "the %s %r of the package %s is left out, since %s has one of that name.",
            self._spoken,
            name,
            package,
            owner,
        )

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            self._load_outsiders()
        if name not in self._entries:
            raise MurineError(
                f"unknown {self._spoken} {name!r}{nearest(name, self) or '.'} Known: {', '.join(sorted(self))}"
            )
        entry = self._entries[name]
        if isinstance(entry, _Place):
            module, _, attribute = entry.partition(":")
            entry = self._entries[name] = cast("T", getattr(import_module(module), attribute))
        return entry

    def __contains__(self, name: object) -> bool:
        if name not in self._entries:
            self._load_outsiders()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        self._load_outsiders()
        return iter(self._entries)

    def names(self) -> list[str]:
        """Return all names without importing what they stand for; one that cannot be loaded is among them."""
        if self._outsiders_loaded:
            return list(self._entries)
        outsiders = (point.name for point, _ in _entry_points(f"murine.{self.kind}"))
        return list(dict.fromkeys([*self._entries, *outsiders]))

    def describe(self) -> dict[str, str]:
        """Return a sentence or two about each entry, by name.

        Entries say it in an attribute ``about``, ``summary`` or ``question``; of others it is the first paragraph of
        the docstring, '' if there is none.
        """
        return {name: _words(self[name]) for name in self}

    def __len__(self) -> int:
        self._load_outsiders()
        return len(self._entries)


def _words(entry: object) -> str:
    """What an entry says of itself."""
    for attribute in ("about", "summary", "question"):
        text = getattr(entry, attribute, "")
        if isinstance(text, str) and text:
            return text
    return " ".join((inspect.getdoc(entry) or "").split("\n\n")[0].split())


def _entry_points(group: str) -> list[tuple[EntryPoint, str]]:
    """The entry points of a group, each with the package that it is of."""
    try:
        points = list(entry_points(group=group))
    except Exception:  # one package's list of entry points is broken: take those of the others
        points = []
        for package in distributions():
            try:
                points += package.entry_points.select(group=group)
            except Exception as error:
                log.warning("the list of entry points of %s is broken: %s", _package(package), reason_of(error))
    return [(point, _package(point.dist)) for point in points]


def plug_ins() -> list[tuple[str, str, str, str]]:
    """All entry points for registries: their groups, names and places, and the packages that they are of."""
    found = []
    for package in distributions():
        with suppress(Exception):  # whoever needs the entry is told
            points = [point for point in package.entry_points if point.group.startswith("murine.")]
            found += [(point.group, point.name, point.value, _package(package)) for point in points]
    return sorted(found)


def _package(distribution: object) -> str:
    """Name and version of a package, as far as it tells them."""
    if distribution is None:
        return "(unknown)"
    try:
        return f"{distribution.name} {distribution.version}"  # type: ignore[attr-defined]
    except Exception:  # its metadata are broken, too
        return "(unknown)"
