"""Layer sequences by name: as published lists of networks have them, or of any network that can be built."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from jaxtyping import Float

from murine.architecture.layer_sequences import Vocabulary, empty_sequence, trace, vocabulary_of
from murine.errors import MurineError
from murine.networks import catalogue, zoo
from murine.progress import Progress, Silent

#: The vocabulary that published sequences are written in.
PUBLISHED = "paper"


@dataclass(frozen=True)
class Spelled:
    """The layer sequence of a network.

    Attributes
    ----------
    name
        As it was asked for.
    letters
        '' for a member of a list that cannot be built today.
    source
        Where the sequence is from.
    published_as
        The member of the same list whose sequence the paper's authors evidently used in its place, or ''.
    """

    name: str
    letters: str
    source: str
    published_as: str = ""


@cache
def published(suite: str) -> dict[str, Spelled]:
    """The sequences of a published list of networks by their names there, in its order; so far ``neurn44``.

    Those that its authors took from Keras are spelled from Keras's own lists of layers, the others from the networks
    that `murine.networks.catalogue.suite` names (tools/spell_neurn44.py)."""
    name = suite.removeprefix(catalogue.SUITE)
    rows = [row for row in _table("sequences") if row["suite"] == name]
    if not rows:
        raise MurineError(f"no sequences are published of the suite {name!r}; there are those of neurn44.")
    return {row["member"]: Spelled(row["member"], row["letters"], row["source"], row["published_as"]) for row in rows}


def as_published(suite: str) -> dict[str, str]:
    """The sequences as the list's authors seem to have used them; without those that nobody can build."""
    members = published(suite)
    return {name: members[own.published_as or name].letters for name, own in members.items() if own.letters}


@cache
def published_heat_map() -> tuple[tuple[str, ...], Float[np.ndarray, "n_members n_members"]]:
    """The heat map of Jalil, Qazi & Iqbal 2025, decoded from the colours of their figure (arXiv 2505.06881).

    Returns
    -------
    members
        38 of ``neurn44``: the rows of EfficientNet B2 to B7 equal B1's and are left out.
    correlation
        Accurate to about 0.01.
    """
    rows = _table("neurn44_heatmap")
    values = np.array([[int(row[other]) for other in rows[0] if other != "member"] for row in rows]) / 100
    values.flags.writeable = False
    return tuple(row["member"] for row in rows), values


def spell(
    networks: Sequence[str],
    vocabulary: str | Path | Vocabulary = PUBLISHED,
    *,
    progress: Progress | None = None,
) -> list[Spelled]:
    """Layer sequences of networks by name.

    Parameters
    ----------
    networks
        As for `zoo.expand`: names, wildcards, ``suite:NAME``, ``FILE.py:FACTORY``. In the vocabulary ``paper``, a
        member of ``suite:neurn44`` that is named so is spelled as in the published list: ``vgg16`` is then Keras's,
        ``torchvision:vgg16`` PyTorch's. Weights do not matter.
    vocabulary
        As for `murine.architecture.layer_sequences.layer_sequence`.

    Returns
    -------
    spelled
        Each name once, in order; of a list also the members that cannot be built, with no letters.

    Raises
    ------
    MurineError
        Unknown networks, networks that cannot be run, empty sequences.
    """
    words = vocabulary_of(vocabulary)
    listed = published("neurn44") if words == vocabulary_of(PUBLISHED) else {}
    wanted: dict[str, Spelled | None] = {}
    for name in networks:
        if listed and name == f"{catalogue.SUITE}neurn44":
            wanted |= listed
        elif name in listed:
            wanted[name] = listed[name]
        else:
            wanted |= {choice.name: None for choice in zoo.expand([name]) if choice.name not in wanted}
    spelled = []
    with (progress or Silent()).task("layer sequences", len(wanted)) as bar:
        for name, known in wanted.items():
            spelled.append(known or _spelled(name, words))
            bar.advance(done=name)
    return spelled


def _spelled(name: str, words: Vocabulary) -> Spelled:
    """Run a network without numbers if it can do that, else with random weights."""
    try:
        layers = trace(zoo.skeleton(name)[0])
        how = "built"
    except MurineError:
        network = zoo.load(zoo.NetworkSpec(name, "" if name in zoo.controls or ".py:" in name else "random:0"))
        layers = trace(network.module)
        how = "built with numbers"
    letters = words.spell(layers)
    if not letters:
        raise empty_sequence(repr(name), layers)
    return Spelled(name, letters, how)


def _table(name: str) -> list[dict[str, str]]:
    text = (files("murine.networks") / "tables" / f"{name}.csv").read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))
