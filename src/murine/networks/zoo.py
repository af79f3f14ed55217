"""Load a network by its name: with weights, preprocessing and a digest that identifies it."""

from __future__ import annotations

import hashlib
import re

import torch
from torch import nn

from murine.errors import MurineError, reason_of
from murine.networks.devices import available_device as available_device
from murine.networks.network import Network
from murine.networks.preprocessing import Preprocessing, input_size_of
from murine.networks.process_state import preserved_state
from murine.networks.sources.source import BuiltNetwork, get_source, plain_names, prefixed_names, require_source_of
from murine.networks.sources.user_files import AS_BUILT, errors_explained
from murine.networks.spec import NetworkSpec as NetworkSpec
from murine.networks.spec import controls as controls
from murine.networks.spec import expand as expand
from murine.networks.spec import name_length
from murine.networks.spec import twin as twin
from murine.networks.surgery import insertion
from murine.networks.weights import digest as weights_digest

#: Roles of networks by the label of their weights, up to its colon. All other networks are trained.
_ROLES = {"none": "control", "random": "random", AS_BUILT: "as built"}


def matching_names(pattern: str) -> list[str]:
    """Return the names of the networks that match a pattern with wildcards.

    Parameters
    ----------
    pattern
        ``resnet1*`` searches the controls, timm, and then torchvision. A pattern with a source (``torchvision:*``,
        ``hub:*``) searches that source. ``*`` stands for all networks.

    Examples
    --------
    >>> matching_names("squeezenet*")
    ['squeezenet1_0', 'squeezenet1_1']
    >>> matching_names("taskonomy:edge*")
    ['taskonomy:edge_occlusion', 'taskonomy:edge_texture']
    """
    if pattern == "*":
        return [*controls, *get_source("timm").names(), *prefixed_names()]
    return prefixed_names(pattern) if ":" in pattern else plain_names(pattern)


def load(spec: NetworkSpec | str, *, input_size: int | tuple[int, int] | None = None, device: str = "cpu") -> Network:
    """Build a network with its weights.

    Parameters
    ----------
    spec
        ``NAME[+VARIANT][@WEIGHTS]``.

        NAME is an architecture of timm, alone or with the tag of its weights (``resnet18.a1_in1k``); a network of
        another source (``torchvision:alexnet``, ``taskonomy:curvature``, ``hub:cornet_s``; the prefix ``torchvision:``
        may be left out if timm has no such network); a control (``pixels``, ``gabor``, ``neurn``); or
        ``path/to/file.py:factory``, a function that returns an ``nn.Module``. The attribute ``default_cfg`` of that
        module states its preprocessing with timm's keys: input_size, mean, std, interpolation. Options of the function
        stand in brackets: ``factory(width=64)``.

        WEIGHTS is ``pretrained`` (the default, except for a factory), ``random:SEED`` (the network's own
        initialisation), ``random:SEED:torch`` (PyTorch's), a file (safetensors, or a checkpoint without code), or
        ``sha256:HEX``: the published weights, if they have this digest.

        VARIANT names layers that are inserted: ``LAYER(OPTIONS)@PLACE`` (`murine.networks.surgery.insert`), for example
        ``resnet18+neurn(k=3)@input@random:0``.
    input_size
        Side, or (height, width), of the images in pixels; None for the network's own size. It is part of the identity
        of results.
    device
        Device that the network is moved to.

    Raises
    ------
    MurineError
        If a name is unknown, the weights cannot be fetched or do not fit, or the device cannot be used.

    Examples
    --------
    >>> network = load("resnet10t@random:0", input_size=64)
    >>> network.name, network.weights, network.role, network.preprocessing.input_size
    ('resnet10t', 'random:0', 'random', (64, 64))
    """
    spec = NetworkSpec.parse(spec) if isinstance(spec, str) else spec
    size = input_size_of(input_size)
    with preserved_state(str(spec)), errors_explained(f"{str(spec)!r} cannot be built"):
        built = _build(spec, size)
        role = _ROLES.get(built.weights.partition(":")[0], "trained")
        network = Network(
            _without_folders(built.name), built.weights, role, built.module.eval(), built.preprocessing, _digest(built)
        )
        try:
            network.module.to(device)
        except (RuntimeError, AssertionError) as error:
            raise MurineError(f"the device {device!r} cannot be used: {reason_of(error)}") from error
        for layer, place in spec.layers:
            network = insertion.insert(network, layer, place).network
    return network


def skeleton(
    spec: NetworkSpec | str, *, input_size: int | tuple[int, int] | None = None
) -> tuple[nn.Module, Preprocessing]:
    """Build a network on the meta device: it has all shapes, but no numbers, so it takes no memory.

    The weights in ``spec`` are ignored. A network that computes with numbers while it is built has them until then.

    Parameters
    ----------
    spec, input_size
        As in `load`.

    Raises
    ------
    MurineError
        As in `load`.

    Examples
    --------
    >>> module, preprocessing = skeleton("resnet10t")
    >>> module.conv1[0].weight.device.type, preprocessing.input_size
    ('meta', (176, 176))
    """
    asked = NetworkSpec.parse(spec) if isinstance(spec, str) else spec
    spec = NetworkSpec(asked.name, "" if asked.name in controls else "random:0", asked.variant)
    size = input_size_of(input_size)
    with preserved_state(str(asked)), errors_explained(f"{str(asked)!r} cannot be built"):
        try:
            with torch.device("meta"):
                built = _build(spec, size, shapes_only=True)
        except Exception:  # of any type: the network needs numbers, or the second attempt fails again
            built = _build(spec, size, shapes_only=True)
        module, preprocessing = built.module.to("meta").eval(), built.preprocessing
        probe = torch.empty(1, preprocessing.n_channels, *preprocessing.input_size, device="meta")
        for layer, place in spec.layers:
            insertion.insert(module, layer, place, probe=probe)
    return module, preprocessing


def _build(spec: NetworkSpec, size: tuple[int, int] | None, shapes_only: bool = False) -> BuiltNetwork:
    source, name = require_source_of(spec.name)
    return source.build(name, spec.weights, size, shapes_only=shapes_only)


def _digest(built: BuiltNetwork) -> str:
    # The weights alone do not identify a network: controls have none, and two factories may share a file of weights.
    structure = re.sub(r" at 0x[0-9a-f]+", "", str(built.module))  # addresses of functions differ between runs
    code = str(built.module.code).encode() if isinstance(built.module, torch.jit.ScriptModule) else b""
    identity = (_without_folders(built.name), structure, weights_digest(built.module))
    return hashlib.sha256("\0".join(identity).encode() + built.code + code).hexdigest()


def _without_folders(name: str) -> str:
    """Return the name of a network without the folders of its file: ``net.py:build(width=64)``."""
    end = name_length(name)
    file = name[:end]
    return file.rpartition("/")[2] + name[end:]
