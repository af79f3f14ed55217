"""Folds of stimuli for cross-validation."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from murine.errors import MurineError


def kfold(n_stimuli: int, n_folds: int, seed: int) -> list[Int[np.ndarray, " _"]]:
    """Divide the stimuli into shuffled folds of (almost) equal size. All cross-validated metrics share them.

    The folds equal those of scikit-learn's ``KFold(n_folds, shuffle=True, random_state=seed)``. The first
    ``n_stimuli % n_folds`` folds have one stimulus more than the others.

    Returns
    -------
    folds
        The positions of the test stimuli of each fold, ascending.

    Raises
    ------
    MurineError
        If there are fewer than two folds, or more folds than stimuli.

    Examples
    --------
    >>> kfold(7, 3, seed=0)
    [array([1, 2, 6]), array([0, 3]), array([4, 5])]
    """
    if not 2 <= n_folds <= n_stimuli:
        raise MurineError(
            f"{n_stimuli} stimuli cannot be cross-validated in {n_folds} folds; expected at least 2, and at most as "
            "many folds as stimuli."
        )
    # NumPy's legacy generator, because scikit-learn shuffles with it.
    order = np.random.RandomState(seed).permutation(n_stimuli)
    return [np.sort(part) for part in np.array_split(order, n_folds)]
