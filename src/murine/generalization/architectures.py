"""Networks for small images, 32 x 32 pixels as a rule, by name, with the places where an inner layer goes."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from torch import Tensor, nn

from murine.errors import MurineError, nearest, reason_of
from murine.networks import weights
from murine.registry import Registry

#: Side of prepared images, unless told otherwise.
SIDE = 32


@dataclass(frozen=True)
class Architecture:
    """How a network is made, and where a contender's inner layer stands.

    Attributes
    ----------
    build
        From the number of classes and the side of the images; draws its weights from torch's global state.
    inner
        Module after which an inner layer is put (a pattern of `murine.networks.surgery.insertion`): the end of the
        first stage, where maps are still images.
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
    """Two convolutions of 5 x 5, each with ReLU and pooling, and three dense layers: a network of LeNet's type."""

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
    """The network of the single-source digit literature (Volpi et al. 2018, arXiv 1805.12018, and who followed)."""
    return LeNet(n_classes, side, (64, 128), (1024, 1024))


@_register("lenet-small", inner="features.2")
def lenet_small(n_classes: int, side: int) -> nn.Module:
    """A fifth of the work: the network of DANN's MNIST experiments (Ganin et al. 2016, figure 4a)."""
    return LeNet(n_classes, side, (32, 48), (100, 100))


@_register("resnet18", inner="layer1")
def resnet18(n_classes: int, side: int) -> nn.Module:
    """ResNet-18 with a stem for small images: a convolution of 3 x 3 with stride 1, and no pooling."""
    import timm

    network: nn.Module = timm.create_model("resnet18", num_classes=n_classes)
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.maxpool = nn.Identity()
    return network


@_register("mobilenetv2", inner="blocks.0")
def mobilenetv2(n_classes: int, side: int) -> nn.Module:
    """MobileNetV2; the stem and the first stage that halves keep the size, so the last maps are 4 x 4."""
    return _without_strides("mobilenetv2_100", n_classes, ("conv_stem", "blocks.1.0.conv_dw"))


@_register("efficientnet", inner="blocks.0")
def efficientnet(n_classes: int, side: int) -> nn.Module:
    """EfficientNet-B0, adapted in the same way."""
    return _without_strides("efficientnet_b0", n_classes, ("conv_stem", "blocks.1.0.conv_dw"))


@_register("nasnet", inner="conv0")
def nasnet(n_classes: int, side: int) -> nn.Module:
    """NASNet-A in the size of NASNetMobile, its stem with stride 1: cells at 16, 8, 4 and 2 pixels."""
    from timm.models.nasnet import NASNetALarge

    network: nn.Module = NASNetALarge(num_classes=n_classes, stem_size=32, num_features=1056)
    stem = network.get_submodule("conv0.conv")
    if not isinstance(stem, nn.Conv2d):
        raise MurineError("timm's NASNet has no convolution conv0.conv; another timm may have.")
    stem.stride, stem.padding = (1, 1), (1, 1)
    return network


@_register("vit", inner="patch_embed.proj")
def vit(n_classes: int, side: int) -> nn.Module:
    """A small vision transformer: patches of 4 x 4, width 192, depth 9, 3 heads."""
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


# --------------------------------------------------------------------------------- the space that is searched


class ConvSpace(BaseModel):
    """A small convolutional network of the space that is searched: blocks of convolution, norm and activation.

    Every block halves the map until it is 4 x 4, and doubles the width up to four times the first. With ``skip`` a
    block adds its input (through a convolution of 1 x 1).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    depth: int = Field(default=3, ge=1, le=8)
    width: int = Field(default=32, ge=4, le=256)
    kernel: int = Field(default=3, ge=1, le=7)  # odd
    norm: str = Field(default="batch", pattern="^(none|batch|instance|layer)$")
    activation: str = Field(default="relu", pattern="^(relu|gelu|elu)$")
    skip: bool = False

    @field_validator("kernel")
    @classmethod
    def _odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError("a kernel has an odd size")
        return kernel

    @property
    def name(self) -> str:
        """``conv(depth=3,width=32,...)``: the name of the network, all options spelt."""
        return "conv(" + ",".join(f"{key}={value}" for key, value in self.model_dump(mode="json").items()) + ")"

    @classmethod
    def parse(cls, name: str) -> ConvSpace:
        """Read `name`; options that are left out are as usual."""
        match = re.fullmatch(r"conv(?:\((.*)\))?", name)
        parts = [part for part in (match[1] or "").split(",") if part] if match else None
        if parts is None or not all("=" in part for part in parts):
            raise MurineError(f"the network {name!r} is not understood; expected conv(depth=3,width=32), for example.")
        try:
            return cls.model_validate({k.strip(): v.strip() for k, _, v in (part.partition("=") for part in parts)})
        except ValidationError as error:
            first = error.errors()[0]
            raise MurineError(
                f"the network {name!r} cannot be made: {'.'.join(map(str, first['loc']))}, {first['msg'].lower()}. "
                f"Options: {', '.join(cls.model_fields)}."
            ) from error


class _Block(nn.Module):
    def __init__(self, n_in: int, n_out: int, space: ConvSpace, halve: bool) -> None:
        super().__init__()
        norms: dict[str, Callable[[], nn.Module]] = {
            "none": nn.Identity,
            "batch": lambda: nn.BatchNorm2d(n_out),
            "instance": lambda: nn.InstanceNorm2d(n_out, affine=True),
            "layer": lambda: nn.GroupNorm(1, n_out),
        }
        self.conv = nn.Conv2d(n_in, n_out, space.kernel, padding=space.kernel // 2)
        self.norm = norms[space.norm]()
        self.act = {"relu": nn.ReLU, "gelu": nn.GELU, "elu": nn.ELU}[space.activation]()
        self.skip = nn.Conv2d(n_in, n_out, 1) if space.skip else None
        self.pool = nn.MaxPool2d(2) if halve else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x))
        if self.skip is not None:
            y = y + self.skip(x)
        pooled: Tensor = self.pool(self.act(y))
        return pooled


class ConvNet(nn.Module):
    """A network of `ConvSpace`."""

    def __init__(self, space: ConvSpace, n_classes: int, side: int) -> None:
        super().__init__()
        widths = [3, *(min(space.width * 2**i, 4 * space.width) for i in range(space.depth))]
        n_halvings = round(math.log2(side / 4))
        self.blocks = nn.Sequential(
            *(_Block(a, b, space, i < n_halvings) for i, (a, b) in enumerate(itertools.pairwise(widths)))
        )
        self.head = nn.Linear(widths[-1], n_classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.blocks(x).mean(dim=(-2, -1)))
        return logits


# --------------------------------------------------------------------------------- by name


@dataclass(frozen=True, eq=False)
class Built:
    """A network ready to be trained.

    Attributes
    ----------
    module
        Takes images (n, 3, side, side) in [0, 1], float32; returns (n, n_classes).
    inner
        Where an inner layer goes, or '' where nobody said.
    mean, std
        By which a pretrained network's images are normalised, behind whatever a contender puts at the input.
    start
        Digest of the pretrained network, its head not yet replaced; '' from scratch.
    """

    module: nn.Module
    inner: str
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    start: str = ""


def known_networks() -> list[str]:
    """Names that need no zoo."""
    return [*architectures, "conv"]


def _of_space(name: str) -> bool:
    """Whether a name is of `ConvSpace`, well spelt or not."""
    return name.partition("(")[0] == "conv"


def inner_of(name: str) -> str:
    """Where an inner layer goes in a network, or '' where nobody said."""
    if name in architectures:
        return architectures[name].inner
    return "blocks.0" if _of_space(name) else ""


def check_network(name: str, pretrained: bool = False) -> None:
    """Refuse a name that stands for no network, before anything is computed.

    Raises
    ------
    MurineError
        With the nearest names.
    """
    import timm

    if name in architectures or _of_space(name):
        if pretrained:
            raise MurineError(
                f"{name!r} has no pretrained weights: it is made for small images. Name a network of the zoo, such as "
                "resnet18.a1_in1k or mobilenetv2_100.ra_in1k, with --pretrained."
            )
        if name not in architectures:
            ConvSpace.parse(name)
        return
    if pretrained:
        return  # the zoo says what it does not know
    if not timm.is_model(name.partition(".")[0]):
        known = [*known_networks(), *timm.list_models()]
        raise MurineError(
            f"unknown network {name!r}{nearest(name, known) or '.'} Made for small images: "
            f"{', '.join(known_networks())}; all others are timm's (`murine models` lists them), and "
            "with --pretrained whatever `murine score` takes."
        )


def build(name: str, n_classes: int, seed: int, *, pretrained: bool = False, side: int = SIDE) -> Built:
    """Build a network by name, its weights drawn from a seed.

    Parameters
    ----------
    name
        One of `architectures`, ``conv(depth=3,...)`` (`ConvSpace`), or a timm name (``mobilenetv3_small_100``). With
        ``pretrained`` whatever the zoo knows (`murine.networks.zoo.load`), ``torchvision:alexnet``,
        ``path/to/file.py:factory``, ``resnet18@FILE``.
    seed
        Of the model: initial weights. A pretrained network's new head is drawn from it.
    pretrained
        Start from the zoo's weights, normalise images as these want it; the head is replaced.
    side
        Of the images that it will be shown, in pixels.

    Raises
    ------
    MurineError
        Unknown names, weights that cannot be had, a network that does not take such images.
    """
    check_network(name, pretrained)
    with weights.seeded(seed):
        if name in architectures:
            built = Built(architectures[name].build(n_classes, side), inner_of(name))
        elif _of_space(name):
            built = Built(ConvNet(ConvSpace.parse(name), n_classes, side), inner_of(name))
        else:
            built = _of_zoo(name, n_classes, pretrained, side)
    _try(built.module, name, n_classes, side)
    return built


def _of_zoo(name: str, n_classes: int, pretrained: bool, side: int) -> Built:
    import timm

    from murine.networks import zoo

    if not pretrained:
        config = timm.get_pretrained_cfg(name, allow_unregistered=True)
        options: dict[str, Any] = {"img_size": side} if config is not None and config.fixed_input_size else {}
        try:
            return Built(timm.create_model(name, num_classes=n_classes, **options), "")
        except (AssertionError, TypeError, ValueError) as error:
            raise MurineError(f"{name} cannot be built for images of {side} x {side} px: {error}.") from error
    network = zoo.load(name, input_size=side)
    _replace_head(network.module, n_classes, name)
    about = network.preprocessing
    return Built(network.module, "", about.mean, about.std, network.digest)


def _replace_head(module: nn.Module, n_classes: int, name: str) -> None:
    """A new last layer, in place: as timm does it, or the last dense layer or convolution of 1 x 1 pixel."""
    if hasattr(module, "reset_classifier"):
        module.reset_classifier(n_classes)  # type: ignore[operator]
        return
    weighted = [(key, part) for key, part in module.named_modules() if list(part.parameters(recurse=False))]
    key, head = weighted[-1] if weighted else ("", module)
    if isinstance(head, nn.Linear):
        new: nn.Module = nn.Linear(head.in_features, n_classes, bias=head.bias is not None)
    elif isinstance(head, nn.Conv2d) and head.kernel_size == (1, 1) and head.groups == 1:
        new = nn.Conv2d(head.in_channels, n_classes, 1, bias=head.bias is not None)
    else:
        found = f"its last layer with weights is {type(head).__name__}" if weighted else "it has no weights"
        raise MurineError(
            f"the head of {name} cannot be replaced: {found}; expected a dense layer or a convolution of 1 x 1 pixel."
        )
    parent, _, child = key.rpartition(".")
    setattr(module.get_submodule(parent), child, new)


def _try(module: nn.Module, name: str, n_classes: int, side: int) -> None:
    """Pass two images through, so that what cannot work says so before an hour of training."""
    images = torch.zeros(2, 3, side, side)
    module.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            logits = module(images)
    except Exception as error:
        raise MurineError(
            f"the network {name!r} fails on images of {side} x {side} px: {reason_of(error).rstrip('.')}. If they are "
            "too small for it, enlarge them with --prepare size=64 or more, or choose one made for small images: "
            f"{', '.join(known_networks())}."
        ) from error
    if tuple(logits.shape) != (2, n_classes):
        raise MurineError(
            f"the network {name!r} answers 2 images of {side} x {side} px with shape {tuple(logits.shape)}; expected "
            f"(2, {n_classes})."
        )
