"""Modules with inserted layers around them: how layers are put into a network and taken out again.

A module gets a class of its own, derived from its class, that calls the inserted layers around the module. The layers
are kept in one more child of the network, ``inserted``, where ``named_modules()`` and hooks find them.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from murine.errors import MurineError
from murine.networks.surgery.variant_names import Place

#: Name of the child of a network that holds its inserted layers.
HOLDER = "inserted"

#: Attribute of a module that lists the layers around it.
_POINTS = "_murine_sites"


class Inserted(nn.Module):
    """Holds the layers inserted into a network. It returns its input, because a container may call all its children."""

    def forward(self, x: Any) -> Any:
        return x


@dataclass(eq=False)
class InsertionPoint:
    """One inserted layer.

    Attributes
    ----------
    module
        Name of the module that the layer stands at; '' for the network itself.
    place
        ``before``, ``after``, or ``replace``: instead of the module.
    path
        Name of the layer in the network.
    layer
        The layer itself.
    channels_last
        Whether the maps there are (n, height, width, channels).
    shape
        Shape of the layer's input for one image, in the trial.
    mean, std
        Normalisation of each channel, if the layer sees the image before its normalisation; otherwise empty.
    """

    module: str
    place: Place
    path: str
    layer: nn.Module
    channels_last: bool = False
    shape: tuple[int, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __call__(self, value: Any) -> Any:
        if self.std:
            mean, std = (value.new_tensor(numbers).view(-1, 1, 1) for numbers in (self.mean, self.std))
            return (self.layer(value * std + mean) - mean) / std
        if not self.channels_last:
            return self.layer(value)
        return self.layer(value.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def first_argument(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the first argument of a call; None if it has no arguments."""
    return args[0] if args else next(iter(kwargs.values()), None)


class _Around:
    """Mixed into the class of a module with layers around it."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        points: list[InsertionPoint] = self.__dict__[_POINTS]
        for point in points:
            if point.place == "before":
                args, kwargs = _apply_to_first(point, args, kwargs)
        instead = [point for point in points if point.place == "replace"]
        value = instead[0](first_argument(args, kwargs)) if instead else super().__call__(*args, **kwargs)  # type: ignore[misc]
        for point in points:
            if point.place == "after":
                value = point(value)
        return value

    def __reduce_ex__(self, protocol: Any) -> Any:
        # A class made at run time cannot be found by its name when a file is loaded.
        reduced: Any = super().__reduce_ex__(protocol)
        return _blank, (type(self).__bases__[1],), *reduced[2:]


def _apply_to_first(
    point: InsertionPoint, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if args:
        return (point(args[0]), *args[1:]), kwargs
    key = next(iter(kwargs))
    return args, {**kwargs, key: point(kwargs[key])}


def _class_around(base: type[nn.Module]) -> type[nn.Module]:
    return type(base.__name__, (_Around, base), {"__module__": base.__module__, "__qualname__": base.__qualname__})


def _blank(base: type[nn.Module]) -> nn.Module:
    kind = _class_around(base)
    return kind.__new__(kind)


def add_layers(
    module: nn.Module,
    names: list[str],
    place: Place,
    layer: nn.Module,
    inputs: dict[str, tuple[tuple[int, ...], bool]],
    normalisation: tuple[tuple[float, ...], tuple[float, ...]],
) -> tuple[InsertionPoint, ...]:
    """Put a copy of a layer at each of the named modules, and return where the copies are.

    Parameters
    ----------
    inputs
        Shape of the layer's input for one image, and whether its channels come last, by module.
    normalisation
        Mean and standard deviation of each channel, if the layer sees the image before its normalisation; or empty.
    """
    holder = getattr(module, HOLDER, None)
    if holder is None:
        holder = Inserted().eval()
        module.add_module(HOLDER, holder)
    if not isinstance(holder, Inserted):
        raise MurineError(f"the network has a {HOLDER!r} of its own, where murine keeps inserted layers.")
    device = next((x.device for x in (*module.parameters(), *module.buffers())), None)
    points: list[InsertionPoint] = []
    for name in names:
        child = module.get_submodule(name)
        around: list[InsertionPoint] = child.__dict__.setdefault(_POINTS, [])
        own = copy.deepcopy(layer).to(device).eval()  # the network is still in evaluation mode
        path = wanted = f"{place}_{name.replace('.', '_')}" if name else ("image" if normalisation[1] else "input")
        count = itertools.count(2)
        while path in holder._modules:
            path = f"{wanted}_{next(count)}"
        holder.add_module(path, own)
        point = InsertionPoint(name, place, f"{HOLDER}.{path}", own, inputs[name][1], inputs[name][0], *normalisation)
        around.append(point)
        points.append(point)
        if not isinstance(child, _Around):
            try:
                child.__class__ = _class_around(type(child))
            except TypeError as error:
                remove_layers(module, points)
                raise MurineError(
                    f"{name or 'the network'} ({type(child).__name__}) cannot have layers around it: {error}."
                ) from error
    return tuple(points)


def remove_layers(module: nn.Module, points: Sequence[InsertionPoint]) -> None:
    """Take layers out of a network. Modules without other layers around them get their own class back."""
    gone = {id(point) for point in points}
    layers_gone = {id(point.layer) for point in points}
    for child in list(module.modules()):
        if around := child.__dict__.get(_POINTS):
            around[:] = [point for point in around if id(point) not in gone]
        if _POINTS in child.__dict__ and not child.__dict__[_POINTS]:
            del child.__dict__[_POINTS]
            child.__class__ = type(child).__bases__[1]
    holder = module._modules.get(HOLDER)
    if isinstance(holder, Inserted):
        for name, layer in list(holder.named_children()):
            if id(layer) in layers_gone:
                del holder._modules[name]
        if not holder._modules:
            del module._modules[HOLDER]


def insertion_points(module: nn.Module) -> list[InsertionPoint]:
    """Return where layers are inserted around a module itself (not around its parts)."""
    return list(module.__dict__.get(_POINTS, ()))
