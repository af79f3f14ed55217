"""Protocols: which images are trained on, and which are targets, never seen before the network is ready."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from murine.domains.corruptions import corrupted
from murine.domains.domain import Domain, Identity, common_classes, excluding
from murine.errors import MurineError
from murine.generalization.recipe import Recipe
from murine.registry import Registry

#: Test images of a source that are corrupted.
N_CORRUPTED = 2000


@dataclass(frozen=True)
class DomainProtocol:
    """What a name stands for.

    Attributes
    ----------
    n_train
        Only the first so many training images; None: as the recipe says.
    validation
        Share of the training images held back; None: as the recipe says.
    sources
        The only ones it is meant for; none: any.
    leave_one_out
        Whether a network is trained on all domains but one, in turn, instead of on one.
    """

    about: str
    n_train: int | None = None
    validation: float | None = None
    sources: tuple[str, ...] = ()
    leave_one_out: bool = False


protocols: Registry[DomainProtocol] = Registry("protocol")
protocols.register("full")(DomainProtocol("all training images of the source, a tenth of them to choose the epoch by"))
protocols.register("mnist10k")(
    DomainProtocol(
        "the first 10,000 of MNIST, as in the literature; the next 2,000 choose the epoch",
        n_train=10_000,
        validation=0.2,
        sources=("mnist", "mnist-official"),
    )
)
protocols.register("leave-one-out")(
    DomainProtocol(
        "all domains but one, pooled, to meet the one; a tenth of the pool chooses the epoch", leave_one_out=True
    )
)


@dataclass(frozen=True, eq=False)
class Met:
    """Test images that a network meets: whether their domain was unseen, and whether they are a source's, corrupted."""

    target: Domain
    unseen: bool
    corruption: bool = False


@dataclass(frozen=True, eq=False)
class Setting:
    """One source with its targets.

    Attributes
    ----------
    source
        The domain, or several pooled; its part ``train`` is all that training sees.
    met
        Test images of the source, then of each target, then corrupted ones; none whose group was trained on.
    """

    source: Domain
    met: tuple[Met, ...]


def settings(
    protocol: str,
    sources: Sequence[str],
    targets: Sequence[str],
    load: Callable[[str, str | None], Domain],
    corruptions: Sequence[tuple[str, int]] = (),
    *,
    n_test: int | None = None,
) -> list[Setting]:
    """What is trained on, and tested on.

    Parameters
    ----------
    protocol
        A name in `protocols`.
    sources
        Names of domains; with ``leave-one-out`` those that are left out in turn.
    targets
        Names of domains; with ``leave-one-out`` they are the pool. A source is its own first target, by its test part.
    load
        From a name and a part (None: all) to a domain.
    corruptions
        With their strengths: `N_CORRUPTED` of the source's test images, corrupted, are one more unseen target.
    n_test
        At most so many test images of every domain, drawn once, the same for all networks; None: all of them.

    Raises
    ------
    MurineError
        Unknown names, classes that differ, a protocol that is not meant for the source, two targets of one name.
    """
    chosen = protocols[protocol]
    if chosen.sources and (wrong := [name for name in sources if name not in chosen.sources]):
        raise MurineError(
            f"the protocol {protocol!r} is of the source {' or '.join(chosen.sources)}, not of {wrong[0]!r}; for any "
            "other take the protocol full."
        )
    names = list(dict.fromkeys([*sources, *targets]))
    whole = {name: load(name, None) for name in (names if chosen.leave_one_out else sources)}
    tests = {name: whole[name].part("test") if name in whole else load(name, "test") for name in names}
    common_classes(list(tests.values()))
    found = []
    for name in dict.fromkeys(sources):
        if chosen.leave_one_out:
            pool = [whole[other] for other in names if other != name]
            if not pool:
                raise MurineError(f"leave-one-out needs other domains than {name!r} to train on; name targets.")
            source = pooled(pool, f"not-{name}")
            met = [Met(source.part("test"), False), Met(tests[name], True)]
        else:
            source = whole[name]
            met = [Met(tests[name], False), *(Met(tests[n], True) for n in dict.fromkeys(targets) if n != name)]
        some = drawn(tests[name], N_CORRUPTED)
        met += [Met(corrupted(some, *step), True, corruption=True) for step in dict.fromkeys(corruptions)]
        called = [each.target.name for each in met]
        if twice := [one for one in called if called.count(one) > 1]:
            raise MurineError(f"the target {twice[0]!r} is among the corruptions of the source, too: leave one out.")
        trained_on = source.part("train")
        fair = [replace(each, target=drawn(excluding(each.target, trained_on), n_test)) for each in met]
        found.append(Setting(source, tuple(fair)))
    return found


def drawn(domain: Domain, n: int | None) -> Domain:
    """At most `n` images of a domain, drawn at random, always the same ones; None: all of them.

    Images, not whole groups: the first ones of a domain in blocks would be of few typefaces.
    """
    if n is None or domain.n_images <= n:
        return domain
    return domain.subset(np.sort(np.random.default_rng(0).permutation(domain.n_images)[:n]))


def adapted(protocol: str, recipe: Recipe, changes: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe with a user's changes, as a protocol wants it.

    Raises
    ------
    MurineError
        A change of what the protocol fixes.
    """
    chosen = protocols[protocol]
    fixed = {k: v for k, v in (("n_train", chosen.n_train), ("validation", chosen.validation)) if v is not None}
    if clash := [name for name in changes or {} if name in fixed]:
        raise MurineError(
            f"the protocol {protocol!r} fixes {clash[0]}={fixed[clash[0]]}; take the protocol full to choose it."
        )
    return recipe.changed({**(changes or {}), **fixed})


def pooled(domains: Sequence[Domain], name: str) -> Domain:
    """Several domains as one, in mixed order, so that the first images of a recipe's ``n_train`` are of all of them.

    Parts and groups are as they are; of a group in several parts only the training images stay.

    So nothing is tested on that was made from what was trained on: MNIST's test images are not in the test part of a
    pool in whose training part MNIST-M's tiles of them are.
    """
    first = domains[0]
    columns: dict[str, Any] = {
        what: np.concatenate([getattr(domain, what) for domain in domains])
        for what in ("images", "labels", "parts", "groups")
    }
    identity = Identity(
        name=name, sources=tuple((d.name, d.digest) for d in domains), preparation=first.identity.preparation
    )
    whole = replace(
        first, name=name, positions=np.arange(len(columns["labels"]), dtype=np.int64), identity=identity, **columns
    )
    trained = set(whole.groups[whole.parts == "train"].tolist()) - {""}
    kept = np.array([p == "train" or g not in trained for p, g in zip(whole.parts, whole.groups, strict=True)])
    order = np.random.default_rng(0).permutation(whole.n_images)
    return whole.subset(order[kept[order]])
