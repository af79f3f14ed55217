"""Random halves of trials: disjoint, complete, and the same whatever else there is."""

from __future__ import annotations

import numpy as np
import pytest

from murine.statistics.random_halves import half_means, split_keys

IDS = [f"s{i}" for i in range(7)]


def powers(n_neuroids, n_repetitions):
    """Trials of which every sum tells which they are."""
    trials = np.broadcast_to(2.0 ** np.arange(n_repetitions), (n_neuroids, len(IDS), n_repetitions))
    return trials.copy()


@pytest.mark.parametrize("n_repetitions", [2, 3, 4, 9])
def test_both_halves_together_are_all_trials_of_a_stimulus(n_repetitions):
    trials = powers(3, n_repetitions)
    trials[1:, 2, 1:] = trials[1:, 2, 1:][..., ::-1]
    keys = split_keys(IDS, n_repetitions, 20, 0)
    small = n_repetitions // 2
    seen = set()
    for first, second in half_means(trials, keys):
        np.testing.assert_allclose(first * small + second * (n_repetitions - small), trials.sum(axis=2))
        np.testing.assert_allclose(first[0], first[2], atol=0) if n_repetitions == 2 else None
        seen |= {tuple(np.round(first[0] * small).astype(int))}
    assert len(seen) > 10  # each stimulus is halved by itself


def test_missing_trials():
    trials = powers(4, 6)
    trials[1, 3, 2:] = np.nan  # two are left
    trials[2, 3, 1:] = np.nan  # one is left
    trials[3, 3] = np.nan
    trials[0, 5, 4] = np.inf
    for first, second in half_means(trials, split_keys(IDS, 6, 5, 1)):
        assert {first[1, 3], second[1, 3]} == {1.0, 2.0}
        assert first[2, 3] == second[2, 3] == 1.0
        assert np.isnan([first[3, 3], second[3, 3]]).all()
        assert 2 * first[0, 5] + 3 * second[0, 5] == pytest.approx(63 - 16)
        # Neurons share the halves of stimuli of which they have the same trials.
        np.testing.assert_array_equal(first[:, [0, 1, 2, 4, 6]], np.tile(first[:1, [0, 1, 2, 4, 6]], (4, 1)))


def test_halves_of_a_stimulus_do_not_depend_on_the_others():
    every = split_keys(IDS, 5, 4, 3)
    np.testing.assert_array_equal(every[:, [5, 1]], split_keys([IDS[5], IDS[1]], 5, 4, 3))
    assert not np.array_equal(every, split_keys(IDS, 5, 4, 4))
