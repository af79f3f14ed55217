"""Networks from modules that are in memory already."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from torch import nn

from murine.errors import MurineError
from murine.networks import module_adapters
from murine.networks.code_identity import module_digest
from murine.networks.network import Network
from murine.networks.preprocessing import Preprocessing, input_size_of
from murine.networks.process_state import preserved_state
from murine.networks.transforms import config_from_transform

log = logging.getLogger(__name__)

#: What the weights of a module are called where its user does not say.
IN_MEMORY = "in memory"

#: Input size where neither the user nor the module tells one.
_USUAL_SIZE = (224, 224)


def network_from_module(
    module: nn.Module,
    *,
    name: str = "",
    weights: str = IN_MEMORY,
    mean: Sequence[float] | float | None = None,
    std: Sequence[float] | float | None = None,
    input_size: int | Sequence[int] | None = None,
    interpolation: str | None = None,
    transform: object = None,
) -> Network:
    """Make a network of a module.

    The module itself is used, not a copy. It is put in evaluation mode.

    Parameters
    ----------
    module
        Any module that takes images (n_images, channels, height, width). Of a model of images and text, the part that
        takes images is used; of `torch.compile` and `torch.nn.DataParallel`, the network inside.
    name
        What the network is called in tables; by default the name of its class.
    weights
        Name of its weights in tables. The role of the network is ``as built`` for ``in memory``, ``random`` for
        ``random:SEED``, and ``trained`` for every other name.
    mean, std
        Normalisation of pixels from 0 to 1, a number for each channel (3 or 1), or one number for all.
    input_size
        Pixels: one number for a square, or (height, width).
    interpolation
        ``bilinear``, ``bicubic`` or ``nearest``.
    transform
        A transform that mean, std, input size and interpolation are read from (`murine.networks.transforms`). The other
        parameters override it. By default they are read from the module itself (timm's ``pretrained_cfg`` or
        ``default_cfg``).

    Raises
    ------
    MurineError
        If the module is no module or needs more than images, or the preprocessing cannot be used.

    Examples
    --------
    >>> from torch import nn
    >>> network_from_module(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), name="toy", mean=0.5, std=0.25, input_size=32)
    <Network toy (in memory): 224 parameters, images of 32 x 32 px>
    """
    if not isinstance(module, nn.Module):
        raise MurineError(f"the network is a {type(module).__name__}; expected a torch.nn.Module or a name.")
    size = input_size_of(input_size)
    name = name or type(module).__name__
    with preserved_state(name):
        tower, part = module_adapters.image_tower(module_adapters.without_wrappers(module), name)
        if part:
            log.warning("%s takes more than images: only the layers of its part for images, %s, are used.", name, part)
        config = dict(module_adapters.config_of(tower))
        if transform is not None:
            config |= config_from_transform(transform)
        channels = module_adapters.n_channels(tower, config, size or _usual_size(config))
        config |= _given(channels, mean, std, interpolation)
        preprocessing = Preprocessing.from_config(config, size, channels)
        lazy = module_adapters.initialise_lazy(tower, channels, preprocessing.input_size, name)
    _warn(name, config, size, preprocessing, lazy)
    role = {IN_MEMORY: "as built", "random": "random"}.get(weights.partition(":")[0], "trained")
    return Network(name, weights, role, tower.eval(), preprocessing, module_digest(tower, name))


def _usual_size(config: dict[str, Any]) -> tuple[int, int]:
    told = tuple(config.get("input_size") or ())
    return (int(told[-2]), int(told[-1])) if len(told) > 1 else _USUAL_SIZE


def _given(
    channels: int, mean: Sequence[float] | float | None, std: Sequence[float] | float | None, interpolation: str | None
) -> dict[str, Any]:
    """Return what was given, in timm's words."""
    config: dict[str, Any] = {} if interpolation is None else {"interpolation": interpolation}
    for key, value in (("mean", mean), ("std", std)):
        if value is not None:
            config[key] = (float(value),) * channels if isinstance(value, (int, float)) else tuple(map(float, value))
    return config


def _warn(
    name: str, config: dict[str, Any], size: tuple[int, int] | None, preprocessing: Preprocessing, lazy: bool
) -> None:
    """Say what was assumed."""
    missing = [key for key in ("mean", "std") if key not in config]
    if missing:
        log.warning(
            "%s does not say how its images are normalised, so pixels go in from 0 to 1. Give %s, or transform=.",
            name,
            " and ".join(f"{key}=" for key in missing),
        )
    if size is None and "input_size" not in config:
        log.warning(
            "%s does not say its input size, so images have %s px. Give input_size=.",
            name,
            " x ".join(map(str, preprocessing.input_size)),
        )
    if lazy:
        log.warning("%s has lazy modules: their weights are drawn at random now.", name)
