"""Networks that are stored as a table of layers and arrays of weights.

Each row of a table is one layer, in execution order: operation, inputs, output, keys of its weights, stride, padding,
dilation, groups and activation. Batch normalisation is folded into the weights. Modules are named by their place
(``block_03.depthwise``); blocks are modules too.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby, zip_longest
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Row = dict[str, str]  # one line of a layer table, by column


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
        extents = [(size - 1) * step + 1 for size, step in zip(self.kernel_size, self.dilation, strict=True)]
        for length, size, stride in zip(input.shape[:1:-1], extents[::-1], self.stride[::-1], strict=True):
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
    dilation = int(row.get("dilation") or 1)
    padding = int(row["padding"]) if row["padding"].isdigit() else row["padding"]
    if padding == "same" and stride > 1:
        return StridedSame(inputs * groups, outputs, size, stride, dilation=dilation, groups=groups)
    return nn.Conv2d(inputs * groups, outputs, size, stride, padding, dilation, groups)


class LayerTable(nn.Module):
    """A network that runs the rows of a layer table; rows whose names share a prefix make a nested block."""

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


def randomise(network: nn.Module) -> None:
    """Draw weights from He's normal distribution, by torch's global generator, and set biases to zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def from_table(table: Path, weights: Path, pretrained: bool, n_rows: int | None = None) -> nn.Module:
    """Build a network from a table of its layers and its arrays, which alone tell kernel sizes and channels.

    Parameters
    ----------
    table, weights
        The ``.csv`` file of layers and the ``.npz`` file of arrays.
    pretrained
        Whether it gets the stored weights, or random ones (`randomise`).
    n_rows
        Only so many rows: a trunk without the heads behind it.
    """
    with table.open(newline="") as lines:
        rows = list(with_flatten(list(csv.DictReader(lines))[:n_rows]))
    with np.load(weights, allow_pickle=False) as file:
        arrays = {key: torch.from_numpy(file[key]) for key in file.files}
    names = names_from_operations if rows[0]["weight"] == "l00.weight" else names_from_weights
    named_rows = list(zip(names(rows), rows, strict=True))
    network = LayerTable(named_rows, arrays)
    for layer_name, row in named_rows:
        if pretrained and row["weight"]:
            state = {"weight": dequantised(arrays[row["weight"]], row), "bias": arrays[row["bias"]]}
            network.get_submodule(layer_name).load_state_dict(state)
    if not pretrained:
        randomise(network)
    return network.eval()
