"""The tensors in the output of a module: of tuples, mappings, dataclasses and other objects."""

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

#: Types in an output that contain no features.
_PLAIN = (numbers.Number, str, bytes, Enum, torch.dtype, torch.device, type, ModuleType, nn.Module)

#: Deepest nesting of objects that is searched.
_MAX_DEPTH = 8


def tensors_in(output: object, name: str) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors in a module's output with their names: the output itself, or its members.

    Members are those of tuples, lists, mappings, dataclasses and other objects with attributes. A member of a member
    has a name such as ``name[0][key]``.

    Examples
    --------
    >>> [name for name, _ in tensors_in({"a": torch.zeros(1), "b": (torch.ones(1),)}, "head")]
    ['head[a]', 'head[b][0]']
    """
    for key, value in _leaves(output, name, ()):
        if isinstance(value, Tensor):
            yield key, value


def unknown_in(output: object) -> list[str]:
    """Return the names of types in a module's output that may contain features but cannot be searched."""
    leaves = [value for _, value in _leaves(output, "", ()) if not isinstance(value, Tensor)]
    return [type(value).__name__ for value in leaves if value is not None and not isinstance(value, _PLAIN)]


def plain(tensor: Tensor) -> Tensor:
    """Return a tensor as an ordinary one: dequantised if it is quantised, dense if it is sparse."""
    if tensor.is_quantized:
        return tensor.dequantize()
    return tensor if tensor.layout == torch.strided else tensor.to_dense()


def working_bytes(args: tuple[object, ...], output: Tensor) -> int:
    """Return the bytes that a module needs while it runs: input and output, and a copy of each for a shortcut."""
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
    """Return the members of a container or an object; None if it has none."""
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
