"""Crossnobis and Mahalanobis distances and the covariance of noise, where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from murine.errors import MurineError
from murine.similarity.crossnobis import crossnobis_rdm, mahalanobis_rdm
from murine.similarity.neural_noise import noise_covariance
from murine.similarity.rdm_vectors import upper_triangle


def noisy(n_neuroids, n_stimuli, n_repetitions, seed=0, same=()):
    """Trials with correlated noise, the truth, and the covariance of the noise; ``same`` stimuli evoke the same."""
    rng = np.random.default_rng(seed)
    mixing = np.eye(n_neuroids) + 0.4 * rng.normal(size=(n_neuroids, n_neuroids)) / np.sqrt(n_neuroids)
    truth = rng.normal(size=(n_stimuli, n_neuroids))
    truth[list(same)] = truth[0]
    noise = rng.normal(size=(n_neuroids, n_stimuli, n_repetitions))
    return truth.T[:, :, None] + 2 * np.einsum("ij,jsr->isr", mixing, noise), truth, 4 * mixing @ mixing.T


def test_crossnobis_is_right_on_average_and_mahalanobis_is_not():
    found = {"crossnobis": [], "mahalanobis": []}
    for seed in range(200):
        rng = np.random.default_rng([seed, 1])
        _, truth, covariance = noisy(6, 5, 2, same=[3])
        noise = np.einsum("ij,jsr->isr", np.linalg.cholesky(covariance), rng.normal(size=(6, 5, 4)))
        trials = truth.T[:, :, None] + noise
        found["crossnobis"].append(upper_triangle(crossnobis_rdm(trials, covariance)))
        found["mahalanobis"].append(upper_triangle(mahalanobis_rdm(trials.mean(axis=2).T, covariance)))
    right = upper_triangle(mahalanobis_rdm(truth, covariance))
    error = np.std(found["crossnobis"], axis=0) / np.sqrt(200)
    assert (np.abs(np.mean(found["crossnobis"], axis=0) - right) < 4 * error).all()
    bias = np.mean(found["mahalanobis"], axis=0) - right  # 2 / n_repetitions, in units of the noise
    np.testing.assert_allclose(bias, 0.5, atol=0.12)
    assert right[2] == pytest.approx(0)  # stimuli 0 and 3
    assert np.min(found["crossnobis"]) < 0


def test_noise_covariance_finds_the_truth_and_shrinkage_is_nearer_with_few_trials():
    trials, _, truth = noisy(12, 40, 100)
    for shrinkage in ("none", "diagonal", "identity"):
        np.testing.assert_allclose(noise_covariance(trials, shrinkage), truth, atol=0.5)
    few = trials[:, :10, :2]
    errors = {s: np.abs(noise_covariance(few, s) - truth).mean() for s in ("none", "diagonal", "identity")}
    assert max(errors["diagonal"], errors["identity"]) < errors["none"]


def test_missing_trials_are_left_out():
    trials, _, _ = noisy(5, 8, 4)
    covariance = noise_covariance(trials)
    holes = trials.copy()
    holes[2, 3, 1] = np.nan  # one neuron missed one trial
    right = crossnobis_rdm(trials, covariance)
    found = crossnobis_rdm(holes, covariance)
    others = np.delete(np.arange(8), 3)
    np.testing.assert_allclose(found[np.ix_(others, others)], right[np.ix_(others, others)], atol=1e-12)
    # Stimulus 3: by hand, the folds of repetitions 0, 2 and 3.
    precision, by_hand = np.linalg.inv(covariance), []
    for held in (0, 2, 3):
        kept = [r for r in range(4) if r != held]
        train = np.nanmean(holes[:, 3, kept], axis=1) - np.nanmean(holes[:, 6, kept], axis=1)
        by_hand.append(train @ precision @ (holes[:, 3, held] - holes[:, 6, held]) / 5)
    assert found[3, 6] == found[6, 3] == pytest.approx(np.mean(by_hand))
    # The covariance takes complete trials alone.
    residuals = [holes[:, s, r] for s in range(8) for r in range(4) if (s, r) != (3, 1)]
    stimulus = [s for s in range(8) for r in range(4) if (s, r) != (3, 1)]
    means = {s: np.mean([x for x, t in zip(residuals, stimulus, strict=True) if t == s], axis=0) for s in range(8)}
    residuals = np.array([x - means[t] for x, t in zip(residuals, stimulus, strict=True)])
    np.testing.assert_allclose(noise_covariance(holes, "none"), residuals.T @ residuals / (31 - 8), atol=1e-12)


def test_what_cannot_be_told_from_trials_is_refused():
    trials, truth, _ = noisy(5, 8, 4)
    one_trial = trials.copy()
    one_trial[:, 3, 1:] = np.nan
    with pytest.raises(MurineError, match="positions 3 lack valid trials"):
        crossnobis_rdm(one_trial)
    with pytest.raises(MurineError, match="at least 2 folds"):
        crossnobis_rdm(trials[:, :, :1])
    with pytest.raises(MurineError, match="not all"):
        crossnobis_rdm(trials, None, [np.arange(4), np.arange(2)])
    with pytest.raises(MurineError, match="two repetitions that are valid for all 5 neurons"):
        noise_covariance(trials[:, :, :1])
    with pytest.raises(MurineError, match="'ledoit'; expected one of diagonal"):
        noise_covariance(trials, "ledoit")
    with pytest.raises(MurineError, match="singular"):
        mahalanobis_rdm(truth, noise_covariance(trials[:, :1], "none"))
    silent = trials.copy()
    silent[2] = 0.1
    with pytest.raises(MurineError, match="1 of 5 neurons respond equally in all repetitions"):
        noise_covariance(silent)
    assert np.isnan(mahalanobis_rdm(np.where(np.arange(8)[:, None] == 1, np.nan, truth), np.eye(5))[1]).all()


def test_distances_do_not_depend_on_the_order_of_neurons_stimuli_and_repetitions():
    trials, _, _ = noisy(5, 8, 4)
    rng = np.random.default_rng(5)
    neuroids, stimuli, repetitions = (rng.permutation(n) for n in (5, 8, 4))
    mixed = trials[neuroids][:, stimuli][:, :, repetitions]
    right = crossnobis_rdm(trials, noise_covariance(trials))
    found = crossnobis_rdm(mixed, noise_covariance(mixed))
    np.testing.assert_allclose(found, right[np.ix_(stimuli, stimuli)], atol=1e-10)
    scaling = rng.uniform(0.5, 2, (5, 1, 1))  # units of single neurons do not matter where noise is known
    scaled = crossnobis_rdm(scaling * trials, noise_covariance(scaling * trials))
    np.testing.assert_allclose(scaled, right, atol=1e-10)
