"""From a stimulus set to what a network was trained to see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator

from murine.errors import MurineError

if TYPE_CHECKING:
    from torch import Tensor

    from murine.stimuli import StimulusSet

#: Images prepared at once: large stimuli are resized in parts.
_PART = 16


class Preprocessing(BaseModel):
    """What is done to an image before it enters a network; part of the identity of a result.

    The whole image is resized to ``input_size`` (as Conwell et al. 2021 do: no crop, so nothing that the mouse saw is
    lost; the aspect ratio changes), scaled to [0, 1], normalised by ``mean`` and ``std``. Grey images are copied to
    three channels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_size: tuple[int, int]
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    interpolation: Literal["bilinear", "bicubic", "nearest"] = "bilinear"
    channel_order: Literal["RGB", "BGR"] = "RGB"

    @field_validator("input_size")
    @classmethod
    def _positive(cls, size: tuple[int, int]) -> tuple[int, int]:
        if min(size) < 1:
            raise ValueError(f"the input size is {size[0]} x {size[1]}; both must be at least 1")
        return size

    @classmethod
    def from_config(cls, config: Mapping[str, Any], input_size: int | Sequence[int] | None = None) -> Preprocessing:
        """Read timm's conventions (``input_size`` as (3, H, W), ``mean``, ``std``, ``interpolation``).

        ``channel_order`` ("RGB" or "BGR") is an addition of ours. ``input_size`` overrides the size: one number for a
        square, or (height, width)."""
        if input_size is None:
            size: Sequence[int] = tuple(config.get("input_size", (3, 224, 224)))[-2:]
        else:
            size = (input_size, input_size) if isinstance(input_size, int) else input_size
        interpolation = config.get("interpolation", "bilinear")
        try:
            return cls(
                input_size=tuple(size),  # type: ignore[arg-type]
                mean=tuple(config.get("mean", (0, 0, 0))),
                std=tuple(config.get("std", (1, 1, 1))),
                interpolation=interpolation if interpolation != "random" else "bilinear",
                channel_order=config.get("channel_order", "RGB"),
            )
        except ValueError as error:
            raise MurineError(f"the network's preprocessing cannot be used: {error}") from error

    def apply(self, stimuli: StimulusSet) -> Tensor:
        """Return the images as (n_stimuli, 3, height, width) float32."""
        import torch
        from torch.nn import functional

        antialias = self.interpolation != "nearest"
        parts = []
        for start in range(0, stimuli.n_stimuli, _PART):
            images = torch.from_numpy(stimuli.images[start : start + _PART].copy()).float() / 255
            images = images[:, None] if images.dim() == 3 else images.permute(0, 3, 1, 2)
            if images.shape[-2:] != self.input_size:
                images = functional.interpolate(
                    images, self.input_size, mode=self.interpolation, antialias=antialias
                ).clamp(0, 1)
            parts.append(images)
        images = torch.cat(parts).expand(-1, 3, -1, -1)
        if self.channel_order == "BGR":
            images = images.flip(1)
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (self.mean, self.std))
        return (images - mean) / std
