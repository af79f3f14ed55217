"""Assignment of units to neurons, against SciPy's dense solver and planted permutations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from murine.units.assignment import assign_units
from murine.units.matching import match_units


def dense(r):
    """The best assignment by SciPy: unit of each neuron (-1 without), and the sum with -2 for those without."""
    rows, columns = linear_sum_assignment(r, maximize=True)
    unit = np.full(len(r), -1)
    unit[rows] = columns
    return unit, r[rows, columns].sum() - 2 * (len(r) - len(rows))


def top(r, k):
    order = np.argsort(-r, axis=1)[:, :k]
    return order, np.take_along_axis(r, order, 1)


def total(found):
    return np.where(found.unit >= 0, found.r, -2).sum()


@pytest.mark.parametrize("seed", range(5))
def test_planted_permutations_are_recovered(seed):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(60, 200))
    planted = rng.permutation(200)[:80]
    responses = features[:, planted].T + 0.5 * rng.normal(size=(80, 60))
    found = match_units(features, responses, responses, n_candidates=10)
    assigned = assign_units(found.candidates, found.candidate_r, found.n_units)
    np.testing.assert_array_equal(assigned.unit, planted)
    assert assigned.exact


def test_a_crowd_on_one_unit_is_led_apart():
    """All neurons like the same units: the best unit is one for all, the assignment a unit for each."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=30)
    features = common[:, None] + np.linspace(0.05, 1, 50) * rng.normal(size=(30, 50))
    responses = common + 0.3 * rng.normal(size=(40, 30))
    found = match_units(features, responses, responses, n_candidates=50)
    assert len(np.unique(found.unit)) < 20
    assigned = assign_units(found.candidates, found.candidate_r, found.n_units)
    assert len(np.unique(assigned.unit)) == 40
    r = np.corrcoef(responses, features.T)[:40, 40:]
    unit, best = dense(r)
    assert total(assigned) == pytest.approx(best, abs=1e-9)
    np.testing.assert_array_equal(assigned.unit, unit)
    assert assigned.exact


@pytest.mark.parametrize("spread", [0.05, 0.5, 5.0])
@pytest.mark.parametrize("k", [1, 2, 3, 5, 10, 25, 40])
def test_gap_bounds_what_all_units_would_add(k, spread):
    rng = np.random.default_rng(k)
    for _ in range(10):
        r = np.tanh(rng.normal(size=60) + spread * rng.normal(size=(25, 60)))
        best = dense(r)[1]
        found = assign_units(*top(r, k), 60)
        assert -1e-9 <= best - total(found) <= found.gap + 1e-9
        taken = found.unit[found.unit >= 0]
        assert len(set(taken)) == len(taken)
        np.testing.assert_array_equal(found.r[found.unit >= 0], r[found.unit >= 0, taken])
        if found.exact:
            assert total(found) == pytest.approx(best, abs=1e-7)
        if k >= 25:  # as many candidates as neurons
            assert found.exact


def test_gap_is_proof_with_few_candidates_where_neurons_differ():
    rng = np.random.default_rng(0)
    r = np.tanh(rng.normal(size=(300, 1000)))
    found = assign_units(*top(r, 30), 1000)
    assert found.exact
    assert total(found) == pytest.approx(dense(r)[1], abs=1e-9)


@pytest.mark.parametrize("n_units", [1, 7, 20])
def test_more_neurons_than_units(n_units):
    r = np.tanh(np.random.default_rng(0).normal(size=(20, n_units)))
    found = assign_units(*top(r, n_units), n_units)
    assert (found.unit >= 0).sum() == n_units
    assert total(found) == pytest.approx(dense(r)[1], abs=1e-9)
    assert found.exact


def test_neurons_without_candidates_stay_without():
    candidates = np.array([[-1, -1], [3, -1], [3, 4], [3, 4]])
    r = np.array([[np.nan, np.nan], [0.9, np.nan], [0.8, 0.1], [0.7, 0.2]])
    found = assign_units(candidates, r, 2)
    np.testing.assert_array_equal(found.unit, [-1, 3, -1, 4])
    np.testing.assert_array_equal(found.r, [np.nan, 0.9, np.nan, 0.2])
    assert not assign_units(candidates, r, 9).exact
    empty = assign_units(np.full((2, 3), -1), np.full((2, 3), np.nan), 5)
    assert (empty.unit == -1).all()
