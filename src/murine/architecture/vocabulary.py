"""Vocabularies: which layers of a network are written in its layer sequence, and with which letter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from murine.architecture.forward_trace import Layer
from murine.architecture.layer_kinds import KINDS
from murine.errors import MurineError, some
from murine.registry import Registry

_ACTIVATIONS = frozenset(
    ("relu", "leaky relu", "gelu", "silu", "hard swish", "other activation", "sigmoid", "tanh", "softmax")
)


@dataclass(frozen=True)
class Vocabulary:
    """Which layers are written, and with which letter.

    Attributes
    ----------
    letters
        Kind of layer -> letter. Other kinds are not written.
    functions
        Kinds that are written for function calls, too, not only for modules.
    fuses
        Whether an activation that directly follows a convolution or a linear layer counts as part of that layer, and
        whether poolings that keep the size are left out.

    Raises
    ------
    MurineError
        If a kind is unknown, or a letter is not one visible character.

    Examples
    --------
    >>> words = Vocabulary({"convolution": "C", "relu": "R"})
    >>> words.legend
    {'C': 'convolution', 'R': 'relu'}
    """

    letters: Mapping[str, str]
    functions: frozenset[str] = frozenset()
    fuses: bool = False

    def __post_init__(self) -> None:
        unknown = sorted({*self.letters, *self.functions} - set(KINDS))
        if unknown:
            raise MurineError(f"unknown kinds of layers {some(unknown)}; expected some of {', '.join(KINDS)}.")
        wrong = [f"{kind}: {letter!r}" for kind, letter in self.letters.items() if not _is_letter(letter)]
        if wrong:
            raise MurineError(f"{some(wrong)}; expected one visible character other than '-' for each kind of layer.")

    @cached_property
    def legend(self) -> dict[str, str]:
        """Letter -> the kinds of layers that it stands for."""
        found: dict[str, list[str]] = {}
        for kind, letter in self.letters.items():
            found.setdefault(letter, []).append(kind)
        return {letter: ", ".join(kinds) for letter, kinds in found.items()}

    def select(self, layers: Sequence[Layer]) -> list[Layer]:
        """Return the layers that get a letter."""
        found = [
            layer
            for layer in layers
            if layer.kind in self.letters
            and (layer.kind in self.functions or not layer.is_function)
            and not (self.fuses and _is_fused(layer, layers))
        ]
        # If an unknown module calls known functions, list these instead of the module.
        inside = {layer.name for layer in found if layer.is_function}
        return [layer for layer in found if layer.kind != "other" or layer.name not in inside]

    def encode(self, layers: Sequence[Layer]) -> str:
        """Return the layer sequence: one letter for each selected layer."""
        return "".join(self.letters[layer.kind] for layer in self.select(layers))

    @classmethod
    def from_file(cls, file: str | Path) -> Vocabulary:
        """Read a vocabulary from a JSON file.

        Its form is ``{"letters": {"C": ["convolution", ...], ...}, "functions": true, "fuses": false}``. ``functions``
        is true for all kinds that have a letter, false (the default) for none, or a list of kinds.

        Raises
        ------
        MurineError
            If the file is missing or damaged, or a kind of layer is unknown or has two letters.
        """
        from murine.io.files import read_json

        content = read_json(file)
        where = f"the vocabulary {str(file)!r}"
        if not isinstance(content, dict) or not isinstance(content.get("letters"), dict):
            raise MurineError(f'{where} has no \'letters\'; expected {{"letters": {{"C": ["convolution"], ...}}}}.')
        unknown = sorted(set(content) - {"letters", "functions", "fuses"})
        if unknown:
            raise MurineError(f"{where} has unknown keys {some(unknown)}; expected letters, functions and fuses.")
        letters: dict[str, str] = {}
        for letter, kinds in content["letters"].items():
            for kind in [kinds] if isinstance(kinds, str) else kinds if isinstance(kinds, list) else [kinds]:
                if not isinstance(kind, str) or kind in letters:
                    raise MurineError(
                        f"{where}: {letter!r} stands for {kind!r}, which is not a kind of layer or has a letter."
                    )
                letters[kind] = letter
        functions, fuses = content.get("functions", False), content.get("fuses", False)
        if isinstance(functions, bool):
            functions = list(letters) if functions else []
        if not isinstance(fuses, bool) or not isinstance(functions, list):
            raise MurineError(
                f"{where}: expected true or false for fuses, and true, false or a list of kinds for functions."
            )
        return cls(letters, frozenset(map(str, functions)), fuses)


def _is_letter(letter: str) -> bool:
    return len(letter) == 1 and letter.isprintable() and letter not in " -"


def _is_fused(layer: Layer, layers: Sequence[Layer]) -> bool:
    """Return whether a layer counts as part of the layer before it, or does nothing."""
    if layer.idle:
        return True
    source = layers[layer.feeds_on].kind if layer.feeds_on >= 0 else ""
    return layer.kind in _ACTIVATIONS and (source == "linear" or source.endswith("convolution"))


#: All convolutions share one letter, because PyTorch has one class for them.
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


#: The list of the modules of a PyTorch network, one letter for each class: no flatten, identity or sums. It reproduces
#: the published string of torchvision's VGG11. Function calls count, too (activations, for example): otherwise the
#: string would depend on the style in which a network is written.
vocabularies.register("paper")(
    Vocabulary(MappingProxyType(_BY_TYPE), _ALL - {"add", "multiply", "concatenation", "padding"})
)

#: What Keras would list: functions are layers, an activation right after a convolution is part of it, and there is no
#: dropout. It reproduces the published strings of VGG16 and VGG19, which come from Keras networks.
vocabularies.register("keras")(
    Vocabulary(
        MappingProxyType({k: v for k, v in _BY_TYPE.items() if k not in ("dropout", "drop path", "scale")}),
        _ALL,
        fuses=True,
    )
)

#: Everything that runs, with kinds of convolutions and poolings told apart.
vocabularies.register("fine")(Vocabulary(MappingProxyType(_FINE), _ALL))


def load_vocabulary(name: str | Path | Vocabulary) -> Vocabulary:
    """Return a vocabulary by its name (``paper``, ``keras`` or ``fine``), or read it from a ``.json`` file.

    Raises
    ------
    MurineError
        If the name is unknown or the file cannot be read (`Vocabulary.from_file`).

    Examples
    --------
    >>> load_vocabulary("paper").letters["convolution"]
    'C'
    """
    if isinstance(name, Vocabulary):
        return name
    if str(name).endswith(".json"):
        return Vocabulary.from_file(name)
    return vocabularies[str(name)]
