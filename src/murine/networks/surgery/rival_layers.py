"""Layers to compare NeuRN with: other normalisations and filters, all without parameters.

They show which part of NeuRN's effect any normalisation has. All take images (..., channels, height, width) of floating
point and return the same shape. Borders are mirrored, with the edge pixel repeated, as in NeuRN. If an image contains
NaN, the result is NaN at least wherever it depends on that pixel.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from murine.errors import MurineError
from murine.filters import gaussian, pad
from murine.networks.surgery.neurn import NeuRN, or_one, root_flat_at_0
from murine.registry import Registry

Maps = Float[Tensor, "*batch channels height width"]

#: Layers that surgery puts into networks, by name; their options are those of the type, kept under the same names.
layers: Registry[type[nn.Module]] = Registry("layer")
layers.register("neurn")(NeuRN)


class _Standardising(nn.Module):
    """(x - mean) / sqrt(variance + eps) over the last axes of a shape."""

    axes: tuple[int, ...]

    def __init__(self, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Maps) -> Maps:
        corner: tuple[Any, ...] = (..., *(slice(1),) * len(self.axes))
        near_zero = x - x[corner]  # or a bright flat image would become its rounding
        centred = near_zero - near_zero.mean(dim=self.axes, keepdim=True)
        return centred / (centred.square().mean(dim=self.axes, keepdim=True) + self.eps).sqrt()

    def extra_repr(self) -> str:
        return f"eps={self.eps}"


@layers.register("instance-norm")
class InstanceNorm(_Standardising):
    """Give every channel of every image mean 0 and variance 1: (x - mean) / sqrt(variance + eps).

    NeuRN is local; this layer is global: it removes brightness and contrast of the whole image and keeps their pattern
    within the image. Ulyanov, Vedaldi, Lempitsky 2016, arXiv 1607.08022.
    """

    axes = (-2, -1)


@layers.register("standardise")
class Standardise(_Standardising):
    """Give every image mean 0 and variance 1 over all channels and pixels: (x - mean) / sqrt(variance + eps).

    For a grey image, this equals `InstanceNorm`, which normalises every channel separately.
    """

    axes = (-3, -2, -1)


@layers.register("local-contrast")
class LocalContrast(nn.Module):
    """Local contrast normalisation: v = x - blur(x), then v / max(mean(s), s) with s = sqrt(blur(v^2)).

    The blur is a Gaussian over space (``sigma`` in pixels, cut at 2.5 sigma) and the mean over channels; mean(s) is
    over the image. The result has a sign, unlike NeuRN's. It is divided by the contrast around each pixel, whereas
    NeuRN returns this contrast. Jarrett, Kavukcuoglu, Ranzato, LeCun 2009 (ICCV), after Pinto, Cox, DiCarlo 2008.
    """

    def __init__(self, sigma: float = 1.6) -> None:
        super().__init__()
        self.sigma = _positive("sigma", sigma)

    def forward(self, x: Maps) -> Maps:
        near_zero = x - x[..., :1, :1, :1]  # or a bright flat image would become its rounding
        centred = near_zero - _blurred(near_zero.mean(dim=-3, keepdim=True), self.sigma)
        local = root_flat_at_0(_blurred(centred.square().mean(dim=-3, keepdim=True), self.sigma))
        divisor = torch.maximum(local, local.mean(dim=(-2, -1), keepdim=True))
        return centred / or_one(divisor)

    def extra_repr(self) -> str:
        return f"sigma={self.sigma}"


@layers.register("sobel")
class Sobel(nn.Module):
    """Length of the gradient of every channel, by Sobel's filters (a step of 1 per pixel has length 1).

    With ``relative``, lengths are divided by the largest one of the image, over all channels and pixels. Then this
    layer differs from NeuRN only in how it measures an edge. Sobel and Feldman 1968; Duda and Hart 1973, p. 271.
    """

    def __init__(self, relative: bool = True) -> None:
        super().__init__()
        self.relative = relative

    def forward(self, x: Maps) -> Maps:
        padded = pad(x, 1, 1)
        across = (padded[..., 2:] - padded[..., :-2]) / 2
        down = (padded[..., 2:, :] - padded[..., :-2, :]) / 2
        across = (across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]) / 4
        down = (down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]) / 4
        length = root_flat_at_0(across.square() + down.square())
        if not self.relative:
            return length
        largest = length.amax(dim=(-3, -2, -1), keepdim=True)
        return length / or_one(largest)

    def extra_repr(self) -> str:
        return f"relative={self.relative}"


@layers.register("divisive")
class DivisiveNorm(nn.Module):
    """Divisive normalisation: x / sqrt(semisaturation^2 + blur(x^2)).

    The blur is over space (a Gaussian of ``sigma`` px) and over all channels alike: the pool of neighbours. The
    semisaturation is in units of x; 1 fits images normalised to unit variance. Heeger 1992, Visual Neuroscience 9;
    Carandini and Heeger 2012, Nature Reviews Neuroscience 13.
    """

    def __init__(self, sigma: float = 2.0, semisaturation: float = 1.0) -> None:
        super().__init__()
        self.sigma = _positive("sigma", sigma)
        self.semisaturation = _positive("semisaturation", semisaturation)

    def forward(self, x: Maps) -> Maps:
        pool = _blurred(x.square().mean(dim=-3, keepdim=True), self.sigma)
        return x / (self.semisaturation**2 + pool).sqrt()

    def extra_repr(self) -> str:
        return f"sigma={self.sigma}, semisaturation={self.semisaturation}"


@layers.register("lrn")
class ResponseNorm(nn.LocalResponseNorm):
    """Local response normalisation between channels: x / (k + alpha * mean of x^2 over ``size`` channels)^beta.

    `torch.nn.LocalResponseNorm` with a usual size; it sees no neighbours in space. With these constants it does next to
    nothing to the three channels of an image: it was made for inner layers. Krizhevsky, Sutskever, Hinton 2012 (NIPS).
    """

    def __init__(self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__(size, alpha, beta, k)


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise MurineError(f"{name} is {value!r}; expected a positive number.")
    return float(value)


def _blurred(x: Tensor, sigma: float) -> Tensor:
    """One-channel maps (..., 1, height, width), blurred along one dimension after the other."""
    profile = gaussian(sigma)[0, 0].sum(dim=0).to(x)
    radius = len(profile) // 2
    padded = pad(x, radius, radius).reshape(-1, 1, x.shape[-2] + 2 * radius, x.shape[-1] + 2 * radius)
    rows = functional.conv2d(padded, profile.view(1, 1, 1, -1))
    return functional.conv2d(rows, profile.view(1, 1, -1, 1)).reshape(x.shape)
