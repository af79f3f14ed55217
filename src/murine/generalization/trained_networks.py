"""Functions that build the networks trained by `murine generalize`, so that they can be scored against a cortex.

Images are 32 x 32 pixels in [0, 1], with ten classes, unless the options say otherwise. PATH is this folder::

    murine score "PATH/trained_networks.py:lenet+neurn(k=3)@input@atlas/trained/DIGEST.safetensors"
    murine score "PATH/trained_networks.py:conv(depth=2,n_classes=7)@atlas/trained/DIGEST.safetensors"

The content of this file is part of the digests of these networks.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from murine.generalization.architectures import SIDE
from murine.generalization.network_builder import build

N_CLASSES = 10


def lenet(n_classes: int = N_CLASSES, side: int = SIDE) -> nn.Module:
    return _made("lenet", n_classes, side)


def lenet_small(n_classes: int = N_CLASSES, side: int = SIDE) -> nn.Module:
    return _made("lenet-small", n_classes, side)


def resnet18(n_classes: int = N_CLASSES, side: int = SIDE) -> nn.Module:
    return _made("resnet18", n_classes, side)


def mobilenetv2(n_classes: int = N_CLASSES, side: int = SIDE) -> nn.Module:
    return _made("mobilenetv2", n_classes, side)


def efficientnet(n_classes: int = N_CLASSES, side: int = SIDE) -> nn.Module:
    return _made("efficientnet", n_classes, side)


def nasnet(n_classes: int = N_CLASSES, side: int = SIDE) -> nn.Module:
    return _made("nasnet", n_classes, side)


def vit(n_classes: int = N_CLASSES, side: int = SIDE) -> nn.Module:
    return _made("vit", n_classes, side)


def conv(n_classes: int = N_CLASSES, side: int = SIDE, **options: Any) -> nn.Module:
    """Build a network with the options of `murine.generalization.conv_space.ConvSpace`."""
    return _made("conv(" + ",".join(f"{key}={value}" for key, value in options.items()) + ")", n_classes, side)


def timm(name: str, n_classes: int = N_CLASSES, side: int = SIDE) -> nn.Module:
    """Build any network of timm."""
    return _made(name, n_classes, side)


def _made(name: str, n_classes: int, side: int) -> nn.Module:
    module = build(name, n_classes, 0, side=side).module
    # The networks of timm have ImageNet's configuration under both names.
    module.default_cfg = module.pretrained_cfg = {  # type: ignore[assignment]
        "input_size": (3, side, side),
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
    }
    return module
