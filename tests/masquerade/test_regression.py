"""Regression in both directions: against scikit-learn, closed cases, and noise that must not count."""

from __future__ import annotations

import many_mice
import numpy as np
import pytest
from sklearn.linear_model import RidgeCV

import murine
from murine.io.array_cache import ArrayCache
from murine.masquerade.animals import load_animals
from murine.masquerade.description import describe_regression
from murine.masquerade.regression import _PENALTIES, _fit, animal_halves, between_animals, predictability
from murine.masquerade.run import AnimalData

RNG = np.random.default_rng(0)


def test_one_fold_is_ridge_regression_with_leave_one_out_penalties():
    source, target = RNG.normal(size=(12, 40)), RNG.normal(size=(5, 12)) @ RNG.normal(size=(12, 40))
    target += RNG.normal(size=target.shape)
    train, test = np.arange(30), np.arange(30, 40)
    gram = source.T @ source
    centred = source[:, train] - source[:, train].mean(axis=1, keepdims=True)
    scale = np.linalg.eigvalsh(centred.T @ centred).clip(0).mean()
    expected = []
    for unit in target:
        ridge = RidgeCV(alphas=_PENALTIES * scale).fit(source[:, train].T, unit[train])
        expected.append(ridge.predict(source[:, test].T) - unit[train].mean())
    np.testing.assert_allclose(_fit(gram, target[:, train], train, test), expected, rtol=1e-6, atol=1e-8)


def test_what_a_source_knows_is_predicted_and_what_it_does_not_is_not():
    latents = RNG.normal(size=(4, 120))
    source, target, other = (RNG.normal(size=(40, 4)) @ x for x in (latents, latents, RNG.normal(size=(4, 120))))
    assert predictability((source, source), (target, target)) > 0.98
    assert abs(predictability((source, source), (other, other))) < 0.3


def test_noise_of_trials_hardly_lowers_it():
    """Half of the variance of each half is noise: what is left is that the map is fitted to noise."""
    latents = RNG.normal(size=(3, 200))
    source, target = (RNG.normal(size=(40, 3)) @ latents for _ in range(2))
    noisy = tuple(target + target.std() * RNG.normal(size=target.shape) for _ in range(2))
    assert 0.8 < predictability((source, source), noisy) < 1.05
    plain = np.corrcoef(noisy[0], noisy[1])[:40, 40:].diagonal()
    assert np.median(plain) < 0.6


def test_scale_and_offset_of_units_do_not_count():
    latents = RNG.normal(size=(4, 60))
    source, target = RNG.normal(size=(20, 4)) @ latents, RNG.normal(size=(9, 4)) @ latents
    source, target = (x + RNG.normal(size=x.shape) for x in (source, target))
    changed = source * RNG.uniform(0.1, 9, (20, 1)) + 3
    expected = predictability((source, source), (target, target))
    assert predictability((changed, changed), (target * 4 - 1, target * 4 - 1)) == pytest.approx(expected)


def test_the_description_has_both_directions_beside_the_mice():
    data = AnimalData.of(many_mice.dataset())
    network = murine.load_network(many_mice.toy_network(), name="toy", mean=0.5, std=0.25, input_size=64)
    result = murine.is_it_a_mouse(network, data, areas="SIMl")
    table = describe_regression(network, data, result)
    assert table.area.tolist() == ["SIMl"]
    row = table.iloc[0]
    assert row.network_to_mice < row.mice_to_mice
    assert np.isfinite(table[["mice_sd", "network_matched", "mice_to_network"]]).all(axis=None)
    assert (row.layer, row.window) == tuple(
        result.verdicts[result.verdicts.area == "SIMl"].iloc[-1][["layer", "window"]]
    )


def test_numbers_between_mice_are_kept_and_leave_out_one_animal(tmp_path):
    recording = many_mice.relabelled(8).responses
    animals = load_animals(recording)
    halves = [tuple(half[:12] for half in pair) for pair in animal_halves(recording, animals)]
    found = between_animals(halves, animals, kept=ArrayCache(tmp_path))
    assert np.isnan(found[animals.same_animal]).all()
    same_area = np.array(animals.areas)[:, None] == np.array(animals.areas)
    assert np.isfinite(found[same_area & ~animals.same_animal]).all()
    assert len(list(tmp_path.iterdir())) == 1
