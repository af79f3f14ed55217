"""Ceilings between animals against explicit resampling, closed forms and populations that are known."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import cross_val_predict

from murine.comparison.animals import animal_bounds, between_animals, predicted_by_animals
from murine.comparison.inference import bootstrap_counts
from murine.comparison.rdm import pearson_rdm, upper
from murine.comparison.two_way import animal_counts
from murine.errors import MurineError
from murine.networks.kernel import LayerKernel


def rdms(n_animals=5, n_stimuli=14, noise=1.0, seed=0):
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n_stimuli, 12))
    return np.stack([upper(pearson_rdm(common + noise * rng.normal(size=(n_stimuli, 12)))) for _ in range(n_animals)])


def standardise(vectors, comparison):
    centred = vectors - vectors.mean(axis=1, keepdims=True) if comparison == "pearson" else vectors
    return centred / np.linalg.norm(centred, axis=1, keepdims=True)


def plain_bounds(vectors, labels, comparison):
    """Nili et al. for RDMs of animals, some of them several times: all copies of one are left out together."""
    z = standardise(vectors, comparison)
    lower, upper = [], []
    for own, label in zip(z, labels, strict=True):
        others = z[labels != label].mean(axis=0) if (labels != label).any() else np.full(z.shape[1], np.nan)
        for out, mean in ((lower, others), (upper, z.mean(axis=0))):
            out.append(own @ standardise(mean[None], comparison)[0])
    return np.mean(lower), np.mean(upper)


@pytest.mark.parametrize("comparison", ["pearson", "cosine"])
@pytest.mark.parametrize("over_animals", [False, True])
def test_bounds_and_their_draws(comparison, over_animals):
    vectors = rdms()
    counts = bootstrap_counts(14, 8, 0)
    drawn = animal_counts(5, 8, 0) if over_animals else np.ones((8, 5), np.uint16)
    drawn[3] = [5, 0, 0, 0, 0] if over_animals else 1
    bounds = animal_bounds(vectors, counts, drawn if over_animals else None, comparison)
    np.testing.assert_allclose(
        [bounds.lower.value[0], bounds.upper.value[0]], plain_bounds(vectors, np.arange(5), comparison)
    )
    rows, columns = np.triu_indices(14, 1)
    for b in range(8):
        pairs = np.repeat(np.arange(len(rows)), counts[b][rows].astype(int) * counts[b][columns])
        labels = np.repeat(np.arange(5), drawn[b])
        expected = plain_bounds(vectors[labels][:, pairs], labels, comparison)
        np.testing.assert_allclose([bounds.lower.draws[b, 0], bounds.upper.draws[b, 0]], expected, atol=1e-6)


def test_bounds_of_animals_that_agree_and_that_do_not():
    same = np.repeat(rdms(1), 4, axis=0)
    counts = bootstrap_counts(14, 3, 0)
    for comparison in ("pearson", "cosine", "spearman"):
        bounds = animal_bounds(same, counts, comparison=comparison)
        assert bounds.lower.value[0] == pytest.approx(1)
        assert bounds.upper.value[0] == pytest.approx(1)
    strangers = np.random.default_rng(0).normal(size=(6, 91))
    bounds = animal_bounds(strangers, counts)
    assert abs(bounds.lower.value[0]) < 0.15
    assert bounds.upper.value[0] == pytest.approx(1 / np.sqrt(6), abs=0.1)


def test_the_truth_lies_between_the_bounds():
    """RDM vectors that share a signal: the true model's mean score is known, 1 / sqrt(1 + noise^2)."""
    rng = np.random.default_rng(0)
    signal, noise = rng.normal(size=7021), 1.5
    own = signal + noise * rng.normal(size=(9, 7021))
    bounds = animal_bounds(own, bootstrap_counts(119, 2, 0))
    truth = np.mean([np.corrcoef(signal, v)[0, 1] for v in own])
    assert bounds.lower.value[0] < truth < bounds.upper.value[0]
    reliability = 1 / (1 + noise**2)
    assert bounds.lower.value[0] == pytest.approx(np.sqrt(reliability / (1 + noise**2 / 8)), abs=0.01)
    assert bounds.upper.value[0] == pytest.approx(np.sqrt(reliability + (1 - reliability) / 9), abs=0.01)


def test_bad_animals_are_refused():
    counts = bootstrap_counts(14, 2, 0)
    with pytest.raises(MurineError, match="1 animals and 14 stimuli give no ceiling between animals"):
        animal_bounds(rdms(1), counts)
    with pytest.raises(MurineError, match="cannot be compared by 'tau-a'; expected pearson, cosine, spearman"):
        animal_bounds(rdms(), counts, comparison="tau-a")
    broken = rdms()
    broken[1, 3] = np.nan
    with pytest.raises(MurineError, match="an RDM of an animal is not defined"):
        animal_bounds(broken, counts)
    with pytest.raises(MurineError, match="needs at least 2 of them; there is 1"):
        between_animals([LayerKernel.of(np.random.default_rng(0).normal(size=(14, 5)))], counts, "r")


def population(seed, n_animals, n_stimuli=40, n_neuroids=12):
    """Animals whose neurons, each its own mixture, are drawn from a population with a known kernel."""
    rng = np.random.default_rng(seed)
    basis = np.random.default_rng(99).normal(size=(n_stimuli, 6)) * np.array([1, 0.7, 0.5, 0.5, 0.3, 0.3])
    neurons = [
        basis @ rng.normal(size=(6, n_neuroids)) + rng.normal(size=(n_stimuli, n_neuroids)) for _ in range(n_animals)
    ]
    covariance = basis @ basis.T + np.eye(n_stimuli)
    scale = np.sqrt(np.diag(covariance))
    return neurons, upper(1 - covariance / np.outer(scale, scale))


@pytest.mark.parametrize("n_animals", [4, 9])
def test_the_true_rdm_of_the_population_reaches_the_ceiling(n_animals):
    counts = bootstrap_counts(40, 150, 0)
    ratios, covered, ceilings = [], [], []
    for seed in range(60):
        neurons, truth = population(seed, n_animals)
        score = np.corrcoef(upper(pearson_rdm(np.concatenate(neurons, axis=1))), truth)[0, 1]
        ceiling = between_animals([LayerKernel.of(x) for x in neurons], counts, "r", n_splits=20, seed=seed)
        ratios.append(score / ceiling.value[0])
        ceilings.append(ceiling.value[0])
        low, high = ceiling.interval()
        covered.append(low[0] <= score <= high[0])
    assert np.mean(ratios) == pytest.approx(1, abs=0.02)
    assert np.mean(ceilings) < 0.96
    assert np.mean(covered) > 0.9


def test_ceilings_between_animals_on_other_scales():
    kernels = [LayerKernel.of(x) for x in population(0, 5)[0]]
    counts = bootstrap_counts(40, 5, 0)
    r, r2 = (between_animals(kernels, counts, scale) for scale in ("r", "r2"))
    np.testing.assert_allclose(r.value**2, r2.value)
    assert between_animals(kernels, counts, "r", ranks=True).value[0] == pytest.approx(r.value[0], abs=0.1)


def held_out(gram, responses):
    """Ridge regression with 5 folds, by scikit-learn."""
    return cross_val_predict(KernelRidge(alpha=5.0, kernel="precomputed"), gram, responses, cv=5)


def test_neurons_are_predicted_from_other_animals():
    rng = np.random.default_rng(0)
    names = np.repeat(["a", "b", "c"], [20, 15, 25])
    drive = rng.normal(size=(60, 3))
    drive[3] = 0  # a neuron that shares nothing
    responses = 5 + drive @ rng.normal(size=(3, 80)) + 0.5 * rng.normal(size=(60, 80))
    counts = bootstrap_counts(80, 20, 0)
    ceiling = predicted_by_animals(responses, names, held_out, counts)
    z = (responses - responses.mean(axis=1, keepdims=True)) / responses.std(axis=1, keepdims=True)
    for name in "abc":
        own = names == name
        predictions = held_out(z[~own].T @ z[~own], responses[own].T)
        expected = [np.corrcoef(p, y)[0, 1] for p, y in zip(predictions.T, responses[own], strict=True)]
        np.testing.assert_allclose(ceiling.value[own], expected, atol=1e-9)
    drawn = np.repeat(np.arange(80), counts[0])
    assert ceiling.draws[0, -1] == pytest.approx(np.corrcoef(predictions[drawn, -1], responses[-1, drawn])[0, 1])
    assert np.median(ceiling.value) > 0.6
    assert ceiling.value[3] < 0.3


def test_animals_that_cannot_predict_are_refused():
    responses, counts = np.random.default_rng(0).normal(size=(6, 10)), bootstrap_counts(10, 2, 0)
    with pytest.raises(MurineError, match="needs at least 2 of them; there is 1"):
        predicted_by_animals(responses, ["m"] * 6, held_out, counts)
    with pytest.raises(MurineError, match="labels of animals do not fit 6 neurons"):
        predicted_by_animals(responses, ["m"] * 5, held_out, counts)
    responses[0, 0] = np.nan
    with pytest.raises(MurineError, match="responses with NaN cannot predict others"):
        predicted_by_animals(responses, list("aaabbb"), held_out, counts)
