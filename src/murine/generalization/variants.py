"""Training variants: changes of a network, or of its training images, that may help on unseen domains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from murine.errors import MurineError, nearest
from murine.generalization.augmentation import augmentations
from murine.generalization.network_builder import Built
from murine.networks.surgery.insertion import insert
from murine.networks.surgery.rival_layers import layers
from murine.networks.surgery.variant_names import canonical_layer, layer_named, parse_variant
from murine.registry import Registry


class NormaliseImages(nn.Module):
    """Normalises images as a pretrained network expects: (x - mean) / std for each channel."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, x: Tensor) -> Tensor:
        mean, std = (
            torch.tensor(values, dtype=x.dtype, device=x.device).view(-1, 1, 1) for values in (self.mean, self.std)
        )
        return (x - mean) / std


@dataclass(frozen=True)
class TrainingVariant:
    """The changes that make a variant of a network.

    Attributes
    ----------
    layer
        Name of a layer in `murine.networks.surgery.layers`; '' for none.
    place
        Where the layer is inserted: ``input``, ``inner`` (after the first stage of the network, see
        `murine.generalization.architectures`), or a place as in `murine.networks.surgery.insert`.
    augmentation
        Name of an augmentation of the training images; '' for none.
    about
        A short description for lists.

    Examples
    --------
    >>> TrainingVariant("neurn(k=3)", "inner").layer
    'neurn(k=3)'
    >>> variants["randconv"].augmentation
    'randconv'
    """

    layer: str = ""
    place: str = "input"
    augmentation: str = ""
    about: str = ""


#: Layers after which images have mean 0 and variance near 1, as pretrained networks expect.
_STANDARDISING = ("standardise", "instance-norm", "local-contrast")

variants: Registry[TrainingVariant] = Registry("variant")
for _name, _variant in {
    "plain": TrainingVariant(about="the network as it is"),
    "standardise": TrainingVariant("standardise", about="every image with mean 0 and variance 1"),
    "instance": TrainingVariant("instance-norm", about="every channel of every image with mean 0 and variance 1"),
    "sobel": TrainingVariant("sobel", about="length of Sobel's gradient, relative to the largest"),
    "lcn": TrainingVariant("local-contrast", about="local contrast normalisation, signed"),
    **{f"neurn{k}": TrainingVariant(f"neurn(k={k})", about=f"NeuRN of {k} x {k} pixels") for k in (3, 4, 5)},
    **{
        f"neurn{k}-inner": TrainingVariant(f"neurn(k={k})", "inner", about=f"NeuRN of {k} x {k} after the first stage")
        for k in (3, 4, 5)
    },
    "randconv": TrainingVariant(augmentation="randconv", about="training images through random convolutions"),
    "augmix": TrainingVariant(augmentation="augmix", about="training images through mixed chains of operations"),
}.items():
    variants.register(_name)(_variant)


def variant_named(name: str) -> TrainingVariant:
    """Return a variant by its name in `variants`, or from ``LAYER(OPTIONS)[@PLACE]``: ``neurn(k=7)@after:layer2``.

    Raises
    ------
    MurineError
        If there is no such variant. The message suggests the nearest names.

    Examples
    --------
    >>> variant_named("sobel@after:layer1").place
    'after:layer1'
    """
    if name in variants:
        return variants[name]
    kind = name.partition("@")[0].partition("(")[0].strip()
    if kind not in layers or not ("(" in name or "@" in name):
        raise MurineError(
            f"unknown variant {name!r}{nearest(name, variants) or '.'} Known: {', '.join(variants)}; or a layer "
            f"and its place, as neurn(k=7)@input or sobel@after:layer1 (layers: {', '.join(sorted(layers))})."
        )
    if name.endswith("@inner"):
        return TrainingVariant(canonical_layer(layer_named(name.removesuffix("@inner"))), "inner")
    found, rest = parse_variant(f"+{name}")
    if len(found) != 1 or rest:
        raise MurineError(f"the variant {name!r} is not understood; expected one layer and its place.")
    return TrainingVariant(*found[0])


def canonical_variant(definition: TrainingVariant, inner: str, network: str) -> str:
    """Return the canonical name of a variant's layer and place, ``neurn(k=3)@input``; '' without a layer.

    Parameters
    ----------
    inner
        Module that ends the first stage of the network; '' if it is unknown.

    Raises
    ------
    MurineError
        If the layer stands after the first stage, and that is unknown.
    """
    if not definition.layer:
        return ""
    place = definition.place
    if place == "inner":
        if not inner:
            raise MurineError(
                f"the place of an inner layer in {network!r} is not known; name the place, for example "
                f"'{definition.layer}@after:layer1'."
            )
        place = f"after:{inner}"
    return f"{canonical_layer(layer_named(definition.layer))}@{place}"


def apply_variant(definition: TrainingVariant, built: Built, network: str, side: int) -> tuple[nn.Module, str]:
    """Insert a variant's layer into a network, in place.

    Returns
    -------
    module, variant
        ``variant`` as in `canonical_variant`.

    Raises
    ------
    MurineError
        If the layer has no place in this network.
    """
    module, probe = built.module, torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    variant = canonical_variant(definition, built.inner, network)
    if variant:
        layer, _, place = variant.partition("@")
        insert(module, layer_named(layer), place, probe=probe)
    standardised = definition.place == "input" and definition.layer.partition("(")[0] in _STANDARDISING
    if (set(built.mean) != {0.0} or set(built.std) != {1.0}) and not standardised:
        # After the variant's layer, which sees pixels, and before the network's own first module.
        insert(module, NormaliseImages(built.mean, built.std), "input", probe=probe)
    return module, variant


def augmentation_of(definition: TrainingVariant) -> Callable[[Tensor, Generator], Tensor] | None:
    """Return the augmentation of a variant's training images, or None."""
    return augmentations[definition.augmentation] if definition.augmentation else None
