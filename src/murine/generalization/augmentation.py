"""Published augmentations of batches of images, drawn from a generator on the device of the images.

All take float32 images (n, 3, height, width) in [0, 1] and return the same shape. The consistency losses of the papers
are left out, so that only the images differ, and training needs one forward pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn import functional

from murine.registry import Registry

Images = Float[Tensor, "n 3 height width"]

#: All augmentations by name: functions from images and a generator to images.
augmentations: Registry[Callable[[Images, Generator], Images]] = Registry("augmentation")


@augmentations.register("randconv")
def randconv(images: Images, generator: Generator) -> Images:
    """Mix a batch with one random convolution of it.

    Kernels have 1, 3, 5 or 7 pixels and weights of variance 1 / (3 k^2), so that contrast is about the same, on images
    centred at 0. The share of the original images is uniform and drawn for every batch. RC_mix1-7 (Xu, Liu, Yang,
    Raffel, Niethammer 2021, arXiv 2007.13003), without the consistency loss.
    """
    k = (1, 3, 5, 7)[int(_whole(generator, 4, 1).item())]
    kernel = torch.randn(3, 3, k, k, generator=generator, device=images.device) / math.sqrt(3 * k * k)
    share = float(_uniform(generator, 1).item())
    centred = images * 2 - 1
    mixed = share * centred + (1 - share) * functional.conv2d(centred, kernel, padding=k // 2)
    return (mixed + 1) / 2


#: Severity (of 10), number of chains, and largest number of operations in a chain of AugMix, as published.
_SEVERITY, _WIDTH, _DEPTH = 3, 3, 3


@augmentations.register("augmix")
def augmix(images: Images, generator: Generator) -> Images:
    """Mix every image with three chains of one to three operations.

    Operations: autocontrast, equalise, posterise, solarise, rotate, shear and shift in x and y, severity 3 of 10;
    the shares of the chains are drawn from Dirichlet(1, 1, 1), that of the image from Beta(1, 1). AugMix (Hendrycks,
    Mu, Cubuk, Zoph, Gilmer, Lakshminarayanan 2020, arXiv 1912.02781), without the consistency loss. Operations are
    those of the paper on tensors instead of 8-bit pictures: the numbers of a picture differ by roundings, and at its
    border.
    """
    n = len(images)
    shares = _uniform(generator, n, _WIDTH).clamp_min(1e-12).log().neg()
    shares = shares / shares.sum(dim=1, keepdim=True)  # exponentials over their sum: Dirichlet(1, ...)
    of_image = _uniform(generator, n).view(-1, 1, 1, 1)
    mixed = torch.zeros_like(images)
    for chain in range(_WIDTH):
        depths = _whole(generator, _DEPTH, n) + 1
        x = images
        for step in range(_DEPTH):
            operation = torch.where(depths > step, _whole(generator, len(_PIXELWISE) + 5, n), -1)
            x = _operated(x, operation, generator)
        mixed = mixed + shares[:, chain].view(-1, 1, 1, 1) * x
    return of_image * images + (1 - of_image) * mixed


def _operated(x: Tensor, operation: Tensor, generator: Generator) -> Tensor:
    """Apply to every image its own operation; -1 leaves it unchanged."""
    level = 0.1 + (_SEVERITY - 0.1) * _uniform(generator, len(x))
    signed = level / 10 * (_whole(generator, 2, len(x)) * 2 - 1)
    out = x
    for i, change in enumerate(_PIXELWISE):
        mine = (operation == i).nonzero().flatten()
        if len(mine):
            out = out.index_copy(0, mine, change(x[mine], level[mine]))
    mine = (operation >= len(_PIXELWISE)).nonzero().flatten()
    if len(mine):
        out = out.index_copy(0, mine, _moved(x[mine], operation[mine] - len(_PIXELWISE), signed[mine]))
    return out


def _moved(x: Tensor, kind: Tensor, amount: Tensor) -> Tensor:
    """Rotate about the centre (30 degrees at 1), shear about the corner (0.3) or shift (a third of the side).

    Angles and shifts are whole numbers of degrees and pixels, as published. Pixels from outside are black.
    """
    side = x.shape[-1]
    degrees, pixels = ((amount * most).trunc() for most in (30, side / 3))
    angle = torch.where(kind == 0, degrees * math.pi / 180, 0)
    shear_x, shear_y = (torch.where(kind == k, amount * 0.3, 0) for k in (1, 2))
    # The side has length 2 in the coordinates of the grid.
    shift_x, shift_y = (torch.where(kind == k, pixels * 2 / side, 0) for k in (3, 4))
    first = torch.stack([angle.cos(), angle.sin() + shear_x, shift_x + shear_x], dim=1)
    second = torch.stack([-angle.sin() + shear_y, angle.cos(), shift_y + shear_y], dim=1)
    grid = functional.affine_grid(torch.stack([first, second], dim=1), list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _autocontrast(x: Tensor, _level: Tensor) -> Tensor:
    low, high = x.amin(dim=(-2, -1), keepdim=True), x.amax(dim=(-2, -1), keepdim=True)
    return torch.where(high > low, (x - low) / (high - low).clamp_min(1e-6), x)


def _equalised(x: Tensor, _level: Tensor) -> Tensor:
    """Equalise the histogram of every channel with 256 levels, as Pillow does."""
    levels = (x.clamp(0, 1) * 255).round().long().flatten(2)
    ones = torch.ones_like(levels)
    counts = torch.zeros(*levels.shape[:2], 256, dtype=torch.long, device=x.device).scatter_add_(2, levels, ones)
    last = counts.gather(2, levels.amax(dim=2, keepdim=True))  # pixels of the highest level there is
    step = (levels.shape[2] - last) // 255
    table = ((step // 2 + counts.cumsum(2) - counts) // step.clamp_min(1)).clamp(0, 255)
    return torch.where(step == 0, x.flatten(2), table.gather(2, levels).to(x.dtype) / 255).view_as(x)


def _posterised(x: Tensor, level: Tensor) -> Tensor:
    """Keep the leading bits of 8: four, or fewer at higher levels."""
    bits = (4 - (level / 10 * 4).floor()).view(-1, 1, 1, 1)
    step = 2 ** (8 - bits)
    return ((x.clamp(0, 1) * 255).floor() / step).floor() * step / 255


def _solarised(x: Tensor, level: Tensor) -> Tensor:
    """Invert pixels that are brighter than a threshold."""
    threshold = (1 - level / 10).view(-1, 1, 1, 1)
    return torch.where(x < threshold, x, 1 - x)


_PIXELWISE = (_autocontrast, _equalised, _posterised, _solarised)


def _uniform(generator: Generator, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=generator, device=generator.device)


def _whole(generator: Generator, below: int, *shape: int) -> Tensor:
    return torch.randint(below, shape, generator=generator, device=generator.device)
