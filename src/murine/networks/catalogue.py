"""The catalogue: lists of networks under one name."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from murine.errors import MurineError, nearest

#: What the name of a suite begins with.
SUITE = "suite:"


@dataclass(frozen=True)
class Member:
    """A network of a published study.

    Attributes
    ----------
    suite, name
        The list, and what the network is called there.
    part
        Where its authors took it from.
    network
        What `zoo.load` builds for it today, '' where nothing can be built.
    missing
        Why not.
    note
        How it was identified, or how what is built differs.
    """

    suite: str
    name: str
    part: str
    network: str
    missing: str
    note: str


@cache
def suites() -> dict[str, tuple[Member, ...]]:
    """All lists, by name: ``conwell2021`` (its 31 networks of torchvision and 78 of timm), ``conwell2021-tasks`` (those
    trained on other tasks than ImageNet's, with Taskonomy's encoders) and ``neurn44`` (papers.md 2.3)."""
    text = (files("murine.networks") / "tables" / "suites.csv").read_text("utf-8")
    found: dict[str, list[Member]] = {}
    for row in csv.DictReader(text.splitlines()):
        member = Member(row["suite"], row["member"], row["part"], row["network"], row["missing"], row["note"])
        found.setdefault(member.suite, []).append(member)
    return {name: tuple(members) for name, members in found.items()}


def suite(name: str) -> tuple[Member, ...]:
    """The members of a list, ``suite:neurn44`` or ``neurn44``, in its order.

    Raises
    ------
    MurineError
        If there is no such list.
    """
    name = name.removeprefix(SUITE)
    if name not in suites():
        raise MurineError(
            f"there is no suite {name!r}{nearest(name, suites()) or '.'} Known: "
            f"{', '.join(SUITE + known for known in suites())}."
        )
    return suites()[name]
