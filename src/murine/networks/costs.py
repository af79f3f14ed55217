"""What a capture will cost, told from shapes before anything runs.

A network is passed on the meta device, where tensors have shapes and no numbers. Every operation is counted there, by
kind; every tensor, from when it is made until it is dropped. A short measurement of the same kinds of operation on this
machine turns counts into seconds."""

from __future__ import annotations

import math
import time
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from murine.errors import MurineError, reason_of
from murine.networks.capture import (
    affordable_images,
    chosen_modules,
    image_groups,
    tensors_in,
    working_bytes,
)
from murine.networks.layer_kernel import BLOCK, LayerKernel
from murine.networks.memory import available_memory
from murine.networks.parameter_counts import n_parameters
from murine.networks.process_state import preserved_state

#: Kinds of operation, each with a speed of its own.
KINDS = ("convolution", "pointwise convolution", "depthwise convolution", "matrix product", "attention", "elementwise")

#: Memory that features take, of what is alive at a time: blocks of many sizes leave gaps between them. Measured.
FRAGMENTED = 1.4

#: Images and passes by which `capture` learns shapes and what follows the images, before it shows all.
PROBED, PROBES = 5, 2

#: Inputs to an output channel below which a convolution in groups counts as depthwise.
_FEW = 8


@dataclass(frozen=True)
class Work:
    """What a network does with one image, when all its outputs are captured.

    Attributes
    ----------
    flops
        Floating-point operations (a multiplication and an addition are two) of each kind but ``elementwise``.
    moved
        Bytes that operations of each kind read and write.
    n_operations
        Calls of the library.
    n_outputs, n_units
        Outputs of modules; units of those that are no tensor captured before.
    peak
        Bytes of features that are alive together, at most.
    working
        Bytes that `capture` plans with.
    parameters
        Numbers that training may change.
    weights
        Bytes of parameters and buffers, with the second copy of those of convolutions that `capture` makes.
    image
        Bytes of the image, with the copy that `capture` makes.
    """

    flops: Mapping[str, float]
    moved: Mapping[str, float]
    n_operations: int
    n_outputs: int
    n_units: int
    peak: int
    working: int
    parameters: int
    weights: int
    image: int

    @property
    def gflops(self) -> float:
        """Multiplications and additions of one image, in thousand millions."""
        return sum(self.flops.values()) / 1e9


@dataclass(frozen=True)
class Machine:
    """Speeds of this machine, as `calibrate` measures them.

    Attributes
    ----------
    n_stimuli
        Images that a kernel compares: its speed depends on it.
    flops
        Operations a second of each kind.
    bandwidth
        Bytes a second of operations that only read and write.
    per_call
        Seconds that a call of the library takes at least.
    per_unit, per_output
        Seconds for the kernel of an output: for each of its units, and whatever its size.
    """

    n_stimuli: int
    flops: Mapping[str, float]
    bandwidth: float
    per_call: float
    per_unit: float
    per_output: float


@dataclass(frozen=True)
class Cost:
    """A prediction.

    Attributes
    ----------
    n_passes
        1 where all images pass together.
    forward, kernels
        Seconds of the network and of its kernels.
    memory
        Bytes on top of what the process has taken: weights, images, features and kernels.
    fits
        Whether the memory that was given suffices.
    """

    n_passes: int
    forward: float
    kernels: float
    memory: int
    fits: bool

    @property
    def seconds(self) -> float:
        return self.forward + self.kernels


def work_of(module: nn.Module, input_size: tuple[int, int], layers: str = "all", n_channels: int = 3) -> Work:
    """Count what a network does with an image.

    Parameters
    ----------
    module
        In evaluation mode, on the meta device (`zoo.skeleton`) or any other.
    input_size
        (height, width) of the images.
    layers
        Whose outputs are captured, as in `capture`.
    n_channels
        Channels of the images.

    Raises
    ------
    MurineError
        If the network fails: it may need the numbers of images to go on.
    """
    device = next((parameter.device for parameter in module.parameters()), torch.device("meta"))
    n = 2
    images = torch.empty(n, n_channels, *input_size, device=device)
    ledger = _Ledger()
    outputs = _Outputs(chosen_modules(module, layers))
    handles = [child.register_forward_hook(outputs.hook) for child in outputs.names]
    try:
        with preserved_state(), torch.no_grad(), _Attention(ledger), ledger:
            module(images)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # of any type: every network fails in its own way
        raise MurineError(
            f"the network cannot be run without numbers on images of {n_channels} x {input_size[0]} x "
            f"{input_size[1]}: {reason_of(error).rstrip('.')}."
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    tensors = [*module.parameters(), *module.buffers()]
    copied = [tensor for tensor in tensors if tensor.dim() == 4]
    return Work(
        flops=MappingProxyType({kind: value / n for kind, value in ledger.flops.items()}),
        moved=MappingProxyType({kind: value / n for kind, value in ledger.moved.items()}),
        n_operations=ledger.n_operations,
        n_outputs=outputs.n,
        n_units=outputs.n_units // n,
        peak=ledger.peak // n,
        working=outputs.working // n,
        parameters=n_parameters(module),
        weights=sum(_bytes(tensor) for tensor in [*tensors, *copied]),
        image=2 * _bytes(images) // n,
    )


def predict(work: Work, machine: Machine, *, memory: int | None = None, batch_size: int | None = None) -> Cost:
    """Tell what capturing all images will take.

    Parameters
    ----------
    work
        Of `work_of`.
    machine
        Of `calibrate`, for as many images as will be shown.
    memory
        Bytes that may be taken; by default what is available now. The choice of passes follows what is available, as
        `capture` makes it, or this where it is less.
    batch_size
        As for `capture`.
    """
    n = machine.n_stimuli
    budget = min(available_memory(), memory) if memory is not None else available_memory()
    left = max(budget - work.weights, 0)  # `capture` is called when the network is there
    size = batch_size or affordable_images(work.working, n, torch.device("cpu"), left)
    groups = image_groups(n, size)
    together = n if len(groups) == 1 else 2 * max(map(len, groups))
    n_passes = max(1, math.comb(len(groups), 2))
    shown = sum(len(a) + len(b) for i, a in enumerate(groups) for b in groups[:i]) or n
    forward = (shown + PROBED) * sum(
        max(work.flops.get(kind, 0.0) / machine.flops.get(kind, math.inf), moved / machine.bandwidth)
        for kind, moved in work.moved.items()
    )
    forward += (n_passes + PROBES) * work.n_operations * machine.per_call
    share = (together / n) ** 2
    kernels = n_passes * share * (work.n_units * machine.per_unit + work.n_outputs * machine.per_output)
    features = int(FRAGMENTED * together * work.peak)
    taken = work.weights + n * work.image + features + 8 * n * n * work.n_outputs + 4 * together * BLOCK
    return Cost(n_passes, forward, kernels, taken, taken <= budget)


def calibrate(n_stimuli: int, clock: Callable[[], float] = time.perf_counter) -> Machine:
    """Measure this machine with the threads that torch has: a few typical operations, a second or two in all."""
    flops = {}
    for kind, (function, shape, count) in _TYPICAL.items():
        inputs = torch.randn(16, *shape)
        inputs = inputs.contiguous(memory_format=torch.channels_last) if inputs.dim() == 4 else inputs
        flops[kind] = 16 * count / _best(lambda f=function, x=inputs: f(x), clock)  # type: ignore[misc]
    many = torch.randn(64, 64, 56, 56)  # too much for any cache
    bandwidth = 2 * _bytes(many) / _best(lambda: functional.relu(many), clock)
    few, norm = torch.randn(1, 8, 4, 4), nn.BatchNorm2d(8).eval()
    features = {
        units: np.random.default_rng(0).standard_normal((n_stimuli, units), np.float32) for units in (64, 65536)
    }
    seconds = {units: _best(lambda f=f: _reduced(f), clock) for units, f in features.items()}  # type: ignore[misc]
    per_unit = max(seconds[65536] - seconds[64], 0.0) / (65536 - 64)
    return Machine(
        n_stimuli,
        MappingProxyType(flops),
        bandwidth,
        _best(lambda: functional.relu(norm(few)), clock, 100) / 2,
        per_unit,
        seconds[64],
    )


def _reduced(features: np.ndarray) -> str:
    kernel = LayerKernel.of(features)
    return kernel.digest + kernel.flag


def _best(function: Callable[[], object], clock: Callable[[], float], calls: int = 1) -> float:
    """Seconds of a call: the shortest of five, after one that does not count."""
    function()
    taken = []
    with torch.no_grad():
        for _ in range(5):
            start = clock()
            for _ in range(calls):
                function()
            taken.append((clock() - start) / calls)
    return min(taken)


def _convolution(n_inputs: int, n_outputs: int, size: int, groups: int = 1) -> Callable[[Tensor], Tensor]:
    weight = torch.randn(n_outputs, n_inputs // groups, size, size).contiguous(memory_format=torch.channels_last)
    return lambda images: functional.conv2d(images, weight, padding=size // 2, groups=groups)


def _linear() -> Callable[[Tensor], Tensor]:
    weight = torch.randn(384, 384)
    return lambda tokens: functional.linear(tokens, weight)


#: Of each kind: an operation, the shape of one input, and what it costs.
_TYPICAL: Mapping[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...], float]] = {
    "convolution": (_convolution(128, 128, 3), (128, 28, 28), 2 * 9 * 128 * 128 * 28 * 28),
    "pointwise convolution": (_convolution(256, 256, 1), (256, 28, 28), 2 * 256 * 256 * 28 * 28),
    "depthwise convolution": (_convolution(192, 192, 3, 192), (192, 28, 28), 2 * 9 * 192 * 28 * 28),
    "matrix product": (_linear(), (196, 384), 2 * 196 * 384 * 384),
    "attention": (lambda x: functional.scaled_dot_product_attention(x, x, x), (6, 196, 64), 4 * 6 * 196 * 196 * 64),
}


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


class _Ledger(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations, and the bytes of the tensors that they make and somebody keeps."""

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
        if new or in_place:  # views move nothing
            kind, flops = _kind(func, taken, made)
            self.add(kind, flops, sum(map(_bytes, taken)) + sum(map(_bytes, made)))
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


class _Attention(TorchFunctionMode):
    """Attention as it runs on a processor, in one operation without the matrix of weights.

    On the meta device it would be taken apart."""

    def __init__(self, ledger: _Ledger) -> None:
        super().__init__()
        self.ledger = ledger

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not functional.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        given = dict(zip(("query", "key", "value"), args, strict=False)) | (kwargs or {})
        query, key, value = (given[name] for name in ("query", "key", "value"))
        rows, width = math.prod(query.shape[:-1]), query.shape[-1] + value.shape[-1]
        output = query.new_empty(*query.shape[:-1], value.shape[-1])
        moved = sum(map(_bytes, (query, key, value, output)))
        self.ledger.add("attention", 2 * rows * key.shape[-2] * width, moved)
        return output


def _kind(func: Any, taken: list[Tensor], made: list[Tensor]) -> tuple[str, float]:
    """What kind of operation it is, and its floating-point operations."""
    name = func._schema.name.partition("::")[2]
    if name == "convolution":
        features, weight = taken[0], taken[1]
        spread = made[0] if made[0].shape[1] == weight.shape[0] else features  # transposed: from inputs to outputs
        flops = 2.0 * spread.numel() * math.prod(weight.shape[1:])
        if weight.shape[1] < _FEW and features.shape[1] >= _FEW:
            return "depthwise convolution", flops
        return ("pointwise convolution" if math.prod(weight.shape[2:]) == 1 else "convolution"), flops
    if name in ("mm", "bmm", "addmm", "baddbmm"):
        first, second = taken[-2:]
        return "matrix product", 2.0 * first.numel() * second.shape[-1]
    return "elementwise", 0.0


class _Outputs:
    """What `capture` would reduce."""

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
                continue  # the same numbers, known already
            self._known[id(storage)] = (weakref.ref(storage), *seen)
            self.n_units += tensor.numel()
