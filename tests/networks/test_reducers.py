"""Reducers see in the hook what plain hooks would copy: all images, units in C order, whole or gathered from groups."""

from __future__ import annotations

import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import murine.networks.capture.grouping
from murine.errors import MurineError
from murine.networks.capture import OUTPUT, Features, capture

N = 9


class Lambda(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def windows(x, k=4):
    n, c, h, w = x.shape
    return x.view(n, c, k, h // k, k, w // k).permute(0, 2, 4, 3, 5, 1).reshape(n * k * k, -1, c)


OUTPUTS = {
    "vector": lambda x: x.flatten(1) * 3,
    "channels_last_view": lambda x: x.permute(0, 2, 3, 1),
    "tokens": lambda x: x.flatten(2).transpose(1, 2) - 1,
    "sequence_first": lambda x: x.flatten(2).permute(2, 0, 1) - 0.5,
    "two_tokens_first": lambda x: x.flatten(2)[:, :, :2].permute(2, 0, 1) - 0.5,
    "in_double": lambda x: x.double() * 0.1,
    "in_half": lambda x: x.half(),
    "whole": lambda x: (10 * x).long(),
    "strided": lambda x: x[:, ::2, 1::3],
    "five_axes": lambda x: x.unflatten(1, (2, 2)) * 4,
    "number": lambda x: x.mean(dim=(1, 2, 3)),
    "windows": windows,
}


class Aside(nn.Module):
    """A convolution (channels last in memory), an activation in place, and functions of what comes out."""

    def __init__(self, **branches):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.names = list(branches)
        for name, branch in branches.items():
            self.add_module(name, branch if isinstance(branch, nn.Module) else Lambda(branch))

    def forward(self, x):
        x = self.relu(self.conv(x))
        for name in self.names:
            getattr(self, name)(x)
        return x.mean(dim=(2, 3))


def images(n=N):
    return torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def expected():
    with torch.no_grad():
        conv = Aside().conv(images())
        x = conv.clamp(min=0)
        values = {"conv": conv, "relu": x, **{name: f(x) for name, f in OUTPUTS.items()}, OUTPUT: x.mean(dim=(2, 3))}
    values["sequence_first"] = values["sequence_first"].transpose(0, 1)
    values["two_tokens_first"] = values["two_tokens_first"].transpose(0, 1)
    values["windows"] = values["windows"].unflatten(0, (N, 16))
    return {name: value.double().numpy() for name, value in values.items()}


def copied(features: Features):
    whole = features.tensor.double().numpy().copy()
    parts = [(start, part.double().numpy().copy()) for start, part in features.blocks(100)]
    wanted = np.arange(features.n_units)[::-3]
    return features.name, features.shape, features.image_size, whole, parts, (wanted, features.units(wanted))


@pytest.mark.parametrize("batch_size", [None, 2, 3, 4, 5, 7, 8])
def test_all_images_and_units_in_c_order(batch_size):
    layers = {layer.name: layer for layer in capture(Aside(**OUTPUTS), images(), batch_size=batch_size, reducer=copied)}
    truth = expected()
    assert set(layers) == set(truth)
    for name, layer in layers.items():
        assert layer.same_as in ("", "relu")
        name_seen, shape, size, whole, parts, (wanted, chosen) = layer.reduced
        if not layer.same_as:
            assert (name_seen, shape) == (name, layer.shape)
            digits = 1e-3 if name == "in_half" else 1e-6  # where a number is rounded to half depends on its last digit
            np.testing.assert_allclose(whole, truth[name], rtol=0, atol=digits * np.abs(truth[name]).max())
        assert size == (16, 16)
        flat = whole.reshape(N, -1)
        assert [start for start, _ in parts] == list(np.cumsum([0] + [p.shape[1] for _, p in parts])[:-1])
        assert all(p.shape[1] <= 100 for _, p in parts)
        np.testing.assert_array_equal(np.concatenate([p for _, p in parts], axis=1), flat)
        np.testing.assert_array_equal(chosen, flat[:, wanted])
        assert chosen.dtype == np.float64


@pytest.mark.parametrize("batch_size", [None, 4])
def test_kernels_and_flags_are_those_without_a_reducer(batch_size):
    without = capture(Aside(**OUTPUTS), images(), batch_size=batch_size)
    beside = capture(Aside(**OUTPUTS), images(), batch_size=batch_size, reducer=lambda f: f.n_units)
    assert all(layer == replace(layer, reduced=1) for layer in without)  # it takes no part in comparisons
    assert [layer.reduced for layer in without] == [None] * len(without)
    for a, b in zip(without, beside, strict=True):
        assert (a.name, a.shape, a.flag, a.same_as, a.kernel.digest) == (
            b.name,
            b.shape,
            b.flag,
            b.same_as,
            b.kernel.digest,
        )
        assert b.reduced == b.n_units


def test_outputs_that_are_no_features_are_not_reduced():
    net = Aside(table=lambda x: torch.ones(3, 5), spectrum=torch.fft.fft2, classes=lambda x: x.flatten(1).argmax(dim=1))
    for batch_size in (None, 4):
        layers = {x.name: x for x in capture(net, images(), batch_size=batch_size, reducer=lambda f: f.shape)}
        assert layers["table"].reduced is layers["spectrum"].reduced is None
        assert (layers["classes"].reduced, layers["conv"].reduced) == ((), (4, 16, 16))


def test_the_same_tensor_is_reduced_once():
    seen = []
    net = Aside(identity=nn.Identity(), dropout=nn.Dropout(0.5))
    for batch_size in (None, 4):
        layers = capture(net, images(), batch_size=batch_size, reducer=lambda f: seen.append(f.name) or len(seen))
        assert seen == ["conv", "relu", OUTPUT]
        assert [layer.reduced for layer in layers] == [1, 2, 2, 2, 3]
        seen.clear()


def test_layers_are_gathered_as_far_as_memory_goes(monkeypatch):
    # A layer of 9 images takes 37 kB (4 x 16 x 16 floats): a quarter of 200 kB holds one of them.
    monkeypatch.setattr(murine.networks.capture.grouping, "available_memory", lambda: 200_000)
    passes = []
    alive = []
    most = [0]

    def reducer(features):
        alive.append(weakref.ref(features.tensor))
        most[0] = max(most[0], sum(ref() is not None for ref in alive))
        return features.tensor.double().numpy().copy()

    names = [f"layer{i}" for i in range(5)]
    net = Aside(
        **{name: lambda x, i=i: x + i for i, name in enumerate(names, 1)}, watch=lambda x: passes.append(len(x))
    )
    layers = {x.name: x for x in capture(net, images(), batch_size=4, reducer=reducer)}
    with torch.no_grad():
        x = net.conv(images()).clamp(min=0).double().numpy()
    for i, name in enumerate(names, 1):
        np.testing.assert_allclose(layers[name].reduced, x + i, atol=1e-6)
    assert most[0] == 1
    kernels, gathering = 10, 3 * 7  # 5 groups: 10 pairs, 3 of them show every image; the last two layers are small
    assert len(passes) == 2 + kernels + gathering


def test_a_layer_that_memory_cannot_hold_is_refused(monkeypatch):
    monkeypatch.setattr(murine.networks.capture.grouping, "available_memory", lambda: 50_000)
    with pytest.raises(MurineError, match=r"features of 'conv': 9 images take .*--layers.*--input-size"):
        capture(Aside(), images(), batch_size=4, reducer=lambda f: 0)


@pytest.mark.parametrize("batch_size", [None, 4])
def test_what_a_reducer_raises_is_passed_on(batch_size):
    def broken(features):
        raise ZeroDivisionError("of the reducer")

    net = Aside()
    with pytest.raises(ZeroDivisionError, match="of the reducer"):
        capture(net, images(), batch_size=batch_size, reducer=broken)
    assert not any(child._forward_hooks for child in net.modules())


def test_features_do_not_pile_up():
    alive = []
    most = [0]

    def reducer(features):
        alive.append(weakref.ref(features.tensor))
        most[0] = max(most[0], sum(ref() is not None for ref in alive))
        return float(features.tensor.sum())

    net = nn.Sequential(*(Lambda(lambda x: x * 1.01) for _ in range(12)))
    layers = capture(net, images(), reducer=reducer)
    assert len(layers) == 13
    assert most[0] <= 2
