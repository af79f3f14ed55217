"""Wrappers around networks: torch.compile, data parallelism and averaged weights."""

from __future__ import annotations

import torch
from torch import nn

_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel, torch.optim.swa_utils.AveragedModel)


def inside(module: nn.Module) -> nn.Module | None:
    """Return the network inside a wrapper; None if the module is not a wrapper.

    The compiler is not imported, which would take seconds.
    """
    children = dict(module.named_children())
    if "_orig_mod" in children:
        return children["_orig_mod"]
    return children.get("module") if isinstance(module, _WRAPPERS) else None


def unwrapped(module: nn.Module) -> nn.Module:
    """Return the network inside all wrappers, whose modules hooks can see. Nothing is changed."""
    while (inner := inside(module)) is not None:
        module = inner
    return module
