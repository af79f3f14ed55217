"""Folds, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import KFold

from murine.errors import MurineError
from murine.statistics.folds import kfold


@pytest.mark.parametrize(("n_stimuli", "n_folds"), [(118, 6), (119, 6), (7, 3), (5, 5), (4, 2)])
def test_folds_are_those_of_scikit_learn(n_stimuli, n_folds):
    for seed in (0, 1, 42):
        splits = KFold(n_folds, shuffle=True, random_state=seed).split(np.zeros(n_stimuli))
        for ours, (_, theirs) in zip(kfold(n_stimuli, n_folds, seed), splits, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("n_stimuli", "n_folds"), [(5, 6), (5, 1), (5, 0), (0, 2)])
def test_folds_that_cannot_be_are_refused(n_stimuli, n_folds):
    with pytest.raises(MurineError, match=f"{n_stimuli} stimuli cannot be cross-validated in {n_folds} folds"):
        kfold(n_stimuli, n_folds, 0)
