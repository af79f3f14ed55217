"""Folds of stimuli and held-out predictions."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import KFold, ShuffleSplit

from murine.encoding.cross_validation import split_stimuli
from murine.encoding.ridge import ridge_cv
from murine.statistics.folds import kfold

N = 20


def data(n_units=60, n_neuroids=9, n_stimuli=N, seed=0):
    rng = np.random.default_rng([seed, n_units])
    features = rng.normal(size=(n_stimuli, n_units)) / np.arange(1, n_units + 1) + 3
    responses = features @ rng.normal(size=(n_units, n_neuroids)) + 0.5 * rng.normal(size=(n_stimuli, n_neuroids))
    return features, np.ascontiguousarray(responses.T)


def test_folds_in_every_form():
    expected = kfold(N, 5, 3)
    shuffled = KFold(5, shuffle=True, random_state=3)
    for given in (expected, shuffled, list(shuffled.split(np.zeros(N)))):
        for (train, test), held in zip(split_stimuli(given, N), expected, strict=True):
            np.testing.assert_array_equal(np.sort(test), held)
            np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(N))


def test_stimuli_held_out_twice_get_the_mean_of_their_predictions():
    features, responses = data()
    gram, once = features @ features.T, ShuffleSplit(1, test_size=6, random_state=0)
    again = [next(once.split(np.zeros(N))), (np.arange(3, N), np.arange(3))]
    single = [ridge_cv(gram, responses, [part])[0] for part in again]
    both, chosen = ridge_cv(gram, responses, again)
    held = ~np.isnan(np.stack(single))
    times = np.where(held.any(axis=0), held.sum(axis=0), np.nan)
    expected = np.nan_to_num(np.stack(single)).sum(axis=0) / times
    np.testing.assert_allclose(both, expected, atol=1e-12)
    assert chosen.shape == (2, len(responses))
