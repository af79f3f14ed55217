"""Preprocessing against torchvision and Pillow."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from pydantic import ValidationError
from torchvision.transforms import Compose, InterpolationMode, Normalize, Resize
from torchvision.transforms.functional import rgb_to_grayscale

from murine.errors import MurineError
from murine.networks import preprocessing
from murine.networks.memory import available_memory
from murine.networks.preprocessing import Preprocessing, input_size_of
from murine.scenes import photographs
from murine.stimuli import StimulusSet

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


@pytest.fixture(scope="module")
def grey():
    scenes = photographs(20, 60)[:, :50]
    return StimulusSet(scenes, tuple(map(str, range(20))))


@pytest.fixture(scope="module")
def colour(grey):
    mixed = np.stack([grey.images, grey.images[::-1], 255 - grey.images], axis=-1)
    return StimulusSet(mixed, grey.ids)


def as_tensor(stimuli):
    images = torch.tensor(stimuli.images).float() / 255
    return images[:, None].expand(-1, 3, -1, -1) if images.ndim == 3 else images.permute(0, 3, 1, 2)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize("size", [(32, 32), (24, 41), (50, 60), (96, 80), (7, 120)])
@pytest.mark.parametrize("kind", ["grey", "colour"])
def test_equals_torchvision(interpolation, size, kind, request):
    stimuli = request.getfixturevalue(kind)
    resize = Resize(size, InterpolationMode(interpolation), antialias=interpolation != "nearest")
    steps = Compose([resize, lambda x: x.clamp(0, 1), Normalize(**IMAGENET)])
    ours = Preprocessing(input_size=size, interpolation=interpolation, **IMAGENET).apply(stimuli)
    assert ours.shape == (20, 3, *size)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, steps(as_tensor(stimuli)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(24, 30), (77, 90)])
def test_equals_pillow(grey, interpolation, size):
    ours = Preprocessing(input_size=size, interpolation=interpolation).apply(grey)
    method = Image.Resampling[interpolation.upper()]
    for image, result in zip(grey.images, ours, strict=True):
        single = Image.fromarray(image.astype(np.float32))  # for bytes Pillow rounds between the directions
        expected = np.asarray(single.resize(size[::-1], method)).clip(0, 255)
        for channel in result:
            np.testing.assert_allclose(255 * channel.numpy(), expected, atol=0.01)


def test_native_size_is_the_image_itself(colour):
    ours = Preprocessing(input_size=(50, 60)).apply(colour)
    np.testing.assert_array_equal(np.rint(255 * ours.permute(0, 2, 3, 1).numpy()), colour.images)


def test_bgr_turns_the_channels_before_the_mean_is_taken(colour):
    values = {"mean": (0.1, 0.2, 0.3), "std": (1.0, 2.0, 4.0)}
    ours = Preprocessing(input_size=(50, 60), channel_order="BGR", **values).apply(colour)
    x = as_tensor(colour)
    expected = torch.stack([x[:, 2] - 0.1, (x[:, 1] - 0.2) / 2, (x[:, 0] - 0.3) / 4], dim=1)
    torch.testing.assert_close(ours, expected)


def test_an_image_does_not_depend_on_the_others(grey):
    preprocessing = Preprocessing(input_size=(33, 29))
    whole = preprocessing.apply(grey)
    for i in (0, 15, 16, 19):
        alone = preprocessing.apply(grey.select([grey.ids[i]]))
        torch.testing.assert_close(alone[0], whole[i], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["resnet18.a1_in1k", "vit_tiny_patch16_224.augreg_in21k", "inception_v3.tv_in1k"])
def test_timms_configurations_are_read(name):
    config = timm.get_pretrained_cfg(name).to_dict()
    ours = Preprocessing.from_config(config)
    assert ours.input_size == tuple(config["input_size"][-2:])
    assert (ours.mean, ours.std) == (tuple(config["mean"]), tuple(config["std"]))
    assert ours.interpolation == config["interpolation"]
    assert ours.channel_order == "RGB"


def test_the_size_can_be_replaced():
    config = {"input_size": (3, 200, 100), "interpolation": "random", "channel_order": "BGR", "crop_pct": 0.9}
    assert Preprocessing.from_config(config).input_size == (200, 100)
    assert Preprocessing.from_config(config, 64).input_size == (64, 64)
    assert Preprocessing.from_config(config, (64, 80)).input_size == (64, 80)
    assert Preprocessing.from_config(config).interpolation == "bilinear"
    assert Preprocessing.from_config(config).channel_order == "BGR"
    default = Preprocessing.from_config({})
    assert (default.input_size, default.mean, default.std) == ((224, 224), (0, 0, 0), (1, 1, 1))


@pytest.mark.parametrize(
    ("config", "size"),
    [
        ({"interpolation": "lanczos"}, None),
        ({"mean": (0.5,)}, None),
        ({"std": ("a", 1, 1)}, None),
        ({"channel_order": "RBG"}, None),
        ({"std": (0.2, 0.2)}, None),
        ({"input_size": (1, 8, 8), "mean": (0.1, 0.2, 0.3)}, None),
        ({"input_size": (3, 0, 8)}, None),
        ({"input_size": (3, "a", 8)}, None),
    ],
)
def test_what_cannot_be_done_is_refused(config, size):
    with pytest.raises(MurineError, match="the network's preprocessing cannot be used") as caught:
        Preprocessing.from_config(config, size)
    assert "pydantic" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (0, "the input size is 0; expected a number from 1 to 4096"),
        ((64, -1), "the input size is -1; expected a number from 1 to 4096"),
        ((64, 64, 64), "the input size .* is not understood"),
        ((), "the input size .* is not understood"),
        (64.5, "the input size 64.5 is not understood; expected one whole number"),
        ("64", "the input size '64' is not understood"),
        (999_999, "the input size is 999999; expected a number from 1 to 4096"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(size, message, unchecked):
    for refused in (lambda: Preprocessing.from_config({}, size), lambda: input_size_of(size)):
        with pytest.raises(MurineError, match=message):
            refused()


def test_sizes():
    assert input_size_of(None) is None
    assert input_size_of(64) == input_size_of(np.int64(64)) == input_size_of([64, 64]) == (64, 64)
    assert input_size_of((64, 80)) == (64, 80)


def test_a_size_that_does_not_fit_into_memory_is_refused(monkeypatch):
    monkeypatch.setattr(preprocessing, "available_memory", lambda: 10**9)
    assert input_size_of(4000) == (4000, 4000)
    monkeypatch.setattr(preprocessing, "available_memory", lambda: 5 * 10**8)
    with pytest.raises(MurineError, match=r"4096 x 4096 is too large: two images, .* take 0.8 GB, and 0.5 GB are"):
        input_size_of(4096)


def test_more_images_than_memory_holds_are_refused_before_any_is_made(grey):
    side = int((available_memory() / (3 * 4 * 20)) ** 0.5)  # twenty of them would fit once, but not twice
    with pytest.raises(MurineError, match=f"the input size {side} x {side} is too large: 20 images of it take"):
        Preprocessing(input_size=(side, side)).apply(grey)


# --------------------------------------------------------------------------------- one channel


@pytest.mark.parametrize("kind", ["grey", "colour"])
def test_networks_of_one_channel_see_luminance(kind, request):
    stimuli = request.getfixturevalue(kind)
    ours = Preprocessing.from_config({"input_size": (1, 50, 60), "mean": (0.4,), "std": (0.2,)})
    assert ours.n_channels == 1
    shown = ours.apply(stimuli)
    assert shown.shape == (20, 1, 50, 60)
    for image, result in zip(stimuli.images, shown, strict=True):
        expected = np.asarray(Image.fromarray(image).convert("L"), float) / 255  # Pillow rounds to bytes
        np.testing.assert_allclose(result[0].numpy() * 0.2 + 0.4, expected, atol=0.51 / 255)
    torch.testing.assert_close(shown * 0.2 + 0.4, rgb_to_grayscale(as_tensor(stimuli)), rtol=0, atol=3e-4)


def test_grey_images_enter_one_channel_as_they_are(grey):
    ours = Preprocessing.from_config({}, (50, 60), 1)
    assert (ours.mean, ours.std) == ((0,), (1,))
    np.testing.assert_array_equal(np.rint(255 * ours.apply(grey)[:, 0].numpy()), grey.images)


def test_other_numbers_of_channels_are_refused():
    with pytest.raises(MurineError, match=r"takes images of 4 channels; expected 3 \(RGB\) or 1 \(grey\)"):
        Preprocessing.from_config({"input_size": (4, 8, 8)})
    with pytest.raises(ValidationError, match="mean has 2 values and std 2"):
        Preprocessing(input_size=(8, 8), mean=(0.0, 0.0), std=(1.0, 1.0))


def test_unknown_settings_and_changes_are_refused():
    with pytest.raises(ValidationError, match="crop"):
        Preprocessing(input_size=(8, 8), crop=0.9)
    preprocessing = Preprocessing(input_size=(8, 8))
    with pytest.raises(ValidationError, match="frozen"):
        preprocessing.input_size = (9, 9)
