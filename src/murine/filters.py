"""Oriented filters: a bank of Gabor pairs in quadrature, and convolution that keeps the size of an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from murine.errors import MurineError

Border = Literal["symmetric", "reflect"]


def gabor_bank(
    wavelengths: Sequence[float], n_orientations: int = 8, *, sigma: float = 0.5
) -> Float[Tensor, "n_filters 1 k k"]:
    """Make Gabor filters in quadrature pairs.

    Parameters
    ----------
    wavelengths
        Of the carrier, in pixels; more than 2 (the Nyquist limit).
    n_orientations
        Evenly spaced over 180 degrees. Orientation i varies along the direction ``pi * i / n_orientations``,
        counted from x (to the right) towards y (downwards): filter 0 has vertical bars.
    sigma
        Standard deviation of the round Gaussian envelope, in wavelengths; 0.5 gives a bandwidth of 1.1
        octaves.

    Returns
    -------
    bank
        float32, filters ordered by wavelength, orientation, and even before odd; ``bank.view(n_wavelengths,
        n_orientations, 2, k, k)`` separates them. Every filter has zero mean and unit L2 norm. The odd size k
        spans 2.5 sigma of the longest wavelength to each side.
    """
    if not wavelengths or min(wavelengths) <= 2 or n_orientations < 1 or sigma <= 0:
        raise MurineError(
            f"wavelengths {list(wavelengths)} px, {n_orientations} orientations, sigma {sigma} make no Gabor "
            "bank; expected wavelengths above 2 px, at least 1 orientation, and a positive sigma."
        )
    radius = math.ceil(2.5 * sigma * max(wavelengths))
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64)
    y, x = torch.meshgrid(offsets, offsets, indexing="ij")
    filters = []
    for wavelength in wavelengths:
        envelope = torch.exp(-(x**2 + y**2) / (2 * (sigma * wavelength) ** 2))
        for i in range(n_orientations):
            angle = math.pi * i / n_orientations
            phase = 2 * math.pi / wavelength * (x * math.cos(angle) + y * math.sin(angle))
            even = envelope * torch.cos(phase)
            # Taking the mean out in the shape of the envelope leaves no step at the border of the filter.
            even = even - envelope * (even.sum() / envelope.sum())
            filters += [even, envelope * torch.sin(phase)]
    bank = torch.stack(filters)[:, None]
    return (bank / bank.square().sum(dim=(-2, -1), keepdim=True).sqrt()).float()


def gaussian(sigma: float) -> Float[Tensor, "1 1 k k"]:
    """Make a round Gaussian that sums to 1, of standard deviation ``sigma`` px, to 2.5 sigma on each side."""
    radius = math.ceil(2.5 * sigma)
    profile = torch.exp(-(torch.arange(-radius, radius + 1, dtype=torch.float64) ** 2) / (2 * sigma**2))
    profile /= profile.sum()
    return torch.outer(profile, profile)[None, None].float()


def pad(
    images: Float[Tensor, "*batch height width"], before: int, after: int, border: Border = "symmetric"
) -> Float[Tensor, "*batch padded_height padded_width"]:
    """Continue images beyond their borders by mirroring.

    ``before`` pixels are added above and to the left, ``after`` below and to the right. ``symmetric``
    repeats the pixel at the edge (c b a | a b c), ``reflect`` does not (c b | a b c), as in `numpy.pad`.
    More than the image can mirror raises.
    """
    if border not in ("symmetric", "reflect"):
        raise MurineError(f"unknown border {border!r}; expected 'symmetric' or 'reflect'.")
    edge = 0 if border == "symmetric" else 1
    for dim in (-2, -1):
        size = images.shape[dim]
        if max(before, after) + edge > size:
            raise MurineError(
                f"an image of {images.shape[-2]} x {images.shape[-1]} px is too small to be continued by "
                f"{max(before, after)} px ({border}). Use larger images or a smaller kernel."
            )
        first = images.narrow(dim, edge, before).flip(dim)
        last = images.narrow(dim, size - edge - after, after).flip(dim)
        images = torch.cat([first, images, last], dim)
    return images


def convolve(
    images: Float[Tensor, "n_images 1 height width"],
    bank: Float[Tensor, "n_filters 1 k k"],
    *,
    border: Border = "symmetric",
    stride: int = 1,
) -> Float[Tensor, "n_images n_filters out_height out_width"]:
    """Filter every image with every filter of a bank (cross-correlation, as in torch).

    Output pixel (r, c) belongs to input pixel (r * stride, c * stride), so the output has ``ceil(height /
    stride)`` rows. The bank is taken to the dtype and device of the images.
    """
    if images.ndim != 4 or images.shape[1] != 1:
        raise MurineError(f"images have shape {tuple(images.shape)}; expected (n_images, 1, height, width).")
    k = bank.shape[-1]
    return F.conv2d(pad(images, (k - 1) // 2, k // 2, border), bank.to(images), stride=stride)
