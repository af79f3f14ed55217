"""The layer sequence of a network: what runs in one forward pass, in order, one letter each.

A network is read by running it once on made-up images. Hooks see its modules, a function mode of PyTorch sees the
calls between them (`torch.relu`, ``a + b``, `torch.cat` ...). What a thing is called decides its kind; a `Vocabulary`
decides which kinds are written, and with what letter."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from murine.errors import MurineError, reason_of, some
from murine.networks.evaluation_mode import evaluation_mode
from murine.networks.process_state import preserved_state
from murine.registry import Registry

#: Channels, height and width of the image a network is shown when it tells none itself.
INPUT_SIZE = (3, 224, 224)

#: Images in the probe. Two, so that what is added to every image (position embeddings) stands out from features.
_N_PROBES = 2

#: Kinds of layers, each with the names of classes (those of PyTorch, timm and torchvision) and of functions, in lower
#: case without underscores at the ends. A class is known by the first of its bases that is named here.
_NAMES: dict[str, str] = {
    "convolution": "conv1d conv2d conv3d lazyconv1d lazyconv2d lazyconv3d",
    "transposed convolution": "convtranspose1d convtranspose2d convtranspose3d "
    "conv_transpose1d conv_transpose2d conv_transpose3d",
    "linear": "linear bilinear identitylinear",
    "embedding": "embedding embeddingbag",
    "recurrent": "rnn lstm gru rnncell lstmcell grucell",
    "attention": "multiheadattention scaled_dot_product_attention multi_head_attention_forward",
    "batch norm": "batchnorm1d batchnorm2d batchnorm3d syncbatchnorm frozenbatchnorm2d batchnormact2d "
    "frozenbatchnormact2d batch_norm",
    "layer norm": "layernorm layer_norm",
    "rms norm": "rmsnorm rmsnormfp32 simplenorm rms_norm",
    "group norm": "groupnorm group_norm",
    "instance norm": "instancenorm1d instancenorm2d instancenorm3d instance_norm",
    "local response norm": "localresponsenorm crossmaplrn2d local_response_norm",
    "relu": "relu relu6 rrelu",
    "leaky relu": "leakyrelu prelu leaky_relu",
    "gelu": "gelu gelutanh quickgelu",
    "silu": "silu swish swishme",
    "hard swish": "hardswish hardswishme",
    "other activation": "elu selu celu mish hardmish softplus softsign logsigmoid glu hardtanh threshold hardshrink "
    "softshrink tanhshrink",
    "sigmoid": "sigmoid hardsigmoid hardsigmoidme",
    "tanh": "tanh",
    "softmax": "softmax softmax2d softmin logsoftmax log_softmax radixsoftmax",
    "max pooling": "maxpool1d maxpool2d maxpool3d adaptivemaxpool1d adaptivemaxpool2d adaptivemaxpool3d "
    "fractionalmaxpool2d max_pool1d max_pool2d max_pool3d max_pool2d_with_indices adaptive_max_pool1d "
    "adaptive_max_pool2d adaptive_max_pool3d",
    "average pooling": "avgpool1d avgpool2d avgpool3d lppool1d lppool2d avg_pool1d avg_pool2d avg_pool3d blurpool2d",
    "adaptive average pooling": "adaptiveavgpool1d adaptiveavgpool2d adaptiveavgpool3d fastadaptiveavgpool "
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d",
    "dropout": "dropout dropout1d dropout2d dropout3d alphadropout alpha_dropout featurealphadropout dropblock2d",
    "drop path": "droppath stochasticdepth stochastic_depth",
    "padding": "zeropad1d zeropad2d zeropad3d constantpad1d constantpad2d constantpad3d reflectionpad1d "
    "reflectionpad2d reflectionpad3d replicationpad1d replicationpad2d replicationpad3d circularpad2d pad",
    "upsampling": "upsample upsamplingnearest2d upsamplingbilinear2d interpolate",
    "pixel shuffle": "pixelshuffle pixelunshuffle pixel_shuffle pixel_unshuffle channelshuffle channel_shuffle",
    "scale": "layerscale layerscale2d affine scale learnableaffineblock",
    "add": "add iadd radd",
    "multiply": "mul imul rmul multiply",
    "concatenation": "cat concat concatenate",
    "flatten": "flatten unflatten",
    "identity": "identity",
    "arrangement": "permute rearrange",
}
_KINDS: dict[str, str] = {name: kind for kind, names in _NAMES.items() for name in names.split()}

#: What the letters stand for. Convolutions have finer kinds, told by their shape; ``separable`` and what follows it
#: are layers of Keras that PyTorch has no module for.
KINDS: tuple[str, ...] = (
    *_NAMES,
    "pointwise convolution",
    "grouped convolution",
    "depthwise convolution",
    "separable convolution",
    "global average pooling",
    "cropping",
    "reshape",
    "rescaling",
    "other",
)

_ACTIVATIONS = frozenset(
    ("relu", "leaky relu", "gelu", "silu", "hard swish", "other activation", "sigmoid", "tanh", "softmax")
)

#: What features of two branches can be joined by. Only where both are features: adding a constant is no layer.
_JOINS = frozenset(("add", "multiply"))


@dataclass(frozen=True)
class Layer:
    """Something that ran in a forward pass.

    Attributes
    ----------
    name
        The module's path in ``named_modules()``; for a function call, the path of the module that called it.
    type
        The module's class, or the function.
    kind
        One of `KINDS`; ``other`` for a module without parts of a class that is not known.
    shape
        Of its output for one image; () where that is no tensor.
    is_function
        Whether it is a call of a function rather than a module.
    feeds_on
        Position of the layer whose output it takes as it is, or -1.
    idle
        Whether it is an adaptive pooling that leaves the size as it was, as the one of torchvision's VGG does.
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


@dataclass(frozen=True)
class Vocabulary:
    """Which layers are written, and with what letter.

    Attributes
    ----------
    letters
        Kind of layer -> letter. Kinds that are missing are not written.
    functions
        Kinds that count as layers where they are calls of functions, too, not only as modules.
    fuses
        Whether an activation that takes a convolution's or a linear layer's output as it is counts as part of that
        layer, and poolings that pool nothing as no layers.
    """

    letters: Mapping[str, str]
    functions: frozenset[str] = frozenset()
    fuses: bool = False

    def __post_init__(self) -> None:
        unknown = sorted({*self.letters, *self.functions} - set(KINDS))
        if unknown:
            raise MurineError(f"a vocabulary names unknown kinds {some(unknown)}. Known: {', '.join(KINDS)}.")
        wrong = [f"{kind}: {letter!r}" for kind, letter in self.letters.items() if not _is_letter(letter)]
        if wrong:
            raise MurineError(f"every kind of layer takes one visible character but '-', not {some(wrong)}.")

    @cached_property
    def legend(self) -> dict[str, str]:
        """Letter -> what it stands for."""
        found: dict[str, list[str]] = {}
        for kind, letter in self.letters.items():
            found.setdefault(letter, []).append(kind)
        return {letter: ", ".join(kinds) for letter, kinds in found.items()}

    def written(self, layers: Sequence[Layer]) -> list[Layer]:
        """The layers that get a letter."""
        found = [
            layer
            for layer in layers
            if layer.kind in self.letters
            and (layer.kind in self.functions or not layer.is_function)
            and not (self.fuses and _fused(layer, layers))
        ]
        # What an unknown module computes by functions tells more than that it is unknown.
        inside = {layer.name for layer in found if layer.is_function}
        return [layer for layer in found if layer.kind != "other" or layer.name not in inside]

    def spell(self, layers: Sequence[Layer]) -> str:
        """The layer sequence, a letter each."""
        return "".join(self.letters[layer.kind] for layer in self.written(layers))

    @classmethod
    def read(cls, file: str | Path) -> Vocabulary:
        """Read a JSON file: ``{"letters": {"C": ["convolution", ...], ...}, "functions": true, "fuses": false}``.

        ``functions`` is true for all kinds that have a letter, false for none (if missing), or a list of kinds.

        Raises
        ------
        MurineError
            Where the file is missing or damaged, a kind of layer is unknown or has two letters.
        """
        from murine.io.files import read_json

        content = read_json(file)
        where = f"the vocabulary {str(file)!r}"
        if not isinstance(content, dict) or not isinstance(content.get("letters"), dict):
            raise MurineError(f'{where} has no \'letters\'; expected {{"letters": {{"C": ["convolution"], ...}}}}.')
        unknown = sorted(set(content) - {"letters", "functions", "fuses"})
        if unknown:
            raise MurineError(f"{where} has unknown keys {some(unknown)}; known are letters, functions, fuses.")
        letters: dict[str, str] = {}
        for letter, kinds in content["letters"].items():
            for kind in [kinds] if isinstance(kinds, str) else kinds if isinstance(kinds, list) else [kinds]:
                if not isinstance(kind, str) or kind in letters:
                    raise MurineError(f"{where}: {letter!r} stands for {kind!r}, which is no kind of layer, or twice.")
                letters[kind] = letter
        functions, fuses = content.get("functions", False), content.get("fuses", False)
        if isinstance(functions, bool):
            functions = list(letters) if functions else []
        if not isinstance(fuses, bool) or not isinstance(functions, list):
            raise MurineError(f"{where}: fuses is true or false, functions too, or a list of kinds.")
        return cls(letters, frozenset(map(str, functions)), fuses)


def _is_letter(letter: str) -> bool:
    return len(letter) == 1 and letter.isprintable() and letter not in " -"


def _fused(layer: Layer, layers: Sequence[Layer]) -> bool:
    if layer.idle:
        return True
    source = layers[layer.feeds_on].kind if layer.feeds_on >= 0 else ""
    return layer.kind in _ACTIVATIONS and (source == "linear" or source.endswith("convolution"))


#: One letter for all convolutions, as PyTorch has one class for them.
_BY_TYPE: dict[str, str] = {
    **dict.fromkeys(("convolution", "pointwise convolution", "grouped convolution", "depthwise convolution"), "C"),
    "separable convolution": "S",
    "transposed convolution": "T",
    "linear": "L",
    "embedding": "E",
    "recurrent": "h",
    "attention": "Q",
    "batch norm": "B",
    "layer norm": "N",
    "rms norm": "N",
    "group norm": "O",
    "instance norm": "I",
    "local response norm": "Y",
    "relu": "R",
    "leaky relu": "K",
    "gelu": "G",
    "silu": "U",
    "hard swish": "H",
    "sigmoid": "F",
    "tanh": "W",
    "softmax": "X",
    "other activation": "V",
    "max pooling": "M",
    **dict.fromkeys(("average pooling", "adaptive average pooling", "global average pooling"), "A"),
    "dropout": "D",
    "drop path": "d",
    "padding": "Z",
    "upsampling": "u",
    "pixel shuffle": "p",
    "scale": "s",
    "add": "P",
    "multiply": "m",
    "concatenation": "J",
    "cropping": "k",
    "reshape": "r",
    "rescaling": "n",
    "other": "?",
}

_FINE: dict[str, str] = {
    **_BY_TYPE,
    "pointwise convolution": "c",
    "grouped convolution": "g",
    "depthwise convolution": "w",
    "rms norm": "i",
    "adaptive average pooling": "a",
    "global average pooling": "a",
}

_ALL = frozenset(_BY_TYPE)

vocabularies: Registry[Vocabulary] = Registry("vocabulary")

#: What a list of a PyTorch network's modules gives, a letter for each class: no flatten, no identity, no sums. It
#: spells torchvision's VGG11 as published. Activations and the like count if they are called as functions, too:
#: otherwise a network would get another string for being written in another style.
vocabularies.register("paper")(
    Vocabulary(MappingProxyType(_BY_TYPE), _ALL - {"add", "multiply", "concatenation", "padding"})
)

#: What Keras would list: functions are layers, an activation right after a convolution is part of it, and there is no
#: dropout. It spells torchvision's VGG16 and VGG19 as published (those strings are of Keras networks).
vocabularies.register("keras")(
    Vocabulary(
        MappingProxyType({k: v for k, v in _BY_TYPE.items() if k not in ("dropout", "drop path", "scale")}),
        _ALL,
        fuses=True,
    )
)

#: Everything that runs, convolutions and poolings told apart.
vocabularies.register("fine")(Vocabulary(MappingProxyType(_FINE), _ALL))


def vocabulary_of(name: str | Path | Vocabulary) -> Vocabulary:
    """A vocabulary by name, or read from a ``.json`` file."""
    if isinstance(name, Vocabulary):
        return name
    if str(name).endswith(".json"):
        return Vocabulary.read(name)
    return vocabularies[str(name)]


def layer_sequence(
    module: nn.Module, inputs: Tensor | None = None, *, vocabulary: str | Path | Vocabulary = "paper"
) -> str:
    """Spell the layers of a network in the order in which they run, a letter each.

    Parameters
    ----------
    module
        Any network; put in evaluation mode meanwhile.
    inputs
        What it is shown, on its device; None: zeros of the size that it tells in ``pretrained_cfg`` or ``default_cfg``
        (timm's keys), else 3 x 224 x 224.
    vocabulary
        ``paper`` (the modules, a letter for each class), ``keras`` (what Keras would list), ``fine`` (everything,
        convolutions told apart), a JSON file (`Vocabulary.read`), or a `Vocabulary`.

    Raises
    ------
    MurineError
        If the network cannot be run on the inputs, or nothing in it has a letter.

    Notes
    -----
    The published strings (Jalil, Qazi & Iqbal 2025, arXiv 2505.06881) are of two kinds: VGG11's is the list of a
    PyTorch network's modules (``paper``), those of VGG16 and VGG19 are of Keras networks (``keras``).
    """
    words = vocabulary_of(vocabulary)
    layers = trace(module, inputs)
    spelled = words.spell(layers)
    if not spelled:
        raise empty_sequence(type(module).__name__, layers)
    return spelled


def empty_sequence(name: str, layers: Sequence[Layer]) -> MurineError:
    """What is to be said of a network whose sequence has no letters."""
    ran = f"of the {len(layers)} layers that ran ({some(sorted({x.kind for x in layers}))}) none" if layers else "none"
    return MurineError(
        f"the layer sequence of {name} is empty: {ran} has a letter in this vocabulary. The vocabulary 'fine' sees "
        "most; only modules and functions of PyTorch's, timm's and torchvision's names are known."
    )


def trace(module: nn.Module, inputs: Tensor | None = None) -> list[Layer]:
    """Run a network once and list what ran, in order of its start.

    A module that is called twice is listed twice. Listed are modules of known classes, modules without parts, and
    calls of known functions outside of modules of known classes; a sum or a product only where both terms are features
    of the images. Arguments and errors as in `layer_sequence`.
    """
    if inputs is None:
        inputs = probe_images(module)
    recorder = _Recorder(module, len(inputs))
    with preserved_state(), evaluation_mode(module), torch.no_grad(), recorder.hooks():
        try:
            module(inputs)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # networks raise what they like
            shape = " x ".join(str(size) for size in inputs.shape[1:])
            raise MurineError(
                f"{type(module).__name__} fails on an input of {shape} (channels x height x width): "
                f"{reason_of(error).rstrip('.')}."
            ) from error
    return recorder.layers


def probe_images(module: nn.Module) -> Tensor:
    """Black images of the size and type that a network takes, on its device."""
    config: Any = getattr(module, "pretrained_cfg", None) or getattr(module, "default_cfg", None) or {}
    size = config.get("input_size") or INPUT_SIZE
    example = next((x for x in module.parameters() if x.is_floating_point()), torch.empty(0))
    return torch.zeros(_N_PROBES, *size, device=example.device, dtype=example.dtype)


def _kind_of_class(module: nn.Module) -> str:
    if type(module) is nn.Sequential and not len(module):
        return "identity"  # timm puts one where others put an Identity
    for base in type(module).__mro__:
        kind = _KINDS.get(base.__name__.lower())
        if kind is not None:
            return _kind_of_convolution(module) if kind == "convolution" else kind
    return ""


def _kind_of_convolution(module: Any) -> str:
    return _finer_convolution(int(module.groups), int(module.in_channels), tuple(module.kernel_size))


def _finer_convolution(groups: int, channels: int, kernel: Sequence[int]) -> str:
    if groups > 1:
        return "depthwise convolution" if groups == channels else "grouped convolution"
    return "pointwise convolution" if all(size == 1 for size in kernel) else "convolution"


@dataclass
class _Call:
    """A module that is running."""

    kind: str
    position: int
    name: str = ""
    size: tuple[int, ...] = ()


class _Recorder(TorchFunctionMode):
    """Lists the layers of a network while it runs on ``n_images``."""

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
            kind = _kind_of_class(child)
            within = any(call.kind for call in self._running)
            if not kind and not within and next(child.children(), None) is None and name:
                kind = "other"
            position = -1
            taken = _first_tensor((args, kwargs))
            if kind:
                position = self._add(Layer(name, type(child).__name__, kind, feeds_on=self._source(taken)))
            # Calls of functions in an unknown module are told: nothing else is known of it.
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
        kind = "" if inside.kind else _KINDS.get(name, "")
        if name == "mean" and not inside.kind and _is_global(args, kwargs):
            kind = "global average pooling"
        if not kind or not self._is_layer(kind, args, kwargs):
            return func(*args, **kwargs)
        if kind == "convolution":
            kind = _kind_of_call(args, kwargs)
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
        """Whether it is of the images, not of the network."""
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
        # In-place operations return the tensor they took: it is now theirs.
        self._made[id(made)] = (weakref.ref(made), position)


def _is_global(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a mean is over the two axes of an image's maps."""
    features = kwargs.get("input", args[0] if args else None)
    axes = kwargs.get("dim", args[1] if len(args) > 1 else None)
    if not isinstance(features, Tensor) or features.dim() != 4 or not isinstance(axes, (tuple, list)):
        return False
    return sorted(axis % 4 for axis in axes) in ([2, 3], [1, 2])


def _kind_of_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Of a convolution by function: ``conv2d(input, weight, bias, stride, padding, dilation, groups)``."""
    weight = kwargs.get("weight", args[1] if len(args) > 1 else None)
    groups = kwargs.get("groups", args[6] if len(args) > 6 else 1)
    if not isinstance(weight, Tensor):
        return "convolution"
    return _finer_convolution(int(groups), weight.shape[1] * int(groups), weight.shape[2:])


def _first_tensor(values: object) -> Tensor | None:
    if isinstance(values, Tensor):
        return values
    if isinstance(values, Mapping):
        values = list(values.values())
    if isinstance(values, (tuple, list)):
        return next((x for x in map(_first_tensor, values) if x is not None), None)
    return None
