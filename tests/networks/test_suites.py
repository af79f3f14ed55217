"""Members of the suites build, pass capture and score, and let a layer in: a few small ones here, all on demand.

`MURINE_ALL_NETWORKS=1` tries all that can be built (half an hour of a core), `MURINE_ALL_NETWORKS=2/5` the second fifth
of them. What is not tried is named in the reason of a skip."""

from __future__ import annotations

import os
from functools import cache

import pytest
import torch

from murine.atlas.identity import CortexSettings
from murine.atlas.network_scorer import NetworkScorer
from murine.atlas.sweep import SweepSettings
from murine.errors import MurineError
from murine.networks import catalogue, surgery, zoo
from murine.networks.capture import CapturedLayer, capture, tensors_in
from murine.scoring.layer_scores import score_layers
from murine.scoring.settings import ScoreSettings

#: Parameters of the largest that is tried without being asked for.
SMALL = 5_400_000

#: Input sizes in the order in which they are tried; None is the network's own.
SIZES = (64, 96, 128, None)


def _members() -> list[str]:
    every = [member.network for suite in catalogue.suites() for member in catalogue.suite(suite) if member.network]
    return list(dict.fromkeys(every))


def _size(network: str) -> int:
    return catalogue.entry(network).parameters or 0


def _chosen() -> list[str]:
    asked = os.environ.get("MURINE_ALL_NETWORKS", "")
    if not asked:
        # One of each family, and not the same encoder two dozen times.
        families = {
            catalogue.entry(n).family: n for n in sorted(_members(), key=_size, reverse=True) if _size(n) < SMALL
        }
        return sorted(families.values())
    shard, _, n_shards = asked.partition("/")
    return _members()[int(shard) - 1 :: int(n_shards or 1)]


@cache
def _bench() -> NetworkScorer:
    return NetworkScorer(SweepSettings(CortexSettings(cortex="simulated", n_splits=5), scoring=ScoreSettings(20, 0, 0)))


def _captured(network: str) -> tuple[torch.nn.Module, torch.Tensor, list[CapturedLayer]]:
    """At the smallest size that it accepts."""
    refused = ""
    for size in SIZES:
        try:
            loaded = zoo.load(f"{network}@random:0", input_size=size)
            images = loaded.preprocessing.apply(_bench().stimuli)
            return loaded.module, images, capture(loaded.module, images)
        except MurineError as error:
            refused = str(error)
    pytest.fail(f"{network} accepts no images: {refused}")


@pytest.mark.parametrize("network", _chosen())
def test_a_member_passes(network):
    module, images, layers = _captured(network)
    usable = [layer for layer in layers if not layer.flag]
    assert len(usable) >= (catalogue.entry(network).depth or 1) / 2
    assert all(torch.isfinite(torch.from_numpy(layer.kernel.covariance)).all() for layer in usable)
    scores = score_layers(layers, _bench().benchmark("rsa-pearson", "none"))
    assert scores["score"].between(-1, 1).all()
    keys, few = list(module.state_dict()), images[:2]
    before = _sums(module, few)
    insertion = surgery.insert(module, "neurn(k=3)", "input", probe=few)
    assert list(module.state_dict()) == keys
    within = _sums(module, few)
    assert torch.isfinite(torch.stack(within)).all()
    assert torch.stack(within).sum() != torch.stack(before).sum()
    insertion.undo()
    assert _sums(module, few) == before
    assert list(module.state_dict()) == keys


def _sums(module: torch.nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """Over the outputs of all modules but what was put in: with random weights the last may hardly depend on images."""
    sums: list[torch.Tensor] = []

    def hook(_module: torch.nn.Module, _args: object, output: object) -> None:
        sums.extend(tensor.double().sum() for _, tensor in tensors_in(output, ""))

    children = [child for name, child in module.named_modules() if not name.startswith(surgery.HOLDER)]
    handles = [child.register_forward_hook(hook) for child in children]
    with torch.no_grad():
        module(images)
    for handle in handles:
        handle.remove()
    return sums


def test_what_is_not_tried_is_named():
    tried = _chosen()
    left = [network for network in _members() if network not in tried]
    assert len(tried) + len(left) == len(_members())
    if left:
        pytest.skip(
            f"{len(tried)} of the {len(_members())} networks of the suites were tried, with MURINE_ALL_NETWORKS=1 all "
            f"are; not tried: {', '.join(left)}"
        )
