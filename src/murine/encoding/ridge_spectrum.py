"""Principal directions of features over stimuli, and how scaling stretches them: what ridge needs of a layer.

What a penalty means depends on how features are scaled (`Scale`). Conwell et al. (2021) project the units of a layer at
random to 4,096 columns, standardise each column over stimuli, and take alpha = 1. The kernel holds all
that remains of this where columns are many: see `projection_gains`. Standardising the *units themselves*, as other
studies do, is not a function of the kernel of raw features: where that is wanted, features must be standardised before
their kernel is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from murine.errors import MurineError

#: Columns that Conwell et al. (2021) project each layer to: ``johnson_lindenstrauss_min_dim(119, eps=0.1)``.
PROJECTED = 4096

#: How features are scaled before the penalty applies:
#:
#: ``projection``
#:     Random projections of the units, each standardised over the (training) stimuli, in the limit of many, counted as
#:     ``n_features``: the protocol of Conwell et al. without its random part.
#: ``trace``
#:     All features by one factor, so that the mean diagonal of the centred kernel is ``n_features``.
#: ``none``
#:     Features as they are: the penalty is absolute.
Scale = Literal["projection", "trace", "none"]

#: Variance in a direction below this share of the largest is rounding.
NEGLIGIBLE = 1e-13


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The centred features of some stimuli as U diag(sqrt(values)) V', and the factors that scaling puts on `values`.

    Attributes
    ----------
    values
        (n_directions,) summed squares of the features along each direction, unscaled.
    vectors
        (n_stimuli, n_directions): U, of length 1, at right angles to each other and to the constant vector.
    gains
        (n_directions,): values x gains are the summed squares after scaling; 0 where values are 0.
    """

    values: Float[np.ndarray, " n_directions"]
    vectors: Float[np.ndarray, "n_stimuli n_directions"]
    gains: Float[np.ndarray, " n_directions"]

    @classmethod
    def of_kernel(
        cls, kernel: Float[np.ndarray, "n_stimuli n_stimuli"], scale: Scale = "projection", n_features: int = PROJECTED
    ) -> Spectrum:
        """Decompose a Gram matrix, centred over stimuli or not: n - 1 directions, those without variance included.

        Raises
        ------
        MurineError
            Where there is nothing to decompose: NaN, or no differences between stimuli.
        """
        check_varies(kernel)
        n_stimuli = len(kernel)
        gram = centred(kernel)
        # The constant vector as the direction of most variance, so that no other has a share in it.
        gram += 2 * np.linalg.norm(gram) / n_stimuli
        values, vectors = np.linalg.eigh(gram)
        return cls._scaled(values[:-1], vectors[:, :-1], scale, n_features)

    @classmethod
    def of_features(
        cls, features: Float[np.ndarray, "n_stimuli n_units"], scale: Scale = "projection", n_features: int = PROJECTED
    ) -> tuple[Spectrum, Float[np.ndarray, "n_directions n_units"]]:
        """Decompose features, centred over stimuli, into directions with variance; return V' as well.

        Cheap where units are few."""
        vectors, lengths, axes = np.linalg.svd(features, full_matrices=False)
        kept = lengths**2 > NEGLIGIBLE * lengths.max() ** 2  # others need not be at right angles to the constant vector
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
        """The share of responses along each direction that ridge leaves unfitted."""
        return alpha / (alpha + self.gains * self.values)

    def weights(self, alpha: float) -> Float[np.ndarray, " n_directions"]:
        """Factors w of ridge: the products with features K* U diag(w) U'y predict the responses y of other stimuli."""
        return self.gains / (alpha + self.gains * self.values)


def centred(kernel: Float[np.ndarray, "n_stimuli n_stimuli"]) -> Float[np.ndarray, "n_stimuli n_stimuli"]:
    """The Gram matrix of the features less their mean over stimuli."""
    means = kernel.mean(axis=0)
    return kernel - means - means[:, None] + means.mean()


def varies(kernel: Float[np.ndarray, "n_stimuli n_stimuli"]) -> bool:
    """Whether the kernel is finite and its stimuli differ by more than rounding."""
    if not np.isfinite(kernel).all():
        return False
    return bool(np.trace(kernel) - kernel.mean() * len(kernel) > 1e-12 * np.abs(kernel).max())


def check_varies(kernel: Float[np.ndarray, "n_stimuli n_stimuli"]) -> None:
    """Refuse a kernel that nothing can be predicted from."""
    if not varies(kernel):
        raise MurineError(
            "A kernel with NaN or infinite values, or of features that are the same for all stimuli, cannot predict "
            "responses; leave the layer out."
        )


def projection_gains(values: Float[np.ndarray, " n_directions"]) -> Float[np.ndarray, " n_directions"]:
    """Factors that standardising puts on the variances of random projections, in the mean over projections.

    A random projection of features onto one column has coordinates sqrt(v_i) g_i in the principal directions, g of
    independent standard normal numbers (exact for Gaussian projections; sparse ones of many units come close).
    Standardised, it adds to the kernel v_i g_i^2 / sum_j v_j g_j^2 along direction i. The factor is its mean over v_i,
    by 1/x = integral of exp(-x t) over t > 0 an integral in one dimension:

        E[g_i^2 / sum_j v_j g_j^2] = integral of 1 / (1 + 2 v_i t) / product_j sqrt(1 + 2 v_j t) over t > 0.

    Large variances get smaller factors than small ones: a column that happens to follow a strong direction is divided
    by more. Sum of factors x values: 1. Values of 0 get 0. Relative error 1e-10."""
    total = values.sum()
    present = values > 0
    shares = values[present] / total
    # The trapezoid rule over log t converges exponentially; both ends are below 1e-15 of the whole.
    step = 0.35
    times = np.exp(np.arange(-37, 77, step))
    grown = 1 + 2 * times[:, None] * shares
    heights = step * times * np.exp(-0.5 * np.log(grown).sum(axis=1))
    gains = np.zeros(values.shape)
    gains[present] = heights @ (1 / grown) / total
    return gains
