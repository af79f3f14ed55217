"""What is known of networks, held against their names, torchvision's own figures and the study's own lists."""

from __future__ import annotations

import csv
import re
from collections import Counter

import pytest
import timm
import torch
import torchvision.models
from torch import nn

from murine.errors import MurineError
from murine.networks import catalogue, zoo
from murine.networks import parameter_counts as anatomy
from murine.networks.sources.published_weights import published_weights
from murine.networks.sources.source import get_source, source_of
from murine.networks.sources.timm_models import training

SOURCES = ("torchvision", "taskonomy", "hub")


def test_the_lists_are_those_of_the_studies(shared_data):
    with (shared_data / "conwell_model_metadata" / "model_typology.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["train_type"] != "random"]
    listed = {source: {row["model"] for row in rows if row["model_source"] == source} for source in SOURCES}
    ours = Counter(member.part for member in catalogue.suite("conwell2021"))
    assert ours == {"torchvision": 31, "timm": 78}
    imagenet = {
        row["model"] for row in rows if row["model_source"] == "torchvision" and row["train_type"] == "imagenet"
    }
    assert {m.name for m in catalogue.suite("conwell2021") if m.part == "torchvision"} == imagenet
    assert {m.name for m in catalogue.suite("conwell2021") if m.part == "timm"} == {
        row["model"] for row in rows if row["model_source"] == "timm"
    }
    tasks = catalogue.suite("suite:conwell2021-tasks")
    assert {m.name for m in tasks if m.part == "taskonomy"} == listed["taskonomy"] - {"random_weights"}
    assert {m.name for m in tasks if m.part == "torchvision"} == listed["torchvision"] - imagenet
    assert len(catalogue.suite("neurn44")) == 44


@pytest.mark.parametrize("suite", catalogue.suites())
def test_a_member_has_a_network_or_a_reason(suite):
    members = catalogue.suite(suite)
    assert len({(member.part, member.name) for member in members}) == len(members)
    for member in members:
        assert bool(member.network) != bool(member.missing), member.name
        if not member.network:
            continue
        source = source_of(member.network)[0].name
        architecture, _, tag = member.network.partition(".")
        if source == "torchvision":
            weights = torchvision.models.get_model_weights(architecture.partition(":")[2])
            assert not tag or tag in weights.__members__
        elif source != "timm":
            assert member.network in published_weights()
        else:
            assert architecture in timm.list_models()
            assert not tag or member.network in timm.list_models(f"{architecture}.*", pretrained=True)


def test_a_suite_stands_for_its_members_and_tells_what_is_missing(caplog):
    with caplog.at_level("WARNING"):
        found = zoo.expand(["suite:neurn44@random:0", "torchvision:vgg16"])
    buildable = [member.network for member in catalogue.suite("neurn44") if member.network]
    assert [(choice.name, choice.weights) for choice in found] == [
        *((name, "random:0") for name in dict.fromkeys(buildable)),
        ("torchvision:vgg16", ""),
    ]
    assert "3 of the 44 of suite:neurn44 cannot be built: nasnetMobile (" in caplog.text
    assert not [r for r in caplog.records if "conwell" in r.message]
    with pytest.raises(MurineError, match=r"no suite 'neurn45'; did you mean neurn44\? Known: suite:conwell2021, "):
        zoo.expand(["suite:neurn45"])


# ------------------------------------------------------------------------------------------ properties


def test_depth_is_the_number_in_the_name():
    """Networks that their authors named after it."""
    tried = 0
    for name in catalogue.names():
        plain = name.removeprefix("torchvision:")
        number = re.fullmatch(r"(?:resnet|wide_resnet|resnext|vgg|densenet|resnetv2_)(\d+)(?:_bn|_2|_\d+x\d+d)?", plain)
        if number and plain != "resnet14":  # what else timm calls so has a stem of three
            assert catalogue.entry(name).depth == int(number[1]), name
            tried += 1
    assert tried > 50


def test_parameters_are_as_many_as_torchvision_says():
    with_heads_for_training = {
        "googlenet",
        *(n for n in get_source("torchvision").architectures() if n.startswith(("fcn_", "deeplab"))),
    }
    tried = 0
    for name in set(get_source("torchvision").architectures()) - with_heads_for_training:
        weights = torchvision.models.get_model_weights(name)
        if weights.__members__:
            assert catalogue.entry(f"torchvision:{name}").parameters == weights.DEFAULT.meta["num_params"], name
            tried += 1
    assert tried > 70


@pytest.mark.parametrize("name", ["test_vit", "mobilenetv3_small_050", "torchvision:squeezenet1_1", "taskonomy:normal"])
def test_the_table_is_what_building_gives(name):
    module, preprocessing = zoo.skeleton(name)
    entry = catalogue.entry(name)
    assert entry.parameters == sum(parameter.numel() for parameter in zoo.load(f"{name}@random:0").module.parameters())
    assert entry.depth == anatomy.depth(module, torch.empty(1, 3, *preprocessing.input_size, device="meta"))
    assert entry.input_size == preprocessing.input_size


@pytest.mark.parametrize(
    ("tag", "n_classes", "task", "data"),
    [
        ("a1_in1k", 1000, "classification", "in1k"),
        ("fb_in22k_ft_in1k", 1000, "classification", "in22k, in1k"),
        ("dino", 0, "self-supervised (DINO)", ""),
        ("lvd142m", 0, "self-supervised (DINOv2)", "lvd142m"),
        ("mae", 0, "self-supervised (MAE)", ""),
        ("fcmae_ft_in1k", 1000, "classification after self-supervised (FCMAE)", "in1k"),
        ("openai", 512, "image and text", "openai"),
        ("laion2b_ft_in12k_in1k", 1000, "classification after image and text", "laion2b, in12k, in1k"),
        ("fb_ssl_yfcc100m_ft_in1k", 1000, "classification after semi-supervised", "yfcc100m, in1k"),
        ("ns_jft_in1k", 1000, "classification after noisy student", "jft, in1k"),
        ("c2ns_in1k", 1000, "classification", "in1k"),
        ("bamboo", 0, "", ""),
    ],
)
def test_training_is_read_from_the_name_of_the_weights(tag, n_classes, task, data):
    assert training(tag, n_classes) == (task, data)


def test_what_is_not_known_is_empty_and_what_is_has_a_source():
    unknown = catalogue.entry("test_vit")
    assert (unknown.top1, unknown.year, unknown.citation) == (None, None, "")
    assert "paper" not in unknown.sources
    known = catalogue.entry("legacy_xception.tf_in1k")
    assert (known.top1, known.year, known.citation) == (79.04, 2016, "arXiv:1610.02357")
    assert re.search(
        r"built with timm [\d.]+.*paper: papers.csv.*top-1: timm results-imagenet.csv at \w+", known.sources
    )
    assert catalogue.entry("alexnet") == catalogue.entry("torchvision:alexnet")
    assert (
        catalogue.entry("alexnet").top1
        == torchvision.models.AlexNet_Weights.DEFAULT.meta["_metrics"]["ImageNet-1K"]["acc@1"]
    )
    moco = catalogue.entry("hub:moco_v2_resnet50")
    assert (moco.task, moco.year, moco.citation) == ("self-supervised", 2020, "arXiv:2003.04297")
    assert "published.csv" in moco.sources


def test_every_name_has_an_entry():
    """Without building anything; each names what it is of."""
    rows = [entry.row() for entry in catalogue.entries(catalogue.names())]
    assert len(rows) > 1400
    assert all(row["sources"] and row["source"] in ("timm", "shared", *SOURCES) for row in rows)
    with_size = [row for row in rows if row["input_size"]]
    assert len(with_size) > 0.99 * len(rows)


# ---------------------------------------------------------------------------------------------- depth


class _Branches(nn.Module):
    """Two ways of two and three convolutions; a scale that depends on the first; a convolution that shares weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 1)
        self.second = nn.Conv2d(3, 3, 1)
        self.scale = nn.Linear(3, 3, bias=False)
        self.unused = nn.Conv2d(3, 3, 1)

    def forward(self, images):
        short = self.first(images)
        long = self.second(self.second(self.first(images)))
        scale = self.scale(short.mean((2, 3)))[:, :, None, None]
        return {"both": [short + long * scale, (short.flatten(2) @ long.flatten(2).transpose(1, 2))]}


def test_depth_counts_learnt_products_on_the_longest_way():
    module = _Branches().eval()
    frozen = module.second.weight.requires_grad_(False)
    assert anatomy.depth(module, torch.zeros(2, 3, 4, 4)) == 3
    assert not frozen.requires_grad
    assert module.first.weight.requires_grad
    assert anatomy.depth(nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3)).eval(), torch.zeros(1, 3, 4, 4)) == 0
    scaled = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Flatten(), nn.Linear(48, 7), nn.Linear(7, 7))
    assert anatomy.depth(scaled, torch.zeros(1, 3, 4, 4)) == 3
    attention = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    assert anatomy.depth(nn.Sequential(nn.Flatten(2), nn.Linear(16, 8), attention), torch.zeros(2, 3, 4, 4)) == 5
