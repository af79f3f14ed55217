"""Maps against plain loops, closed forms and planted neurons."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import murine.units.maps
from murine.cortex.response_maps import response_weighted, stimulus_maps
from murine.errors import MurineError
from murine.networks.capture import Features, capture, channel_maps
from murine.stimuli import StimulusSet
from murine.units.maps import (
    NORMALISATIONS,
    UNIT_MAPS,
    MapSearch,
    nearest_units,
    normalise_maps,
    pairwise_rmse,
    rmse_scale,
)

N = 12


def scenes(height=40, width=52, colour=False, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (N, height, width, *([3] if colour else [])), dtype=np.uint8)
    return StimulusSet(images, tuple(f"{i:02d}" for i in range(N)))


def maps_of(n, n_cells=121, seed=0):
    return np.random.default_rng(seed).random((n, n_cells))


# --------------------------------------------------------------------------- maps of neurons


@pytest.mark.parametrize("side", [11, 14, 28])
def test_stimuli_are_resized_as_pillow_does(side):
    stimuli = scenes()
    found = stimulus_maps(stimuli, side)
    assert found.shape == (N, side**2)
    for image, flat in zip(stimuli.images, found, strict=True):
        expected = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR))
        np.testing.assert_allclose(flat.reshape(side, side), expected / 255, rtol=0, atol=1 / 255)


def test_stimuli_of_one_size_stay_and_colours_are_averaged():
    grey = scenes(11, 11)
    np.testing.assert_allclose(stimulus_maps(grey), grey.images.reshape(N, -1) / 255, atol=1e-12)
    colour = scenes(11, 11, colour=True)
    np.testing.assert_allclose(stimulus_maps(colour), colour.images.mean(axis=3).reshape(N, -1) / 255, atol=1e-12)


def test_neurons_sum_stimuli_by_their_responses():
    responses, stimuli = np.random.default_rng(0).gamma(1, size=(5, N)), stimulus_maps(scenes())
    found = response_weighted(responses, stimuli)
    centred = response_weighted(responses, stimuli, centred=True)
    for i, response in enumerate(responses):
        plain = sum(t * image for t, image in zip(response, stimuli, strict=True))
        np.testing.assert_allclose(found[i], plain, atol=1e-12)
        np.testing.assert_allclose(centred[i], plain - N * response.mean() * stimuli.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(response_weighted(np.eye(N), stimuli), stimuli, atol=1e-15)
    constant = np.full((1, N), 0.1) + np.arange(N) * 1e-17
    assert (response_weighted(constant, stimuli, centred=True) == 0).all(), "no map, not one of rounding"
    responses[2, 3] = np.nan
    np.testing.assert_array_equal(np.isnan(response_weighted(responses, stimuli)).all(axis=1), np.arange(5) == 2)
    np.testing.assert_array_equal(np.isnan(response_weighted(responses, stimuli)).any(axis=1), np.arange(5) == 2)


# ------------------------------------------------------------------------------- comparisons


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e150])
def test_normalisation_by_its_formulas(scale):
    maps = scale * (maps_of(6) - 0.3)
    found = normalise_maps(maps, "l2")
    np.testing.assert_allclose((found**2).sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(found / found[:, :1], maps / maps[:, :1], rtol=1e-9)
    for a, b in zip(normalise_maps(maps, "min-max"), maps, strict=True):
        np.testing.assert_allclose(a, (b - b.min()) / (b.max() - b.min()), atol=1e-12)
    np.testing.assert_array_equal(normalise_maps(maps, "none"), maps)


def test_maps_that_cannot_be_normalised_are_nan():
    maps = maps_of(5)
    maps[0], maps[1], maps[2, 3], maps[3, 0] = 0, 0.7, np.nan, np.inf
    lost = {how: np.isnan(normalise_maps(maps, how)).all(axis=1).tolist() for how in NORMALISATIONS}
    assert lost == {
        "l2": [True, False, True, True, False],
        "min-max": [True, True, True, True, False],
        "none": [False, False, True, True, False],
    }


@pytest.mark.parametrize("how", NORMALISATIONS)
def test_rmse_is_that_of_plain_loops(how):
    a, b = normalise_maps(maps_of(7), how), normalise_maps(maps_of(9, seed=1), how)
    plain = [[np.sqrt(np.mean((x - y) ** 2)) for y in b] for x in a]
    np.testing.assert_allclose(pairwise_rmse(a, b), plain, rtol=0, atol=1e-12)
    np.testing.assert_allclose(pairwise_rmse(b, a), pairwise_rmse(a, b).T, atol=1e-15)


def test_rmse_of_unit_maps_is_the_cosine_in_closed_form():
    a, b = maps_of(7) - 0.4, maps_of(9, seed=1)
    cosine = (a @ b.T) / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(
        pairwise_rmse(normalise_maps(a), normalise_maps(b)), np.sqrt(2 * (1 - cosine) / 121), atol=1e-12
    )
    apart = normalise_maps(np.eye(121)[:3])
    np.testing.assert_allclose(pairwise_rmse(apart, apart), np.sqrt(2 / 121) * (1 - np.eye(3)), atol=1e-12)
    np.testing.assert_allclose(pairwise_rmse(normalise_maps(a), normalise_maps(-a)).diagonal(), 2 / 11, atol=1e-12)
    assert (pairwise_rmse(normalise_maps(a), normalise_maps(5 * a)).diagonal() < 1e-8).all()


def test_rmse_of_sizes_is_comparable():
    """The same two pictures in finer and finer cells: plain RMSE falls as 1 / side, the one that is shown does not."""
    a, b = (np.random.default_rng(seed).random((1, 5, 5)) - 0.4 for seed in (0, 1))
    plain, shown = [], []
    for times in (1, 2, 6):
        fine = [np.kron(x, np.ones((1, times, times))).reshape(1, -1) for x in (a, b)]
        plain.append(pairwise_rmse(*map(normalise_maps, fine)).item())
        shown.append(plain[-1] * rmse_scale(5 * times, "l2"))
    assert plain[0] == pytest.approx(6 * plain[2])
    np.testing.assert_allclose(shown, shown[0])
    cosine = float((normalise_maps(a.reshape(1, -1)) @ normalise_maps(b.reshape(1, -1)).T).item())
    assert shown[0] == pytest.approx(np.sqrt(2 * (1 - cosine)) / 11)
    assert rmse_scale(14, "min-max") == 1


@pytest.mark.parametrize("block", [2, 1024])
def test_nearest_units_are_those_of_plain_loops(block, monkeypatch):
    monkeypatch.setattr(murine.units.maps, "BLOCK", block)
    neurons, units = maps_of(7), maps_of(20, seed=1)
    neurons[2, 5], units[4, 3], units[11] = np.nan, np.nan, np.inf
    units[17] = units[3] = neurons[5]
    found = nearest_units(neurons, units)
    assert (found.n_units, found.flag) == (18, "")
    for i, neuron in enumerate(neurons):
        plain = np.array([np.sqrt(np.mean((neuron - u) ** 2)) if np.isfinite(u).all() else np.nan for u in units])
        if i == 2:
            assert found.unit[i] == -1
            assert np.isnan([found.best[i], found.mean[i]]).all()
        else:
            assert found.unit[i] == np.nanargmin(plain)
            assert found.best[i] == pytest.approx(np.nanmin(plain), abs=1e-15)
            assert found.mean[i] == pytest.approx(np.nanmean(plain), abs=1e-8)
    assert (found.unit[5], found.best[5]) == (3, 0)
    nothing = nearest_units(neurons, np.full((3, 121), np.nan))
    assert (nothing.n_units, nothing.flag, set(nothing.unit)) == (0, "no unit", {-1})


# ----------------------------------------------------------------------------- maps of units


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((5, 8, 8), (64, 64), "c h w"),
        ((8, 8, 5), (64, 64), "h w c"),
        ((8, 8, 8), (64, 64), "c h w"),
        ((5, 6, 8), (48, 64), "c h w"),
        ((6, 8, 5), (48, 64), "h w c"),
        ((7, 1, 1), (64, 64), "c h w"),
        ((1, 1, 7), (64, 64), "h w c"),
        ((5, 8, 8), (), "c h w"),
        ((16, 5), (64, 64), "(h w) c"),
        ((17, 5), (64, 64), "1 (h w) c"),
        ((18, 5), (64, 64), "2 (h w) c"),
        ((21, 5), (64, 64), "5 (h w) c"),
        ((12, 5), (64, 64), "h c"),
        ((9,), (64, 64), "c"),
        ((3, 16, 5), (64, 64), None),
        ((), (64, 64), None),
        ((2, 3, 4, 5), (64, 64), None),
    ],
)
def test_which_axes_are_places(shape, size, expected):
    tensor = torch.rand(4, *shape)
    found = channel_maps(Features("", tensor, size))
    if expected is None:
        assert found is None
        return
    plain = {
        "c h w": lambda x: x,
        "h w c": lambda x: x.permute(0, 3, 1, 2),
        "(h w) c": lambda x: x.reshape(4, 4, 4, -1).permute(0, 3, 1, 2),
        "1 (h w) c": lambda x: x[:, 1:].reshape(4, 4, 4, -1).permute(0, 3, 1, 2),
        "2 (h w) c": lambda x: x[:, 2:].reshape(4, 4, 4, -1).permute(0, 3, 1, 2),
        "5 (h w) c": lambda x: x[:, 5:].reshape(4, 4, 4, -1).permute(0, 3, 1, 2),
        "h c": lambda x: x.permute(0, 2, 1)[..., None],
        "c": lambda x: x[..., None, None],
    }[expected](tensor)
    assert torch.equal(found, plain)


def layer(n_channels=6, size=9, seed=0):
    return torch.rand(N, n_channels, size, size, generator=torch.Generator().manual_seed(seed))


def test_activation_maps_are_means_over_stimuli_resized():
    responses, stimuli = np.random.default_rng(0).random((5, N)), scenes()
    found = MapSearch(responses, stimuli, sides=(9, 11), normalisation="l2")(Features("", layer(), (40, 40)))
    mean = layer().double().mean(dim=0).numpy()
    for side in (9, 11):
        resized = [Image.fromarray(m.astype(np.float32)).resize((side, side), Image.Resampling.BILINEAR) for m in mean]
        units = normalise_maps(np.stack([np.asarray(m, dtype=np.float64).ravel() for m in resized]))
        neurons = response_weighted(responses, stimulus_maps(stimuli, side), centred=True)
        expected = nearest_units(normalise_maps(neurons), units)
        np.testing.assert_array_equal(found[side].unit, expected.unit)
        np.testing.assert_allclose(found[side].best, expected.best, atol=1e-6)
        np.testing.assert_allclose(found[side].mean, expected.mean, atol=1e-6)


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("unit_maps", UNIT_MAPS)
def test_planted_neurons_find_their_channels(unit_maps, centred):
    """Neurons that respond as channels do on the average over places have the weighted maps of these."""
    features = layer(20)
    features *= torch.rand(N, 20, 1, 1, generator=torch.Generator().manual_seed(3))
    planted = np.random.default_rng(0).permutation(20)
    tuning = features.double().mean(dim=(2, 3)).numpy().T[planted]
    compare = MapSearch(7 * tuning, scenes(), sides=(14,), unit_maps=unit_maps, centred=centred)
    found = compare(Features("", features, (40, 40)))[14]
    if unit_maps == "weighted":
        np.testing.assert_array_equal(found.unit, planted)
        assert found.best.max() < 1e-6
    else:  # what is seen where a channel is active is another thing
        assert (found.unit == planted).mean() < 0.5
        assert found.best.min() > 1e-3


def test_a_channel_that_is_the_picture_of_a_neuron_is_found():
    responses, stimuli = np.random.default_rng(0).random((8, N)) ** 6, scenes(11, 11)
    pictures = response_weighted(responses, stimulus_maps(stimuli)).reshape(8, 11, 11)
    order = np.random.default_rng(1).permutation(8)
    features = torch.from_numpy(pictures[order])[None] * torch.rand(N, 1, 1, 1)
    found = MapSearch(responses, stimuli, centred=False)(Features("", features, (11, 11)))[11]
    np.testing.assert_array_equal(order[found.unit], np.arange(8))
    assert found.best.max() < 1e-7


@pytest.mark.parametrize(
    ("shape", "flags"),
    [
        ((6,), {"activation": "no map", "weighted": ""}),
        ((6, 1, 1), {"activation": "no map", "weighted": ""}),
        ((12, 6), {"activation": "no map", "weighted": ""}),
        ((3, 16, 5), {"activation": "no channels", "weighted": "no channels"}),
        ((), {"activation": "no channels", "weighted": "no channels"}),
        ((17, 6), {"activation": "", "weighted": ""}),
    ],
)
def test_layers_without_maps_are_flagged(shape, flags):
    responses = np.random.default_rng(0).random((3, N))
    for unit_maps, flag in flags.items():
        found = MapSearch(responses, scenes(), unit_maps=unit_maps)(Features("", torch.rand(N, *shape), (40, 40)))[11]
        assert found.flag == flag
        assert ((found.unit < 0) == bool(flag)).all()
        assert (np.isnan(found.best) == bool(flag)).all()


def test_silent_and_broken_channels_and_neurons_take_no_part():
    features = layer()
    features[:, 1] = 0
    features[3, 2, 4, 4] = float("nan")
    responses = np.random.default_rng(0).random((4, N))
    responses[0, 0], responses[1] = np.nan, 0
    found = MapSearch(responses, scenes())(Features("", features, (40, 40)))[11]
    assert found.n_units == 4
    np.testing.assert_array_equal(found.unit < 0, [True, True, False, False])
    assert not set(found.unit) & {1, 2}


@pytest.mark.parametrize("batch_size", [None, 5])
def test_in_capture(batch_size):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(4))
    images = torch.rand(N, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    net(images)
    compare = MapSearch(np.random.default_rng(0).random((5, N)), scenes())
    found = {x.name: x.reduced[11] for x in capture(net, images, batch_size=batch_size, reducer=compare)}
    with torch.no_grad():
        expected = compare(Features("", net[0](images), (16, 16)))[11]
    np.testing.assert_array_equal(found["0"].unit, expected.unit)
    np.testing.assert_allclose(found["0"].best, expected.best, atol=1e-6)
    assert {name: nearest.flag for name, nearest in found.items()} == {
        "0": "",
        "1": "",
        "2": "no map",
        "3": "no map",
        "(output)": "no map",
    }


def test_what_is_refused(unchecked):
    responses = np.random.default_rng(0).random((3, N))
    for options, said in (
        ({"unit_maps": "kernel"}, "activation, weighted"),
        ({"normalisation": "l1"}, "l2, min-max, which"),
        ({"normalisation": "none"}, "pixels times responses would be compared with activations"),
        ({"sides": ()}, "at least one side"),
        ({"sides": (1,)}, "at least 2"),
    ):
        with pytest.raises(MurineError, match=said):
            MapSearch(responses, scenes(), **options)
    with pytest.raises(MurineError, match="the same stimuli"):
        MapSearch(responses[:, 1:], scenes())
