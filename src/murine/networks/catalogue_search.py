"""Search in the catalogue of networks: by name, list, family, task and size."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from murine.errors import MurineError, nearest, some
from murine.networks import catalogue, zoo
from murine.networks.catalogue import Entry


def find_entries(
    pattern: str = "*",
    *,
    pretrained: bool = False,
    suite: str = "",
    family: str | None = None,
    task: str | None = None,
    max_parameters: float | None = None,
) -> list[Entry]:
    """Return the networks that meet every condition.

    Parameters
    ----------
    pattern
        A name with wildcards.
    pretrained
        An entry for every tag of pretrained weights.
    suite
        Only the members of a published list.
    family
        A family, wildcards allowed.
    task
        A part of the task that weights were trained for.
    max_parameters
        The greatest number of parameters; networks of unknown size are left out.

    Raises
    ------
    MurineError
        If there is no such list, or no network is left.

    Examples
    --------
    >>> [entry.network for entry in find_entries("resnet1*", max_parameters=6e6)]
    ['resnet10t']
    """
    if suite:
        found = [member.network for member in catalogue.suite(suite) if member.network]
        if pattern != "*":
            wanted = set(zoo.matching_names(pattern))
            found = [name for name in found if name in wanted or name.partition(".")[0] in wanted]
    else:
        found = _named(pattern, pretrained)
    if not found:
        near = nearest(pattern, [*zoo.controls, *catalogue.names()])
        raise MurineError(f"no network matches {pattern!r}{near or '.'}")
    entries = [catalogue.entry(name) for name in dict.fromkeys(found)]
    return _filtered(entries, family, task, max_parameters)


def _named(pattern: str, pretrained: bool) -> list[str]:
    """The networks of a pattern; with their tags of weights if asked."""
    import timm

    if not pretrained:
        return zoo.matching_names(pattern)
    if "." in pattern and ":" not in pattern:
        tagged: list[str] = timm.list_models(pattern, pretrained=True)
        return tagged
    return [tagged for name in zoo.matching_names(pattern) for tagged in catalogue.weights_of(name)]


def _filtered(
    entries: Sequence[Entry], family: str | None, task: str | None, max_parameters: float | None
) -> list[Entry]:
    kept = [
        entry
        for entry in entries
        if (family is None or fnmatch.fnmatch(entry.family, family))
        and (task is None or task.lower() in entry.task.lower())
        and (max_parameters is None or (entry.parameters is not None and entry.parameters <= max_parameters))
    ]
    if not kept:
        families, tasks = ({getattr(entry, key) for entry in entries} - {""} for key in ("family", "task"))
        wrong = nearest(family, families) if family and family not in families else ""
        raise MurineError(
            f"none of the {len(entries)} networks is left{wrong or '.'} Families: {some(sorted(families))}; tasks: "
            f"{some(sorted(tasks), 8)}."
        )
    return kept
