"""Prediction of time and memory of a capture, from shapes alone.

A network runs on the meta device, where tensors have shapes but no numbers. Operations are counted there by kind, and
tensors from their creation until they are freed. A short measurement of the same kinds of operations on this machine
turns the counts into seconds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from murine.errors import MurineError, reason_of
from murine.networks.capture import affordable_images, chosen_modules, image_groups
from murine.networks.layer_kernel import BLOCK, LayerKernel
from murine.networks.memory import available_memory
from murine.networks.operation_counter import AttentionCounter, OperationCounter, OutputCounter, bytes_of
from murine.networks.parameter_counts import n_parameters
from murine.networks.process_state import preserved_state

#: Factor by which features need more memory than their tensors: blocks of many sizes leave gaps. Measured.
FRAGMENTED = 1.4

#: Numbers of images and of passes of the probe in `capture`.
PROBED, PROBES = 5, 2


@dataclass(frozen=True)
class Work:
    """The work of a network for one image, when all its outputs are captured.

    Attributes
    ----------
    flops
        Floating-point operations of each kind except ``elementwise``. A multiplication and an addition count as two.
    moved
        Bytes that operations of each kind read and write.
    n_operations
        Number of calls of the library.
    n_outputs, n_units
        Number of outputs of modules, and of units in outputs that are not the tensor of an earlier one.
    peak
        Largest number of bytes of features that exist at the same time.
    working
        Bytes that `capture` plans with.
    parameters
        Number of trainable parameters.
    weights
        Bytes of parameters and buffers, and of the copy of convolution weights that `capture` makes.
    image
        Bytes of the image and of the copy that `capture` makes.
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
        """Floating-point operations for one image, in units of 10^9."""
        return sum(self.flops.values()) / 1e9


@dataclass(frozen=True)
class Machine:
    """Speeds of this machine, measured by `calibrate`.

    Attributes
    ----------
    n_stimuli
        Number of images in a kernel, on which its speed depends.
    flops
        Operations per second of each kind.
    bandwidth
        Bytes per second of operations that only read and write.
    per_call
        Shortest time of a call of the library in seconds.
    per_unit, per_output
        Seconds for the kernel of an output: for each of its units, and for the output itself.
    """

    n_stimuli: int
    flops: Mapping[str, float]
    bandwidth: float
    per_call: float
    per_unit: float
    per_output: float


@dataclass(frozen=True)
class Cost:
    """The predicted time and memory of a capture.

    Attributes
    ----------
    n_passes
        Number of passes; 1 if all images pass together.
    forward, kernels
        Seconds of the network and of its kernels.
    memory
        Bytes needed in addition to those in use: weights, images, features and kernels.
    fits
        Whether the available memory suffices.
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
    """Count the work of a network for one image.

    Parameters
    ----------
    module
        The network in evaluation mode, on the meta device (`murine.networks.zoo.skeleton`) or any other.
    input_size
        (height, width) of the images in pixels.
    layers
        The modules whose outputs are captured, as in `capture`.
    n_channels
        Number of channels of the images.

    Raises
    ------
    MurineError
        If the network fails, for example because it needs the values of the images.

    Examples
    --------
    >>> work_of(nn.Conv2d(3, 4, 1, bias=False).eval(), (8, 8)).flops
    mappingproxy({'pointwise convolution': 1536.0})
    """
    device = next((parameter.device for parameter in module.parameters()), torch.device("meta"))
    n = 2
    images = torch.empty(n, n_channels, *input_size, device=device)
    counter = OperationCounter()
    outputs = OutputCounter(chosen_modules(module, layers))
    handles = [child.register_forward_hook(outputs.hook) for child in outputs.names]
    try:
        with preserved_state(), torch.no_grad(), AttentionCounter(counter), counter:
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
        flops=MappingProxyType({kind: value / n for kind, value in counter.flops.items()}),
        moved=MappingProxyType({kind: value / n for kind, value in counter.moved.items()}),
        n_operations=counter.n_operations,
        n_outputs=outputs.n,
        n_units=outputs.n_units // n,
        peak=counter.peak // n,
        working=outputs.working // n,
        parameters=n_parameters(module),
        weights=sum(bytes_of(tensor) for tensor in [*tensors, *copied]),
        image=2 * bytes_of(images) // n,
    )


def predict(work: Work, machine: Machine, *, memory: int | None = None, batch_size: int | None = None) -> Cost:
    """Predict the time and memory of a capture of all images.

    Parameters
    ----------
    work
        The result of `work_of`.
    machine
        The result of `calibrate` for the number of images.
    memory
        Largest number of bytes to use; None: all that is available now. It decides the number of passes, as in
        `capture`.
    batch_size
        As in `capture`.
    """
    n = machine.n_stimuli
    budget = min(available_memory(), memory) if memory is not None else available_memory()
    left = max(budget - work.weights, 0)  # the weights are in memory when `capture` starts
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
    """Measure the speeds of this machine with a few typical operations and torch's threads; takes a second or two."""
    flops = {}
    for kind, (function, shape, count) in _TYPICAL.items():
        inputs = torch.randn(16, *shape)
        inputs = inputs.contiguous(memory_format=torch.channels_last) if inputs.dim() == 4 else inputs
        flops[kind] = 16 * count / _best(lambda f=function, x=inputs: f(x), clock)  # type: ignore[misc]
    many = torch.randn(64, 64, 56, 56)  # larger than any cache
    bandwidth = 2 * bytes_of(many) / _best(lambda: functional.relu(many), clock)
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
    """Return the seconds of a call: the shortest of five, after one that does not count."""
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


#: For each kind: an operation, the shape of one input, and its number of floating-point operations.
_TYPICAL: Mapping[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...], float]] = {
    "convolution": (_convolution(128, 128, 3), (128, 28, 28), 2 * 9 * 128 * 128 * 28 * 28),
    "pointwise convolution": (_convolution(256, 256, 1), (256, 28, 28), 2 * 256 * 256 * 28 * 28),
    "depthwise convolution": (_convolution(192, 192, 3, 192), (192, 28, 28), 2 * 9 * 192 * 28 * 28),
    "matrix product": (_linear(), (196, 384), 2 * 196 * 384 * 384),
    "attention": (lambda x: functional.scaled_dot_product_attention(x, x, x), (6, 196, 64), 4 * 6 * 196 * 196 * 64),
}
