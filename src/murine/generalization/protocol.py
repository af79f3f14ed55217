"""Protocols: which images a network is trained on, and which unseen domains it is evaluated on."""

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
    """The rules of a protocol.

    Attributes
    ----------
    about
        A short description for lists.
    n_train
        Number of training images, the first of the source; None: as in the recipe.
    validation
        Share of validation images; None: as in the recipe.
    sources
        Sources that the protocol is defined for; empty: all.
    leave_one_out
        Whether networks are trained on all domains but one, in turn, instead of on one.
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
class EvaluatedDomain:
    """Test images that a network is evaluated on.

    Attributes
    ----------
    target
        The images.
    unseen
        Whether their domain was not trained on.
    corruption
        Whether they are corrupted images of the source.
    """

    target: Domain
    unseen: bool
    corruption: bool = False


@dataclass(frozen=True, eq=False)
class Setting:
    """One source with its targets.

    Attributes
    ----------
    source
        The domain, or several pooled domains. Training sees only its part ``train``.
    evaluated
        Test images of the source, then of each target, then corrupted ones, without images whose group was trained on.
    """

    source: Domain
    evaluated: tuple[EvaluatedDomain, ...]


def settings(
    protocol: str,
    sources: Sequence[str],
    targets: Sequence[str],
    load: Callable[[str, str | None], Domain],
    corruptions: Sequence[tuple[str, int]] = (),
    *,
    n_test: int | None = None,
) -> list[Setting]:
    """Return the sources to train on, each with the domains to evaluate on.

    Parameters
    ----------
    protocol
        A name in `protocols`.
    sources
        Names of domains; with ``leave-one-out`` those that are left out in turn.
    targets
        Names of domains; with ``leave-one-out`` the domains that are pooled. The test part of a source is its own first
        target.
    load
        A function from the name of a domain and of a part (None: all) to the domain.
    corruptions
        Names and strengths of corruptions. For each, `N_CORRUPTED` corrupted test images of the source are one more
        unseen target.
    n_test
        Largest number of test images of a domain, drawn once, the same for all networks; None: all of them.

    Raises
    ------
    MurineError
        If a name is unknown, the classes differ, the protocol is not defined for a source, or two targets have the same
        name.

    Examples
    --------
    >>> from murine.domains import load_domain
    >>> def load(name, part):
    ...     return load_domain(name, part=part)
    >>> setting = settings("full", ["rendered-fonts"], [], load, corruptions=[("noise", 3)], n_test=20)[0]
    >>> [(each.target.name, each.unseen) for each in setting.evaluated]
    [('rendered-fonts', False), ('rendered-fonts+noise:3', True)]
    """
    chosen = protocols[protocol]
    if chosen.sources and (wrong := [name for name in sources if name not in chosen.sources]):
        raise MurineError(
            f"the protocol {protocol!r} is for the source {' or '.join(chosen.sources)}, not for {wrong[0]!r}; for any "
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
            evaluated = [EvaluatedDomain(source.part("test"), False), EvaluatedDomain(tests[name], True)]
        else:
            source = whole[name]
            evaluated = [
                EvaluatedDomain(tests[name], False),
                *(EvaluatedDomain(tests[n], True) for n in dict.fromkeys(targets) if n != name),
            ]
        some = drawn(tests[name], N_CORRUPTED)
        evaluated += [
            EvaluatedDomain(corrupted(some, *step), True, corruption=True) for step in dict.fromkeys(corruptions)
        ]
        called = [each.target.name for each in evaluated]
        if twice := [one for one in called if called.count(one) > 1]:
            raise MurineError(
                f"the target {twice[0]!r} is also among the corruptions of the source: leave one of them out."
            )
        trained_on = source.part("train")
        fair = [replace(each, target=drawn(excluding(each.target, trained_on), n_test)) for each in evaluated]
        found.append(Setting(source, tuple(fair)))
    return found


def drawn(domain: Domain, n: int | None) -> Domain:
    """Return at most ``n`` images of a domain, drawn at random, always the same ones; all of them for None.

    Single images are drawn, not whole groups: few groups would cover only a few typefaces.
    """
    if n is None or domain.n_images <= n:
        return domain
    return domain.subset(np.sort(np.random.default_rng(0).permutation(domain.n_images)[:n]))


def adapted(protocol: str, recipe: Recipe, changes: Mapping[str, Any] | None = None) -> Recipe:
    """Return a recipe with a user's changes and the numbers that the protocol fixes.

    Raises
    ------
    MurineError
        If the user changes a number that the protocol fixes, or a change is not possible.
    """
    chosen = protocols[protocol]
    fixed = {k: v for k, v in (("n_train", chosen.n_train), ("validation", chosen.validation)) if v is not None}
    if clash := [name for name in changes or {} if name in fixed]:
        raise MurineError(
            f"the protocol {protocol!r} fixes {clash[0]}={fixed[clash[0]]}; take the protocol full to choose it."
        )
    return recipe.changed({**(changes or {}), **fixed})


def pooled(domains: Sequence[Domain], name: str) -> Domain:
    """Return several domains as one, in shuffled order, so that the first ``n_train`` images come from all of them.

    Parts and groups are kept. If a group is in several parts, only its training images stay, so that no test image was
    made from a training image: MNIST's test images are not tested on if MNIST-M's versions of them are trained on.
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
