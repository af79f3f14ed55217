"""Candidates: layers and windows of maps against their definition, in one forward pass."""

from __future__ import annotations

from dataclasses import replace

import many_mice
import numpy as np
import pytest
import torch
from torch import nn

from murine.errors import MurineError
from murine.masquerade import candidates as module
from murine.masquerade.animals import load_animals
from murine.masquerade.candidates import AnimalReducer, candidates_of
from murine.networks.capture import Features
from murine.networks.capture.windows import map_windows
from murine.networks.in_memory import network_from_module
from murine.similarity.population_kernels import noiseless_kernel, unbiased_cka_matrix
from murine.stimuli import matched


@pytest.fixture(scope="module")
def animals():
    return load_animals(many_mice.dataset().responses)


@pytest.fixture(scope="module")
def images(animals):
    return matched(many_mice.dataset().stimuli, animals.stimulus_ids)


def network(module):
    return network_from_module(module, name="toy", mean=0.5, std=0.25, input_size=64)


def test_similarities_are_those_of_the_features(animals):
    features = torch.rand(100, 5, 7, 6, generator=torch.Generator().manual_seed(0))
    found = AnimalReducer(animals)(Features("layer", features, (64, 56)))
    windows = {w.name: w for w in map_windows(7, 6)}
    assert [name for name, *_ in found] == ["", *(n for n, w in windows.items() if 5 * w.n_places >= 30)]
    for name, n_units, similarities, _ in found:
        part = features if not name else features[:, :, slice(*windows[name].rows), slice(*windows[name].columns)]
        patterns = part.reshape(100, -1).numpy().T
        assert n_units == len(patterns)
        for i, stimuli in enumerate((slice(None), slice(50), slice(50, None))):
            expected = unbiased_cka_matrix([noiseless_kernel(patterns[:, stimuli])], animals.kernels[i])[0]
            np.testing.assert_allclose(similarities[i], expected, rtol=1e-6)


def test_shuffled_stimuli_are_those_of_shuffled_features(animals):
    features = torch.rand(100, 40, generator=torch.Generator().manual_seed(0))
    reducer = AnimalReducer(animals, "none", seed=4)
    ((_, _, plain, shuffled),) = reducer(Features("layer", features))
    order = np.random.default_rng([4, *b"shuffled"]).permutation(100)
    ((_, _, expected, _),) = reducer(Features("layer", features[torch.as_tensor(order)]))
    np.testing.assert_allclose(shuffled, expected[0], rtol=1e-6)
    assert not np.allclose(shuffled, plain[0])


def test_large_layers_are_sampled_alike_in_networks_with_the_same_layers(animals, monkeypatch):
    monkeypatch.setattr(module, "MOST_UNITS", 60)
    features = torch.rand(100, 500, generator=torch.Generator().manual_seed(0))
    reducer = AnimalReducer(animals, "none")
    ((_, n_units, one, _),) = reducer(Features("layer", features))
    ((_, _, again, _),) = reducer(Features("layer", features))
    ((_, _, other, _),) = reducer(Features("another", features))
    assert n_units == 60
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other)


def test_dead_and_copied_units_do_not_count(animals):
    features = torch.rand(100, 50, generator=torch.Generator().manual_seed(0))
    crowded = torch.cat([features, torch.zeros(100, 30), 2 * features + 1], dim=1)
    reducer = AnimalReducer(animals, "none")
    ((_, n_units, similarities, _),) = reducer(Features("layer", crowded))
    ((_, _, expected, _),) = reducer(Features("layer", features))
    assert n_units == 50
    np.testing.assert_allclose(similarities, expected, rtol=1e-5)


def test_layers_and_windows_of_a_network(animals, images):
    found = candidates_of(network(many_mice.toy_network()), images, animals)
    assert set(found.layers) == {"0", "1", "2", "3", "4"}  # the last layer has ten units: too few
    assert found.windows[0] == ""
    assert len(found.only("none").layers) == 5
    alone = candidates_of(network(many_mice.toy_network()), images, animals, windows="none")
    np.testing.assert_allclose(found.only("none").similarities, alone.similarities)


def test_images_in_groups_give_the_same(animals, images):
    whole = candidates_of(network(many_mice.toy_network()), images, animals)
    parts = candidates_of(network(many_mice.toy_network()), images, animals, batch_size=30)
    assert (parts.layers, parts.windows) == (whole.layers, whole.windows)
    np.testing.assert_allclose(parts.similarities, whole.similarities, rtol=1e-3, atol=1e-4)


def test_layers_that_cannot_be_compared_are_refused_in_a_sentence(animals, images):
    point = network(nn.Sequential(nn.Conv2d(3, 40, 64), nn.Flatten(), nn.Linear(40, 4)))
    assert candidates_of(point, images, animals).windows == ("",)  # one pixel has no windows
    with pytest.raises(MurineError, match="A layer of one pixel"):
        candidates_of(point, images, animals, layers="2")
    with pytest.raises(MurineError, match="images are not those"):
        candidates_of(point, replace(images, ids=tuple(reversed(images.ids))), animals)
