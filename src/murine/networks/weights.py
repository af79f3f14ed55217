"""Weights: files, seeds and digests."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from murine.errors import MurineError, some

#: Keys under which training scripts put the state dict in a checkpoint, in order of preference.
_NESTED = (
    "state_dict_ema",
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "classy_state_dict",
    "base_model",
    "trunk",
)


def digest(module: nn.Module) -> str:
    """sha256 of names, types, shapes and values of all parameters and buffers."""
    total = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        if not isinstance(tensor, Tensor):
            continue
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw torch's random numbers from ``seed``; the state before is restored afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def reinitialise(module: nn.Module) -> None:
    """Draw all parameters anew by each module's own ``reset_parameters``; draws from torch's global state.

    Raises
    ------
    MurineError
        If a module holds parameters but does not say how to draw them.
    """
    for name, child in module.named_modules():
        reset = getattr(child, "reset_parameters", None) or getattr(child, "_reset_parameters", None)
        if callable(reset):
            reset()
        elif next(child.parameters(recurse=False), None) is not None:
            raise MurineError(
                f"random weights: {name or 'the network'} ({type(child).__name__}) has parameters but no "
                "reset_parameters(). Give the factory a parameter `pretrained`; murine calls it with pretrained=False."
            )


def read_state_dict(file: str | Path) -> dict[str, Tensor]:
    """Read weights from a safetensors file or a PyTorch checkpoint; never runs code from it.

    A checkpoint may hold the state dict itself or under one of the usual keys; a prefix ``module.`` is removed.
    """
    path = Path(file)
    if not path.is_file():
        raise MurineError(f"there is no file of weights {str(file)!r}.")
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            state: Any = load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            raise MurineError(
                f"{str(file)!r} is no readable safetensors file; it may be truncated ({error})."
            ) from error
    else:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of torch, about the format; the message below says it all
                state = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise MurineError(
                f"{str(file)!r} holds more than tensors, or is broken; murine never runs code from a file of weights. "
                "Load it where you trust it and save it with torch.save(model.state_dict(), ...) or as safetensors."
            ) from error
        except Exception as error:  # a damaged file makes torch fail in any way
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise MurineError(
                f"{str(file)!r} is no readable PyTorch file of weights; it may be truncated ({first})."
            ) from error
    while isinstance(state, Mapping) and (found := [key for key in _NESTED if isinstance(state.get(key), Mapping)]):
        state = state[found[0]]
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()) or not state:
        raise MurineError(
            f"{str(file)!r} holds no state dict: expected names with tensors, or one under {some(_NESTED)}."
        )
    return {str(name).removeprefix("module."): tensor for name, tensor in state.items()}


def load_file_into(
    module: nn.Module,
    file: str | Path,
    network: str,
    adapt: Callable[[dict[str, Tensor]], Mapping[str, Tensor]] = dict,
) -> None:
    """Load weights from a file; every name and shape must fit, once ``adapt`` has renamed what needs it."""
    state = adapt(read_state_dict(file))
    own = module.state_dict()
    missing = sorted(set(own) - set(state))
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    unexpected = sorted(set(state) - set(own))
    shapes = [
        f"{name} is {tuple(state[name].shape)} in the file and {tuple(own[name].shape)} in the network"
        for name in sorted(set(own) & set(state))
        if state[name].shape != own[name].shape
    ]
    problems = []
    if missing:
        problems.append(f"{len(missing)} of the network's {len(own)} tensors are missing ({some(missing, 3)})")
    if unexpected:
        problems.append(f"{len(unexpected)} of the file's are unknown to it ({some(unexpected, 3)})")
    if shapes:
        problems.append(f"{len(shapes)} differ in shape ({some(shapes, 2)})")
    if problems:
        raise MurineError(f"the weights {str(file)!r} do not fit {network!r}: {'; '.join(problems)}.")
    module.load_state_dict(state, strict=False)
