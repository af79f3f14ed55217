"""Surgery: a layer put into a network that exists, whose names, weights and forward functions stay as they are.

A module that is operated on gets a class of its own, derived from its class, that calls the inserted layer around it;
the layers are kept in one more child of the network, ``inserted``, where ``named_modules()`` and hooks find them.
"""

from __future__ import annotations

import copy
import fnmatch
import hashlib
import inspect
import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from murine.errors import MurineError, nearest, reason_of, some
from murine.networks import option_parser as calls
from murine.networks.network import Network
from murine.networks.preprocessing import Preprocessing
from murine.networks.surgery.rival_layers import layers

#: The child of a network that holds what was put into it.
HOLDER = "inserted"

#: Where a module keeps what stands around it.
_SITES = "_murine_sites"

#: A map may be this much longer or wider than the image it is of.
_MAX_STRETCH = 2.0

Place = Literal["before", "after", "replace"]


class Inserted(nn.Module):
    """The layers that surgery put into a network; passes on what it gets, for a container calls all its children."""

    def forward(self, x: Any) -> Any:
        return x


@dataclass(eq=False)
class InsertionPoint:
    """One inserted layer.

    Attributes
    ----------
    module
        Name of the module it stands at; '' for the network itself.
    place
        ``before``, ``after`` or instead of (``replace``) the module.
    path
        Name of the layer itself in the network.
    channels_last
        Whether maps come as (n, height, width, channels) there.
    shape
        Of what the layer met on trial, for one image.
    mean, std
        What the picture was normalised by, per channel, where the layer is to see it as it was before; else empty.
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


@dataclass(eq=False)
class Insertion:
    """What `insert` did, and how to undo it; as a context manager it is undone at the end.

    Attributes
    ----------
    network
        The network with the layers in it: the module that was given, or for a `Network` another one around the same
        module, with the variant in its name and its digest.
    variant
        ``LAYER(OPTIONS)@PLACE``, for example ``neurn(k=3)@input``.
    sites
        Where the layers are, and what they met.
    """

    network: Any
    variant: str
    sites: tuple[InsertionPoint, ...]

    def undo(self) -> None:
        """Take the layers out again; a second time nothing happens."""
        module = self.network if isinstance(self.network, nn.Module) else self.network.module
        _take_out(module, self.sites)

    def __enter__(self) -> Any:
        return self.network

    def __exit__(self, *_: object) -> None:
        self.undo()


def insert(
    network: nn.Module | Network, layer: nn.Module | str, at: str = "input", *, probe: Tensor | None = None
) -> Insertion:
    """Put a layer into a network, in place.

    Every place gets a copy of the layer of its own. Names of other modules and keys of the state dict do not change,
    nor do weights: after `Insertion.undo` the network gives the same outputs to the last bit. Copies, `to`, `train`,
    `eval`, `torch.compile` and `torch.export` take the layers along. What calls the network's ``forward`` or other
    methods past it (``forward_features``, torch.fx's tracing) misses a layer at its input.

    Parameters
    ----------
    network
        Any module, or a network of the zoo.
    layer
        A module without parameters and buffers of its own (`murine.NeuRN`, `murine.networks.surgery.rival_layers`), or
        its name with options: ``neurn(k=3)``.
    at
        ``input``: before the network. ``image``: there, too, but the layer sees pixels from 0 to 1, and what it returns
        is normalised as the network's preprocessing does (its ``default_cfg`` for a module): for networks that were
        trained on images so normalised. ``after:PATTERN``, ``before:PATTERN``: after or before every module whose name
        matches, as ``layer1`` or ``layer?.*.bn1``; a pattern alone means after. ``replace:PATTERN``: instead of them;
        they stay where they are, with their weights, and are not called.
    probe
        Images (n, channels, height, width) that the network accepts, for trial; by default one of random pixels, of
        the size in its ``default_cfg`` (timm's), else 224 x 224.

    Returns
    -------
    insertion
        Its ``network`` is the operated one.

    Raises
    ------
    MurineError
        If no module matches, a module does not run, what it returns is no map of the image, or the kernel is larger
        than the map, or the network does not go on with what the layer returns. The network is then as it was.
    """
    module = network if isinstance(network, nn.Module) else network.module
    layer = layer_named(layer) if isinstance(layer, str) else layer
    if layer.state_dict():
        raise MurineError(
            f"{type(layer).__name__} has tensors of its own ({some(layer.state_dict(), 3)}), which would add keys to "
            "the state dict; expected a layer without parameters and buffers."
        )
    place, pattern = _place(at)
    names = [""] if not pattern else _matching(module, pattern)
    for name in names if place == "replace" else ():
        if any(site.place == "replace" for site in module.get_submodule(name).__dict__.get(_SITES, ())):
            raise MurineError(f"{name!r} is replaced already; undo that first.")
    images = _probe(network) if probe is None else probe
    what = spelled(layer)
    variant = f"{what}@{spelled_place(at)}"
    normalisation = _normalisation(network) if at == "image" else ((), ())
    with _trial(module):
        met = _meet(module, names, place, layer, images, what)
        sites = _put_in(module, names, place, layer, met, normalisation)
        try:
            module(images)
        except Exception as error:
            _take_out(module, sites)
            raise MurineError(
                f"with {variant} the network fails: {reason_of(error).rstrip('.')}. The layer met "
                f"{_shapes(sites)}; the network is as it was."
            ) from error
    for part in (getattr(module, HOLDER), *(site.layer for site in sites)):
        part.train(module.training)
    operated = network if isinstance(network, nn.Module) else _operated(network, layer, variant)
    return Insertion(operated, variant, sites)


def remove(module: nn.Module) -> None:
    """Take out every layer that surgery put into a network: also from a copy, of which there is no `Insertion`."""
    sites = [site for child in list(module.modules()) for site in child.__dict__.get(_SITES, ())]
    _take_out(module, sites)


# --------------------------------------------------------------------------------- names


def layer_named(text: str) -> nn.Module:
    """Make a layer from its name and options, ``NAME`` or ``NAME(OPTION=VALUE, ...)``.

    Names are those of `murine.networks.surgery.rival_layers.layers`; ``k`` is short for ``kernel_size``.
    """
    parts = calls.split(text)
    if parts is None:
        raise MurineError(f"the layer {text!r} is not understood; expected NAME(OPTION=VALUE), as neurn(k=3).")
    name, inside = parts
    kind = layers[name]
    options = calls.options(inside, kind, f"the layer {name!r}")
    try:
        return kind(**options)
    except (TypeError, ValueError) as error:
        raise MurineError(f"the layer {text!r} cannot be made: {error}") from error


def spelled(layer: nn.Module) -> str:
    """The one spelling of a layer: its first option, and those that are not as usual.

    A layer that has no name in `layers` goes by that of its type."""
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


#: LAYER(OPTIONS)@PLACE behind the name of a network; what follows a last @ are weights.
_VARIANT = re.compile(
    r"\+(?P<layer>[\w-]+(?:\([^()]*\))?)(?:@(?P<place>(?:input|image)(?=[+@]|$)|(?:before|after|replace):[^@+]+))?"
)


def parse_variant(text: str) -> tuple[list[tuple[str, str]], str]:
    """Read ``+LAYER(OPTIONS)@PLACE``, any number of times, from the start of a text: layers with places, and the rest.

    The rest is empty or starts with ``@``. Without a place the layer stands at the input. Spelt as `spelled` does."""
    found = []
    rest = text
    while rest[:1] not in ("", "@"):
        match = _VARIANT.match(rest)
        if not match:
            raise MurineError(
                f"{text!r} is not understood; expected +LAYER(OPTIONS)@PLACE, as +neurn(k=3)@input or "
                "+sobel@after:layer1."
            )
        found.append((spelled(layer_named(match["layer"])), match["place"] or "input"))
        rest = rest[match.end() :]
    return found, rest


def spelled_place(at: str) -> str:
    """The one spelling of a place: ``input``, ``image``, or what a layer has to do with a pattern: ``after:layer1``.

    Raises
    ------
    MurineError
        If it is none of these."""
    place, pattern = _place(at)
    return f"{place}:{pattern}" if pattern else at


def _place(at: str) -> tuple[Place, str]:
    """``input`` and ``image`` are before the network, whose pattern is ''."""
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


def _matching(module: nn.Module, pattern: str) -> list[str]:
    names = [name for name, child in module.named_modules() if name and not _is_ours(name, child)]
    found = fnmatch.filter(names, pattern)
    if not found:
        raise MurineError(
            f"no module matches {pattern!r}{nearest(pattern, names) or '.'} The network has {len(names)} modules, for "
            f"example {some(names)}."
        )
    return found


def _is_ours(name: str, child: nn.Module) -> bool:
    return isinstance(child, Inserted) or name.startswith(f"{HOLDER}.")


# --------------------------------------------------------------------------------- trial


def _probe(network: nn.Module | Network) -> Tensor:
    """An image of random pixels, as the network takes it."""
    if isinstance(network, nn.Module):
        module = network
        config = getattr(module, "pretrained_cfg", None) or getattr(module, "default_cfg", None) or {}
        channels, *size = tuple(config.get("input_size", (3, 224, 224)))
    else:
        module, preprocessing = network.module, network.preprocessing
        channels, size = preprocessing.n_channels, list(preprocessing.input_size)
    like = next((x for x in (*module.parameters(), *module.buffers()) if x.is_floating_point()), torch.empty(0))
    pixels = torch.rand(1, channels, *size, generator=torch.Generator().manual_seed(0))
    return pixels.to(like)


def _normalisation(network: nn.Module | Network) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation that images are normalised by before they enter."""
    if isinstance(network, Network):
        return network.preprocessing.mean, network.preprocessing.std
    config = getattr(network, "pretrained_cfg", None) or getattr(network, "default_cfg", None) or {}
    if not {"mean", "std"} <= set(config):
        raise MurineError(
            "the network does not tell how its images are normalised (mean and std in its default_cfg), so a layer "
            "cannot be put before that; choose the place input."
        )
    preprocessing = Preprocessing.from_config(config)
    return preprocessing.mean, preprocessing.std


@contextmanager
def _trial(module: nn.Module) -> Iterator[None]:
    """Evaluation without gradients; modes and random numbers are afterwards as before."""
    training = {child: child.training for child in module.modules()}
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            module.eval()
            yield
    finally:
        for child, mode in training.items():
            child.training = mode


def _meet(
    module: nn.Module, names: list[str], place: Place, layer: nn.Module, images: Tensor, what: str
) -> dict[str, tuple[tuple[int, ...], bool]]:
    """Pass an image through the network as it is, and show the layer what it will meet.

    By module: the shape of it, for one image, and whether its channels come last.
    The layer is tried inside hooks, on every call, so that nothing is kept."""
    layer = copy.deepcopy(layer).to(images.device).eval()
    met: dict[str, tuple[tuple[int, ...], bool]] = {}
    troubles: list[str] = []

    def meet(name: str, value: Any, returned: Any) -> None:
        where = f"{what} {place} {name!r}" if name else f"{what} at the input"
        try:
            met[name] = _try(layer, value, returned if place == "replace" else None, images)
        except MurineError as error:
            troubles.append(f"{where}: {error}")

    handles = []
    for name in names:
        child = module.get_submodule(name)
        if place == "after":
            handles.append(child.register_forward_hook(lambda _m, _i, out, n=name: meet(n, out, None)))
        else:
            hook: Callable[..., None] = lambda _m, args, kwargs, out, n=name: meet(n, _first(args, kwargs), out)  # noqa: E731
            handles.append(child.register_forward_hook(hook, with_kwargs=True))
    try:
        module(images)
    except Exception as error:
        raise MurineError(
            f"the network fails on the image on trial, {_shape(images)}, before anything is put in: "
            f"{reason_of(error).rstrip('.')}."
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    if troubles:
        raise MurineError(troubles[0] + (f" So for {len(troubles) - 1} others." if len(troubles) > 1 else ""))
    if idle := [name for name in names if name not in met]:
        raise MurineError(
            f"the modules {some(idle)} are not called by the forward pass, so {what} would never run. Choose others: "
            "a module that only holds others does not run itself."
        )
    return met


def _try(layer: nn.Module, value: Any, returned: Any, images: Tensor) -> tuple[tuple[int, ...], bool]:
    if not isinstance(value, Tensor):
        raise MurineError(f"what comes there is no tensor but {type(value).__name__}.")
    channels_last = _is_channels_last(value, images)
    try:
        result = layer(value.permute(0, 3, 1, 2) if channels_last else value)
    except Exception as error:
        raise MurineError(f"it met {_shape(value)} there and fails: {reason_of(error)}") from error
    result = result.permute(0, 2, 3, 1) if channels_last else result
    if returned is not None and not (isinstance(returned, Tensor) and returned.shape == result.shape):
        raise MurineError(
            f"of {_shape(value)} it makes {_shape(result)}, the module {_shape(returned)}: what follows expects that. "
            "Put the layer before or after it instead."
        )
    return tuple(value.shape[1:]), channels_last


def _is_channels_last(value: Tensor, images: Tensor) -> bool:
    """Whether a map is (n, height, width, channels): by which two of its sizes are shaped like the image."""
    if value.ndim != 4 or not value.is_floating_point():
        raise MurineError(
            f"it met {_shape(value)} of {value.dtype} there, which is no map of the image; expected (n, channels, "
            "height, width), floating point. Choose an earlier module, before the map becomes a row or tokens."
        )
    wanted = images.shape[-2] / images.shape[-1]
    _, first, second, third = (max(size, 1) for size in value.shape)
    stretch = [abs(math.log(height / width / wanted)) for height, width in ((second, third), (first, second))]
    if min(stretch) > math.log(_MAX_STRETCH):
        raise MurineError(
            f"it met {_shape(value)} there, which is not shaped as a map of {images.shape[-2]} x {images.shape[-1]} "
            "pixels. Choose another module, before the map becomes a row or tokens."
        )
    return stretch[1] < stretch[0]


def _first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return args[0] if args else next(iter(kwargs.values()), None)


def _shape(value: Any) -> str:
    return " x ".join(map(str, value.shape)) if isinstance(value, Tensor) else type(value).__name__


def _shapes(sites: Sequence[InsertionPoint]) -> str:
    return some((f"{' x '.join(map(str, site.shape))} at {site.module or 'the input'}" for site in sites), 3)


# --------------------------------------------------------------------------------- operation


class _Around:
    """Mixed into the class of a module that is operated on."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        sites: list[InsertionPoint] = self.__dict__[_SITES]
        for site in sites:
            if site.place == "before":
                args, kwargs = _with_first(site, args, kwargs)
        instead = [site for site in sites if site.place == "replace"]
        value = instead[0](_first(args, kwargs)) if instead else super().__call__(*args, **kwargs)  # type: ignore[misc]
        for site in sites:
            if site.place == "after":
                value = site(value)
        return value

    def __reduce_ex__(self, protocol: Any) -> Any:
        # A class made on the fly has no name under which a file could find it.
        reduced: Any = super().__reduce_ex__(protocol)
        return _blank, (type(self).__bases__[1],), *reduced[2:]


def _with_first(
    site: InsertionPoint, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if args:
        return (site(args[0]), *args[1:]), kwargs
    key = next(iter(kwargs))
    return args, {**kwargs, key: site(kwargs[key])}


def _class_around(base: type[nn.Module]) -> type[nn.Module]:
    return type(base.__name__, (_Around, base), {"__module__": base.__module__, "__qualname__": base.__qualname__})


def _blank(base: type[nn.Module]) -> nn.Module:
    kind = _class_around(base)
    return kind.__new__(kind)


def _put_in(
    module: nn.Module,
    names: list[str],
    place: Place,
    layer: nn.Module,
    met: dict[str, tuple[tuple[int, ...], bool]],
    normalisation: tuple[tuple[float, ...], tuple[float, ...]],
) -> tuple[InsertionPoint, ...]:
    holder = getattr(module, HOLDER, None)
    if holder is None:
        holder = Inserted().eval()
        module.add_module(HOLDER, holder)
    if not isinstance(holder, Inserted):
        raise MurineError(f"the network has a {HOLDER!r} of its own, where surgery keeps the layers.")
    device = next((x.device for x in (*module.parameters(), *module.buffers())), None)
    sites: list[InsertionPoint] = []
    for name in names:
        child = module.get_submodule(name)
        around: list[InsertionPoint] = child.__dict__.setdefault(_SITES, [])
        own = copy.deepcopy(layer).to(device).eval()  # the trial is not over
        path = wanted = f"{place}_{name.replace('.', '_')}" if name else ("image" if normalisation[1] else "input")
        count = itertools.count(2)
        while path in holder._modules:
            path = f"{wanted}_{next(count)}"
        holder.add_module(path, own)
        site = InsertionPoint(name, place, f"{HOLDER}.{path}", own, met[name][1], met[name][0], *normalisation)
        around.append(site)
        sites.append(site)
        if not isinstance(child, _Around):
            try:
                child.__class__ = _class_around(type(child))
            except TypeError as error:
                _take_out(module, sites)
                raise MurineError(
                    f"{name or 'the network'} ({type(child).__name__}) cannot be operated on: {error}."
                ) from error
    return tuple(sites)


def _take_out(module: nn.Module, sites: Sequence[InsertionPoint]) -> None:
    gone = {id(site) for site in sites}
    layers_gone = {id(site.layer) for site in sites}
    for child in list(module.modules()):
        if around := child.__dict__.get(_SITES):
            around[:] = [site for site in around if id(site) not in gone]
        if _SITES in child.__dict__ and not child.__dict__[_SITES]:
            del child.__dict__[_SITES]
            child.__class__ = type(child).__bases__[1]
    holder = module._modules.get(HOLDER)
    if isinstance(holder, Inserted):
        for name, layer in list(holder.named_children()):
            if id(layer) in layers_gone:
                del holder._modules[name]
        if not holder._modules:
            del module._modules[HOLDER]


def _operated(network: Network, layer: nn.Module, variant: str) -> Network:
    kind = f"{type(layer).__module__}.{type(layer).__qualname__}"
    identity = (network.digest, variant, kind, str(layer))
    return replace(
        network,
        name=f"{network.name}+{variant}",
        variant=f"{network.variant}+{variant}" if network.variant else variant,
        digest=hashlib.sha256("\0".join(identity).encode()).hexdigest(),
    )
