"""The catalogue of networks: what is known about each, and the lists of networks in published studies.

Unknown properties are empty. `Entry.sources` says where the others come from. The tables in ``tables/`` are:

* ``architectures.csv``: parameters and depth, counted by building every network (tools/tabulate_networks.py);
* ``papers.csv``: the paper of an architecture, by patterns of names;
* ``top1.csv``: accuracies that timm publishes for its weights, for the networks in the suites and a few others;
* ``published.csv``: weights that their authors publish, with address and digest;
* ``suites.csv``: the lists of published studies.
"""

from __future__ import annotations

import csv
import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any

from murine.errors import MurineError, nearest
from murine.networks.sources.source import get_source, prefixed_names, require_source_of
from murine.networks.spec import SUITE as SUITE


@dataclass(frozen=True)
class Entry:
    """What is known about a network; None or '' if it is unknown.

    Attributes
    ----------
    network
        Name as in `murine.networks.zoo.load`.
    source
        Name of its source: ``timm``, ``torchvision``, ``taskonomy``, ``hub``, ``control``, or that of a plug-in.
    family
        The module of the library that builds the network.
    parameters
        Number of trainable parameters, all layers included.
    depth
        Number of convolutions and matrix products with learnt weights on the longest path from image to output
        (`murine.networks.parameter_counts.depth`).
    input_size
        (height, width) in pixels that the weights expect.
    weights
        The tag of the weights that ``task``, ``data`` and ``top1`` belong to: those in the name, else the default ones.
    task, data
        Task and data of the training; several data sets are in the order of training.
    top1
        Accuracy on ImageNet's validation images in percent, as published with the weights.
    year, citation
        The paper of the architecture (for self-supervised weights, of the method).
    sources
        Where these facts come from.

    Examples
    --------
    >>> known = entry("resnet18.a1_in1k")
    >>> known.parameters, known.depth, known.input_size, known.data
    (11689512, 18, (224, 224), 'in1k')
    >>> known.row()["input_size"]
    '224x224'
    """

    network: str
    source: str
    family: str = ""
    parameters: int | None = None
    depth: int | None = None
    input_size: tuple[int, int] | None = None
    weights: str = ""
    task: str = ""
    data: str = ""
    top1: float | None = None
    year: int | None = None
    citation: str = ""
    sources: str = ""

    def row(self) -> dict[str, Any]:
        """Return the fields as a row of a table; the input size becomes text: ``224x224``."""
        size = "" if self.input_size is None else "x".join(str(side) for side in self.input_size)
        return {field.name: getattr(self, field.name) for field in fields(self)} | {"input_size": size}


@dataclass(frozen=True)
class Member:
    """A network of a published study.

    Attributes
    ----------
    suite, name
        The list, and the name of the network in it.
    part
        The library that the authors of the study used.
    network
        The name of the network in murine; '' if it cannot be built.
    missing
        Why it cannot be built.
    note
        How the network was identified, or how it differs from the one in the study.
    """

    suite: str
    name: str
    part: str
    network: str
    missing: str
    note: str


@cache
def suites() -> dict[str, tuple[Member, ...]]:
    """Return the lists of published studies by name.

    ``conwell2021``: 31 networks of torchvision and 78 of timm. ``conwell2021-tasks``: networks of the same study
    trained on other tasks than ImageNet's, with Taskonomy's encoders. ``neurn44``: the 44 networks of Jalil et al.
    2025 (arXiv 2505.06881).

    Examples
    --------
    >>> {name: len(members) for name, members in suites().items()}
    {'conwell2021': 109, 'conwell2021-tasks': 32, 'neurn44': 44}
    """
    found: dict[str, list[Member]] = {}
    for row in _table("suites"):
        member = Member(row["suite"], row["member"], row["part"], row["network"], row["missing"], row["note"])
        found.setdefault(member.suite, []).append(member)
    return {name: tuple(members) for name, members in found.items()}


def suite(name: str) -> tuple[Member, ...]:
    """Return the networks of a list, ``suite:neurn44`` or ``neurn44``, in the order of the list.

    Raises
    ------
    MurineError
        If there is no such list.

    Examples
    --------
    >>> members = suite("suite:neurn44")
    >>> len(members), members[0].name, members[0].network
    (44, 'mobilenet', 'mobilenetv1_100')
    """
    name = name.removeprefix(SUITE)
    if name not in suites():
        raise MurineError(
            f"there is no suite {name!r}{nearest(name, suites()) or '.'} Known: "
            f"{', '.join(SUITE + known for known in suites())}."
        )
    return suites()[name]


def names(pattern: str = "*") -> list[str]:
    """Return the names of all networks of timm and of the sources with a prefix, wildcards allowed."""
    return [*get_source("timm").names(pattern), *prefixed_names(pattern)]


def weights_of(architecture: str) -> list[str]:
    """Return a network with the tag of each of its pretrained weights; its plain name if the weights have no tag.

    Examples
    --------
    >>> weights_of("alexnet")
    ['torchvision:alexnet.IMAGENET1K_V1']
    """
    source, name = require_source_of(architecture)
    return source.tagged_names(name)


def entry(network: str) -> Entry:
    """Return what is known about a network without building it.

    Parameters
    ----------
    network
        Name as in `murine.networks.zoo.load`, with or without the tag of its weights.

    Returns
    -------
    entry
        Parameters and depth are None for a network that is not in ``tables/architectures.csv``.

    Raises
    ------
    MurineError
        If there is no such network.

    Examples
    --------
    >>> found = entry("torchvision:alexnet")
    >>> found.parameters, found.depth, found.citation
    (61100840, 8, 'arXiv:1404.5997')
    """
    source, name = require_source_of(network)
    architecture, _, tag = name.partition(".")
    full_name = source.full_name(architecture)
    built = _architectures().get(full_name, {})
    facts: dict[str, Any] = {"family": built.get("family", "")}
    for key in ("parameters", "depth"):
        facts[key] = int(built[key]) if built.get(key) else None
    facts |= source.facts(architecture, tag)
    notes = [f"parameters, depth: built with {built['source']}"] if built.get("parameters") else []
    of_paper = _citation(full_name)
    if citation := facts.get("citation", "") or of_paper:
        facts |= {"citation": citation, "year": _year(citation)}
        notes.append("paper: papers.csv" if citation == of_paper else "paper: published.csv")
    notes.append(facts.pop("origin"))
    return Entry(network=source.full_name(name), source=source.name, sources="; ".join(notes), **facts)


def entries(networks: Iterable[str]) -> list[Entry]:
    """Return the `entry` of each network."""
    return [entry(network) for network in networks]


def _table(name: str) -> list[dict[str, str]]:
    text = (files("murine.networks") / "tables" / f"{name}.csv").read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))


@cache
def _architectures() -> dict[str, dict[str, str]]:
    return {row["name"]: row for row in _table("architectures")}


@cache
def _citation(architecture: str) -> str:
    name = architecture.rpartition(":")[2]
    return next((row["citation"] for row in _table("papers") if fnmatch.fnmatch(name, row["pattern"])), "")


def _year(citation: str) -> int | None:
    """Return the year in the number of a preprint; None for other citations."""
    number = citation.removeprefix("arXiv:")
    return 2000 + int(number[:2]) if number[:4].isdigit() and number[4:5] == "." else None
