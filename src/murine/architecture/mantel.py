"""Do two ways of comparing the same things agree? Mantel tests between matrices of distances or similarities.

The entries of such a matrix are not independent: n things make n (n - 1) / 2 pairs. So things, not pairs, are permuted
and resampled."""

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

ItemMatrix = Float[np.ndarray, "n_things n_things"]
Vector = Float[np.ndarray, " n_pairs"]
Method = Literal["pearson", "spearman"]
Alternative = Literal["two-sided", "greater", "less"]

#: Fewer things have too few pairs, and too few permutations.
MIN_ITEMS = 5

#: Relabelled pairs that are held in memory at once.
_BLOCK_PAIRS = 1 << 21

#: What rounding may leave of a vector of length 1, squared.
_ROUNDING = 1e-20

#: Scores nearer than this are equal.
_TIE = 1e-10

#: One minus the level of intervals.
_LEVEL = 0.05


@dataclass(frozen=True)
class MantelResult:
    """What a Mantel test tells.

    Attributes
    ----------
    r
        Correlation over pairs, partial where there are controls; NaN where nothing is left to correlate.
    low, high
        95 % interval: what a bootstrap over things gives, and what the two-sided permutation test does not reject. It
        never excludes 0 where the two-sided p is above 0.05.
    p
        By permutation of the things. It may be below 0.05 where the interval holds 0: p asks whether the things go
        together at all, the interval what r other things would have, which few things leave open.
    n_things, n_permutations
        With all permutations there are, the test is exact.
    exact
    """

    r: float
    low: float
    high: float
    p: float
    n_things: int
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
    """Correlate two symmetric matrices over pairs of different things, with what controls explain taken out of both.

    Without controls it is Mantel's test (1967): p is the share of relabellings of the things of ``first`` that
    correlate as much. With controls it is the partial Mantel test by double semi-partialing (Dekker, Krackhardt &
    Snijders 2007, Psychometrika 72: 563): the things of what controls leave of ``first`` are relabelled, and the
    partial correlation computed anew. (Relabelling ``first`` itself would undo its relation to the controls, and find
    too much.) Where all relabellings are no more than ``n_permutations``, all are taken.

    Parameters
    ----------
    first, second, controls
        Distances or similarities of the same things in the same order; the diagonals do not matter.
    method
        ``pearson``, or ``spearman``: the same on the ranks of the pairs.
    alternative
        Whether r is tested for being other than 0, above 0 or below 0.
    n_bootstraps
        Samples of things for the interval; pairs of a thing with its own copy are left out (`pair_corrected`). 0 for
        no interval. Of few things a bootstrap alone is too narrow: it excludes 0 in 7 % of unrelated matrices. So the
        interval also holds the values that the permutation test does not reject, on the scale of Fisher's z.

    Raises
    ------
    MurineError
        Fewer than `MIN_ITEMS` things; matrices that are not square, of one size, symmetric and finite off the
        diagonal.
    """
    vectors = np.stack([_pairs_of(matrix, len(first)) for matrix in (first, second, *controls)])
    n_things = len(first)
    if n_things < MIN_ITEMS:
        raise MurineError(f"{n_things} things are too few to relate matrices of their pairs; at least {MIN_ITEMS}.")
    if method == "spearman":
        vectors = rankdata(vectors, axis=1)
    null = np.empty(0)
    explained = _orthonormal_rows(np.concatenate([np.ones((1, vectors.shape[1])), vectors[2:]]))
    one, other = _unit_residual(vectors[0], explained), _unit_residual(vectors[1], explained)
    r = float(one @ other)
    exact = factorial(n_things) <= n_permutations
    relabellings = _all_permutations(n_things) if exact else permutations(n_things, n_permutations, seed)
    if np.isnan(r):
        p = float("nan")
    else:
        null = _null_correlations(one, other, explained, relabellings)
        p = _p_value(null, r, alternative, exact)
    low = high = float("nan")
    if n_bootstraps and not np.isnan(r):
        drawn = _bootstrap_interval(vectors, method, n_things, n_bootstraps, seed)
        held = _acceptance_interval(null, r, exact)
        if not np.isnan(drawn).any():
            low, high = max(min(drawn[0], held[0]), -1.0), min(max(drawn[1], held[1]), 1.0)
    return MantelResult(r, low, high, p, n_things, len(relabellings), exact)


def _pairs_of(matrix: ItemMatrix, n_things: int) -> Vector:
    if matrix.shape != (n_things, n_things):
        raise MurineError(f"matrices of {n_things} things are {n_things} x {n_things}; one is {matrix.shape}.")
    pairs, others = upper_triangle(matrix), upper_triangle(matrix.T)
    if not np.isfinite(pairs).all():
        raise MurineError(
            f"a matrix has {np.sum(~np.isfinite(pairs))} pairs that are not finite; leave such things out."
        )
    if not np.allclose(pairs, others, rtol=1e-8, atol=1e-8 * np.abs(pairs).max(initial=0)):
        raise MurineError("a matrix is not symmetric: the distance of two things is the same both ways.")
    found: Vector = pairs.astype(np.float64)
    return found


def _orthonormal_rows(rows: Float[np.ndarray, "n_rows n_pairs"]) -> Float[np.ndarray, "n_dimensions n_pairs"]:
    """Orthonormal rows that span the same; those that depend on others are dropped."""
    scale = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = np.divide(rows, scale, out=np.zeros_like(rows), where=scale > 0)
    _, values, directions = np.linalg.svd(rows, full_matrices=False)
    found: np.ndarray = directions[values > 1e-10]
    return found


def _unit_residual(vector: Vector, basis: Float[np.ndarray, "n_dimensions n_pairs"]) -> Vector:
    """What the basis does not explain, of length 1; NaN where that is nothing."""
    length = np.linalg.norm(vector)
    left = vector / length if length > 0 else vector
    for _ in range(2):  # once more for the digits
        left = left - basis.T @ (basis @ left)
    power = left @ left
    return left / np.sqrt(power) if power > _ROUNDING else np.full_like(left, np.nan)


def _null_correlations(
    one: Vector,
    other: Vector,
    explained: Float[np.ndarray, "n_dimensions n_pairs"],
    relabellings: Int[np.ndarray, "n_draws n_things"],
) -> Float[np.ndarray, " n_draws"]:
    """Partial correlations with the things of ``one``, which is of length 1 already, relabelled."""
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
    # Among all relabellings is the one that changes nothing.
    return reached / len(null) if exact else (1 + reached) / (1 + len(null))


def _acceptance_interval(null: Float[np.ndarray, " n_draws"], r: float, exact: bool) -> tuple[float, float]:
    """The correlations that the two-sided permutation test does not reject, if it only shifts Fisher's z."""
    allowed = int(_LEVEL * (len(null) + (not exact)) + 1e-9) - (not exact)
    if allowed < 0:
        return -1.0, 1.0
    largest = np.sort(np.abs(null))[::-1][min(allowed, len(null) - 1)] + _TIE
    reach, z = np.arctanh(min(largest, 1 - 1e-12)), np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12))
    return float(np.tanh(z - reach)), float(np.tanh(z + reach))


def _all_permutations(n_things: int) -> Int[np.ndarray, "n_draws n_things"]:
    return np.array(list(itertools.permutations(range(n_things))))


def _bootstrap_interval(
    vectors: Float[np.ndarray, "n_matrices n_pairs"], method: Method, n_things: int, n_bootstraps: int, seed: int
) -> tuple[float, float]:
    """Over things: the correlations of all matrices in every sample, then the partial one of the first two."""
    draws, without_one = (
        np.concatenate(list(_partial_draws(vectors, method, counts)))[:, None]
        for counts in (bootstrap_counts(n_things, n_bootstraps, seed), leave_one_out_counts(n_things))
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
        found += 1e-9 * np.eye(len(vectors))  # a sample may have controls that depend on each other
        inverse = np.linalg.inv(found)
        partial = -inverse[:, 0, 1] / np.sqrt(inverse[:, 0, 0] * inverse[:, 1, 1])
        yield np.where(clean, np.clip(partial, -1, 1), np.nan)
