"""Layer sequences by name: the published list against Keras, PyTorch, and the published heat map."""

import json
import os
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from murine.architecture.alignment import alignment_scores
from murine.architecture.forward_trace import trace_layers
from murine.architecture.layer_sequences import layer_sequence
from murine.architecture.named_sequences import find_sequences, published_heat_map, published_sequences
from murine.architecture.vocabulary import vocabularies
from murine.errors import MurineError
from murine.networks import catalogue, zoo
from murine.studies.architectures import published_agreement

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def test_the_list_is_that_of_the_catalogue():
    members = published_sequences("neurn44")
    assert list(members) == [member.name for member in catalogue.suite("neurn44")]
    assert {name for name, own in members.items() if not own.letters} == {"proxyless_nas", "midas"}
    from_keras = {member.name for member in catalogue.suite("neurn44") if member.part == "keras"}
    assert {name for name, own in members.items() if own.source.startswith("Keras")} == from_keras
    assert set("".join(own.letters for own in members.values())) <= set(vocabularies["paper"].legend)


def test_published_strings_and_scores():
    letters = {name: own.letters for name, own in published_sequences("neurn44").items()}
    assert letters["vgg16"] == "CCMCCMCCCMCCCMCCCMLLL"
    assert letters["vgg19"] == "CCMCCMCCCCMCCCCMCCCCMLLL"
    assert letters["vgg11"] == "CRMCRMCRCRMCRCRMCRCRMALRDLRDL"
    found = alignment_scores([letters[name] for name in ("vgg16", "vgg19", "vgg11")])
    assert found.tolist() == [[21, 15, -10], [15, 24, -10], [-10, -10, 29]]


def test_strings_of_networks_that_can_be_built_are_those_of_today():
    """A few; tools/spell_neurn44.py writes all again."""
    networks = {member.name: member.network for member in catalogue.suite("neurn44")}
    for name in ("vgg11", "squeezenet", "googlenet", "resnet_ssl_facebook", "ibn", "u-net", "CORnet"):
        assert layer_sequence(zoo.skeleton(networks[name])[0]) == published_sequences("neurn44")[name].letters


@pytest.mark.parametrize(
    ("member", "network"),
    [
        ("resnet50", "torchvision:resnet50"),
        ("inceptionv3", "torchvision:inception_v3"),
    ],
)
def test_the_vocabulary_keras_lists_what_keras_lists(member, network):
    """But for padding, which is a layer of its own there, and the order in which branches are told."""
    ours = Counter(vocabularies["keras"].encode(trace_layers(zoo.skeleton(network)[0])))
    theirs = Counter(published_sequences("neurn44")[member].letters)
    del theirs["Z"]
    if member == "inceptionv3":
        ours["J"] -= 1  # torchvision's puts the channels together that it has scaled
    assert ours == theirs


def test_the_published_heat_map_is_reproduced():
    members = published_sequences("neurn44")
    others = [name for name, own in members.items() if not own.source.startswith("Keras")]
    names, _, r, difference = published_agreement(others)
    assert len(names) == 20  # of EfficientNet B1 to B7, whose rows are equal, one
    assert r >= 0.97
    assert difference < 0.11
    names, panels, r, difference = published_agreement(["vit"])
    assert len(names) == 35
    assert r >= 0.97
    assert difference < 0.1
    # What the figure of the paper says in words (docs/reference/sources.md), of both.
    for panel in panels.values():
        at = {(a, b): panel[names.index(a), names.index(b)] for a in names for b in names}
        assert at["vgg16", "vgg19"] == pytest.approx(1, abs=0.01)
        assert at["resnet101", "resnet101v2"] == pytest.approx(1, abs=0.01)
        assert at["vgg16", "resnet152"] < -0.7
        assert at["CORnet", "mobilenet"] > 0.85
    names, _, r, _ = published_agreement()
    assert len(names) == 36
    assert r >= 0.92  # ViT's published row is that of a list of some 20 layers, not 137


def test_the_decoded_heat_map_is_whole():
    names, correlation = published_heat_map()
    assert len(names) == 38
    np.testing.assert_array_equal(np.diag(correlation), 1)
    assert np.abs(correlation - correlation.T).max() <= 0.011  # one step of the decoding


@pytest.mark.skipif(
    "MURINE_KERAS" not in os.environ, reason="needs MURINE_KERAS: the Python of an environment with Keras 3"
)
def test_strings_of_keras_are_those_of_its_lists(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    from spell_neurn44 import spelled_by_keras

    listed = subprocess.run(
        [os.environ["MURINE_KERAS"], TOOLS / "list_keras_layers.py"], capture_output=True, check=True, text=True
    )
    for member, own in json.loads(listed.stdout)["members"].items():
        assert spelled_by_keras(own["layers"]) == published_sequences("neurn44")[member].letters


def test_names_are_spelled_as_published_in_the_vocabulary_of_the_paper_only():
    ours = find_sequences(["vgg16", "test_vit", "vgg16"])
    assert [own.name for own in ours] == ["vgg16", "test_vit"]
    assert ours[0].source == "Keras 3.15.1 VGG16"
    assert ours[1].source == "built"
    assert find_sequences(["torchvision:vgg16"])[0].letters.startswith("CRCRM")
    assert find_sequences(["torchvision:vgg16"], "keras")[0].letters == ours[0].letters
    assert find_sequences(["vgg16"], "fine")[0].source == "built"


def test_suites_wildcards_and_controls():
    assert [own.name for own in find_sequences(["suite:neurn44"])] == list(published_sequences("neurn44"))
    assert [own.name for own in find_sequences(["test_resnet*"])] == ["test_resnet"]
    with pytest.raises(MurineError, match="sequence of 'pixels' is empty"):
        find_sequences(["pixels"], "fine")


def test_networks_from_files(tmp_path):
    file = tmp_path / "net.py"
    file.write_text(
        "import torch\nfrom torch import nn\n"
        "class Counts(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.conv = nn.Conv2d(3, 4, 3)\n"
        "    def forward(self, x):\n"
        "        x = self.conv(x)\n"
        "        return torch.relu(x) if float(x.sum()) > -1e9 else x\n"  # needs numbers
        "def counts():\n    return Counts()\n"
        "def nothing():\n    return nn.Identity()\n"
        "def narrow():\n    return nn.Linear(7, 2)\n"
    )
    assert find_sequences([f"{file}:counts"])[0].letters == "CR"
    assert find_sequences([f"{file}:counts"])[0].source == "built with numbers"
    with pytest.raises(MurineError, match="is empty"):
        find_sequences([f"{file}:nothing"])
    with pytest.raises(MurineError, match="Linear fails on an input of 3 x 224 x 224"):
        find_sequences([f"{file}:narrow"])


def test_unknown_names():
    with pytest.raises(MurineError, match="unknown network 'resnet5O'; did you mean"):
        find_sequences(["resnet5O"])
    with pytest.raises(MurineError, match="the suite 'conwell2021' has no published sequences"):
        published_sequences("suite:conwell2021")
