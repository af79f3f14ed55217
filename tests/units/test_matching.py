"""Matching against plain loops, dense assignment and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr

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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_device_it_is_the_same():
    features, train, test = data(5000, 200)
    here = match_units(features, train, test, n_candidates=5)
    there = UnitSearch(train, test, n_candidates=5)(Features("", torch.from_numpy(features).cuda()))
    for name in ("unit", "r_train", "r_test", "candidates", "candidate_r"):
        np.testing.assert_allclose(getattr(here, name), getattr(there, name), atol=1e-12)
