"""A domain as its source provides it, before its images are prepared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64, Shaped
from numpy.typing import NDArray

from murine.domains.preparation import InkPolarity

DIGITS = tuple("0123456789")


@dataclass(frozen=True, eq=False)
class RawDomain:
    """A domain as its source provides it.

    Attributes
    ----------
    images
        Array (n_images, height, width) or (n_images, height, width, 3), or a list of images of different sizes; uint8,
        or floats between 0 and 1.
    labels, parts, groups, classes
        As in `murine.domains.domain.Domain`.
    sources
        Names of the files with their SHA-256.
    polarity
        Polarity of images with ink on a plain background; None for photographs.
    framed
        Whether the ink is framed as in MNIST.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.random.default_rng(0).integers(0, 256, (40, 16, 16), dtype=np.uint8)
    >>> labels, groups = np.arange(40) % 2, np.array([""] * 40)
    >>> parts = drawn_parts(labels, groups, seed=0)
    >>> raw = RawDomain(images, labels, parts, groups, ("even", "odd"), sources=())
    >>> parts.tolist().count("test")
    8
    """

    images: NDArray[Any] | Sequence[NDArray[Any]]
    labels: Int64[np.ndarray, " n_images"]
    parts: Shaped[np.ndarray, " n_images"]
    groups: Shaped[np.ndarray, " n_images"]
    classes: tuple[str, ...]
    sources: tuple[tuple[str, str], ...]
    polarity: InkPolarity | None = None
    framed: bool = False


def drawn_parts(
    labels: Int64[np.ndarray, " n_images"], groups: Shaped[np.ndarray, " n_images"], seed: int, test: float = 0.2
) -> Shaped[np.ndarray, " n_images"]:
    """Draw a test part for a source without one: the same share of the groups of every class.

    The class of a group is that of its first image.

    Parameters
    ----------
    labels, groups
        Arrays (n_images,). The group '' is a group of one image.
    seed
        Seed of the draw.
    test
        Share of test groups in every class, rounded to whole groups.

    Returns
    -------
    parts
        (n_images,) ``train`` or ``test``.
    """
    keys = [group or f"\0{i}" for i, group in enumerate(groups.tolist())]
    first: dict[str, int] = {}
    for i, key in enumerate(keys):
        first.setdefault(key, int(labels[i]))
    rng = np.random.default_rng(seed)
    held_out: set[str] = set()
    for label in sorted(set(first.values())):
        members = [key for key, its in first.items() if its == label]
        drawn = rng.permutation(len(members))[: round(test * len(members))]
        held_out.update(members[i] for i in drawn)
    return np.array(["test" if key in held_out else "train" for key in keys])
