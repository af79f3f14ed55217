"""What surgery does to brain scores: networks before and after a layer was put in, paired.

A network and its variant see the same images, resampled alike, and choose their layers by the same rule, so what is
told is the difference of the two, with an interval of its own. It is taken from rows of an atlas; nothing here scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from murine.atlas.comparability import SETTINGS, TREATMENT
from murine.atlas.leaderboard import BLANKS, MIN_CEILING, treatment_of
from murine.atlas.store import Atlas
from murine.atlas.sweep import NetworkResult
from murine.atlas.trained_against_random import ALL_SITES as ALL_SITES
from murine.errors import MurineError
from murine.networks.surgery.variant_names import canonical_layer, canonical_place, layer_named
from murine.networks.surgery.wrapped_modules import HOLDER
from murine.networks.zoo import NetworkSpec
from murine.scoring.score_sample import ScoreSample

#: What scores have to share to be paired: the same neurons, and the same draws of images (and of subjects).
_SHARED = ["cortex", "metric", "input_size", *SETTINGS, *TREATMENT]

_ABOUT = ("site", "area", "cortical_layer")


@dataclass(frozen=True)
class Operation:
    """A network, the same with a layer put in, and how that is spelt: ``neurn(k=3)@input``."""

    before: NetworkSpec
    after: NetworkSpec
    variant: str


@dataclass(frozen=True)
class NetworkPair:
    """Digests of the tasks of one network before and after surgery, for one metric."""

    before: str
    after: str
    variant: str


def operations(choices: Sequence[NetworkSpec], layers: Sequence[str], places: Sequence[str]) -> list[Operation]:
    """Return the operations that insert every layer at every place in every network.

    Parameters
    ----------
    layers
        Names of layers with options, as in `murine.networks.surgery.layer_named`.
    places
        Places, as in `murine.networks.surgery.insert`.

    Raises
    ------
    MurineError
        If a layer or a place is unknown; this is checked before anything is computed.

    Examples
    --------
    >>> from murine.networks import NetworkSpec
    >>> found = operations([NetworkSpec("pixels")], ["neurn(k=3)", "sobel"], ["input"])
    >>> [str(operation.after) for operation in found]
    ['pixels+neurn(k=3)@input', 'pixels+sobel(relative=True)@input']
    """
    variants = [
        f"{canonical_layer(layer_named(layer))}@{canonical_place(place)}" for layer in layers for place in places
    ]
    return [
        Operation(choice, replace(choice, variant="+".join(filter(None, (choice.variant, variant)))), variant)
        for choice in choices
        for variant in dict.fromkeys(variants)
    ]


def in_order(operations: Iterable[Operation]) -> list[NetworkSpec]:
    """Each network once, behind its variants: what does not fit is told early, and a sweep that is stopped leaves
    whole pairs."""
    found: dict[NetworkSpec, dict[NetworkSpec, None]] = {}
    for operation in operations:
        found.setdefault(operation.before, {})[operation.after] = None
    return list(dict.fromkeys(choice for before, after in found.items() for choice in (*after, before)))


def pairs(operations: Iterable[Operation], outcomes: Iterable[NetworkResult]) -> list[NetworkPair]:
    """Return the pairs of results before and after surgery; networks that failed have no pair.

    Examples
    --------
    >>> import murine
    >>> from murine.networks import NetworkSpec
    >>> asked = operations([NetworkSpec("pixels")], ["neurn(k=3)"], ["input"])
    >>> scores = murine.compare([asked[0].before, asked[0].after], controls=False, n_bootstraps=20, n_permutations=20)
    >>> [pair.variant for pair in pairs(asked, scores.results)]
    ['neurn(k=3)@input']
    """
    tasks = {outcome.spec: outcome.tasks for outcome in outcomes}
    return [
        NetworkPair(before, after, operation.variant)
        for operation in operations
        for before, after in zip(tasks.get(operation.before, ()), tasks.get(operation.after, ()), strict=False)
    ]


def effects(atlas: Atlas, pairs: Sequence[NetworkPair], *, min_ceiling: float = MIN_CEILING) -> pd.DataFrame:
    """Return scores before and after surgery, and their differences, by network and site.

    Scores are those of a leaderboard (`murine.atlas.leaderboard.leaderboards`): shares of the noise ceiling. Layers are
    chosen and scored on different images; they are chosen separately before and after surgery.

    Parameters
    ----------
    min_ceiling
        Sites with a lower ceiling, or without a ceiling, have rows but are left out of means over sites. If no site has
        a ceiling, scores are raw.

    Returns
    -------
    table
        For every pair a row per site and one for their mean (``site`` is `ALL_SITES`), and the same for the mean over
        all networks of one role and treatment, where there are several (``network`` is ``mean of N``); by metric and
        variant.
        Columns: ``cortex, metric, input_size, treatment, variant, role, network, weights, site, area, cortical_layer,
        n_networks, n_sites``; ``before, after, difference`` each with ``_low`` and ``_high``, 95 % over new images, and
        new neurons or animals where ``over`` says so (networks are taken as they are); ``higher, lower``: networks
        whose interval of the difference is above or below 0; ``layer_before, layer_after``: the chosen ones;
        ``inserted``: at how many sites a chosen layer is the inserted one itself; ``ceiling, selection, over,
        n_stimuli``; ``task_before, task_after``: digests of what was scored, '' of means over networks.

    Raises
    ------
    MurineError
        If there are no pairs or no scores, or the scores of a pair have different settings.

    Examples
    --------
    >>> import murine
    >>> from murine.networks import NetworkSpec
    >>> asked = operations([NetworkSpec("pixels")], ["neurn(k=3)"], ["input"])
    >>> scores = murine.compare([asked[0].before, asked[0].after], controls=False, n_bootstraps=20, atlas="results")
    >>> table = effects(Atlas("results"), pairs(asked, scores.results))
    >>> print(table[["site", "before", "after", "difference"]].round(2).to_string(index=False))
         site  before  after  difference
        SIMam   -0.02   0.15        0.17
         SIMl   -0.01   0.13        0.14
         SIMp   -0.02   0.24        0.26
    all sites   -0.02   0.17        0.19
    """
    if not pairs:
        raise MurineError("there is no network that could be scored both before and after surgery.")
    tasks = {digest for pair in pairs for digest in (pair.before, pair.after)}
    rows = atlas.query("SELECT * FROM scores WHERE chosen <> '' AND stimuli = 'all'")
    rows = rows[rows.task.isin(tasks)].fillna(BLANKS)
    entries: list[_Entry] = []
    for pair in pairs:
        before, after = rows[rows.task == pair.before], rows[rows.task == pair.after]
        entries += _entries(before, after, pair.variant, min_ceiling)
    if not entries:
        raise MurineError("no layer has a score: every one is flagged. `murine results --view layers` tells why.")
    entries += _means_over_networks(entries)
    table = pd.DataFrame([entry.row() for entry in entries])
    for column in ("variant", "metric"):
        place = {value: i for i, value in enumerate(dict.fromkeys(table[column]))}
        table = table.iloc[np.argsort(table[column].map(place).to_numpy(), kind="stable")]
    return table.reset_index(drop=True)


@dataclass(frozen=True, eq=False)
class _Entry:
    """One network, or the mean of some, at one site, or over all."""

    about: dict[str, Any]
    before: ScoreSample
    after: ScoreSample
    members: tuple[_Entry, ...] = ()

    def row(self) -> dict[str, Any]:
        difference = self.after - self.before
        own = {"before": self.before, "after": self.after, "difference": difference}
        numbers: dict[str, Any] = {}
        for name, sample in own.items():
            low, high = sample.interval()
            numbers |= {name: sample.value, f"{name}_low": low, f"{name}_high": high}
        ends = [(member.after - member.before).interval() for member in self.members or (self,)]
        numbers["higher"] = sum(low > 0 for low, _ in ends)
        numbers["lower"] = sum(high < 0 for _, high in ends)
        return {**self.about, **numbers}


def _entries(before: pd.DataFrame, after: pd.DataFrame, variant: str, min_ceiling: float) -> list[_Entry]:
    """Of one network: a site each, and their mean."""
    if before.empty or after.empty:
        return []
    if differing := [name for name in _SHARED if before[name].iloc[0] != after[name].iloc[0]]:
        raise MurineError(
            f"scores of {after.network.iloc[0]} and {before.network.iloc[0]} cannot be paired: they differ in "
            f"{', '.join(differing)}."
        )
    selection = "nested" if (before.chosen == "nested").any() and (after.chosen == "nested").any() else "naive"
    first, second = (
        {row["site"]: row for row in side[side.chosen == selection].to_dict("records")} for side in (before, after)
    )
    head = {name: before[name].iloc[0] for name in ("cortex", "metric", "input_size")}
    head |= {"treatment": treatment_of(before.iloc[0])}
    head |= {"variant": variant, **{name: before[name].iloc[0] for name in ("role", "network", "weights")}}
    entries = []
    for site in sorted(first.keys() & second.keys()):
        one, other = first[site], second[site]
        layers = [_layers(one), _layers(other)]
        about = {
            **head,
            **{name: one[name] for name in _ABOUT},
            "n_networks": 1,
            "n_sites": 1,
            "layer_before": " | ".join(layers[0]),
            "layer_after": " | ".join(layers[1]),
            "inserted": int(any(layer.startswith(f"{HOLDER}.") for layer in layers[1])),
            "ceiling": one["ceiling"],
            "selection": selection,
            "over": one["over"],
            "n_stimuli": one["n_stimuli"],
            "task_before": one["task"],
            "task_after": other["task"],
        }
        entries.append(_Entry(about, ScoreSample.of_row(one), ScoreSample.of_row(other)))
    return [*entries, *_mean_over_sites(entries, min_ceiling)]


def _layers(row: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(name for name in (row["layer"], row["other_layer"]) if isinstance(name, str) and name))


def _mean_over_sites(entries: Sequence[_Entry], min_ceiling: float) -> list[_Entry]:
    counted = list(entries)
    if any(np.isfinite(entry.about["ceiling"]) for entry in entries):
        counted = [entry for entry in entries if entry.about["ceiling"] >= min_ceiling]
    if not counted:
        return []
    about = {
        **counted[0].about,
        **dict.fromkeys(("area", "cortical_layer", "layer_before", "layer_after"), ""),
        "site": ALL_SITES,
        "n_sites": len(counted),
        "inserted": sum(entry.about["inserted"] for entry in counted),
        "ceiling": np.mean([entry.about["ceiling"] for entry in counted]),
    }
    return [_mean(counted, about)]


def _means_over_networks(entries: Sequence[_Entry]) -> list[_Entry]:
    """Of the networks of one role that have a score at a site, where they are several."""
    found: dict[tuple[Any, ...], list[_Entry]] = {}
    for entry in entries:
        key = ("cortex", "metric", "input_size", "treatment", "variant", "role", "site", "selection")
        found.setdefault(tuple(entry.about[name] for name in key), []).append(entry)
    means = []
    for members in found.values():
        if len(members) > 1:
            about = {
                **members[0].about,
                **dict.fromkeys(("weights", "layer_before", "layer_after", "task_before", "task_after"), ""),
                "network": f"mean of {len(members)}",
                "n_networks": len(members),
                "inserted": sum(member.about["inserted"] for member in members),
            }
            means.append(replace(_mean(members, about), members=tuple(members)))
    return means


def _mean(entries: Sequence[_Entry], about: dict[str, Any]) -> _Entry:
    return _Entry(
        about,
        ScoreSample.mean([entry.before for entry in entries]),
        ScoreSample.mean([entry.after for entry in entries]),
    )
