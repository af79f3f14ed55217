"""The split of a source into training and validation images, without a group of images in both."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64, Shaped
from numpy.typing import NDArray

from murine.domains.domain import Domain
from murine.errors import MurineError
from murine.generalization.recipe import Recipe


def split(source: Domain, recipe: Recipe, seed: int) -> tuple[Domain, Domain]:
    """Split the training part of a source into training and validation images. No group of images is in both.

    Parameters
    ----------
    source
        The domain to train on. Only its part ``train`` is used.
    recipe
        ``recipe.validation`` is the share of validation images; whole groups are drawn at random. With
        ``recipe.n_train`` the first images are training images, and those after them, up to ``validation`` times
        ``n_train``, are validation images. The order is that of the source if its first images contain all classes
        (MNIST); otherwise it is shuffled, always in the same way.
    seed
        Seed of the data.

    Returns
    -------
    training, validation

    Raises
    ------
    MurineError
        If there are too few images or groups, or only one class.

    Examples
    --------
    >>> from murine.domains import load_domain
    >>> training, validation = split(load_domain("rendered-fonts"), Recipe(validation=0.1), seed=0)
    >>> training.n_images > validation.n_images
    True
    >>> set(training.groups.tolist()) & set(validation.groups.tolist())
    set()
    """
    images = source.part("train")
    n = images.n_images
    if recipe.n_train is not None:
        if n <= recipe.n_train:
            raise MurineError(
                f"{source.name!r} has {n:,} training images; the recipe wants the first {recipe.n_train:,} and some "
                "after them to choose the epoch by."
            )
        held = min(n - recipe.n_train, max(1, round(recipe.validation * recipe.n_train)))
        order = _order(images.labels, recipe.n_train)
        training = images.subset(order[: recipe.n_train])
        rows = order[recipe.n_train : recipe.n_train + held]
        seen = set(training.groups.tolist()) - {""}
        rows = rows[[group not in seen for group in images.groups[rows].tolist()]]
    else:
        rows = _held_back(images.groups, recipe.validation, seed)
        training = images.subset(np.setdiff1d(np.arange(n), rows))
    if not len(rows) or not training.n_images:
        raise MurineError(
            f"{source.name!r} has too few groups of images ({len(set(images.groups.tolist()))} of {n} images) to hold "
            "some back and learn from others."
        )
    if len(np.unique(training.labels)) < 2:
        only = source.classes[int(training.labels[0])]
        raise MurineError(f"all {training.n_images} training images of {source.name!r} are {only!r}: nothing to learn.")
    return training, images.subset(rows)


def _order(labels: Int64[np.ndarray, " n_images"], n_first: int) -> NDArray[np.int64]:
    """Return the order of the images: unchanged if every class has at least half its share of the first ones, else
    shuffled, for sources that are sorted by class."""
    shares, first = np.bincount(labels) / len(labels), np.bincount(labels[:n_first], minlength=int(labels.max()) + 1)
    if (first >= shares * n_first / 2).all():
        return np.arange(len(labels))
    return np.random.default_rng(0).permutation(len(labels))


def _held_back(groups: Shaped[np.ndarray, " n_images"], share: float, seed: int) -> NDArray[np.int64]:
    """Return the rows of whole groups, drawn until the share is reached. An image without a group is its own group.

    A group that would give more than twice the share is skipped if a smaller one is left.
    """
    names = np.array([group or f"\0{i}" for i, group in enumerate(groups.tolist())])
    _, codes, sizes = np.unique(names, return_inverse=True, return_counts=True)
    order = np.random.default_rng([seed, 1]).permutation(len(sizes))
    wanted, chosen, n = share * len(groups), [], 0
    for group in order[: len(sizes) - 1]:
        if n >= wanted:
            break
        if n + sizes[group] <= 2 * wanted:
            chosen.append(group)
            n += sizes[group]
    if not chosen and len(sizes) > 1:
        chosen.append(sizes.argmin())
    return np.flatnonzero(np.isin(codes, chosen)).astype(np.int64)
