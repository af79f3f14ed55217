"""Layer sequences of networks by name: from published lists of networks, or of any network that can be built."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from jaxtyping import Float

from murine.architecture.forward_trace import trace_layers
from murine.architecture.layer_sequences import empty_sequence_error
from murine.architecture.vocabulary import Vocabulary, load_vocabulary
from murine.errors import MurineError
from murine.networks import catalogue, zoo
from murine.progress import Progress, Silent

#: The vocabulary of published sequences.
PUBLISHED = "paper"


@dataclass(frozen=True)
class NamedSequence:
    """The layer sequence of a network.

    Attributes
    ----------
    name
        The name that was asked for.
    letters
        The sequence; '' for a member of a list that cannot be built today.
    source
        Where the sequence comes from.
    published_as
        The member of the same list whose sequence the authors of the paper evidently used in its place, or ''.

    Examples
    --------
    >>> NamedSequence("small", "CRL", "built").letters
    'CRL'
    """

    name: str
    letters: str
    source: str
    published_as: str = ""


@cache
def published_sequences(suite: str) -> dict[str, NamedSequence]:
    """Return the sequences of a published list of networks, by the names in that list and in its order.

    Sequences that the authors took from Keras come from Keras's own lists of layers; the others come from the networks
    that `murine.networks.catalogue.suite` names (tools/spell_neurn44.py).

    Parameters
    ----------
    suite
        Name of the list; so far ``neurn44``.

    Returns
    -------
    sequences
        Name -> `NamedSequence`.

    Raises
    ------
    MurineError
        If no sequences of the list are published.

    Examples
    --------
    >>> len(published_sequences("neurn44"))
    44
    """
    name = suite.removeprefix(catalogue.SUITE)
    rows = [row for row in _read_table("sequences") if row["suite"] == name]
    if not rows:
        raise MurineError(f"the suite {name!r} has no published sequences; expected neurn44.")
    return {
        row["member"]: NamedSequence(row["member"], row["letters"], row["source"], row["published_as"]) for row in rows
    }


def sequences_as_published(suite: str) -> dict[str, str]:
    """Return the sequences as the authors of a list seem to have used them, without members that cannot be built.

    Examples
    --------
    >>> sequences = sequences_as_published("neurn44")
    >>> sequences["vgg11"][:8]
    'CRMCRMCR'
    """
    members = published_sequences(suite)
    return {name: members[own.published_as or name].letters for name, own in members.items() if own.letters}


@cache
def published_heat_map() -> tuple[tuple[str, ...], Float[np.ndarray, "n_members n_members"]]:
    """Return the heat map of Jalil, Qazi & Iqbal 2025, decoded from the colours of their figure.

    The figure is in arXiv 2505.06881.

    Returns
    -------
    members
        38 members of ``neurn44``. The rows of EfficientNet B2 to B7 equal that of B1 and are left out.
    correlation
        (n_members, n_members), accurate to about 0.01; read-only.

    Examples
    --------
    >>> members, correlation = published_heat_map()
    >>> len(members), correlation.shape
    (38, (38, 38))
    """
    rows = _read_table("neurn44_heatmap")
    values = np.array([[int(row[other]) for other in rows[0] if other != "member"] for row in rows]) / 100
    values.flags.writeable = False
    return tuple(row["member"] for row in rows), values


def find_sequences(
    networks: Sequence[str],
    vocabulary: str | Path | Vocabulary = PUBLISHED,
    *,
    progress: Progress | None = None,
) -> list[NamedSequence]:
    """Find the layer sequences of networks: in the published list, or by building the networks.

    Parameters
    ----------
    networks
        Names, wildcards, ``suite:NAME`` or ``FILE.py:FACTORY``, as for `murine.networks.zoo.expand`. In the vocabulary
        ``paper``, the name of a member of ``suite:neurn44`` gives the published sequence: ``vgg16`` is then the network
        of Keras, and ``torchvision:vgg16`` that of PyTorch. Weights do not matter.
    vocabulary
        As for `murine.architecture.layer_sequences.layer_sequence`.
    progress
        Shows the progress.

    Returns
    -------
    sequences
        Each name once, in order. Members of a list that cannot be built have no letters.

    Raises
    ------
    MurineError
        If a network is unknown, cannot be run, or has an empty sequence.

    Examples
    --------
    >>> [found.name for found in find_sequences(["vgg11", "vgg13"])]
    ['vgg11', 'vgg13']
    """
    words = load_vocabulary(vocabulary)
    listed = published_sequences("neurn44") if words == load_vocabulary(PUBLISHED) else {}
    wanted: dict[str, NamedSequence | None] = {}
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
            spelled.append(known or _build_sequence(name, words))
            bar.advance(done=name)
    return spelled


def _build_sequence(name: str, words: Vocabulary) -> NamedSequence:
    """Run a network without numbers (on PyTorch's meta device) if possible, otherwise with random weights."""
    try:
        layers = trace_layers(zoo.skeleton(name)[0])
        how = "built"
    except MurineError:
        network = zoo.load(zoo.NetworkSpec(name, "" if name in zoo.controls or ".py:" in name else "random:0"))
        layers = trace_layers(network.module)
        how = "built with numbers"
    letters = words.encode(layers)
    if not letters:
        raise empty_sequence_error(repr(name), layers)
    return NamedSequence(name, letters, how)


def _read_table(name: str) -> list[dict[str, str]]:
    text = (files("murine.networks") / "tables" / f"{name}.csv").read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))
