"""CKA*: its definition written out unit by unit, closed forms, invariances, populations of known similarity."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from murine.cortex.simulated_animals import simulate_animals
from murine.errors import MurineError
from murine.similarity.kernel_similarity import u_centre_kernels
from murine.similarity.population_kernels import (
    distinct_units,
    noiseless_kernel,
    noisy_kernel,
    u_product,
    unbiased_cka,
    unbiased_cka_matrix,
)
from murine.statistics.random_halves import half_means

RNG = np.random.default_rng(5)


def recorded(n_units=7, n_stimuli=9, n_repetitions=6, seed=0):
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(n_units, 3)) @ rng.normal(size=(3, n_stimuli))
    return signal[:, :, None] + rng.normal(size=(n_units, n_stimuli, n_repetitions)) + 5


def u_centred(kernel):
    """Székely & Rizzo's definition, entry by entry."""
    m = len(kernel)
    kernel = kernel - np.diag(np.diag(kernel))
    rows, total = kernel.sum(axis=1) / (m - 2), kernel.sum() / ((m - 1) * (m - 2))
    found = np.zeros_like(kernel)
    for i, j in permutations(range(m), 2):
        found[i, j] = kernel[i, j] - rows[i] - rows[j] + total
    return found


def product(one, two):
    m = len(one)
    return (u_centred(np.outer(one, one)) * u_centred(np.outer(two, two))).sum() / (m * (m - 3))


def test_a_norm_is_the_mean_product_of_two_different_units_in_two_halves():
    trials = recorded()
    keys = np.random.default_rng(3).random((4, 1, trials.shape[2]), np.float32)
    scale = trials.mean(axis=2).std(axis=1, keepdims=True)
    norms = []
    for first, second in half_means(trials, np.broadcast_to(keys, (4, *trials.shape[1:]))):
        ones, twos = first / scale, second / scale
        norms.append(np.mean([product(ones[a], twos[b]) for a, b in permutations(range(len(trials)), 2)]))
    kernel = noisy_kernel(trials, n_splits=4, seed=3)
    assert kernel.norm == pytest.approx(np.mean(norms))
    assert kernel.scatter == pytest.approx(np.std(norms) / np.mean(norms))


def test_a_product_is_the_mean_over_pairs_of_units():
    one, two = recorded(seed=1), recorded(5, seed=2)
    units = [
        (x := trials.mean(axis=2), (x - x.mean(axis=1)[:, None]) / x.std(axis=1)[:, None])[1] for trials in (one, two)
    ]
    kernels = [noisy_kernel(trials) for trials in (one, two)]
    pairs = np.mean([[product(a, b) for b in units[1]] for a in units[0]])
    assert u_product(kernels[0].kernel, kernels[1].kernel) == pytest.approx(pairs)
    expected = pairs / np.sqrt(kernels[0].norm * kernels[1].norm)
    assert unbiased_cka(*kernels) == pytest.approx(expected)
    np.testing.assert_allclose(unbiased_cka_matrix(kernels, kernels)[0, 1], expected)


def test_without_noise_a_population_and_its_trials_agree():
    patterns = RNG.normal(size=(30, 12))
    trials = np.repeat(patterns[:, :, None], 4, axis=2)
    assert noisy_kernel(trials).norm == pytest.approx(noiseless_kernel(patterns).norm)
    np.testing.assert_allclose(noisy_kernel(trials).kernel, noiseless_kernel(patterns).kernel, atol=1e-12)


def test_kernels_of_parts_of_the_stimuli_follow_from_those_of_all():
    kernel = noiseless_kernel(RNG.normal(size=(30, 12))).kernel
    raw = RNG.normal(size=(12, 5))
    raw = raw @ raw.T
    part = np.arange(7)
    whole = u_centre_kernels(raw[None])[:, :7, :7]
    np.testing.assert_allclose(u_centre_kernels(whole), u_centre_kernels(raw[None][:, :7, :7]), atol=1e-12)
    np.testing.assert_allclose(u_centre_kernels(kernel[None][:, part][:, :, part])[0].sum(axis=1), 0, atol=1e-12)


def test_nothing_depends_on_order_scale_or_offset():
    one, two = recorded(12, seed=1), recorded(15, seed=2)
    expected = unbiased_cka(noisy_kernel(one), noisy_kernel(two))
    scenes, units = RNG.permutation(one.shape[1]), RNG.permutation(len(one))
    scale = RNG.uniform(0.5, 3, (len(one), 1, 1)) * RNG.choice([-1, 1], (len(one), 1, 1))
    changed = (one * scale + 7)[units][:, scenes]
    assert unbiased_cka(noisy_kernel(changed), noisy_kernel(two[:, scenes])) == pytest.approx(expected)
    assert unbiased_cka(noisy_kernel(two), noisy_kernel(one)) == pytest.approx(expected)


def test_missing_trials_and_constant_units_do_not_count():
    trials = recorded(12)
    padded = np.concatenate([trials, np.full((12, 9, 2), np.nan)], axis=2)
    with_constant = np.concatenate([padded, np.full((1, 9, 8), 3.0)])
    assert noisy_kernel(with_constant).n_units == 12
    np.testing.assert_allclose(noisy_kernel(with_constant).kernel, noisy_kernel(trials).kernel)


def test_copies_of_a_unit_count_once():
    patterns = RNG.normal(size=(20, 10))
    copies = np.concatenate([patterns, patterns * 2 + 1, -patterns, np.zeros((3, 10))]).astype(np.float32)
    assert len(distinct_units(copies)) == 20
    assert noiseless_kernel(copies).norm == pytest.approx(noiseless_kernel(patterns).norm, abs=1e-6)
    assert len(distinct_units(np.ones((4, 10)))) == 0


def test_halves_of_a_population_are_the_same_population():
    """Units without noise: CKA* is 1 whatever their number."""
    many = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        units = rng.normal(size=(60, 8)) @ rng.normal(size=(8, 60))
        many.append(unbiased_cka(noiseless_kernel(units[:20]), noiseless_kernel(units[20:])))
    assert np.mean(many) == pytest.approx(1, abs=0.03)


def test_simulated_animals_have_their_known_similarity():
    """rho .6: .36 between animals, .6 times rho with a candidate; few noisy units or many without noise alike."""
    found = []
    for seed in range(30):
        shares, units = [0.6] * 8 + [0.5, 0.5, 0.3], [30, 50, 70, 90, 40, 60, 80, 100, 60, 600, 25]
        noisy = [True] * 9 + [False, True]
        animals = simulate_animals(shares, seed=seed, n_units=units, noisy=noisy, n_repetitions=6)
        kernels = [noisy_kernel(x) if x.shape[2] > 1 else noiseless_kernel(x[:, :, 0]) for x in animals]
        s = unbiased_cka_matrix(kernels, kernels)
        found.append([s[:8, :8][np.triu_indices(8, 1)].mean(), *s[8:, :8].mean(axis=1)])
    error = np.std(found, axis=0) / np.sqrt(len(found))
    assert (error < 0.01).all()
    np.testing.assert_allclose(np.mean(found, axis=0), [0.36, 0.30, 0.30, 0.18], atol=0.02)


def test_noise_that_units_share_does_not_enter_the_norm():
    """All units share one random number in every trial: the norm stays that of the signal."""
    norms, truths = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        signal = rng.normal(size=(20, 5)) @ rng.normal(size=(5, 40))
        trials = signal[:, :, None] + 3 * rng.normal(size=(40, 10)) + rng.normal(size=(20, 40, 10))
        scale = trials.mean(axis=2).std(axis=1) / signal.std(axis=1)
        signal = (signal - signal.mean(axis=1)[:, None]) / signal.std(axis=1)[:, None] / scale[:, None]
        norms.append(noisy_kernel(trials).norm)
        single = [u_centre_kernels(np.outer(unit, unit)[None])[0] for unit in signal]
        same = sum(u_product(kernel, kernel) for kernel in single)
        truths.append((u_product(sum(single), sum(single)) - same) / (20 * 19))
    difference = np.array(norms) - truths
    assert abs(difference.mean()) < 3 * difference.std() / np.sqrt(30)
    assert abs(difference.mean()) < 0.1 * np.mean(truths)


def test_slow_changes_over_repetitions_do_not_shrink_the_norm():
    """Each unit drifts over repetitions alike for all stimuli, which centring removes."""
    patterns = RNG.normal(size=(30, 20))
    drift = np.linspace(-20, 20, 8) * RNG.normal(size=(30, 1, 1))
    assert noisy_kernel(patterns[:, :, None] + drift).norm == pytest.approx(noiseless_kernel(patterns).norm)


def test_a_norm_that_is_not_above_zero_gives_no_answer():
    noise = [noisy_kernel(np.random.default_rng(seed).normal(size=(6, 12, 4))) for seed in range(20)]
    below = next(kernel for kernel in noise if kernel.norm <= 0)
    assert not below.is_defined
    assert np.isnan(below.scatter)
    signal = noiseless_kernel(recorded(30, 12)[:, :, 0])
    assert np.isnan(unbiased_cka(below, signal))
    matrix = unbiased_cka_matrix([below, signal], [signal, below])
    np.testing.assert_array_equal(np.isnan(matrix), [[True, True], [False, True]])


@pytest.mark.parametrize(
    ("trials", "said"),
    [
        (np.ones((5, 9, 1)), "at least two"),
        (np.ones((5, 3, 4)), "3 stimuli"),
        (np.ones((5, 9, 4)), "0 of 5 units"),
        (np.where(np.arange(4) < 3, np.nan, recorded(5, n_repetitions=4)), "5 of 5 units have a stimulus"),
    ],
)
def test_recordings_that_cannot_be_used_are_refused(trials, said):
    with pytest.raises(MurineError, match=said):
        noisy_kernel(trials)


def test_features_that_cannot_be_used_are_refused():
    with pytest.raises(MurineError, match="NaN or infinite"):
        noiseless_kernel(np.array([[1.0, 2, 3, np.nan]] * 3))
    with pytest.raises(MurineError, match="1 of 3 units"):
        noiseless_kernel(np.array([[1.0, 2, 3, 5]] * 3))
