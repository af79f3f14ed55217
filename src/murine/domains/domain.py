"""A domain: labelled images from one source, with groups of images that a split must not separate."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Int64, Shaped, UInt8
from pydantic import BaseModel, ConfigDict

from murine.domains.preparation import Preparation
from murine.errors import MurineError, some

#: Increased whenever the same sources and preparation would give other images, labels, parts or groups.
METHOD = 1

PARTS = ("train", "test")


class Identity(BaseModel):
    """The configuration that determines the images and labels of a domain. It is part of the identity of results.

    Attributes
    ----------
    name
        Name of the domain, with its corruption.
    sources
        Names of the files that the domain was read from, without folders, each with the SHA-256 of its bytes.
    preparation
        How the images were prepared.
    part
        ``train`` or ``test`` if the domain is only this part; otherwise ''.
    subset
        SHA-256 of the positions of the selected images, in their order; '' if all are there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: int = METHOD
    name: str
    sources: tuple[tuple[str, str], ...]
    preparation: Preparation
    part: str = ""
    subset: str = ""

    @property
    def digest(self) -> str:
        """The first 32 hexadecimal digits of the SHA-256 of the canonical form."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:32]


@dataclass(frozen=True, eq=False, repr=False)
class Domain:
    """Labelled images of one domain, prepared.

    Attributes
    ----------
    name
        ``mnist``, ``usps`` ..., with a corruption and its strength ``mnist+noise:3``.
    images
        uint8 array (n_images, size, size, 3).
    labels
        int64 array (n_images,): positions in ``classes``.
    parts
        Text array (n_images,): ``train`` or ``test``.
    groups
        Text array (n_images,): a split must never separate images of one group, neither within this domain (a typeface)
        nor across domains (an MNIST image and images made from it). '' is a group of one image.
    positions
        int64 array (n_images,): position of each image in the whole domain. Corruptions are seeded with it, so an image
        always gets the same corruption.
    classes
        Names of the classes.
    identity
        The configuration that determines all of this.

    Raises
    ------
    MurineError
        If a shape, type, label, part or class is not possible.

    Examples
    --------
    >>> from murine.domains import Preparation, load_domain
    >>> digits = load_domain("rendered-fonts", preparation=Preparation(size=16))
    >>> digits.classes[:3]
    ('0', '1', '2')
    >>> training = digits.part("train")
    >>> training.subset([0, 1, 2]).n_images
    3
    """

    name: str
    images: UInt8[np.ndarray, "n_images size size 3"]
    labels: Int64[np.ndarray, " n_images"]
    parts: Shaped[np.ndarray, " n_images"]
    groups: Shaped[np.ndarray, " n_images"]
    positions: Int64[np.ndarray, " n_images"]
    classes: tuple[str, ...]
    identity: Identity

    def __post_init__(self) -> None:
        images, n = self.images, len(self.images)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or images.shape[1] != images.shape[2]:
            raise MurineError(
                f"the images of {self.name!r} are {images.dtype} {images.shape}; expected uint8 (n_images, size, size, "
                "3). murine.domains.preparation.prepare makes them."
            )
        for what in ("labels", "parts", "groups", "positions"):
            if getattr(self, what).shape != (n,):
                raise MurineError(f"{n} images of {self.name!r} came with {what} of {getattr(self, what).shape}.")
        if self.labels.dtype != np.int64 or (n and not 0 <= self.labels.min() <= self.labels.max() < self.n_classes):
            raise MurineError(
                f"the labels of {self.name!r} have to be whole numbers (int64) from 0 to {self.n_classes - 1}, one for "
                f"each of its classes; found {self.labels.dtype}, {some(np.unique(self.labels).tolist(), 20)}."
            )
        if odd := sorted(set(self.parts.tolist()) - set(PARTS)):
            raise MurineError(f"{self.name!r} has parts called {some(odd)}; expected train and test.")
        if len(set(self.classes)) < 2 or len(set(self.classes)) != len(self.classes):
            raise MurineError(
                f"{self.name!r} has the classes {some(self.classes) or '-'}; expected at least two, with different "
                "names: there is nothing to tell apart."
            )

    def __repr__(self) -> str:
        height, width = self.images.shape[1:3]
        return f"<Domain {self.name}: {self.n_images} images, {height} x {width} px, {self.n_classes} classes>"

    @property
    def n_images(self) -> int:
        return len(self.images)

    @property
    def n_classes(self) -> int:
        return len(self.classes)

    @property
    def digest(self) -> str:
        """Digest of the identity."""
        return self.identity.digest

    def part(self, name: str) -> Domain:
        """Return the images of one part, ``train`` or ``test``. A part without images is refused."""
        if name not in PARTS:
            raise MurineError(f"there is no part {name!r} of a domain; expected train or test.")
        if self.identity.part == name:
            return self
        rows = np.flatnonzero(self.parts == name)
        if not rows.size:
            raise MurineError(f"{self.name!r} has no image in its part {name!r}.")
        if self.identity.subset or self.identity.part:
            return self.subset(rows)
        return replace(self._rows(rows), identity=self.identity.model_copy(update={"part": name}))

    def subset(self, index: Any) -> Domain:
        """Return the images at some positions, in the given order.

        Parameters
        ----------
        index
            Whole numbers (n_selected,) between 0 and ``n_images`` - 1, each at most once; or bools (n_images,).

        Raises
        ------
        MurineError
            If the index has another shape or type, is out of range, or names an image twice.
        """
        given = np.asarray(index)
        rows = np.flatnonzero(given) if given.dtype == bool else given
        shaped = given.shape == (self.n_images,) if given.dtype == bool else given.ndim == 1
        if not shaped or (rows.size and not np.issubdtype(rows.dtype, np.integer)):
            raise MurineError(
                f"{given.dtype} of {given.shape} cannot select images of {self.name!r}; expected whole numbers, or "
                f"{self.n_images} bools."
            )
        rows = rows.astype(np.int64)
        if rows.size and not 0 <= rows.min() <= rows.max() < self.n_images:
            raise MurineError(f"{self.name!r} has {self.n_images} images; {rows.min()} to {rows.max()} were asked for.")
        if np.unique(rows).size != rows.size:
            raise MurineError(f"an image of {self.name!r} was selected more than once.")
        picked = self._rows(rows)
        places = hashlib.sha256(np.ascontiguousarray(picked.positions, dtype="<i8").tobytes()).hexdigest()
        return replace(picked, identity=self.identity.model_copy(update={"part": "", "subset": places}))

    def _rows(self, rows: Int64[np.ndarray, " n_picked"]) -> Domain:
        columns = {what: getattr(self, what)[rows] for what in ("images", "labels", "parts", "groups", "positions")}
        return replace(self, **columns)


def excluding(target: Domain, source: Domain) -> Domain:
    """Return a target without the images whose group is among the training images.

    Parameters
    ----------
    target
        The images to test on.
    source
        Exactly the images that were trained on: a part or a subset if not all of a domain was used.

    Returns
    -------
    target
        The same object if no image had to be left out.

    Raises
    ------
    MurineError
        If no image is left.
    """
    seen = set(source.groups.tolist()) - {""}
    kept = np.array([group not in seen for group in target.groups.tolist()], dtype=bool)
    if kept.all():
        return target
    if not kept.any():
        raise MurineError(
            f"every image of {target.name!r} is of a group that was trained on in {source.name!r}: nothing is left to "
            "test on. Train on one part and test on the other."
        )
    return target.subset(kept)


def common_classes(domains: Sequence[Domain]) -> tuple[str, ...]:
    """Return the classes of all domains.

    Raises
    ------
    MurineError
        If the domains have different classes or another order: a network trained on one could not be tested on another.
    """
    if not domains:
        raise MurineError("no domain was given.")
    first = domains[0]
    for other in domains[1:]:
        if other.classes != first.classes:
            lacking = [name for name in first.classes if name not in other.classes]
            new = [name for name in other.classes if name not in first.classes]
            told = [f"{other.name!r} lacks {some(lacking)}"] * bool(lacking)
            told += [f"{first.name!r} lacks {some(new)}"] * bool(new)
            raise MurineError(
                f"the classes of {first.name!r} and {other.name!r} differ: "
                f"{'; '.join(told) or 'their order is another'}. A network that is trained on one domain can be tested "
                "only on domains with the same classes."
            )
    return first.classes
