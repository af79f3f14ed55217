"""The test of a candidate among animals: its definition step by step, its level on simulated animals, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest, ttest_1samp
from scipy.stats import t as student

from murine.errors import MurineError
from murine.statistics.animal_areas import combined_t, correlation_between_areas, p_over_areas
from murine.statistics.animal_test import (
    check_animals,
    critical_t,
    critical_values,
    jackknife_errors,
    left_out,
    nested_choice,
    paired_contrast,
    place_candidates,
    pooled_p_values,
)


def similarities(n, seed=0, spread=0.07, pairs=0.12):
    """Animals that differ in how typical they are, with noise of single pairs."""
    rng = np.random.default_rng(seed)
    typical, noise = spread * rng.standard_normal(n), pairs * rng.standard_normal((n, n))
    return 0.5 + typical[:, None] + typical + (noise + noise.T) / np.sqrt(2)


def test_t_is_that_of_one_more_observation():
    between, candidate = similarities(8), np.random.default_rng(1).uniform(0.1, 0.4, 8)
    everyone = np.block([[between, candidate[:, None]], [candidate[None], 9.0]])
    typicality = [np.mean(np.delete(everyone[i], i)) for i in range(9)]
    animals = np.array(typicality[:8])
    t = (typicality[8] - animals.mean()) / (animals.std(ddof=1) * np.sqrt(1 + 1 / 8))
    found = place_candidates(between, candidate[None])
    assert found.t[0] == pytest.approx(t)
    assert found.p_student[0] == pytest.approx(student.cdf(t, 7))
    assert found.typicality[0] == pytest.approx(candidate.mean())
    assert found.mean[0] == pytest.approx(animals.mean())
    assert found.ratio[0] == pytest.approx(candidate.mean() / animals.mean())


def test_the_diagonal_and_the_order_of_animals_do_not_count():
    between, candidates = similarities(7), np.random.default_rng(1).uniform(0.1, 0.4, (3, 7))
    order = np.random.default_rng(2).permutation(7)
    other = between[np.ix_(order, order)] + 5 * np.eye(7)
    one, two = place_candidates(between, candidates), place_candidates(other, candidates[:, order])
    np.testing.assert_allclose(one.t, two.t)
    np.testing.assert_allclose(jackknife_errors(between, candidates), jackknife_errors(other, candidates[:, order]))
    np.testing.assert_allclose(left_out(between)[order], left_out(other))
    assert critical_values(between) == pytest.approx(critical_values(other))


def test_the_level_holds_on_animals_and_p_is_uniform():
    p = [
        place_candidates(s[:-1, :-1], s[-1:, :-1]).p_student[0]
        for s in (similarities(10, seed) for seed in range(2000))
    ]
    assert 0.035 < np.mean(np.array(p) <= 0.05) < 0.065
    assert kstest(p, "uniform").pvalue > 0.001


def test_a_candidate_of_the_power_ratio_is_found_as_often_as_it_says():
    """Animals that differ by typicality alone, and one more that is shifted to where 80 % should be found."""
    n, spread = 10, 0.07
    shifts = [0.5 - critical_values(0.5 + np.add.outer(z, z))[1] + 2 * z.mean() for z in typical(300, n, spread)]
    rejected = [
        place_candidates(0.5 + np.add.outer(z[1:], z[1:]), 0.5 + z[:1, None] + z[None, 1:] - np.mean(shifts))
        for z in typical(3000, n + 1, spread, seed=1)
    ]
    assert np.mean([test.p_student[0] <= 0.05 for test in rejected]) == pytest.approx(0.8, abs=0.05)


def typical(n_draws, n, spread, seed=0):
    return spread * np.random.default_rng(seed).standard_normal((n_draws, n))


def test_critical_values_are_those_of_student():
    between = similarities(9)
    off = ~np.eye(9, dtype=bool)
    animals = np.array([between[i][off[i]].mean() for i in range(9)])
    error = animals.std(ddof=1) * 8 / 7 * np.sqrt(1 + 1 / 9)
    low, lower = critical_values(between)
    assert low == pytest.approx(animals.mean() + student.ppf(0.05, 8) * error)
    draws = np.random.default_rng(0)
    z, chi = draws.standard_normal(200_000), np.sqrt(draws.chisquare(8, 200_000) / 8)
    shift = (lower - animals.mean()) / error
    assert np.mean((z + shift) / chi < student.ppf(0.05, 8)) == pytest.approx(0.8, abs=0.005)


def test_the_critical_t_is_where_both_tests_reject():
    """A grid of t: those below it have both p-values at or below the level, the others have not."""
    for n, n_null, seed in ((8, 63, 0), (15, 63, 1), (10, 19, 2), (9, 200, 3)):
        null = np.random.default_rng(seed).standard_t(5, n_null)
        grid = np.linspace(-6, 1, 4001)
        rejected = np.maximum(student.cdf(grid, n - 1), pooled_p_values(grid, null)) <= 0.05
        np.testing.assert_array_equal(rejected, grid < critical_t(n, null))
    assert critical_t(9, np.zeros(18)) == -np.inf
    assert np.isnan(critical_values(similarities(9), limit=-np.inf)).all()


def test_a_stricter_limit_needs_a_lower_typicality():
    plain, strict = critical_values(similarities(9)), critical_values(similarities(9), limit=-3.0)
    assert strict[0] < plain[0]
    assert strict[1] < plain[1]


def test_animals_left_out_are_candidates():
    between = similarities(6)
    rest = [0, 1, 3, 4, 5]
    expected = place_candidates(between[np.ix_(rest, rest)], between[2, rest][None]).t[0]
    assert left_out(between)[2] == pytest.approx(expected)


def test_pooled_p_values_are_ranks():
    null = np.arange(19.0)
    np.testing.assert_allclose(pooled_p_values(np.array([-1.0, 0.0, 18.0]), null), [1 / 20, 2 / 20, 1])
    assert np.isnan(pooled_p_values(np.array([np.nan]), null)[0])


def test_the_jackknife_error_is_that_of_leaving_out_animals():
    between, candidate = similarities(6), np.random.default_rng(1).uniform(0.1, 0.4, (1, 6))
    ratios = []
    for j in range(6):
        rest = [i for i in range(6) if i != j]
        ratios.append(place_candidates(between[np.ix_(rest, rest)], candidate[:, rest]).ratio[0])
    expected = np.sqrt(5 / 6 * ((np.array(ratios) - np.mean(ratios)) ** 2).sum())
    assert jackknife_errors(between, candidate)[0] == pytest.approx(expected)


def test_a_nested_choice_never_sees_the_animal_it_is_for():
    values = np.random.default_rng(0).uniform(size=(40, 7))
    similarity, chosen = nested_choice(values)
    for j in range(7):
        others = np.delete(values, j, axis=1).mean(axis=1)
        assert chosen[j] == others.argmax()
        assert similarity[j] == values[chosen[j], j]
    flattered = values.mean(axis=1).max()
    assert similarity.mean() < flattered


def test_a_nested_choice_of_equal_candidates_is_not_flattered():
    """Candidates that differ by chance alone: the mean of the nested choice is theirs, the largest is above it."""
    nested, largest = [], []
    for seed in range(400):
        values = np.random.default_rng(seed).normal(0.3, 0.1, (20, 8))
        nested.append(nested_choice(values)[0].mean())
        largest.append(values.mean(axis=1).max())
    assert np.mean(nested) == pytest.approx(0.3, abs=0.005)
    assert np.mean(largest) > 0.35


def test_a_candidate_without_similarity_is_never_chosen():
    values = np.full((2, 6), 0.2)
    values[1] = np.nan
    assert nested_choice(values)[1].tolist() == [0] * 6
    assert np.isnan(place_candidates(similarities(6), values).t).tolist() == [False, True]


def test_a_paired_contrast_is_a_t_test():
    rng = np.random.default_rng(0)
    one, other = rng.normal(0.5, 0.1, 9), rng.normal(0.4, 0.1, 9)
    expected = ttest_1samp(one - other, 0)
    found = paired_contrast(one, other)
    assert (found.t, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert np.isnan(paired_contrast(one, one).p)


@pytest.mark.parametrize(
    ("change", "said"), [("few", "there are 4 animals"), ("double", "'b' and 'd'.*is there twice"), ("gap", "missing")]
)
def test_animals_that_cannot_be_used_are_refused(change, said):
    between = np.full((6, 6), 0.5)
    if change == "few":
        between = between[:4, :4]
    else:
        between[1, 3] = between[3, 1] = 1.3 if change == "double" else np.nan
    with pytest.raises(MurineError, match=said):
        check_animals(between, list("abcdef")[: len(between)])


def test_areas_together_have_variance_one_and_are_ranked_exactly():
    rng = np.random.default_rng(0)
    r = 0.4
    values = np.sqrt(r) * rng.normal(size=(4000, 1)) + np.sqrt(1 - r) * rng.normal(size=(4000, 5))
    rows = [{f"a{i}": v for i, v in enumerate(row[: 1 + n % 5])} for n, row in enumerate(values)]
    animals = {str(i): row for i, row in enumerate(rows[:2000])}
    found, n_pairs = correlation_between_areas(animals)
    assert found == pytest.approx(r, abs=0.03)
    assert n_pairs == 400 * (0 + 1 + 3 + 6 + 10)
    assert np.std([combined_t(row, r) for row in rows]) == pytest.approx(1, abs=0.03)
    p = [p_over_areas(row, {str(i): x for i, x in enumerate(rows[:19])}, r) for row in rows[2000:]]
    below = np.mean(np.array(p) <= 0.05)
    assert below <= 0.12  # one draw of 19 animals; the smallest p is 1/20
    assert min(p) == pytest.approx(1 / 20)


def test_few_pairs_of_areas_have_no_correlation():
    assert correlation_between_areas({"x": {"a": 1.0, "b": 2.0}}) == (0.0, 1)
    assert correlation_between_areas({"x": {"a": 1.0}, "y": {"b": 2.0}}) == (0.0, 0)
