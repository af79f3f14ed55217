"""Architectures for small images, usually 32 x 32 pixels, by name, with the place of an inner layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from murine.errors import MurineError
from murine.registry import Registry

#: Default side of prepared images in pixels.
SIDE = 32


@dataclass(frozen=True)
class Architecture:
    """How a network is built, and where an inner layer is inserted.

    Attributes
    ----------
    build
        A function from the number of classes and the side of the images to a network. It draws the weights from torch's
        global random state.
    inner
        Module after which an inner layer is inserted (a pattern of `murine.networks.surgery.insert`): the end of the
        first stage, where maps still resemble images.
    """

    build: Callable[[int, int], nn.Module]
    inner: str


architectures: Registry[Architecture] = Registry("architecture")


def _register(name: str, inner: str) -> Callable[[Callable[[int, int], nn.Module]], Callable[[int, int], nn.Module]]:
    def add(build: Callable[[int, int], nn.Module]) -> Callable[[int, int], nn.Module]:
        architectures.register(name)(Architecture(build, inner))
        return build

    return add


class LeNet(nn.Module):
    """A network similar to LeNet: two 5 x 5 convolutions, each with ReLU and pooling, and three dense layers."""

    def __init__(self, n_classes: int, side: int, widths: tuple[int, int], hidden: tuple[int, int]) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, widths[0], 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(widths[0], widths[1], 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(widths[1] * (((side - 4) // 2 - 4) // 2) ** 2, hidden[0]),
            nn.ReLU(),
            nn.Linear(hidden[0], hidden[1]),
            nn.ReLU(),
            nn.Linear(hidden[1], n_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits


@_register("lenet", inner="features.2")
def lenet(n_classes: int, side: int) -> nn.Module:
    """Build the network of the literature on single-source digits (Volpi et al. 2018, arXiv 1805.12018)."""
    return LeNet(n_classes, side, (64, 128), (1024, 1024))


@_register("lenet-small", inner="features.2")
def lenet_small(n_classes: int, side: int) -> nn.Module:
    """Build the network of DANN's MNIST experiments (Ganin et al. 2016, figure 4a): a fifth of the work of `lenet`."""
    return LeNet(n_classes, side, (32, 48), (100, 100))


@_register("resnet18", inner="layer1")
def resnet18(n_classes: int, side: int) -> nn.Module:
    """Build a ResNet-18 with a stem for small images: a 3 x 3 convolution with stride 1, and no pooling."""
    import timm

    network: nn.Module = timm.create_model("resnet18", num_classes=n_classes)
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.maxpool = nn.Identity()
    return network


@_register("mobilenetv2", inner="blocks.0")
def mobilenetv2(n_classes: int, side: int) -> nn.Module:
    """Build a MobileNetV2 whose stem and first halving stage keep the size, so that the last maps are 4 x 4."""
    return _without_strides("mobilenetv2_100", n_classes, ("conv_stem", "blocks.1.0.conv_dw"))


@_register("efficientnet", inner="blocks.0")
def efficientnet(n_classes: int, side: int) -> nn.Module:
    """Build an EfficientNet-B0, adapted like `mobilenetv2`."""
    return _without_strides("efficientnet_b0", n_classes, ("conv_stem", "blocks.1.0.conv_dw"))


@_register("nasnet", inner="conv0")
def nasnet(n_classes: int, side: int) -> nn.Module:
    """Build a NASNet-A of the size of NASNetMobile with a stem of stride 1: cells at 16, 8, 4 and 2 pixels."""
    from timm.models.nasnet import NASNetALarge

    network: nn.Module = NASNetALarge(num_classes=n_classes, stem_size=32, num_features=1056)
    stem = network.get_submodule("conv0.conv")
    if not isinstance(stem, nn.Conv2d):
        raise MurineError("timm's NASNet has no convolution conv0.conv; another timm may have.")
    stem.stride, stem.padding = (1, 1), (1, 1)
    return network


@_register("vit", inner="patch_embed.proj")
def vit(n_classes: int, side: int) -> nn.Module:
    """Build a small vision transformer: patches of 4 x 4 pixels, width 192, depth 9, 3 heads."""
    from timm.models.vision_transformer import VisionTransformer

    network: nn.Module = VisionTransformer(
        img_size=side, patch_size=4, embed_dim=192, depth=9, num_heads=3, num_classes=n_classes
    )
    return network


def _without_strides(name: str, n_classes: int, modules: tuple[str, ...]) -> nn.Module:
    import timm

    network: nn.Module = timm.create_model(name, num_classes=n_classes)
    for module in modules:
        convolution = network.get_submodule(module)
        if not isinstance(convolution, nn.Conv2d) or convolution.stride != (2, 2):
            raise MurineError(f"timm's {name} has no convolution with stride 2 at {module}; another timm may have.")
        convolution.stride = (1, 1)
    return network
