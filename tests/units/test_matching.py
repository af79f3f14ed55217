"""Matching against plain loops, dense assignment and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import linear_sum_assignment
from scipy.stats import gaussian_kde, norm, pearsonr

import murine.units.matching
from murine.errors import MurineError
from murine.networks.capture import Features, capture
from murine.statistics.permutation import permutations
from murine.units.assignment import assign_units
from murine.units.densities import density_overlap
from murine.units.matching import UnitSearch, match_units, shuffle_stimuli

N = 20


def data(n_units=300, n_neuroids=15, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(N, n_units)).astype(dtype)
    signal = features[:, rng.permutation(n_units)[:n_neuroids]].T.astype(np.float64)
    return features, signal + rng.normal(size=signal.shape), signal + rng.normal(size=signal.shape)


def looped(features, train, test):
    """Best unit of each neuron by SciPy's pearsonr; r with both halves."""
    found = []
    for a, b in zip(train, test, strict=True):
        r = [pearsonr(a, x.astype(np.float64)).statistic if np.ptp(x) > 0 else -np.inf for x in features.T]
        best = int(np.argmax(r))
        found.append((best, r[best], pearsonr(b, features[:, best].astype(np.float64)).statistic))
    return [np.array(column) for column in zip(*found, strict=True)]


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(murine.units.matching, "BLOCK", 37)
    monkeypatch.setattr(murine.units.matching, "NEURONS", 4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_best_units_are_those_of_plain_loops(small_blocks, dtype, offset):
    features, train, test = data(dtype=dtype)
    features += dtype(offset)
    unit, r_train, r_test = looped(features, train, test)
    found = match_units(features, train, test)
    np.testing.assert_array_equal(found.unit, unit)
    np.testing.assert_allclose(found.r_train, r_train, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found.r_test, r_test, rtol=0, atol=1e-10)
    assert (found.n_units, found.n_constant, found.n_not_finite) == (300, 0, 0)
    assert set(found.flags) == {""}
    assert found.overlap is None


def test_blocks_do_not_change_what_is_found(small_blocks, monkeypatch):
    features, train, test = data(5000, 50)
    small = match_units(features, train, test, n_candidates=7)
    monkeypatch.setattr(murine.units.matching, "BLOCK", 5000)
    monkeypatch.setattr(murine.units.matching, "NEURONS", 50)
    large = match_units(features, train, test, n_candidates=7)
    for name in ("unit", "r_train", "r_test", "candidates", "candidate_r"):
        np.testing.assert_array_equal(getattr(small, name), getattr(large, name))


@pytest.mark.parametrize("first", [0, 5, 36, 37, 200])
def test_the_lowest_of_tied_units_is_taken(small_blocks, first):
    features, train, test = data()
    winner = train[3].astype(np.float32)
    for copy, scale in ((first, 1), (first + 1, 2.5), (first + 40, 1e-3), (299, 7)):
        features[:, copy] = scale * winner + scale
    assert match_units(features, train, test).unit[3] == first


def test_units_that_are_constant_or_not_finite_take_no_part(small_blocks):
    features, train, test = data()
    train[:] = -np.abs(train)
    unit = looped(features, train, test)[0]
    features[:, unit[0]] = np.nan
    features[3, unit[1]] = -np.inf
    features[:, unit[2]] = 12345.678
    features[:, unit[3]] = 12345.678 + 1e-3 * (np.arange(N) % 2)  # one step of float32
    bad = np.unique(unit[:4])
    kept = np.delete(np.arange(300), bad)
    found = match_units(features, train, test)
    np.testing.assert_array_equal(found.unit, kept[looped(features[:, kept], train, test)[0]])
    assert (found.n_units, found.n_constant, found.n_not_finite) == (len(kept), 2, 2)


def test_units_that_all_respond_the_other_way_round_still_have_a_best():
    features, train, test = data(3, 1)
    features[:] = -train[0][:, None] + 0.1 * features
    features[:, 1] = 0
    found = match_units(features, train, test)
    np.testing.assert_array_equal(found.unit, looped(features, train, test)[0])
    assert found.r_train[0] < -0.9


def test_neurons_without_an_answer_are_flagged():
    features, train, test = data()
    train[0, 3], train[1], test[2], test[3, 0] = np.nan, 0.1, 4.0, np.nan
    found = match_units(features, train, test, n_candidates=3, overlap=True)
    assert found.flags == ("not finite", "constant", *[""] * 13)
    np.testing.assert_array_equal(found.unit < 0, np.arange(15) < 2)
    np.testing.assert_array_equal(np.isnan(found.r_train), np.arange(15) < 2)
    np.testing.assert_array_equal(np.isnan(found.r_test), np.arange(15) < 4)
    np.testing.assert_array_equal(np.isnan(found.overlap), np.arange(15) < 4)
    assert (found.candidates[:2] == -1).all()
    assert np.isnan(found.candidate_r[:2]).all()
    nothing = match_units(np.zeros_like(features), train, test, n_candidates=2)
    assert nothing.flags == ("not finite", "constant", *["no unit"] * 13)
    assert (nothing.n_units, nothing.n_constant) == (0, 300)
    assert (nothing.unit == -1).all()
    assert np.isnan(nothing.r_train).all()
    assert (nothing.candidates == -1).all()


@pytest.mark.parametrize("n_candidates", [1, 5, 60, 300, 400])
def test_candidates_are_the_best_of_all(small_blocks, n_candidates):
    features, train, test = data()
    features[:, 7] = 1
    found = match_units(features, train, test, n_candidates=n_candidates)
    r = np.array([[pearsonr(a, x).statistic if np.ptp(x) else np.nan for x in features.T] for a in train])
    order = np.argsort(-r, axis=1)  # NaN last
    k = min(n_candidates, 299)
    np.testing.assert_array_equal(found.candidates[:, :k], order[:, :k])
    np.testing.assert_allclose(found.candidate_r[:, :k], np.take_along_axis(r, order, 1)[:, :k], rtol=0, atol=1e-7)
    assert found.candidates.shape == (15, n_candidates)
    assert (found.candidates[:, k:] == -1).all()
    assert np.isnan(found.candidate_r[:, k:]).all()
    np.testing.assert_array_equal(found.candidates[:, 0], found.unit)


def test_overlap_is_that_of_matched_activations_with_test_responses():
    features, train, test = data()
    found = match_units(features, train, test, overlap=True)
    matched = features[:, found.unit].T.astype(np.float64)
    standardised = [(x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True) for x in (matched, test)]
    np.testing.assert_allclose(found.overlap, density_overlap(*standardised), atol=1e-12)
    assert 0.5 < found.overlap.min() < found.overlap.max() <= 1


@pytest.mark.parametrize("batch_size", [None, 6])
def test_units_of_a_network_are_found_again(batch_size):
    """Neurons that are units of a convolution and of a linear layer, with noise, found in capture."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = torch.nn.Sequential(
            torch.nn.Conv2d(3, 6, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(600, 40)
        )
    images = torch.rand(N, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    rng = np.random.default_rng(0)
    with torch.no_grad():
        conv, out = net[0](images).flatten(1).double().numpy(), net(images).double().numpy()
    units = {"0": rng.permutation(600)[:30], "3": rng.permutation(40)[:30]}
    for name, features in (("0", conv), ("3", out)):
        true = features[:, units[name]].T
        noise = 0.05 * true.std(axis=1, keepdims=True)
        halves = [true + noise * rng.normal(size=true.shape) for _ in range(2)]
        layers = capture(net, images, batch_size=batch_size, reducer=UnitSearch(*halves))
        found = {layer.name: layer.reduced for layer in layers}
        assert (found[name].unit == units[name]).mean() > 0.9
        assert found[name].r_test.min() > 0.95
        chance = capture(net, images, batch_size=batch_size, reducer=UnitSearch(*shuffle_stimuli(*halves)))
        assert {layer.name: layer.reduced for layer in chance}[name].r_train.mean() < 0.8


def test_shuffling_keeps_halves_together():
    _, train, test = data()
    a, b = shuffle_stimuli(train, test, 3, seed=5)
    orders = permutations(N, 45, 5)
    for i, order in enumerate(orders):
        np.testing.assert_array_equal(a[i], train[i % 15, order])
        np.testing.assert_array_equal(b[i], test[i % 15, order])
    assert len(np.unique(orders, axis=0)) == 45
    assert shuffle_stimuli(train, test, 0)[0].shape == (0, N)


def test_choosing_on_one_half_takes_noise_away_and_shuffling_tells_the_rest():
    """Unreliable neurons match noise in the training half alone; reliable ones match units also when shuffled."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=(N, 4000)).astype(np.float32)
    noise = rng.normal(size=(2, 200, N))
    unreliable = match_units(features, noise[0], noise[1])
    assert unreliable.r_train.mean() > 0.6
    assert abs(unreliable.r_test.mean()) < 4 * unreliable.r_test.std() / 200**0.5
    reliable = noise[0] + 0.1 * noise
    own = match_units(features, *reliable)
    chance = match_units(features, *shuffle_stimuli(*reliable))
    assert own.r_test.mean() > 0.6  # though nothing links them: the halves share the stimuli
    assert own.r_test.mean() == pytest.approx(chance.r_test.mean(), abs=0.03)


def test_what_is_refused(unchecked):
    features, train, test = data()
    for wrong in (test[:, 1:], test[1:], test[0]):
        with pytest.raises(MurineError, match="expected the same"):
            match_units(features, train, wrong)
    with pytest.raises(MurineError, match="at least 4"):
        match_units(features[:3], train[:, :3], test[:, :3])
    with pytest.raises(MurineError, match="of 19 stimuli, responses of 20"):
        match_units(features[1:], train, test)
    with pytest.raises(MurineError, match="0 or more"):
        UnitSearch(train, test, n_candidates=-1)
    with pytest.raises(MurineError, match="at least one candidate"):
        assign_units(np.zeros((3, 0), int), np.zeros((3, 0)), 9)
    with pytest.raises(MurineError, match="as many rows"):
        density_overlap(train, test[1:])


# ----------------------------------------------------------------------------- assignment


def dense(r):
    """The best assignment by SciPy: unit of each neuron (-1 without), and the sum with -2 for those without."""
    rows, columns = linear_sum_assignment(r, maximize=True)
    unit = np.full(len(r), -1)
    unit[rows] = columns
    return unit, r[rows, columns].sum() - 2 * (len(r) - len(rows))


def top(r, k):
    order = np.argsort(-r, axis=1)[:, :k]
    return order, np.take_along_axis(r, order, 1)


def total(found):
    return np.where(found.unit >= 0, found.r, -2).sum()


@pytest.mark.parametrize("seed", range(5))
def test_planted_permutations_are_recovered(seed):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(60, 200))
    planted = rng.permutation(200)[:80]
    responses = features[:, planted].T + 0.5 * rng.normal(size=(80, 60))
    found = match_units(features, responses, responses, n_candidates=10)
    assigned = assign_units(found.candidates, found.candidate_r, found.n_units)
    np.testing.assert_array_equal(assigned.unit, planted)
    assert assigned.exact


def test_a_crowd_on_one_unit_is_led_apart():
    """All neurons like the same units: the best unit is one for all, the assignment a unit for each."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=30)
    features = common[:, None] + np.linspace(0.05, 1, 50) * rng.normal(size=(30, 50))
    responses = common + 0.3 * rng.normal(size=(40, 30))
    found = match_units(features, responses, responses, n_candidates=50)
    assert len(np.unique(found.unit)) < 20
    assigned = assign_units(found.candidates, found.candidate_r, found.n_units)
    assert len(np.unique(assigned.unit)) == 40
    r = np.corrcoef(responses, features.T)[:40, 40:]
    unit, best = dense(r)
    assert total(assigned) == pytest.approx(best, abs=1e-9)
    np.testing.assert_array_equal(assigned.unit, unit)
    assert assigned.exact


@pytest.mark.parametrize("spread", [0.05, 0.5, 5.0])
@pytest.mark.parametrize("k", [1, 2, 3, 5, 10, 25, 40])
def test_gap_bounds_what_all_units_would_add(k, spread):
    rng = np.random.default_rng(k)
    for _ in range(10):
        r = np.tanh(rng.normal(size=60) + spread * rng.normal(size=(25, 60)))
        best = dense(r)[1]
        found = assign_units(*top(r, k), 60)
        assert -1e-9 <= best - total(found) <= found.gap + 1e-9
        taken = found.unit[found.unit >= 0]
        assert len(set(taken)) == len(taken)
        np.testing.assert_array_equal(found.r[found.unit >= 0], r[found.unit >= 0, taken])
        if found.exact:
            assert total(found) == pytest.approx(best, abs=1e-7)
        if k >= 25:  # as many candidates as neurons
            assert found.exact


def test_gap_is_proof_with_few_candidates_where_neurons_differ():
    rng = np.random.default_rng(0)
    r = np.tanh(rng.normal(size=(300, 1000)))
    found = assign_units(*top(r, 30), 1000)
    assert found.exact
    assert total(found) == pytest.approx(dense(r)[1], abs=1e-9)


@pytest.mark.parametrize("n_units", [1, 7, 20])
def test_more_neurons_than_units(n_units):
    r = np.tanh(np.random.default_rng(0).normal(size=(20, n_units)))
    found = assign_units(*top(r, n_units), n_units)
    assert (found.unit >= 0).sum() == n_units
    assert total(found) == pytest.approx(dense(r)[1], abs=1e-9)
    assert found.exact


def test_neurons_without_candidates_stay_without():
    candidates = np.array([[-1, -1], [3, -1], [3, 4], [3, 4]])
    r = np.array([[np.nan, np.nan], [0.9, np.nan], [0.8, 0.1], [0.7, 0.2]])
    found = assign_units(candidates, r, 2)
    np.testing.assert_array_equal(found.unit, [-1, 3, -1, 4])
    np.testing.assert_array_equal(found.r, [np.nan, 0.9, np.nan, 0.2])
    assert not assign_units(candidates, r, 9).exact
    empty = assign_units(np.full((2, 3), -1), np.full((2, 3), np.nan), 5)
    assert (empty.unit == -1).all()


# ------------------------------------------------------------------------------- densities


def test_overlap_is_the_integral_of_the_smaller_kernel_density():
    rng = np.random.default_rng(0)
    a = np.stack([rng.normal(size=118), rng.exponential(size=118), rng.normal(size=118), rng.standard_t(3, 118)])
    b = np.stack([rng.normal(size=50), rng.normal(1, 2, 50), rng.normal(8, 1, 50), rng.exponential(size=50)])
    found = density_overlap(a, b)
    for x, y, overlap in zip(a, b, found, strict=True):
        p, q = gaussian_kde(x), gaussian_kde(y)
        low, high = min(x.min(), y.min()) - 5, max(x.max(), y.max()) + 5
        truth = quad(lambda t, p=p, q=q: min(p(t)[0], q(t)[0]), low, high, limit=1000, epsabs=1e-6)[0]
        assert overlap == pytest.approx(truth, abs=1e-3)


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0, 6.0])
def test_overlap_of_two_normal_densities(shift):
    quantiles = norm.ppf((np.arange(20_000) + 0.5) / 20_000)[None]
    width = np.sqrt(1 + 20_000**-0.4)  # the kernel widens them
    assert density_overlap(quantiles, quantiles + shift)[0] == pytest.approx(2 * norm.cdf(-shift / 2 / width), abs=1e-3)


def test_overlap_has_the_symmetries_of_its_formula():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 40)), rng.exponential(size=(5, 40))
    overlap = density_overlap(a, b)
    np.testing.assert_allclose(density_overlap(b, a), overlap, atol=1e-12)
    np.testing.assert_allclose(density_overlap(3 * a - 7, 3 * b - 7), overlap, atol=1e-6)
    np.testing.assert_allclose(density_overlap(a[:, ::-1], b), overlap, atol=1e-12)
    np.testing.assert_allclose(density_overlap(a, a), 1, atol=1e-6)


def test_overlap_that_is_not_defined_is_nan():
    x = np.random.default_rng(0).normal(size=(5, 40))
    y = x.copy()
    y[0], y[1, 2], y[2, 2] = 3, np.nan, np.inf
    y[3] *= 1e-6  # no grid resolves both
    np.testing.assert_array_equal(np.isnan(density_overlap(x, y)), [True, True, True, True, False])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_device_it_is_the_same():
    features, train, test = data(5000, 200)
    here = match_units(features, train, test, n_candidates=5)
    there = UnitSearch(train, test, n_candidates=5)(Features("", torch.from_numpy(features).cuda()))
    for name in ("unit", "r_train", "r_test", "candidates", "candidate_r"):
        np.testing.assert_allclose(getattr(here, name), getattr(there, name), atol=1e-12)
