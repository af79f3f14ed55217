"""The verdict table: a network, its controls, real animals and animals of other areas, with a verdict in each area."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from murine.masquerade.areas import Yardstick, area_table
from murine.masquerade.candidates import Candidates, Windows
from murine.masquerade.placing import ALL_AREAS, Placed, Yardsticks, place_network
from murine.statistics.animal_test import paired_contrast
from murine.statistics.animal_verdicts import SHUFFLED, TWIN, VerdictWord, judge

#: Roles of rows that are no network.
NETWORK, ANIMALS, OTHER_AREA, POOLED = "network", "mice left out", "mice of", "pooled mice"

#: Share of the mice of another area that must be rejected for a pass to single out an area.
_SINGLED_OUT = 0.5

COLUMNS = (
    *("area", "windows", "role", "network", "weights", "verdict", "reason"),
    *("layer", "window", "n_units", "n_candidates", "n_animals"),
    *("typicality", "mean", "deviation", "ratio", "ratio_error", "power_ratio"),
    *("t", "p_student", "p_pooled", "p", "p_nested", "p_first_half", "p_second_half"),
    *("share_rejected", "contrast", "contrast_error", "contrast_p"),
)


@dataclass(frozen=True, eq=False)
class Entrant:
    """A network or a control that is placed among the animals.

    Attributes
    ----------
    role
        ``network``, ``random twin`` or ``pixels``.
    network, weights
        As in tables.
    candidates
        Its layers and windows.
    """

    role: str
    network: str
    weights: str
    candidates: Candidates


def verdict_table(
    yardsticks: Yardsticks,
    entrants: Sequence[Entrant],
    *,
    windows: Windows = "thirds",
    areas: Sequence[str] = (),
    alpha: float = 0.05,
    seed: int = 0,
) -> pd.DataFrame:
    """Return all rows of a network: its own, with verdicts, and those of its controls and of real animals.

    Parameters
    ----------
    yardsticks
        The animals.
    entrants
        The network (role ``network``), its random twins and the pixels. The network with shuffled stimuli is added. A
        control that is missing makes every pass ``cannot tell``.
    windows
        With ``thirds``, there are rows for whole maps alone (``none``), too.
    areas
        Areas to show, all by default. Tests always use the animals of all areas.
    alpha
        Level of the tests.
    seed
        Draws the halves of pooled animals.

    Returns
    -------
    table
        Columns `COLUMNS`; empty where a row has no such value. In rows of real animals, ``share_rejected`` is the
        share of them that is rejected, each placed by itself.
    """
    settings: list[Windows] = ["none", "thirds"] if windows == "thirds" else ["none"]
    about = area_table(yardsticks.whole, alpha, seed).set_index("area")
    animals = _rows_of_animals(yardsticks.whole, about, alpha)
    parts = [_with_windows(yardsticks, entrants, setting, about, animals, alpha) for setting in settings]
    table = pd.concat([*parts, animals], ignore_index=True)
    if areas:
        table = table[table.area.isin([*areas, ALL_AREAS])]
    order = {name: i for i, name in enumerate([*about.index, ALL_AREAS])}
    table = table.sort_values("area", key=lambda names: names.map(order), kind="stable")
    return table.reindex(columns=list(COLUMNS)).reset_index(drop=True)


def _with_windows(
    yardsticks: Yardsticks,
    entrants: Sequence[Entrant],
    windows: Windows,
    about: pd.DataFrame,
    animals: pd.DataFrame,
    alpha: float,
) -> pd.DataFrame:
    placed = [(e, place_network(yardsticks, e.candidates.only(windows))) for e in entrants]
    network, own = next(pair for pair in placed if pair[0].role == NETWORK)
    shuffled = Entrant(SHUFFLED, network.network, network.weights, network.candidates)
    placed.append((shuffled, place_network(yardsticks, network.candidates.only(windows), shuffled=True)))
    labelled = [x.rows.assign(role=e.role, network=e.network, weights=e.weights) for e, x in placed]
    rows = pd.concat(labelled, ignore_index=True).assign(windows=windows)
    rows["power_ratio"] = rows.area.map(about.power_ratio)
    twins = [x for e, x in placed if e.role == TWIN]
    contrasts = _contrasts(yardsticks.whole, own, twins)
    for i in rows.index[rows.role == NETWORK]:
        area = str(rows.area[i])
        p = rows[(rows.area == area) & (rows.role != NETWORK)].groupby("role").p.max()
        verdict = judge(rows.p[i], rows.p_nested[i], p.to_dict(), float(rows.t[i]), alpha, float(rows.p_student[i]))
        also = ""
        if verdict.word == VerdictWord.maybe:
            also = _on_other_images(rows.loc[i], alpha) + _also_passing(animals, area)
        found = {"verdict": str(verdict.word), "reason": verdict.reason + also, **contrasts.get(area, {})}
        rows.loc[i, list(found)] = list(found.values())
    return rows


def _on_other_images(row: pd.Series, alpha: float) -> str:
    """Say where the candidate that was chosen on the other half of the images is rejected on one half."""
    parts = [(words, float(row[f"p_{words.replace(' ', '_')}"])) for words in ("first half", "second half")]
    rejected = [f"the {words} of the images alone (p = {p:.3f})" for words, p in parts if p <= alpha]
    return f"; rejected on {' and on '.join(rejected)}" if rejected else ""


def _also_passing(animals: pd.DataFrame, area: str) -> str:
    """Say whose mice pass in an area, too: then a pass does not single it out."""
    others = animals[(animals.area == area) & animals.role.str.startswith(OTHER_AREA)]
    names = [str(role).removeprefix(OTHER_AREA).strip() for role in others.role[others.share_rejected < _SINGLED_OUT]]
    return f"; most mice of {', '.join(names)} would pass here, too" if names else ""


def _contrasts(yardstick: Yardstick, own: Placed, twins: Sequence[Placed]) -> dict[str, dict[str, float]]:
    """Return network minus random twins over animals, for each area and for all: each by its nested choice."""
    differences: dict[str, np.ndarray] = {}
    for area, similarity in own.nested.items():
        of_twins = [twin.nested[area] for twin in twins if area in twin.nested]
        if of_twins:
            differences[area] = similarity - np.mean(of_twins, axis=0)
    found = {area: _contrast(d) for area, d in differences.items()}
    of_animals: dict[str, list[float]] = {}
    for area, d in differences.items():
        for name, value in zip(yardstick.areas[area].names, d, strict=True):
            of_animals.setdefault(name, []).append(float(value))
    if of_animals:
        found[ALL_AREAS] = _contrast(np.array([np.mean(values) for values in of_animals.values()]))
    return found


def _contrast(differences: np.ndarray) -> dict[str, float]:
    contrast = paired_contrast(differences, np.zeros_like(differences))
    return {"contrast": contrast.mean, "contrast_error": contrast.error, "contrast_p": contrast.p}


def _rows_of_animals(yardstick: Yardstick, about: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Return rows of real animals: left out in their own area, of other areas, and pooled."""
    real = yardstick.real_animals().assign(rejected=lambda rows: rows.p <= alpha)
    rows: list[Mapping[str, object]] = []
    for (true, area), group in real.groupby(["true_area", "area"], sort=False):
        role = ANIMALS if true == area else f"{OTHER_AREA} {true}"
        share = {"share_rejected": group.rejected.mean(), "t": group.t.mean(), "n_animals": len(group)}
        rows.append({"area": area, "role": role, **share})
    rows += [{"area": area, "role": POOLED, "t": values.pooled_t} for area, values in about.iterrows()]
    together = {name: yardstick.p_over_areas(values) for name, values in yardstick.of_animals().items()}
    p = np.array([p for _, p in together.values()])
    n = len(p)  # a real animal is among those it is ranked with: its rank alone counts
    share = {"share_rejected": float(np.mean((p * (1 + n) - 1) / n <= alpha)), "n_animals": n}
    rows.append({"area": ALL_AREAS, "role": ANIMALS, **share})
    return pd.DataFrame(rows).assign(windows="")
