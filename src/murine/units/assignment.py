"""Assignment of units to neurons: each neuron gets a unit of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from murine.errors import MurineError

#: Value of a neuron without a unit. It is far below any r, so as many neurons as possible get one.
UNMATCHED = -2.0


@dataclass(frozen=True, eq=False)
class Assignment:
    """One unit for each neuron, no unit twice, with the largest sum of correlations.

    Attributes
    ----------
    unit
        (n_neuroids,): number of the unit; -1 where none of its candidates is left for a neuron.
    r
        (n_neuroids,): correlation with the unit; NaN without one.
    gap
        Upper bound on how much larger the sum could be if every unit were a candidate of every neuron (a neuron without
        a unit counts as -2).

    Examples
    --------
    >>> import numpy as np
    >>> Assignment(np.array([3]), np.array([0.5]), gap=0.0).exact
    True
    """

    unit: Int[np.ndarray, " n_neuroids"]
    r: Float[np.ndarray, " n_neuroids"]
    gap: float

    @property
    def exact(self) -> bool:
        """Whether it is proved that no assignment to any units has a larger sum."""
        return self.gap <= 1e-9 * len(self.unit)


def assign_units(
    candidates: Int[np.ndarray, "n_neuroids n_candidates"],
    candidate_r: Float[np.ndarray, "n_neuroids n_candidates"],
    n_units: int,
) -> Assignment:
    """Give each neuron a unit of its own from its candidates, such that the sum of correlations is the largest.

    As many neurons as possible get a unit. The sum is the largest over these candidates (sparse Jonker-Volgenant
    algorithm). ``gap`` bounds how far it may be from the largest over all units, by duality: the price of a unit is
    what the other neurons lose because it is taken, and the profit of a neuron is its r less the price of its unit. If
    no neuron would profit more from a unit that is no candidate, the assignment is the best of all. Such a unit has at
    most the r of the last candidate and a price of at least 0. So the gap is the sum of the amounts by which profits
    are below that r. It is always 0 with as many candidates as neurons or as units, and usually with far fewer.

    Parameters
    ----------
    candidates, candidate_r
        (n_neuroids, n_candidates): the best units of every neuron, in any order, and their r
        (`murine.units.matching.Matches`); -1 where there are fewer. They are selected in float32, so the proof holds up
        to 1e-6.
    n_units
        Number of units that the candidates were selected from.

    Returns
    -------
    assignment
        `Assignment`.

    Raises
    ------
    MurineError
        If shapes do not fit each other, or there are no candidates.

    References
    ----------
    Jonker & Volgenant 1987, Computing 38: 325.

    Examples
    --------
    >>> import numpy as np
    >>> candidates = np.array([[0, 1], [0, 1]])  # both neurons like unit 0 best
    >>> found = assign_units(candidates, np.array([[0.9, 0.8], [0.7, 0.1]]), n_units=2)
    >>> found.unit, found.exact
    (array([1, 0]), True)
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    if candidates.shape != candidate_r.shape or candidates.ndim != 2 or not candidates.shape[1]:
        raise MurineError(
            f"candidates of shape {candidates.shape} and correlations of shape {candidate_r.shape}; expected the same "
            "(n_neuroids, n_candidates), at least one candidate: ask for some (n_candidates)."
        )
    there = (candidates >= 0) & np.isfinite(candidate_r)
    complete = there.sum(axis=1) >= n_units
    last = np.where(there, candidate_r, np.inf).min(axis=1)
    taking_part = np.flatnonzero(there.any(axis=1))
    n = len(taking_part)
    unit, r = np.full(len(candidates), -1), np.full(len(candidates), np.nan)
    if not n:
        return Assignment(unit, r, 0.0)
    numbers, column = np.unique(candidates[there], return_inverse=True)
    row = np.repeat(np.arange(n), there[taking_part].sum(axis=1))
    value = candidate_r[there]
    # An additional column for each neuron stands for no unit.
    row, column = np.append(row, np.arange(n)), np.append(column, len(numbers) + np.arange(n))
    value = np.append(value, np.full(n, UNMATCHED))
    # Weights are shifted above 0, because 0 means that there is no edge.
    weights = csr_array((value + 1 - UNMATCHED, (row, column)), shape=(n, len(numbers) + n))
    _, chosen = min_weight_full_bipartite_matching(weights, maximize=True)
    mine = chosen[row] == column
    gain = np.empty(n)
    gain[row[mine]] = value[mine]
    profit = _dual_profits(row, column, value, chosen, gain)
    lost = np.where(complete[taking_part], 0, np.maximum(last[taking_part] - profit, 0))
    matched = chosen < len(numbers)
    unit[taking_part[matched]] = numbers[chosen[matched]]
    r[taking_part[matched]] = gain[matched]
    return Assignment(unit, r, float(lost.sum()))


def _dual_profits(
    row: np.ndarray, column: np.ndarray, value: np.ndarray, chosen: np.ndarray, gain: np.ndarray
) -> Float[np.ndarray, " n_neuroids"]:
    """Return the r of each neuron less the price of its unit, at the lowest prices at which no neuron prefers another
    unit.

    Prices rise from 0 until that is so (Bellman-Ford). The assignment is optimal, so they stop rising.
    """
    order = np.argsort(column, kind="stable")
    row, column, value = row[order], column[order], value[order]
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    held = column[starts]
    price = np.zeros(column.max() + 1)
    for _ in range(len(gain) + 1):
        profit = gain - price[chosen]
        offered = np.maximum.reduceat(value - profit[row], starts)
        if (offered <= price[held] + 1e-12).all():
            break
        price[held] = np.maximum(price[held], offered)
    return gain - price[chosen]
