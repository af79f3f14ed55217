"""Count the operations and tensors of a network while it runs, also on the meta device."""

from __future__ import annotations

import math
import weakref
from collections import Counter
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from murine.networks.capture import tensors_in, working_bytes

#: Kinds of operations. Each has a speed of its own.
KINDS = ("convolution", "pointwise convolution", "depthwise convolution", "matrix product", "attention", "elementwise")

#: A grouped convolution counts as depthwise if an output channel has fewer inputs than this.
_FEW = 8


def bytes_of(tensor: Tensor) -> int:
    """Return the bytes of the values of a tensor."""
    return tensor.numel() * tensor.element_size()


class OperationCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations, and the bytes of the tensors that they create and that still exist."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops: Counter[str] = Counter()
        self.moved: Counter[str] = Counter()
        self.n_operations = 0
        self.alive = self.peak = 0
        self._kept: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        taken = [tensor for _, tensor in tensors_in([*args, *(kwargs or {}).values()], "")]
        made = [tensor for _, tensor in tensors_in(output, "")]
        known = {id(tensor.untyped_storage()) for tensor in taken}
        new = [tensor for tensor in made if id(tensor.untyped_storage()) not in known]
        in_place = func._schema.is_mutable
        if new or in_place:  # views move no bytes
            kind, flops = _kind(func, taken, made)
            self.add(kind, flops, sum(map(bytes_of, taken)) + sum(map(bytes_of, made)))
        for tensor in new:
            self._keep(tensor)
        return output

    def add(self, kind: str, flops: float, moved: float) -> None:
        self.flops[kind] += flops  # type: ignore[assignment]
        self.moved[kind] += moved  # type: ignore[assignment]
        self.n_operations += 1

    def _keep(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = id(storage), storage.nbytes()
        if key in self._kept:
            return

        def dropped(_: object) -> None:
            self.alive -= size
            del self._kept[key]

        self._kept[key] = weakref.ref(storage, dropped)
        self.alive += size
        self.peak = max(self.peak, self.alive)


class AttentionCounter(TorchFunctionMode):
    """Counts attention as one operation without the matrix of attention weights, as it runs on a CPU.

    On the meta device it would be split into several operations.
    """

    def __init__(self, counter: OperationCounter) -> None:
        super().__init__()
        self.counter = counter

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not functional.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        given = dict(zip(("query", "key", "value"), args, strict=False)) | (kwargs or {})
        query, key, value = (given[name] for name in ("query", "key", "value"))
        rows, width = math.prod(query.shape[:-1]), query.shape[-1] + value.shape[-1]
        output = query.new_empty(*query.shape[:-1], value.shape[-1])
        moved = sum(map(bytes_of, (query, key, value, output)))
        self.counter.add("attention", 2 * rows * key.shape[-2] * width, moved)
        return output


def _kind(func: Any, taken: list[Tensor], made: list[Tensor]) -> tuple[str, float]:
    """Return the kind of an operation and its number of floating-point operations."""
    name = func._schema.name.partition("::")[2]
    if name == "convolution":
        features, weight = taken[0], taken[1]
        spread = (
            made[0] if made[0].shape[1] == weight.shape[0] else features
        )  # a transposed convolution spreads its inputs
        flops = 2.0 * spread.numel() * math.prod(weight.shape[1:])
        if weight.shape[1] < _FEW and features.shape[1] >= _FEW:
            return "depthwise convolution", flops
        return ("pointwise convolution" if math.prod(weight.shape[2:]) == 1 else "convolution"), flops
    if name in ("mm", "bmm", "addmm", "baddbmm"):
        first, second = taken[-2:]
        return "matrix product", 2.0 * first.numel() * second.shape[-1]
    return "elementwise", 0.0


class OutputCounter:
    """Counts the outputs and units that `capture` would reduce."""

    def __init__(self, names: dict[nn.Module, str]) -> None:
        self.names = names
        self.n = self.n_units = self.working = 0
        self._known: dict[int, tuple[weakref.ref[Any], int, int, int]] = {}

    def hook(self, module: nn.Module, args: tuple[object, ...], output: object) -> None:
        for _, tensor in tensors_in(output, ""):
            self.n += 1
            self.working = max(self.working, working_bytes(args, tensor))
            storage = tensor.untyped_storage()
            seen = (int(tensor.storage_offset()), tensor._version, tensor.numel())
            known = self._known.get(id(storage))
            if known and known[0]() is storage and known[1:] == seen:
                continue  # the same values as in an earlier output
            self._known[id(storage)] = (weakref.ref(storage), *seen)
            self.n_units += tensor.numel()
