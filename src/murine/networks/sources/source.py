"""The interface of a source of networks, and the registry of all sources. This module does not import torch."""

from __future__ import annotations

import fnmatch
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from murine.errors import MurineError, nearest, reason_of, some
from murine.networks.spec import controls, has_torch_initialisation, is_user_file, seed_of
from murine.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor, nn

    from murine.networks.preprocessing import Preprocessing

log = logging.getLogger(__name__)

#: The preprocessing of most networks trained on ImageNet, with timm's keys.
IMAGENET_CONFIG: dict[str, Any] = {
    "input_size": (3, 224, 224),
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
    "interpolation": "bilinear",
}


@dataclass(frozen=True, eq=False)
class BuiltNetwork:
    """A network as its source builds it, before surgery.

    Attributes
    ----------
    name
        Name of the network in results, for example ``torchvision:alexnet``.
    module
        The network itself.
    preprocessing
        How the network expects its images.
    weights
        Label of the weights: ``pretrained``, ``pretrained:TAG``, ``random:SEED``, ``file:NAME``, ``as built`` or
        ``none``.
    code
        Content of the files that build the network. It becomes part of the network's digest. Empty for networks whose
        code is an installed package.
    """

    name: str
    module: nn.Module
    preprocessing: Preprocessing
    weights: str
    code: bytes = b""


class NetworkSource(ABC):
    """A source of networks, named ``SOURCE:NAME``.

    To add a source, derive a class, define `architectures` and `create`, and register the class with
    `network_sources`, or from another package as an entry point of the group ``murine.network_source``. Everything else
    has a default.

    Parameters
    ----------
    name
        The name under which the source is registered. It is the part before the colon in the names of its networks.

    Attributes
    ----------
    about
        One sentence that says what the networks are.
    citation, licence
        The publication to cite and the licence of the networks; '' if unknown.

    Examples
    --------
    >>> from torch import nn
    >>> class TinySource(NetworkSource):
    ...     about = "Networks of one convolution."
    ...     licence = "BSD-3-Clause"
    ...
    ...     def architectures(self):
    ...         return ["one"]
    ...
    ...     def create(self, architecture, tag, input_size):
    ...         return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    >>> tiny = TinySource("tiny")
    >>> tiny.names()
    ['tiny:one']
    >>> tiny.build("one", "random:0", (32, 32)).weights
    'random:0'
    >>> tiny.describe()
    'Networks of one convolution. Licence: BSD-3-Clause.'
    """

    about = ""
    citation = ""
    licence = ""

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def architectures(self) -> Sequence[str]:
        """Return the names of all networks of this source, without the name of the source and without weights."""

    @abstractmethod
    def create(self, architecture: str, tag: str, input_size: tuple[int, int] | None) -> nn.Module:
        """Build a network with random weights, drawn from torch's global random state.

        Parameters
        ----------
        architecture
            One of `architectures`.
        tag
            The name of weights behind a dot in the user's text (``resnet50.IMAGENET1K_V2``); '' if there is none. It
            may decide the preprocessing.
        input_size
            (height, width) of the images in pixels; None for the network's own size.

        Returns
        -------
        module
            A network whose attribute ``pretrained_cfg`` or ``default_cfg`` states its preprocessing with timm's keys:
            ``input_size``, ``mean``, ``std``, ``interpolation``.

        Raises
        ------
        MurineError
            If the name, the tag or the size is not possible.
        """

    def create_trained(
        self, architecture: str, tag: str, input_size: tuple[int, int] | None, digest: str = ""
    ) -> tuple[nn.Module, str]:
        """Build a network with its published weights.

        Parameters
        ----------
        architecture, tag, input_size
            As in `create`.
        digest
            ``sha256:HEX`` that the file of weights must have; '' for the published digest.

        Returns
        -------
        module, weights
            ``weights`` is the label: ``pretrained:TAG`` or ``pretrained``.

        Raises
        ------
        MurineError
            If there are no published weights (the default), or they cannot be fetched.
        """
        name = self.full_name(f"{architecture}.{tag}" if tag else architecture)
        raise MurineError(
            f"the source {self.name!r} has no pretrained weights for {name!r}; use {name}@random:SEED or {name}@FILE."
        )

    def rename_tensors(self, architecture: str, state: dict[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the tensors of a file of weights under the names of the network. By default they stay as they are."""
        return state

    def facts(self, architecture: str, tag: str) -> dict[str, Any]:
        """Return what is known about a network without building it.

        Returns
        -------
        facts
            Fields of `murine.networks.catalogue.Entry`, and ``origin``: where the facts are from.
        """
        return {"citation": self.citation, "origin": f"the source {self.name}"}

    def tagged_names(self, architecture: str) -> list[str]:
        """Return the full name of a network with the tag of each of its pretrained weights."""
        return [self.full_name(architecture)]

    def full_name(self, name: str) -> str:
        """Return the name that identifies a network among all sources."""
        return f"{self.name}:{name}"

    def has(self, name: str) -> bool:
        """Return whether the source has a network of this name. A tag of weights is ignored."""
        return name.partition(".")[0] in self.architectures()

    def unknown(self, name: str) -> MurineError:
        """Return the error for a name that this source does not have. Its message suggests the nearest names."""
        known = list(self.architectures())
        near = nearest(self.full_name(name), map(self.full_name, known))
        return MurineError(f"unknown network {self.full_name(name)!r}{near or '.'} Known: {some(known, 40) or 'none'}.")

    def names(self, pattern: str = "*") -> list[str]:
        """Return the full names of the networks that match a pattern with wildcards (``tiny:*``)."""
        return fnmatch.filter(map(self.full_name, self.architectures()), pattern)

    def describe(self) -> str:
        """Return what the source is, its citation and its licence, in plain sentences."""
        parts = [self.about]
        parts += [f"Citation: {self.citation.rstrip('.')}."] if self.citation else []
        parts += [f"Licence: {self.licence.rstrip('.')}."] if self.licence else []
        return " ".join(filter(None, parts))

    def build(
        self, name: str, weights: str = "", input_size: tuple[int, int] | None = None, *, shapes_only: bool = False
    ) -> BuiltNetwork:
        """Build a network with the weights that were asked for.

        Parameters
        ----------
        name
            Name of the network in this source, alone or with the tag of its weights.
        weights
            ``pretrained`` or '' (published weights), ``random:SEED``, ``random:SEED:torch`` (PyTorch's initialisation
            instead of the network's own), ``sha256:HEX`` (published weights with this digest), or a file of weights.
        input_size
            (height, width) of the images in pixels; None for the network's own size.
        shapes_only
            Whether the weights do not matter, so that none need be fetched or read.

        Raises
        ------
        MurineError
            Unknown names, or weights that cannot be fetched or do not fit.
        """
        from murine.networks import checkpoints
        from murine.networks.module_adapters import config_of
        from murine.networks.preprocessing import Preprocessing
        from murine.networks.weights import reinitialise, seeded

        if not self.has(name):
            raise self.unknown(name)
        architecture, _, tag = name.partition(".")
        full_name, chosen = self.full_name(name), weights or "pretrained"
        seed = seed_of(chosen)
        if seed is not None:
            with seeded(seed):
                module, label = self.create(architecture, tag, input_size), chosen
                if has_torch_initialisation(chosen) and not shapes_only:
                    reinitialise(module)
        elif chosen == "pretrained" or chosen.startswith("sha256:"):
            module, label = self.create_trained(architecture, tag, input_size, chosen.removeprefix("pretrained"))
        else:
            module, label = self.create(architecture, tag, input_size), f"file:{Path(chosen).name}"
            renames = type(self).rename_tensors is not NetworkSource.rename_tensors
            adapt = (lambda state: self.rename_tensors(architecture, state)) if renames else None
            checkpoints.load_file_into(module, chosen, full_name, adapt)
        return BuiltNetwork(full_name, module, Preprocessing.from_config(config_of(module), input_size), label)


#: All sources by name: classes derived from `NetworkSource`.
network_sources: Registry[type[NetworkSource]] = Registry("network_source")
for _name, _place in {
    "timm": "timm_models:TimmSource",
    "torchvision": "torchvision_models:TorchvisionSource",
    "taskonomy": "taskonomy:TaskonomySource",
    "hub": "hub:HubSource",
    "shared": "shared_networks:SharedSource",
    "control": "control_networks:ControlSource",
    "file": "user_files:UserFileSource",
}.items():
    network_sources.refer(_name, f"murine.networks.sources.{_place}")

names, describe = network_sources.names, network_sources.describe

#: Sources whose networks need no prefix, in the order in which a plain name is looked up.
PLAIN_SOURCES = ("timm", "torchvision")

#: Sources whose names have a form of their own, so that they take no prefix.
_WITHOUT_PREFIX = ("control", "file")


@cache
def get_source(name: str) -> NetworkSource:
    """Return a source by its name.

    Raises
    ------
    MurineError
        If there is no such source, or a plug-in registers something else.

    Examples
    --------
    >>> get_source("taskonomy").names("taskonomy:edge*")
    ['taskonomy:edge_occlusion', 'taskonomy:edge_texture']
    """
    kind: object = network_sources[name]
    if not (isinstance(kind, type) and issubclass(kind, NetworkSource)):
        raise MurineError(
            f"the network source {name!r} is {kind!r}; expected a class derived from "
            "murine.networks.sources.NetworkSource. Update or uninstall the package that registers it."
        )
    return kind(name)


def source_of(name: str) -> tuple[NetworkSource, str] | None:
    """Return the source of a network, and the name of the network in it; None if no source has it.

    A name with a prefix (``hub:cornet_s``) belongs to the source of the prefix, whether the source has it or not. A
    plain name is looked up in timm, then in torchvision.

    Examples
    --------
    >>> source, name = source_of("alexnet.IMAGENET1K_V1")
    >>> source.name, name
    ('torchvision', 'alexnet.IMAGENET1K_V1')
    >>> source_of("no-such-network") is None
    True
    """
    if is_user_file(name):
        return get_source("file"), name
    if name in controls:
        return get_source("control"), name
    prefix, colon, rest = name.partition(":")
    if colon:
        known = prefix in network_sources and prefix not in _WITHOUT_PREFIX
        return (get_source(prefix), rest) if known else None
    return next(((source, name) for source in map(get_source, PLAIN_SOURCES) if source.has(name)), None)


def require_source_of(name: str) -> tuple[NetworkSource, str]:
    """Return the source of a network as `source_of` does.

    Raises
    ------
    MurineError
        If no source has the network. The message suggests the nearest names.
    """
    if found := source_of(name):
        return found
    prefix, colon, _ = name.partition(":")
    if colon:
        prefixes = [source for source in network_sources if source not in _WITHOUT_PREFIX]
        raise MurineError(
            f"unknown network {name!r}: there is no source {prefix!r}{nearest(prefix, prefixes) or '.'} Sources: "
            f"{', '.join(prefixes)}; your own network is path/to/file.py:factory."
        )
    known = plain_names()
    raise MurineError(
        f"unknown network {name!r}{nearest(name, known) or '.'} `murine models` lists the {len(known)} known; your own "
        "network is path/to/file.py:factory."
    )


def full_name(name: str) -> str:
    """Return the name that identifies a network in results; the name itself if no source has it.

    Examples
    --------
    >>> full_name("alexnet"), full_name("resnet18"), full_name("nonsense")
    ('torchvision:alexnet', 'resnet18', 'nonsense')
    """
    found = source_of(name)
    return found[0].full_name(found[1]) if found else name


def plain_names(pattern: str = "*") -> list[str]:
    """Return the names that match a pattern and need no prefix: controls, timm's, then torchvision's."""
    names = fnmatch.filter(controls, pattern)
    taken: set[str] = set(names)
    for source in map(get_source, PLAIN_SOURCES):
        new = [name for name in fnmatch.filter(source.architectures(), pattern) if name not in taken]
        names += new
        taken.update(new)
    return names


def prefixed_names(pattern: str = "*") -> list[str]:
    """Return the full names with a prefix that match a pattern, source by source: ``torchvision:*``, ``*:*vgg*``."""
    prefix = pattern.partition(":")[0]
    found: list[str] = []
    for source in network_sources:
        plain = source == "timm" and prefix != "timm"  # its names need no prefix
        if source not in _WITHOUT_PREFIX and not plain and fnmatch.fnmatch(source, prefix):
            try:
                found += get_source(source).names(pattern)
            except Exception as error:  # a plug-in may raise anything; the other sources are still listed
                log.warning("the networks of the source %s cannot be listed: %s", source, reason_of(error))
    return found
