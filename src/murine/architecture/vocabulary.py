"""T."""

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

    def select(self, layers: Sequence[Layer]) -> list[Layer]:
        """The layers that get a letter."""
        found = [
            layer
            for layer in layers
            if layer.kind in self.letters
            and (layer.kind in self.functions or not layer.is_function)
            and not (self.fuses and _is_fused(layer, layers))
        ]
        # What an unknown module computes by functions tells more than that it is unknown.
        inside = {layer.name for layer in found if layer.is_function}
        return [layer for layer in found if layer.kind != "other" or layer.name not in inside]

    def encode(self, layers: Sequence[Layer]) -> str:
        """The layer sequence, a letter each."""
        return "".join(self.letters[layer.kind] for layer in self.select(layers))

    @classmethod
    def from_file(cls, file: str | Path) -> Vocabulary:
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


def _is_fused(layer: Layer, layers: Sequence[Layer]) -> bool:
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


def load_vocabulary(name: str | Path | Vocabulary) -> Vocabulary:
    """A vocabulary by name, or read from a ``.json`` file."""
    if isinstance(name, Vocabulary):
        return name
    if str(name).endswith(".json"):
        return Vocabulary.from_file(name)
    return vocabularies[str(name)]
