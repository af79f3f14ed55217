"""Kernels of features whose units are standardised over images: mean 0, standard deviation 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from murine.networks.capture.forward import ForwardPass, Subject
from murine.networks.capture.probing import Probed
from murine.networks.capture.reducing import flat, floating
from murine.networks.layer_kernel import BLOCK, LayerKernel

#: A unit counts as constant if its standard deviation is below this share of its largest value (float32 rounding).
CONSTANT = 1e-6


@dataclass
class Moments:
    """Mean and variance of every unit of a layer over the images so far.

    Attributes
    ----------
    n
        Number of images.
    mean, squares, largest
        (n_units,): mean, sum of squared deviations from it, and largest absolute value.
    """

    n: int
    mean: Tensor
    squares: Tensor
    largest: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        """Return the moments of features (n_images, n_units)."""
        # The deviations of a constant unit from the first image are exactly zero.
        deviations = features - features[:1]
        shift = deviations.mean(dim=0)
        squares = (deviations - shift).square_().sum(dim=0)
        return cls(len(features), features[0] + shift, squares, features.abs().amax(dim=0))

    def joined(self, other: Moments) -> Moments:
        """Return the moments of both sets of images together (Chan, Golub & LeVeque 1979)."""
        n, shift = self.n + other.n, other.mean - self.mean
        return Moments(
            n,
            self.mean + shift * (other.n / n),
            self.squares + other.squares + shift.square() * (self.n * other.n / n),
            torch.maximum(self.largest, other.largest),
        )

    def part(self, units: slice) -> Moments:
        """Return the moments of some of the units."""
        return Moments(self.n, self.mean[units], self.squares[units], self.largest[units])

    @property
    def scale(self) -> Tensor:
        """The inverse standard deviations (n_units,): 0 for constant units, NaN for units that are not finite."""
        deviation = (self.squares / self.n).sqrt()
        return torch.where(deviation <= CONSTANT * self.largest, 0.0, 1.0 / deviation)


def standardised_kernel(
    features: Tensor, space: np.ndarray | None = None, moments: Moments | None = None
) -> LayerKernel:
    """Return the kernel of features with standardised units (`murine.statistics.zscore` does this for neurons).

    Parameters
    ----------
    features
        (n_images, n_units), float32 or float64. Constant units become 0; NaN stays NaN.
    space
        (n_images, n_images) float64 array of zeros to put the covariance in.
    moments
        Of all images, where ``features`` are those of some; default: of ``features``.
    """
    n, n_units = features.shape
    covariance = np.zeros((n, n)) if space is None else space
    sums = torch.zeros(n, dtype=torch.float64, device=features.device)
    for start in range(0, n_units, BLOCK):
        block = features[:, start : start + BLOCK]
        own = Moments.of(block) if moments is None else moments.part(slice(start, start + BLOCK))
        block = (block - own.mean).mul_(own.scale)
        sums += block.sum(dim=1)
        covariance += (block @ block.T).cpu().numpy()
    means = (sums / n_units).cpu().numpy()
    covariance -= n_units * np.outer(means, means)
    return LayerKernel(covariance, means, n_units)


class Averaging(ForwardPass):
    """A pass over some images that adds them to the moments of every output."""

    def __init__(self, subject: Subject, probed: Probed, moments: dict[str, Moments]) -> None:
        super().__init__(subject)
        self.probed, self.moments = probed, moments

    def take(self, key: str, args: tuple[object, ...], tensor: Tensor) -> None:
        layout = self.probed.layouts.get(key)
        features = None if layout is None else layout.features(tensor, self.n, self.probed.shapes.get(key, ()))
        if features is None or features.is_complex():
            return
        found = Moments.of(flat(floating(features)))
        self.moments[key] = self.moments[key].joined(found) if key in self.moments else found


def moments_of(subject: Subject, probed: Probed, images: Tensor, groups: Sequence[np.ndarray]) -> dict[str, Moments]:
    """Show all images in groups, and return the moments of every output."""
    moments: dict[str, Moments] = {}
    for members in groups:
        Averaging(subject, probed, moments).run(images[torch.as_tensor(members)])
    return moments
