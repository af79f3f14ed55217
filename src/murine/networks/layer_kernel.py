"""LayerKernel: what every linear metric needs to know of a layer, in n x n numbers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from murine.networks.layer_flags import CONSTANT_WITHIN, NOT_FINITE, ONE_UNIT, SAME_FOR_ALL

#: Units multiplied at once: enough for BLAS to run at full speed, few enough that float32 sums keep their digits.
BLOCK = 32768

#: Float32 features of at least this many units are multiplied by compiled code, which takes a second to load.
COMPILED = 4096

#: Units that the means are estimated from.
SAMPLE = 256


@dataclass(frozen=True, eq=False, repr=False)
class LayerKernel:
    """Second moments of a layer's features between images.

    With X the features, (n_stimuli, n_units), and m their means over units:

    Attributes
    ----------
    covariance
        (n_stimuli, n_stimuli) float64: (X - m)(X - m)', the products of the features after subtraction of each image's
        mean. NaN in the rows of images with features that are not finite.
    means
        (n_stimuli,) float64: m, each image's mean over units.
    n_units
        Number of units of the layer.

    Examples
    --------
    >>> import numpy as np
    >>> features = np.random.default_rng(0).normal(size=(5, 1000))
    >>> kernel = LayerKernel.of(features)
    >>> kernel
    <LayerKernel: 5 images, 1,000 units>
    >>> bool(np.allclose(kernel.gram, features @ features.T))
    True
    >>> LayerKernel.of(np.ones((5, 1000))).flag
    'constant within images'
    """

    covariance: Float[np.ndarray, "n_stimuli n_stimuli"]
    means: Float[np.ndarray, " n_stimuli"]
    n_units: int

    def __repr__(self) -> str:
        return f"<LayerKernel: {self.n_stimuli} images, {self.n_units:,} units>"

    @property
    def n_stimuli(self) -> int:
        return len(self.means)

    @property
    def gram(self) -> Float[np.ndarray, "n_stimuli n_stimuli"]:
        """X X', the plain products between images."""
        return self.covariance + self.n_units * np.outer(self.means, self.means)

    @cached_property
    def digest(self) -> str:
        """Equal for layers with the same features: their numbers agree to the last bit."""
        parts = (self.covariance.tobytes(), self.means.tobytes(), str(self.n_units).encode())
        return hashlib.sha256(b"".join(parts)).hexdigest()

    @cached_property
    def flag(self) -> str:
        """Why the layer has no correlation between images; '' if it has one.

        One of ``not finite`` (NaN or infinite features), ``one unit``, ``constant within images`` (an image whose
        units all have one value) and ``same for all images``."""
        if not (np.isfinite(self.covariance).all() and np.isfinite(self.means).all()):
            return NOT_FINITE
        if self.n_units < 2:
            return ONE_UNIT
        power = np.diag(self.covariance)
        # Sums of float32 products: variance below this share of the raw power is rounding.
        noise = 1e-11 * (power + self.n_units * self.means**2)
        if (power <= noise).any():
            return CONSTANT_WITHIN
        distances = power[:, None] + power[None] - 2 * self.covariance
        shifts = self.n_units * (self.means[:, None] - self.means[None]) ** 2
        if (distances + shifts <= 1e-11 * (self.gram.max())).all():
            return SAME_FOR_ALL
        return ""

    def select(self, stimuli: np.ndarray) -> LayerKernel:
        """Return the kernel of some of the images (positions), in this order."""
        return LayerKernel(self.covariance[np.ix_(stimuli, stimuli)], self.means[stimuli], self.n_units)

    @classmethod
    def of(cls, features: np.ndarray, out: np.ndarray | None = None, n_threads: int = 1) -> LayerKernel:
        """Reduce features of shape (n_stimuli, n_units), float32 or float64.

        Where means are large, as for bright pixels, subtracting the product of the means from the products would cancel
        digits. There, each image's mean is estimated from evenly spaced units and subtracted first, block by block. The
        error of this estimate is corrected at the end. Products of float32 features are computed in float32 by blocks
        and summed in float64. The extra memory is one block.

        Parameters
        ----------
        features
            NaN or infinite features give NaN in the rows of their images.
        out
            (n_stimuli, n_stimuli) float64 array of zeros to put the covariance in.
        n_threads
            Number of threads for float32 features of many units. It does not change the numbers.
        """
        n_stimuli, n_units = features.shape
        # Channels are often the fastest axis: a step without factors 2 and 3 does not keep to a few of them.
        sample = features[:, :: n_units // SAMPLE // 6 * 6 + 1]
        with np.errstate(invalid="ignore", over="ignore"):
            centre = sample.mean(axis=1)
            if (centre**2 <= sample.var(axis=1)).all():
                centre = np.zeros_like(centre)  # little to cancel: spare the subtraction
            products, sums = _products(features, centre, n_threads)
            covariance = np.zeros((n_stimuli, n_stimuli)) if out is None else out
            missed = sums / n_units
            np.subtract(products, n_units * np.outer(missed, missed), out=covariance)
        return cls(covariance, centre + missed, n_units)


def _products(
    features: np.ndarray, centre: np.ndarray, n_threads: int
) -> tuple[Float[np.ndarray, "n_stimuli n_stimuli"], Float[np.ndarray, " n_stimuli"]]:
    """Sum products of images, and features, less the centre, over units."""
    n_stimuli, n_units = features.shape
    if features.dtype == np.float32 and n_units >= COMPILED:
        from murine.networks.unit_products import sum_products

        return sum_products(features, centre, BLOCK, n_threads)
    products = np.zeros((n_stimuli, n_stimuli))
    centred = bool(centre.any())
    if centred:
        sums = np.zeros(n_stimuli)
        buffer = np.empty((n_stimuli, min(BLOCK, n_units)), features.dtype)
    else:
        sums = features.sum(axis=1).astype(np.float64)
    for start in range(0, n_units, BLOCK):
        block = features[:, start : start + BLOCK]
        if centred:
            block = np.subtract(block, centre[:, None], out=buffer[:, : block.shape[1]])
            sums += block.sum(axis=1)
        products += block @ block.T
    return products, sums
