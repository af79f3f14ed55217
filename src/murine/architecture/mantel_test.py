"""Mantel tests: do two matrices of distances or similarities of the same items agree?

The entries of such a matrix are not independent, because n items make n (n - 1) / 2 pairs. So items are permuted and
resampled, not pairs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import factorial
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import rankdata

from murine.errors import MurineError
from murine.similarity.rdm_vectors import upper_triangle
from murine.similarity.rsa import comparisons
from murine.statistics.bootstrap import bootstrap_counts, leave_one_out_counts, percentile_interval
from murine.statistics.permutation import permutations, permuted_pairs
from murine.statistics.variance_correction import correct_for_pairs

ItemMatrix = Float[np.ndarray, "n_items n_items"]
Vector = Float[np.ndarray, " n_pairs"]
Method = Literal["pearson", "spearman"]
Alternative = Literal["two-sided", "greater", "less"]

#: Fewest items of a test: fewer have too few pairs and permutations.
MIN_ITEMS = 5

#: Number of relabelled pairs that are held in memory at once.
_BLOCK_PAIRS = 1 << 21

#: Squared length that rounding may leave of a vector of length 1.
_ROUNDING = 1e-20

#: Correlations that differ by less are equal.
_TIE = 1e-10

#: One minus the level of intervals.
_LEVEL = 0.05


@dataclass(frozen=True)
class MantelResult:
    """The result of a Mantel test.

    Attributes
    ----------
    r
        Correlation over pairs, partial where there are controls; NaN where nothing is left to correlate.
    low, high
        95 % interval: it covers both the bootstrap interval over items and the values that the two-sided permutation
        test does not reject. It never excludes 0 where the two-sided p is above 0.05.
    p
        p-value by permutation of the items. It may be below 0.05 although the interval contains 0: p tests whether
        there is any relation, and the interval shows the r of other items, which is uncertain if there are few.
    n_items, n_permutations
        Numbers of items and of permutations.
    exact
        Whether all permutations were used.

    Examples
    --------
    See `mantel`.

    >>> MantelResult(0.5, 0.1, 0.8, 0.01, 20, 9999, False).r
    0.5
    """

    r: float
    low: float
    high: float
    p: float
    n_items: int
    n_permutations: int
    exact: bool


def mantel(
    first: ItemMatrix,
    second: ItemMatrix,
    controls: Sequence[ItemMatrix] = (),
    *,
    method: Method = "pearson",
    alternative: Alternative = "two-sided",
    n_permutations: int = 9999,
    n_bootstraps: int = 1000,
    seed: int = 0,
) -> MantelResult:
    """Correlate two symmetric matrices over pairs of different items, after removing what controls explain of both.

    Without controls it is the test of Mantel (1967): p is the share of relabellings of the items of ``first`` that
    correlate at least as much. With controls it is the partial Mantel test by double semi-partialing (Dekker,
    Krackhardt & Snijders 2007, Psychometrika 72: 563): the items of what the controls leave of ``first`` are
    relabelled, and the partial correlation is computed again. (Relabelling ``first`` itself would also remove its
    relation to the controls, and give too many false positives.) If there are at most ``n_permutations`` relabellings,
    all are used.

    Parameters
    ----------
    first, second, controls
        (n_items, n_items) each: distances or similarities of the same items in the same order. The diagonals do not
        matter.
    method
        ``pearson``, or ``spearman``: the same on the ranks of the pairs.
    alternative
        ``two-sided``, ``greater`` or ``less``: whether r is tested for being different from, above or below 0.
    n_permutations
        Number of relabellings.
    n_bootstraps
        Bootstrap samples of items for the interval; 0 for no interval. Pairs of an item with its own copy are left out
        (`murine.statistics.variance_correction.correct_for_pairs`). With few items a bootstrap alone is too narrow: it
        excludes 0 for 7 % of unrelated matrices. So the interval also covers the values that the permutation test does
        not reject, on the scale of Fisher's z.
    seed
        The same seed gives the same relabellings and samples.

    Returns
    -------
    result
        `MantelResult`.

    Raises
    ------
    MurineError
        If there are fewer than 5 items, or a matrix is not square, of another size, not symmetric or not finite off the
        diagonal.

    Examples
    --------
    >>> import numpy as np
    >>> points = np.random.default_rng(0).normal(size=(12, 2))
    >>> distances = np.linalg.norm(points[:, None] - points, axis=2)
    >>> result = mantel(distances, distances**2, n_permutations=999)
    >>> result.r > 0.9, result.p
    (True, 0.001)
    """
    vectors = np.stack([_pairs_of(matrix, len(first)) for matrix in (first, second, *controls)])
    n_items = len(first)
    if n_items < MIN_ITEMS:
        raise MurineError(f"{n_items} items are too few for a Mantel test; at least {MIN_ITEMS} are needed.")
    if method == "spearman":
        vectors = rankdata(vectors, axis=1)
    null = np.empty(0)
    explained = _orthonormal_rows(np.concatenate([np.ones((1, vectors.shape[1])), vectors[2:]]))
    one, other = _unit_residual(vectors[0], explained), _unit_residual(vectors[1], explained)
    r = float(one @ other)
    exact = factorial(n_items) <= n_permutations
    relabellings = _all_permutations(n_items) if exact else permutations(n_items, n_permutations, seed)
    if np.isnan(r):
        p = float("nan")
    else:
        null = _null_correlations(one, other, explained, relabellings)
        p = _p_value(null, r, alternative, exact)
    low = high = float("nan")
    if n_bootstraps and not np.isnan(r):
        drawn = _bootstrap_interval(vectors, method, n_items, n_bootstraps, seed)
        held = _acceptance_interval(null, r, exact)
        if not np.isnan(drawn).any():
            low, high = max(min(drawn[0], held[0]), -1.0), min(max(drawn[1], held[1]), 1.0)
    return MantelResult(r, low, high, p, n_items, len(relabellings), exact)


def _pairs_of(matrix: ItemMatrix, n_items: int) -> Vector:
    if matrix.shape != (n_items, n_items):
        raise MurineError(
            f"a matrix has the shape {matrix.shape}; expected {n_items} x {n_items}, as the first matrix."
        )
    pairs, others = upper_triangle(matrix), upper_triangle(matrix.T)
    if not np.isfinite(pairs).all():
        raise MurineError(
            f"a matrix has {np.sum(~np.isfinite(pairs))} pairs that are not finite; leave these items out."
        )
    if not np.allclose(pairs, others, rtol=1e-8, atol=1e-8 * np.abs(pairs).max(initial=0)):
        raise MurineError("a matrix is not symmetric; expected the same value for both orders of two items.")
    found: Vector = pairs.astype(np.float64)
    return found


def _orthonormal_rows(rows: Float[np.ndarray, "n_rows n_pairs"]) -> Float[np.ndarray, "n_dimensions n_pairs"]:
    """Return orthonormal rows that span the same space; rows that depend on others are dropped."""
    scale = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = np.divide(rows, scale, out=np.zeros_like(rows), where=scale > 0)
    _, values, directions = np.linalg.svd(rows, full_matrices=False)
    found: np.ndarray = directions[values > 1e-10]
    return found


def _unit_residual(vector: Vector, basis: Float[np.ndarray, "n_dimensions n_pairs"]) -> Vector:
    """Return what the basis does not explain, scaled to length 1; NaN where nothing is left."""
    length = np.linalg.norm(vector)
    left = vector / length if length > 0 else vector
    for _ in range(2):  # twice, against rounding
        left = left - basis.T @ (basis @ left)
    power = left @ left
    return left / np.sqrt(power) if power > _ROUNDING else np.full_like(left, np.nan)


def _null_correlations(
    one: Vector,
    other: Vector,
    explained: Float[np.ndarray, "n_dimensions n_pairs"],
    relabellings: Int[np.ndarray, "n_draws n_items"],
) -> Float[np.ndarray, " n_draws"]:
    """Return partial correlations with the items of ``one`` relabelled; ``one`` already has length 1."""
    against = np.concatenate([other[None], explained]).T
    found = np.empty(len(relabellings))
    step = max(1, _BLOCK_PAIRS // len(one))
    for start in range(0, len(relabellings), step):
        part = relabellings[start : start + step]
        products = np.stack([one[pairs] for pairs in permuted_pairs(part)]) @ against
        left = 1 - (products[:, 1:] ** 2).sum(axis=1)
        found[start : start + step] = np.divide(
            products[:, 0], np.sqrt(np.maximum(left, 0)), out=np.zeros(len(part)), where=left > _ROUNDING
        )
    return found


def _p_value(null: Float[np.ndarray, " n_draws"], r: float, alternative: Alternative, exact: bool) -> float:
    if alternative == "two-sided":
        null, r = np.abs(null), abs(r)
    elif alternative == "less":
        null, r = -null, -r
    reached = int((null >= r - _TIE).sum())
    # All relabellings include the identity, so it is not added.
    return reached / len(null) if exact else (1 + reached) / (1 + len(null))


def _acceptance_interval(null: Float[np.ndarray, " n_draws"], r: float, exact: bool) -> tuple[float, float]:
    """Return the correlations that the two-sided permutation test does not reject, if it only shifts Fisher's z."""
    allowed = int(_LEVEL * (len(null) + (not exact)) + 1e-9) - (not exact)
    if allowed < 0:
        return -1.0, 1.0
    largest = np.sort(np.abs(null))[::-1][min(allowed, len(null) - 1)] + _TIE
    reach, z = np.arctanh(min(largest, 1 - 1e-12)), np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12))
    return float(np.tanh(z - reach)), float(np.tanh(z + reach))


def _all_permutations(n_items: int) -> Int[np.ndarray, "n_draws n_items"]:
    return np.array(list(itertools.permutations(range(n_items))))


def _bootstrap_interval(
    vectors: Float[np.ndarray, "n_matrices n_pairs"], method: Method, n_items: int, n_bootstraps: int, seed: int
) -> tuple[float, float]:
    """Return the bootstrap interval over items of the partial correlation of the first two matrices."""
    draws, without_one = (
        np.concatenate(list(_partial_draws(vectors, method, counts)))[:, None]
        for counts in (bootstrap_counts(n_items, n_bootstraps, seed), leave_one_out_counts(n_items))
    )
    low, high = percentile_interval(correct_for_pairs(draws, without_one))
    return float(low[0]), float(high[0])


def _partial_draws(
    vectors: Float[np.ndarray, "n_matrices n_pairs"], method: Method, counts: np.ndarray
) -> Iterator[Float[np.ndarray, " n_draws"]]:
    comparison = comparisons[f"rsa-{method}"]
    step = max(1, _BLOCK_PAIRS // vectors.shape[1])
    for start in range(0, len(counts), step):
        found = comparison.resample(vectors, vectors, counts[start : start + step]).astype(np.float64)
        clean = np.isfinite(found).all(axis=(1, 2))
        found[~clean] = np.eye(len(vectors))
        found += 1e-9 * np.eye(len(vectors))  # controls may be linearly dependent in a sample
        inverse = np.linalg.inv(found)
        partial = -inverse[:, 0, 1] / np.sqrt(inverse[:, 0, 0] * inverse[:, 1, 1])
        yield np.where(clean, np.clip(partial, -1, 1), np.nan)
