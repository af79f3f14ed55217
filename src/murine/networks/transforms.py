"""Preprocessing read from what other libraries call a transform, an image processor or a data configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from murine.errors import MurineError

#: Pillow's numbers of its filters, as Hugging Face's image processors give them.
_PILLOW = {0: "nearest", 2: "bilinear", 3: "bicubic"}

#: Steps of a transform that change no value that murine does not set itself.
_NEUTRAL = {
    "ToTensor",
    "MaybeToTensor",
    "PILToTensor",
    "MaybePILToTensor",
    "ToImage",
    "ToImageTensor",
    "ToDtype",
    "ConvertImageDtype",
    "ConvertDtype",
}

_KNOWN = (
    "a dictionary with timm's keys (input_size, mean, std, interpolation), a torchvision transform made of Resize, "
    "CenterCrop, ToTensor and Normalize, the transforms of torchvision's weights, or an image processor of Hugging Face"
)


def config_from_transform(transform: object) -> dict[str, Any]:
    """Return the preprocessing that a transform describes, with timm's keys.

    murine shows the whole image, resized to the network's input size: crops are not made, but the size of the crop is
    the input size. The resizing before a crop is left out.

    Parameters
    ----------
    transform
        A dictionary with timm's keys (as `timm.data.resolve_data_config` returns); a ``Compose`` of torchvision or
        timm; the transforms of a torchvision weights entry (``weights.transforms()``); or an image processor of
        Hugging Face transformers.

    Returns
    -------
    config
        Any of ``input_size`` (channels, height, width), ``mean``, ``std`` and ``interpolation``; only what the
        transform says.

    Raises
    ------
    MurineError
        For another kind of object, and for a transform with a step that murine cannot repeat.

    Examples
    --------
    >>> config_from_transform({"input_size": (3, 64, 64), "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)})
    {'input_size': (3, 64, 64), 'mean': (0.5, 0.5, 0.5), 'std': (0.5, 0.5, 0.5)}
    """
    if isinstance(transform, Mapping):
        return dict(transform)
    if hasattr(transform, "image_mean") or hasattr(transform, "image_processor"):
        return _of_processor(getattr(transform, "image_processor", transform))
    if hasattr(transform, "transforms"):
        return _of_steps(transform.transforms)
    if all(hasattr(transform, name) for name in ("crop_size", "mean", "std")):
        return _of_preset(transform)
    raise MurineError(f"the transform is a {type(transform).__name__}, which murine cannot read; expected {_KNOWN}.")


def _of_steps(steps: Sequence[object]) -> dict[str, Any]:
    """Read the steps of a ``Compose``."""
    config: dict[str, Any] = {}
    size: tuple[int, int] | None = None
    channels = 3
    for step in steps:
        name = type(step).__name__
        if name == "Normalize":
            config |= {"mean": _numbers(step, "mean"), "std": _numbers(step, "std")}
        elif name in ("Resize", "CenterCrop"):
            size = _pair(getattr(step, "size", None)) or size
            if name == "Resize" and (interpolation := _interpolation(getattr(step, "interpolation", None))):
                config["interpolation"] = interpolation
        elif name == "Grayscale":
            channels = int(getattr(step, "num_output_channels", 1))
        elif name not in _NEUTRAL:
            raise MurineError(
                f"the transform has a step {name}, which murine cannot repeat for the images of an experiment; "
                f"expected {_KNOWN}. Or give mean, std and input_size."
            )
    if size is not None:
        config["input_size"] = (channels, *size)
    elif channels != 3:
        raise MurineError("the transform makes grey images and has no Resize; give input_size as well.")
    return config


def _of_preset(preset: object) -> dict[str, Any]:
    """Read the transforms of a torchvision weights entry."""
    size = _pair(getattr(preset, "crop_size", None))
    config: dict[str, Any] = {"mean": _numbers(preset, "mean"), "std": _numbers(preset, "std")}
    if size is not None:
        config["input_size"] = (3, *size)
    if interpolation := _interpolation(getattr(preset, "interpolation", None)):
        config["interpolation"] = interpolation
    return config


def _of_processor(processor: object) -> dict[str, Any]:
    """Read an image processor of Hugging Face."""
    config: dict[str, Any] = {}
    scale = float(getattr(processor, "rescale_factor", 1 / 255) or 1 / 255)
    if not getattr(processor, "do_rescale", True) or abs(scale * 255 - 1) > 1e-3:
        raise MurineError(
            "the image processor does not scale pixels to the range from 0 to 1 (do_rescale, rescale_factor), which "
            "murine does. Give mean, std and input_size for pixels from 0 to 1."
        )
    if getattr(processor, "do_normalize", True):
        config |= {"mean": _numbers(processor, "image_mean"), "std": _numbers(processor, "image_std")}
    else:
        config |= {"mean": (0.0,) * 3, "std": (1.0,) * 3}
    cropped = getattr(processor, "do_center_crop", False) and getattr(processor, "crop_size", None)
    size = _pair(cropped or getattr(processor, "size", None))
    if size is not None:
        config["input_size"] = (3, *size)
    resample = getattr(processor, "resample", None)
    if (interpolation := _PILLOW.get(int(resample))) if resample is not None else None:
        config["interpolation"] = interpolation
    return config


def _numbers(owner: object, name: str) -> tuple[float, ...]:
    """Return numbers as they were written: a tensor of float32 holds 0.485 as 0.48500001."""
    values = getattr(owner, name)
    is_single = str(getattr(values, "dtype", "")).endswith("float32")
    return tuple(float(f"{float(value):.7g}") if is_single else float(value) for value in values)


def _pair(size: Any) -> tuple[int, int] | None:
    """Return (height, width) of what libraries call a size."""
    if size is None:
        return None
    if hasattr(size, "height") and hasattr(size, "width") and size.height:
        return int(size.height), int(size.width)
    if isinstance(size, Mapping):
        if "height" in size and "width" in size:
            return int(size["height"]), int(size["width"])
        size = size.get("shortest_edge")
        if size is None:
            return None
    sides = tuple(size) if isinstance(size, Sequence) else (size,)
    return int(sides[0]), int(sides[-1])


def _interpolation(given: Any) -> str:
    """Return timm's name of an interpolation; '' where there is none of that name."""
    name = str(getattr(given, "value", given)).lower()
    return name if name in ("bilinear", "bicubic", "nearest") else ""
