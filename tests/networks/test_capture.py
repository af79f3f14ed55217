"""Capture against plain hooks that store copies, on networks with every quirk that outputs have."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import timm
import torch
from counting import Counting
from torch import nn

import murine.networks.capture.grouping
from murine.errors import MurineError
from murine.networks.capture import OUTPUT, capture

N = 9


def images(n=N, size=16, channels=3, seed=0):
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(seed))


def seeded(make, *args, **kwargs):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make(*args, **kwargs)


class Lambda(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


class Named(nn.Sequential):
    """Modules with names, one after the other."""

    def __init__(self, **children):
        super().__init__()
        for name, child in children.items():
            self.add_module(name, child if isinstance(child, nn.Module) else Lambda(child))


class Aside(nn.Module):
    """Calls its modules on the same convolution, so that each may do what it likes."""

    def __init__(self, **branches):
        super().__init__()
        self.conv = seeded(nn.Conv2d, 3, 4, 3, padding=1)
        self.names = list(branches)
        for name, branch in branches.items():
            self.add_module(name, branch if isinstance(branch, nn.Module) else Lambda(branch))

    def forward(self, x):
        x = self.conv(x)
        for name in self.names:
            getattr(self, name)(x)
        return x.mean(dim=(2, 3))


def by_plain_hooks(module, inputs):
    """The first output of every module, copied in the forward hook, as (n_images, n_units) in float64."""
    found = {}

    def keep(name):
        def hook(_module, _args, output):
            if isinstance(output, torch.Tensor):
                found.setdefault(name, output.detach().clone())

        return hook

    handles = [m.register_forward_hook(keep(name or OUTPUT)) for name, m in module.named_modules()]
    with torch.no_grad():
        module.eval()(inputs)
    for handle in handles:
        handle.remove()
    n = len(inputs)
    return {k: v.double().reshape(n, -1).numpy() for k, v in found.items() if v.ndim and len(v) % n == 0}


def covariance(features):
    centred = features - features.mean(axis=1, keepdims=True)
    return centred @ centred.T


def assert_kernel(layer, features, tolerance=1e-5):
    """The layer's kernel is that of these features, to a share of their power."""
    features = np.asarray(features, dtype=np.float64).reshape(len(features), -1)
    assert layer.n_units == features.shape[1]
    power = (features**2).sum(axis=1).max()
    np.testing.assert_allclose(layer.kernel.covariance, covariance(features), rtol=0, atol=tolerance * power)
    np.testing.assert_allclose(
        layer.kernel.means, features.mean(axis=1), rtol=0, atol=tolerance * np.abs(features).max()
    )


def named(layers):
    assert len({layer.name for layer in layers}) == len(layers)
    return {layer.name: layer for layer in layers}


# ------------------------------------------------------------------------ real architectures

ARCHITECTURES = {
    "resnet10t": {},
    "convnext_atto": {},
    "mobilenetv3_small_050": {},
    "vit_tiny_patch16_224": {"img_size": 32, "depth": 3},
    "swin_tiny_patch4_window7_224": {"img_size": 32, "window_size": 4, "depths": (2, 2, 1, 1)},
    "mixer_s32_224": {"img_size": 64},
}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def architecture(request):
    options = ARCHITECTURES[request.param]
    module = seeded(timm.create_model, request.param, **options)
    for child in module.modules():  # batch statistics as in training, not the 0 and 1 of a new network
        if isinstance(child, nn.BatchNorm2d):
            child.running_mean.uniform_(-0.2, 0.2, generator=torch.Generator().manual_seed(1))
            child.running_var.uniform_(0.5, 2, generator=torch.Generator().manual_seed(2))
    return module.eval(), images(6, options.get("img_size", 48))


def test_features_are_those_of_plain_hooks(architecture):
    module, inputs = architecture
    expected = by_plain_hooks(module, inputs)
    layers = named(capture(module, inputs))
    assert set(expected) <= set(layers)
    assert len(expected) > 0.9 * len(list(module.modules())) - 2
    for name, features in expected.items():
        if not layers[name].flag or layers[name].kernel is not None:
            assert_kernel(layers[name], features)


def test_batches_equal_the_unbatched_run(architecture):
    module, inputs = architecture
    whole = named(capture(module, inputs))
    for size in (2, 3):
        parts = named(capture(module, inputs, batch_size=size))
        assert list(parts) == list(whole)
        for name, layer in whole.items():
            part = parts[name]
            assert (part.shape, part.flag, part.depth) == (layer.shape, layer.flag, layer.depth)
            power = np.abs(layer.kernel.gram).max()
            error = np.abs(part.kernel.covariance - layer.kernel.covariance).max()
            assert error <= 1e-6 * power, (name, error / power)


def test_two_runs_agree_to_the_last_bit(architecture):
    module, inputs = architecture
    first, second = capture(module, inputs), capture(module, inputs)
    assert [layer.kernel.digest for layer in first] == [layer.kernel.digest for layer in second]
    assert [(x.name, x.flag, x.same_as) for x in first] == [(x.name, x.flag, x.same_as) for x in second]


def test_the_network_is_left_as_it_was(architecture):
    module, inputs = architecture
    module.train()
    module.get_submodule(next(iter(module._modules))).eval()
    modes = {name: child.training for name, child in module.named_modules()}
    assert len(set(modes.values())) == 2
    before = {k: (v.clone(), v.stride(), v.data_ptr()) for k, v in module.state_dict().items()}
    capture(module, inputs, batch_size=4)
    assert {name: child.training for name, child in module.named_modules()} == modes
    for key, value in module.state_dict().items():
        assert torch.equal(value, before[key][0])
        assert (value.stride(), value.data_ptr()) == before[key][1:]
    assert not any(child._forward_hooks for child in module.modules())


# ----------------------------------------------------------------------- in-place operations


def convolutions(inplace):
    return seeded(
        lambda: Named(
            conv1=nn.Conv2d(3, 6, 3),
            relu1=nn.ReLU(inplace),
            conv2=nn.Conv2d(6, 8, 3),
            act2=nn.Hardswish(inplace),
            drop=nn.Dropout(0.5, inplace),
            conv3=nn.Conv2d(8, 8, 1),
            norm3=nn.BatchNorm2d(8),
            act3=nn.LeakyReLU(0.1, inplace),
        )
    )


@pytest.mark.parametrize("batch_size", [None, 4])
def test_in_place_activations_do_not_corrupt_what_came_before(batch_size):
    inplace = named(capture(convolutions(True), images(), batch_size=batch_size))
    apart = named(capture(convolutions(False), images(), batch_size=batch_size))
    assert list(inplace) == list(apart)
    for name, layer in apart.items():
        np.testing.assert_array_equal(inplace[name].kernel.covariance, layer.kernel.covariance)
        np.testing.assert_array_equal(inplace[name].kernel.means, layer.kernel.means)
    for layers in (inplace, apart):
        assert layers["relu1"].same_as == layers["act2"].same_as == ""
        assert (layers["drop"].same_as, layers[OUTPUT].same_as) == ("act2", "act3")


class Residual(nn.Module):
    def __init__(self, inplace):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.identity = nn.Identity()
        self.inplace = inplace

    def forward(self, x):
        first = self.conv1(x)
        shortcut = self.identity(first)
        out = self.conv2(first)
        if self.inplace:
            out += shortcut
            shortcut.mul_(0)  # and whoever looks at conv1 now sees zeros
            return out.relu_()
        return (out + shortcut).relu()


def test_in_place_arithmetic_in_the_forward_pass_does_not_either():
    inplace, apart = (named(capture(seeded(Residual, flag), images())) for flag in (True, False))
    for name, layer in apart.items():
        np.testing.assert_array_equal(inplace[name].kernel.covariance, layer.kernel.covariance)
    assert inplace["identity"].same_as == "conv1"
    assert inplace[OUTPUT].same_as == ""


# -------------------------------------------------------------------------- kinds of outputs


def convolved(x=None):
    x = images() if x is None else x
    with torch.no_grad():
        return seeded(nn.Conv2d, 3, 4, 3, padding=1)(x)


def windows(x, k=4):
    n, c, h, w = x.shape
    return x.view(n, c, k, h // k, k, w // k).permute(0, 2, 4, 3, 5, 1).reshape(n * k * k, -1, c)


OUTPUTS = {
    "channels": lambda x: x * 1.5,
    "channels_last": lambda x: x.permute(0, 2, 3, 1) * 2,
    "channels_last_view": lambda x: x.permute(0, 2, 3, 1),
    "tokens": lambda x: x.flatten(2).transpose(1, 2) - 1,
    "sequence_first": lambda x: x.flatten(2).permute(2, 0, 1) - 0.5,
    "two_tokens_first": lambda x: x.flatten(2)[:, :, :2].permute(2, 0, 1) - 0.5,
    "channels_first": lambda x: x.transpose(0, 1) + 2,
    "vector": lambda x: x.flatten(1) * 3,
    "double": lambda x: x.double() * 0.1,
    "strided": lambda x: x[:, ::2, 1::3],
    "five_axes": lambda x: x.unflatten(1, (2, 2)) * 4,
}


@pytest.mark.parametrize("batch_size", [None, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("kind", OUTPUTS)
def test_images_are_found_along_any_axis(kind, batch_size):
    layers = named(capture(Aside(out=OUTPUTS[kind]), images(), batch_size=batch_size))
    expected = OUTPUTS[kind](convolved())
    axis = next(i for i, size in enumerate(expected.shape) if size == N)
    assert layers["out"].flag == ""
    assert_kernel(layers["out"], expected.movedim(axis, 0).numpy(), 1e-6)


@pytest.mark.parametrize("batch_size", [None, 2, 3, 4, 5, 8])
def test_windows_belong_to_their_image(batch_size):
    layers = named(capture(Aside(out=windows), images(), batch_size=batch_size))
    assert layers["out"].shape == (16, 16, 4)
    assert_kernel(layers["out"], windows(convolved()).reshape(N, -1).numpy(), 1e-6)
    np.testing.assert_allclose(layers["out"].kernel.covariance, layers["conv"].kernel.covariance, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "function"),
    [
        ("int64", lambda x: (10 * x).long()),
        ("uint8", lambda x: (100 + 10 * x).to(torch.uint8)),
        ("bool", lambda x: x > 0),
        ("half", lambda x: x.half()),
        ("bfloat16", lambda x: x.bfloat16()),
    ],
)
def test_other_types_of_numbers(kind, function):
    layers = named(capture(Aside(out=function), images()))
    assert layers["out"].flag == ""
    assert_kernel(layers["out"], function(convolved()).double().numpy())


def test_outputs_that_are_no_features_are_flagged_and_the_rest_scored():
    net = Aside(
        number=lambda x: x.mean(dim=(1, 2, 3)),
        total=lambda x: x.sum(),
        classes=lambda x: x.flatten(1).argmax(dim=1),
        spectrum=torch.fft.fft2,
        table=lambda x: torch.ones(3, 5),
        nothing=lambda x: None,
        text=lambda x: "text",
        zero=lambda x: 0 * x,
        same=lambda x: x[:1].repeat(len(x), 1, 1, 1),
        undefined=lambda x: x.log(),
        last=lambda x: 2 * x,
    )
    for batch_size in (None, 2, 4):
        layers = named(capture(net, images(), batch_size=batch_size))
        flags = {name: layer.flag for name, layer in layers.items() if layer.flag}
        assert flags == {
            "number": "one unit",
            "total": "no axis of images",
            "classes": "one unit",
            "spectrum": "complex",
            "table": "no axis of images",
            "zero": "constant within images",
            "undefined": "not finite",
            "same": "depends on the other images of the batch",
        }
        assert not {"nothing", "text"} & set(layers)
        assert_kernel(layers["last"], 2 * convolved().numpy(), 1e-6)
        assert (layers["number"].shape, layers["number"].n_units) == ((), 1)


def test_nan_of_one_image_stays_in_its_row():
    def broken(x):
        x = x.clone()
        x[x.mean(dim=(1, 2, 3)) > convolved().mean(dim=(1, 2, 3)).sort().values[-2]] = float("nan")
        return x

    for batch_size in (None, 4):
        layer = named(capture(Aside(out=broken, after=nn.ReLU()), images(), batch_size=batch_size))["out"]
        lost = int(convolved().mean(dim=(1, 2, 3)).argmax())
        assert layer.flag == "not finite"
        others = np.delete(np.arange(N), lost)
        assert np.isfinite(layer.kernel.select(others).covariance).all()
        assert not np.isfinite(layer.kernel.covariance[lost]).any()


@pytest.mark.parametrize("batch_size", [None, 2, 5])
def test_members_of_tuples_lists_and_mappings(batch_size):
    def several(x):
        return (x + 1, [x * 2, None, 3], {"a": x.flatten(1) - 1, "b": {"c": x[:, :2]}})

    layers = named(capture(Aside(out=several), images(), batch_size=batch_size))
    x = convolved().numpy()
    expected = {
        "out[0]": x + 1,
        "out[1][0]": x * 2,
        "out[2][a]": x.reshape(N, -1) - 1,
        "out[2][b][c]": x[:, :2],
    }
    assert set(layers) == {"conv", OUTPUT, *expected}
    for name, features in expected.items():
        assert_kernel(layers[name], features, 1e-6)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 5, num_layers=2)
        self.attention = nn.MultiheadAttention(8, 2)

    def forward(self, x):
        x = x.mean(dim=1).transpose(0, 1)[..., :8]  # (row, image, column)
        self.attention(x, x, x)
        return self.lstm(x)[0][-1]


@pytest.mark.parametrize("batch_size", [None, 2, 4])
def test_recurrent_networks_and_attention(batch_size):
    net = seeded(Recurrent)
    layers = named(capture(net, images(), batch_size=batch_size))
    with torch.no_grad():
        x = images().mean(dim=1).transpose(0, 1)[..., :8]
        out, (hidden, cell) = net.lstm(x)
        attended, weights = net.attention(x, x, x)
    for name, value, axis in (
        ("lstm[0]", out, 1),
        ("lstm[1][0]", hidden, 1),
        ("lstm[1][1]", cell, 1),
        ("attention[0]", attended, 1),
        ("attention[1]", weights, 0),
    ):
        assert_kernel(layers[name], value.movedim(axis, 0).numpy(), 1e-6)


def test_a_module_called_again_is_a_layer_of_its_own():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.act = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(inplace=True)

        def forward(self, x):
            return self.act(self.conv(self.act(self.conv(x))))

    net = seeded(Twice)
    layers = named(capture(net, images()))
    assert list(layers) == ["conv", "act", "conv:2", "act:2", OUTPUT]
    with torch.no_grad():
        first = net.conv(images())
        second = net.conv(first.clamp(min=0))
    assert_kernel(layers["conv"], first.numpy(), 1e-6)
    assert_kernel(layers["conv:2"], second.numpy(), 1e-6)
    assert_kernel(layers["act:2"], second.clamp(min=0).numpy(), 1e-6)
    assert [layer.depth for layer in layers.values()] == [0, 0.25, 0.5, 0.75, 1]


def test_identical_outputs_are_recognised_once():
    net = Aside(
        identity=nn.Identity(),
        dropout=nn.Dropout(0.3),
        copied=lambda x: x.clone(),
        chained=Named(one=nn.Identity(), two=nn.Identity()),
        different=lambda x: x + 1e-3,
    )
    for batch_size in (None, 4):
        layers = named(capture(net, images(), batch_size=batch_size))
        same = {name: layer.same_as for name, layer in layers.items() if layer.same_as}
        twins = ("identity", "dropout", "copied", "chained.one", "chained.two", "chained")
        assert same == dict.fromkeys(twins, "conv")
        for name in twins:
            assert layers[name].kernel.digest == layers["conv"].kernel.digest


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[:, :1].expand_as(x),
        lambda x: (x[:, :2], x[:, :, :8]),
        lambda x: x.as_strided(x.shape, (x.stride(0), 0, *x.stride()[2:])),
    ],
)
def test_views_of_other_numbers_at_the_same_address_are_told_apart(view):
    layers = named(capture(Aside(out=view), images()))
    expected = view(convolved())
    if isinstance(expected, torch.Tensor):
        assert layers["out"].same_as == ""
        assert_kernel(layers["out"], expected.numpy(), 1e-6)
    else:
        for i, part in enumerate(expected):
            assert layers[f"out[{i}]"].same_as == ""
            assert_kernel(layers[f"out[{i}]"], part.numpy(), 1e-6)


# ------------------------------------------------------------------------ state and failures


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_state_is_restored_also_after_a_failure(memory_format):
    def fail(x):
        raise RuntimeError("broken on purpose")

    net = Aside(out=fail).to(memory_format=memory_format)
    net.conv.register_forward_hook(lambda *_: None)
    net.train()
    net.conv.eval()
    hooks = list(net.conv._forward_hooks)
    stride, address = net.conv.weight.stride(), net.conv.weight.data_ptr()
    with pytest.raises(MurineError, match=r"fails on 3 images of 3 x 16 x 16 .*broken on purpose, raised in 'out'\.$"):
        capture(net, images())
    assert (net.training, net.conv.training, net.out.training) == (True, False, True)
    assert (net.conv.weight.stride(), net.conv.weight.data_ptr()) == (stride, address)
    assert list(net.conv._forward_hooks) == hooks
    assert not net._forward_hooks
    assert not net.out._forward_hooks
    assert net.conv.weight.requires_grad


def test_inputs_and_gradients_are_not_touched():
    net = Named(act=nn.ReLU(inplace=True), conv=seeded(nn.Conv2d, 3, 4, 3), neg=lambda x: x.neg_())
    x = images() - 0.5
    before = x.clone()
    capture(net, x)
    assert torch.equal(x, before)
    net(x.clone()).sum().backward()
    assert net.conv.weight.grad.abs().sum() > 0


def test_batch_statistics_and_dropout_are_those_of_evaluation():
    net = Named(conv=seeded(nn.Conv2d, 3, 4, 3), norm=nn.BatchNorm2d(4), drop=nn.Dropout(0.5)).train()
    layers = named(capture(net, images()))
    assert net.norm.num_batches_tracked == 0
    assert layers["drop"].same_as == "norm"
    assert net.training


def test_networks_with_five_dimensional_weights():
    net = Named(film=lambda x: x[:, None], conv=seeded(nn.Conv3d, 1, 2, 3))
    layers = named(capture(net, images()))
    with torch.no_grad():
        assert_kernel(layers["conv"], net.conv(images()[:, None]).numpy(), 1e-6)


def test_memory_that_does_not_suffice_names_a_batch_size():
    def exhausted(x):
        if len(x) > 3:
            raise torch.OutOfMemoryError("no")
        return x

    def refused(x):
        if len(x) > 3:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return x

    for function in (exhausted, refused):
        with pytest.raises(MurineError, match=r"memory does not suffice for 9 images at once; give --batch-size 4"):
            capture(Aside(out=function), images())
    with pytest.raises(MurineError, match="batch size is 1; at least 2"):
        capture(Aside(), images(), batch_size=1)


def test_an_error_for_users_is_passed_on():
    def refuse(x):
        raise MurineError("not these")

    with pytest.raises(MurineError, match=r"^not these$"):
        capture(Aside(out=refuse), images())


def test_little_memory_means_several_passes(monkeypatch):
    whole = named(capture(Aside(out=windows), images()))
    sizes = []
    net = Aside(out=windows, watch=lambda x: sizes.append(len(x)))
    monkeypatch.setattr(murine.networks.capture.grouping, "available_memory", lambda: 100_000)
    parts = named(capture(net, images()))
    # The largest layer is 16 kB an image with what it is made of; half of the memory may be planned with.
    assert max(sizes) < N
    assert len(sizes) > 3
    for name, layer in whole.items():
        np.testing.assert_allclose(parts[name].kernel.covariance, layer.kernel.covariance, rtol=1e-5, atol=1e-5)


def test_features_do_not_pile_up():
    alive = []
    most = [0]

    def watched(x):
        out = x * 1.01
        alive.append(weakref.ref(out))
        most[0] = max(most[0], sum(ref() is not None for ref in alive))
        return out

    capture(Named(**{f"layer{i}": watched for i in range(12)}), images())
    assert len(alive) > 12
    assert most[0] <= 2


# -------------------------------------------------------------------------- choice of layers


def test_patterns_choose_layers():
    module = seeded(timm.create_model, "resnet10t").eval()
    inputs = images(4, 32)
    everything = [layer.name for layer in capture(module, inputs)]
    names = {name for name, _ in module.named_modules() if name}
    assert set(everything) == names | {OUTPUT}

    blocks = [layer.name for layer in capture(module, inputs, layers="blocks")]
    top = {name for name, _ in module.named_children()}
    assert set(blocks) == top | {OUTPUT} | {f"layer{i}.0" for i in (1, 2, 3, 4)}
    assert [name for name in everything if name in blocks] == blocks  # in order of execution

    chosen = [layer.name for layer in capture(module, inputs, layers="layer?.0.conv1, (output),fc")]
    assert chosen == ["layer1.0.conv1", "layer2.0.conv1", "layer3.0.conv1", "layer4.0.conv1", "fc", OUTPUT]
    with pytest.raises(MurineError, match=r"no module matches 'layer9'; did you mean layer4.*--layers all"):
        capture(module, inputs, layers="layer1,layer9")


def test_blocks_of_a_transformer():
    module = seeded(timm.create_model, "vit_tiny_patch16_224", img_size=32, depth=3).eval()
    blocks = [layer.name for layer in capture(module, images(4, 32), layers="blocks")]
    assert {"patch_embed", "blocks", "blocks.0", "blocks.1", "blocks.2", "norm", "head", OUTPUT} <= set(blocks)
    assert not any(name.count(".") > 1 for name in blocks)


def test_a_layer_does_not_depend_on_which_others_are_captured():
    net = convolutions(True)
    everything = named(capture(net, images()))
    for name in ("conv1", "act2", "act3"):
        (alone,) = capture(net, images(), layers=name)
        assert alone.kernel.digest == everything[name].kernel.digest
        assert alone.depth == 0


def test_modules_that_never_run_are_an_error():
    net = Aside()
    net.unused = nn.Linear(2, 2)
    assert "unused" not in named(capture(net, images()))
    with pytest.raises(MurineError, match="none of the modules unused ran"):
        capture(net, images(), layers="unused")


def test_progress_counts_every_output():
    for batch_size, passes in ((None, 1), (4, 10)):
        counting = Counting()
        layers = capture(convolutions(True), images(), batch_size=batch_size, progress=counting)
        assert counting.total == counting.done == passes * len(layers)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_device_it_is_the_same(architecture):
    module, inputs = architecture
    here = named(capture(module, inputs))
    try:
        there = named(capture(module.cuda(), inputs.cuda()))
    finally:
        module.cpu()
    assert list(here) == list(there)
    for name, layer in here.items():
        power = np.abs(layer.kernel.gram).max()
        np.testing.assert_allclose(there[name].kernel.covariance, layer.kernel.covariance, rtol=0, atol=1e-3 * power)
