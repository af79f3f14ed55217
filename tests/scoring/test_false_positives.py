"""How often scores that are zero are found different from zero, and whether intervals of others cover them."""

from __future__ import annotations

import numpy as np
import pytest

from murine.cortex.simulated import SimulatedCortex, simulate
from murine.similarity.rdm import pearson_rdm
from murine.similarity.rdm_vectors import upper_triangle
from murine.similarity.rsa import comparisons
from murine.statistics.bootstrap import bootstrap_counts, percentile_interval
from murine.statistics.multiple_testing import max_statistic_p_values
from murine.statistics.permutation import permutation_p_values, permutations
from murine.statistics.standardisation import zscore
from murine.statistics.variance_correction import correct_for_pairs, effective_n_stimuli, student_factor

AREAS = ("SIMp", "SIMl", "SIMam")


def rdm(responses: np.ndarray) -> np.ndarray:
    return pearson_rdm(np.ascontiguousarray(zscore(responses).T))


def without_one(n: int) -> np.ndarray:
    return (1 - np.eye(n)).astype(np.uint16)


@pytest.fixture(scope="module")
def cortex() -> SimulatedCortex:
    return simulate(n_neuroids=30, n_repetitions=10)


def shuffled(cortex: SimulatedCortex, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """RDM vectors of 18 shuffled networks, the generating model with its images in another order, and of sites."""
    labels, n = cortex.recording["area"], cortex.recording.n_stimuli
    true = [rdm(cortex.true_responses[labels == area]) for area in AREAS]
    orders = permutations(n, 18, 1000 + seed)
    layers = np.stack([true[k % 3][np.ix_(order, order)] for k, order in enumerate(orders)])
    means = cortex.redraw(seed).recording.mean()
    return upper_triangle(layers), upper_triangle(np.stack([rdm(means[labels == area]) for area in AREAS]))


# Of 432 tests, the rate has a standard error of 1 % where they are independent, which those of a seed are not quite.
@pytest.mark.parametrize(
    ("name", "n_seeds", "tolerance"),
    [("rsa-pearson", 30, 0.02), ("rsa-spearman", 8, 0.035)],
    ids=["pearson", "spearman"],
)
def test_a_shuffled_network_scores_zero_at_the_nominal_rate(
    cortex: SimulatedCortex, name: str, n_seeds: int, tolerance: float
) -> None:
    metric, plain, corrected = comparisons[name], [], []
    for seed in range(n_seeds):
        layers, sites = shuffled(cortex, seed)
        draws = metric.resample(layers, sites, bootstrap_counts(100, 300, seed))
        left = metric.resample(layers, sites, without_one(100))
        for rates, sample in ((plain, draws), (corrected, correct_for_pairs(draws, left))):
            low, high = percentile_interval(sample)
            rates.append((low > 0) | (high < 0))
    assert np.mean(corrected) == pytest.approx(0.05, abs=tolerance)
    assert np.mean(plain) < 0.01  # three times too large a variance


def test_permutation_p_of_shuffled_networks_hold_their_level(cortex: SimulatedCortex) -> None:
    score = comparisons["rsa-pearson"]
    single, best = [], []
    for seed in range(60):
        layers, sites = shuffled(cortex, seed)
        scores, null = score.score(layers, sites), score.permute(layers, sites, permutations(100, 99, seed))
        single.append(permutation_p_values(scores, null) <= 0.05)
        best.append(max_statistic_p_values(scores, null).min(axis=0) <= 0.05)
    assert 0.03 <= np.mean(single) <= 0.07
    assert 0.02 <= np.mean(best) <= 0.09


@pytest.mark.parametrize("shared", [0.0, 0.5, 1.0])
def test_corrected_intervals_cover_scores_of_any_size(shared: float) -> None:
    """Layers and sites of random stimuli that have more or less in common; the truth is the mean of many scores."""
    metric, n = comparisons["rsa-pearson"], 50
    scores, bounds = [], []
    for seed in range(300):
        rng = np.random.default_rng([seed, 11])
        common = np.sqrt(shared) * rng.normal(size=(n, 5))
        layer, site = (
            upper_triangle(pearson_rdm(np.hstack([common, rng.normal(size=(n, 8))])))[None] for _ in range(2)
        )
        draws = metric.resample(layer, site, bootstrap_counts(n, 200, seed))
        corrected = correct_for_pairs(draws, metric.resample(layer, site, without_one(n)))
        assert corrected.mean() == pytest.approx(draws.mean(), abs=1e-6)
        scores.append(metric.score(layer, site)[0, 0])
        bounds.append(np.ravel(percentile_interval(corrected)))
    low, high = np.transpose(bounds)
    covered = np.mean((low <= np.mean(scores)) & (np.mean(scores) <= high))
    assert 0.9 <= covered <= 0.98, covered


def test_what_cannot_be_corrected_stays_as_it_is() -> None:
    rng = np.random.default_rng(0)
    draws, left = rng.normal(size=(200, 3)), 0.5 + rng.normal(size=(40, 3)) / 40
    left[7, 1] = np.nan
    draws[3, 2] = np.nan
    out = correct_for_pairs(draws, left)
    np.testing.assert_allclose(out[:, 1], draws[:, 1])
    assert np.isnan(out[:, 2]).sum() == 1
    kept = ~np.isnan(draws[:, 2])
    jackknife = 39 * left[:, 2].var()
    expected = np.clip(2 * jackknife - draws[kept, 2].var() * 40 / 39, jackknife / 2, None)
    wider = student_factor(effective_n_stimuli(left[:, 2])) ** 2
    assert wider > 1.05
    assert out[kept, 2].var() == pytest.approx(expected * wider * 39 / 40, rel=0.03)
