"""A summary of domains, one row each: numbers of images and groups, brightness, and sources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from murine.domains.domain import Domain


def summarise_domains(names: Sequence[str], load: Callable[[str], Domain]) -> tuple[list[dict[str, Any]], list[Domain]]:
    """Return a row for each domain; they are loaded one by one, since all images together might not fit into memory.

    Returns
    -------
    rows
        domain, classes, train, test (numbers of images), groups, mean (of all levels, 0 to 1), light (the share of
        images whose outermost pixels are light), digest, "class names", preparation, sources, and "shared groups":
        groups that another of the domains has too.
    emptied
        The domains without their images, for `murine.domains.domain.common_classes`.

    Raises
    ------
    MurineError
        If a domain cannot be loaded.
    """
    rows: list[dict[str, Any]] = []
    groups: list[set[str]] = []
    emptied = []
    for name in names:
        domain = load(name)
        rows.append(_row(domain))
        groups.append(set(domain.groups.tolist()) - {""})
        emptied.append(domain.subset([]))
    for i, row in enumerate(rows):
        others: set[str] = set().union(*(group for j, group in enumerate(groups) if j != i))
        row["shared groups"] = len(groups[i] & others)
    return rows, emptied


def _row(domain: Domain) -> dict[str, Any]:
    grey = domain.images.mean(axis=3, dtype=np.float32)
    outermost = np.concatenate([grey[:, 0], grey[:, -1], grey[:, 1:-1, 0], grey[:, 1:-1, -1]], axis=1)
    return {
        "domain": domain.name,
        "classes": domain.n_classes,
        "train": int((domain.parts == "train").sum()),
        "test": int((domain.parts == "test").sum()),
        "groups": len(set(domain.groups.tolist()) - {""}) + int((domain.groups == "").sum()),
        "mean": float(domain.images.mean()) / 255,
        "light": float((np.median(outermost, axis=1) > 127.5).mean()),
        "digest": domain.digest,
        "class names": " ".join(domain.classes),
        "preparation": domain.identity.preparation.model_dump_json(),
        "sources": " ".join(f"{name}={digest}" for name, digest in domain.identity.sources),
    }
