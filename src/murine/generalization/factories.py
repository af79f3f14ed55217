"""Networks trained here, as the zoo takes them: ``FILE.py:lenet`` with ten classes, images of 32 x 32 pixels in [0, 1].

murine score PATH/factories.py:lenet+neurn(k=3)@input@atlas/trained/DIGEST.safetensors
"""

from __future__ import annotations

from torch import nn

from murine.generalization.architectures import SIDE, architectures

_N_CLASSES = 10


def lenet() -> nn.Module:
    return _made("lenet")


def lenet_small() -> nn.Module:
    return _made("lenet-small")


def resnet18() -> nn.Module:
    return _made("resnet18")


def mobilenetv2() -> nn.Module:
    return _made("mobilenetv2")


def efficientnet() -> nn.Module:
    return _made("efficientnet")


def nasnet() -> nn.Module:
    return _made("nasnet")


def vit() -> nn.Module:
    return _made("vit")


def _made(name: str) -> nn.Module:
    module = architectures[name].build(_N_CLASSES, SIDE)
    # timm's own networks carry ImageNet's under both names.
    module.default_cfg = module.pretrained_cfg = {  # type: ignore[assignment]
        "input_size": (3, SIDE, SIDE),
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
    }
    return module
