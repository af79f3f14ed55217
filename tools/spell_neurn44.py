"""Write src/murine/networks/tables/sequences.csv: the layer sequences of the 44 networks of Jalil, Qazi & Iqbal 2025.

    python tools/spell_neurn44.py keras.json

The networks that the authors took from Keras are spelled from Keras's own lists (tools/list_keras_layers.py), the
others by running what ``suite:neurn44`` builds for them (on the meta device: no weights, seconds)."""

from __future__ import annotations

import csv
import json
import sys
from importlib.metadata import version
from pathlib import Path

from murine.architecture.layer_sequences import layer_sequence
from murine.architecture.vocabulary import vocabularies
from murine.networks import catalogue, zoo

TABLE = Path(__file__).resolve().parents[1] / "src/murine/networks/tables/sequences.csv"

#: What Keras calls a layer -> its kind. Input and flatten are dropped, as the paper drops them.
KERAS_KINDS = {
    "Conv2D": "convolution",
    "DepthwiseConv2D": "depthwise convolution",
    "SeparableConv2D": "separable convolution",
    "Dense": "linear",
    "BatchNormalization": "batch norm",
    "ReLU": "relu",
    "relu": "relu",
    "silu": "silu",
    "softmax": "softmax",
    "MaxPooling2D": "max pooling",
    "AveragePooling2D": "average pooling",
    "GlobalAveragePooling2D": "global average pooling",
    "Dropout": "dropout",
    "Add": "add",
    "CustomScaleLayer": "add",  # of InceptionResNetV2: a sum of two branches, one of them scaled
    "Multiply": "multiply",
    "Concatenate": "concatenation",
    "ZeroPadding2D": "padding",
    "Cropping2D": "cropping",
    "Reshape": "reshape",
    "Rescaling": "rescaling",
    "Normalization": "rescaling",
}
DROPPED = ("InputLayer", "Flatten")

#: Networks that the authors evidently spelled as another: their rows of the heat map are the same to two decimals.
PUBLISHED_AS = {f"efficientNetb{size}": "efficientNetb1" for size in range(2, 8)}

COLUMNS = ("suite", "member", "source", "published_as", "letters")


def spelled_by_keras(layers: list[str]) -> str:
    letters = vocabularies["paper"].letters
    return "".join(letters[KERAS_KINDS[layer]] for layer in layers if layer not in DROPPED)


def spelled_by_torch(network: str) -> str:
    return layer_sequence(zoo.skeleton(network)[0])


def main(keras: Path) -> None:
    lists = json.loads(keras.read_text())
    rows = []
    for member in catalogue.suite("neurn44"):
        listed = lists["members"].get(member.name)
        if listed:
            source, letters = f"Keras {lists['keras']} {listed['function']}", spelled_by_keras(listed["layers"])
        elif member.network:
            package = {"torchvision": "torchvision", "hub": ""}.get(member.network.partition(":")[0], "timm")
            told = f"{package} {version(package)} " if package else ""
            source, letters = told + member.network.removeprefix("torchvision:"), spelled_by_torch(member.network)
        else:
            source = letters = ""
        values = ("neurn44", member.name, source, PUBLISHED_AS.get(member.name, ""), letters)
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    with TABLE.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
