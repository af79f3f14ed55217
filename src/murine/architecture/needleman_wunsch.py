"""The Needleman-Wunsch algorithm in machine code: the best score of two sequences, and one best alignment.

`murine.architecture.alignment` calls it. This module is compiled with numba: import it inside functions
(`murine.compilation`).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int32, Int64, UInt8

from murine.compilation import compiled

#: Steps of an alignment: a letter of each sequence, a letter of the first against a gap, a letter of the second.
BOTH, FIRST, SECOND = 0, 1, 2


@compiled
def _fill_scores(
    first: np.ndarray,
    second: np.ndarray,
    match: int,
    mismatch: int,
    gap: int,
    lines: np.ndarray,
    directions: np.ndarray,
    traced: bool,
) -> int:
    """Compute the best score. ``directions`` receives how each cell is reached, one row for each anti-diagonal.

    Cells of an anti-diagonal do not depend on each other, so many are computed at once. ``second`` is reversed, so that
    its letters are met in the order of those of the first. ``lines`` are at least three rows for scores, used in turn.
    Sums are cast to their type at once, so that as many as possible fit into a register.
    """
    m, n, rows = len(first), len(second), len(lines)
    same, other, skip = np.int32(match), np.int32(mismatch), np.int32(gap)
    for d in range(m + n + 1):
        current, last, before = lines[d % rows], lines[(d - 1) % rows], lines[(d - 2) % rows]
        if d <= n:
            current[0] = d * gap
        if d <= m:
            current[d] = d * gap
        low, high = max(1, d - n), min(m, d - 1) + 1
        if low >= high:
            continue
        out, up, left, diagonal = (
            current[low:high],
            last[low - 1 : high - 1],
            last[low:high],
            before[low - 1 : high - 1],
        )
        a, b = first[low - 1 : high - 1], second[n - d + low : n - d + high]
        if traced:
            how = directions[d, low:high]
            for k in range(high - low):
                both = np.int32(diagonal[k] + (same if a[k] == b[k] else other))
                one = np.int32(up[k] + skip)
                best = max(both, max(one, np.int32(left[k] + skip)))
                out[k] = best
                how[k] = np.uint8(0) if best == both else (np.uint8(1) if best == one else np.uint8(2))
        else:
            for k in range(high - low):
                both = np.int32(diagonal[k] + (same if a[k] == b[k] else other))
                out[k] = max(both, np.int32(max(up[k], left[k]) + skip))
    return int(lines[(m + n) % rows, m])


@compiled
def _trace_back(m: int, n: int, directions: np.ndarray, steps: np.ndarray) -> int:
    """Follow the directions back from the end. The steps fill the end of ``steps``; return where they start."""
    start = len(steps)
    while m or n:
        step = np.uint8(2) if m == 0 else (np.uint8(1) if n == 0 else directions[m + n, m])
        start -= 1
        steps[start] = step
        if step != 2:
            m -= 1
        if step != 1:
            n -= 1
    return start


@compiled
def _align_all(
    codes: np.ndarray,
    reverse: np.ndarray,
    bounds: np.ndarray,
    pairs: np.ndarray,
    longest: int,
    match: int,
    mismatch: int,
    gap: int,
    traced: bool,
    scores: np.ndarray,
    steps: np.ndarray,
    ends: np.ndarray,
) -> None:
    """Align pairs of sequences. ``steps`` holds the steps of one pair after the other, up to ``ends``."""
    lines = np.zeros((3, longest + 1), np.int32)
    directions = np.empty((2 * longest + 1, longest + 1) if traced else (1, 1), np.uint8)
    room = np.empty(2 * longest, np.uint8)
    end = 0
    for p in range(len(pairs)):
        i, j = pairs[p, 0], pairs[p, 1]
        first, second = codes[bounds[i] : bounds[i + 1]], reverse[len(codes) - bounds[j + 1] : len(codes) - bounds[j]]
        scores[p] = _fill_scores(first, second, match, mismatch, gap, lines, directions, traced)
        if traced:
            start = _trace_back(len(first), len(second), directions, room)
            for k in range(start, len(room)):
                steps[end] = room[k]
                end += 1
            ends[p] = end


def best_scores(
    codes: UInt8[np.ndarray, " n_letters"],
    bounds: Int64[np.ndarray, " n_bounds"],
    pairs: Int64[np.ndarray, "n_pairs 2"],
    scoring: tuple[int, int, int],
) -> Int64[np.ndarray, " n_pairs"]:
    """Return the best scores of pairs of sequences; sequence i is ``codes[bounds[i]:bounds[i + 1]]``.

    ``scoring`` holds the values of a match, a mismatch and a gap; gaps at the ends cost as much as others.
    """
    scores, nothing = np.empty(len(pairs), np.int64), np.empty(0, np.int64)
    longest = int(np.diff(bounds).max())
    _align_all(
        codes, codes[::-1].copy(), bounds, pairs, longest, *scoring, False, scores, np.empty(0, np.uint8), nothing
    )
    return scores


def best_alignments(
    codes: UInt8[np.ndarray, " n_letters"],
    bounds: Int64[np.ndarray, " n_bounds"],
    pairs: Int64[np.ndarray, "n_pairs 2"],
    scoring: tuple[int, int, int],
) -> tuple[Int64[np.ndarray, " n_pairs"], list[UInt8[np.ndarray, " n_steps"]]]:
    """Return the best scores, and the steps (`BOTH`, `FIRST`, `SECOND`) of one best alignment of each pair.

    Of several best alignments, it is the one that, read from the end, takes `BOTH` where possible, otherwise `FIRST`.
    """
    lengths = np.diff(bounds)
    scores, ends = np.empty(len(pairs), np.int64), np.empty(len(pairs), np.int64)
    steps = np.empty(int(lengths[pairs].sum()), np.uint8)
    _align_all(codes, codes[::-1].copy(), bounds, pairs, int(lengths.max()), *scoring, True, scores, steps, ends)
    return scores, np.split(steps[: ends[-1]], ends[:-1])


def score_table(
    first: UInt8[np.ndarray, " n_first"], second: UInt8[np.ndarray, " n_second"], scoring: tuple[int, int, int]
) -> Int32[np.ndarray, "n_first_and_one n_second_and_one"]:
    """Return the best score of every two prefixes of the sequences."""
    lines = np.zeros((len(first) + len(second) + 1, len(first) + 1), np.int32)
    _fill_scores(first, second[::-1].copy(), *scoring, lines, np.empty((1, 1), np.uint8), False)
    i, j = np.ogrid[: len(first) + 1, : len(second) + 1]
    found: np.ndarray = lines[i + j, i]
    return found
