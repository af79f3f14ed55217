"""The tensors in what a module returns, whatever it returns."""

from __future__ import annotations

import dataclasses
import numbers
from collections import deque
from collections.abc import Iterator, Mapping
from enum import Enum
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

#: What a module may return beside tensors without anybody missing it.
_PLAIN = (numbers.Number, str, bytes, Enum, torch.dtype, torch.device, type, ModuleType, nn.Module)

#: How deep objects may lie in each other.
_MAX_DEPTH = 8


def tensors_in(output: object, name: str) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a module's output with their names: itself, or the members of what it returns.

    Members of tuples, lists, mappings, dataclasses and other objects with attributes; each member of a member has a
    name such as ``name[0][key]``."""
    for key, value in _leaves(output, name, ()):
        if isinstance(value, Tensor):
            yield key, value


def unknown_in(output: object) -> list[str]:
    """Return the names of the types in a module's output that may hold features and cannot be looked into."""
    leaves = [value for _, value in _leaves(output, "", ()) if not isinstance(value, Tensor)]
    return [type(value).__name__ for value in leaves if value is not None and not isinstance(value, _PLAIN)]


def plain(tensor: Tensor) -> Tensor:
    """Return the numbers of a tensor as an ordinary tensor: dequantised, and dense where it was sparse."""
    if tensor.is_quantized:
        return tensor.dequantize()
    return tensor if tensor.layout == torch.strided else tensor.to_dense()


def working_bytes(args: tuple[object, ...], output: Tensor) -> int:
    """Memory a module needs while it runs: its input and output are alive together, a shortcut may keep one more."""
    taken = sum(t.numel() * t.element_size() for _, t in tensors_in(args, ""))
    return 2 * taken + 2 * output.numel() * output.element_size()


def _leaves(value: object, name: str, within: tuple[int, ...]) -> Iterator[tuple[str, object]]:
    members = None if isinstance(value, Tensor) else _members(value)
    if members is None:
        yield name, value
    elif id(value) not in within and len(within) < _MAX_DEPTH:
        for key, member in members:
            yield from _leaves(member, f"{name}[{key}]", (*within, id(value)))


def _members(value: object) -> Iterator[tuple[object, Any]] | None:
    """The members of a container or an object; None for what has none."""
    if isinstance(value, Mapping):
        return iter(value.items())
    if isinstance(value, (tuple, list, deque)):
        return iter(enumerate(value))
    if isinstance(value, _PLAIN) or callable(value):
        return None
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
    else:
        slots = [getattr(kind, "__slots__", ()) for kind in type(value).__mro__]
        of_slots = [name for slot in slots for name in ([slot] if isinstance(slot, str) else slot)]
        names = [name for name in (*getattr(value, "__dict__", {}), *of_slots) if not name.startswith("_")]
    found = [(name, getattr(value, name)) for name in names if hasattr(value, name)]
    return iter(found) if found else None
