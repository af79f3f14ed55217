"""Networks from names, modules and objects: what a person gives, as networks that are ready to run."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from murine.errors import MurineError
from murine.networks.spec import NetworkSpec, controls, expand, twin

if TYPE_CHECKING:
    from torch import nn

    from murine.networks.network import Network

log = logging.getLogger(__name__)


def network_from(
    network: str | nn.Module | Network,
    *,
    input_size: int | Sequence[int] | None = None,
    device: str = "cpu",
    **about: Any,
) -> Network:
    """Load a network from a name, or make one of a module; parameters and errors as in `murine.load_network`."""
    from murine.networks import zoo
    from murine.networks.in_memory import network_from_module
    from murine.networks.network import Network

    device = zoo.available_device(device)
    if isinstance(network, Network):
        if about or input_size is not None:
            raise MurineError(f"{network!r} is loaded already; give options when it is loaded first.")
        return network
    if not isinstance(network, str):
        loaded = network_from_module(network, input_size=input_size, **about)
        loaded.module.to(device)
        return loaded
    if about:
        raise MurineError(
            f"{', '.join(about)}: only for a module in memory. {network!r} brings its own preprocessing; a function in "
            "a file tells it by the module's default_cfg."
        )
    return zoo.load(network, input_size=input_size, device=device)  # type: ignore[arg-type]


def named_and_in_memory(
    given: Iterable[str | NetworkSpec | nn.Module | Network], weights: str, twins: int, with_controls: bool
) -> tuple[list[NetworkSpec], list[Network]]:
    """Split networks into those that are named, with random twins and controls, and those in memory.

    Parameters
    ----------
    given
        Names with wildcards, specifications, modules or networks.
    weights
        Weights of names that state none.
    twins
        The number of random twins of each named network that has weights.
    with_controls
        Whether the control networks are added.

    Raises
    ------
    MurineError
        If ``given`` is one text or empty, or a network cannot be found or loaded.
    """
    if isinstance(given, str):
        raise MurineError(f"networks is the text {given!r}; expected a list, as [{given!r}].")
    given = list(given)
    if not given:
        raise MurineError("no network was given; expected at least one name or module.")
    specs: list[NetworkSpec] = []
    for network in given:
        if isinstance(network, str):
            specs += expand([network], weights)
        elif isinstance(network, NetworkSpec):
            specs.append(network)
    with_twins = [*specs, *(twin(spec, seed) for spec in specs for seed in range(twins))]
    named = [spec for spec in with_twins if spec is not None]
    if with_controls:
        named += [NetworkSpec(name) for name in controls]
    objects = [network_from(network) for network in given if not isinstance(network, (str, NetworkSpec))]
    if twins and objects:
        log.warning("random twins are made of networks that are given by name only, not of modules in memory.")
    return list(dict.fromkeys(named)), objects
