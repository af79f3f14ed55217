"""Number of parameters and depth of a network, from its shapes alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from murine.networks.capture import tensors_in

#: Starts of the names of autograd nodes that multiply features by weights.
_PRODUCTS = ("Convolution", "Addmm", "Mm", "Linear", "Bmm", "Baddbmm", "Einsum", "SlowConv", "ThnnConv", "Mkldnn")


def n_parameters(module: nn.Module) -> int:
    """Return the number of parameters of a network. A shared parameter counts once.

    Examples
    --------
    >>> n_parameters(nn.Linear(3, 2))
    8
    """
    return sum(parameter.numel() for parameter in module.parameters())


def depth(module: nn.Module, images: Tensor) -> int:
    """Return the depth of a network: convolutions and products with learnt weights on the longest path to the output.

    ResNet-50 has depth 50, VGG-16 has 16, DenseNet-121 has 121. Products of features with features (attention) do not
    count. Layers in a side branch that scales the trunk (squeeze and excitation) count, because later layers depend on
    them.

    Parameters
    ----------
    module
        The network in evaluation mode. On the meta device this needs hardly any memory.
    images
        Images (n, channels, height, width) on the device of the module.

    Examples
    --------
    >>> depth(nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Conv2d(3, 3, 1)), torch.zeros(1, 3, 4, 4))
    2
    """
    images = images.detach().requires_grad_()
    learnt = {id(parameter) for parameter in module.parameters()}
    required = {parameter: parameter.requires_grad for parameter in module.parameters()}
    try:
        for parameter in required:
            if parameter.is_floating_point():
                parameter.requires_grad_()
        with torch.enable_grad():
            roots = [output.grad_fn for _, output in tensors_in(module(images), "") if output.grad_fn is not None]
        # For each node: whether it depends on the images, whether on weights, and the number of products so far.
        known: dict[Any, tuple[bool, bool, int]] = {}
        stack: list[Any] = list(roots)
        while stack:
            node = stack[-1]
            before = [child for child, _ in node.next_functions if child is not None]
            waiting = [child for child in before if child not in known]
            if node in known or not waiting:
                stack.pop()
                known.setdefault(node, _seen(node, [known[child] for child in before], images, learnt))
            else:
                stack.extend(waiting)
        return max((known[root][2] for root in roots), default=0)
    finally:
        for parameter, value in required.items():
            parameter.requires_grad_(value)


def _seen(node: Any, before: list[tuple[bool, bool, int]], images: Tensor, learnt: set[int]) -> tuple[bool, bool, int]:
    leaf = getattr(node, "variable", None)
    if leaf is not None:
        return leaf is images, id(leaf) in learnt, 0
    deepest = max((way for shown, _, way in before if shown), default=0)
    shown, weighted = any(s for s, _, _ in before), any(w for _, w, _ in before)
    product = node.name().startswith(_PRODUCTS) and shown and any(w and not s for s, w, _ in before)
    return shown, weighted, deepest + bool(product)
