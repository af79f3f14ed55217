"""Whatever module runs and gives tensors has a row under its name, or is named in a warning; failures are told."""

from __future__ import annotations

import warnings
from collections import deque, namedtuple
from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from murine.errors import MurineError
from murine.networks.capture import OUTPUT, capture, chosen_modules
from murine.networks.layer_kernel import LayerKernel

N = 6


def images(n=N, size=16):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0))


def seeded(make):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make()


def conv(n_in=3, n_out=4):
    return seeded(lambda: nn.Conv2d(n_in, n_out, 3, 2, 1))


class Net(nn.Module):
    def __init__(self, function, **modules):
        super().__init__()
        self.function = function
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, *args):
        return self.function(self, *args)


def captured(net, **options):
    layers = capture(net, images(), **options)
    assert len({layer.name for layer in layers}) == len(layers)
    return {layer.name: layer for layer in layers}


def assert_same(layer, features):
    truth = LayerKernel.of(features.detach().double().flatten(1).numpy())
    assert layer.n_units == truth.n_units
    np.testing.assert_allclose(layer.kernel.gram, truth.gram, rtol=0, atol=1e-5 * np.abs(truth.gram).max())


# --------------------------------------------------------------------------------------- kinds of outputs


@dataclass
class Plain:
    features: Any
    extra: Any = None


@dataclass(slots=True)
class Slots:
    features: Any
    extra: Any = None


class WithAttributes:
    def __init__(self, features, extra):
        self.features, self.extra, self._private = features, extra, features * 0


Pair = namedtuple("Pair", "features extra")

CONTAINERS = {
    "dataclass": (Plain, "features", "extra"),
    "slots": (Slots, "features", "extra"),
    "namespace": (lambda a, b: SimpleNamespace(features=a, extra=b), "features", "extra"),
    "attributes": (WithAttributes, "features", "extra"),
    "dictionary": (lambda a, b: {"features": a, "extra": b}, "features", "extra"),
    "namedtuple": (Pair, "0", "1"),
    "deque": (lambda a, b: deque([a, b]), "0", "1"),
    "distribution": (lambda a, b: torch.distributions.Normal(a, b[1].abs() + 1), "loc", None),
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_tensors_are_found_in_whatever_holds_them(kind):
    make, first, second = CONTAINERS[kind]
    net = Net(
        lambda s, x: (s.stage(x), s.conv(x))[1],
        conv=conv(),
        stage=Net(lambda s, x: make(x * 2, [None, x + 1, Plain(x - 1, "text")])),
    )
    layers = captured(net)
    assert_same(layers[f"stage[{first}]"], images() * 2)
    if second:
        assert_same(layers[f"stage[{second}][1]"], images() + 1)
        assert_same(layers[f"stage[{second}][2][features]"], images() - 1)
    assert set(layers) - {"conv", OUTPUT} <= {name for name in layers if name.startswith("stage[")}


def test_outputs_that_contain_themselves_end():
    def forward(self, x):
        found = Plain(self.conv(x))
        found.extra = [found]
        return found

    assert set(captured(Net(forward, conv=conv()))) == {"conv", "(output)[features]"}


def test_outputs_that_cannot_be_looked_into_are_named(caplog):
    stage = Net(lambda s, x: iter([x * 2]))
    layers = captured(Net(lambda s, x: s.conv(next(s.stage(x))), conv=conv(), stage=stage))
    assert set(layers) == {"conv", OUTPUT}
    assert "outputs that cannot be looked into for features have no rows: stage (list_iterator)" in caplog.text


@pytest.mark.parametrize("batch_size", [None, 4])
def test_sparse_nested_and_quantised_outputs(batch_size):
    def forward(self, x):
        y = self.conv(x)
        self.sparse(y)
        self.nested(y)
        return self.quantised(y).dequantize()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nested tensors are a prototype
        layers = captured(
            Net(
                forward,
                conv=conv(),
                sparse=Net(lambda s, y: y.relu().to_sparse()),
                nested=Net(lambda s, y: torch.nested.nested_tensor(list(y))),
                quantised=Net(lambda s, y: torch.quantize_per_tensor(y, 0.01, 0, torch.qint8)),
            ),
            batch_size=batch_size,
        )
    y = conv()(images())
    assert_same(layers["sparse"], y.relu())
    assert_same(layers["quantised"], torch.quantize_per_tensor(y, 0.01, 0, torch.qint8).dequantize())
    assert (layers["nested"].kernel, layers["nested"].flag) == (None, "no axis of images")


def test_a_statically_quantised_network():
    from torch.ao import quantization

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it moves to another package
        stub, back = quantization.QuantStub(), quantization.DeQuantStub()
        net = seeded(lambda: nn.Sequential(stub, nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), back)).eval()
        net.qconfig = quantization.get_default_qconfig("fbgemm")
        quantization.prepare(net, inplace=True)
        net(images())
        quantization.convert(net, inplace=True)
        layers = captured(net)
        assert_same(layers["4"], net(images()))
    assert list(layers) == ["0", "1", "2", "3", "4", OUTPUT]
    assert not any(layer.flag for layer in layers.values())


# ---------------------------------------------------------------------------------------- names of modules


def test_one_activation_in_two_stages():
    act = nn.ReLU()
    net = Net(
        lambda s, x: s.b(s.a(x)), a=nn.Sequential(conv(), act), b=nn.Sequential(conv(4), act)
    )  # fmt: skip
    layers = captured(net)
    assert list(layers) == ["a.0", "a.1", "a", "b.0", "b.1", "b", OUTPUT]
    first = net.a(images())
    assert_same(layers["a.1"], first)
    assert_same(layers["b.1"], net.b(first))
    for name in ("a.1", "b.1"):
        alone = captured(net, layers=name)
        assert list(alone) == [name]
        assert alone[name].kernel.digest == layers[name].kernel.digest


def test_one_module_several_times_in_a_sequence():
    act = nn.ReLU()
    net = nn.Sequential(conv(), act, conv(4), act)
    layers = captured(net)
    assert list(layers) == ["0", "1", "2", "3", OUTPUT]
    assert_same(layers["1"], net[:2](images()))
    assert_same(layers["3"], net(images()))
    twice = captured(Net(lambda s, x: s.net(s.net(x)), net=nn.Sequential(act, nn.Identity(), act)))
    calls = ["net.0", "net.1", "net.2", "net", "net.0:2", "net.1:2", "net.2:2", "net:2", OUTPUT]
    assert list(twice) == calls


def test_two_names_in_one_place_are_both_listed():
    stage = nn.Sequential(conv(), nn.ReLU())
    net = Net(lambda s, x: s.backbone(x), encoder=stage, backbone=stage)
    layers = captured(net)
    first = ["encoder.0", "backbone.0", "encoder.1", "backbone.1", "encoder", "backbone", OUTPUT]
    assert list(layers) == first
    same = {name: layer.same_as for name, layer in layers.items()}
    assert same["backbone.0"] == "encoder.0"
    assert same["backbone.1"] == "encoder.1"
    assert (layers["backbone.0"].depth, layers["backbone.0"].shape) == (0, (4, 8, 8))
    assert layers["backbone.0"].kernel is layers["encoder.0"].kernel
    for name in ("encoder", "backbone"):
        assert list(captured(net, layers=name)) == [name]
        assert list(captured(net, layers=f"{name}.*")) == [f"{name}.0", f"{name}.1"]


def test_a_module_that_raises_inside_does_not_confuse_names():
    act = nn.ReLU()

    def forward(self, x):
        for stage in (self.fails, self.a, self.b):
            with suppress(ZeroDivisionError):
                x = stage(x)
        return x

    def fail(self, x):
        raise ZeroDivisionError

    net = Net(forward, a=nn.Sequential(act), b=nn.Sequential(conv(), act), fails=nn.Sequential(Net(fail), act))
    assert list(captured(net)) == ["a.0", "a", "b.0", "b.1", "b", OUTPUT]


def test_forward_called_as_a_function():
    stage = nn.Sequential(conv(), nn.ReLU())
    layers = captured(Net(lambda s, x: s.stage.forward(x), stage=stage))
    assert list(layers) == ["stage.0", "stage.1", "stage", OUTPUT]
    assert_same(layers["stage"], stage(images()))
    assert "forward" not in stage.__dict__
    plain = captured(Net(lambda s, x: s.stage(x), stage=stage), batch_size=4)
    assert list(plain) == list(layers)


# -------------------------------------------------------------------------- compiled, scripted, in parallel


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.head = conv(), nn.ReLU(inplace=True), nn.Sequential(conv(4), nn.Flatten())

    def forward(self, x):
        return self.head(self.relu(self.conv(x)))


NAMES = ["conv", "relu", "head.0", "head.1", "head", OUTPUT]


def compiled(module):
    return torch.compile(module, backend="eager")


def partly_compiled():
    net = Small()
    net.head = compiled(net.head)
    return net


def compiled_in_place():
    net = Small()
    net.head.compile(backend="eager")
    return net


WRAPPED = {
    "compiled": lambda: compiled(Small()),
    "compiled twice": lambda: compiled(nn.DataParallel(compiled(Small()))),
    "partly": partly_compiled,
    "in place": compiled_in_place,
    "parallel": lambda: nn.DataParallel(Small()),
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_the_network_inside_is_captured(kind):
    layers = captured(WRAPPED[kind]())
    bare = captured(Small())
    assert list(layers) == NAMES
    assert [layer.kernel.digest for layer in layers.values()] == [layer.kernel.digest for layer in bare.values()]
    assert list(captured(WRAPPED[kind](), layers="head.0")) == ["head.0"]
    assert set(chosen_modules(WRAPPED[kind](), "all").values()) == set(NAMES)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
def test_of_torchscript_only_the_output_is_seen_and_that_is_said(caplog):
    whole = Small().eval()
    expected = whole(images())
    for script in (
        torch.jit.script(whole),
        torch.jit.trace(whole, images(2)),
        torch.jit.freeze(torch.jit.script(whole)),
    ):
        caplog.clear()
        layers = captured(script)
        assert list(layers) == [OUTPUT]
        assert_same(layers[OUTPUT], expected)
        assert "only the output of the network can be captured" in caplog.text
    for make in (torch.jit.script, lambda module: torch.jit.trace(module, torch.rand(2, 4, 8, 8))):
        caplog.clear()
        net = Small().eval()
        net.head = make(net.head)
        layers = captured(net)
        assert list(layers) == ["conv", "relu", "head", OUTPUT]
        assert_same(layers["head"], expected)
        assert "only the output of head can be captured" in caplog.text
        assert list(captured(net, layers="head")) == ["head"]


def test_the_fast_path_of_attention_hides_nothing():
    encoder = seeded(lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 2)).eval()
    net = Net(lambda s, x: s.encoder(x.flatten(1).unflatten(1, (-1, 16))), encoder=encoder).eval()
    layers = captured(net)
    assert {"encoder.layers.0.linear1", "encoder.layers.1.self_attn[0]"} <= set(layers)
    with torch.no_grad():
        assert_same(layers[OUTPUT], net(images()))


# ------------------------------------------------------------------------------------ state of the network


def test_lazy_modules_get_their_shapes_first():
    def make():
        return nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(5))

    digests = set()
    for seed in (0, 1):
        torch.manual_seed(seed)
        layers = captured(make())
        assert list(layers) == ["0", "1", "2", "3", OUTPUT]
        digests.add(layers["3"].kernel.digest)
    assert len(digests) == 1  # the weights do not depend on what was drawn before


class Inferring(Small):
    @torch.inference_mode()
    def forward(self, x):
        return super().forward(x.clone())


@pytest.mark.parametrize("around", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_inside_and_around_inference_mode(around):
    bare = captured(Small())
    with around():
        for make in (Small, Inferring):
            layers = captured(make(), reducer=lambda features: float(features.tensor.mean()))
            assert list(layers) == NAMES
            for name in NAMES:
                assert layers[name].kernel.digest == bare[name].kernel.digest
        assert torch.is_inference_mode_enabled() == (around is torch.inference_mode)


# ------------------------------------------------------------------------------------------------ failures


class UnreadableError(Exception):
    def __str__(self):
        raise RuntimeError("no text either")


FAILURES = {
    "ValueError: three legs": ValueError("three legs"),
    "UnreadableError (its text cannot be read: RuntimeError)": UnreadableError(),
    "SystemExit: 0": SystemExit(0),
    "GeneratorExit": GeneratorExit(),
    "RuntimeError: allocation of duties": RuntimeError("allocation of duties"),
}


@pytest.mark.parametrize("text", FAILURES)
def test_what_a_network_raises_is_told_with_its_place(text):
    def fail(self, x):
        raise FAILURES[text]

    net = Net(lambda s, x: s.stage(s.conv(x)), conv=conv(), stage=nn.Sequential(nn.ReLU(), Net(fail)))
    with pytest.raises(MurineError) as told:
        capture(net, images())
    assert str(told.value) == (
        f"the network fails on 3 images of 3 x 16 x 16 (channels x height x width): {text}, raised in 'stage.1'."
    )
    assert not any(module._forward_hooks or "forward" in module.__dict__ for module in net.modules())


def test_an_interruption_is_passed_on():
    def interrupt(self, x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        capture(Net(interrupt), images())


def test_another_size_is_named_only_where_it_works():
    fits = nn.Sequential(conv(), nn.Flatten(), nn.Linear(4 * 112 * 112, 3))
    told = r"shapes cannot be multiplied .*'2'\. It does take images of 224 x 224: .* 224x224\.$"
    with pytest.raises(MurineError, match=told):
        capture(fits, images())
    fits = nn.Sequential(conv(), nn.Flatten(), nn.Linear(4 * 4 * 6, 3))
    fits.default_cfg = {"input_size": (3, 8, 12)}
    with pytest.raises(MurineError, match=r"give --input-size 8x12\.$"):
        capture(fits, images())
    never = nn.Sequential(conv(), nn.Flatten(), nn.Linear(3, 3))
    with pytest.raises(MurineError, match=r"raised in '2'\.$"):
        capture(never, images())
    two = Net(lambda s, image, text: s.conv(image), conv=conv())
    with pytest.raises(MurineError, match=r"missing 1 required positional argument: 'text'\.$"):
        capture(two, images())


def test_weights_of_few_digits_are_named():
    net = nn.Sequential(conv(), nn.Linear(3, 3)).half()
    with pytest.raises(MurineError, match=r"Its weights are float16, so the images were converted to float16\.$"):
        capture(net, images())
