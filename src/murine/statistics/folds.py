"""Folds of stimuli for cross-validation."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from murine.errors import MurineError


def kfold(n_stimuli: int, n_folds: int, seed: int) -> list[Int[np.ndarray, " _"]]:
    """Test stimuli of every fold, the same for the same seed: what all cross-validated metrics share.

    The same indices as scikit-learn's ``KFold(n_folds, shuffle=True, random_state=seed)``, ascending in every fold;
    the first ``n_stimuli % n_folds`` folds have one stimulus more.

    Raises
    ------
    MurineError
        With fewer than two folds, or with more folds than stimuli.
    """
    if not 2 <= n_folds <= n_stimuli:
        raise MurineError(
            f"{n_stimuli} stimuli cannot be cross-validated in {n_folds} folds; expected at least 2, and at most as "
            "many folds as stimuli."
        )
    # The legacy generator, since scikit-learn shuffles with it.
    order = np.random.RandomState(seed).permutation(n_stimuli)
    return [np.sort(part) for part in np.array_split(order, n_folds)]
