"""Networks that timm and torchvision do not have, but whose authors publish weights.

The architectures follow the papers. The parameters have the names in the published files.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from murine.networks.sources.published_weights import PublishedSource
from murine.networks.sources.source import IMAGENET_CONFIG


def resnet50_trunk() -> nn.Module:
    """Return a ResNet-50 without its last layer, as self-supervised training leaves it: ``fc`` is the identity."""
    from torchvision.models import resnet50

    network: nn.Module = resnet50(weights=None)
    network.fc = nn.Identity()
    return network


def resnet50_ibn_a() -> nn.Module:
    """Return a ResNet-50-IBN-a (Pan et al. 2018, arXiv:1807.09441).

    Half of the channels after the first convolution of a block are normalised within each image, in all stages but the
    last.
    """
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
    """The U-Net of Buda et al. 2019 (arXiv:1906.03720): that of Ronneberger et al. 2015, with batch normalisation.

    It halves the resolution four times and doubles it four times. Height and width must be multiples of 16.
    """

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
        """Return the probabilities (n, 1, height, width) of images (n, 3, height, width)."""
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
    """Return convolution, normalisation and ReLU, twice in a row."""
    layers = nn.Sequential()
    for number, before in ((1, n_inputs), (2, width)):
        layers.add_module(f"{name}conv{number}", nn.Conv2d(before, width, 3, padding=1, bias=False))
        layers.add_module(f"{name}norm{number}", nn.BatchNorm2d(width))
        layers.add_module(f"{name}relu{number}", nn.ReLU(inplace=True))
    return layers


class _RecurrentArea(nn.Module):
    """One area of CORnet-S: a bottleneck that runs several times, each time with a normalisation of its own."""

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
            # Only the first time halves height and width. All times share the weights.
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
    """Return a CORnet-S (Kubilius et al. 2019, arXiv:1909.06161): four areas, three of them recurrent."""
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


class HubSource(PublishedSource):
    """Networks with published weights that are in no library."""

    about = "Networks whose authors publish weights: self-supervised ResNet-50s, ResNet-50-IBN-a, U-Net and CORnet-S."
    licence = "stated by the authors of each network"
    builders = {  # noqa: RUF012
        "resnet50_trunk": resnet50_trunk,
        "resnet50_ibn_a": resnet50_ibn_a,
        "unet": lambda: UNet(),
        "cornet_s": cornet_s,
    }
    config = IMAGENET_CONFIG

    def rename_tensors(self, architecture: str, state: dict[str, Tensor]) -> Mapping[str, Tensor]:
        return trunk_tensors(self._row(architecture).layout, state)


def trunk_tensors(layout: str, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return the tensors of a network under its own names, without the other parts of a published file.

    Parameters
    ----------
    layout
        How the file names its tensors: ``plain``; or as self-supervised training leaves them: ``moco`` (prefix
        ``encoder_q.``, and a head ``fc``), ``swav`` (heads beside the trunk), ``vissl`` (prefix ``_feature_blocks.``),
        ``headed`` (a last layer ``fc``).
    state
        The tensors as `murine.networks.checkpoints.read_state_dict` returns them.

    Examples
    --------
    >>> state = {name: torch.zeros(1) for name in ("encoder_q.conv1.weight", "encoder_q.fc.0.weight", "queue")}
    >>> list(trunk_tensors("moco", state))
    ['conv1.weight']
    """
    if layout == "plain":
        return state
    prefix = {"moco": "encoder_q.", "vissl": "_feature_blocks."}.get(layout, "")
    found = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    return {
        name: tensor for name, tensor in found.items() if not name.startswith(("fc.", "projection_head", "prototypes"))
    }
