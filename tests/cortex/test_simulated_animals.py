"""Simulated animals: what they share is what was asked for, and noise is that of counts."""

from __future__ import annotations

import numpy as np
import pytest

from murine.cortex.simulated_animals import simulate_animals
from murine.errors import MurineError


def test_numbers_of_units_stimuli_and_trials():
    animals = simulate_animals([0.5, 0.5, 0.5], seed=0, n_units=[30, 40, 50], n_stimuli=20, n_repetitions=7)
    assert [x.shape for x in animals] == [(30, 20, 7), (40, 20, 7), (50, 20, 7)]
    drawn = simulate_animals([0.5] * 40, seed=0, n_units=(24, 30), n_stimuli=8, n_repetitions=2)
    assert {len(x) for x in drawn} == set(range(24, 31))


def test_a_seed_gives_the_same_animals_and_another_does_not():
    one, again, other = (simulate_animals([0.5, 0.5], seed=s, n_repetitions=2)[0] for s in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert one.shape != other.shape or not np.array_equal(one, other)


def test_trials_are_poisson_counts_of_the_rates():
    (rates,) = simulate_animals([0.5], seed=3, n_units=(30, 30), noisy=False)
    (trials,) = simulate_animals([0.5], seed=3, n_units=(30, 30), n_repetitions=400)
    assert rates.shape == (30, 118, 1)
    assert (trials == trials.round()).all()
    np.testing.assert_allclose(trials.mean(axis=2), rates[:, :, 0], atol=6 * np.sqrt(rates.max() / 400))
    assert trials.var(axis=2).mean() == pytest.approx(rates.mean(), rel=0.02)


def test_animals_that_share_everything_have_the_same_latents():
    """All units of both animals lie in a space of as many dimensions as there are latent variables, nearly."""
    one, two = simulate_animals([1.0, 1.0], seed=0, n_units=(60, 60), n_latents=3, noisy=False)
    units = np.concatenate([one, two])[:, :, 0]
    values = np.linalg.svd(units - units.mean(axis=1, keepdims=True), compute_uv=False) ** 2
    assert values[:3].sum() / values.sum() > 0.9
    apart = simulate_animals([0.0, 0.0], seed=0, n_units=(60, 60), n_latents=3, noisy=False)
    units = np.concatenate(apart)[:, :, 0]
    values = np.linalg.svd(units - units.mean(axis=1, keepdims=True), compute_uv=False) ** 2
    assert values[:3].sum() / values.sum() < 0.7


@pytest.mark.parametrize(
    ("shared", "options", "said"),
    [([1.2], {}, "between 0 and 1"), ([0.5] * 3, {"n_units": [3, 4, 5, 6]}, "4 numbers of units for 3 animals")],
)
def test_wrong_numbers_are_refused(shared, options, said):
    with pytest.raises(MurineError, match=said):
        simulate_animals(shared, seed=0, **options)
