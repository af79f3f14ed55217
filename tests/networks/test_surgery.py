"""Surgery: what is put in acts, what was there stays, and undoing leaves nothing."""

import copy
import io
import subprocess
import sys

import numpy as np
import pytest
import timm
import torch
from torch import nn

import murine
from murine import NeuRN, insert
from murine.errors import MurineError
from murine.networks import surgery, zoo
from murine.networks.capture import OUTPUT, capture
from murine.networks.surgery import trial
from murine.networks.surgery.neurn import neurn
from murine.networks.surgery.rival_layers import Sobel, layers
from murine.networks.zoo import NetworkSpec


class Small(nn.Module):
    """Modules of every kind that surgery meets."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.twice = nn.Identity()
        self.last = nn.Sequential(nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5))
        self.idle = nn.ModuleList([nn.Identity()])
        self.head = nn.Linear(5, 2)
        self.default_cfg = {"input_size": (3, 24, 20)}

    def forward(self, x):
        x = self.last(self.twice(self.twice(self.stem(x))))
        return self.head(x.mean(dim=(2, 3)))


def small():
    torch.manual_seed(0)
    network = Small()
    for norm in (network.stem[1], network.last[1]):
        norm.running_mean.uniform_(-0.3, 0.3)
        norm.running_var.uniform_(0.5, 1.5)
    return network.eval()


def images(n=2, seed=0):
    return torch.rand(n, 3, 24, 20, generator=torch.Generator().manual_seed(seed))


def own_names(network):
    return [name for name, _ in network.named_modules() if name.partition(".")[0] != surgery.HOLDER]


def seen(network, x):
    """What every module returned, by name."""
    found = {}
    handles = [
        child.register_forward_hook(lambda _m, _i, out, n=name or OUTPUT: found.setdefault(n, out.clone()))
        for name, child in network.named_modules()
    ]
    network(x)
    for handle in handles:
        handle.remove()
    return found


# --------------------------------------------------------------------------------- what it does


def test_at_the_input():
    network, x = small(), images()
    expected = network(neurn(x, 4))
    with insert(network, NeuRN(4)) as operated:
        assert operated is network
        assert torch.equal(network(x), expected)
        assert torch.equal(network.forward(x), small()(x))
    assert torch.equal(network(x), small()(x))


def test_at_the_image_the_layer_sees_pixels_and_the_network_what_is_normalised():
    network, pixels = small(), images()
    mean, std = torch.tensor((0.5, 0.4, 0.3)).view(3, 1, 1), torch.tensor((0.2, 0.3, 0.01)).view(3, 1, 1)
    x = (pixels - mean) / std
    with pytest.raises(MurineError, match="does not state how its images are normalised"):
        insert(network, NeuRN(3), at="image")
    network.default_cfg |= {"mean": mean.ravel().tolist(), "std": std.ravel().tolist()}
    expected = network((neurn(pixels, 3) - mean) / std)
    before = network(x)
    with insert(network, NeuRN(3), at="image") as operated:
        torch.testing.assert_close(operated(x), expected)
        assert not torch.allclose(network(x), small()(neurn(x, 3)), rtol=1e-2)  # what the place input gives
        torch.testing.assert_close(copy.deepcopy(network)(x), expected)
        assert [name for name, _ in network.named_modules() if name.startswith("inserted.")] == ["inserted.image"]
        assert [layer.name for layer in capture(network, x, layers="own")] == [
            layer.name for layer in capture(small(), x) if layer.name
        ]
    assert torch.equal(network(x), before)
    loaded = zoo.load("test_resnet+neurn@image@random:0")
    plain = zoo.load("test_resnet@random:0")
    assert loaded.variant == "neurn(k=3)@image"
    mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in (plain.preprocessing.mean, plain.preprocessing.std))
    pixels = torch.rand(2, 3, 160, 160)
    torch.testing.assert_close(
        loaded.module((pixels - mean) / std), plain.module((neurn(pixels, 3) - mean) / std), rtol=1e-3, atol=1e-4
    )


def test_before_and_after_a_module():
    x = images()
    plain = small()
    stem, twice = plain.stem(x), plain.twice
    assert isinstance(twice, nn.Identity)
    for at, expected in (
        ("after:stem", neurn(stem)),
        ("stem", neurn(stem)),
        ("before:twice", neurn(neurn(stem))),
        ("stem.2", neurn(stem)),
        ("before:last", neurn(stem)),
    ):
        network = small()
        insert(network, NeuRN(3), at)
        assert torch.equal(network(x), plain.head(plain.last(expected).mean(dim=(2, 3)))), at


def test_instead_of_modules():
    network, x = small(), images()
    plain = small()
    insertion = insert(network, NeuRN(3), "replace:*.1")
    assert [site.module for site in insertion.points] == ["stem.1", "last.1"]
    maps = plain.last[0](neurn(plain.stem[0](x)).relu())
    assert torch.equal(network(x), plain.head(neurn(maps).mean(dim=(2, 3))))
    assert network.state_dict().keys() == plain.state_dict().keys()
    network.load_state_dict(plain.state_dict())
    assert "stem.1" not in seen(network, x)  # it is there, and is not called


def test_hooks_see_the_module_and_the_layer_by_their_own_names():
    network, x = small(), images(6)
    plain = seen(network, x)
    insertion = insert(network, "sobel", "after:stem")
    outputs = seen(network, x)
    assert torch.equal(outputs["stem"], plain["stem"])
    assert torch.equal(outputs["inserted.after_stem"], Sobel()(plain["stem"]))
    assert [site.path for site in insertion.points] == ["inserted.after_stem"]
    assert insertion.points[0].shape == (4, 12, 10)
    captured = {layer.name: layer for layer in capture(network, x)}
    assert list(captured)[3:5] == ["stem", "inserted.after_stem"]
    assert captured["inserted.after_stem"].shape == (4, 12, 10)
    assert not captured["inserted.after_stem"].same_as
    means = Sobel()(plain["stem"]).mean(dim=(1, 2, 3)).detach()
    np.testing.assert_allclose(captured["inserted.after_stem"].kernel.means, means, rtol=1e-5)
    assert captured["twice"].same_as == "inserted.after_stem"
    assert [layer.name for layer in capture(network, x, layers="inserted.*")] == ["inserted.after_stem"]


def test_layers_of_a_module_follow_in_the_order_they_came():
    network, x = small(), images()
    first = insert(network, NeuRN(3))
    second = insert(network, "instance-norm")
    third = insert(network, NeuRN(5))
    assert [site.path for i in (first, second, third) for site in i.points] == [
        "inserted.input",
        "inserted.input_2",
        "inserted.input_3",
    ]
    norm = layers["instance-norm"]()
    assert torch.equal(network(x), small()(neurn(norm(neurn(x)), 5)))
    second.undo()
    assert torch.equal(network(x), small()(neurn(neurn(x), 5)))


# --------------------------------------------------------------------------------- what stays


def test_names_and_keys_stay_and_undoing_leaves_nothing():
    network, x = small(), images()
    names, keys, before = own_names(network), list(network.state_dict()), network(x)
    state = {name: dict(child.__dict__) for name, child in network.named_modules()}
    random_state = torch.get_rng_state()
    network.train()
    made = [insert(network, NeuRN(3), at) for at in ("input", "after:[sl]*.0", "replace:stem.1")]
    assert network.training
    assert all(child.training for child in network.modules())
    assert torch.equal(torch.get_rng_state(), random_state)
    network.eval()
    assert not any(child.training for child in network.modules())
    assert own_names(network) == names
    assert list(network.state_dict()) == keys
    assert sum(1 for _ in network.named_modules()) == len(names) + 5  # 4 layers and what holds them
    assert type(network).__name__ == "Small"
    assert isinstance(network.stem[0], nn.Conv2d)
    assert not torch.equal(network(x), before)
    for insertion in (made[1], made[0], made[2]):
        insertion.undo()
        insertion.undo()
    assert torch.equal(network(x), before)
    assert [name for name, _ in network.named_modules()] == names
    for name, child in network.named_modules():
        assert type(child) in (Small, *vars(nn).values())
        assert child.__dict__.keys() == state[name].keys()


def test_copies_files_and_devices_take_the_layers_along():
    network, x = small(), images()
    plain = network(x)
    insertion = insert(network, "neurn(k=4,maximum=channel)", "after:stem")
    expected = network(x)
    duplicate = copy.deepcopy(network)
    file = io.BytesIO()
    torch.save(network, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    for other in (duplicate, loaded):
        assert torch.equal(other(x), expected)
        assert other.inserted.after_stem is not network.inserted.after_stem
    insertion.undo()
    assert torch.equal(network(x), plain)
    assert torch.equal(duplicate(x), expected)
    surgery.remove(duplicate)
    assert torch.equal(duplicate(x), plain)
    assert [name for name, _ in duplicate.named_modules()] == own_names(network)
    double = loaded.double()
    torch.testing.assert_close(double(x.double()).float(), expected, rtol=1e-4, atol=1e-5)
    state = io.BytesIO()
    torch.save(loaded.state_dict(), state)
    state.seek(0)
    network.load_state_dict(torch.load(state))


def test_a_sequence_of_modules_is_operated_on_like_any_other():
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU())
    x = images()
    maps = network[0](x)
    insertion = insert(network, NeuRN(3), "0", probe=x)
    assert torch.equal(network(x), neurn(maps).relu())
    assert insertion.variant == "neurn(k=3)@after:0"
    insertion.undo()
    assert len(network) == 2


def test_maps_with_channels_last_are_understood():
    class Windows(nn.Module):
        def __init__(self):
            super().__init__()
            self.rows = nn.Identity()

        def forward(self, x):
            return self.rows(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    network = Windows()
    x = images()
    insertion = insert(network, NeuRN(3), "rows", probe=x)
    assert insertion.points[0].channels_last
    assert torch.equal(network(x), neurn(x))
    with pytest.raises(
        MurineError, match="its input there is 1 x 9 x 100 x 4, which does not have the shape of a map of 24 x 20"
    ):
        trial._is_channels_last(torch.rand(1, 9, 100, 4), x)


def test_keyword_arguments_pass():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Inner()

        def forward(self, pixel_values, scale=1.0):
            return self.inner(scale=scale, x=pixel_values) if scale != 1 else self.inner(x=pixel_values)

    class Inner(nn.Module):
        def forward(self, x, scale=2.0):
            return scale * x

    network, x = Named(), images()
    insert(network, NeuRN(3), probe=x)
    insert(network, Sobel(), "before:inner", probe=x)
    assert torch.equal(network(pixel_values=x), 2 * Sobel()(neurn(x)))


COMPILED = """
import torch
from torch import nn
from murine import NeuRN, insert

stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
network = nn.Sequential(stem, nn.Flatten()).eval()
x = torch.rand(2, 3, 9, 9)
for at in ("input", "after:0", "replace:0.1"):
    insert(network, NeuRN(3), at, probe=x)
with torch.no_grad():
    expected = network(x)
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), expected, rtol=1e-4, atol=1e-5)
"""


def test_compiled_networks_take_the_layers_along():
    ran = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    ("name", "inner"),
    [("test_resnet", "replace:*.bn2"), ("test_vit", "after:patch_embed.proj"), ("test_convnext", "after:stages.0")],
)
def test_networks_of_timm_are_operated_on(name, inner):
    network = timm.create_model(name).eval()
    x = torch.rand(2, *network.default_cfg["input_size"])
    names, keys, before = own_names(network), list(network.state_dict()), network(x)
    made = [insert(network, NeuRN(3), at) for at in ("input", inner)]
    assert not torch.equal(network(x), before)
    assert (own_names(network), list(network.state_dict())) == (names, keys)
    for insertion in made:
        insertion.undo()
    assert torch.equal(network(x), before)


# --------------------------------------------------------------------------------- refusals


def refused(match, *args, network=None, **options):
    network = network or small()
    x = images()
    names, before = [name for name, _ in network.named_modules()], network(x)
    with pytest.raises(MurineError, match=match):
        insert(network, *args, **options)
    assert [name for name, _ in network.named_modules()] == names
    assert torch.equal(network(x), before)


@pytest.mark.usefixtures("unchecked")
def test_what_does_not_fit_is_refused_and_leaves_the_network_alone():
    k3 = NeuRN(3)
    refused("no module matches 'stam'; did you mean stem.* The network has 11 modules, for example stem", k3, "stam")
    refused(
        r"neurn\(k=3\) after 'head': its input there is 1 x 2 of torch.float32, which is not a map", k3, "after:head"
    )
    refused(
        r"neurn\(k=11\) after 'stem': its input there is 1 x 4 x 12 x 10, and it fails: NeuRN with kernel_size 11",
        NeuRN(11),
        "stem",
    )
    refused(r"The same holds for 1 others", NeuRN(11), "after:*.0")
    refused(
        r"it turns 1 x 3 x 24 x 20 into 1 x 3 x 24 x 20, but the module returns 1 x 4 x 12 x 10", k3, "replace:stem.0"
    )
    refused("the modules idle, idle.0 are not called in the forward pass", k3, "after:idle*")
    refused("Linear has tensors of its own .weight, bias.", nn.Linear(2, 2))
    refused(
        r"with AvgPool2d@before:last the network fails: RuntimeError.* The input of the layer is 4 x 12 x 10 at last",
        nn.AvgPool2d(6),
        "before:last",
    )
    refused("the place 'around:stem' is not understood; expected input, image, after:PATTERN", k3, "around:stem")
    refused(
        "the network fails on the trial image, 2 x 1 x 9 x 9, before any layer is inserted: RuntimeError",
        k3,
        probe=torch.rand(2, 1, 9, 9),
    )
    refused("unknown layer 'nern'; did you mean neurn", "nern")
    refused(
        r"the option 'kernel=3' of the layer 'neurn' is not understood; did you mean kernel_size", "neurn(kernel=3)"
    )
    refused(r"the layer 'neurn\(k=x\)' cannot be made: NeuRN was given kernel_size 'x'", "neurn(k=x)")
    taken = small()
    taken.inserted = nn.Identity()
    refused("the network has a 'inserted' of its own", k3, network=taken)
    replaced = small()
    insert(replaced, k3, "replace:stem.1")
    refused("'stem.1' is replaced already; undo that first", k3, "replace:*.1", network=replaced)

    class Several(nn.Module):
        def __init__(self):
            super().__init__()
            self.pair = Pair()

        def forward(self, x):
            return self.pair(x)[0]

    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    refused(
        r"neurn\(k=3\) after 'pair': its input there is not a tensor but tuple",
        k3,
        "pair",
        network=Several(),
        probe=images(),
    )
    scripted = small()
    with pytest.raises(MurineError, match="kernel_size 4 was given images of 12 x 3 px"):
        insert(scripted, NeuRN(4), "stem").network(torch.rand(1, 3, 24, 6))


# --------------------------------------------------------------------------------- names


def test_one_spelling_of_a_layer():
    for text in ("neurn", "neurn()", "neurn(k=3)", "neurn( kernel_size = 3, maximum=image )"):
        assert surgery.canonical_layer(surgery.layer_named(text)) == "neurn(k=3)"
    assert surgery.canonical_layer(NeuRN(4, maximum="channel")) == "neurn(k=4,maximum=channel)"
    assert surgery.canonical_layer(Sobel(relative=False)) == "sobel(relative=False)"
    assert surgery.canonical_layer(nn.AvgPool2d(3)) == "AvgPool2d"
    for name in layers:
        layer = layers[name]()
        again = surgery.layer_named(surgery.canonical_layer(layer))
        assert type(again) is type(layer)
        assert str(again) == str(layer)


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("resnet18", NetworkSpec("resnet18")),
        ("resnet18@random:0", NetworkSpec("resnet18", "random:0")),
        ("resnet18+neurn", NetworkSpec("resnet18", "", "neurn(k=3)@input")),
        ("resnet18+neurn(k=3)@input@random:0", NetworkSpec("resnet18", "random:0", "neurn(k=3)@input")),
        ("resnet18+neurn@random:0", NetworkSpec("resnet18", "random:0", "neurn(k=3)@input")),
        (
            "resnet18+sobel@image+lrn@image@w.pt",
            NetworkSpec("resnet18", "w.pt", "sobel(relative=True)@image+lrn(size=5)@image"),
        ),
        ("resnet18+neurn@images.pt", NetworkSpec("resnet18", "images.pt", "neurn(k=3)@input")),
        ("resnet18+neurn@inputs.pt", NetworkSpec("resnet18", "inputs.pt", "neurn(k=3)@input")),
        (
            "r18.a1_in1k+sobel@after:layer?.0+neurn(k=5)@replace:*.bn1@a+b@c.pt",
            NetworkSpec("r18.a1_in1k", "a+b@c.pt", "sobel(relative=True)@after:layer?.0+neurn(k=5)@replace:*.bn1"),
        ),
        ("c++/net.py:make+lrn@w.pt", NetworkSpec("c++/net.py:make", "w.pt", "lrn(size=5)@input")),
        ("resnet18@net.py:f+x", NetworkSpec("resnet18", "net.py:f+x")),
        ("a/me@home/c++/net.py:f+lrn@w@x.pt", NetworkSpec("a/me@home/c++/net.py:f", "w@x.pt", "lrn(size=5)@input")),
        ("torchvision:alexnet+divisive", NetworkSpec("torchvision:alexnet", "", "divisive(sigma=2.0)@input")),
    ],
)
def test_names_with_variants(text, choice):
    assert NetworkSpec.parse(text) == choice
    assert NetworkSpec.parse(str(choice)) == choice


def test_names_that_are_not_understood():
    for text in ("resnet18+", "resnet18+(k=3)", "resnet18+neurn(k=3", "resnet18+sobel()x"):
        with pytest.raises(MurineError, match=r"is not understood; expected \+LAYER\(OPTIONS\)@PLACE"):
            NetworkSpec.parse(text)
    with pytest.raises(MurineError, match="unknown layer 'neuron'; did you mean neurn"):
        NetworkSpec.parse("resnet18+neuron@input")
    with pytest.raises(MurineError, match="names no network"):
        NetworkSpec.parse("+neurn@input")


def test_variants_expand_and_load_as_networks_of_their_own():
    found = zoo.expand(["test_vit?+neurn", "pixels"], "random:1")
    assert found[0].variant == "neurn(k=3)@input"
    assert all(choice.weights == "random:1" and choice.variant for choice in found[:-1])
    assert zoo.twin(found[0]) is None
    assert zoo.twin(NetworkSpec("test_vit", "", "lrn(size=5)@input"), 2) == NetworkSpec(
        "test_vit", "random:2", "lrn(size=5)@input"
    )

    plain = zoo.load("test_resnet@random:0")
    loaded = {k: zoo.load(f"test_resnet+neurn(k={k})@input@random:0") for k in (3, 4)}
    assert loaded[3].name == "test_resnet+neurn(k=3)@input"
    assert (loaded[3].variant, plain.variant, loaded[3].weights) == ("neurn(k=3)@input", "", "random:0")
    inner = zoo.load("test_resnet+neurn@after:layer1@random:0")
    assert len({plain.digest, loaded[3].digest, loaded[4].digest, inner.digest}) == 4
    x = torch.rand(2, 3, 160, 160)
    assert torch.equal(loaded[4].module(x), plain.module(neurn(x, 4)))
    # By hand and by name: the same identity.
    with insert(plain, NeuRN(3)) as operated:
        assert (operated.name, operated.digest, operated.variant) == (
            loaded[3].name,
            loaded[3].digest,
            loaded[3].variant,
        )
        assert operated.module is plain.module
        twice = insert(operated, "sobel", "layer1").network
        assert twice.variant == "neurn(k=3)@input+sobel(relative=True)@after:layer1"
        assert twice.digest == zoo.load("test_resnet+neurn+sobel@after:layer1@random:0").digest
    pixels = zoo.load("pixels+neurn", input_size=(20, 30))
    assert pixels.role == "control"
    np.testing.assert_array_equal(pixels.module(x), neurn(x).mean(dim=1, keepdim=True))
    with pytest.raises(MurineError, match=r"neurn\(k=7\) after 'layer4': its input there is 1 x 96 x 2 x 2"):
        zoo.load("test_resnet+neurn(k=7)@after:layer4@random:0", input_size=64)
    module, _ = zoo.skeleton("test_resnet+neurn")
    assert module(torch.empty(2, 3, 160, 160, device="meta")).shape == (2, 1000)
    assert murine.insert is insert
