"""Ceilings: conversions in closed form, and the scale they may be applied to."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau, pearsonr

from murine.errors import MurineError
from murine.similarity.rsa import comparisons
from murine.statistics.noise_ceiling import SCALES, Ceiling

RELIABILITY = np.array([0.0, 0.25, 0.81, 1.0])


def ceiling(reliability, scale="r"):
    reliability = np.asarray(reliability, dtype=np.float64)
    return Ceiling.from_reliability(reliability, np.tile(reliability, (3, 1)), scale)


def test_conversions():
    np.testing.assert_allclose(ceiling(RELIABILITY, "r").value, [0, 0.5, 0.9, 1])
    np.testing.assert_allclose(ceiling(RELIABILITY, "r2").value, RELIABILITY)
    # Greiner: tau = 2 / pi asin(r); asin(0.5) = pi / 6.
    np.testing.assert_allclose(ceiling(RELIABILITY, "tau-a").value[[0, 1, 3]], [0, 1 / 3, 1])
    for scale in SCALES:
        np.testing.assert_allclose(ceiling(RELIABILITY, scale).draws[1], ceiling(RELIABILITY, scale).value)
        np.testing.assert_array_equal(ceiling([-0.5, np.nan, 1.2], scale).value, [0, np.nan, 1])


def test_every_comparison_but_the_cosine_has_a_ceiling():
    assert {comparisons[name].scale for name in comparisons} - set(SCALES) == {"cosine"}
    with pytest.raises(MurineError, match="scale 'rho' has no known ceiling; expected one of r, r2, tau-a"):
        ceiling(RELIABILITY, "rho")


@pytest.mark.parametrize("reliability", [0.2, 0.5, 0.9])
def test_the_best_possible_score_is_the_ceiling(reliability):
    """The truth itself, correlated with data of known reliability (normal), on all three scales."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=100_000)
    data = np.sqrt(reliability) * truth + np.sqrt(1 - reliability) * rng.normal(size=100_000)
    r = pearsonr(truth, data).statistic
    scores = {"r": r, "r2": r**2, "tau-a": kendalltau(truth, data).statistic}
    for scale, score in scores.items():
        assert ceiling([reliability], scale).apply(np.array([[score]]), scale)[0, 0] == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("own", SCALES)
@pytest.mark.parametrize("other", [*SCALES, "r 2", ""])
def test_a_ceiling_of_another_scale_is_refused(own, other):
    scores, draws = np.full((2, 4), 0.5), np.full((3, 2, 4), 0.5)
    if own == other:
        assert ceiling(RELIABILITY, own).apply(scores, other).shape == (2, 4)
        return
    message = f"a ceiling on the scale '{own}' cannot be applied to scores on the scale '{other}'"
    with pytest.raises(MurineError, match=message):
        ceiling(RELIABILITY, own).apply(scores, other)
    with pytest.raises(MurineError, match=message):
        ceiling(RELIABILITY, own).apply_draws(draws, other)


def test_scores_are_divided_site_by_site_and_draw_by_draw():
    scores = np.array([[0.1, 0.1, 0.45, 1.2], [0.0, -0.5, 0.9, 1.0]])
    expected = [[np.nan, 0.2, 0.5, 1.2], [np.nan, -1, 1, 1]]
    np.testing.assert_allclose(ceiling(RELIABILITY).apply(scores, "r"), expected)
    reliability = np.array([[0.25, 1.0], [0.0, 0.25], [1.0, -0.3]])
    own = Ceiling.from_reliability(np.array([0.5, 0.5]), reliability, "r")
    draws = np.arange(12.0).reshape(3, 2, 2)
    expected = [[[0, 1], [4, 3]], [[np.nan, 10], [np.nan, 14]], [[8, np.nan], [10, np.nan]]]
    np.testing.assert_allclose(own.apply_draws(draws, "r"), expected)


def test_a_floor_is_subtracted_from_distances():
    floor = Ceiling.from_floor(np.array([0.5, np.nan, 0.0]), np.array([[0.5, np.nan, 0.1], [1.0, np.nan, 0.0]]))
    assert floor.flags == ("", "floor not defined", "")
    excess = floor.apply(np.array([[0.7, 0.7, 0.7], [0.4, 0.4, 0.0]]), "distance")
    np.testing.assert_allclose(excess, [[0.2, np.nan, 0.7], [-0.1, np.nan, 0]])
    assert floor.exceeds(excess).tolist() == [[False, False, False], [True, False, False]]
    draws = np.full((2, 1, 3), 2.0)
    np.testing.assert_allclose(floor.apply_draws(draws, "distance"), [[[1.5, np.nan, 1.9]], [[1.0, np.nan, 2.0]]])
    for scale in SCALES:
        with pytest.raises(MurineError, match=f"a ceiling on the scale 'distance' cannot be applied to .* '{scale}'"):
            floor.apply(np.ones((1, 3)), scale)
        with pytest.raises(MurineError, match=f"a ceiling on the scale '{scale}' cannot be applied to .* 'distance'"):
            ceiling(RELIABILITY, scale).apply(np.ones((1, 4)), "distance")
    with pytest.raises(MurineError, match="scale 'distance' has no known ceiling"):
        ceiling(RELIABILITY, "distance")  # a reliability says nothing about distances


def test_the_excess_over_the_floor_is_the_distance_of_the_truth():
    rng = np.random.default_rng(0)
    truth, noise = rng.normal(size=(2, 400_000))
    model = truth + 0.6 * rng.normal(size=400_000)
    data = truth + 0.8 * noise
    floor = np.array([np.mean((data - truth) ** 2)])
    excess = Ceiling.from_floor(floor, floor[None]).apply(np.array([[np.mean((data - model) ** 2)]]), "distance")
    assert excess[0, 0] == pytest.approx(0.36, abs=0.01)
    root = Ceiling.from_floor(np.sqrt(floor), np.sqrt(floor)[None])
    excess = root.apply(np.array([[np.sqrt(np.mean((data - model) ** 2))]]), "distance")
    assert 0 < excess[0, 0] < 0.6


def test_scores_beyond_the_ceiling_and_sites_without_one():
    own = ceiling(RELIABILITY)
    assert own.flags == ("ceiling not above zero", "", "", "")
    assert own.exceeds(np.array([np.nan, 1.0, 1.1, -2.0])).tolist() == [False, False, True, False]


def test_a_ceiling_without_an_error_is_held_fixed():
    reliability, unknown = np.array([0.81, 0.81, np.nan, 0.0]), np.full(3, np.nan)
    draws = np.stack([unknown, np.array([0.64, 0.81, np.nan]), unknown, unknown], axis=1)
    own = Ceiling.from_reliability(reliability, draws, "r")
    assert own.flags == ("ceiling without an error", "", "ceiling not known", "ceiling not above zero")
    scores = np.array([0.45, 0.9, 0.09]).reshape(3, 1, 1) * np.ones(4)
    expected = [[0.5, 0.5625, np.nan, np.nan], [1.0, 1.0, np.nan, np.nan], [0.1, np.nan, np.nan, np.nan]]
    np.testing.assert_allclose(own.apply_draws(scores, "r")[:, 0], expected)
    assert np.isnan(own.interval()).all(axis=0).tolist() == [True, True, True, True]  # a third of the second's is lost
    assert Ceiling.unknown(2, 5, "cosine").flags == ("ceiling not known",) * 2
    assert np.isnan(Ceiling.unknown(2, 5, "r").apply_draws(np.ones((5, 1, 2)), "r")).all()


def test_the_mean_ceiling_is_that_of_neurons_whose_ceiling_is_known():
    value = np.array([0.5, np.nan, 0.9, 0.0, np.nan])
    draws = np.array([[0.4, np.nan, 0.8, 0.0, np.nan], [0.6, np.nan, np.nan, 0.1, np.nan]])
    mean = Ceiling(value, draws, "r").mean_over([np.array([0, 1, 2]), np.array([2, 3]), np.array([1, 4])])
    np.testing.assert_allclose(mean.value, [0.7, 0.45, np.nan])
    np.testing.assert_allclose(mean.draws, [[0.6, 0.4, np.nan], [0.6, 0.1, np.nan]])
    assert mean.flags == ("ceiling of 2 of 3 neurons", "", "ceiling not known")
    filled = Ceiling(value, draws, "r").fill_unknown(np.array([0, 1, 2]))
    np.testing.assert_allclose(filled.value, [0.5, 0.7, 0.9])
    np.testing.assert_allclose(filled.draws, [[0.4, 0.6, 0.8], [0.6, 0.6, np.nan]])
