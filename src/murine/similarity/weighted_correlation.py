"""Pearson correlations of RDM vectors whose pairs are weighted, as in resampled stimuli."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

#: A variance that is a smaller share of the mean square is treated as zero: it is what rounding to float32 leaves.
MIN_VARIANCE_SHARE = 1e-5


def weighted_correlations(
    first: Float[np.ndarray, "n_vectors n_pairs"],
    second: Float[np.ndarray, "n_vectors n_pairs"],
    weights: Float[np.ndarray, "n_samples n_pairs"],
) -> Float[np.ndarray, "n_samples n_vectors"]:
    """Return the weighted Pearson correlation of each vector with its partner, for every sample.

    The vectors should have mean 0 and variance near 1, so that little cancels in float32.

    Parameters
    ----------
    first, second
        (n_vectors, n_pairs).
    weights
        (n_samples, n_pairs); every row sums to 1.

    Returns
    -------
    r
        (n_samples, n_vectors); NaN where a vector does not vary in a sample.
    """
    mean_a, mean_b, square_a, square_b, product = (
        weights @ v.T for v in (first, second, first**2, second**2, first * second)
    )
    with np.errstate(invalid="ignore"):
        variances = [square - mean**2 for square, mean in ((square_a, mean_a), (square_b, mean_b))]
        varied = (variances[0] > MIN_VARIANCE_SHARE * square_a) & (variances[1] > MIN_VARIANCE_SHARE * square_b)
        r = (product - mean_a * mean_b) / np.sqrt(np.where(varied, variances[0] * variances[1], np.nan))
    return np.asarray(r)
