"""Random twins of networks in memory: the same modules with other weights, or none where something would stay."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from murine.networks.in_memory import network_from_module
from murine.networks.random_twin import random_twin


def network(module):
    return network_from_module(module, name="toy", mean=0.5, std=0.5, input_size=16)


def test_every_weight_is_drawn_anew_and_nothing_learned_stays():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 14 * 14, 2))
    with torch.no_grad():
        for value in module.state_dict().values():
            value.fill_(7)
    given = network(module)
    twin, again, other = random_twin(given, 0), random_twin(given, 0), random_twin(given, 1)
    assert not any((value == 7).all() for value in twin.module.state_dict().values())
    assert all((value == 7).all() for value in module.state_dict().values())
    assert twin.digest == again.digest != other.digest
    assert (twin.role, twin.weights) == ("random", "random:0")


class Learned(nn.Module):
    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.ones(3, 16, 16))

    def forward(self, images):
        return images + self.shift


@pytest.mark.parametrize("module", [Learned(), nn.AvgPool2d(2)])
def test_networks_that_would_stay_as_they_are_have_no_twin(module, caplog):
    with caplog.at_level(logging.WARNING):
        assert random_twin(network(module), 0) is None
    assert "no random twin" in caplog.text


def test_random_numbers_of_the_process_are_left_alone():
    given = network(nn.Conv2d(3, 4, 3))
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    random_twin(given, 0)
    assert torch.rand(1) == expected
