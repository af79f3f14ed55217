"""Names of networks with weights and inserted layers, before any network is built: ``NAME[+VARIANT][@WEIGHTS]``.

This module does not import PyTorch unless a name has wildcards or a variant, so that finished work is recognised fast.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from murine.errors import MurineError
from murine.limits import SEED
from murine.registry import Registry

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger(__name__)

#: Start of the names of suites.
SUITE = "suite:"

#: Control networks, which any network should surpass. They have no weights.
controls: Registry[Callable[[], nn.Module]] = Registry("control")
for _name, _class in (("pixels", "Pixels"), ("gabor", "GaborEnergy"), ("neurn", "NeuRNPixels")):
    controls.refer(_name, f"murine.networks.control_modules:{_class}")


@dataclass(frozen=True)
class NetworkSpec:
    """The specification of a network: name, weights and inserted layers.

    Attributes
    ----------
    name
        Name of the network, for example ``resnet18`` or ``torchvision:alexnet``.
    weights
        ``pretrained``, ``random:SEED`` (initialised by the network's own rule), ``random:SEED:torch`` (by PyTorch's
        rule for each module), ``sha256:HEX`` or a file; '' for the usual weights.
    variant
        Inserted layers, ``LAYER(OPTIONS)@PLACE`` in canonical form, joined by ``+``; '' if there are none.

    Examples
    --------
    >>> NetworkSpec.parse("resnet18@random:0")
    NetworkSpec(name='resnet18', weights='random:0', variant='')
    >>> str(NetworkSpec.parse("resnet18+neurn@random:0"))
    'resnet18+neurn(k=3)@input@random:0'
    """

    name: str
    weights: str = ""
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> NetworkSpec:
        """Return the specification in a text ``NAME[+LAYER(OPTIONS)[@PLACE]]...[@WEIGHTS]``.

        The name ends at the first ``+`` or ``@``, but after the name of an existing file, whose path may contain them.
        A layer without a place stands at the input. The text after its ``@`` is a place only if it is ``input``,
        ``image``, ``after:PATTERN``, ``before:PATTERN`` or ``replace:PATTERN``. The text after the last ``@`` names the
        weights.

        Raises
        ------
        MurineError
            If the text names no network, or a variant cannot be understood.
        """
        end = name_length(text)
        name = text[:end] + re.split("[+@]", text[end:], maxsplit=1)[0]
        variant, rest = _variant(text[len(name) :])
        if not name:
            raise MurineError(f"{text!r} names no network; expected NAME or NAME@WEIGHTS.")
        return cls(name, rest[1:], "+".join(f"{layer}@{place}" for layer, place in variant))

    @property
    def layers(self) -> list[tuple[str, str]]:
        """The inserted layers with their places."""
        return _variant(f"+{self.variant}")[0] if self.variant else []

    @property
    def full_name(self) -> str:
        """The name with the variant: ``resnet18+neurn(k=3)@input``."""
        return f"{self.name}+{self.variant}" if self.variant else self.name

    def __str__(self) -> str:
        return f"{self.full_name}@{self.weights}" if self.weights else self.full_name


def is_user_file(name: str) -> bool:
    """Return whether a name is that of a function in a user's file."""
    return ".py:" in name


def name_length(text: str) -> int:
    """Return the length of ``path/to/file.py:`` at the start of NAME[+VARIANT][@WEIGHTS]; 0 if it names no file.

    The path of an existing file may contain any character, also @ and +.
    """
    ends = [i + len(".py:") for i in range(len(text)) if text.startswith(".py:", i)]
    existing = next((end for end in ends if _is_file(text[: end - 1])), 0)
    if existing or not ends:
        return existing
    before = text[: ends[0]].partition("@")[0]  # only the names of files contain folders
    return ends[0] if "/" in before or len(before) == ends[0] else 0


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # too long a name, or a null character in it
        return False


def expand(texts: Sequence[str], weights_of_all: str = "") -> list[NetworkSpec]:
    """Return the specifications of all networks that are named, each once, in order.

    Parameters
    ----------
    texts
        ``NAME[+VARIANT][@WEIGHTS]``. A name may contain wildcards (``resnet1*``, ``taskonomy:*``), except for a file.
        ``suite:NAME`` stands for all networks of a published list that can be built.
    weights_of_all
        Weights for the networks whose text names none.

    Raises
    ------
    MurineError
        If nothing matches, or a text cannot be understood.

    Examples
    --------
    >>> [str(spec) for spec in expand(["pixels", "resnet18"], "random:0")]
    ['pixels', 'resnet18@random:0']
    """
    found: dict[NetworkSpec, None] = {}
    for text in texts:
        choice = NetworkSpec.parse(text)
        if choice.name.endswith(".py"):
            raise MurineError(
                f"{choice.name!r} names no function; expected path/to/file.py:FUNCTION, a function of the file that "
                "returns a network."
            )
        names = [choice.name]
        if choice.name.startswith(SUITE):
            names = _suite(choice.name)
        elif any(c in choice.name for c in "*?[") and not is_user_file(choice.name):
            from murine.networks.zoo import matching_names

            names = matching_names(choice.name)
            if not names:
                raise MurineError(f"no network matches {choice.name!r}. `murine models` lists all networks.")
        for name in names:
            usual = "" if name in controls else weights_of_all
            found[NetworkSpec(name, choice.weights or usual, choice.variant)] = None
    for choice in found:
        seed_of(choice.weights)  # refuses a wrong seed before the first network is built
    return list(found)


def twin(choice: NetworkSpec, seed: int = 0) -> NetworkSpec | None:
    """Return the same network with random weights; None for a control, or if its weights are random.

    Examples
    --------
    >>> str(twin(NetworkSpec("resnet18"), seed=3))
    'resnet18@random:3'
    """
    if choice.name in controls or seed_of(choice.weights) is not None:
        return None
    return NetworkSpec(choice.name, f"random:{seed}", choice.variant)


def seed_of(text: str) -> int | None:
    """Return the seed in ``random:SEED`` or ``random:SEED:torch``; None for other weights.

    Examples
    --------
    >>> seed_of("random:3"), seed_of("random:3:torch"), seed_of("pretrained")
    (3, 3, None)
    """
    if text.partition(":")[0] != "random":  # a file may be called random_init.pth
        return None
    match = re.fullmatch("random:([0-9]{1,30})(?::torch)?", text)
    if not match:
        raise MurineError(
            f"the weights {text!r} are not understood; expected random:SEED, for example random:0, or random:0:torch "
            "for PyTorch's initialisation instead of the network's own."
        )
    seed = int(match[1])
    SEED.check(f"the seed of {text!r}", seed)
    return seed


def has_torch_initialisation(weights: str) -> bool:
    """Return whether random weights are drawn by PyTorch's rule for each module, not by the network's own.

    Examples
    --------
    >>> has_torch_initialisation("random:3:torch"), has_torch_initialisation("random:3")
    (True, False)
    """
    return seed_of(weights) is not None and weights.endswith(":torch")


def _suite(name: str) -> list[str]:
    """Return the networks of a suite that can be built, and warn about the others."""
    from murine.networks import catalogue

    members = catalogue.suite(name)
    missing = [f"{member.name} ({member.missing})" for member in members if not member.network]
    if missing:
        log.warning("%d of the %d of %s cannot be built: %s.", len(missing), len(members), name, "; ".join(missing))
    return [member.network for member in members if member.network]


def _variant(text: str) -> tuple[list[tuple[str, str]], str]:
    """Read a variant with `parse_variant`, which imports torch; a name without a variant does not need it."""
    if text[:1] in ("", "@"):
        return [], text
    from murine.networks.surgery.variant_names import parse_variant

    return parse_variant(text)
