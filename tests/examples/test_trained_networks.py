"""The example networks are those that murine knows by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from murine.networks.sources.shared_networks import SHARED_NETWORKS, build_shared


def test_every_network_has_a_factory(load_example: Callable[[str], ModuleType]) -> None:
    assert set(SHARED_NETWORKS) <= set(vars(load_example("trained_networks")))


@pytest.mark.parametrize("name", SHARED_NETWORKS)
def test_a_factory_returns_the_network_of_its_name(
    load_example: Callable[[str], ModuleType], shared_data: Path, name: str
) -> None:
    theirs, ours = getattr(load_example("trained_networks"), name)(), build_shared(name)
    assert theirs.default_cfg == ours.default_cfg
    found, expected = theirs.state_dict(), ours.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
