"""Training that starts from weights: those of the zoo, with a new head, as part of the identity."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import toy_domains
from torch import nn

from murine.atlas.store import Atlas
from murine.errors import MurineError
from murine.generalization import matrix
from murine.generalization.network_builder import build
from murine.generalization.protocol import settings
from murine.generalization.recipe import Recipe
from murine.generalization.results import Results
from murine.generalization.variants import apply_variant, variant_named
from murine.networks import weights, zoo

NETWORKS = """
import torch
from torch import nn

CONFIG = {"input_size": (3, 32, 32), "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.1)}


def dense():
    torch.manual_seed(5)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(256, 1000))
    net.default_cfg = CONFIG
    return net


def convolutional():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 100, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net.default_cfg = CONFIG
    return net


def without_head():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())
"""


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "nets.py"
    file.write_text(NETWORKS)
    return file


@pytest.mark.parametrize(("name", "head"), [("dense", nn.Linear), ("convolutional", nn.Conv2d)])
def test_the_head_alone_is_new(file, name, head):
    first, second, again = (build(f"{file}:{name}", 7, seed, pretrained=True) for seed in (0, 1, 0))
    found = [built.module.get_submodule("3" if name == "dense" else "1") for built in (first, second, again)]
    assert all(isinstance(module, head) for module in found)
    assert not torch.equal(found[0].weight, found[1].weight)
    assert torch.equal(found[0].weight, found[2].weight)
    assert first.module(torch.rand(2, 3, 32, 32)).shape == (2, 7)
    assert (first.mean, first.std) == ((0.5, 0.4, 0.3), (0.2, 0.3, 0.1))
    if name == "dense":
        own = zoo.load(f"{file}:{name}").module
        assert torch.equal(first.module.get_submodule("0").weight, own.get_submodule("0").weight)


def test_weights_it_starts_from_are_identity(file, tmp_path):
    found = settings("full", ["dark"], ["grey"], toy_domains.load)
    results, recipe = Results(Atlas(tmp_path / "atlas")), Recipe(epochs=1, batch_size=16)

    def planned():
        return matrix.plan(found, [f"{file}:dense"], ["plain", "neurn3"], recipe, [(0, 0)], pretrained=True)

    runs = planned()
    with pytest.raises(MurineError, match=r"--pretrained cannot be scored against a cortex: it has a new head"):
        matrix.network_name(runs[0], results)
    rows = matrix.compute(runs, results)
    assert rows.pretrained.all()
    assert [run.task.digest for run in planned()] == [run.task.digest for run in runs]
    trained = matrix.trained_run(runs[0], results)
    assert weights.digest(trained) == rows.weights_digest[0]
    file.write_text(NETWORKS.replace("manual_seed(5)", "manual_seed(6)"))
    assert not {run.task.digest for run in planned()} & {run.task.digest for run in runs}


def test_what_is_standardised_is_not_normalised_again(file):
    """Pretrained networks want mean 0 and variance 1, which some variants give; others give pixels."""
    x = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) ** 4
    for name, expected in (("plain", (0.2 - 0.4) / 0.2), ("instance", 0.0), ("standardise", 0.0)):
        built = build(f"{file}:dense", 7, 0, pretrained=True)
        seen = []
        built.module.get_submodule("0").register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[0]))
        module, _ = apply_variant(variant_named(name), built, f"{file}:dense", 32)
        seen.clear()
        module(x)
        assert float(seen[0].mean()) == pytest.approx(expected, abs=0.3)
        assert name == "plain" or float(seen[0].std()) == pytest.approx(1, abs=0.1)


def test_published_networks_take_digits(shared_data):
    examples = Path(__file__).resolve().parents[2] / "examples" / "trained_networks.py"
    for name, side in (("squeezenet", 64), ("mobilenet_v1_025", 64), ("resnet20_cifar10", 32)):
        built = build(f"{examples}:{name}", 10, 0, pretrained=True, side=side)
        assert built.module(torch.rand(2, 3, side, side)).shape == (2, 10)
        assert built.start


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nets.py:without_head", "its last layer with weights is Conv2d"),
        ("pixels", "it has no weights"),
        ("resnet81", "unknown network 'resnet81'"),
        ("lenet", "'lenet' has no pretrained weights"),
    ],
)
def test_what_cannot_start_says_so(file, name, message):
    with pytest.raises(MurineError, match=message):
        build(str(file.parent / name) if ":" in name else name, 10, 0, pretrained=True)
