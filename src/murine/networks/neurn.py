"""The NeuRN layer: an image becomes its local contrast, relative to the highest one."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

from murine.errors import MurineError
from murine.filters import pad


def neurn(
    x: Float[Tensor, "*batch channels height width"], kernel_size: int = 3
) -> Float[Tensor, "*batch channels height width"]:
    """Divide the standard deviation around every pixel by the largest one of the image.

    For every channel and pixel the population standard deviation of the ``kernel_size`` x ``kernel_size``
    patch around it; then one maximum per image, over all channels and pixels (Jalil, Qazi, Iqbal 2025,
    arXiv 2505.06881; ``specs`` 2.1). The border is reflected with the edge pixel repeated; an even kernel
    reaches one pixel further down and to the right.

    Parameters
    ----------
    x
        Floating point, any scale: the result does not depend on gain or offset. Half precisions are
        computed in float32 and returned as given.
    kernel_size
        At least 2 and at most the height and the width.

    Returns
    -------
    contrast
        Between 0 and 1; all zeros for a constant image. An image with a NaN becomes NaN everywhere, for
        its maximum is not known; other images of the batch are not touched. Differentiable; where the
        deviation is 0 its gradient is 0.
    """
    if not x.is_floating_point():
        raise MurineError(f"NeuRN was given {x.dtype}; expected floating point. Convert with images.float() / 255.")
    if x.ndim < 3:
        raise MurineError(f"NeuRN was given shape {tuple(x.shape)}; expected (..., channels, height, width).")
    if kernel_size < 2 or kernel_size > min(x.shape[-2:]):
        raise MurineError(
            f"NeuRN with kernel_size {kernel_size} was given images of {x.shape[-2]} x {x.shape[-1]} px; "
            "expected a kernel of at least 2 px and at most the size of the image."
        )
    work = x if x.dtype in (torch.float32, torch.float64) else x.float()
    deviation = _local_deviation(work, kernel_size)
    largest = deviation.amax(dim=(-3, -2, -1), keepdim=True)
    return (deviation / torch.where(largest == 0, 1, largest)).to(x.dtype)


class NeuRN(nn.Module):
    """`neurn` as a layer without parameters."""

    def __init__(self, kernel_size: int = 3) -> None:
        super().__init__()
        self.kernel_size = kernel_size

    def forward(
        self, x: Float[Tensor, "*batch channels height width"]
    ) -> Float[Tensor, "*batch channels height width"]:
        return neurn(x, self.kernel_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}"


def _local_deviation(x: Tensor, k: int) -> Tensor:
    # E[x^2] - E[x]^2 would leave nothing but rounding of a bright image. The difference of two pixels of like
    # brightness is exact, so everything is counted from the pixel in the middle, and the squares in a second
    # pass from the mean of the patch.
    padded = pad(x, (k - 1) // 2, k // 2)

    def differences() -> Iterator[Tensor]:
        height, width = x.shape[-2:]
        for row in range(k):
            for column in range(k):
                yield padded[..., row : row + height, column : column + width] - x

    mean = torch.zeros_like(x)
    for difference in differences():
        mean = mean + difference / k**2
    variance = torch.zeros_like(x)
    for difference in differences():
        variance = variance + (difference - mean).square() / k**2
    # sqrt has no slope at 0: a flat patch would turn the gradient of the whole image into NaN.
    flat = variance == 0
    return torch.where(flat, 0, torch.where(flat, 1, variance).sqrt())
