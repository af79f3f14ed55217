"""The correlation that held-out predictions have with responses they know nothing of.

It is not zero. Predictions z = O y of left-out stimuli are linear in the responses y, and their covariance with y,
the quadratic form y'Oy, is zero in the mean over all orders of the stimuli where predictions are relative to the mean
of the responses that each was fitted to. But it is divided by the length of z, which depends on y as well: where
leave-one-out predictions happen to fit they are short, where they fail they are long, for a layer that has about as
many dimensions as there are stimuli; the other way round for one with few. On a simulated cortex with 100 stimuli,
relabelled stimuli have a mean r of 0.03 for a layer of 120 units, of -0.04 for one of 5, of less than 0.01 for one of
thousands: more than the standard error of a site's score, if not of a neuron's."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import gammaln

#: Steps of the integral over the logarithm of its variable: relative error below 1e-6.
STEP = 0.25


def null_correlations(
    operators: Float[np.ndarray, "n_operators n_stimuli n_stimuli"],
) -> Float[np.ndarray, " n_operators"]:
    """The mean of Pearson's r of y and O y, for y without any relation to the stimuli.

    y is taken to be Gaussian; with responses of neurons in random order the mean is the same within 0.005. With S the
    symmetric part of O and B = O'O, both between vectors of mean 0, the mean of y'Sy / sqrt(y'By) is by
    1 / sqrt(x) = integral of exp(-x t) / sqrt(pi t) over t > 0 an integral in one dimension:

        1 / sqrt(pi) * integral of t^(-1/2) sum_d s_d / (1 + 2 b_d t) / product_d sqrt(1 + 2 b_d t),

    with b_d the eigenvalues of B and s_d = v_d'S v_d of its eigenvectors; r is that by the length of y, of which it is
    independent.

    Parameters
    ----------
    operators
        From responses less their mean to predictions (`murine.encoding.ridge.ridge_loo_operators`). NaN gives NaN.
    """
    n_stimuli = operators.shape[-1]
    found = np.full(len(operators), np.nan)
    times = np.exp(np.arange(-26, 40, STEP))
    # The mean length of a Gaussian vector of n - 1 dimensions.
    length = np.sqrt(2) * np.exp(gammaln(n_stimuli / 2) - gammaln((n_stimuli - 1) / 2))
    for k, operator in enumerate(operators):
        own = operator - operator.mean(axis=0)
        own -= own.mean(axis=1, keepdims=True)
        squares = own.T @ own
        total = np.trace(squares)
        if not total > 0:
            continue
        values, vectors = np.linalg.eigh(squares / total)
        along = np.einsum("id,id->d", vectors, own @ vectors) / np.sqrt(total)
        grown = 1 + 2 * times[:, None] * np.maximum(values, 0)
        heights = STEP * np.sqrt(times) * np.exp(-0.5 * np.log(grown).sum(axis=1))
        found[k] = (heights @ (1 / grown)) @ along / np.sqrt(np.pi) / length
    return found


def rescale_above_null(scores: Float[np.ndarray, "..."], chance: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Correlations on a scale on which chance is 0 and 1 stays 1; shapes that broadcast."""
    return (scores - chance) / (1 - chance)
