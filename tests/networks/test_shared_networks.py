"""The trained networks of the folder of data against what their sources say of them."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from murine import MurineError, load_network
from murine.networks.cifar_resnet import OptionA
from murine.networks.layer_tables import layer
from murine.networks.sources.shared_networks import SHARED_NETWORKS, build_shared

# Parameters, native input and classes, as in the READMEs of the data; None for trunks without classes.
NETWORKS: dict[str, tuple[int, int, int | None]] = {
    "squeezenet": (1_248_424, 227, 1000),
    "mobilenet_v1_025": (467_593, 128, 1001),
    "mobilenet_v1_05": (1_326_633, 160, 1001),
    "mobilenet_v1_075": (2_578_121, 192, 1001),
    "mobilenet_v1_pose": (1_213_920, 192, None),
    "mobilenet_v2": (3_489_097, 224, 1001),
    "mobilenet_v2_retrained": (3_489_097, 224, 1001),
    "mobilenet_v2_birds": (3_442_981, 224, 965),
    "mobilenet_v2_insects": (3_515_998, 224, 1022),
    "mobilenet_v2_segmentation": (1_795_936, 224, None),
    "mobilenet_v1_person": (210_850, 96, 2),
    "resnet8_cifar10": (77_706, 32, 10),
    "resnet20_cifar10": (269_722, 32, 10),
    "efficientnet_lite0": (4_652_008, 224, 1000),
}
# Networks that are stored as tables without names, with the size at which the tables give shapes.
TABLES = {name: (side, side) for name, (_, side, _) in NETWORKS.items()}
TABLES |= {"mobilenet_v1_pose": (353, 481), "mobilenet_v2_segmentation": (513, 513)}
for named in ("squeezenet", "resnet20_cifar10", "efficientnet_lite0"):
    del TABLES[named]


@pytest.fixture(scope="module")
def data(shared_data: Path) -> Iterator[Path]:
    """The folder of data, which the networks are told of."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MURINE_SHARED", str(shared_data))
        yield shared_data


def pictures(paths: list[Path], side: int) -> Tensor:
    """Return pictures of 0 to 255, squeezed into a square, as three channels (n, 3, side, side)."""
    resized = []
    for path in paths:
        with Image.open(path) as image:
            pixels = torch.from_numpy(np.array(image.convert("RGB"))).float().permute(2, 0, 1)[None]
        resized.append(F.interpolate(pixels, (side, side), mode="bilinear", antialias=True))
    return torch.cat(resized)


def preprocessed(images: Tensor, cfg: dict[str, Any]) -> Tensor:
    """Return RGB images of 0 to 255 as the ``default_cfg`` asks."""
    if cfg.get("channel_order") == "BGR":
        images = images.flip(1)
    mean, std = (torch.tensor(cfg[key])[:, None, None] for key in ("mean", "std"))
    return (images / 255 - mean) / std


@torch.inference_mode()
def probabilities(network: Any, images: Tensor, softmax: bool = False) -> Tensor:
    output: Tensor = network(preprocessed(images, network.default_cfg))
    return output.softmax(1) if softmax else output


def leaf_outputs(network: nn.Module, images: Tensor) -> list[tuple[str, nn.Module, Tensor]]:
    """Return name, module and output of every leaf module, in the order they ran."""
    seen: list[tuple[str, nn.Module, Tensor]] = []
    for name, module in network.named_modules():
        if not list(module.children()):
            module.register_forward_hook(lambda m, _, out, name=name: seen.append((name, m, out)))
    with torch.inference_mode():
        network(images)
    return seen


def scenes(data: Path, numbers: list[int], side: int) -> Tensor:
    folder = data / "allen_natural_scenes" / "scenes"
    return pictures([folder / f"scene_{number:03d}.png" for number in numbers], side)


def names(path: Path, classes: Tensor) -> list[str]:
    lines = path.read_text().splitlines()
    return [lines[c].split(",")[0] for c in classes.tolist()]


# Without the data -----------------------------------------------------------------------------------------


def test_missing_data_says_what_was_looked_for_and_what_to_do(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MURINE_SHARED", str(tmp_path))
    with pytest.raises(MurineError, match=r"found no data in .*MURINE_SHARED"):
        build_shared("mobilenet_v2")
    (tmp_path / "allen_natural_scenes").mkdir()
    with pytest.raises(MurineError, match=r"mobilenet_v2_1\.0_224_imagenet\.layers\.csv' is missing"):
        build_shared("mobilenet_v2")


def test_a_file_that_was_cut_off_is_refused(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "allen_natural_scenes").mkdir()
    shutil.copytree(data / "pretrained_nets", tmp_path / "pretrained_nets")
    weights = tmp_path / "pretrained_nets" / "resnet8_cifar10.npz"
    weights.chmod(0o644)
    weights.write_bytes(weights.read_bytes()[:-100])
    monkeypatch.setenv("MURINE_SHARED", str(tmp_path))
    with pytest.raises(MurineError, match=r"resnet8_cifar10\.npz' is not the published file: its SHA-256 is"):
        build_shared("resnet8_cifar10")


@pytest.mark.parametrize("name", SHARED_NETWORKS)
def test_networks_are_known_by_name(data: Path, name: str) -> None:
    trained, random = load_network(f"shared:{name}"), load_network(f"shared:{name}@random:1")
    assert (trained.weights, random.weights) == ("pretrained", "random:1")
    assert trained.preprocessing.input_size == SHARED_NETWORKS[name].config["input_size"][1:]
    with pytest.raises(MurineError, match="have the digest sha256:"):
        load_network(f"shared:{name}@sha256:{'0' * 64}")


@pytest.mark.parametrize(
    ("size", "kernel", "before"),
    [(8, 3, 0), (7, 3, 1), (8, 7, 2), (7, 7, 3), (8, 2, 0), (7, 2, 0), (8, 1, 0), (7, 1, 0)],
)
def test_same_padding_is_tensorflows(size: int, kernel: int, before: int) -> None:
    """Direct sums over the windows, which start ``before`` pixels before the picture."""
    rng = np.random.default_rng(size * kernel)
    image = rng.normal(size=(2, size, size)).astype(np.float32)
    weight = rng.normal(size=(3, 2, kernel, kernel)).astype(np.float32)
    row = {"op": "conv", "weight": "w", "stride": "2", "padding": "same", "groups": "1"}
    convolution = layer(row, {"w": torch.from_numpy(weight)})
    convolution.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.zeros(3)})

    outputs = -(-size // 2)
    expected = np.zeros((3, outputs, outputs))
    for i, j in np.ndindex(outputs, outputs):
        for u, v in np.ndindex(kernel, kernel):
            y, x = 2 * i - before + u, 2 * j - before + v
            if 0 <= y < size and 0 <= x < size:
                expected[:, i, j] += weight[:, :, u, v] @ image[:, y, x]

    found = convolution(torch.from_numpy(image)[None])[0].detach().numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_pooling_rounds_up() -> None:
    """At its native size SqueezeNet leaves nothing to round, at others it does: (30 - 3) / 2 + 1 = 14.5."""
    pool = layer({"op": "maxpool3_stride2_ceil", "weight": ""}, {})
    assert pool(torch.rand(1, 2, 30, 29)).shape == (1, 2, 15, 14)


def test_option_a_takes_every_second_pixel_and_adds_empty_channels() -> None:
    images = torch.rand(2, 16, 9, 8)
    found = OptionA()(images)
    assert found.shape == (2, 32, 5, 4)
    assert torch.equal(found[:, 8:24], images[:, :, ::2, ::2])
    assert not found[:, :8].any()
    assert not found[:, 24:].any()


# Architecture ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_and_input_are_those_of_the_readme(data: Path, name: str) -> None:
    parameters, side, _ = NETWORKS[name]
    network = build_shared(name)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert all(p.dtype == torch.float32 and p.requires_grad for p in network.parameters())
    cfg = network.default_cfg
    assert cfg["input_size"] == (3, side, side)
    assert (cfg["interpolation"], cfg["crop_pct"]) == ("bicubic" if "efficient" in name else "bilinear", 1.0)
    assert cfg["task"]
    assert cfg["training_data"]
    assert cfg.get("channel_order", "RGB") == ("BGR" if name == "squeezenet" else "RGB")


@pytest.mark.parametrize(
    ("name", "black", "white"),
    [
        ("squeezenet", (-104, -117, -123), (151, 138, 132)),
        ("mobilenet_v1_025", (-1, -1, -1), (127 / 128,) * 3),
        ("mobilenet_v2_birds", (-1, -1, -1), (127 / 128,) * 3),
        ("mobilenet_v1_person", (0, 0, 0), (1, 1, 1)),
        ("resnet8_cifar10", (0, 0, 0), (255, 255, 255)),
        (
            "resnet20_cifar10",
            (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225),
            (0.515 / 0.229, 0.544 / 0.224, 2.64),
        ),
    ],
)
def test_preprocessing_gives_the_numbers_of_the_readme(
    data: Path, name: str, black: tuple[float, ...], white: tuple[float, ...]
) -> None:
    cfg = build_shared(name, pretrained=False).default_cfg
    for value, expected in ((0.0, black), (255.0, white)):
        found = preprocessed(torch.full((1, 3, 1, 1), value), cfg).flatten()
        torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float32), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", TABLES)
def test_shapes_and_order_are_those_of_the_table(data: Path, name: str) -> None:
    about = SHARED_NETWORKS[name]
    with (data / f"{about.file}.layers.csv").open(newline="") as lines:
        expected = [(row["op"], row["out_hw"]) for row in csv.DictReader(lines) if "x" in row["out_hw"]]
    kinds = {"Add": "add", "AdaptiveAvgPool2d": "avgpool_global", "Linear": "linear"}
    found = []
    for _, module, output in leaf_outputs(build_shared(name), torch.zeros(1, 3, *TABLES[name])):
        kind = kinds.get(type(module).__name__)
        if isinstance(module, nn.Conv2d):
            kind = "dwconv" if module.groups > 1 else "conv"
        if kind:
            channels, *size = output.shape[1:]
            found.append((kind, "x".join(map(str, [*size, channels]))))
    assert [line for line in found if line[0] != "linear"] == expected[: about.n_rows]


def test_squeezenet_has_the_shapes_of_the_paper(data: Path) -> None:
    shapes = {
        n: tuple(out.shape[1:]) for n, _, out in leaf_outputs(build_shared("squeezenet"), torch.zeros(1, 3, 227, 227))
    }
    expected = {
        "conv1": (96, 111, 111),
        "pool1": (96, 55, 55),
        "fire2.concat": (128, 55, 55),
        "fire4.concat": (256, 55, 55),
        "pool4": (256, 27, 27),
        "fire8.concat": (512, 27, 27),
        "pool8": (512, 13, 13),
        "fire9.concat": (512, 13, 13),
        "conv10": (1000, 15, 15),  # padding 1 around a 1 x 1 convolution
        "pool10": (1000, 1, 1),
    }
    assert {name: shapes[name] for name in expected} == expected


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "efficientnet_lite0"])
def test_modules_run_once_in_the_order_of_their_names(data: Path, name: str) -> None:
    network = build_shared(name)
    ran = [module_name for module_name, _, _ in leaf_outputs(network, torch.zeros(1, 3, 64, 64))]
    assert ran == [n for n, module in network.named_modules() if not list(module.children())]


def test_hooks_see_convolution_and_activation_apart(data: Path) -> None:
    outputs = {n: out for n, _, out in leaf_outputs(build_shared("mobilenet_v2"), torch.randn(1, 3, 64, 64))}
    before, after = outputs["block_03.depthwise"], outputs["block_03.depthwise_relu6"]
    assert before.min() < 0
    assert torch.equal(after, before.clamp(0, 6))


def test_a_block_gives_the_output_of_its_last_layer(data: Path) -> None:
    network = build_shared("squeezenet")
    seen: dict[str, Tensor] = {}
    for name in ("fire2", "fire2.concat", "fire2.expand1x1_relu", "fire2.expand3x3_relu"):
        network.get_submodule(name).register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: out}))
    with torch.inference_mode():
        network(torch.randn(1, 3, 64, 64))
    assert torch.equal(seen["fire2"], seen["fire2.concat"])
    branches = [seen["fire2.expand1x1_relu"], seen["fire2.expand3x3_relu"]]
    assert torch.equal(seen["fire2"], torch.cat(branches, dim=1))


@pytest.mark.parametrize("name", NETWORKS)
@torch.inference_mode()
def test_any_size_batch_and_memory_format(data: Path, name: str) -> None:
    network = build_shared(name)
    images = preprocessed(255 * torch.rand(3, 3, 64, 75), network.default_cfg)
    output = network(images)
    if (classes := NETWORKS[name][2]) is not None:
        assert output.shape == (3, classes)
    torch.testing.assert_close(network(images[:1]), output[:1], rtol=1e-4, atol=1e-4)
    last = images.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(network(last), output, rtol=1e-4, atol=1e-4)


# Weights --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "efficientnet_lite0"])  # that has timm's rule
def test_random_weights_come_from_torchs_generator_alone(data: Path, name: str) -> None:
    def with_seed(seed: int) -> dict[str, Tensor]:
        torch.manual_seed(seed)
        state: dict[str, Tensor] = build_shared(name, pretrained=False).state_dict()
        return state

    first, again, other = with_seed(0), with_seed(0), with_seed(1)
    shapes = {key: value.shape for key, value in build_shared(name).state_dict().items()}
    assert {key: value.shape for key, value in first.items()} == shapes
    assert all(torch.equal(first[key], again[key]) for key in first)
    drawn = [key for key, value in first.items() if value.ndim > 1]
    assert not any(torch.equal(first[key], other[key]) for key in drawn)
    for key, value in first.items():
        if value.ndim > 1 and value.numel() > 10_000:
            fan_in = value[0].numel()
            assert value.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.05)
        elif key.endswith("bias"):
            assert not value.any()


def test_quantised_weights_go_back_to_the_stored_integers(data: Path) -> None:
    folder = data / "pretrained_nets"
    with (folder / "mobilenet_v2_1.0_224_imagenet.layers.csv").open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["weight"]]
    layers = [m for m in build_shared("mobilenet_v2").modules() if isinstance(m, nn.Conv2d)]
    with np.load(folder / "mobilenet_v2_1.0_224_imagenet.npz", allow_pickle=False) as arrays:
        for row, module in zip(rows, layers, strict=True):
            steps = module.weight.detach().double().numpy() / float(row["weight_scale"])
            integers = steps + int(row["weight_zero_point"])
            np.testing.assert_allclose(integers, arrays[row["weight"]], atol=1e-3)
            assert module.bias is not None
            assert np.array_equal(module.bias.detach().numpy(), arrays[row["bias"]])


def test_resnet20_holds_the_file_and_no_more(data: Path) -> None:
    stored = load_file(data / "pretrained_nets" / "resnet20_cifar10.safetensors")
    state = build_shared("resnet20_cifar10").state_dict()
    assert {key for key in state if not key.endswith("num_batches_tracked")} == set(stored)
    assert all(torch.equal(state[key], value) for key, value in stored.items())


def test_two_thirds_of_squeezenet_are_zero(data: Path) -> None:
    zeros = sum(int((p == 0).sum()) for p in build_shared("squeezenet").parameters())
    assert zeros / NETWORKS["squeezenet"][0] == pytest.approx(2 / 3, abs=0.02)


# What they see --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "percent"), [("resnet20_cifar10", 81.35), ("resnet8_cifar10", 76.4)])
def test_cifar_accuracy_is_that_of_the_readme(data: Path, name: str, percent: float) -> None:
    with np.load(data / "cifar10_test_subset" / "cifar10_test_2000_jpeg.npz", allow_pickle=False) as file:
        stream, offsets, labels = file["jpeg_bytes"].tobytes(), file["offsets"], file["labels"]
    pixels = [np.asarray(Image.open(io.BytesIO(stream[start:end]))) for start, end in pairwise(offsets)]
    images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float()
    network = build_shared(name)
    found = torch.cat([probabilities(network, batch).argmax(1) for batch in torch.split(images, 250)])
    assert 100 * (found.numpy() == labels).mean() == pytest.approx(percent, abs=0.2)


def test_squeezenet_names_the_animals_of_the_readme(data: Path) -> None:
    expected = {4: "albatross", 8: "tusker", 10: "tiger", 11: "tiger", 19: "black grouse", 29: "red wolf"}
    expected |= {49: "great grey owl", 50: "timber wolf", 51: "bittern", 58: "great grey owl"}
    images = scenes(data, list(expected), 227)
    best, classes = probabilities(build_shared("squeezenet"), images, softmax=True).max(1)
    # Class c is line c + 2 of the file, which starts with the background.
    assert names(data / "pretrained_nets" / "imagenet_1001_labels.txt", classes + 1) == list(expected.values())
    assert best.min() >= 0.44


def test_squeezenet_takes_husky_pups_for_huskies(data: Path) -> None:
    """Which of two sledge dogs comes first depends on the resizing, and the README does not give its own."""
    scores = probabilities(build_shared("squeezenet"), scenes(data, [33], 227))[0]
    found = names(data / "pretrained_nets" / "imagenet_1001_labels.txt", scores.topk(3).indices + 1)
    assert {"malamute", "Eskimo dog"} <= set(found)


@pytest.mark.parametrize("name", ["mobilenet_v1_05", "mobilenet_v2"])
def test_mobilenets_name_clear_animals(data: Path, name: str) -> None:
    expected = {4: "albatross", 10: "tiger", 11: "tiger", 50: "timber wolf", 51: "bittern"}
    classes = probabilities(build_shared(name), scenes(data, list(expected), NETWORKS[name][1])).argmax(1)
    assert names(data / "pretrained_nets" / "imagenet_1001_labels.txt", classes) == list(expected.values())


def test_the_smallest_mobilenet_names_some_animals(data: Path) -> None:
    classes = probabilities(build_shared("mobilenet_v1_025"), scenes(data, [4, 11, 50], 128)).argmax(1)
    found = names(data / "pretrained_nets" / "imagenet_1001_labels.txt", classes)
    assert found == ["albatross", "tiger", "timber wolf"]


def test_the_bird_network_sees_birds_in_birds_alone(data: Path) -> None:
    birds, mammals = [4, 19, 58], [8, 10, 11, 29, 33]
    classes = probabilities(build_shared("mobilenet_v2_birds"), scenes(data, birds + mammals, 224)).argmax(1)
    found = names(data / "pretrained_nets" / "inat_bird_labels.txt", classes)
    assert "background" not in found[: len(birds)]
    assert set(found[len(birds) :]) == {"background"}


def test_the_person_network_sees_nobody_where_nobody_is(data: Path) -> None:
    paths = sorted((data / "bsds_backgrounds").glob("*.jpg"))
    assert len(paths) == 16
    assert probabilities(build_shared("mobilenet_v1_person"), pictures(paths, 96))[:, 1].max() < 0.5


@pytest.mark.parametrize("name", ["squeezenet", "mobilenet_v2"])
def test_colours_are_in_the_right_order(data: Path, name: str) -> None:
    """A network is surer of colour photographs with red and blue in the order of its training."""
    images = pictures(sorted((data / "bsds_backgrounds").glob("*.jpg")), NETWORKS[name][1])
    network = build_shared(name)
    softmax = name == "squeezenet"
    right, swapped = (probabilities(network, x, softmax).amax(1).mean() for x in (images, images.flip(1)))
    assert right > swapped + 0.03


def test_networks_of_other_trainings_agree_on_photographs(data: Path) -> None:
    """By the README, EfficientNet names the same as MobileNet V2 (retrained) on 11 of 16 pictures and as V1 0.75 on 12.

    The resizing there is not known, so a few may differ. Class c of EfficientNet is class c + 1 of the others, which
    start with the background.
    """
    paths = sorted((data / "bsds_backgrounds").glob("*.jpg"))
    found = {}
    for name in ("efficientnet_lite0", "mobilenet_v2_retrained", "mobilenet_v1_075"):
        images = pictures(paths, NETWORKS[name][1])
        found[name] = probabilities(build_shared(name), images, softmax=name == "efficientnet_lite0").argmax(1)
    best = found["efficientnet_lite0"] + 1
    assert (best == found["mobilenet_v2_retrained"]).sum() >= 8
    assert (best == found["mobilenet_v1_075"]).sum() >= 8


def test_dilated_layers_are_those_of_the_table(data: Path) -> None:
    network = build_shared("mobilenet_v2_segmentation")
    dilated = [name for name, module in network.named_modules() if getattr(module, "dilation", 1) == (2, 2)]
    assert dilated == ["block_15.depthwise", "block_16.depthwise", "block_17.depthwise"]


def test_random_twins_by_pytorchs_rule(data: Path) -> None:
    """PyTorch draws convolutions uniformly within 1 / sqrt(fan in): a standard deviation of sqrt(1 / (3 fan in))."""
    name = "shared:mobilenet_v2@random:4"
    own, torchs, again = (load_network(text).module.state_dict() for text in (name, *[f"{name}:torch"] * 2))
    key = next(key for key, value in own.items() if value.ndim == 4 and value.numel() > 10_000)
    fan_in = own[key][0].numel()
    assert own[key].std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.05)
    assert torchs[key].std().item() == pytest.approx((1 / (3 * fan_in)) ** 0.5, rel=0.05)
    assert torchs[key].abs().max().item() <= fan_in**-0.5
    assert all(torch.equal(torchs[key], again[key]) for key in torchs)
    assert load_network(f"{name}:torch").weights == "random:4:torch"
    with pytest.raises(MurineError, match="expected random:SEED, for example random:0, or random:0:torch"):
        load_network(f"{name}:keras")
