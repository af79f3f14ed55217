"""Contenders and augmentations, against Pillow and by what they promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from murine.errors import MurineError
from murine.generalization import augmentation
from murine.generalization import trained_networks as factories
from murine.generalization.architectures import architectures
from murine.generalization.augmentation import augmentations
from murine.generalization.conv_space import ConvSpace
from murine.generalization.network_builder import build
from murine.generalization.variants import apply_variant, variant_named, variants
from murine.networks import weights, zoo
from murine.networks.surgery.neurn import neurn
from murine.networks.surgery.rival_layers import layers


def pictures(n=6, side=32):
    """8-bit colour images that do not reach black and white."""
    rng = np.random.default_rng(0)
    smooth = rng.normal(size=(n, side, side, 3)).cumsum(axis=1).cumsum(axis=2)
    low, high = smooth.min(axis=(1, 2, 3), keepdims=True), smooth.max(axis=(1, 2, 3), keepdims=True)
    return np.rint(40 + 170 * (smooth - low) / (high - low)).astype(np.uint8)


def as_tensor(images):
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize(
    ("ours", "pillows", "tolerance"),
    [
        (augmentation._autocontrast, ImageOps.autocontrast, 1.01),
        (augmentation._equalised, ImageOps.equalize, 0.01),
        (lambda x, level: augmentation._posterised(x, level), lambda im: ImageOps.posterize(im, 3), 0.01),
        (lambda x, level: augmentation._solarised(x, level), lambda im: ImageOps.solarize(im, 192), 0.01),
    ],
    ids=["autocontrast", "equalise", "posterise", "solarise"],
)
def test_operations_are_pillows(ours, pillows, tolerance):
    """To a level of 255, or to the last bit; dark images with a bright spot and flat ones too."""
    images = pictures(4)
    images[1] = images[1] // 9
    images[1, 3, 3] = 255
    images[2, ..., 1] = 77
    level = torch.full((len(images),), 2.5)  # of 10: 3 bits are left, and what is above 191.25 turns
    found = 255 * ours(as_tensor(images), level).permute(0, 2, 3, 1).numpy()
    expected = np.stack([np.asarray(pillows(Image.fromarray(image))) for image in images])
    assert np.abs(found - expected).max() <= tolerance


@pytest.mark.parametrize(
    ("kind", "pillows"),
    [
        (0, lambda im: im.rotate(-7, Image.Resampling.BILINEAR)),  # of 7.5 degrees
        (1, lambda im: affine(im, (1, 0.075, 0, 0, 1, 0))),
        (2, lambda im: affine(im, (1, 0, 0, 0.075, 1, 0))),
        (3, lambda im: affine(im, (1, 0, 2, 0, 1, 0))),  # of 2.67 pixels
        (4, lambda im: affine(im, (1, 0, 0, 0, 1, 2))),
    ],
    ids=["rotate", "shear x", "shear y", "shift x", "shift y"],
)
def test_movements_are_pillows(kind, pillows):
    """At a quarter of the most; Pillow does not blend with the black outside."""
    images = pictures()
    x = as_tensor(images)
    found = augmentation._moved(x, torch.full((len(x),), kind), torch.full((len(x),), 0.25))
    expected = np.stack([np.asarray(pillows(Image.fromarray(image))) for image in images])
    inside = (slice(None), slice(4, 26), slice(4, 26))
    assert np.abs(255 * found.permute(0, 2, 3, 1).numpy() - expected)[inside].max() < 1.5


def affine(image, numbers):
    return image.transform(image.size, Image.Transform.AFFINE, numbers, Image.Resampling.BILINEAR)


@pytest.mark.parametrize("name", list(augmentations))
def test_augmentations_are_drawn_from_the_generator(name):
    x = as_tensor(pictures(16))
    before = x.clone()
    first, again, other = (
        torch.cat([augmentations[name](x, g) for _ in range(4)])
        for g in (torch.Generator().manual_seed(seed) for seed in (1, 1, 2))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(x, before), "what was given stays"
    assert first.shape == (64, 3, 32, 32)
    assert torch.isfinite(first).all()


def test_randconv_changes_every_batch_and_keeps_the_spread():
    x = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    drawn = [augmentations["randconv"](x, generator) for _ in range(400)]
    assert not any(torch.equal(each, x) for each in drawn)
    ratio = np.mean([float((2 * each - 1).square().mean() / (2 * x - 1).square().mean()) for each in drawn])
    assert ratio == pytest.approx(2 / 3, abs=0.15)  # of both squared shares, uniform, in the mean


def test_every_contender_goes_into_lenet():
    x = as_tensor(pictures(4))
    outputs = {}
    for name, definition in contenders_items():
        built = build("lenet-small", 10, seed=0)
        digest = weights.digest(built.module)
        module, _ = apply_variant(definition, built, "lenet-small", 32)
        assert weights.digest(module) == digest, "the same weights start in every variant"
        outputs[name] = module.eval()(x).detach()
    same = [n for n, c in contenders_items() if not c.layer]
    for name, logits in outputs.items():
        assert torch.equal(logits, outputs["plain"]) == (name in same), name
    plain = build("lenet-small", 10, seed=0).module.eval()
    assert torch.equal(outputs["neurn4"], plain(neurn(x, 4)))
    inner = plain.classifier(plain.features[3:](neurn(plain.features[:3](x), 5)))
    torch.testing.assert_close(outputs["neurn5-inner"], inner)


def contenders_items():
    return [(name, variants[name]) for name in variants]


@pytest.mark.parametrize("name", list(architectures))
def test_architectures_take_small_images_and_an_inner_layer(name):
    built = build(name, 7, seed=3)
    module, variant = apply_variant(variant_named("neurn3-inner"), built, name, 32)
    assert variant == f"neurn(k=3)@after:{architectures[name].inner}"
    assert module.eval()(torch.rand(2, 3, 32, 32)).shape == (2, 7)
    again = build(name, 7, seed=3).module
    assert weights.digest(again) == weights.digest(module)
    assert weights.digest(build(name, 7, seed=4).module) != weights.digest(module)


def test_standardise_is_what_it_says():
    x = as_tensor(pictures())
    standardise = layers["standardise"]()
    y = standardise(x)
    flat = y.flatten(1)
    torch.testing.assert_close(flat.mean(dim=1), torch.zeros(len(x)), atol=1e-5, rtol=0)
    torch.testing.assert_close(flat.std(dim=1, unbiased=False), torch.ones(len(x)), atol=1e-3, rtol=0)
    torch.testing.assert_close(standardise(3 * x - 1), y, atol=1e-2, rtol=0)
    assert torch.equal(standardise(torch.full((1, 3, 8, 8), 0.7)), torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("name", list(architectures))
def test_trained_networks_see_in_the_zoo_what_they_saw_in_training(name):
    """Pixels in [0, 1] at 32 x 32, also those of timm, which carry what ImageNet's networks want."""
    preprocessing = zoo.load(f"{factories.__file__}:{name.replace('-', '_')}").preprocessing
    assert preprocessing.input_size == (32, 32)
    assert (preprocessing.mean, preprocessing.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_spelt_layers_are_contenders():
    assert variant_named("neurn(k=3)@input") == variant_named("neurn(kernel_size=3)@input")
    assert variant_named("sobel@after:layer1").place == "after:layer1"
    assert variant_named("neurn(k=7)@inner").place == "inner"


def test_space_of_networks_is_read_as_it_is_written():
    space = ConvSpace(depth=5, width=16, kernel=5, norm="layer", activation="gelu", skip=True)
    assert ConvSpace.parse(space.name) == space
    assert build(space.name, 4, seed=0).module(torch.rand(2, 3, 32, 32)).shape == (2, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: variant_named("neurn33"), "unknown variant 'neurn33'; did you mean neurn3"),
        (lambda: variant_named("nern(k=3)@input"), "unknown variant"),
        (lambda: build("lenett", 10, 0), "unknown network 'lenett'; did you mean lenet"),
        (lambda: build("inception_v3", 10, 0), "fails on images of 32 x 32 px: .* enlarge them with --prepare size="),
        (lambda: build("conv(kernel=4)", 10, 0), "odd"),
        (lambda: build("conv(depht=4)", 10, 0), "Options: depth"),
        (lambda: build("lenet", 10, 0, pretrained=True), "no pretrained weights"),
        (
            lambda: apply_variant(variant_named("neurn3-inner"), build("resnet10t", 10, 0), "resnet10t", 32),
            "name the place",
        ),
        (
            lambda: apply_variant(variant_named("neurn(k=3)@after:layr1"), build("lenet-small", 2, 0), "n", 32),
            "no module",
        ),
    ],
)
def test_what_cannot_be_says_so(call, message):
    with pytest.raises(MurineError, match=message):
        call()
