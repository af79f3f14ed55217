"""The domains murine knows by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from murine.generalization import digits
from murine.generalization.domain import Domain, Identity
from murine.generalization.preparation import Preparation, prepare
from murine.generalization.raw import Raw
from murine.registry import Registry


@dataclass(frozen=True)
class Source:
    """Where a domain comes from.

    Attributes
    ----------
    read
        Reads it from the folder of data (None: where it usually is).
    about
        What it is, in a line.
    n_train, n_test
        Images in its parts; None where that depends on the machine.
    licence
        As stated where the data are from.
    """

    read: Callable[[Path | None], Raw]
    about: str
    n_train: int | None
    n_test: int | None
    licence: str


#: Names to sources of domains.
domains: Registry[Source] = Registry("domain")

_UNSTATED = "not stated"

for _name, _source in {
    "mnist": Source(
        digits.mnist, "handwriting, pen: the first 12,000 training images, all test images", 12000, 10000, "MIT"
    ),
    "usps": Source(digits.usps, "handwriting on envelopes", 7291, 2007, _UNSTATED),
    "mnist-m": Source(digits.mnist_m, "MNIST test digits blended into photographs", 1000, 1000, _UNSTATED),
    "semeion": Source(digits.semeion, "handwriting, binary, without a margin", 1274, 319, "MIT"),
    "fonts": Source(digits.fonts, "print, 1,016 fonts", 8120, 2040, _UNSTATED),
    "street": Source(digits.street, "digits cut from street photographs", 621, 264, _UNSTATED),
}.items():
    domains.register(_name)(_source)


def load_domain(
    name: str, *, preparation: Preparation | None = None, part: str | None = None, data: Path | None = None
) -> Domain:
    """Load a domain, prepared.

    Parameters
    ----------
    name
        A registered name.
    preparation
        What is done to the images (None: the published default).
    part
        Only ``train`` or ``test``.
    data
        Folder of data (default: ``$MURINE_SHARED``, else ``../shared``).

    Raises
    ------
    MurineError
        If there is no such domain, or its files are missing, damaged or not the published ones.
    """
    return _prepared(name, domains[name].read(data), preparation or Preparation(), part)


def _prepared(name: str, raw: Raw, preparation: Preparation, part: str | None) -> Domain:
    wanted = np.arange(len(raw.labels)) if part is None else np.flatnonzero(raw.parts == part)
    images: NDArray[Any] | Sequence[NDArray[Any]]
    images = raw.images[wanted] if isinstance(raw.images, np.ndarray) else [raw.images[int(i)] for i in wanted]
    return Domain(
        name=name,
        images=prepare(images, preparation, ink=raw.ink, framed=raw.framed),
        labels=raw.labels[wanted],
        parts=raw.parts[wanted],
        groups=raw.groups[wanted],
        positions=wanted.astype(np.int64),
        classes=raw.classes,
        identity=Identity(name=name, sources=raw.sources, preparation=preparation, part=part or ""),
    )
