"""Does a quantity of groups rise in a given order? A rank correlation with an exact permutation test."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial

import numpy as np
from scipy.stats import rankdata

from murine.errors import MurineError

#: Fewest groups of a test: of two groups, every second order is the expected one.
MIN_GROUPS = 3

#: Up to this number of groups every order is tried.
_EXACT = 8

#: Orders that are drawn where there are too many to try all, and correlations that are equal but for rounding.
_N_DRAWN, _TIE = 10_000, 1e-10


@dataclass(frozen=True)
class OrderTest:
    """The result of a test of order.

    Attributes
    ----------
    rho
        Spearman's correlation of the values with their expected order, -1 to 1; NaN where all values are equal.
    p
        Share of all orders of the groups with at least this correlation (one-sided); 1 where all values are equal.
    n_groups, n_orders
        Number of groups, and of orders that were tried.
    """

    rho: float
    p: float
    n_groups: int
    n_orders: int


def order_test(values: Sequence[float], *, seed: int = 0) -> OrderTest:
    """Test whether values rise in the order in which they are given.

    The groups are exchanged, not what they were measured on: networks that are scored against the same areas are not
    independent of each other, so their number does not count. With n groups, p cannot be below 1 / n!; three areas
    cannot reach 0.05.

    Parameters
    ----------
    values
        One number for each group, as the mean relative depth of its best layer, in the expected order of the groups.
    seed
        Of the orders that are drawn where there are more than eight groups.

    Raises
    ------
    MurineError
        If there are fewer than three groups, or a value is missing.

    Examples
    --------
    >>> test = order_test([0.1, 0.2, 0.3, 0.6, 0.5])
    >>> round(test.rho, 2), round(test.p, 3), test.n_orders
    (0.9, 0.042, 120)
    """
    found = np.asarray(values, np.float64)
    if found.ndim != 1 or len(found) < MIN_GROUPS or not np.isfinite(found).all():
        raise MurineError(f"an order can be tested of at least {MIN_GROUPS} finite values; given: {list(values)}.")
    n = len(found)
    ranks = rankdata(found) - (n + 1) / 2
    expected = np.arange(n) - (n - 1) / 2
    size = float(np.sqrt((ranks**2).sum() * (expected**2).sum()))
    if size == 0:
        return OrderTest(float("nan"), 1.0, n, 1)
    rho = float(ranks @ expected) / size
    if n <= _EXACT:
        orders = np.array(list(itertools.permutations(range(n))))
        reached = (ranks[orders] @ expected / size >= rho - _TIE).sum()
        return OrderTest(rho, float(reached / factorial(n)), n, factorial(n))
    orders = np.random.default_rng(seed).permuted(np.tile(np.arange(n), (_N_DRAWN, 1)), axis=1)
    reached = 1 + (ranks[orders] @ expected / size >= rho - _TIE).sum()
    return OrderTest(rho, float(reached / (1 + _N_DRAWN)), n, 1 + _N_DRAWN)
