"""Names of inserted layers and places: ``neurn(k=3)@input``, ``sobel@after:layer1``."""

from __future__ import annotations

import inspect
import re
from typing import Literal

from torch import nn

from murine.errors import MurineError
from murine.networks import option_parser
from murine.networks.surgery.rival_layers import layers

#: Where a layer stands: before or after a module, or in its place.
Place = Literal["before", "after", "replace"]


def layer_named(text: str) -> nn.Module:
    """Return a layer from its name and options.

    Parameters
    ----------
    text
        ``NAME`` or ``NAME(OPTION=VALUE, ...)``, a name in `murine.networks.surgery.rival_layers.layers`. ``k`` is short
        for ``kernel_size``.

    Raises
    ------
    MurineError
        If the layer or an option is unknown, or a value is not possible.

    Examples
    --------
    >>> layer_named("neurn(k=5)")
    NeuRN(kernel_size=5)
    """
    parts = option_parser.split_call(text)
    if parts is None:
        raise MurineError(f"the layer {text!r} is not understood; expected NAME(OPTION=VALUE), as neurn(k=3).")
    name, inside = parts
    kind = layers[name]
    options = option_parser.parse_options(inside, kind, f"the layer {name!r}")
    try:
        return kind(**options)
    except (TypeError, ValueError) as error:
        raise MurineError(f"the layer {text!r} cannot be made: {error}") from error


def canonical_layer(layer: nn.Module) -> str:
    """Return the canonical name of a layer: with its first option, and the others that differ from their defaults.

    A layer that is not in `layers` has the name of its class.

    Examples
    --------
    >>> canonical_layer(layer_named("neurn"))
    'neurn(k=3)'
    """
    kind = type(layer)
    name = next((name for name in layers if layers[name] is kind), None)
    if name is None:
        return kind.__name__
    options = []
    for i, (key, parameter) in enumerate(inspect.signature(kind).parameters.items()):
        value = getattr(layer, key)
        if i == 0 or value != parameter.default:
            options.append(f"{'k' if key == 'kernel_size' else key}={value}")
    return f"{name}({','.join(options)})"


#: ``+LAYER(OPTIONS)@PLACE`` after the name of a network. The text after the last @ names weights.
_VARIANT = re.compile(
    r"\+(?P<layer>[\w-]+(?:\([^()]*\))?)(?:@(?P<place>(?:input|image)(?=[+@]|$)|(?:before|after|replace):[^@+]+))?"
)


def parse_variant(text: str) -> tuple[list[tuple[str, str]], str]:
    """Read any number of ``+LAYER(OPTIONS)@PLACE`` from the start of a text.

    Returns
    -------
    layers, rest
        Canonical names of layers with their places (``input`` if none is given), and the rest of the text: '' or
        ``@WEIGHTS``.

    Raises
    ------
    MurineError
        If the text does not have this form, or names an unknown layer.

    Examples
    --------
    >>> parse_variant("+neurn+sobel@after:layer1@random:0")
    ([('neurn(k=3)', 'input'), ('sobel(relative=True)', 'after:layer1')], '@random:0')
    """
    found = []
    rest = text
    while rest[:1] not in ("", "@"):
        match = _VARIANT.match(rest)
        if not match:
            raise MurineError(
                f"{text!r} is not understood; expected +LAYER(OPTIONS)@PLACE, as +neurn(k=3)@input or "
                "+sobel@after:layer1."
            )
        found.append((canonical_layer(layer_named(match["layer"])), match["place"] or "input"))
        rest = rest[match.end() :]
    return found, rest


def canonical_place(at: str) -> str:
    """Return the canonical name of a place: ``input``, ``image``, ``after:PATTERN``, ``before:...`` or ``replace:...``.

    Raises
    ------
    MurineError
        If the text names no place.

    Examples
    --------
    >>> canonical_place("layer1")
    'after:layer1'
    """
    place, pattern = parse_place(at)
    return f"{place}:{pattern}" if pattern else at


def parse_place(at: str) -> tuple[Place, str]:
    """Return a place and the pattern of its modules. ``input`` and ``image`` stand before the network, pattern ''."""
    if at in ("input", "image"):
        return "before", ""
    kind, colon, pattern = at.partition(":")
    if not colon:
        kind, pattern = "after", at
    if kind not in ("before", "after", "replace") or not pattern:
        raise MurineError(
            f"the place {at!r} is not understood; expected input, image, after:PATTERN, before:PATTERN, "
            "replace:PATTERN or the name of a module."
        )
    return kind, pattern  # type: ignore[return-value]
