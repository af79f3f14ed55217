"""Networks that neither timm nor torchvision has, but whose authors publish weights: architectures as in their papers,
names of parameters as in their files."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

#: Images as most networks were trained on ImageNet.
CONFIG: dict[str, Any] = {
    "input_size": (3, 224, 224),
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
    "interpolation": "bilinear",
}


def resnet50_trunk() -> nn.Module:
    """ResNet-50 without its last layer, as self-supervised training leaves it: ``fc`` is the identity."""
    from torchvision.models import resnet50

    network: nn.Module = resnet50(weights=None)
    network.fc = nn.Identity()
    return network


def resnet50_ibn_a() -> nn.Module:
    """ResNet-50-IBN-a (Pan et al. 2018, arXiv:1807.09441): half of the channels after the first convolution of a block
    are normalised within each image, in all stages but the last."""
    from torchvision.models import resnet50

    network: nn.Module = resnet50(weights=None)
    for stage in ("layer1", "layer2", "layer3"):
        for block in network.get_submodule(stage).children():
            block.bn1 = _InstanceBatchNorm(block.get_submodule("conv1").out_channels)  # type: ignore[arg-type]
    return network


class _InstanceBatchNorm(nn.Module):
    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.IN = nn.InstanceNorm2d(n_channels // 2, affine=True)
        self.BN = nn.BatchNorm2d(n_channels - n_channels // 2)

    def forward(self, features: Tensor) -> Tensor:
        n_first = self.IN.num_features
        return torch.cat([self.IN(features[:, :n_first]), self.BN(features[:, n_first:])], dim=1)


class UNet(nn.Module):
    """U-Net (Ronneberger et al. 2015, arXiv:1505.04597) with batch normalisation, for images of the brain (Buda et al.
    2019, arXiv:1906.03720): four halvings, four doublings, height and width multiples of 16."""

    def __init__(self, n_features: int = 32) -> None:
        super().__init__()
        widths = [n_features * 2**level for level in range(5)]
        for level, (before, width) in enumerate(zip([3, *widths], widths[:4], strict=False), start=1):
            self.add_module(f"encoder{level}", _twice(f"enc{level}", before, width))
            self.add_module(f"pool{level}", nn.MaxPool2d(2))
        self.bottleneck = _twice("bottleneck", widths[3], widths[4])
        for level in range(4, 0, -1):
            self.add_module(f"upconv{level}", nn.ConvTranspose2d(widths[level], widths[level - 1], 2, stride=2))
            self.add_module(f"decoder{level}", _twice(f"dec{level}", 2 * widths[level - 1], widths[level - 1]))
        self.conv = nn.Conv2d(n_features, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, 3, height, width) to probabilities (n, 1, height, width)."""
        features, kept = images, []
        for level in range(1, 5):
            kept.append(self.get_submodule(f"encoder{level}")(features))
            features = self.get_submodule(f"pool{level}")(kept[-1])
        features = self.bottleneck(features)
        for level in range(4, 0, -1):
            features = torch.cat([self.get_submodule(f"upconv{level}")(features), kept[level - 1]], dim=1)
            features = self.get_submodule(f"decoder{level}")(features)
        return self.conv(features).sigmoid()


def _twice(name: str, n_inputs: int, width: int) -> nn.Sequential:
    """Convolution, normalisation and ReLU, two times."""
    layers = nn.Sequential()
    for number, before in ((1, n_inputs), (2, width)):
        layers.add_module(f"{name}conv{number}", nn.Conv2d(before, width, 3, padding=1, bias=False))
        layers.add_module(f"{name}norm{number}", nn.BatchNorm2d(width))
        layers.add_module(f"{name}relu{number}", nn.ReLU(inplace=True))
    return layers


class _RecurrentArea(nn.Module):
    """One area of CORnet-S: a bottleneck that is passed several times, each time with its own normalisation."""

    def __init__(self, n_inputs: int, width: int, times: int) -> None:
        super().__init__()
        self.times = times
        self.conv_input = nn.Conv2d(n_inputs, width, 1, bias=False)
        self.skip = nn.Conv2d(width, width, 1, stride=2, bias=False)
        self.norm_skip = nn.BatchNorm2d(width)
        self.conv1 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.nonlin1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(4 * width, 4 * width, 3, stride=2, padding=1, bias=False)
        self.nonlin2 = nn.ReLU(inplace=True)
        self.conv3 = nn.Conv2d(4 * width, width, 1, bias=False)
        self.nonlin3 = nn.ReLU(inplace=True)
        for time in range(times):
            self.add_module(f"norm1_{time}", nn.BatchNorm2d(4 * width))
            self.add_module(f"norm2_{time}", nn.BatchNorm2d(4 * width))
            self.add_module(f"norm3_{time}", nn.BatchNorm2d(width))

    def forward(self, inputs: Tensor) -> Tensor:
        features = self.conv_input(inputs)
        for time in range(self.times):
            # The first time halves height and width; the same weights serve all times.
            self.conv2.stride = (2, 2) if time == 0 else (1, 1)
            shortcut = self.norm_skip(self.skip(features)) if time == 0 else features
            for number in (1, 2):
                features = self.get_submodule(f"conv{number}")(features)
                features = self.get_submodule(f"norm{number}_{time}")(features)
                features = self.get_submodule(f"nonlin{number}")(features)
            features = self.get_submodule(f"norm3_{time}")(self.conv3(features))
            features = self.nonlin3(features + shortcut)
        return features


def cornet_s() -> nn.Module:
    """CORnet-S (Kubilius et al. 2019, arXiv:1909.06161): four areas, three of them recurrent."""
    first: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
        "norm1": nn.BatchNorm2d(64),
        "nonlin1": nn.ReLU(inplace=True),
        "pool": nn.MaxPool2d(3, stride=2, padding=1),
        "conv2": nn.Conv2d(64, 64, 3, padding=1, bias=False),
        "norm2": nn.BatchNorm2d(64),
        "nonlin2": nn.ReLU(inplace=True),
    }
    areas: dict[str, nn.Module] = {
        "V1": _named(first),
        "V2": _RecurrentArea(64, 128, 2),
        "V4": _RecurrentArea(128, 256, 4),
        "IT": _RecurrentArea(256, 512, 2),
        "decoder": _named(
            {"avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "linear": nn.Linear(512, 1000)}
        ),
    }
    return _named(areas)


def _named(layers: Mapping[str, nn.Module]) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))


#: What the architectures in the table of addresses are called.
ARCHITECTURES: Mapping[str, Callable[[], nn.Module]] = {
    "resnet50_trunk": resnet50_trunk,
    "resnet50_ibn_a": resnet50_ibn_a,
    "unet": UNet,
    "cornet_s": cornet_s,
}


def adapted(layout: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename what a published file holds to the names of the network, leaving out what is no part of it.

    Parameters
    ----------
    layout
        ``plain``; or how self-supervised training wrapped the trunk: ``moco`` (``encoder_q.``, with a head ``fc``),
        ``swav`` (with heads beside it), ``vissl`` (``_feature_blocks.``), ``headed`` (a last layer ``fc``).
    state
        As `checkpoints.read_state_dict` gives it.
    """
    prefix = {"moco": "encoder_q.", "vissl": "_feature_blocks."}.get(layout, "")
    heads = ("fc.", "projection_head", "prototypes") if layout != "plain" else ()
    found = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    return {name: tensor for name, tensor in found.items() if not (heads and name.startswith(heads))}
