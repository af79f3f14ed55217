"""Adapt a user's network: remove wrappers, find its image encoder and preprocessing, and initialise lazy modules."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from murine.errors import MurineError, reason_of
from murine.networks.evaluation_mode import evaluation_mode
from murine.networks.wrappers import unwrapped

#: Names of the image encoder in models of images and text (open_clip, Hugging Face, and others).
_TOWERS = (
    "visual",
    "vision_model",
    "vision_tower",
    "vision_encoder",
    "visual_encoder",
    "image_encoder",
    "image_model",
    "image_tower",
)

#: Names of their function that encodes images, if there is no such part.
_ENCODERS = ("encode_image", "get_image_features")

#: Names of text among the arguments of ``forward``.
_TEXTS = {
    "text",
    "texts",
    "tokens",
    "token_ids",
    "text_tokens",
    "input_ids",
    "caption",
    "captions",
    "prompt",
    "prompts",
}


def without_wrappers(module: nn.Module) -> nn.Module:
    """Return the network inside its wrappers (`murine.networks.wrappers`). Wrappers of its parts are removed in place.

    Hooks are not called inside compiled code, so its layers could not be captured.
    """
    module = unwrapped(module)
    for child in list(module.modules()):
        if isinstance(child, torch.jit.ScriptModule):
            continue
        child.__dict__.pop("_compiled_call_impl", None)  # set by nn.Module.compile()
        for name, part in list(child._modules.items()):
            if part is not None:
                child._modules[name] = unwrapped(part)
    return module


class ImageEncoder(nn.Module):
    """Calls a model of images and text for images alone, with one of its functions."""

    def __init__(self, model: nn.Module, function: str) -> None:
        super().__init__()
        self.model = model
        self.function = function

    def forward(self, images: Tensor) -> Any:
        return getattr(self.model, self.function)(images)

    def extra_repr(self) -> str:
        return f"function={self.function}"


def image_tower(module: nn.Module, name: str) -> tuple[nn.Module, str]:
    """Return the part of a network that takes images, and its name; the network itself and '' if that takes images.

    Raises
    ------
    MurineError
        If ``forward`` needs more than images, and no part or function of the network takes images alone.
    """
    try:
        parameters = list(inspect.signature(module.forward).parameters.values())
    except (TypeError, ValueError):  # a scripted network, for example, has no signature
        return module, ""
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [each.name for each in parameters if each.default is each.empty and each.kind not in several]
    takes_text = any(each.name.lower() in _TEXTS for each in parameters)
    if len(needed) <= 1 and not takes_text:
        return module, ""
    for part in _TOWERS:
        if isinstance(tower := getattr(module, part, None), nn.Module):
            _hand_down_config(module, tower)
            return tower, part
    for function in _ENCODERS:
        if callable(getattr(module, function, None)):
            encoder = ImageEncoder(module, function)
            _hand_down_config(module, encoder)
            return encoder, f"{function}()"
    if len(needed) <= 1 and (not parameters or parameters[0].name.lower() not in _TEXTS):
        return module, ""
    raise MurineError(
        f"the network {name!r} needs more than images: forward({', '.join(each.name for each in parameters)}). Return "
        "the part that takes images alone (in a model of images and text, the image encoder), or a module that "
        "supplies the other arguments."
    )


def _hand_down_config(module: nn.Module, tower: nn.Module) -> None:
    """Copy the preprocessing of the whole model, or open_clip's own attributes, to its image encoder."""
    config = dict(config_of(tower) or config_of(module))
    size, mean, std = (getattr(tower, key, None) for key in ("image_size", "image_mean", "image_std"))
    if size is not None and "input_size" not in config:
        config["input_size"] = (3, *(size if isinstance(size, (tuple, list)) else (size, size)))
    if mean is not None and std is not None and not {"mean", "std"} & set(config):
        config |= {"mean": tuple(mean), "std": tuple(std)}
    if config:
        tower.default_cfg = config  # type: ignore[assignment]


def config_of(module: nn.Module) -> Mapping[str, Any]:
    """Return the preprocessing that a module states, with timm's keys; empty if it states none."""
    for name in ("pretrained_cfg", "default_cfg"):
        config: Any = getattr(module, name, None)
        if hasattr(config, "to_dict"):  # timm's PretrainedCfg
            config = config.to_dict()
        if isinstance(config, Mapping) and config:
            return config
    return {}


def n_channels(module: nn.Module, config: Mapping[str, Any], size: tuple[int, int]) -> int:
    """Return the number of channels that a network takes: as its configuration says, else as it runs.

    A first convolution of one channel is not enough to decide, because the network may convert images to grey itself.
    """
    given_size = tuple(config.get("input_size") or ())
    if len(given_size) == 3:
        return int(given_size[0])
    if len(given_size) == 2 or _first_channels(module) != 1:
        return 3
    try:
        _run(module, 3, size)
    except MurineError:
        raise
    except Exception:
        return 1
    return 3


def _first_channels(module: nn.Module) -> int:
    """Return the number of input channels of the first convolution over images; 0 if there is none."""
    for child in module.modules():
        size = getattr(child, "kernel_size", None)  # pooling has one number
        if isinstance(size, tuple) and len(size) == 2 and hasattr(child, "in_channels"):
            return int(child.in_channels)  # type: ignore[arg-type]
    return 0


def initialise_lazy(module: nn.Module, n_channels: int, size: tuple[int, int], name: str) -> bool:
    """Initialise lazy modules with a black image. Their weights are drawn from torch's global random state.

    Returns
    -------
    lazy
        Whether there were lazy modules.

    Raises
    ------
    MurineError
        If the network fails on the image, or some lazy modules do not run.
    """
    if not any(is_lazy(tensor) for tensor in (*module.parameters(), *module.buffers())):
        return False
    try:
        _run(module, n_channels, size)
    except Exception as error:
        raise MurineError(
            f"the network {name!r} has lazy modules, whose weights are made when it first sees an image, but it fails "
            f"on an image of {n_channels} x {size[0]} x {size[1]}: {reason_of(error).rstrip('.')}."
        ) from error
    if missed := [key for key, child in module.named_modules() if any(map(is_lazy, child.parameters(recurse=False)))]:
        raise MurineError(
            f"the network {name!r} has lazy modules that do not run on images ({', '.join(missed)}), so they have no "
            "weights. Give them their sizes, or leave them out."
        )
    return True


def _run(module: nn.Module, n_channels: int, size: tuple[int, int]) -> None:
    """Show a network one black image in evaluation mode."""
    like = next((x for x in module.parameters() if not is_lazy(x) and x.is_floating_point()), torch.empty(0))
    with evaluation_mode(module), torch.no_grad():
        module(torch.zeros(1, n_channels, *size, device=like.device, dtype=like.dtype))
