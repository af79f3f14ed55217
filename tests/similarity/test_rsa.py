"""RSA against SciPy and brute force: scores, resampled stimuli, relabelled stimuli."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.spatial.distance import cosine
from scipy.stats import pearsonr, rankdata, spearmanr

from murine.similarity.rdm import pearson_rdm
from murine.similarity.rdm_vectors import upper_triangle
from murine.similarity.rsa import Cosine, _leave_one_out_tau_a, comparisons
from murine.statistics.bootstrap import bootstrap_counts
from murine.statistics.permutation import permutations

N = 12


def tau_a(a, b):
    """Concordant less discordant pairs, one after the other."""
    pairs = list(combinations(range(len(a)), 2))
    return sum(np.sign(a[i] - a[j]) * np.sign(b[i] - b[j]) for i, j in pairs) / len(pairs)


REFERENCE = {
    "rsa-pearson": lambda a, b: pearsonr(a, b).statistic,
    "rsa-spearman": lambda a, b: spearmanr(a, b).statistic,
    "rsa-tau-a": tau_a,
    "rsa-cosine": lambda a, b: 1 - cosine(a, b),
}
METRICS = comparisons
CENTRED = [name for name in METRICS if name != "rsa-cosine"]


def vectors(n_vectors, n_stimuli=N, ties=False, seed=0):
    rng = np.random.default_rng([seed, n_vectors])
    common = np.random.default_rng(9).normal(size=n_stimuli * (n_stimuli - 1) // 2)
    found = rng.normal(size=(n_vectors, len(common))) + np.linspace(0, 2, n_vectors)[:, None] * common
    return np.round(2 * found) / 2 if ties else found


def square(vector, n_stimuli=N):
    rdm = np.zeros((n_stimuli, n_stimuli))
    rdm[np.triu_indices(n_stimuli, 1)] = vector
    return rdm + rdm.T


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("name", list(METRICS))
def test_scores_are_scipys(name, ties):
    layers, sites = vectors(5, ties=ties), vectors(3, ties=ties, seed=1)
    expected = [[REFERENCE[name](a, b) for b in sites] for a in layers]
    np.testing.assert_allclose(METRICS[name].score(layers, sites), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", list(METRICS))
def test_scores_are_symmetric_and_bounded(name):
    metric, a = METRICS[name], vectors(4)
    scores = metric.score(a, a)
    np.testing.assert_allclose(scores, scores.T, atol=1e-12)
    np.testing.assert_allclose(np.diag(scores), 1, atol=1e-12)
    np.testing.assert_allclose(metric.score(a, -a), -scores, atol=1e-12)
    offset = 7 if name in CENTRED else 0
    np.testing.assert_allclose(metric.score(3 * a + offset, a), scores, atol=1e-12)
    assert scores.max() <= 1
    if metric.on_ranks:
        np.testing.assert_allclose(metric.score(np.exp(a), a), scores, atol=1e-12)


def resampled_explicitly(name, layer, site, count):
    """Draw the stimuli, make both RDMs anew, drop the pairs of a stimulus with its own copy."""
    drawn = np.repeat(np.arange(len(count)), count)
    rows, columns = np.triu_indices(len(drawn), 1)
    kept = drawn[rows] != drawn[columns]
    a, b = (square(v, len(count))[np.ix_(drawn, drawn)][rows, columns][kept] for v in (layer, site))
    return REFERENCE[name](a, b)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("name", ["rsa-pearson", "rsa-spearman", "rsa-cosine"])
def test_bootstrap_draws_are_those_of_explicit_resampling(name, ties):
    layers, sites = vectors(4, ties=ties), vectors(2, ties=ties, seed=1)
    counts = bootstrap_counts(N, 40, 5)
    draws = METRICS[name].resample(layers, sites, counts)
    assert draws.shape == (40, 4, 2)
    expected = [[[resampled_explicitly(name, a, b, c) for b in sites] for a in layers] for c in counts]
    np.testing.assert_allclose(draws, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("offset", [0, 100])
def test_bootstrap_draws_survive_offsets_and_many_layers(offset):
    layers, sites = vectors(700) * 1e-3 + offset, vectors(3, seed=1) + offset
    counts = bootstrap_counts(N, 3, 1)
    draws = comparisons["rsa-pearson"].resample(layers, sites, counts)
    for i in (0, 170, 171, 512, 699):
        for s in range(3):
            expected = [resampled_explicitly("rsa-pearson", layers[i], sites[s], c) for c in counts]
            np.testing.assert_allclose(draws[:, i, s], expected, atol=2e-5)


def test_draws_without_what_made_a_vector_vary_are_nan_and_not_infinite():
    layers, sites = vectors(2, 20, seed=5), vectors(2, 20, seed=6)
    layers[0] = 1 + 1e-9 * layers[0]
    layers[0, 0] = 2.0  # one pair, of the first two stimuli
    counts = bootstrap_counts(20, 100, 1)
    draws = comparisons["rsa-pearson"].resample(layers, sites, counts)
    without = (counts[:, :2] == 0).any(axis=1)
    assert 0 < without.sum() < 100
    assert np.isnan(draws[without, 0]).all()
    for b in np.flatnonzero(~without):
        expected = [resampled_explicitly("rsa-pearson", layers[0], site, counts[b]) for site in sites]
        np.testing.assert_allclose(draws[b, 0], expected, atol=1e-4)
    assert np.isfinite(draws[:, 1]).all()


@pytest.mark.parametrize("name", list(METRICS))
def test_drawing_every_stimulus_once_is_the_score_itself(name):
    layers, sites = vectors(4, ties=True), vectors(2, seed=1)
    once = np.ones((1, N), np.uint16)
    metric = METRICS[name]
    np.testing.assert_allclose(metric.resample(layers, sites, once)[0], metric.score(layers, sites), atol=2e-6)


@pytest.mark.parametrize("ties", [False, True])
def test_tau_a_without_each_stimulus_is_recomputed(ties):
    layers, sites = vectors(3, 9, ties), vectors(2, 9, ties, seed=1)
    tau, without = _leave_one_out_tau_a(layers, sites)
    rows, columns = np.triu_indices(9, 1)
    np.testing.assert_allclose(tau, [[tau_a(a, b) for b in sites] for a in layers], atol=1e-12)
    for i in range(9):
        kept = (rows != i) & (columns != i)
        expected = [[tau_a(a[kept], b[kept]) for b in sites] for a in layers]
        np.testing.assert_allclose(without[i], expected, atol=1e-12)


def test_tau_a_draws_are_those_of_the_pseudo_values():
    layers, sites = vectors(3), vectors(2, seed=1)
    counts = bootstrap_counts(N, 30, 2)
    tau, without = _leave_one_out_tau_a(layers, sites)
    pseudo = N * tau - (N - 1) * without  # Efron & Tibshirani 1993, eq. 11.14, about their mean
    expected = [tau + sum(c[i] * (pseudo[i] - pseudo.mean(axis=0)) for i in range(N)) / N for c in counts]
    draws = comparisons["rsa-tau-a"].resample(layers, sites, counts)
    # Spread as much more than that as the bootstrap spreads a correlation of ranks more than the jackknife does.
    ranks = [rankdata(x, axis=1) for x in (layers, sites)]
    spread = comparisons["rsa-pearson"].resample(*ranks, counts).var(axis=0)
    jackknife = (N - 1) * comparisons["rsa-pearson"].leave_one_out(*ranks).var(axis=0)
    factor = np.sqrt(np.clip(spread / jackknife, 1, 1.5))
    np.testing.assert_allclose(draws, np.clip(tau + factor * (expected - tau), -1, 1), atol=1e-6)
    left = comparisons["rsa-tau-a"].leave_one_out(layers, sites)
    np.testing.assert_allclose(left, without, atol=1e-6)


def test_tau_a_draws_spread_like_those_of_explicit_resampling():
    n = 60
    rng = np.random.default_rng(7)
    latent = rng.normal(size=(n, 6))  # stimuli differ, so pairs with one in common vary together
    layer, site = (upper_triangle(pearson_rdm(latent + 0.7 * rng.normal(size=(n, 6))))[None] for _ in range(2))
    counts = bootstrap_counts(n, 300, 3)
    quick = comparisons["rsa-tau-a"].resample(layer, site, counts)[:, 0, 0]
    # tau-a of a sample is that of its weighted pairs of pairs.
    rows, columns = np.triu_indices(n, 1)
    sign = np.sign(layer[0][:, None] - layer[0]) * np.sign(site[0][:, None] - site[0])
    weight = (counts[:, rows] * counts[:, columns]).astype(float)
    pairs = weight.sum(axis=1)
    explicit = np.einsum("bp,pq,bq->b", weight, sign, weight) / (pairs**2 - (weight**2).sum(axis=1))
    assert quick.std() == pytest.approx(explicit.std(), rel=0.15)
    assert np.corrcoef(quick, explicit)[0, 1] > 0.9


@pytest.mark.parametrize("name", list(METRICS))
def test_permutations_are_explicit_relabellings(name):
    layers, sites = vectors(3, ties=True), vectors(2, seed=1)
    relabellings = permutations(N, 8, 4)
    null = METRICS[name].permute(layers, sites, relabellings)
    assert null.shape == (8, 3, 2)
    upper = np.triu_indices(N, 1)
    for k, order in enumerate(relabellings):
        relabelled = np.array([square(site)[np.ix_(order, order)][upper] for site in sites])
        expected = [[REFERENCE[name](a, b) for b in relabelled] for a in layers]
        np.testing.assert_allclose(null[k], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "value"), [*((name, value) for name in CENTRED for value in (0.0, 0.1, 1e6)), ("rsa-cosine", 0.0)]
)
def test_constant_vectors_have_no_score_and_do_not_touch_others(name, value):
    layers, sites = vectors(3), vectors(2, seed=1)
    right = METRICS[name].score(layers, sites)
    layers[1] = value
    metric = METRICS[name]
    scores = metric.score(layers, sites)
    assert np.isnan(scores[1]).all()
    np.testing.assert_array_equal(scores[[0, 2]], right[[0, 2]])
    assert np.isnan(metric.score(sites, layers)[:, 1]).all()
    counts = bootstrap_counts(N, 5, 0)
    draws = metric.resample(layers, sites, counts)
    assert np.isnan(draws[:, 1]).all()
    assert np.isfinite(draws[:, [0, 2]]).all()
    null = metric.permute(layers, sites, permutations(N, 3, 0))
    assert np.isnan(null[:, 1]).all()


def test_the_cosine_of_dissimilarities_sees_their_mean():
    rng = np.random.default_rng(0)
    a, b = 10 + rng.random((1, 66)), 10 + rng.random((1, 66))
    assert Cosine().score(a, b)[0, 0] > 0.99
    assert Cosine().score(a - 10.5, b - 10.5)[0, 0] < 0.5


@pytest.mark.parametrize("decimals", [None, 2, 1, 0])
@pytest.mark.parametrize("n", [2, 63, 64, 65, 500, 9000])
def test_concordance_is_counted_exactly(n, decimals):
    """9,000 elements take more than one block of counts."""
    from murine.similarity.kendall import RankOrder, kendall_s, kendall_s_per_element, permuted_kendall_s

    rng = np.random.default_rng(n)
    a, b = rng.normal(size=(2, n))
    b += a
    if decimals is not None:
        a, b = a.round(decimals), b.round(decimals)
    orders = RankOrder.of(a), RankOrder.of(b)
    each = np.array([(np.sign(a[i] - a) * np.sign(b[i] - b)).sum() for i in range(n)])
    np.testing.assert_array_equal(kendall_s_per_element(*orders), each)
    assert kendall_s(*orders) == kendall_s(*orders[::-1]) == each.sum() / 2
    pairs = rng.permutation(n)
    assert permuted_kendall_s(*orders, pairs) == kendall_s(orders[0], RankOrder.of(b[pairs]))


@pytest.mark.parametrize("name", list(METRICS))
def test_no_layers_give_empty_scores(name):
    metric, none, sites = METRICS[name], np.empty((0, N * (N - 1) // 2)), vectors(2)
    assert metric.score(none, sites).shape == (0, 2)


def test_scales():
    assert {name: comparisons[name].scale for name in comparisons} == {
        "rsa-pearson": "r",
        "rsa-spearman": "r",
        "rsa-tau-a": "tau-a",
        "rsa-cosine": "cosine",
    }
    assert [name for name in comparisons if comparisons[name].on_ranks] == ["rsa-spearman", "rsa-tau-a"]
