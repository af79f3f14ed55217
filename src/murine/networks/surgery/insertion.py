"""Insert layers into an existing network. Its names, weights and forward functions stay as they are."""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from murine.errors import MurineError, nearest, reason_of, some
from murine.networks.network import Network
from murine.networks.surgery.trial import inputs_at, normalisation_of, random_probe, trial_mode
from murine.networks.surgery.variant_names import canonical_layer, canonical_place, layer_named, parse_place
from murine.networks.surgery.wrapped_modules import (
    HOLDER,
    Inserted,
    InsertionPoint,
    add_layers,
    insertion_points,
    remove_layers,
)

#: Names of modules as they are part of digests. They stay when a module moves, so that old results stay valid.
_MODULES_IN_DIGESTS = {
    "murine.networks.surgery.neurn": "murine.networks.neurn",
    "murine.networks.surgery.rival_layers": "murine.networks.normalisation",
}


@dataclass(eq=False)
class Insertion:
    """The result of `insert`, which can be undone. As a context manager it is undone at the end of the block.

    Attributes
    ----------
    network
        The network with the layers: the module that was given, or for a `Network` a new `Network` around the same
        module, with the variant in its name and digest.
    variant
        ``LAYER(OPTIONS)@PLACE``, for example ``neurn(k=3)@input``.
    points
        Where the layers are, and the shapes of their inputs.
    """

    network: Any
    variant: str
    points: tuple[InsertionPoint, ...]

    def undo(self) -> None:
        """Take the layers out again. A second call does nothing."""
        module = self.network if isinstance(self.network, nn.Module) else self.network.module
        remove_layers(module, self.points)

    def __enter__(self) -> Any:
        return self.network

    def __exit__(self, *_: object) -> None:
        self.undo()


def insert(
    network: nn.Module | Network, layer: nn.Module | str, at: str = "input", *, probe: Tensor | None = None
) -> Insertion:
    """Insert a layer into a network, in place.

    Every place gets its own copy of the layer. Names of other modules, keys of the state dict and weights do not
    change: after `Insertion.undo` the network gives the same outputs to the last bit. The layers follow the network
    through copies, `to`, `train`, `eval`, `torch.compile` and `torch.export`. Code that calls ``forward`` or other
    methods of the network directly (``forward_features``, tracing with torch.fx) skips a layer at the input.

    Parameters
    ----------
    network
        Any module, or a `Network`.
    layer
        A module without parameters and buffers (`murine.NeuRN`, `murine.networks.surgery.rival_layers`), or its name
        with options: ``neurn(k=3)``.
    at
        ``input``: before the network. ``image``: before the network, but the layer sees pixels from 0 to 1, and its
        output is normalised as the network expects (by the ``default_cfg`` of a module). ``after:PATTERN`` and
        ``before:PATTERN``: after or before every module whose name matches, for example ``layer1`` or
        ``layer?.*.bn1``; a pattern alone means after. ``replace:PATTERN``: in place of these modules, which keep their
        weights and are not called.
    probe
        Images (n, channels, height, width) for a trial. By default one image of random pixels, with the size in the
        network's ``default_cfg``, else 224 x 224.

    Returns
    -------
    insertion
        ``insertion.network`` is the network with the layers.

    Raises
    ------
    MurineError
        If no module matches, a module does not run, the layer's input is not a map of the image or is smaller than its
        kernel, or the network fails with the layer. The network is unchanged then.

    Examples
    --------
    >>> import torch
    >>> network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    >>> insertion = insert(network, "neurn(k=3)", "after:0", probe=torch.rand(1, 3, 8, 8))
    >>> insertion.variant, insertion.points[0].shape
    ('neurn(k=3)@after:0', (4, 6, 6))
    >>> insertion.undo()
    """
    module = network if isinstance(network, nn.Module) else network.module
    layer = layer_named(layer) if isinstance(layer, str) else layer
    if layer.state_dict():
        raise MurineError(
            f"{type(layer).__name__} has tensors of its own ({some(layer.state_dict(), 3)}), which would add keys to "
            "the state dict; expected a layer without parameters and buffers."
        )
    place, pattern = parse_place(at)
    names = [""] if not pattern else _matching(module, pattern)
    for name in names if place == "replace" else ():
        if any(point.place == "replace" for point in insertion_points(module.get_submodule(name))):
            raise MurineError(f"{name!r} is replaced already; undo that first.")
    images = random_probe(network) if probe is None else probe
    what = canonical_layer(layer)
    variant = f"{what}@{canonical_place(at)}"
    normalisation = normalisation_of(network) if at == "image" else ((), ())
    with trial_mode(module):
        inputs = inputs_at(module, names, place, layer, images, what)
        points = add_layers(module, names, place, layer, inputs, normalisation)
        try:
            module(images)
        except Exception as error:
            remove_layers(module, points)
            raise MurineError(
                f"with {variant} the network fails: {reason_of(error).rstrip('.')}. The input of the layer is "
                f"{_shapes(points)}. The network is unchanged."
            ) from error
    for part in (getattr(module, HOLDER), *(point.layer for point in points)):
        part.train(module.training)
    operated = network if isinstance(network, nn.Module) else _operated(network, layer, variant)
    return Insertion(operated, variant, points)


def remove(module: nn.Module) -> None:
    """Take every inserted layer out of a network, also out of a copy, for which there is no `Insertion`."""
    remove_layers(module, [point for child in list(module.modules()) for point in insertion_points(child)])


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


def _shapes(points: Sequence[InsertionPoint]) -> str:
    return some((f"{' x '.join(map(str, point.shape))} at {point.module or 'the input'}" for point in points), 3)


def _operated(network: Network, layer: nn.Module, variant: str) -> Network:
    module = type(layer).__module__
    kind = f"{_MODULES_IN_DIGESTS.get(module, module)}.{type(layer).__qualname__}"
    identity = (network.digest, variant, kind, str(layer))
    return replace(
        network,
        name=f"{network.name}+{variant}",
        variant=f"{network.variant}+{variant}" if network.variant else variant,
        digest=hashlib.sha256("\0".join(identity).encode()).hexdigest(),
    )
