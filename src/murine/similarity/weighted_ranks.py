"""Ranks of fixed vectors whose elements are weighted, for Spearman correlations in resampled stimuli.

This module is compiled with numba: import it inside functions (`murine.compilation`).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int32

from murine.compilation import compiled


@compiled
def _rank(
    order: np.ndarray, last: np.ndarray, weight: np.ndarray, slot: np.ndarray, weights: np.ndarray, out: np.ndarray
) -> None:
    """Compute mid-ranks less their mean, times the root of the weights, of length 1 (NaN where all are equal)."""
    n_drawn = len(weights)
    half = np.sum(weights) / 2
    for v in range(len(order)):
        before = 0.0
        k = 0
        while k < order.shape[1]:
            first = k
            total = weight[order[v, k]]
            while not last[v, k]:
                k += 1
                total += weight[order[v, k]]
            rank = before + total / 2 - half
            for j in range(first, k + 1):
                out[v, slot[order[v, j]]] = rank
            before += total
            k += 1
        power = 0.0
        for k in range(n_drawn):
            out[v, k] *= np.sqrt(weights[k])
            power += out[v, k] ** 2
        share = 1.0 / np.sqrt(power) if power > 0.0 else np.nan
        for k in range(n_drawn):
            out[v, k] *= share


class WeightedRanks:
    """Standardised ranks of the elements of vectors. The vectors are sorted once, for any number of samples.

    The weighted mid-rank of an element is the weight of all smaller elements plus half the weight of those equal to it.
    """

    def __init__(self, vectors: Float[np.ndarray, "n_vectors n"]) -> None:
        self._order: Int32[np.ndarray, "n_vectors n"] = vectors.argsort(axis=1).astype(np.int32)
        ordered = np.take_along_axis(vectors, self._order, axis=1)
        self._last: Bool[np.ndarray, "n_vectors n"] = np.ones(vectors.shape, bool)
        self._last[:, :-1] = ordered[:, 1:] != ordered[:, :-1]

    def __call__(self, weight: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n_vectors n_drawn"]:
        """Return the ranks of the elements with weights above 0, such that products of ranks are weighted correlations.

        NaN for a vector whose elements with weights above 0 are all equal.
        """
        drawn = np.flatnonzero(weight)
        slot = np.full(
            len(weight), len(drawn), np.int32
        )  # ranks of elements that were not drawn go into a last column, which is dropped
        slot[drawn] = np.arange(len(drawn))
        weight = weight.astype(np.float64)
        out = np.empty((len(self._order), len(drawn) + 1))
        _rank(self._order, self._last, weight, slot, weight[drawn], out)
        return out[:, :-1]
