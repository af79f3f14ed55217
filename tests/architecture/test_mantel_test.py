"""Mantel tests: against all relabellings of a few things, plain regression, and simulations whose truth is known."""

import itertools

import numpy as np
import pytest
from scipy.stats import pearsonr, rankdata, spearmanr

from murine.architecture.mantel_test import mantel
from murine.errors import MurineError


def distances(rng, n, n_dimensions=3):
    points = rng.standard_normal((n, n_dimensions))
    found = np.linalg.norm(points[:, None] - points, axis=2)
    return found / found.std()


def pairs(matrix):
    return matrix[np.triu_indices(len(matrix), 1)]


def regressed(vector, *controls):
    """What is left, by plain least squares."""
    design = np.stack([np.ones(len(vector)), *controls], axis=1)
    return vector - design @ np.linalg.lstsq(design, vector, rcond=None)[0]


def square(vector, n):
    matrix = np.zeros((n, n))
    matrix[np.triu_indices(n, 1)] = vector
    return matrix + matrix.T


@pytest.mark.parametrize(("method", "correlate"), [("pearson", pearsonr), ("spearman", spearmanr)])
def test_plain_test_of_few_things_is_that_over_all_relabellings(method, correlate):
    rng = np.random.default_rng(0)
    n = 6
    a, b = distances(rng, n), distances(rng, n)
    b += 0.5 * a
    r = correlate(pairs(a), pairs(b)).statistic
    null = np.array([correlate(pairs(a[np.ix_(k, k)]), pairs(b)).statistic for k in itertools.permutations(range(n))])
    found = mantel(a, b, method=method)
    assert found.exact
    assert found.n_permutations == 720
    assert found.r == pytest.approx(r, abs=1e-12)
    assert found.p == pytest.approx((np.abs(null) >= abs(r) - 1e-9).mean(), abs=1e-12)
    for alternative, side in (("greater", 1), ("less", -1)):
        p = mantel(a, b, method=method, alternative=alternative).p
        assert p == pytest.approx((side * null >= side * r - 1e-9).mean(), abs=1e-12)


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_partial_test_is_double_semi_partialing_word_for_word(method):
    """Regress the first on the controls, relabel what is left, regress the second on it and the controls."""
    rng = np.random.default_rng(1)
    n = 6
    controls = [distances(rng, n), distances(rng, n)]
    a, b = (distances(rng, n) + controls[0] for _ in range(2))
    prepared = rankdata if method == "spearman" else np.asarray
    x, y, *z = (prepared(pairs(matrix)) for matrix in (a, b, *controls))
    left = square(regressed(x, *z), n)

    def partial(vector):
        return pearsonr(regressed(vector, *z), regressed(y, *z)).statistic

    null = np.array([partial(pairs(left[np.ix_(k, k)])) for k in itertools.permutations(range(n))])
    found = mantel(a, b, controls, method=method)
    assert found.r == pytest.approx(partial(x), abs=1e-12)
    assert found.p == pytest.approx((np.abs(null) >= abs(partial(x)) - 1e-9).mean(), abs=1e-12)


def test_false_positives_are_nominal_and_what_is_there_is_found():
    """Two-sided 5 % tests of 200 data sets each: 3 standard errors are 4.6 points."""
    rng = np.random.default_rng(3)
    n, rejected = (
        15,
        {"null": [], "null given c": [], "confounded": [], "confounded given c": [], "related given c": []},
    )
    options = {"n_permutations": 99, "n_bootstraps": 0}
    for seed in range(200):
        a, b, c = (distances(rng, n) for _ in range(3))
        rejected["null"].append(mantel(a, b, seed=seed, **options).p)
        rejected["null given c"].append(mantel(a, b, [c], seed=seed, **options).p)
        a, b = a + 2 * c, b + 2 * c
        rejected["confounded"].append(mantel(a, b, seed=seed, **options).p)
        rejected["confounded given c"].append(mantel(a, b, [c], seed=seed, **options).p)
        rejected["related given c"].append(mantel(a, b + a, [c], seed=seed, **options).p)
    rates = {case: np.mean(np.array(p) <= 0.05) for case, p in rejected.items()}
    for case in ("null", "null given c", "confounded given c"):
        assert 0.004 <= rates[case] <= 0.096, rates
    assert rates["confounded"] > 0.95
    assert rates["related given c"] > 0.95


def test_intervals_cover():
    """Of independent matrices, 0; 100 data sets, 3 standard errors are 6.5 points."""
    rng = np.random.default_rng(4)
    covered = 0
    for seed in range(100):
        found = mantel(distances(rng, 15), distances(rng, 15), n_permutations=99, n_bootstraps=200, seed=seed)
        covered += found.low <= 0 <= found.high
    assert covered / 100 >= 0.885


@pytest.mark.parametrize(("n", "n_permutations"), [(6, 999), (8, 99), (8, 199), (15, 199)])
def test_an_interval_does_not_exclude_0_where_p_is_large(n, n_permutations):
    """Of unrelated and of weakly related matrices; a bootstrap alone does in one of twenty."""
    rng = np.random.default_rng(8)
    large = 0
    for seed in range(60):
        a, b = distances(rng, n), distances(rng, n)
        c = distances(rng, n)
        options = {"method": "spearman", "n_permutations": n_permutations, "n_bootstraps": 100, "seed": seed}
        for found in (mantel(a, b, **options), mantel(a, b + 0.3 * a, [c], **options)):
            large += found.p > 0.05
            assert -1 <= found.low <= found.r <= found.high <= 1
            assert found.p <= 0.05 or found.low <= 0 <= found.high, found
    assert 0.5 * 120 < large < 120


@pytest.mark.parametrize("noise", [1.5, 0.5])
def test_intervals_of_related_things_cover(noise):
    """The truth is r of many things; 100 data sets, 3 standard errors are 6.5 points."""
    rng = np.random.default_rng(9)

    def related(n):
        points = rng.standard_normal((n, 3))
        moved = points + noise * rng.standard_normal((n, 3))
        return [np.linalg.norm(x[:, None] - x, axis=2) for x in (points, moved)]

    truth = np.mean([mantel(*related(300), n_permutations=1, n_bootstraps=0).r for _ in range(5)])
    covered = 0
    for seed in range(100):
        found = mantel(*related(12), n_permutations=99, n_bootstraps=200, seed=seed)
        covered += found.low <= truth <= found.high
    assert covered / 100 >= 0.885


def test_too_few_permutations_reject_nothing():
    rng = np.random.default_rng(10)
    a = distances(rng, 12)
    found = mantel(a, a + 0.01 * distances(rng, 12), n_permutations=9, n_bootstraps=50)
    assert found.p == 0.1
    assert (found.low, found.high) == (-1, 1)


def test_symmetries():
    rng = np.random.default_rng(5)
    a, b, c = (distances(rng, 12) for _ in range(3))
    b, c = b + a, c + a
    found = mantel(a, b, [c])
    order = rng.permutation(12)
    other = mantel(*(m[np.ix_(order, order)] for m in (a, b)), [c[np.ix_(order, order)]])
    assert other.r == pytest.approx(found.r, abs=1e-12)
    assert mantel(5 - 3 * a, b, [c]).r == pytest.approx(-found.r, abs=1e-12)
    assert mantel(b, a, [c]).r == pytest.approx(found.r, abs=1e-12)
    assert mantel(np.exp(a), b, method="spearman").r == pytest.approx(mantel(a, b, method="spearman").r, abs=1e-12)
    assert found.low < found.r < found.high
    assert mantel(a, b, [c], seed=3) == mantel(a, b, [c], seed=3)


def test_nothing_left_to_correlate():
    rng = np.random.default_rng(6)
    a, b = distances(rng, 8), distances(rng, 8)
    for found in (mantel(np.ones((8, 8)), b), mantel(a, b, [2 * a + 1]), mantel(a, b, [b])):
        assert np.isnan([found.r, found.p, found.low, found.high]).all()
    assert mantel(a, b, [np.ones((8, 8))]).r == pytest.approx(mantel(a, b).r, abs=1e-12)


@pytest.mark.usefixtures("unchecked")
def test_wrong_input():
    rng = np.random.default_rng(7)
    a = distances(rng, 6)
    with pytest.raises(MurineError, match="4 items are too few"):
        mantel(a[:4, :4], a[:4, :4])
    with pytest.raises(MurineError, match=r"shape \(5, 5\); expected 6 x 6"):
        mantel(a, a[:5, :5])
    with pytest.raises(MurineError, match="not symmetric"):
        mantel(a, np.triu(a))
    b = a.copy()
    b[2, 3] = np.nan
    with pytest.raises(MurineError, match="1 pairs that are not finite"):
        mantel(a, b)
