"""Preprocessing of images: size, range, channels and normalisation, as a network was trained."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from murine.errors import MurineError
from murine.limits import INPUT_SIZE
from murine.networks.memory import available_memory

if TYPE_CHECKING:
    from torch import Tensor

    from murine.stimuli import StimulusSet

#: Number of images that are resized together.
_PART = 16

#: Weights of red, green and blue in the luminance of an image (Rec. ITU-R BT.601), as in Pillow and torchvision.
LUMINANCE = (0.299, 0.587, 0.114)

#: Number of images in memory when a network is first shown two images and their copies.
_FEWEST_COPIES = 4


class Preprocessing(BaseModel):
    """The preprocessing of images before they enter a network. It is part of the identity of results.

    The whole image is resized to ``input_size``, scaled to [0, 1], and normalised by ``mean`` and ``std``. There is no
    crop, as in Conwell et al. 2021, so the network sees all that the mouse saw; the aspect ratio changes.

    Attributes
    ----------
    input_size
        (height, width) in pixels.
    mean, std
        One value for each channel of the network: three (grey images are copied to three channels), or one (images in
        colour become their luminance, `LUMINANCE`).
    interpolation
        Kind of interpolation when images are resized.
    channel_order
        Order of the colour channels.

    Examples
    --------
    >>> Preprocessing(input_size=(64, 64), mean=(0.5,), std=(0.25,)).n_channels
    1
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_size: tuple[int, int]
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    interpolation: Literal["bilinear", "bicubic", "nearest"] = "bilinear"
    channel_order: Literal["RGB", "BGR"] = "RGB"

    @field_validator("input_size")
    @classmethod
    def _positive(cls, size: tuple[int, int]) -> tuple[int, int]:
        if min(size) < 1:
            raise ValueError(f"the input size is {size[0]} x {size[1]}; both must be at least 1")
        return size

    @model_validator(mode="after")
    def _as_many(self) -> Preprocessing:
        if len(self.mean) != len(self.std) or len(self.mean) not in (1, 3):
            raise ValueError(f"mean has {len(self.mean)} values and std {len(self.std)}; expected 3 of each, or 1")
        return self

    @property
    def n_channels(self) -> int:
        """Number of channels of the images: 3, or 1 for a network that takes grey images."""
        return len(self.mean)

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], input_size: int | Sequence[int] | None = None, n_channels: int | None = None
    ) -> Preprocessing:
        """Return the preprocessing in a configuration with timm's keys.

        Parameters
        ----------
        config
            ``input_size`` as (channels, height, width), ``mean``, ``std``, ``interpolation``, and murine's own key
            ``channel_order`` ("RGB" or "BGR"). All are optional.
        input_size
            Replaces the size: one number for a square, or (height, width).
        n_channels
            1 or 3; None: as in ``input_size`` of the configuration, else 3.

        Raises
        ------
        MurineError
            If the number of channels, or a value in the configuration, is not possible.
        """
        given_size = tuple(config.get("input_size") or ())
        if n_channels is None:
            n_channels = given_size[0] if len(given_size) == 3 else 3
        if n_channels not in (1, 3):
            raise MurineError(
                f"the network takes images of {n_channels} channels; expected 3 (RGB) or 1 (grey). Wrap it in a module "
                "that computes its channels from these."
            )
        size = input_size_of(input_size) or (given_size[-2:] if given_size else (224, 224))
        values = {key: tuple(config.get(key, (default,) * n_channels)) for key, default in (("mean", 0), ("std", 1))}
        for key, value in values.items():
            if len(value) != n_channels:
                raise MurineError(
                    f"the network's preprocessing cannot be used: its {key} has {len(value)} values, and its images "
                    f"have {n_channels} channel{'s' if n_channels > 1 else ''}."
                )
        interpolation = config.get("interpolation", "bilinear")
        try:
            return cls(
                input_size=size,
                mean=values["mean"],
                std=values["std"],
                interpolation=interpolation if interpolation != "random" else "bilinear",
                channel_order=config.get("channel_order", "RGB"),
            )
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg']} (given: {each['input']!r})"
                for each in error.errors()[:3]
            )
            raise MurineError(f"the network's preprocessing cannot be used: {wrong}.") from error

    def apply(self, stimuli: StimulusSet) -> Tensor:
        """Return the preprocessed images, (n_stimuli, n_channels, height, width) float32.

        Raises
        ------
        MurineError
            If memory does not suffice.
        """
        import torch
        from torch.nn import functional

        height, width = self.input_size
        _check_memory(2 * stimuli.n_stimuli, self.n_channels, self.input_size, f"{stimuli.n_stimuli} images")
        antialias = self.interpolation != "nearest"
        parts = []
        for start in range(0, stimuli.n_stimuli, _PART):
            images = torch.from_numpy(stimuli.images[start : start + _PART].copy()).float() / 255
            images = images[:, None] if images.dim() == 3 else images.permute(0, 3, 1, 2)
            if self.n_channels == 1 and images.shape[1] == 3:
                images = (images * torch.tensor(LUMINANCE).view(1, 3, 1, 1)).sum(1, keepdim=True)
            if images.shape[-2:] != (height, width):
                images = functional.interpolate(
                    images, self.input_size, mode=self.interpolation, antialias=antialias
                ).clamp(0, 1)
            parts.append(images)
        images = torch.cat(parts).expand(-1, self.n_channels, -1, -1)
        if self.channel_order == "BGR":
            images = images.flip(1)
        mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (self.mean, self.std))
        return (images - mean) / std


def input_size_of(given: SupportsIndex | Sequence[int] | None) -> tuple[int, int] | None:
    """Return (height, width) from one number for a square, or from two; None stays None (the network's own size).

    Raises
    ------
    MurineError
        If the value is not a size, or memory does not suffice for two images of this size.

    Examples
    --------
    >>> input_size_of(64), input_size_of((64, 80)), input_size_of(None)
    ((64, 64), (64, 80), None)
    """
    if given is None:
        return None
    sides = tuple(given) if isinstance(given, Sequence) else (given, given)
    try:
        height, width = map(operator.index, sides)
    except (TypeError, ValueError) as error:
        raise MurineError(
            f"the input size {given!r} is not understood; expected one whole number or (height, width)."
        ) from error
    for side in (height, width):
        INPUT_SIZE.check("the input size", side)
    _check_memory(_FEWEST_COPIES, 3, (height, width), "two images, which a network is shown at least,")
    return height, width


def _check_memory(copies: int, n_channels: int, size: tuple[int, int], what: str) -> None:
    needed, available = 4 * copies * n_channels * size[0] * size[1], available_memory()
    if needed > available:
        raise MurineError(
            f"the input size {size[0]} x {size[1]} is too large: {what} of it take {needed / 1e9:,.1f} GB, and "
            f"{available / 1e9:,.1f} GB are available. Give a smaller --input-size."
        )
