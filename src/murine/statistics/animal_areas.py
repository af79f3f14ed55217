"""Tests of one candidate in several areas at once, ranked among real animals."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np

#: t of one animal or candidate, by area.
AreaValues = Mapping[str, float]


def correlation_between_areas(animals: Mapping[str, AreaValues]) -> tuple[float, int]:
    """Return the correlation of t between two areas of one animal, and the number of such pairs.

    Parameters
    ----------
    animals
        Animal to t (`murine.statistics.left_out`) by area.

    Returns
    -------
    r, n_pairs
        Correlation over all pairs of areas of all animals, each pair in both orders; 0 with fewer than three pairs.

    Examples
    --------
    >>> mice = {"a": {"V1": 1, "LM": 2}, "b": {"V1": -1, "LM": -2}, "c": {"V1": 0, "LM": 0}}
    >>> r, n_pairs = correlation_between_areas(mice)
    >>> round(r, 2), n_pairs
    (0.8, 3)
    """
    pairs = [pair for values in animals.values() for pair in combinations(values.values(), 2)]
    if len(pairs) < 3:
        return 0.0, len(pairs)
    both = np.array([*pairs, *(pair[::-1] for pair in pairs)], dtype=float)
    if not both.std():
        return 0.0, len(pairs)
    return float(np.corrcoef(both.T)[0, 1]), len(pairs)


def combined_t(values: AreaValues, correlation: float) -> float:
    """Return the mean t over areas by its standard deviation, if areas have a common correlation.

    Examples
    --------
    >>> combined_t({"V1": -2.0, "LM": -2.0}, correlation=0.0).__round__(3)
    -2.828
    """
    k = len(values)
    return float(np.mean(list(values.values())) / np.sqrt((1 + (k - 1) * correlation) / k))


def p_over_areas(values: AreaValues, animals: Mapping[str, AreaValues], correlation: float) -> float:
    """Return how probable a combined t so small is among real animals: (1 + number below) / (1 + number of animals).

    It is exact if the candidate is exchangeable with the animals. Its smallest value is 1 / (1 + number of animals). An
    animal with one area counts like one with several: each is divided by its own standard deviation.

    Parameters
    ----------
    values
        t of the candidate by area.
    animals
        t of each animal by area, left out in its own area.
    correlation
        From `correlation_between_areas`.

    Examples
    --------
    >>> p_over_areas({"V1": -4.0}, {str(i): {"V1": i / 10} for i in range(19)}, 0.0)
    0.05
    """
    own = combined_t(values, correlation)
    below = sum(combined_t(animal, correlation) <= own for animal in animals.values())
    return (1 + below) / (1 + len(animals))
