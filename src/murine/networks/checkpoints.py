"""Read files of weights: safetensors, and PyTorch checkpoints in the forms that training scripts write."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from murine.errors import MurineError, reason_of, some

#: Keys of the state dict in checkpoints of training scripts, in order of preference. Moving averages of the weights
#: (EMA) come first, because their authors evaluate these weights.
NESTED = (
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema_model",
    "ema",
    "params_ema",
    "shadow",
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "module",
    "net",
    "network",
    "classy_state_dict",
    "base_model",
    "trunk",
    "params",
)

#: Prefixes that torch.compile and data parallelism add to the names of a network or of its parts.
_WRAPPED = re.compile(r"(?:^module\.|(?<![^.])_orig_mod\.)")


def read_state_dict(file: str | Path) -> dict[str, Tensor]:
    """Return the tensors in a safetensors file or a PyTorch checkpoint, without running code in the file.

    A checkpoint may contain the state dict itself, or under one of the usual keys (`NESTED`) at any depth.

    Raises
    ------
    MurineError
        If the file is missing, damaged, contains more than tensors, or contains no state dict.
    """
    path = Path(file)
    if not path.is_file():
        raise MurineError(f"there is no file of weights {str(file)!r}.")
    content = _of_safetensors(path) if path.suffix == ".safetensors" else _of_torch(path)
    state = _state_dict_in(content)
    if state is None:
        raise MurineError(
            f"{str(file)!r} holds no state dict: expected names with tensors, or one under a usual key, such as "
            "state_dict, model or state_dict_ema."
        )
    return state


def _of_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise MurineError(f"{str(path)!r} is no readable safetensors file; it may be truncated ({error}).") from error


def _of_torch(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about the format; the message below says more
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise MurineError(
            f"{str(path)!r} holds more than tensors, or is broken; murine never runs code from a file of weights. "
            "Load it where you trust it and save it with torch.save(model.state_dict(), ...) or as safetensors."
        ) from error
    except Exception as error:  # a damaged file makes torch fail in any way
        raise MurineError(
            f"{str(path)!r} is no readable PyTorch file of weights; it may be truncated ({reason_of(error)})."
        ) from error


def _state_dict_in(content: object) -> dict[str, Tensor] | None:
    if not isinstance(content, Mapping) or not content:
        return None
    if all(isinstance(value, Tensor) for value in content.values()):
        return {str(name): tensor for name, tensor in content.items()}
    found = (_state_dict_in(content.get(key)) for key in NESTED)
    return next((state for state in found if state is not None), None)


def load_file_into(
    module: nn.Module,
    file: str | Path,
    network: str,
    adapt: Callable[[dict[str, Tensor]], Mapping[str, Tensor]] | None = None,
) -> None:
    """Load weights from a file into a network. Every name and shape must fit.

    Parameters
    ----------
    module
        The network. Its weights are replaced.
    file
        A safetensors file or a PyTorch checkpoint.
    network
        Name of the network, for messages.
    adapt
        Renames the tensors in the published file of a network. It gets names without ``module.``.

    Notes
    -----
    Prefixes of torch.compile (``_orig_mod.``) and data parallelism (``module.``) are removed, and any prefix that all
    of the network's names have in the file, such as Lightning's ``model.``. Tensors with other names (of a loss or a
    teacher) are left out then. If two prefixes fit, the one with ``ema`` in its name is used.

    Raises
    ------
    MurineError
        If the file is missing or has no state dict, or if names or shapes do not fit. The message gives the names.
    """
    own = module.state_dict()
    state = read_state_dict(file)
    if adapt is not None:
        state = dict(adapt({name.removeprefix("module."): tensor for name, tensor in state.items()}))
    state = _without_wrappers(state, own)
    if not _needed(own) <= set(state):
        state = _under_a_prefix(state, own, str(file), network)
    missing = sorted(_needed(own) - set(state))
    unexpected = sorted(set(state) - set(own))
    shapes = [
        f"{name} is {tuple(state[name].shape)} in the file and {tuple(own[name].shape)} in the network"
        for name in sorted(set(own) & set(state))
        if isinstance(own[name], Tensor) and state[name].shape != own[name].shape
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
    try:
        module.load_state_dict(dict(state), strict=False)
    except Exception as error:  # quantised modules check more than names and shapes
        raise MurineError(
            f"the weights {str(file)!r} do not fit {network!r}: {reason_of(error).rstrip('.')}."
        ) from error


def _needed(own: Mapping[str, object]) -> set[str]:
    """Return the names that a file must contain. Counters of batches are not needed after training."""
    return {name for name in own if not name.endswith("num_batches_tracked")}


def _without_wrappers(state: Mapping[str, Tensor], own: Mapping[str, object]) -> dict[str, Tensor]:
    """Remove ``module.`` from the start of names and ``_orig_mod.`` anywhere, unless the network's names have them."""
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name == "n_averaged" and name not in own:  # counter of torch's AveragedModel
            continue
        inner, before = name, ""
        while inner != before and inner not in own:
            before, inner = inner, _WRAPPED.sub("", inner, count=1)
        found[name if inner in found or (inner != name and inner in state) else inner] = tensor
    return found


def _under_a_prefix(state: dict[str, Tensor], own: Mapping[str, object], file: str, network: str) -> dict[str, Tensor]:
    """Return the part of a state dict whose names have a prefix before the network's names; all if there is none."""
    names = _needed(own)
    # Two names of the network are enough to find the prefix: one of them may be missing.
    ends = [f".{name}" for name in sorted(names)[:2]]
    prefixes = sorted({name[: 1 - len(end)] for name in state for end in ends if name.endswith(end)})
    counts = {prefix: sum(prefix + name in state for name in names) for prefix in prefixes}
    fitting = [prefix for prefix in prefixes if counts[prefix] == max(counts.values()) > len(names) / 2]
    averaged = [prefix for prefix in fitting if "ema" in re.split(r"[._]", prefix)]
    if len(averaged) == 1:
        fitting = averaged
    if len(fitting) > 1:
        raise MurineError(
            f"the weights {file!r} fit {network!r} {len(fitting)} times: under {some(fitting)}. Save the ones that you "
            "mean in a file of their own."
        )
    if not fitting:
        return state
    return {name.removeprefix(fitting[0]): tensor for name, tensor in state.items() if name.startswith(fitting[0])}
