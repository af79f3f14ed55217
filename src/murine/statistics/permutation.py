"""Random relabellings of the stimuli, and permutation p-values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int


def permutations(n_stimuli: int, n_permutations: int, seed: int) -> Int[np.ndarray, "n_permutations n_stimuli"]:
    """Draw random relabellings of the stimuli.

    Returns
    -------
    relabellings
        (n_permutations, n_stimuli): each row is a permutation of the positions. The same seed gives the same rows.

    Examples
    --------
    >>> permutations(n_stimuli=4, n_permutations=2, seed=0).shape
    (2, 4)
    """
    generator = np.random.default_rng([seed, n_stimuli, 1])
    return generator.permuted(np.tile(np.arange(n_stimuli), (n_permutations, 1)), axis=1)


def permuted_pairs(
    relabellings: Int[np.ndarray, "n_draws n_stimuli"],
) -> Iterator[Int[np.ndarray, " n_pairs"]]:
    """Yield, for each relabelling of the stimuli, the position of every pair in the RDM vector before the relabelling.

    Parameters
    ----------
    relabellings
        (n_draws, n_stimuli), from `permutations`.

    Yields
    ------
    positions
        (n_pairs,): ``vector[positions]`` is the RDM vector of the relabelled stimuli.

    Examples
    --------
    >>> import numpy as np
    >>> vector = np.array([0.1, 0.2, 0.3])  # pairs (0, 1), (0, 2), (1, 2)
    >>> (positions,) = permuted_pairs(np.array([[1, 0, 2]]))
    >>> vector[positions]
    array([0.1, 0.3, 0.2])
    """
    n = relabellings.shape[1]
    rows, columns = np.triu_indices(n, 1)
    position = np.zeros((n, n), np.intp)
    position[rows, columns] = position[columns, rows] = np.arange(len(rows))
    for relabelling in relabellings:
        yield position[relabelling[rows], relabelling[columns]]


def permutation_p_values(
    scores: Float[np.ndarray, "n_layers n_sites"], null: Float[np.ndarray, "n_draws n_layers n_sites"]
) -> Float[np.ndarray, "n_layers n_sites"]:
    """Return one-sided permutation p-values: (1 + number of relabellings that score at least as high) / (1 + number).

    Parameters
    ----------
    scores
        (n_layers, n_sites).
    null
        (n_draws, n_layers, n_sites): scores under relabelled stimuli.

    Returns
    -------
    p
        (n_layers, n_sites); NaN where the score is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> permutation_p_values(np.array([[0.5]]), np.array([0.1, 0.6, -0.2]).reshape(3, 1, 1))
    array([[0.5]])
    """
    reached = (null >= scores.astype(null.dtype)).sum(axis=0)
    return np.where(np.isnan(scores), np.nan, (1 + reached) / (1 + len(null)))
