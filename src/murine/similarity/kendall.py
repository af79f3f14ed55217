"""Kendall's S, the number of concordant less discordant pairs, counted exactly. Kendall's tau-a is S over all pairs.

This module is compiled with numba: import it inside functions (`murine.compilation`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Int32, Int64

from murine.compilation import compiled

#: Words (of 64 positions) in a block of counts: their sum fits in 16 bits, and a block fits in a few vector registers.
#: It is a power of two, so that shifts replace divisions, which would take most of the time.
_SHIFT = 7
_WORDS = 1 << _SHIFT


class RankOrder(NamedTuple):
    """The order of the elements of a vector. Equal elements are ties.

    Attributes
    ----------
    ascending
        (n,): the elements from smallest to largest.
    groups
        (n_groups + 1,): where in ``ascending`` each group of equal elements starts; the last entry is n.
    position
        (n,): the position of each element in ``ascending``.
    first, last
        (n,): where the group of the element starts, and where the next group starts.
    """

    ascending: Int32[np.ndarray, " n"]
    groups: Int32[np.ndarray, " n_bounds"]
    position: Int32[np.ndarray, " n"]
    first: Int32[np.ndarray, " n"]
    last: Int32[np.ndarray, " n"]

    @classmethod
    def of(cls, vector: Float[np.ndarray, " n"]) -> RankOrder:
        """Sort a vector."""
        ascending = vector.argsort(kind="stable").astype(np.int32)
        ordered = vector[ascending]
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        groups = np.append(starts, len(vector)).astype(np.int32)
        position, first, last = (np.empty(len(vector), np.int32) for _ in range(3))
        position[ascending] = np.arange(len(vector))
        sizes = np.diff(groups)
        first[ascending], last[ascending] = np.repeat(groups[:-1], sizes), np.repeat(groups[1:], sizes)
        return cls(ascending, groups, position, first, last)


@compiled
def _count_below(bits: np.ndarray, inner: np.ndarray, outer: np.ndarray, bound: int) -> int:
    """Count the taken positions before ``bound``."""
    word = bound >> 6
    x = bits[word] & ((np.uint64(1) << np.uint64(bound & 63)) - np.uint64(1))
    x -= (x >> np.uint64(1)) & np.uint64(0x5555555555555555)
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    in_word = np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))
    return outer[word >> _SHIFT] + np.int64(inner[word >> _SHIFT, word & (_WORDS - 1)]) + in_word


@compiled
def _mark_taken(bits: np.ndarray, inner: np.ndarray, outer: np.ndarray, position: int) -> None:
    """Mark a position as taken, and update the counts that `_count_below` reads."""
    word = position >> 6
    bits[word] |= np.uint64(1) << np.uint64(position & 63)
    block = word >> _SHIFT
    word &= _WORDS - 1
    within = inner[block]
    for k in range(_WORDS):  # a loop over all words, without branches, compiles to a few vector instructions
        within[k] += np.int16(k > word)
    for k in range(block + 1, len(outer)):
        outer[k] += 1


@compiled
def _kendall_s(
    ascending: np.ndarray, groups: np.ndarray, position: np.ndarray, first: np.ndarray, last: np.ndarray
) -> int:
    """Count concordant less discordant pairs.

    Elements are taken group by group, in the order of the first vector. Of the elements taken before, those below an
    element in the second vector are concordant with it, and those above are discordant. One bit for each position marks
    what is taken.
    """
    n = len(ascending)
    n_blocks = n // (64 * _WORDS) + 1
    bits = np.zeros(n_blocks * _WORDS, np.uint64)
    inner = np.zeros((n_blocks, _WORDS), np.int16)
    outer = np.zeros(n_blocks, np.int64)
    total = 0
    for g in range(len(groups) - 1):
        taken = groups[g]
        for k in range(taken, groups[g + 1]):
            element = ascending[k]
            below = _count_below(bits, inner, outer, first[element])
            above = taken - _count_below(bits, inner, outer, last[element])
            total += below - above
        for k in range(taken, groups[g + 1]):
            _mark_taken(bits, inner, outer, position[ascending[k]])
    return total


@compiled
def _kendall_s_per_element(
    ascending: np.ndarray,
    groups: np.ndarray,
    position: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    out: np.ndarray,
) -> None:
    """For every element, count the others that are concordant with it less those that are discordant."""
    n = len(ascending)
    n_blocks = n // (64 * _WORDS) + 1
    bits = np.zeros(n_blocks * _WORDS, np.uint64)
    inner = np.zeros((n_blocks, _WORDS), np.int16)
    outer = np.zeros(n_blocks, np.int64)
    for g in range(len(groups) - 1):
        start, stop = groups[g], groups[g + 1]
        for k in range(start, stop):
            element = ascending[k]
            below = _count_below(bits, inner, outer, first[element])
            above = start - _count_below(bits, inner, outer, last[element])
            out[element] = below - above
        for k in range(start, stop):
            _mark_taken(bits, inner, outer, position[ascending[k]])
        for k in range(start, stop):  # elements that come later: all less those taken by now
            element = ascending[k]
            below = first[element] - _count_below(bits, inner, outer, first[element])
            above = n - last[element] - (stop - _count_below(bits, inner, outer, last[element]))
            out[element] += above - below


def kendall_s(layer: RankOrder, site: RankOrder) -> int:
    """Return Kendall's S of two vectors: concordant less discordant pairs of elements. Pairs tied in either count as
    neither.
    """
    return int(_kendall_s(layer.ascending, layer.groups, site.position, site.first, site.last))


def permuted_kendall_s(layer: RankOrder, site: RankOrder, pairs: Int[np.ndarray, " n"]) -> int:
    """Return Kendall's S with the elements of the second vector permuted: element k is the old element ``pairs[k]``."""
    return int(_kendall_s(layer.ascending, layer.groups, site.position[pairs], site.first[pairs], site.last[pairs]))


def kendall_s_per_element(layer: RankOrder, site: RankOrder) -> Int64[np.ndarray, " n"]:
    """Return Kendall's S of the pairs that each element belongs to; their sum is twice `kendall_s`."""
    out = np.empty(len(layer.ascending), np.int64)
    _kendall_s_per_element(layer.ascending, layer.groups, site.position, site.first, site.last, out)
    return out
