"""What does not follow the images is right or flagged, whatever the batch size; what does is never flagged."""

from __future__ import annotations

import random

import numpy as np
import pytest
import timm
import torch
from torch import nn
from torch.nn import functional

from murine.errors import MurineError
from murine.networks.capture import OUTPUT, capture
from murine.networks.capture.probing import distinct
from murine.networks.layer_kernel import LayerKernel

N = 9
DEPENDS = "depends on the other images of the batch"
CHANGES = "changes from pass to pass"


def images(n=N, size=16):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """A convolution, further modules, and a function that calls them."""

    def __init__(self, function, **modules):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv = nn.Conv2d(3, 4, 3, 2, 1)
        self.function = function
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x):
        return self.function(self, x)


def convolved(x):
    with torch.no_grad():
        return Net(None).conv(x)


def captured(net, x=None, **options):
    return {layer.name: layer for layer in capture(net, images() if x is None else x, **options)}


def assert_same(layer, features):
    truth = LayerKernel.of(features.double().flatten(1).numpy())
    power = np.abs(truth.gram).max()
    assert layer.n_units == truth.n_units
    np.testing.assert_allclose(layer.kernel.gram, truth.gram, rtol=0, atol=1e-5 * power)


# ------------------------------------------------------------------------------- inputs changed in place

IN_PLACE = {
    "relu": (lambda s, x: s.conv(x.sub_(0.5).relu_()), lambda x: (x - 0.5).relu()),
    "normalise": (lambda s, x: s.conv(x.sub_(0.3).div_(2)), lambda x: (x - 0.3) / 2),
    "through_data": (lambda s, x: (x.data.mul_(-1), s.conv(x))[1], lambda x: -x),
    "one_pixel": (
        lambda s, x: (x[:, :, 0, 0].fill_(7), s.conv(x))[1],
        lambda x: _marked(x),
    ),
}


def _marked(x):
    x = x.clone()
    x[:, :, 0, 0] = 7
    return x


@pytest.mark.parametrize("batch_size", [None, 2, 3, 5, 8])
@pytest.mark.parametrize("kind", IN_PLACE)
def test_a_network_may_change_its_input(kind, batch_size):
    function, apart = IN_PLACE[kind]
    x = images()
    layers = captured(Net(function), x, batch_size=batch_size)
    assert torch.equal(x, images())
    assert_same(layers["conv"], convolved(apart(images())))
    assert layers["conv"].flag == ""


@pytest.mark.parametrize("change", [torch.relu_, lambda y: y.data.mul_(0.5), lambda y: y.__iadd__(1)])
def test_an_output_changed_before_the_next_module_is_another_layer(change):
    def forward(self, x):
        y = self.conv(x)
        change(y)
        return self.after(y)

    layers = captured(Net(forward, after=nn.Identity()))
    expected = convolved(images())
    assert_same(layers["conv"], expected)
    change(expected)
    assert_same(layers["after"], expected)
    assert layers["after"].same_as == ""


# ------------------------------------------------------------------------------------------ order of rows

VIEWS = (lambda x: x, lambda x: 2 * x, lambda x: x**2)

#: How copies of the images are put behind each other, and the features of an image then.
ORDERS = {
    "time_major": (lambda y: torch.stack(y).flatten(0, 1), lambda y: torch.stack(y, 1)),
    "image_major": (lambda y: torch.stack(y, 1).flatten(0, 1), lambda y: torch.stack(y, 1)),
    "concatenated": (torch.cat, lambda y: torch.stack(y, 1)),
    "both": (
        lambda y: torch.stack([torch.stack(y, 1), torch.stack(y[::-1], 1)]).flatten(0, 2),
        lambda y: torch.stack([torch.stack(y, 1), torch.stack(y[::-1], 1)], 1),
    ),
    "time_first": (lambda y: torch.stack(y), lambda y: torch.stack(y, 1)),
}


@pytest.mark.parametrize("batch_size", [None, 2, 4])
@pytest.mark.parametrize("kind", ORDERS)
def test_rows_are_given_to_their_images(kind, batch_size):
    fold, features = ORDERS[kind]
    net = Net(lambda s, x: s.out(fold([s.conv(view(x)) for view in VIEWS])).mean(), out=nn.Identity())
    layer = captured(net, batch_size=batch_size)["out"]
    expected = features([convolved(view(images())) for view in VIEWS])
    assert (layer.flag, layer.shape) == ("", tuple(expected.shape[1:]))
    assert_same(layer, expected)


def test_a_reducer_sees_regrouped_rows():
    net = Net(lambda s, x: s.conv(torch.cat([x, x**2])).mean())
    for batch_size in (None, 4):
        layers = captured(net, batch_size=batch_size, reducer=lambda f: f.tensor.clone().numpy())
        expected = torch.stack([convolved(images()), convolved(images() ** 2)], 1)
        np.testing.assert_allclose(layers["conv"].reduced, expected.numpy(), atol=1e-6)


def test_an_order_that_cannot_be_known_is_flagged():
    """The images that are shown first have the same features; one other has not."""
    x = images()
    other = x[next(i for i in range(N) if i not in distinct(x, 3)), 0, 0, 0]

    def forward(self, x):
        shown = torch.linspace(0, 1, 16) + x * (x[:, :1, :1, :1] == other)
        return self.out(torch.cat([shown, shown])).mean()

    layers = captured(Net(forward, out=nn.Identity()), x)
    assert (layers["out"].flag, layers["out"].kernel) == ("order of rows is not known", None)


def test_rows_in_another_order_are_flagged(caplog):
    for function in (lambda y: y.flip(0), lambda y: y.roll(1, 0), lambda y: y.roll(-1, 0)):
        layers = captured(Net(lambda s, x, f=function: f(s.conv(x))))
        assert (layers["conv"].flag, layers[OUTPUT].flag) == ("", "rows are not in the order of the images")
        assert layers[OUTPUT].kernel is None
    assert "rows that are not in the order of the images: (output)" in caplog.text


def test_probe_images_differ():
    x = torch.zeros(30, 3, 8, 8)
    x[17], x[29, :, 0, 0] = 1.0, 0.5
    assert distinct(x, 3) == [0, 17, 29]
    assert distinct(x[:2], 3) == [0, 1, 1]
    assert distinct(x[:1], 3) == [0, 0, 0]


# -------------------------------------------------------------------------- features that do not follow images

_GENERATOR = torch.Generator()
PAST: list[int] = []

NO_FUNCTION = {
    "batch statistics": (DEPENDS, lambda s, x: s.after(s.norm(s.conv(x)))),
    "the mean of the batch": (DEPENDS, lambda s, x: s.after(s.conv(x) - 0.05 * s.conv(x).mean(0))),
    "the image before": (DEPENDS, lambda s, x: s.after(s.conv(x) + 0.1 * s.conv(x).cumsum(0))),
    "how many there are": (DEPENDS, lambda s, x: s.after(s.conv(x) / len(x))),
    "the place in the batch": (DEPENDS, lambda s, x: s.after(s.conv(x) + torch.arange(len(x))[:, None, None, None])),
    "similarity to the others": (DEPENDS, lambda s, x: s.after((lambda f: f @ f.T)(s.conv(x).flatten(1)))),
    "dropout": ("random", lambda s, x: s.after(functional.dropout(s.conv(x), 0.1, training=True))),
    "a mask": ("random", lambda s, x: s.after(s.conv(x) * (torch.rand(len(x), 1, 8, 8) > 0.5))),
    "noise of numpy": ("random", lambda s, x: s.after(s.conv(x) * (1 + 0.01 * float(np.random.randn())))),  # noqa: NPY002
    "a layer left out at times": ("random", lambda s, x: s.after(s.conv(x) * (random.random() > 0.2))),
    "a generator of its own": (CHANGES, lambda s, x: s.after(s.conv(x) + torch.rand(1, generator=_GENERATOR))),
    "a state outside": (CHANGES, lambda s, x: (PAST.append(1), s.after(s.conv(x) + len(PAST)))[1]),
}  # fmt: skip


@pytest.mark.parametrize("kind", NO_FUNCTION)
def test_features_that_are_no_function_of_the_image_are_flagged(kind, caplog):
    flag, function = NO_FUNCTION[kind]
    net = Net(function, norm=nn.BatchNorm2d(4, track_running_stats=False), after=nn.ReLU())
    for batch_size in (None, 4):
        caplog.clear()
        layers = captured(net, batch_size=batch_size, reducer=lambda features: features.n_units)
        assert layers["conv"].flag == ""
        assert layers["after"].flag == flag  # and so is what comes after
        assert layers["after"].reduced is None
        warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert len(warnings) == 1
        assert warnings[0].startswith("no scores for outputs that ")
        assert "after" in warnings[0]


def test_random_numbers_are_neither_used_nor_left_changed():
    net = Net(lambda s, x: functional.dropout(s.conv(x), 0.5, training=True) * random.random() * np.random.rand())  # noqa: NPY002
    digests = set()
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        expected = (torch.rand(3), np.random.rand(), random.random())  # noqa: NPY002
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        digests.add(captured(net)[OUTPUT].kernel.digest)
        assert torch.equal(torch.rand(3), expected[0])
        assert np.random.rand() == expected[1]  # noqa: NPY002
    assert len(digests) == 1


# ------------------------------------------------------------------------------ state kept between passes


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.count = 0

    def forward(self, x):
        self.count += 1
        return x * self.count


class Potential(nn.Module):
    """A neuron that leaks: its potential has as many rows as the batch before."""

    def __init__(self):
        super().__init__()
        self.v = 0.0

    def forward(self, x):
        self.v = 0.5 * self.v + x
        return self.v


class Memories(nn.Module):
    def __init__(self):
        super().__init__()
        self.memories = {"v": [torch.zeros(1)]}

    def forward(self, x):
        x = x + self.memories["v"][0]
        self.memories["v"][0].add_(1)
        self.memories["v"].append(x)
        return x * len(self.memories["v"])


class Scale(nn.Module):
    """A buffer that every pass overwrites, and an attribute that the first one makes."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.ones(1))

    def forward(self, x):
        self.scale.mul_(2)
        self.seen = getattr(self, "seen", 0) + 1
        return x * self.scale * self.seen


STATES = {
    Counter: lambda x: x,
    Potential: lambda x: x,
    Memories: lambda x: 2 * x,
    Scale: lambda x: 2 * x,
}


@pytest.mark.parametrize("batch_size", [None, 2, 4])
@pytest.mark.parametrize("kind", STATES)
def test_every_pass_starts_from_the_state_that_was_given(kind, batch_size):
    net = Net(lambda s, x: s.keeps(s.conv(x)), keeps=kind())
    for _ in range(2):  # a second capture does not see the first
        layers = captured(net, batch_size=batch_size)
        assert layers["keeps"].flag == ""
        assert_same(layers["keeps"], STATES[kind](convolved(images())))
    with torch.no_grad():
        assert torch.allclose(net(images()), STATES[kind](convolved(images())), atol=1e-6)


def test_a_running_mean_depends_on_the_batch_and_is_put_back():
    class Running(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.zeros(4, 1, 1))

        def forward(self, x):
            self.mean = 0.9 * self.mean + 0.1 * x.mean(dim=(0, 2, 3))[:, None, None]
            return x - self.mean

    net = Net(lambda s, x: s.keeps(s.conv(x)), keeps=Running())
    assert captured(net)["keeps"].flag == DEPENDS
    assert not net.keeps.mean.any()


def test_a_state_that_no_longer_fits_is_named():
    past: list[torch.Tensor] = []

    def forward(self, x):
        y = self.conv(x)
        past.append(y)
        return y + past[0]

    with pytest.raises(MurineError, match=r"fails on 2 images .*It took 3 images before: .*a state between") as told:
        captured(Net(forward))
    assert "--input-size" not in str(told.value)


# ------------------------------------------------------------------------------------------ false alarms

SMALL = {
    "resnet10t": {},
    "mobilenetv3_small_050": {},
    "efficientnet_lite0": {},
    "levit_128s": {"img_size": 64},
    "xcit_nano_12_p16_224": {"img_size": 64},
    "pvt_v2_b0": {},
    "swinv2_tiny_window8_256": {"img_size": 64, "depths": (1, 1, 1, 1)},
    "mobilevit_xxs": {},
    "nfnet_l0": {},
}


@pytest.mark.parametrize("name", SMALL)
def test_real_architectures_are_not_flagged(name, caplog):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = timm.create_model(name, **SMALL[name])
    layers = capture(module, images(4, 64))
    known = {"", "one unit", "constant within images", "same for all images", "no axis of images"}
    assert {layer.flag for layer in layers} <= known
    assert not caplog.records


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_networks_of_other_precision(dtype):
    net = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1) for _ in range(4)), nn.Conv2d(3, 4, 3)).to(dtype)
    layers = captured(net)
    with torch.no_grad():
        expected = net(images().to(dtype))
    assert layers["4"].flag == ""
    power = np.abs(layers["4"].kernel.gram).max()
    truth = LayerKernel.of(expected.double().flatten(1).numpy())
    digits = max(torch.finfo(dtype).eps, 1e-7)
    np.testing.assert_allclose(layers["4"].kernel.gram, truth.gram, rtol=0, atol=20 * digits * power)


@pytest.mark.parametrize("n", [1, 2])
def test_few_images(n):
    layers = captured(Net(lambda s, x: s.conv(torch.cat([x, x**2]))), images(n))
    assert layers["conv"].kernel is None or layers["conv"].shape == (2, 4, 8, 8)
    if n == 2:
        assert_same(layers["conv"], torch.stack([convolved(images(n)), convolved(images(n) ** 2)], 1))
