"""What the shapes of a network tell, without its weights: how many parameters it has, and how deep it is."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from murine.networks.capture import tensors_in

#: Nodes of autograd's graph that multiply features by weights, as their names begin.
_PRODUCTS = ("Convolution", "Addmm", "Mm", "Linear", "Bmm", "Baddbmm", "Einsum", "SlowConv", "ThnnConv", "Mkldnn")


def n_parameters(module: nn.Module) -> int:
    """Numbers that training may change, each counted once."""
    return sum(parameter.numel() for parameter in module.parameters())


def depth(module: nn.Module, images: Tensor) -> int:
    """The longest way from the images to the output, in convolutions and matrix products with learnt weights.

    ResNet-50 has 50, VGG-16 has 16, DenseNet-121 has 121. Products of features with features (attention) do not count;
    those in a side branch that scales the trunk (squeeze and excitation) do, since what comes after depends on them.

    Parameters
    ----------
    module
        In evaluation mode; on the meta device it takes no memory to speak of.
    images
        (n, channels, height, width), on the device of the module.
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
        # Of each node: whether it comes from the images, whether from weights, and the products on the way.
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
