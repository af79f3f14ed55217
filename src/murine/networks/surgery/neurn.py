"""The NeuRN layer: an image becomes its local contrast, relative to the highest one.

The variance of a patch is computed from differences between pixels of the patch. The formula E[x^2] - E[x]^2 would
subtract two large numbers, and for a bright image only their rounding errors would remain. Differences are exact where
pixels are similar, and never much larger than the standard deviation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor, nn
from torch.nn import functional

from murine.errors import MurineError

#: The set over which the largest deviation is taken; ``none``: deviations are not divided.
Maximum = Literal["image", "channel", "batch", "none"]

#: Bytes of images worked on at once: what stays in a core's cache, or keeps another device busy.
CPU_BLOCK, DEVICE_BLOCK = 1 << 20, 1 << 26

#: Up to this kernel a compiler gets every pixel of the window by itself; its programs grow with the square.
_UNROLLED = 4


def neurn(
    x: Float[Tensor, "*batch channels height width"], kernel_size: int = 3, *, maximum: Maximum = "image"
) -> Float[Tensor, "*batch channels height width"]:
    """Divide the standard deviation around every pixel by the largest one of the image.

    First, the population standard deviation of the ``kernel_size`` x ``kernel_size`` patch around every pixel is
    computed in every channel. Then all of them are divided by the largest one of the image, over all channels and
    pixels (Jalil, Qazi, Iqbal 2025, arXiv 2505.06881). The border is reflected, with the edge pixel repeated. An even
    kernel reaches one pixel further down and to the right.

    Parameters
    ----------
    x
        Floating point, on any device and in any memory format, which the result has, too. Any number of images, also
        none, or one image without a batch dimension. Gain and offset of the pixels do not change the result, as long as
        squares of differences can be represented (in float32: differences between 1e-18 and 1e18). Half precisions are
        computed in float32; the result has the type of ``x``.
    kernel_size
        Side of the patch in pixels, at most the height and the width of the image. With 1, every patch is flat, so the
        result is zero.
    maximum
        ``image``: one maximum for all channels and pixels, as published; ``channel``: one for each channel. In both
        cases, the result for an image does not depend on other images of the batch. ``batch``: one maximum for all
        images; the published pictures show that the authors did not use this. ``none``: no division; the result is in
        units of ``x`` and depends only on the patch.

    Returns
    -------
    contrast
        Between 0 and 1, except for ``none``; zero for a constant image. If the pixels that share a maximum contain NaN
        or infinity, the maximum is unknown, and the result is NaN for all of them; other pixels are not affected. The
        result is differentiable; the gradient is 0 where the deviation is 0.

    Raises
    ------
    MurineError
        If ``x`` is not floating point or no image, or the kernel is larger than the image.

    Examples
    --------
    >>> import torch
    >>> images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    >>> contrast = neurn(images)
    >>> contrast.shape, contrast.amax(dim=(1, 2, 3))
    (torch.Size([2, 3, 8, 8]), tensor([1., 1.]))
    >>> bool(torch.allclose(neurn(0.5 * images + 0.2), contrast, atol=1e-5))
    True
    """
    _check_options(kernel_size, maximum)
    _check_images(x, kernel_size)
    if maximum == "batch":
        wide = x if x.dtype in (torch.float32, torch.float64) else x.float()
        deviation = neurn(wide, kernel_size, maximum="none")
        largest = deviation.amax() if deviation.numel() else deviation.sum()
        return (deviation / or_one(largest)).to(x.dtype)
    if torch.compiler.is_compiling():
        return _contrast(x, kernel_size, maximum)
    contrast: Tensor = _Blocks.apply(x, kernel_size, maximum)
    return contrast


# In a network that torch.fx traces, one call: the checks look at what a traced tensor does not know.
torch.fx.wrap("neurn")


class NeuRN(nn.Module):
    """`neurn` as a layer without parameters.

    Parameters
    ----------
    kernel_size, maximum
        As in `neurn`.

    Raises
    ------
    MurineError
        If an option cannot be used, or the images have another type or shape than `neurn` takes.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> network = nn.Sequential(NeuRN(kernel_size=5), nn.Conv2d(3, 8, 3))
    >>> network
    Sequential(
      (0): NeuRN(kernel_size=5)
      (1): Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))
    )
    >>> network(torch.rand(1, 3, 32, 32)).shape
    torch.Size([1, 8, 30, 30])
    """

    def __init__(self, kernel_size: int = 3, *, maximum: Maximum = "image") -> None:
        super().__init__()
        _check_options(kernel_size, maximum)
        self.kernel_size = kernel_size
        self.maximum: Maximum = maximum

    def forward(
        self, x: Float[Tensor, "*batch channels height width"]
    ) -> Float[Tensor, "*batch channels height width"]:
        return neurn(x, self.kernel_size, maximum=self.maximum)

    def extra_repr(self) -> str:
        others = f", maximum={self.maximum!r}" if self.maximum != "image" else ""
        return f"kernel_size={self.kernel_size}{others}"


class NeuRNTransform:
    """NeuRN as a transform of a picture, like torchvision's transforms.

    The picture is a PIL image, an array (height, width) or (height, width, channels), or a tensor (..., channels,
    height, width), of integers or floating point. The result is a tensor (..., channels, height, width): float32 for
    pictures of integers, otherwise of the type of the picture. Transparency is ignored, and indexed colours are
    converted to RGB. Use it in place of `ToTensor`. Do not normalise before it, because a normalisation would give the
    channels different weights. With ``maximum="none"``, pictures of 8 or 16 bits are scaled so that white is 1, and
    other integers are not scaled.

    Parameters
    ----------
    kernel_size, maximum
        As in `neurn`.

    Raises
    ------
    MurineError
        If an option cannot be used, or the picture is of another kind.

    Examples
    --------
    >>> import numpy as np
    >>> picture = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    >>> NeuRNTransform()(picture).shape
    torch.Size([3, 32, 48])
    """

    def __init__(self, kernel_size: int = 3, *, maximum: Maximum = "image") -> None:
        _check_options(kernel_size, maximum)
        self.kernel_size = kernel_size
        self.maximum: Maximum = maximum

    def __call__(self, picture: Image | np.ndarray | Tensor) -> Tensor:
        images = picture if isinstance(picture, Tensor) else _to_tensor(picture)
        if images.is_floating_point() or images.is_complex():
            return neurn(images, self.kernel_size, maximum=self.maximum)
        small = images.dtype.itemsize <= 2 and images.dtype != torch.bool
        wide = images.double() / (torch.iinfo(images.dtype).max if small else 1)
        return neurn(wide, self.kernel_size, maximum=self.maximum).float()

    def __repr__(self) -> str:
        return f"NeuRNTransform(kernel_size={self.kernel_size}, maximum={self.maximum!r})"


def _to_tensor(picture: Image | np.ndarray) -> Tensor:
    """(channels, height, width), in the picture's own type."""
    if isinstance(picture, Image) and picture.mode not in ("L", "RGB", "F", "I") and picture.mode[:4] != "I;16":
        picture = picture.convert("L" if picture.mode in ("1", "LA", "La") else "RGB")
    array = np.asarray(picture)
    if array.ndim not in (2, 3) or array.dtype.kind not in "buif" or array.dtype.itemsize > 8:
        raise MurineError(
            f"NeuRNTransform was given {type(picture).__name__} of shape {array.shape} and type {array.dtype}; "
            "expected a PIL image, or an array (height, width[, channels]) of integers or floating point."
        )
    array = array.reshape(*array.shape[:2], -1).transpose(2, 0, 1)
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), order="C"))


def _check_options(kernel_size: int, maximum: str) -> None:
    if isinstance(kernel_size, bool) or not isinstance(kernel_size, int) or kernel_size < 1:
        raise MurineError(f"NeuRN was given kernel_size {kernel_size!r}; expected a whole number of at least 1.")
    if maximum not in get_args(Maximum):
        raise MurineError(f"NeuRN was given maximum {maximum!r}; expected one of {', '.join(get_args(Maximum))}.")


def _check_images(x: Tensor, kernel_size: int) -> None:
    if not x.is_floating_point():
        hint = "take its absolute value first" if x.is_complex() else "convert with images.float() / 255"
        raise MurineError(f"NeuRN was given {x.dtype}; expected floating point: {hint}.")
    if x.ndim < 3 or x.shape[-3] < 1:
        raise MurineError(f"NeuRN was given shape {tuple(x.shape)}; expected (..., channels, height, width).")
    if kernel_size > min(x.shape[-2:]):
        raise MurineError(
            f"NeuRN with kernel_size {kernel_size} was given images of {x.shape[-2]} x {x.shape[-1]} px; "
            "expected a kernel of at most the size of the image."
        )


class _Blocks(torch.autograd.Function):
    """`_contrast` by blocks of images, which stay in the cache; backward, every block is computed again.

    So all that a training step keeps is the input. Derivatives of any order, in either direction and under vmap, are
    those of `_contrast`."""

    @staticmethod
    def forward(x: Tensor, kernel_size: int, maximum: Maximum) -> Tensor:
        contrast = torch.empty_like(x)
        for part, whole in zip(_split(x), _split(contrast), strict=True):
            whole.copy_(_contrast(part, kernel_size, maximum, root=Tensor.sqrt_))
        return contrast

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, *ctx.options = inputs
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        parts, found = _split(x), []
        for part, given in zip(parts, torch.split(gradient, [len(part) for part in parts]), strict=True):
            pull = torch.func.vjp(lambda t: _contrast(t, *ctx.options), part)[1]
            found += pull(given)
        return torch.cat(found), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *others: None) -> Tensor:
        # The derivative of a pull-back, which is linear, pushes forward: torch nests no forward modes.
        (x,) = ctx.saved_tensors
        pull = torch.func.vjp(lambda t: _contrast(t, *ctx.options), x)[1]
        push = torch.func.vjp(lambda t: pull(t)[0], torch.zeros_like(x))[1]
        pushed: Tensor = push(tangent)[0]
        return pushed

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int, None, None], x: Tensor, kernel_size: int, maximum: Maximum
    ) -> tuple[Tensor, int]:
        return _Blocks.apply(x.movedim(in_dims[0], 0), kernel_size, maximum), 0


def _split(x: Tensor) -> tuple[Tensor, ...]:
    """Blocks of images, at least one each; an image without a batch is one."""
    if x.ndim == 3:
        return (x,)
    block = CPU_BLOCK if x.device.type == "cpu" else DEVICE_BLOCK
    return torch.split(x, max(1, block * len(x) // max(1, x.numel() * x.element_size())))


def _contrast(x: Tensor, k: int, maximum: Maximum, root: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """`neurn` of all images together; ``root`` where no derivative is needed."""
    root = root or root_flat_at_0
    work = x if x.dtype in (torch.float32, torch.float64) else x.float()
    squares = _squares(work, k)
    if maximum == "none":
        return (root(squares) / k).to(x.dtype)
    largest = squares.amax(dim=(-3, -2, -1) if maximum == "image" else (-2, -1), keepdim=True)
    return root(squares / or_one(largest)).to(x.dtype)


def _squares(x: Tensor, k: int) -> Tensor:
    """Sum of the squared deviations from the mean of the patch around every pixel."""
    if k == 1:
        return x - x  # zeros, or NaN where x is not finite
    if torch.compiler.is_compiling() and k <= _UNROLLED:
        return _squares_at_once(x, k)
    return _squares_by_columns(x, k)


def _squares_by_columns(x: Tensor, k: int) -> Tensor:
    """The squares within the k columns of a patch, and those between their means: 10 k operations, not 3 k^2.

    Each is the sum of d^2 less (sum of d)^2 / k, with d counted from one member, which loses at most a factor k^2 of
    the precision, wherever zero is.
    """
    height, width = x.shape[-2:]
    before, after = (k - 1) // 2, k // 2
    padded = _mirrored(_mirrored(x, before, after, -1), before, after, -2)
    rows = [padded.narrow(-2, i, height) for i in range(k)]
    centre = rows.pop(before)
    total = rows[0] - centre
    within = total * total
    for n, row in enumerate(rows[1:]):
        difference = row - centre
        within = within.addcmul(difference, difference)
        total = total.add_(difference) if n else total + difference
    within = within.addcmul(total, total, value=-1 / k)

    # From column to column: k times the difference of their means.
    steps = padded[..., 1:] - padded[..., :-1]
    step = steps.narrow(-2, 0, height) + steps.narrow(-2, 1, height)
    for i in range(2, k):
        step.add_(steps.narrow(-2, i, height))
    difference = total = step.narrow(-1, 0, width)
    squares = difference * difference
    for i in range(1, k - 1):
        difference = difference + step.narrow(-1, i, width)
        squares = squares.addcmul(difference, difference)
        total = total.add_(difference) if i > 1 else total + difference
    squares = squares.addcmul(total, total, value=-1 / k).mul_(1 / k)
    for i in range(k):
        squares.add_(within.narrow(-1, i, width))
    return squares


def _squares_at_once(x: Tensor, k: int) -> Tensor:
    """The same in two passes over the pixels of the window, which a compiler turns into one loop."""
    width = x.shape[-1]
    before, after = (k - 1) // 2, k // 2
    padded = _mirrored(x, before, after, -1)
    shifted = [_shifted(padded, i) for i in range(-before, after + 1)]
    differences = [
        row.narrow(-1, i, width) - x for j, row in enumerate(shifted) for i in range(k) if (j, i) != (before, before)
    ]
    mean = sum(differences[1:], differences[0]) * (1 / k**2)
    squares = mean.square()  # of the pixel itself
    for difference in differences:
        squares = squares + (difference - mean).square()
    return squares


def _mirrored(x: Tensor, before: int, after: int, dim: int) -> Tensor:
    """Continue one dimension by its mirror image, the edge repeated."""
    first = x.narrow(dim, 0, before).flip(dim)
    last = x.narrow(dim, x.shape[dim] - after, after).flip(dim)
    return torch.cat([first, x, last], dim)


def _shifted(x: Tensor, by: int) -> Tensor:
    """Row i becomes row i + by of the mirrored image: by sums with zeros, which need no copy of the image."""
    height = x.shape[-2]
    if by == 0:
        return x
    if by < 0:
        moved = functional.pad(x[..., :by, :], (0, 0, -by, 0))
        for i in range(-by):
            edge = x.narrow(-2, -by - 1 - i, 1)
            moved = moved + functional.pad(edge, (0, 0, i, height - 1 - i))
        return moved
    moved = functional.pad(x[..., by:, :], (0, 0, 0, by))
    for i in range(by):
        edge = x.narrow(-2, height - 1 - i, 1)
        moved = moved + functional.pad(edge, (0, 0, height - by + i, by - 1 - i))
    return moved


def or_one(x: Tensor) -> Tensor:
    """Return the divisor with zeros replaced by one, so that 0 / 0 gives 0."""
    return torch.where(x == 0, 1, x)


def root_flat_at_0(x: Tensor) -> Tensor:
    """Square root with slope 0 at 0.

    With the true slope, which is infinite, one flat patch would make the gradient of the whole image NaN.
    """
    flat = x == 0
    return torch.where(flat, 0, torch.where(flat, 1, x).sqrt())
