"""Evaluation mode of a network, undone afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[nn.Module]:
    """Put a network into evaluation mode inside this block; afterwards every part has the mode it had before.

    Examples
    --------
    >>> network = nn.Sequential(nn.Dropout().eval(), nn.ReLU()).train()
    >>> network[0].training = False
    >>> with evaluation_mode(network):
    ...     network.training
    False
    >>> network.training, network[0].training
    (True, False)
    """
    # Frozen scripted modules have no attribute `training`.
    modes = {child: child.training for child in module.modules() if hasattr(child, "training")}
    try:
        yield module.eval()
    finally:
        for child, mode in modes.items():
            child.training = mode
