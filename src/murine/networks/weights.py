"""Weights of networks: their digest, seeded random numbers, and random weights by PyTorch's rule.

Weights such as ``random:3`` are drawn by `murine.networks.sources.source.NetworkSource.build`, which builds the network
under a seed.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from murine.errors import MurineError


def digest(module: nn.Module) -> str:
    """Return the SHA-256 of names, types, shapes and values of all parameters and buffers.

    Examples
    --------
    >>> digest(nn.Identity()) == digest(nn.ReLU())
    True
    """
    total = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        _add(total, name, value)
    return total.hexdigest()


def _add(total: Any, name: str, value: object) -> None:
    """Add a value of a state dict to a hash: a tensor, or the values that quantised modules have instead."""
    if isinstance(value, (tuple, list)):
        for number, member in enumerate(value):
            _add(total, f"{name}.{number}", member)
        return
    if not isinstance(value, Tensor):
        if isinstance(value, (torch.dtype, int, float)):
            total.update(f"{name} {value}\n".encode())
        return
    if is_lazy(value):
        total.update(f"{name} {value.dtype} without a shape\n".encode())
        return
    tensor = value.detach().cpu()
    total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    if tensor.is_quantized:
        if tensor.qscheme() in (torch.per_channel_affine, torch.per_channel_affine_float_qparams):
            of_scale = (tensor.q_per_channel_scales(), tensor.q_per_channel_zero_points(), tensor.q_per_channel_axis())
        else:
            of_scale = (tensor.q_scale(), tensor.q_zero_point())  # type: ignore[assignment]
        _add(total, f"{name}.scale", of_scale)
        tensor = tensor.int_repr()
    total.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the random numbers of torch, NumPy and Python inside this block, and restore their states afterwards."""
    python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 (factories use this generator)
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(of_numpy)  # noqa: NPY002


def reinitialise(module: nn.Module) -> None:
    """Draw new random parameters with the ``reset_parameters`` of each module, from torch's global random state.

    Raises
    ------
    MurineError
        If a module has parameters but no ``reset_parameters``.
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
