"""`murine models` and `murine models plan`, as a user sees them."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("unchecked")


def test_help_tells_of_both(murine):
    ran = murine("models", "--help")
    assert ran.code == 0
    assert "Examples:" in ran.out
    assert " plan " in ran.out
    for command in ("list", "plan"):
        assert "Examples:" in murine("models", command, "--help").out


def test_listing_is_what_is_done_without_a_command(murine):
    plain = murine("models", "vgg1?", "--format", "json")
    assert plain.rows == murine("models", "list", "vgg1?", "--format", "json").rows
    assert [row["network"] for row in plain.rows] == ["vgg11", "vgg13", "vgg16", "vgg19"]
    sixteen = plain.rows[2]
    assert (sixteen["parameters"], sixteen["depth"], sixteen["input_size"]) == (138357544, 16, "224x224")
    assert (sixteen["task"], sixteen["data"], sixteen["year"]) == ("classification", "in1k", 2014)
    assert "built with timm" in sixteen["sources"]
    assert murine("models", "--format", "json", "vgg1?").rows == plain.rows


def test_properties_filter(murine):
    rows = murine("models", "torchvision:*", "--family", "resnet", "--max-parameters", "30M", "--format", "json").rows
    assert {row["network"] for row in rows} == {
        f"torchvision:{name}" for name in ("resnet18", "resnet34", "resnet50", "resnext50_32x4d")
    }
    dino = murine("models", "vit_small*", "--pretrained", "--task", "self-supervised (dino)", "--format", "json").rows
    assert {row["network"] for row in dino} == {"vit_small_patch16_224.dino", "vit_small_patch8_224.dino"}
    assert all(row["top1"] == "" for row in dino)
    weights = murine("models", "alexnet", "--pretrained", "--format", "json").rows
    assert [row["network"] for row in weights] == ["torchvision:alexnet.IMAGENET1K_V1"]
    assert [row["source"] for row in murine("models", "gabor", "--format", "json").rows] == ["control"]


def test_suites_are_listed_with_what_is_missing(murine):
    ran = murine("models", "--suite", "neurn44", "--format", "json")
    assert len(ran.rows) == 41
    assert next(row["network"] for row in ran.rows if row["member"] == "CORnet") == "hub:cornet_s"
    assert ran.err.startswith("not available: nasnetMobile (timm and torchvision have the large NASNet-A only); ")
    few = murine("models", "resnetv2*", "--suite", "neurn44", "--format", "csv").out.splitlines()
    assert [line.split(",")[1] for line in few] == ["network", "resnetv2_50", "resnetv2_101", "resnetv2_152"]
    table = murine("models", "--suite", "conwell2021", "--max-parameters", "2M").out
    assert "torchvision:squeezenet1_0" in table
    assert "1.25M" in table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rezzznet",), "no network matches 'rezzznet'"),
        (("--suite", "neurn45"), "there is no suite 'neurn45'; did you mean neurn44?"),
        (("vgg*", "--family", "vgb"), "none of the 8 networks is left; did you mean vgg? Families: vgg;"),
        (("vgg*", "--task", "dreaming"), "none of the 8 networks is left. Families: vgg; tasks: classification"),
        (("vgg*", "--max-parameters", "many"), "--max-parameters 'many' is not understood; expected a number, as 5M"),
        (("plan", "resnet1000"), "unknown network 'resnet1000'; did you mean"),
        (("plan", "resnet18", "--memory", "lots"), "--memory 'lots' is not understood"),
        (("plan", "resnet18", "--layers", "lair*", "--input-size", "32"), "no module matches 'lair*'; did you mean"),
        (
            ("plan", "torchvision:inception_v3", "--input-size", "64"),
            "cannot be run without numbers on images of 3 x 64 x 64",
        ),
    ],
)
def test_what_does_not_work_says_so(murine, arguments, message):
    ran = murine("models", *arguments)
    assert ran.code == 2
    assert message in ran.err


def test_a_plan_tells_cost_and_refuses_what_does_not_fit(murine):
    ran = murine("models", "plan", "resnet18", "test_vit+neurn(k=3)@input", "--input-size", "64", "--format", "json")
    assert (ran.code, [row["network"] for row in ran.rows]) == (0, ["resnet18", "test_vit+neurn(k=3)@input"])
    row = ran.rows[0]
    assert (row["input_size"], row["parameters"], row["layers"], row["fits"]) == ("64x64", "11.7M", 94, True)
    assert row["gflops"] == pytest.approx(0.297, abs=0.001)
    assert row["total_s"] == pytest.approx(row["forward_s"] + row["kernels_s"] + row["scoring_s"], abs=0.02)
    assert row["total_s"] > 0
    assert "100 images of simulated cortex" in ran.err
    small = murine("models", "plan", "resnet18", "--input-size", "64", "--memory", "50M", "--metric", "none", "-q")
    assert small.code == 2
    assert "resnet18" in small.out
    assert small.err.startswith("murine: memory does not suffice for resnet18: give a smaller --input-size or fewer ")
    assert small.err.count("\n") == 1
