"""Eight small trained networks, as examples of bringing your own network to murine.

murine takes any function that returns a PyTorch module, named as ``path/to/file.py:function``::

    murine score examples/trained_networks.py:squeezenet --against allen-neuropixels

Without arguments the function returns the trained network, with ``pretrained=False`` the same architecture
with random weights, drawn from torch's global generator, which the caller seeds. What the network wants to
see is in the module's ``default_cfg``, in timm's convention; murine does the preprocessing.

Modules are named by their place (``block_03.depthwise``); blocks are modules too. Tables and weights are read
from ``pretrained_nets`` in ``../shared/data`` beside the repository, or where MURINE_SHARED says.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby, pairwise, zip_longest
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

Row = dict[str, str]  # one line of a layer table, by column
Config = dict[str, object]  # timm's default_cfg


def stored(filename: str) -> Path:
    """Return the path of a file of the data folder ``pretrained_nets``."""
    given = os.environ.get("MURINE_SHARED")
    shared = Path(given) if given else Path(__file__).resolve().parents[2] / "shared"
    places = [shared / "data" / "pretrained_nets", shared / "pretrained_nets"]
    if found := [place / filename for place in places if (place / filename).is_file()]:
        return found[0]
    raise FileNotFoundError(
        f"The example networks need {filename}, which is neither in {places[0]} nor in {places[1]}. "
        "Set the environment variable MURINE_SHARED to the folder that holds data/pretrained_nets."
    )


def with_flatten(rows: Sequence[Row]) -> Iterator[Row]:
    """Add what some tables leave out: flattening between the global average and a linear layer or the end."""
    for row, after in zip_longest(rows, rows[1:]):
        yield row
        if row["op"] == "avgpool_global" and (after is None or after["op"] == "linear"):
            yield dict.fromkeys(row, "") | {"op": "reshape", "inputs": row["output"], "output": row["output"]}


def dequantised(weight: Tensor, row: Row) -> Tensor:
    """Return the real weight: (stored - zero point) * scale where the table gives them, else as stored."""
    return (weight.float() - float(row.get("weight_zero_point") or 0)) * float(row.get("weight_scale") or 1)


# Most tables only number their layers, but the blocks are plain to see once each operation is one letter:
# "cdca" is an inverted residual block, which expands, convolves in depth, projects and adds its input.
LETTERS = {"conv": "c", "dwconv": "d", "add": "a", "avgpool_global": "p", "linear": "l"}
LETTERS |= {"reshape": "f", "squeeze": "f", "softmax": "s"}
BLOCKS = {
    "dc": ["depthwise", "pointwise"],
    "cdc": ["expand", "depthwise", "project"],
    "cdca": ["expand", "depthwise", "project", "add"],
    "cca": ["conv1", "conv2", "add"],
    "ccca": ["conv1", "conv2", "shortcut", "add"],
}
SINGLE = {"c": "classifier", "l": "classifier", "p": "avgpool", "f": "flatten", "s": "softmax"}


def names_from_operations(rows: Sequence[Row]) -> Iterator[str]:
    """Name layers by their part in the network: ``stem``, ``block_01.depthwise``, ..., ``classifier``."""
    operations = "".join(LETTERS[row["op"]] for row in rows)
    blocks = 0
    yield "stem"
    for match in re.finditer(r"c?dca?|cc?ca|(?P<head>c(?=p))|.", operations[1:]):
        if parts := BLOCKS.get(match[0]):
            blocks += 1
            yield from (f"block_{blocks:02}.{part}" for part in parts)
        else:
            yield "head" if match["head"] else SINGLE[match[0]]


def names_from_weights(rows: Sequence[Row]) -> Iterator[str]:
    """Name layers by their weights; one without any by what it follows (``fire2.concat``, ``pool4``)."""
    block = ""
    for row in rows:
        pool = "pool" + re.sub(r"\D", "", block)
        unnamed = {"concat": f"{block}.concat", "reshape": "flatten"}.get(row["op"], pool)
        name = row["weight"].removesuffix(".weight") or unnamed
        block = name.partition(".")[0]
        yield name


class Add(nn.Module):
    """Sum of two branches, as a module so that hooks see it."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return left + right


class Concat(nn.Module):
    """Channels of the branches side by side, as a module so that hooks see it."""

    def forward(self, *branches: Tensor) -> Tensor:
        return torch.cat(branches, dim=1)


MODULES: dict[str, Callable[[], nn.Module]] = {
    "add": Add,
    "concat": Concat,
    "maxpool3_stride2_ceil": partial(nn.MaxPool2d, 3, stride=2, ceil_mode=True),
    "avgpool_global": partial(nn.AdaptiveAvgPool2d, 1),
    "reshape": nn.Flatten,
    "squeeze": nn.Flatten,
    "softmax": partial(nn.Softmax, dim=1),
    # Never in place: a hook on the convolution must see what the convolution gave.
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
}


class StridedSame(nn.Conv2d):
    """Convolution with TensorFlow's padding "same", which torch knows for stride 1 alone: the odd pixel goes last."""

    def forward(self, input: Tensor) -> Tensor:
        padding: list[int] = []
        for length, size, stride in zip(input.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            missing = max((-(-length // stride) - 1) * stride + size - length, 0)
            padding += [missing // 2, missing - missing // 2]
        return super().forward(F.pad(input, padding))


def layer(row: Row, arrays: dict[str, Tensor]) -> nn.Module:
    """Return the module of one row, without its activation."""
    if not row["weight"]:
        return MODULES[row["op"]]()
    outputs, inputs, *kernel = arrays[row["weight"]].shape
    if row["op"] == "linear":
        return nn.Linear(inputs, outputs)
    stride, groups, size = int(row["stride"]), int(row["groups"]), (kernel[0], kernel[1])
    padding = int(row["padding"]) if row["padding"].isdigit() else row["padding"]
    if padding == "same" and stride > 1:
        return StridedSame(inputs * groups, outputs, size, stride, groups=groups)
    return nn.Conv2d(inputs * groups, outputs, size, stride, padding, groups=groups)


class LayerTable(nn.Module):
    """A network that runs the rows of a layer table; rows whose names share a prefix make a nested block."""

    default_cfg: Config  # of the whole network, not of its blocks

    def __init__(self, named_rows: Sequence[tuple[str, Row]], arrays: dict[str, Tensor]) -> None:
        super().__init__()
        self.source = named_rows[0][1]["inputs"]
        self.steps: list[tuple[str, list[str], str]] = []  # module, tensors it takes, tensor it makes
        for name, group in groupby(named_rows, key=lambda named: named[0].partition(".")[0]):
            members = [(full.partition(".")[2], row) for full, row in group]
            row, output = members[0][1], members[-1][1]["output"]
            nested = members[0][0] != ""
            self.add_module(name, LayerTable(members, arrays) if nested else layer(row, arrays))
            self.steps.append((name, row["inputs"].split(), output))
            if not nested and row["activation"] in MODULES:
                activation = f"{name}_{row['activation']}"
                self.add_module(activation, MODULES[row["activation"]]())
                self.steps.append((activation, [output], output))

    def forward(self, input: Tensor) -> Tensor:
        tensors, result = {self.source: input}, input
        for name, inputs, output in self.steps:
            result = tensors[output] = getattr(self, name)(*(tensors[key] for key in inputs))
        return result


class OptionA(nn.Module):
    """The shortcut without weights: every second pixel, and zeros on both sides for the missing channels."""

    def forward(self, input: Tensor) -> Tensor:
        half = input.shape[1] // 2
        return F.pad(input[:, :, ::2, ::2], (0, 0, 0, 0, half, half))


class BasicBlock(nn.Module):
    """Two convolutions and the shortcut around them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, outputs // inputs, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity() if inputs == outputs else OptionA()
        self.add = Add()
        self.relu2 = nn.ReLU()

    def forward(self, input: Tensor) -> Tensor:
        branch = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(input)))))
        output: Tensor = self.relu2(self.add(branch, self.shortcut(input)))
        return output


class CifarResNet(nn.Sequential):
    """ResNet-20 for CIFAR-10, with the names of the stored weights."""

    default_cfg: Config

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        for stage, widths in enumerate([(16, 16, 16, 16), (16, 32, 32, 32), (32, 64, 64, 64)], start=1):
            self.add_module(f"layer{stage}", nn.Sequential(*(BasicBlock(*pair) for pair in pairwise(widths))))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(64, 10)


def randomise(network: nn.Module) -> None:
    """Draw weights from He's normal distribution and set biases to zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def from_table(name: str, pretrained: bool, default_cfg: Config) -> nn.Module:
    """Build a network from its layer table and its arrays, which alone tell kernel sizes and channels."""
    with stored(f"{name}.layers.csv").open(newline="") as lines:
        rows = list(with_flatten(list(csv.DictReader(lines))))
    with np.load(stored(f"{name}.npz"), allow_pickle=False) as file:
        arrays = {key: torch.from_numpy(file[key]) for key in file.files}
    names = names_from_operations if rows[0]["weight"] == "l00.weight" else names_from_weights
    named_rows = list(zip(names(rows), rows, strict=True))
    network = LayerTable(named_rows, arrays)
    for layer_name, row in named_rows:
        if pretrained and row["weight"]:
            weights = {"weight": dequantised(arrays[row["weight"]], row), "bias": arrays[row["bias"]]}
            network.get_submodule(layer_name).load_state_dict(weights)
    if not pretrained:
        randomise(network)
    network.default_cfg = default_cfg
    return network.eval()


def config(side: int, mean: Sequence[float], std: Sequence[float], task: str, training_data: str) -> Config:
    """Return what a network wants to see, in timm's convention."""
    size: Config = {"input_size": (3, side, side), "interpolation": "bilinear", "crop_pct": 1.0}
    return size | {"mean": mean, "std": std, "task": task, "training_data": training_data}


SIGNED = ((128 / 255,) * 3, (128 / 255,) * 3)  # (x - 128) / 128 for x from 0 to 255
IMAGENET = ("object classification", "ImageNet, 1000 classes")
CIFAR10 = ("object classification", "CIFAR-10, 10 classes")


def squeezenet(pretrained: bool = True) -> nn.Module:
    """SqueezeNet 1.0, pruned and quantised by Deep Compression; its output is before the softmax."""
    cfg = config(227, (104 / 255, 117 / 255, 123 / 255), (1 / 255,) * 3, *IMAGENET)
    return from_table("squeezenet_v1.0_imagenet", pretrained, cfg | {"channel_order": "BGR"})


def mobilenet_v1_025(pretrained: bool = True) -> nn.Module:
    """MobileNet V1 with a quarter of the channels; class 0 is the background."""
    return from_table("mobilenet_v1_0.25_128_imagenet", pretrained, config(128, *SIGNED, *IMAGENET))


def mobilenet_v1_05(pretrained: bool = True) -> nn.Module:
    """MobileNet V1 with half of the channels; class 0 is the background."""
    return from_table("mobilenet_v1_0.5_160_imagenet", pretrained, config(160, *SIGNED, *IMAGENET))


def mobilenet_v2(pretrained: bool = True) -> nn.Module:
    """MobileNet V2; class 0 is the background."""
    return from_table("mobilenet_v2_1.0_224_imagenet", pretrained, config(224, *SIGNED, *IMAGENET))


def mobilenet_v2_birds(pretrained: bool = True) -> nn.Module:
    """MobileNet V2 that tells birds apart."""
    cfg = config(224, *SIGNED, "bird species classification", "iNaturalist, 964 birds and background")
    return from_table("mobilenet_v2_1.0_224_inat_birds", pretrained, cfg)


def mobilenet_v1_person(pretrained: bool = True) -> nn.Module:
    """MobileNet V1 with a quarter of the channels that tells whether a person is in the picture."""
    cfg = config(96, (0.0,) * 3, (1.0,) * 3, "person detection", "Visual Wake Words, 2 classes")
    return from_table("mobilenet_v1_0.25_96_person", pretrained, cfg)


def resnet8_cifar10(pretrained: bool = True) -> nn.Module:
    """ResNet-8 of the MLPerf Tiny benchmark."""
    return from_table("resnet8_cifar10", pretrained, config(32, (0.0,) * 3, (1 / 255,) * 3, *CIFAR10))


def resnet20_cifar10(pretrained: bool = True) -> nn.Module:
    """ResNet-20 with shortcuts without weights; its output is before the softmax."""
    network = CifarResNet()
    if pretrained:
        network.load_state_dict(load_file(stored("resnet20_cifar10.safetensors")), strict=True)
    else:
        randomise(network)
    network.default_cfg = config(32, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), *CIFAR10)
    return network.eval()
