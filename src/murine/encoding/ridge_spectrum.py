"""Principal directions of features over stimuli, and how scaling stretches them: all that ridge needs from a layer.

The meaning of a penalty depends on how features are scaled (`Scale`). Conwell et al. (2021) project the units of a
layer at random to 4,096 columns, standardise each column over stimuli, and use alpha = 1. The kernel
contains what remains of this in the limit of many columns; see `projection_gains`. Standardising the *units
themselves*, as other studies do, cannot be computed from the kernel of raw features: standardise the features before
taking their kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from murine.encoding.kernels import centre_kernel, check_variance
from murine.errors import MurineError

#: Columns to which Conwell et al. (2021) project each layer: ``johnson_lindenstrauss_min_dim(119, eps=0.1)``.
N_PROJECTED = 4096

#: How features are scaled before the penalty applies:
#:
#: ``projection``
#:     The limit of many random projections of the units, each standardised over the (training) stimuli, which count as
#:     ``n_features`` features: the protocol of Conwell et al. without its random part.
#: ``trace``
#:     All features are multiplied by one factor, so that the mean diagonal of the centred kernel is ``n_features``.
#: ``none``
#:     Features as they are: the penalty is absolute.
Scale = Literal["projection", "trace", "none"]

#: A direction with less than this share of the largest variance is rounding.
NEGLIGIBLE = 1e-13


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Centred features of some stimuli as U diag(sqrt(values)) V', and the effect of scaling on ``values``.

    Attributes
    ----------
    values
        (n_directions,): sums of squares of the features along each direction, unscaled.
    vectors
        (n_stimuli, n_directions): U. Its columns have length 1 and are orthogonal to each other and to the constant
        vector.
    gains
        (n_directions,): ``values * gains`` are the sums of squares after scaling; 0 where values are 0.

    Examples
    --------
    >>> import numpy as np
    >>> features = np.random.default_rng(0).normal(size=(10, 3))
    >>> spectrum = Spectrum.of_kernel(features @ features.T, "none")
    >>> int((spectrum.values > 0).sum())  # the features vary along three directions
    3
    """

    values: Float[np.ndarray, " n_directions"]
    vectors: Float[np.ndarray, "n_stimuli n_directions"]
    gains: Float[np.ndarray, " n_directions"]

    @classmethod
    def of_kernel(
        cls,
        kernel: Float[np.ndarray, "n_stimuli n_stimuli"],
        scale: Scale = "projection",
        n_features: int = N_PROJECTED,
    ) -> Spectrum:
        """Decompose a Gram matrix, centred over stimuli or not, into n - 1 directions (some may have no variance).

        Raises
        ------
        MurineError
            If the kernel has NaN, or no differences between stimuli.
        """
        check_variance(kernel)
        n_stimuli = len(kernel)
        gram = centre_kernel(kernel)
        # Make the constant vector the direction of most variance, so that the others are orthogonal to it.
        gram += 2 * np.linalg.norm(gram) / n_stimuli
        values, vectors = np.linalg.eigh(gram)
        return cls._scaled(values[:-1], vectors[:, :-1], scale, n_features)

    @classmethod
    def of_features(
        cls,
        features: Float[np.ndarray, "n_stimuli n_units"],
        scale: Scale = "projection",
        n_features: int = N_PROJECTED,
    ) -> tuple[Spectrum, Float[np.ndarray, "n_directions n_units"]]:
        """Decompose features that are centred over stimuli, into the directions that have variance; also return V'.

        This is cheap where units are few.
        """
        vectors, lengths, axes = np.linalg.svd(features, full_matrices=False)
        kept = lengths**2 > NEGLIGIBLE * lengths.max() ** 2  # others may not be orthogonal to the constant vector
        return cls._scaled(lengths[kept] ** 2, vectors[:, kept], scale, n_features), axes[kept]

    @classmethod
    def _scaled(cls, values: np.ndarray, vectors: np.ndarray, scale: Scale, n_features: int) -> Spectrum:
        values = np.where(values > NEGLIGIBLE * values.max(), values, 0.0)
        n_stimuli = len(vectors)
        if scale == "projection":
            gains = n_features * n_stimuli * projection_gains(values)
        elif scale == "trace":
            gains = np.full(values.shape, n_features * n_stimuli / values.sum())
        elif scale == "none":
            gains = np.ones(values.shape)
        else:
            raise MurineError(f"Unknown scale {scale!r}; expected 'projection', 'trace' or 'none'.")
        return cls(values, vectors, np.where(values > 0, gains, 0.0))

    def residual_shares(self, alpha: float) -> Float[np.ndarray, " n_directions"]:
        """Return the share of the responses along each direction that ridge does not fit."""
        return alpha / (alpha + self.gains * self.values)

    def weights(self, alpha: float) -> Float[np.ndarray, " n_directions"]:
        """Return the factors w of ridge.

        With K* the products of the features of other stimuli with these, K* U diag(w) U'y predicts their responses.
        """
        return self.gains / (alpha + self.gains * self.values)


def projection_gains(values: Float[np.ndarray, " n_directions"]) -> Float[np.ndarray, " n_directions"]:
    """Return the factors by which standardised random projections multiply the variances of features, on average.

    A random projection of features onto one column has coordinates sqrt(v_i) g_i along the principal directions, with g
    independent standard normal numbers. This is exact for Gaussian projections, and close for sparse ones of many
    units. Once standardised, the column adds v_i g_i^2 / sum_j v_j g_j^2 to the kernel along direction i. The gain is
    the mean of this, divided by v_i. With 1/x = integral of exp(-x t) over t > 0 it is an integral in one dimension:

        E[g_i^2 / sum_j v_j g_j^2] = integral of 1 / (1 + 2 v_i t) / product_j sqrt(1 + 2 v_j t) over t > 0.

    Large variances get smaller gains than small ones, because a column that happens to follow a strong direction is
    divided by more.

    Parameters
    ----------
    values
        (n_directions,): variances v; at least one above 0.

    Returns
    -------
    gains
        (n_directions,): the sum of gains x values is 1. Values of 0 get 0. The relative error is 1e-10.

    Examples
    --------
    >>> import numpy as np
    >>> projection_gains(np.array([1.0, 1.0])).round(3)
    array([0.5, 0.5])
    >>> projection_gains(np.array([9.0, 1.0])).round(3)
    array([0.083, 0.25 ])
    """
    total = values.sum()
    present = values > 0
    shares = values[present] / total
    # The trapezoid rule over log t converges exponentially; beyond both ends is less than 1e-15 of the integral.
    step = 0.35
    times = np.exp(np.arange(-37, 77, step))
    grown = 1 + 2 * times[:, None] * shares
    heights = step * times * np.exp(-0.5 * np.log(grown).sum(axis=1))
    gains = np.zeros(values.shape)
    gains[present] = heights @ (1 / grown) / total
    return gains
