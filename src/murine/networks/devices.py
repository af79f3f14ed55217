"""The device that a network runs on."""

from __future__ import annotations

import torch

from murine.errors import MurineError, reason_of


def available_device(device: str) -> str:
    """Return the name of a device that can be used; ``auto`` is a GPU if there is one, else the CPU.

    Parameters
    ----------
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or another name of PyTorch.

    Raises
    ------
    MurineError
        If the name is unknown, or PyTorch cannot use the device here.

    Examples
    --------
    >>> available_device("cpu")
    'cpu'
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        parsed = torch.device(device)
    except RuntimeError as error:
        raise MurineError(f"unknown device {device!r}; expected cpu, cuda, cuda:1 ... or auto.") from error
    if parsed.type == "cuda" and not torch.cuda.is_available():
        raise MurineError(f"the device {device!r} was asked for, but PyTorch sees no CUDA here; use --device cpu.")
    return device


def usable_device(device: str) -> torch.device:
    """Return a device after a tensor has been put on it.

    Raises
    ------
    MurineError
        As `available_device`; also if the device is known but fails, such as a GPU with another number.

    Examples
    --------
    >>> usable_device("cpu")
    device(type='cpu')
    """
    name = available_device(device)
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise MurineError(f"the device {device!r} cannot be used: {reason_of(error)}") from error
