"""Place the candidates of one network among the animals of each area, and of all areas together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from murine.masquerade.animals import PARTS, AnimalArrays
from murine.masquerade.areas import AreaAnimals, Yardstick
from murine.masquerade.candidates import Candidates
from murine.statistics.animal_test import jackknife_errors, nested_choice

#: Name of the row of all areas together.
ALL_AREAS = "all areas"

ToArrays = Float[np.ndarray, "n_candidates n_arrays"]


@dataclass(frozen=True, eq=False)
class Yardsticks:
    """The animals as yardsticks: for all stimuli, and for each half of them."""

    whole: Yardstick
    halves: tuple[Yardstick, ...]

    @classmethod
    def of(cls, animals: AnimalArrays) -> Yardsticks:
        whole, *halves = (Yardstick(animals, part) for part in range(len(PARTS)))
        return cls(whole, tuple(halves))


@dataclass(frozen=True, eq=False)
class Placed:
    """A network among the animals.

    Attributes
    ----------
    rows
        One for each area and one for all areas: what `murine.masquerade.result` calls layer, window, n_units, t, p ...
    nested
        Area to the similarity of each of its animals with the candidate that was chosen without it.
    """

    rows: pd.DataFrame
    nested: dict[str, Float[np.ndarray, " n_animals"]] = field(default_factory=dict)


def place_network(yardsticks: Yardsticks, candidates: Candidates, *, shuffled: bool = False) -> Placed:
    """Place a network among the animals of every area.

    The candidate of an area is the one with the largest t, so that its p-value is the largest over all candidates: the
    null hypothesis is that one of them is an animal. ``p_nested`` is that of candidates chosen on other animals, and
    ``p_second_half`` and ``p_first_half`` those of the candidate chosen on the other half of the stimuli.

    Parameters
    ----------
    yardsticks
        The animals.
    candidates
        Of the network.
    shuffled
        Whether to take the similarities with shuffled stimuli. They have none for halves of the stimuli, as controls
        have none.
    """
    values = candidates.shuffled if shuffled else candidates.similarities[0]
    yardstick = yardsticks.whole
    rows: list[dict[str, Any]] = []
    nested: dict[str, Float[np.ndarray, " n_animals"]] = {}
    t_nested: dict[str, float] = {}
    for area in yardstick.areas.values():
        row = _row(yardstick, area, candidates, values)
        if np.isfinite(row["t"]):
            similarity, _ = nested_choice(values[:, area.members])
            test, _, p = yardstick.place(area, _spread(similarity, area, values.shape[1]))
            nested[area.area], t_nested[area.area], row["p_nested"] = similarity, float(test.t[0]), float(p[0])
            if not shuffled and len(candidates.similarities) > 1:
                row |= _other_stimuli(yardsticks, area.area, candidates)
        rows.append(row)
    t, p_areas = yardstick.p_over_areas({row["area"]: row["t"] for row in rows})
    together = {"t": t, "p": p_areas, "p_nested": yardstick.p_over_areas(t_nested)[1], "n_candidates": len(values)}
    rows.append({"area": ALL_AREAS, "n_animals": len(yardstick.of_animals()), **together})
    return Placed(pd.DataFrame(rows), nested)


def _row(yardstick: Yardstick, area: AreaAnimals, candidates: Candidates, values: ToArrays) -> dict[str, Any]:
    test, pooled, p = yardstick.place(area, values)
    row: dict[str, Any] = {"area": area.area, "n_animals": len(area.names), "n_candidates": len(values), "t": np.nan}
    if not np.isfinite(test.t).any():
        return row
    best = int(np.nanargmax(test.t))
    to_animals = values[[best]][:, area.members]
    return {
        **row,
        "layer": candidates.layers[best],
        "window": candidates.windows[best],
        "n_units": candidates.n_units[best],
        "typicality": test.typicality[best],
        "mean": test.mean[best],
        "deviation": test.deviation[best],
        "ratio": test.ratio[best],
        "ratio_error": float(jackknife_errors(area.between, to_animals)[0]),
        "t": test.t[best],
        "p_student": test.p_student[best],
        "p_pooled": pooled[best],
        "p": p[best],
    }


def _other_stimuli(yardsticks: Yardsticks, area: str, candidates: Candidates) -> dict[str, float]:
    """Return p on each half of the stimuli of the candidate that is the best on the other half."""
    names = ("p_first_half", "p_second_half")
    found = dict.fromkeys(names, float("nan"))
    if any(area not in half.areas for half in yardsticks.halves):
        return found
    tests = [
        half.place(half.areas[area], candidates.similarities[part])
        for part, half in enumerate(yardsticks.halves, start=1)
    ]
    for name, (_, _, p), (other, _, _) in zip(names, tests, reversed(tests), strict=True):
        if np.isfinite(other.t).any():
            found[name] = float(p[int(np.nanargmax(other.t))])
    return found


def _spread(similarity: Float[np.ndarray, " n_animals"], area: AreaAnimals, n_arrays: int) -> ToArrays:
    """Return similarities with the animals of an area as a row over all arrays."""
    row = np.full((1, n_arrays), np.nan)
    row[0, list(area.members)] = similarity
    return row
