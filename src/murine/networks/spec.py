"""Choices: what was asked for of the zoo, before any network is built.

Nothing here imports PyTorch, unless a name has wildcards or a variant: what is done already is told at once."""

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

#: What the names of suites begin with.
SUITE = "suite:"

#: Networks that stand for what any network must beat. They have no weights.
controls: Registry[Callable[[], nn.Module]] = Registry("control")
for _name, _class in (("pixels", "Pixels"), ("gabor", "GaborEnergy"), ("neurn", "NeuRNPixels")):
    controls.refer(_name, f"murine.networks.controls:{_class}")


@dataclass(frozen=True)
class NetworkSpec:
    """What was asked for: a network's name, its weights, '' for the usual ones, and what surgery puts in.

    ``variant`` is LAYER(OPTIONS)@PLACE as `surgery.spelled` spells it, several joined by ``+``, or ''.
    """

    name: str
    weights: str = ""
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> NetworkSpec:
        """Split ``NAME[+LAYER(OPTIONS)[@PLACE]]...[@WEIGHTS]``.

        The name ends at the first ``+`` or ``@``, behind the name of a file where there is one: an existing file may
        have them in its path. A layer without a place stands at the input, so what follows its ``@`` is a place only
        if it is ``input``, ``image``, ``after:PATTERN``, ``before:PATTERN`` or ``replace:PATTERN``; what follows the
        last ``@`` are weights, whatever they hold."""
        end = name_length(text)
        name = text[:end] + re.split("[+@]", text[end:], maxsplit=1)[0]
        variant, rest = _variant(text[len(name) :])
        if not name:
            raise MurineError(f"{text!r} names no network; expected NAME or NAME@WEIGHTS.")
        return cls(name, rest[1:], "+".join(f"{layer}@{place}" for layer, place in variant))

    @property
    def layers(self) -> list[tuple[str, str]]:
        """What surgery puts in: layers with their places."""
        return _variant(f"+{self.variant}")[0] if self.variant else []

    @property
    def full_name(self) -> str:
        """The name with the variant."""
        return f"{self.name}+{self.variant}" if self.variant else self.name

    def __str__(self) -> str:
        return f"{self.full_name}@{self.weights}" if self.weights else self.full_name


def is_user_file(name: str) -> bool:
    """Whether a name is that of a function in a user's file."""
    return ".py:" in name


def name_length(text: str) -> int:
    """How many characters of NAME[+VARIANT][@WEIGHTS] belong to ``path/to/file.py:``; 0 where it names no file.

    An existing file wins: its path may hold any character, also @ and +."""
    ends = [i + len(".py:") for i in range(len(text)) if text.startswith(".py:", i)]
    existing = next((end for end in ends if _is_file(text[: end - 1])), 0)
    if existing or not ends:
        return existing
    before = text[: ends[0]].partition("@")[0]  # names of networks have no folders
    return ends[0] if "/" in before or len(before) == ends[0] else 0


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # too long a name, or a null character in it
        return False


def expand(texts: Sequence[str], weights_of_all: str = "") -> list[NetworkSpec]:
    """Turn names with wildcards into choices, each once, in order.

    Parameters
    ----------
    texts
        ``NAME[+VARIANT][@WEIGHTS]``; a name may hold wildcards (``resnet1*``, ``taskonomy:*``), but for that of a file;
        ``suite:NAME`` stands for all of a published list that can be built.
    weights_of_all
        For those that name no weights themselves.
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
                raise MurineError(f"no network matches {choice.name!r}. `murine models '{choice.name}'` searches timm.")
        for name in names:
            usual = "" if name in controls else weights_of_all
            found[NetworkSpec(name, choice.weights or usual, choice.variant)] = None
    for choice in found:
        seed_of(choice.weights)  # what is no seed is told before the first network is built
    return list(found)


def twin(choice: NetworkSpec, seed: int = 0) -> NetworkSpec | None:
    """The same network with random weights; None for a control or where it is random already."""
    if choice.name in controls or seed_of(choice.weights) is not None:
        return None
    return NetworkSpec(choice.name, f"random:{seed}", choice.variant)


def seed_of(text: str) -> int | None:
    """The seed of ``random:SEED``, or None for other weights."""
    if text.partition(":")[0] != "random":  # a file may be called random_init.pth
        return None
    match = re.fullmatch("random:([0-9]{1,30})", text)
    if not match:
        raise MurineError(f"the weights {text!r} are not understood; expected random:SEED, for example random:0.")
    seed = int(match[1])
    SEED.check(f"the seed of {text!r}", seed)
    return seed


def _suite(name: str) -> list[str]:
    """What can be built of a suite; tells what cannot."""
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
