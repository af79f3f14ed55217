"""The bootstrap over stimuli and subjects against explicit resampling and known components of variance."""

from __future__ import annotations

import numpy as np
import pytest

from murine.errors import MurineError
from murine.statistics.bootstrap import bootstrap_counts
from murine.statistics.crossed_bootstrap import (
    CrossedDraws,
    animal_counts,
    dual_variance,
    mean_over_neurons,
    neuron_counts,
)

ANIMALS = np.repeat(["a", "b", "c", "d"], [5, 1, 8, 3])


def test_neurons_are_drawn_with_replacement():
    counts = neuron_counts(ANIMALS, 4000, 0, "neurons")
    assert (counts.sum(axis=1) == 17).all()
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.08)
    assert counts.var() == pytest.approx(16 / 17, rel=0.05)


def test_animals_are_drawn_whole():
    counts = neuron_counts(ANIMALS, 500, 0, "animals")
    drawn = counts[:, [0, 5, 6, 14]]
    np.testing.assert_array_equal(counts, np.repeat(drawn, [5, 1, 8, 3], axis=1))
    np.testing.assert_array_equal(drawn, animal_counts(4, 500, 0))
    assert (drawn.sum(axis=1) == 4).all()


def test_neurons_are_drawn_within_drawn_animals():
    counts = neuron_counts(ANIMALS, 3000, 0, "both")
    of_animals = np.stack([counts[:, animal == ANIMALS].sum(axis=1) for animal in "abcd"], axis=1)
    np.testing.assert_array_equal(of_animals, animal_counts(4, 3000, 0) * [5, 1, 8, 3])
    # The variance of a neuron's count: of its animal's (n - 1) / n, and of the draws within it.
    expected = 3 / 4 + (1 - 1 / 8)
    assert counts[:, 6:14].var() == pytest.approx(expected, rel=0.06)


def test_samples_are_the_same_for_the_same_seed():
    for over in ("neurons", "animals", "both"):
        np.testing.assert_array_equal(neuron_counts(ANIMALS, 9, 2, over), neuron_counts(ANIMALS, 9, 2, over))
        assert (neuron_counts(ANIMALS, 9, 2, over) != neuron_counts(ANIMALS, 9, 3, over)).any()


def test_what_cannot_be_resampled_is_refused():
    with pytest.raises(MurineError, match="1 animals are too few for a bootstrap over animals; at least 2"):
        neuron_counts(["m"] * 5, 3, 0, "both")
    with pytest.raises(MurineError, match="over 'cells' is not known; expected one of neurons, animals, both"):
        neuron_counts(ANIMALS, 3, 0, "cells")
    with pytest.raises(MurineError, match="30 stimuli and 1 subjects leave no variance"):
        dual_variance(*(np.ones(1),) * 3, (30, 1))


def two_way_layout(rng, sizes, sds):
    """Scores of every stimulus and subject: effects of both, and what they have together."""
    n, m = sizes
    stimulus, subject, together = sds
    return stimulus * rng.normal(size=(n, 1)) + subject * rng.normal(size=(1, m)) + together * rng.normal(size=(n, m))


@pytest.mark.parametrize(("sds", "excess"), [((1, 1, 0), 1), ((0.5, 1, 2), 1), ((1, 0.2, 3), 1), ((0.1, 0.1, 2), 1.4)])
def test_the_corrected_variance_is_that_of_the_mean_over_new_stimuli_and_subjects(sds, excess):
    n, m = sizes = (60, 40)
    rng = np.random.default_rng(0)
    parts = sds[0] ** 2 / n, sds[1] ** 2 / m, sds[2] ** 2 / (n * m)
    estimates, plain = [], []
    for seed in range(150):
        scores = two_way_layout(rng, sizes, sds)
        a = bootstrap_counts(n, 300, seed) / n
        b = animal_counts(m, 300, seed) / m
        draws = CrossedDraws(((a @ scores) * b).sum(axis=1), a @ scores.mean(axis=1), b @ scores.mean(axis=0), sizes)
        estimates.append(draws.variance())
        plain.append(draws.both.var())
    assert 0.93 <= np.mean(estimates) / sum(parts) <= 1.07 * excess
    # Without correction the interaction counts three times.
    assert np.mean(plain) == pytest.approx(parts[0] + parts[1] + 3 * parts[2], rel=0.07)


def test_intervals_cover_the_truth():
    sizes, sds, rng = (40, 20), (1, 0.7, 3), np.random.default_rng(1)
    covered = []
    for seed in range(400):
        scores = two_way_layout(rng, sizes, sds)
        a, b = bootstrap_counts(40, 300, seed) / 40, animal_counts(20, 300, seed) / 20
        draws = CrossedDraws(((a @ scores) * b).sum(axis=1), a @ scores.mean(axis=1), b @ scores.mean(axis=0), sizes)
        low, high = draws.interval()
        covered.append(low <= 0 <= high)
    assert 0.92 <= np.mean(covered) <= 0.98


def test_corrected_draws_keep_mean_and_order():
    rng = np.random.default_rng(0)
    draws = CrossedDraws(rng.normal(1, 3, (400, 2)), rng.normal(1, 1, (400, 2)), rng.normal(1, 1, (400, 2)), (50, 20))
    corrected = draws.corrected()
    np.testing.assert_allclose(corrected.mean(axis=0), draws.both.mean(axis=0))
    np.testing.assert_allclose(corrected.var(axis=0, ddof=1), draws.variance())
    np.testing.assert_array_equal(corrected.argsort(axis=0), draws.both.argsort(axis=0))
    assert (draws.variance() < draws.both.var(axis=0)).all()
    low, high = draws.interval()
    np.testing.assert_allclose([low, high], np.quantile(corrected, [0.025, 0.975], axis=0))


def test_differences_are_corrected_for_themselves():
    rng = np.random.default_rng(0)
    a, b = (CrossedDraws(*rng.normal(size=(3, 100)), (30, 9)) for _ in range(2))
    difference = a.difference(b)
    np.testing.assert_array_equal(difference.stimuli, a.stimuli - b.stimuli)
    assert a.difference(a).variance() == 0
    assert np.isfinite(a.difference(a).interval()).all()
    with pytest.raises(MurineError, match="are not from the same samples"):
        a.difference(CrossedDraws(a.both, a.stimuli, a.subjects, (30, 8)))


def test_lost_draws_are_left_out_up_to_one_in_twenty():
    rng = np.random.default_rng(0)
    both, stimuli, subjects = rng.normal(size=(3, 100, 2))
    both[:3, 0] = np.nan
    both[:8, 1] = np.nan
    variance = CrossedDraws(both, stimuli, subjects, (30, 9)).variance()
    parts = (both[3:, 0].var(ddof=1), stimuli[:, 0].var(ddof=1), subjects[:, 0].var(ddof=1))
    assert variance[0] == pytest.approx(dual_variance(*map(np.array, parts), (30, 9)))
    assert np.isnan(variance[1])
    low, high = CrossedDraws(both, stimuli, subjects, (30, 9)).interval()
    assert np.isnan([low[1], high[1]]).all()
    assert np.isfinite([low[0], high[0]]).all()


def test_means_over_resampled_neurons():
    rng = np.random.default_rng(0)
    scores, draws = rng.normal(size=(2, 17)), rng.normal(size=(40, 2, 17))
    counts = neuron_counts(ANIMALS, 40, 0, "both")
    out = mean_over_neurons(scores, draws, counts, (118, 4))
    for b, count in enumerate(counts):
        drawn = np.repeat(np.arange(17), count)
        np.testing.assert_allclose(out.both[b], draws[b][:, drawn].mean(axis=1))
        np.testing.assert_allclose(out.stimuli[b], draws[b].mean(axis=1))
        np.testing.assert_allclose(out.subjects[b], scores[:, drawn].mean(axis=1))
    assert out.sizes == (118, 4)


def test_neurons_without_score_are_refused_and_single_draws_left_out():
    scores, draws = np.ones((1, 40)), np.ones((3, 1, 40))
    counts = np.ones((3, 40), np.uint16)
    draws[0, 0, :2] = np.nan
    draws[0, 0, 2] = 39.0
    draws[1, 0, :3] = np.nan
    out = mean_over_neurons(scores, draws, counts, (30, 40))
    np.testing.assert_allclose(out.both[:, 0], [2, np.nan, 1])
    np.testing.assert_allclose(out.stimuli[:, 0], [2, np.nan, 1])
    scores[0, 3] = np.nan
    with pytest.raises(MurineError, match=r"1 of 40 neurons have no score \(NaN\); leave these neurons out"):
        mean_over_neurons(scores, draws, counts, (30, 40))
