"""The animals of each area as a yardstick: similarities, the null distribution of t, and animals of other areas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from murine.errors import MurineError
from murine.masquerade.animals import AnimalArrays
from murine.similarity.population_kernels import PopulationKernel, u_product, unbiased_cka_matrix
from murine.statistics.animal_areas import combined_t, correlation_between_areas, p_over_areas
from murine.statistics.animal_test import (
    AnimalTest,
    check_animals,
    critical_t,
    critical_values,
    left_out,
    place_candidates,
    pooled_p_values,
)

#: Halves of the animals of an area that are pooled and placed among the other half.
_N_POOLS = 20


@dataclass(frozen=True, eq=False)
class AreaAnimals:
    """The animals of one area.

    Attributes
    ----------
    area
        Its name.
    members
        Positions of the arrays in `AnimalArrays`.
    names
        Animals, in the same order.
    between
        (n_animals, n_animals) similarities.
    null
        (n_animals,) t of each animal, left out.
    """

    area: str
    members: tuple[int, ...]
    names: tuple[str, ...]
    between: Float[np.ndarray, "n_animals n_animals"]
    null: Float[np.ndarray, " n_animals"]

    @property
    def typicality(self) -> Float[np.ndarray, " n_animals"]:
        """T of each animal among the others."""
        n = len(self.names)
        return (self.between.sum(axis=1) - self.between.diagonal()) / (n - 1)


class Yardstick:
    """The animals of all areas, for one part of the stimuli.

    Parameters
    ----------
    animals
        The arrays.
    part
        Which part of the stimuli (`murine.masquerade.animals.PARTS`).

    Attributes
    ----------
    areas
        Area to its animals. Areas with fewer than five animals are not there.
    correlation, n_pairs
        Correlation of t between two areas of one animal, and the number of such pairs.

    Raises
    ------
    MurineError
        If two animals of an area are so similar that they must be one.
    """

    def __init__(self, animals: AnimalArrays, part: int = 0) -> None:
        self.animals = animals
        self.similarities = animals.between(part)
        self.areas: dict[str, AreaAnimals] = {}
        for area in animals.testable_areas:
            members = animals.members(area, part)
            names = tuple(animals.animals[i] for i in members)
            between = np.where(np.eye(len(members), dtype=bool), 0.0, self.similarities[np.ix_(members, members)])
            try:
                check_animals(between, names)
            except MurineError as error:
                if not part:
                    raise MurineError(f"{area}: {error}") from error
                continue  # some animals have no answer for half of the stimuli
            self.areas[area] = AreaAnimals(area, tuple(members), names, between, left_out(between))
        self.correlation, self.n_pairs = correlation_between_areas(self.of_animals())

    def of_animals(self) -> dict[str, dict[str, float]]:
        """Return t of each animal, left out in its own area, by area."""
        found: dict[str, dict[str, float]] = {}
        for area in self.areas.values():
            for name, t in zip(area.names, area.null, strict=True):
                found.setdefault(name, {})[area.area] = float(t)
        return found

    def null(self, without: int | None = None) -> Float[np.ndarray, " n_null"]:
        """Return t of every animal left out, all areas together; without one array where that is itself tested."""
        values = [(index, t) for area in self.areas.values() for index, t in zip(area.members, area.null, strict=True)]
        return np.array([t for index, t in values if index != without])

    def place(
        self, area: AreaAnimals, to_animals: Float[np.ndarray, "n_candidates n_arrays"]
    ) -> tuple[AnimalTest, Float[np.ndarray, " n_candidates"], Float[np.ndarray, " n_candidates"]]:
        """Place candidates among the animals of an area; return also the p-values among all animals, and the larger."""
        test = place_candidates(area.between, to_animals[:, area.members])
        pooled = pooled_p_values(test.t, self.null())
        return test, pooled, np.maximum(test.p_student, pooled)

    def p_over_areas(self, t_of_areas: Mapping[str, float]) -> tuple[float, float]:
        """Return the combined t of a candidate and its exact p-value among the animals; NaN without any area."""
        known = {area: t for area, t in t_of_areas.items() if np.isfinite(t)}
        if not known:
            return float("nan"), float("nan")
        combined = combined_t(known, self.correlation)
        return combined, p_over_areas(known, self.of_animals(), self.correlation)

    def real_animals(self) -> pd.DataFrame:
        """Return a row for every animal, placed among the others of its own area and of every other area.

        Columns ``true_area, area, animal, t, p_student, p_pooled, p``; where both areas are one, the animal was left
        out. In another area, an animal is never compared with itself: where it is among the animals of that area, it is
        left out of them.
        """
        rows = []
        for own in self.areas.values():
            for index, name, t in zip(own.members, own.names, own.null, strict=True):
                for area in self.areas.values():
                    if area is own:
                        test_t, n = float(t), len(own.names) - 1
                    else:
                        rest = [k for k, other in enumerate(area.names) if other != name]
                        to_rest = self.similarities[[index]][:, [area.members[k] for k in rest]]
                        test = place_candidates(area.between[np.ix_(rest, rest)], to_rest)
                        test_t, n = float(test.t[0]), len(rest)
                    rows.append((own.area, area.area, name, test_t, *self._p_values(test_t, n, index)))
        return pd.DataFrame(rows, columns=["true_area", "area", "animal", "t", "p_student", "p_pooled", "p"])

    def _p_values(self, t: float, n_animals: int, index: int) -> tuple[float, float, float]:
        from scipy.stats import t as student

        p_student = float(student.cdf(t, n_animals - 1))
        pooled = float(pooled_p_values(np.array([t]), self.null(without=index))[0])
        return p_student, pooled, max(p_student, pooled)

    def pooled_animals(self, area: AreaAnimals, seed: int = 0) -> float:
        """Return the mean t of half of the animals of an area, pooled and placed among the other half.

        An average of animals is more typical than any of them, so its t is above 0.
        """
        found = []
        for draw in range(_N_POOLS):
            order = np.random.default_rng([seed, draw]).permutation(len(area.names))
            half, rest = np.split(order, [len(order) // 2])
            pool = self._pool([area.members[k] for k in half])
            kernels = [self.animals.kernels[0][area.members[k]] for k in rest]
            found.append(place_candidates(area.between[np.ix_(rest, rest)], unbiased_cka_matrix([pool], kernels)).t[0])
        return float(np.mean(found))

    def pooled_other_area(self, area: AreaAnimals, other: AreaAnimals) -> Float[np.ndarray, " n_animals"]:
        """Return the similarity of each animal of an area with all animals of another area pooled, but itself."""
        values = []
        for index, name in zip(area.members, area.names, strict=True):
            pool = self._pool([i for i, k in zip(other.members, other.names, strict=True) if k != name])
            values.append(unbiased_cka_matrix([pool], [self.animals.kernels[0][index]])[0, 0])
        return np.array(values)

    def _pool(self, members: Sequence[int]) -> PopulationKernel:
        """Return the kernel of the units of several animals together: its norm is the mean over pairs of units."""
        kernels = [self.animals.kernels[0][i] for i in members]
        n = np.array([k.n_units for k in kernels], dtype=float)
        total = sum(k.kernel * k.n_units for k in kernels) / n.sum()
        products = np.array([[u_product(a.kernel, b.kernel) for b in kernels] for a in kernels])
        within = n * (n - 1) * np.array([k.norm for k in kernels])
        across = n[:, None] * n * products
        pairs = within.sum() + across.sum() - across.diagonal().sum()
        return PopulationKernel(total, float(pairs / (n.sum() * (n.sum() - 1))), 0.0, int(n.sum()))


def area_table(yardstick: Yardstick, alpha: float = 0.05, seed: int = 0) -> pd.DataFrame:
    """Return a row for each area: its animals, what would be rejected, and how animals and pools of animals fare.

    Columns: ``area, n_animals, n_units_min, n_units_max, similarity, similarity_sd`` (mean and standard deviation over
    pairs), ``typicality_sd`` (of T over animals), ``rejected_below, found_below``
    (`murine.statistics.critical_values`, by Student's test and the rank among all animals together), ``power_ratio``
    (the latter as a share of the mean), ``rejected_by_student`` (T below which Student's test alone rejects),
    ``rejected_own`` (share of its animals, left out, that are rejected), ``pooled_t`` (`Yardstick.pooled_animals`).
    """
    animals = yardstick.real_animals()
    rows = []
    for area in yardstick.areas.values():
        pairs = area.between[np.triu_indices(len(area.names), 1)]
        n_units = [yardstick.animals.kernels[0][i].n_units for i in area.members]
        limit = critical_t(len(area.names), yardstick.null(), alpha)
        below, found = critical_values(area.between, alpha, limit=limit)
        own = animals[(animals.true_area == area.area) & (animals.area == area.area)]
        rows.append(
            {
                "area": area.area,
                "n_animals": len(area.names),
                "n_units_min": min(n_units),
                "n_units_max": max(n_units),
                "similarity": pairs.mean(),
                "similarity_sd": pairs.std(ddof=1),
                "typicality_sd": area.typicality.std(ddof=1),
                "rejected_below": below,
                "found_below": found,
                "power_ratio": found / pairs.mean(),
                "rejected_by_student": critical_values(area.between, alpha)[0],
                "rejected_own": (own.p <= alpha).mean(),
                "pooled_t": yardstick.pooled_animals(area, seed),
            }
        )
    return pd.DataFrame(rows)


def wrong_area_table(yardstick: Yardstick, alpha: float = 0.05, column: str = "p") -> pd.DataFrame:
    """Return the share of real animals of each true area (rows) that are rejected in each claimed area (columns)."""
    rejected = yardstick.real_animals().assign(rejected=lambda rows: rows[column] <= alpha)
    names = list(yardstick.areas)
    return rejected.pivot_table("rejected", "true_area", "area", aggfunc="mean").reindex(index=names, columns=names)


def pool_table(yardstick: Yardstick) -> pd.DataFrame:
    """Return T and t of all animals of each area pooled, placed in every other area.

    Columns ``true_area, area, typicality, t``.
    """
    rows = []
    for own in yardstick.areas.values():
        for area in yardstick.areas.values():
            if area is not own:
                test = place_candidates(area.between, yardstick.pooled_other_area(area, own)[None])
                rows.append((own.area, area.area, float(test.typicality[0]), float(test.t[0])))
    return pd.DataFrame(rows, columns=["true_area", "area", "typicality", "t"])


def animal_table(yardstick: Yardstick) -> pd.DataFrame:
    """Return `Yardstick.real_animals`, with T of each animal among the others of its own area as ``typicality``."""
    own = {
        (area.area, name): float(t)
        for area in yardstick.areas.values()
        for name, t in zip(area.names, area.typicality, strict=True)
    }
    rows = yardstick.real_animals()
    keys = zip(rows.true_area, rows.area, rows.animal, strict=True)
    return rows.assign(typicality=[own[area, name] if true == area else np.nan for true, area, name in keys])
