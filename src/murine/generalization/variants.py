"""Contenders: what is done to a network, or to its training images, in the hope that unseen domains are met better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from murine.errors import MurineError, nearest
from murine.generalization.architectures import Built
from murine.generalization.augmentation import augmentations
from murine.networks.surgery import insertion as surgery
from murine.networks.surgery.rival_layers import layers
from murine.registry import Registry


class NormaliseImages(nn.Module):
    """What pretrained networks want: (x - mean) / std, by channel, on its way into the network."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, x: Tensor) -> Tensor:
        mean, std = (
            torch.tensor(values, dtype=x.dtype, device=x.device).view(-1, 1, 1) for values in (self.mean, self.std)
        )
        return (x - mean) / std


@dataclass(frozen=True)
class Contender:
    """What makes a variant of a network.

    Attributes
    ----------
    layer
        A layer by its name in `murine.networks.surgery.rival_layers.layers`; '' for none.
    place
        Where surgery puts it: ``input``, ``inner`` (after the network's first stage, see
        `murine.generalization.architectures`), or as surgery spells places.
    augmentation
        What is done to training images, by name; '' for nothing.
    about
        In a line.
    """

    layer: str = ""
    place: str = "input"
    augmentation: str = ""
    about: str = ""


#: Layers after which images have what pretrained networks want, mean 0 and variance near 1.
_STANDARDISING = ("standardise", "instance-norm", "local-contrast")

contenders: Registry[Contender] = Registry("variant")
for _name, _contender in {
    "plain": Contender(about="the network as it is"),
    "standardise": Contender("standardise", about="every image with mean 0 and variance 1"),
    "instance": Contender("instance-norm", about="every channel of every image with mean 0 and variance 1"),
    "sobel": Contender("sobel", about="length of Sobel's gradient, relative to the largest"),
    "lcn": Contender("local-contrast", about="local contrast normalisation, signed"),
    **{f"neurn{k}": Contender(f"neurn(k={k})", about=f"NeuRN of {k} x {k} pixels") for k in (3, 4, 5)},
    **{
        f"neurn{k}-inner": Contender(f"neurn(k={k})", "inner", about=f"NeuRN of {k} x {k} after the first stage")
        for k in (3, 4, 5)
    },
    "randconv": Contender(augmentation="randconv", about="training images through random convolutions"),
    "augmix": Contender(augmentation="augmix", about="training images through mixed chains of operations"),
}.items():
    contenders.register(_name)(_contender)


def contender_named(name: str) -> Contender:
    """A contender by name, or spelt: ``LAYER(OPTIONS)[@PLACE]`` as surgery does, ``neurn(k=7)@after:layer2``.

    Raises
    ------
    MurineError
        With the nearest names.
    """
    if name in contenders:
        return contenders[name]
    kind = name.partition("@")[0].partition("(")[0].strip()
    if kind not in layers or not ("(" in name or "@" in name):
        raise MurineError(
            f"unknown variant {name!r}{nearest(name, contenders) or '.'} Known: {', '.join(contenders)}; or a layer "
            f"and its place, as neurn(k=7)@input or sobel@after:layer1 (layers: {', '.join(sorted(layers))})."
        )
    if name.endswith("@inner"):
        return Contender(surgery.spelled(surgery.layer_named(name.removesuffix("@inner"))), "inner")
    found, rest = surgery.parse_variant(f"+{name}")
    if len(found) != 1 or rest:
        raise MurineError(f"the variant {name!r} is not understood; expected one layer and its place.")
    return Contender(*found[0])


def spelled(contender: Contender, inner: str, network: str) -> str:
    """LAYER(OPTIONS)@PLACE, as surgery spells it, in a network whose first stage is ``inner``; '' without a layer.

    Raises
    ------
    MurineError
        If the layer goes behind the first stage, and nobody said which that is.
    """
    if not contender.layer:
        return ""
    place = contender.place
    if place == "inner":
        if not inner:
            raise MurineError(
                f"where an inner layer goes in {network!r} is not known; name the place, as "
                f"'{contender.layer}@after:layer1'."
            )
        place = f"after:{inner}"
    return f"{surgery.spelled(surgery.layer_named(contender.layer))}@{place}"


def apply(contender: Contender, built: Built, network: str, side: int) -> tuple[nn.Module, str]:
    """Put a contender's layer into a network, in place.

    Returns
    -------
    module, variant
        ``variant`` as in `spelled`.

    Raises
    ------
    MurineError
        If the layer has no place in this network.
    """
    module, probe = built.module, torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    variant = spelled(contender, built.inner, network)
    if variant:
        layer, _, place = variant.partition("@")
        surgery.insert(module, surgery.layer_named(layer), place, probe=probe)
    standardised = contender.place == "input" and contender.layer.partition("(")[0] in _STANDARDISING
    if (set(built.mean) != {0.0} or set(built.std) != {1.0}) and not standardised:
        # Before the network's own input and behind what a contender put there, which is to see pixels.
        surgery.insert(module, NormaliseImages(built.mean, built.std), "input", probe=probe)
    return module, variant


def augmentation_of(contender: Contender) -> Callable[[Tensor, Generator], Tensor] | None:
    """What a contender does to training images, or None."""
    return augmentations[contender.augmentation] if contender.augmentation else None
