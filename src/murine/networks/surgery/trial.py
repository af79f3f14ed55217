"""The trial before an insertion: show the network an image, and the layer the inputs that it would get."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from murine.errors import MurineError, reason_of, some
from murine.networks.evaluation_mode import evaluation_mode
from murine.networks.module_adapters import config_of
from murine.networks.network import Network
from murine.networks.preprocessing import Preprocessing
from murine.networks.surgery.variant_names import Place
from murine.networks.surgery.wrapped_modules import first_argument

#: A map may be longer or wider than its image by at most this factor.
_MAX_STRETCH = 2.0


def random_probe(network: nn.Module | Network) -> Tensor:
    """Return one image of random pixels with the size, type and device that the network takes."""
    if isinstance(network, nn.Module):
        module = network
        config = config_of(module)
        channels, *size = tuple(config.get("input_size", (3, 224, 224)))
    else:
        module, preprocessing = network.module, network.preprocessing
        channels, size = preprocessing.n_channels, list(preprocessing.input_size)
    like = next((x for x in (*module.parameters(), *module.buffers()) if x.is_floating_point()), torch.empty(0))
    pixels = torch.rand(1, channels, *size, generator=torch.Generator().manual_seed(0))
    return pixels.to(like)


def normalisation_of(network: nn.Module | Network) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel, by which images are normalised before they enter."""
    if isinstance(network, Network):
        return network.preprocessing.mean, network.preprocessing.std
    config = config_of(network)
    if not {"mean", "std"} <= set(config):
        raise MurineError(
            "the network does not state how its images are normalised (mean and std in its default_cfg), so a layer "
            "cannot be put before the normalisation; choose the place input."
        )
    preprocessing = Preprocessing.from_config(config)
    return preprocessing.mean, preprocessing.std


@contextmanager
def trial_mode(module: nn.Module) -> Iterator[None]:
    """Evaluate without gradients; afterwards modes and random state are as before."""
    with evaluation_mode(module), torch.no_grad(), torch.random.fork_rng(devices=[]):
        yield


def inputs_at(
    module: nn.Module, names: list[str], place: Place, layer: nn.Module, images: Tensor, what: str
) -> dict[str, tuple[tuple[int, ...], bool]]:
    """Pass images through the unchanged network, and try the layer on its future inputs.

    The layer is tried inside hooks, on every call, so that no feature is kept.

    Returns
    -------
    inputs
        For each module: the shape of the layer's input for one image, and whether its channels come last.

    Raises
    ------
    MurineError
        If the network fails, a module does not run, or the layer cannot work with its input.
    """
    layer = copy.deepcopy(layer).to(images.device).eval()
    inputs: dict[str, tuple[tuple[int, ...], bool]] = {}
    problems: list[str] = []

    def note(name: str, value: Any, returned: Any) -> None:
        where = f"{what} {place} {name!r}" if name else f"{what} at the input"
        try:
            inputs[name] = _try_layer(layer, value, returned if place == "replace" else None, images)
        except MurineError as error:
            problems.append(f"{where}: {error}")

    handles = []
    for name in names:
        child = module.get_submodule(name)
        if place == "after":
            handles.append(child.register_forward_hook(lambda _m, _i, out, n=name: note(n, out, None)))
        else:
            hook: Callable[..., None] = lambda _m, args, kwargs, out, n=name: note(n, first_argument(args, kwargs), out)  # noqa: E731
            handles.append(child.register_forward_hook(hook, with_kwargs=True))
    try:
        module(images)
    except Exception as error:
        raise MurineError(
            f"the network fails on the trial image, {_shape(images)}, before any layer is inserted: "
            f"{reason_of(error).rstrip('.')}."
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    if problems:
        raise MurineError(
            problems[0] + (f" The same holds for {len(problems) - 1} others." if len(problems) > 1 else "")
        )
    if idle := [name for name in names if name not in inputs]:
        raise MurineError(
            f"the modules {some(idle)} are not called in the forward pass, so {what} would never run. Choose others: "
            "a module that only contains others does not run itself."
        )
    return inputs


def _try_layer(layer: nn.Module, value: Any, returned: Any, images: Tensor) -> tuple[tuple[int, ...], bool]:
    if not isinstance(value, Tensor):
        raise MurineError(f"its input there is not a tensor but {type(value).__name__}.")
    channels_last = _is_channels_last(value, images)
    try:
        result = layer(value.permute(0, 3, 1, 2) if channels_last else value)
    except Exception as error:
        raise MurineError(f"its input there is {_shape(value)}, and it fails: {reason_of(error)}") from error
    result = result.permute(0, 2, 3, 1) if channels_last else result
    if returned is not None and not (isinstance(returned, Tensor) and returned.shape == result.shape):
        raise MurineError(
            f"it turns {_shape(value)} into {_shape(result)}, but the module returns {_shape(returned)}, which the "
            "network expects. Put the layer before or after the module instead."
        )
    return tuple(value.shape[1:]), channels_last


def _is_channels_last(value: Tensor, images: Tensor) -> bool:
    """Return whether a map is (n, height, width, channels): which two of its axes have the proportions of the image."""
    if value.ndim != 4 or not value.is_floating_point():
        raise MurineError(
            f"its input there is {_shape(value)} of {value.dtype}, which is not a map of the image; expected (n, "
            "channels, height, width), floating point. Choose an earlier module, before the map becomes a vector or "
            "tokens."
        )
    wanted = images.shape[-2] / images.shape[-1]
    _, first, second, third = (max(size, 1) for size in value.shape)
    stretch = [abs(math.log(height / width / wanted)) for height, width in ((second, third), (first, second))]
    if min(stretch) > math.log(_MAX_STRETCH):
        raise MurineError(
            f"its input there is {_shape(value)}, which does not have the shape of a map of {images.shape[-2]} x "
            f"{images.shape[-1]} pixels. Choose another module, before the map becomes a vector or tokens."
        )
    return stretch[1] < stretch[0]


def _shape(value: Any) -> str:
    return " x ".join(map(str, value.shape)) if isinstance(value, Tensor) else type(value).__name__
