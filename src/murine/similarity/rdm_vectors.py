"""Vectors."""

from __future__ import annotations

from math import comb, isqrt

import numpy as np
from jaxtyping import Int, Num

from murine.errors import MurineError


def upper_triangle(rdm: Num[np.ndarray, "*stack n_stimuli n_stimuli"]) -> Num[np.ndarray, "*stack n_pairs"]:
    """The strict upper triangle, row by row (as ``numpy.triu_indices(n, 1)``, SciPy's condensed form)."""
    n = rdm.shape[-1]
    rows, columns = np.triu_indices(n, 1)
    # Indexing by both would put the vectors of a stack beside each other in memory, which slows all that follows.
    return rdm.reshape(*rdm.shape[:-2], n * n).take(rows * n + columns, axis=-1)


def n_stimuli_of_pairs(n_pairs: int) -> int:
    """How many stimuli have this many pairs."""
    n_stimuli = (1 + isqrt(1 + 8 * n_pairs)) // 2
    if n_stimuli * (n_stimuli - 1) // 2 != n_pairs:
        raise MurineError(
            f"a vector of {n_pairs} dissimilarities is no upper triangle of an RDM: {n_stimuli} stimuli have "
            f"{comb(n_stimuli, 2)} pairs, {n_stimuli + 1} have {comb(n_stimuli + 1, 2)}."
        )
    return n_stimuli


def pair_positions(members: Int[np.ndarray, " n_members"], n_stimuli: int) -> Int[np.ndarray, " n_pairs"]:
    """Return where the pairs of some stimuli are in the vectors of all (`upper_triangle`), in the order of ``members``."""
    position = np.zeros((n_stimuli, n_stimuli), np.intp)
    rows, columns = np.triu_indices(n_stimuli, 1)
    position[rows, columns] = position[columns, rows] = np.arange(len(rows))
    return upper_triangle(position[np.ix_(members, members)])
