"""The layers that run in one forward pass of a network, in order.

A network is run once on blank images. Hooks see its modules; a function mode of PyTorch sees the calls between them
(`torch.relu`, ``a + b``, `torch.cat` and others).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from murine.architecture.layer_kinds import KIND_OF_NAME, kind_of_convolution_call, kind_of_module
from murine.errors import MurineError, reason_of
from murine.networks.evaluation_mode import evaluation_mode
from murine.networks.process_state import preserved_state

#: Channels, height and width of the images for networks that do not give a size.
INPUT_SIZE = (3, 224, 224)

#: Number of images. With two, what is added to every image (position embeddings) can be told apart from features.
_N_PROBES = 2

#: Operations that join two branches. They count only where both terms are features: adding a constant is no layer.
_JOINS = frozenset(("add", "multiply"))


@dataclass(frozen=True)
class Layer:
    """A layer that ran in a forward pass.

    Attributes
    ----------
    name
        The path of the module in ``named_modules()``; for a function call, the path of the module that made the call.
    type
        The class of the module, or the name of the function.
    kind
        One of `murine.architecture.layer_kinds.KINDS`; ``other`` for a module of unknown class that has no parts.
    shape
        Shape of its output for one image; () where the output is no tensor.
    is_function
        Whether it is a function call rather than a module.
    feeds_on
        Position of the layer whose output it takes unchanged, or -1.
    idle
        Whether it is an adaptive pooling that keeps the size, such as the one in torchvision's VGG.

    Examples
    --------
    >>> str(Layer("features.0", "Conv2d", "convolution", (64, 224, 224)))
    'features.0 (Conv2d)'
    """

    name: str
    type: str
    kind: str
    shape: tuple[int, ...] = ()
    is_function: bool = False
    feeds_on: int = -1
    idle: bool = False

    def __str__(self) -> str:
        return f"{self.name or '(network)'} ({self.type})"


def trace_layers(module: nn.Module, inputs: Tensor | None = None) -> list[Layer]:
    """Run a network once and list the layers that ran, in the order in which they started.

    A module that is called twice is listed twice. The list has modules of known classes, modules without parts, and
    calls of known functions outside modules of known classes. A sum or product is listed only where both terms are
    features of the images.

    Parameters
    ----------
    module
        Any network. It is in evaluation mode during the run.
    inputs
        (n_images, channels, height, width) on the device of the network. None: black images of the size that the
        network gives in ``pretrained_cfg`` or ``default_cfg`` (timm's keys), otherwise 3 x 224 x 224.

    Returns
    -------
    layers
        `Layer` objects.

    Raises
    ------
    MurineError
        If the network fails on the inputs.

    Examples
    --------
    >>> import torch
    >>> network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())
    >>> [layer.kind for layer in trace_layers(network, torch.zeros(2, 3, 16, 16))]
    ['convolution', 'relu']
    """
    if inputs is None:
        inputs = probe_images(module)
    recorder = _Recorder(module, len(inputs))
    with preserved_state(), evaluation_mode(module), torch.no_grad(), recorder.hooks():
        try:
            module(inputs)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a network may raise anything
            shape = " x ".join(str(size) for size in inputs.shape[1:])
            raise MurineError(
                f"{type(module).__name__} fails on an input of {shape} (channels x height x width): "
                f"{reason_of(error).rstrip('.')}."
            ) from error
    return recorder.layers


def probe_images(module: nn.Module) -> Tensor:
    """Return black images of the size and type that a network takes, on its device."""
    config: Any = getattr(module, "pretrained_cfg", None) or getattr(module, "default_cfg", None) or {}
    size = config.get("input_size") or INPUT_SIZE
    example = next((x for x in module.parameters() if x.is_floating_point()), torch.empty(0))
    return torch.zeros(_N_PROBES, *size, device=example.device, dtype=example.dtype)


@dataclass
class _Call:
    """A module that is running."""

    kind: str
    position: int
    name: str = ""
    size: tuple[int, ...] = ()


class _Recorder(TorchFunctionMode):
    """Lists the layers of a network while it runs on ``n_images`` images."""

    def __init__(self, module: nn.Module, n_images: int) -> None:
        super().__init__()
        self.module, self.n_images = module, n_images
        self.layers: list[Layer] = []
        self._running: list[_Call] = []
        self._made: dict[int, tuple[weakref.ref[Tensor], int]] = {}
        self._parameters = {id(x) for x in (*self.module.parameters(), *self.module.buffers())}

    @contextmanager
    def hooks(self) -> Iterator[None]:
        handles = []
        try:
            for name, child in self.module.named_modules():
                handles.append(child.register_forward_pre_hook(self._before(name), with_kwargs=True))
                handles.append(child.register_forward_hook(self._after))
            with self:
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _before(self, name: str) -> Callable[..., None]:
        def enter(child: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            kind = kind_of_module(child)
            within = any(call.kind for call in self._running)
            if not kind and not within and next(child.children(), None) is None and name:
                kind = "other"
            position = -1
            taken = _first_tensor((args, kwargs))
            if kind:
                position = self._add(Layer(name, type(child).__name__, kind, feeds_on=self._source(taken)))
            # Function calls in an unknown module are listed, because nothing else is known about it.
            known = "" if kind == "other" else kind
            self._running.append(_Call(known, position, name, () if taken is None else tuple(taken.shape)))

        return enter

    def _after(self, child: nn.Module, args: tuple[Any, ...], output: object) -> None:
        call = self._running.pop()
        if call.position >= 0:
            self._finish(call.position, output, call.size)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if not self._running:  # before the network itself is entered
            return func(*args, **kwargs)
        inside = self._running[-1]
        name = str(getattr(func, "__name__", "")).lower().strip("_")
        kind = "" if inside.kind else KIND_OF_NAME.get(name, "")
        if name == "mean" and not inside.kind and _is_global(args, kwargs):
            kind = "global average pooling"
        if not kind or not self._is_layer(kind, args, kwargs):
            return func(*args, **kwargs)
        if kind == "convolution":
            kind = kind_of_convolution_call(args, kwargs)
        taken = _first_tensor((args, kwargs))
        position = self._add(Layer(inside.name, name, kind, is_function=True, feeds_on=self._source(taken)))
        size = () if taken is None else tuple(taken.shape)
        output = func(*args, **kwargs)
        self._finish(position, output, size)
        return output

    def _is_layer(self, kind: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        if kind in _JOINS:
            return sum(self._is_features(x) for x in (*args, *kwargs.values())) == 2
        if kind == "concatenation":
            parts = args[0] if args else kwargs.get("tensors", ())
            return isinstance(parts, (tuple, list)) and sum(self._is_features(x) for x in parts) > 1
        taken = _first_tensor((args, kwargs))
        return taken is not None and self._is_features(taken)

    def _is_features(self, x: object) -> bool:
        """Return whether a value is features of the images, and not a parameter of the network."""
        if not isinstance(x, Tensor) or id(x) in self._parameters or x.dim() < 2:
            return False
        return not self.n_images > 1 or (x.shape[0] > 1 and x.shape[0] % self.n_images == 0)

    def _add(self, layer: Layer) -> int:
        self.layers.append(layer)
        return len(self.layers) - 1

    def _source(self, taken: Tensor | None) -> int:
        reference, position = self._made.get(id(taken), (None, -1))
        return position if reference is not None and reference() is taken else -1

    def _finish(self, position: int, output: object, size: tuple[int, ...]) -> None:
        made = _first_tensor(output)
        if made is None:
            return
        layer = self.layers[position]
        shape = tuple(made.shape)
        self.layers[position] = replace(
            layer, shape=shape[1:], idle=layer.kind == "adaptive average pooling" and shape == size
        )
        # An in-place operation returns the tensor that it took; from now on the tensor counts as its output.
        self._made[id(made)] = (weakref.ref(made), position)


def _is_global(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether a mean is over the two spatial axes of feature maps."""
    features = kwargs.get("input", args[0] if args else None)
    axes = kwargs.get("dim", args[1] if len(args) > 1 else None)
    if not isinstance(features, Tensor) or features.dim() != 4 or not isinstance(axes, (tuple, list)):
        return False
    return sorted(axis % 4 for axis in axes) in ([2, 3], [1, 2])


def _first_tensor(values: object) -> Tensor | None:
    if isinstance(values, Tensor):
        return values
    if isinstance(values, Mapping):
        values = list(values.values())
    if isinstance(values, (tuple, list)):
        return next((x for x in map(_first_tensor, values) if x is not None), None)
    return None
