"""RDMs against numpy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from scipy.stats import zscore as scipy_zscore

from murine.errors import MurineError
from murine.networks.layer_kernel import LayerKernel
from murine.similarity.crossnobis import crossnobis_rdm, mahalanobis_rdm
from murine.similarity.neural_noise import noise_covariance
from murine.similarity.rdm import dissimilarities, kernel_rdm, pearson_rdm
from murine.similarity.rdm_vectors import n_stimuli_of_pairs, upper_triangle
from murine.statistics.standardisation import zscore


def patterns(n_stimuli=30, n_features=700, offset=0.0):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n_stimuli, n_features)) + rng.normal(size=n_features) + offset


@pytest.mark.parametrize("n_features", [2, 3, 700, 20_000])
@pytest.mark.parametrize("offset", [0, 30])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-5)])
def test_pearson_rdm_is_one_less_corrcoef(n_features, offset, dtype, tolerance):
    x = patterns(n_features=n_features, offset=offset).astype(dtype)
    rdm = pearson_rdm(x)
    np.testing.assert_allclose(rdm, 1 - np.corrcoef(x.astype(np.float64)), rtol=0, atol=tolerance)
    np.testing.assert_allclose(squareform(upper_triangle(rdm)), rdm, atol=0)
    np.testing.assert_allclose(upper_triangle(rdm), pdist(x.astype(np.float64), "correlation"), atol=tolerance)
    assert (rdm == rdm.T).all()
    assert (np.diag(rdm) == 0).all()


def test_what_correlation_does_not_see():
    x = patterns()
    right = pearson_rdm(x)
    rng = np.random.default_rng(1)
    scale, offset = rng.uniform(0.1, 10, (30, 1)), rng.normal(size=(30, 1))
    np.testing.assert_allclose(pearson_rdm(scale * x + offset), right, atol=1e-12)
    np.testing.assert_allclose(pearson_rdm(x[:, rng.permutation(700)]), right, atol=1e-12)
    order = rng.permutation(30)
    np.testing.assert_allclose(pearson_rdm(x[order]), right[np.ix_(order, order)], atol=1e-12)
    np.testing.assert_allclose(pearson_rdm(np.concatenate([x, x], axis=1)), right, atol=1e-12)


def test_opposite_and_equal_patterns():
    x = patterns(3)
    rdm = pearson_rdm(np.stack([x[0], 2 * x[0] + 1, -x[0]]))
    np.testing.assert_allclose(rdm, [[0, 0, 2], [0, 0, 2], [2, 2, 0]], atol=1e-12)


@pytest.mark.parametrize("value", ["constant", np.nan, np.inf])
def test_undefined_patterns_are_nan_in_their_row_alone(value):
    x = patterns(6)
    if value == "constant":
        x[2] = 0
    else:
        x[2, 5] = value
    rdm = pearson_rdm(x)
    assert np.isnan(rdm[2]).all()
    assert np.isnan(rdm[:, 2]).all()
    others = np.delete(np.arange(6), 2)
    np.testing.assert_allclose(rdm[np.ix_(others, others)], 1 - np.corrcoef(x[others]), atol=1e-12)


def test_rdm_of_a_part_is_the_part_of_the_rdm():
    kernel = LayerKernel.of(patterns())
    chosen = np.array([7, 2, 19])
    np.testing.assert_array_equal(kernel_rdm(kernel.select(chosen)), kernel_rdm(kernel)[np.ix_(chosen, chosen)])


def test_upper_triangles_of_stacks():
    stack = np.random.default_rng(0).random((2, 3, 5, 5))
    vectors = upper_triangle(stack)
    assert vectors.shape == (2, 3, 10)
    expected = [stack[1, 2, i, j] for i in range(5) for j in range(i + 1, 5)]
    np.testing.assert_array_equal(vectors[1, 2], expected)


def test_zscore_is_scipys_and_zero_for_constants():
    responses = np.random.default_rng(0).normal(3, 5, (8, 40))
    np.testing.assert_allclose(zscore(responses), scipy_zscore(responses, axis=1), atol=1e-12)
    responses[3] = 0.1
    responses[5] = 1e8 + 1e-9
    z = zscore(responses)
    assert (z[[3, 5]] == 0).all()
    np.testing.assert_allclose(z[[0, 7]], scipy_zscore(responses[[0, 7]], axis=1), atol=1e-12)


def test_the_size_of_an_rdm_follows_from_its_pairs():
    assert [n_stimuli_of_pairs(n * (n - 1) // 2) for n in range(1, 300)] == list(range(1, 300))
    with pytest.raises(MurineError, match="5 stimuli have 10 pairs, 6 have 15"):
        n_stimuli_of_pairs(11)


@pytest.mark.parametrize("name", list(dissimilarities))
def test_dissimilarities_of_relabelled_scaled_and_rotated_patterns(name):
    x = patterns(12, 40, offset=1)
    dissimilarity = dissimilarities[name]
    right = dissimilarity(LayerKernel.of(x))
    assert (right == right.T).all()
    assert (np.diag(right) == 0).all()
    assert (upper_triangle(right) > 0).all()
    rng = np.random.default_rng(3)
    order = rng.permutation(12)
    np.testing.assert_allclose(dissimilarity(LayerKernel.of(x[order])), right[np.ix_(order, order)], atol=1e-12)
    np.testing.assert_allclose(
        dissimilarity(LayerKernel.of(3 * x)), right * (9 if name == "euclidean" else 1), atol=1e-9
    )
    rotation = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    rotated = dissimilarity(LayerKernel.of(x @ rotation))
    assert np.allclose(rotated, right) == (name != "pearson")  # a rotation mixes units into their mean
    x[4, 7] = np.nan
    rdm = dissimilarity(LayerKernel.of(x))
    assert np.isnan(rdm[4]).all()
    assert np.isnan(rdm[:, 4]).all()
    kept = np.delete(np.arange(12), 4)
    np.testing.assert_allclose(rdm[np.ix_(kept, kept)], right[np.ix_(kept, kept)], atol=1e-12)


def test_euclidean_distances_keep_their_digits_on_large_means():
    x = patterns(10, 500)
    far = dissimilarities["euclidean"](LayerKernel.of(x + 1e4))
    np.testing.assert_allclose(far, dissimilarities["euclidean"](LayerKernel.of(x)), rtol=1e-7)


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
