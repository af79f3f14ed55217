"""Random twins: the same network with random weights."""

from __future__ import annotations

import copy
import logging
from dataclasses import replace
from typing import Any

import torch

from murine.networks.code_identity import module_digest
from murine.networks.network import Network
from murine.networks.process_state import preserved_state

log = logging.getLogger(__name__)


def random_twin(network: Network, seed: int) -> Network | None:
    """Return a copy of a network in memory with weights drawn anew by its own modules.

    Parameters
    ----------
    network
        Its modules draw their weights by ``reset_parameters``, as those of PyTorch do.
    seed
        Draws the weights.

    Returns
    -------
    twin
        None, with a warning, if some of the parameters belong to modules that cannot draw them anew, which would keep
        what they have learned, or if there are none.

    Examples
    --------
    >>> from torch import nn
    >>> from murine.networks.in_memory import network_from_module
    >>> module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    >>> network = network_from_module(module, name="toy", mean=0.5, std=0.5, input_size=32)
    >>> random_twin(network, seed=1)
    <Network toy (random:1): 120 parameters, images of 32 x 32 px>
    """
    learned = [
        name
        for name, module in network.module.named_modules()
        if not hasattr(module, "reset_parameters") and next(module.parameters(recurse=False), None) is not None
    ]
    if network.n_parameters == 0:
        learned = ["a network without parameters"]
    if learned:
        log.warning(
            "%s has no random twin: %s cannot draw its weights anew. Give the network by name, or as FILE.py:FUNCTION.",
            network.name,
            ", ".join(name or type(network.module).__name__ for name in learned[:3]),
        )
        return None
    with preserved_state(network.name):
        module = copy.deepcopy(network.module)
        torch.manual_seed(seed)
        for part in module.modules():
            reset: Any = getattr(part, "reset_parameters", None)
            if reset is not None:
                reset()
    return replace(
        network, weights=f"random:{seed}", role="random", module=module, digest=module_digest(module, network.name)
    )
