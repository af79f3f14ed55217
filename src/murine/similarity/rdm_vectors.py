"""RDMs as vectors: the upper triangle of a matrix, and the positions of pairs in it."""

from __future__ import annotations

from math import comb, isqrt

import numpy as np
from jaxtyping import Int, Num

from murine.errors import MurineError


def upper_triangle(rdm: Num[np.ndarray, "*stack n_stimuli n_stimuli"]) -> Num[np.ndarray, "*stack n_pairs"]:
    """Return the strict upper triangle of matrices, row by row: one entry for each pair of different stimuli.

    The order is that of ``numpy.triu_indices(n, 1)`` and of SciPy's condensed form.

    Parameters
    ----------
    rdm
        (..., n_stimuli, n_stimuli): one matrix or a stack.

    Returns
    -------
    vector
        (..., n_pairs) with n_pairs = n_stimuli (n_stimuli - 1) / 2.

    Examples
    --------
    >>> import numpy as np
    >>> upper_triangle(np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0]]))
    array([1, 2, 3])
    """
    n = rdm.shape[-1]
    rows, columns = np.triu_indices(n, 1)
    # Indexing by rows and columns would interleave the vectors of a stack in memory, which slows all later steps.
    return rdm.reshape(*rdm.shape[:-2], n * n).take(rows * n + columns, axis=-1)


def n_stimuli_of_pairs(n_pairs: int) -> int:
    """Return the number of stimuli that have this many pairs.

    Raises
    ------
    MurineError
        If no number of stimuli has this many pairs.

    Examples
    --------
    >>> n_stimuli_of_pairs(45)
    10
    """
    n_stimuli = (1 + isqrt(1 + 8 * n_pairs)) // 2
    if n_stimuli * (n_stimuli - 1) // 2 != n_pairs:
        raise MurineError(
            f"a vector of {n_pairs} dissimilarities is no upper triangle of an RDM: {n_stimuli} stimuli have "
            f"{comb(n_stimuli, 2)} pairs, {n_stimuli + 1} have {comb(n_stimuli + 1, 2)}."
        )
    return n_stimuli


def pair_positions(members: Int[np.ndarray, " n_members"], n_stimuli: int) -> Int[np.ndarray, " n_pairs"]:
    """Return the positions of the pairs of some stimuli in the RDM vector of all stimuli.

    Parameters
    ----------
    members
        (n_members,): positions of the stimuli.
    n_stimuli
        Number of all stimuli.

    Returns
    -------
    positions
        One for each pair of members, in the order of `upper_triangle` of the members.

    Examples
    --------
    >>> import numpy as np
    >>> pair_positions(np.array([0, 2, 3]), n_stimuli=4)
    array([1, 2, 5])
    """
    position = np.zeros((n_stimuli, n_stimuli), np.intp)
    rows, columns = np.triu_indices(n_stimuli, 1)
    position[rows, columns] = position[columns, rows] = np.arange(len(rows))
    return upper_triangle(position[np.ix_(members, members)])
