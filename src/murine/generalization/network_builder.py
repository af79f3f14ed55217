"""Build a network for training by its name: made for small images, from timm, or pretrained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from murine.errors import MurineError, nearest, reason_of
from murine.generalization.architectures import SIDE, architectures
from murine.generalization.conv_space import ConvNet, ConvSpace
from murine.networks import weights


@dataclass(frozen=True, eq=False)
class Built:
    """A network ready to be trained.

    Attributes
    ----------
    module
        A network from float32 images (n, 3, side, side) in [0, 1] to (n, n_classes).
    inner
        Module after which an inner layer is inserted; '' if it is unknown.
    mean, std
        Normalisation of the images of a pretrained network. It comes after a layer that a variant puts at the input.
    start
        Digest of the pretrained network before its head was replaced; '' for a network trained from scratch.
    """

    module: nn.Module
    inner: str
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    start: str = ""


def known_networks() -> list[str]:
    """Return the names of the networks made for small images."""
    return [*architectures, "conv"]


def _of_space(name: str) -> bool:
    """Return whether a name belongs to `ConvSpace`, even if its options are wrong."""
    return name.partition("(")[0] == "conv"


def inner_of(name: str) -> str:
    """Return the module of a network after which an inner layer is inserted; '' if it is unknown.

    Examples
    --------
    >>> inner_of("resnet18"), inner_of("mobilenetv3_small_100")
    ('layer1', '')
    """
    if name in architectures:
        return architectures[name].inner
    return "blocks.0" if _of_space(name) else ""


def check_network(name: str, pretrained: bool = False) -> None:
    """Refuse the name of an unknown network before anything is computed.

    Raises
    ------
    MurineError
        If there is no such network. The message suggests the nearest names.
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
        return  # murine.networks.zoo refuses unknown names
    if not timm.is_model(name.partition(".")[0]):
        known = [*known_networks(), *timm.list_models()]
        raise MurineError(
            f"unknown network {name!r}{nearest(name, known) or '.'} Made for small images: "
            f"{', '.join(known_networks())}; all others are timm's (`murine models` lists them), and "
            "with --pretrained whatever `murine score` takes."
        )


def build(name: str, n_classes: int, seed: int, *, pretrained: bool = False, side: int = SIDE) -> Built:
    """Build a network by name, with weights drawn from a seed.

    Parameters
    ----------
    name
        One of `architectures`, ``conv(depth=3,...)`` (`ConvSpace`), or a name of timm (``mobilenetv3_small_100``). With
        ``pretrained`` any name that `murine.networks.zoo.load` takes: ``torchvision:alexnet``,
        ``path/to/file.py:factory``, ``resnet18@FILE``.
    n_classes
        Number of classes to learn.
    seed
        Seed of the initial weights; of a pretrained network, of its new head.
    pretrained
        Whether to start from pretrained weights. The head is replaced, and images are normalised as the weights expect.
    side
        Side of the images in pixels.

    Raises
    ------
    MurineError
        If the name is unknown, the weights cannot be fetched, or the network does not take such images.

    Examples
    --------
    >>> built = build("lenet-small", 10, seed=0)
    >>> built.module(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
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
    """Replace the last layer, in place: as timm does, or the last dense layer or 1 x 1 convolution with weights."""
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
    """Pass two images through the network, so that it fails now and not after an hour of training."""
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
