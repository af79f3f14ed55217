"""The identity of a module in memory: its code, its structure, its settings and its weights.

A network in a file is identified by the file. A module that was made in a notebook has no file. It is identified by the
source of its methods and of the functions that they call. Code of installed packages is not part of the identity of any
network; each result records the versions of packages."""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
import sysconfig
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from torch import Tensor, nn

from murine.networks import weights

#: Attributes of every module that PyTorch keeps for itself, or that do not change what a network computes in
#: evaluation mode.
_OF_TORCH = set(vars(nn.Module())) | {"training", "default_cfg", "pretrained_cfg"}

#: Types of attributes whose values are described by their text.
_PLAIN = (bool, int, float, complex, str, bytes, type(None), range, slice)

_INSTALLED = tuple(sysconfig.get_path(kind) for kind in ("purelib", "platlib", "stdlib", "platstdlib"))


def module_digest(module: nn.Module, name: str) -> str:
    """Return the sha256 of a name and of all that a module computes with.

    Parameters
    ----------
    module
        Any module. Its weights and buffers, the kinds and settings of its parts, plain attributes, and the source of
        every method and function that is not of an installed package count.
    name
        What the network is called in tables.

    Examples
    --------
    >>> from torch import nn
    >>> one, other = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
    >>> module_digest(one, "net") == module_digest(other, "net")  # their weights differ
    False
    >>> other.load_state_dict(one.state_dict())
    <All keys matched successfully>
    >>> module_digest(one, "net") == module_digest(other, "net")
    True
    """
    total = hashlib.sha256(name.encode() + b"\0" + weights.digest(module).encode())
    functions: dict[str, FunctionType] = {}
    for path, part in module.named_modules():
        total.update(f"\0{path}\0{type(part).__qualname__}\0{_plain(part.extra_repr())}".encode())
        for key, value in sorted(vars(part).items()):
            if key not in _OF_TORCH:
                total.update(f"\0{key}={_text(value, functions)}".encode())
        for hooks in (part._forward_pre_hooks, part._forward_hooks):
            for hook in hooks.values():
                total.update(f"\0hook {_text(hook, functions)}".encode())
        for kind in type(part).__mro__:
            if not _is_installed(kind.__module__, None):
                functions |= {f"{kind.__qualname__}.{key}": function for key, function in _functions_of(kind)}
    for key, source in sorted(_sources(functions).items()):
        total.update(f"\0{key}\0{source}".encode())
    return total.hexdigest()


def _functions_of(kind: type) -> Iterator[tuple[str, FunctionType]]:
    """Yield the functions that a class itself defines."""
    for key, value in vars(kind).items():
        value = getattr(value, "__func__", value)  # of class methods and static methods
        if isinstance(value, property):
            for part, function in (("get", value.fget), ("set", value.fset)):
                if isinstance(function, FunctionType):
                    yield f"{key}.{part}", function
        elif isinstance(value, FunctionType):
            yield key, value


def _text(value: Any, functions: dict[str, FunctionType]) -> str:
    """Return a text that changes with a value. Functions appear in it by name and are added to ``functions``."""
    if isinstance(value, Tensor):
        return weights.digest(_Holder(value))
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        members = [_text(member, functions) for member in value]
        return (
            f"{type(value).__name__}({', '.join(sorted(members) if isinstance(value, (set, frozenset)) else members)})"
        )
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_text(member, functions)}" for key, member in value.items()) + "}"
    if isinstance(value, nn.Module):
        return type(value).__qualname__
    function = getattr(value, "__func__", value)
    if isinstance(function, FunctionType):
        functions.setdefault(f"{function.__module__}.{function.__qualname__}", function)
        return function.__qualname__
    return _plain(repr(value))


class _Holder(nn.Module):
    """Holds one tensor, so that it is digested as weights are."""

    def __init__(self, tensor: Tensor) -> None:
        super().__init__()
        self.register_buffer("tensor", tensor.detach())


def _sources(functions: dict[str, FunctionType]) -> dict[str, str]:
    """Return the sources of functions and of all others that they use, but for those of installed packages."""
    found: dict[str, str] = {}
    waiting = list(functions.items())
    while waiting:
        key, function = waiting.pop()
        code = function.__code__
        if key in found or _is_installed(function.__module__, code.co_filename):
            continue
        found[key] = _source(function)
        for name in sorted(_names_in(code)):
            value = function.__globals__.get(name)
            if isinstance(value, FunctionType):
                waiting.append((f"{value.__module__}.{value.__qualname__}", value))
            elif isinstance(value, (*_PLAIN, tuple)):
                found[f"{key} uses {name}"] = repr(value)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:  # not filled yet
                continue
            if isinstance(value, FunctionType):
                waiting.append((f"{key} encloses {name}", value))
            elif isinstance(value, (*_PLAIN, tuple)):
                found[f"{key} encloses {name}"] = repr(value)
    return found


def _source(function: FunctionType) -> str:
    """Return the source of a function; of one that was made without a file, its compiled code."""
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return _compiled(function.__code__)


def _compiled(code: CodeType) -> str:
    constants = [_compiled(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {constants}"


def _names_in(code: CodeType) -> set[str]:
    """Return the names that code and the functions inside it look up."""
    inner = [_names_in(c) for c in code.co_consts if isinstance(c, CodeType)]
    return set(code.co_names).union(*inner)


def _is_installed(module: str, file: str | None) -> bool:
    """Whether code belongs to an installed package or to Python."""
    if file is None:
        file = getattr(sys.modules.get(module), "__file__", None)
    return (file or "").startswith(_INSTALLED)


def _plain(text: str) -> str:
    """Return a text without the addresses of objects, which differ from run to run."""
    return re.sub(r" at 0x[0-9a-f]+", "", text)
