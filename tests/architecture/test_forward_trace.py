"""The trace of a forward pass: order, repetition, and the state of the network."""

import timm
import torch
from small_networks import Modules
from torch import nn

from murine.architecture.forward_trace import probe_images, trace_layers


def test_what_runs_is_listed_in_the_order_it_starts_as_often_as_it_runs():
    x = torch.rand(2, 3, 16, 16)
    layers = trace_layers(Modules(), x)
    assert [layer.name for layer in layers] == ["first", "norm", "relu", "pool", "last", "", "relu"]
    assert [layer.shape for layer in layers[:4]] == [(8, 16, 16)] * 3 + [(8, 8, 8)]
    # The sum takes what `last` gave; the second ReLU takes the sum.
    assert [layer.feeds_on for layer in layers] == [-1, 0, 1, 2, -1, 4, 5]


def test_a_network_is_left_as_it_was():
    network = Modules().train()
    network.norm.eval()
    before = {name: child.training for name, child in network.named_modules()}
    state = {key: value.clone() for key, value in network.state_dict().items()}
    trace_layers(network, torch.rand(2, 3, 8, 8))
    assert {name: child.training for name, child in network.named_modules()} == before
    assert not any(child._forward_hooks or child._forward_pre_hooks for child in network.modules())
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, state[key], rtol=0, atol=0)


def test_the_probe_has_the_size_that_the_network_tells():
    with torch.device("meta"):
        network = timm.create_model("test_vit", pretrained=False)
    assert probe_images(network).shape[1:] == (3, 160, 160)
    assert probe_images(network).device.type == "meta"
    assert probe_images(nn.Conv2d(3, 4, 3).double()).shape[1:] == (3, 224, 224)
    assert probe_images(nn.Conv2d(3, 4, 3).double()).dtype == torch.float64
