"""A network in a known state: evaluation mode, and before every pass the attributes it came with and a fixed seed.

Everything is put back at the end, also what the network changes in itself while it runs."""

from __future__ import annotations

import random
import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from murine.networks.evaluation_mode import evaluation_mode

#: The seed of every pass, so that a capture does not depend on what was drawn before.
SEED = 0

#: Attributes of every module, which a network has no reason to keep a state in.
_BUILT_IN = frozenset(nn.Module().__dict__) - {"training"}

#: Containers whose members are put back, to this depth.
_CONTAINERS = (dict, OrderedDict, defaultdict, list, deque, set)
_MAX_DEPTH = 2


@contextmanager
def prepared(module: nn.Module, inputs: Tensor) -> Iterator[Tensor]:
    """Set evaluation mode, undo it at the end, and return a copy of the images that is fastest for convolutions.

    The copy has the type of the network's weights, and the memory format that is handed on from layer to layer, so that
    the weights need no conversion."""
    channels_last = inputs.dim() == 4 and inputs.device.type == "cpu"
    images = inputs.clone(memory_format=torch.channels_last) if channels_last else inputs.clone()
    images = images.to(type_of(module, images.dtype))
    stored: list[tuple[Tensor, Tensor]] = []
    with evaluation_mode(module):
        try:
            if has_lazy_modules(module):
                with torch.no_grad(), own_random_numbers(inputs.device):
                    start_random_numbers(SEED)
                    module(images[:2].clone())
            for tensor in (*module.parameters(), *module.buffers()):
                if channels_last and not is_lazy(tensor) and tensor.dim() == 4 and tensor.layout == torch.strided:
                    stored.append((tensor, tensor.data))
                    tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
            yield images
        finally:
            for tensor, data in stored:
                tensor.data = data


def has_lazy_modules(module: nn.Module) -> bool:
    """Return whether the network has lazy weights, whose shapes come from the first images."""
    return any(is_lazy(tensor) for tensor in (*module.parameters(), *module.buffers()))


def type_of(module: nn.Module, usual: torch.dtype) -> torch.dtype:
    """Return the type of a network's first floating-point weights, or the default type if it has none."""
    return next((weights.dtype for weights in module.parameters() if weights.is_floating_point()), usual)


@contextmanager
def undisturbed(device: torch.device) -> Iterator[None]:
    """Run without gradients, inference mode and compilation, whatever the caller has set, with own random numbers.

    Tensors made in inference mode do not count their changes, and hooks do not run in compiled code."""
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
        stack.enter_context(own_random_numbers(device))
        stance = getattr(torch.compiler, "set_stance", None)  # PyTorch 2.6
        if stance is not None and "torch._dynamo" in sys.modules:
            stack.enter_context(stance("force_eager"))
        yield


@contextmanager
def own_random_numbers(device: torch.device) -> Iterator[None]:
    """Restore the random states of PyTorch, NumPy and Python at the end of this block."""
    of_python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 # networks may use it
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            random.setstate(of_python)
            np.random.set_state(of_numpy)  # noqa: NPY002


def start_random_numbers(seed: int) -> None:
    if torch.cuda.is_initialized() or torch.backends.mps.is_available():  # type: ignore[no-untyped-call]
        torch.manual_seed(seed)
    else:  # for devices that nobody uses, the other one keeps every call with its whole stack
        torch.default_generator.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)


def random_state(device: torch.device) -> tuple[Any, ...]:
    """Return a value that changes when a random number is drawn."""
    of_device = torch.cuda.get_rng_state(device).numpy().tobytes() if device.type == "cuda" else b""
    numbers: Any = np.random.get_state()  # noqa: NPY002
    return (
        torch.get_rng_state().numpy().tobytes(),
        of_device,
        numbers[1].tobytes(),
        numbers[2:],
        random.getstate(),
    )


class InitialState:
    """The state of a network besides its parameters: buffers and attributes, restored after a pass.

    Otherwise a hidden state, a counter or a running mean of one pass would change the next pass. The content of
    containers and tensors is restored; the content of other objects is unknown and is not."""

    def __init__(self, module: nn.Module) -> None:
        self._attributes: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._containers: list[tuple[Any, Any]] = []
        self._tensors: list[tuple[Tensor, Tensor]] = []
        for child in module.modules():
            if isinstance(child, torch.jit.ScriptModule):
                continue
            own = {name: value for name, value in child.__dict__.items() if name not in _BUILT_IN}
            self._attributes += [(child.__dict__, own), (child._buffers, dict(child._buffers))]
            for value in (*own.values(), *child._buffers.values()):
                self._remember(value)

    def restore(self) -> bool:
        """Restore the state; return whether anything had changed."""
        changed = False
        for current, known in self._attributes:
            for name in [name for name in current if name not in known and name not in _BUILT_IN]:
                del current[name]
                changed = True
            for name, value in known.items():
                if name not in current or current[name] is not value:
                    current[name] = value
                    changed = True
        for container, content in self._containers:
            if not _holds(container, content):
                container.clear()
                (container.extend if isinstance(content, list) else container.update)(content)
                changed = True
        for tensor, numbers in self._tensors:
            with suppress(RuntimeError), torch.inference_mode(tensor.is_inference()):  # a number may have many places
                if tensor.shape != numbers.shape or not torch.equal(tensor, numbers):
                    tensor.copy_(numbers)
                    changed = True
        return changed

    def _remember(self, value: Any, depth: int = 0) -> None:
        if isinstance(value, Tensor):
            ordinary = value.layout == torch.strided and not (value.is_nested or is_lazy(value) or value.is_meta)
            if ordinary and not isinstance(value, nn.Parameter):
                self._tensors.append((value, value.detach().clone()))
        elif depth <= _MAX_DEPTH and type(value) in _CONTAINERS:
            content = list(value) if type(value) in (list, deque) else type(value).copy(value)
            self._containers.append((value, content))
            for member in value.values() if isinstance(value, dict) else value:
                self._remember(member, depth + 1)


def _holds(container: Any, content: Any) -> bool:
    """Whether a container has the very members that it had, in order."""
    if len(container) != len(content):
        return False
    if isinstance(content, set):
        return bool(container == content)
    if isinstance(content, dict):
        pairs = zip(container.items(), content.items(), strict=True)
        return all(key == other and value is known for (key, value), (other, known) in pairs)
    return all(value is known for value, known in zip(container, content, strict=True))
