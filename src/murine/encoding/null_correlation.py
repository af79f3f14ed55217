"""Null correlation: the mean correlation of held-out predictions with responses unrelated to the stimuli.

It is not zero. Predictions z = O y of left-out stimuli are linear in the responses y. Their covariance with y, the
quadratic form y'Oy, is zero on average over all orders of the stimuli, if each prediction is taken relative to the mean
of the responses it was fitted to. But the correlation divides it by the length of z, which also depends on y. For a
layer with about as many dimensions as stimuli, predictions that happen to fit are short and those that fail are long;
for a layer with few dimensions it is the reverse. On a simulated cortex with 100 stimuli, relabelled stimuli had a mean
r of 0.03 for a layer of 120 units, of -0.04 for one of 5 units, and of less than 0.01 for one of thousands. This is
more than the standard error of the score of a site, though less than that of a neuron.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import gammaln

#: Step of the integral over the logarithm of its variable: the relative error is below 1e-6.
STEP = 0.25


def null_correlations(
    operators: Float[np.ndarray, "n_operators n_stimuli n_stimuli"],
) -> Float[np.ndarray, " n_operators"]:
    """Return the mean of Pearson's r of y and O y, for responses y that have no relation to the stimuli.

    y is taken to be Gaussian. With responses of real neurons in random order the mean is the same within 0.005. With S
    the symmetric part of O, and B = O'O, both restricted to vectors of mean 0, the mean of y'Sy / sqrt(y'By) is, by 1 /
    sqrt(x) = integral of exp(-x t) / sqrt(pi t) over t > 0, an integral in one dimension:

        1 / sqrt(pi) * integral of t^(-1/2) sum_d s_d / (1 + 2 b_d t) / product_d sqrt(1 + 2 b_d t),

    with b_d the eigenvalues of B and s_d = v_d'S v_d of its eigenvectors. r is this divided by the length of y, of
    which it is independent.

    Parameters
    ----------
    operators
        (n_operators, n_stimuli, n_stimuli): from responses less their mean to predictions
        (`murine.encoding.ridge.ridge_loo_operators`).

    Returns
    -------
    r
        (n_operators,); NaN for an operator with NaN, or that predicts the same for all stimuli.

    Examples
    --------
    >>> import numpy as np
    >>> from murine.encoding.ridge import ridge_loo_operators
    >>> features = np.random.default_rng(0).normal(size=(100, 5))
    >>> operators = ridge_loo_operators((features @ features.T)[None], relative=True)
    >>> bool(null_correlations(operators)[0] < -0.02)  # few units: below zero
    True
    """
    n_stimuli = operators.shape[-1]
    found = np.full(len(operators), np.nan)
    times = np.exp(np.arange(-26, 40, STEP))
    # Mean length of a Gaussian vector with n - 1 dimensions.
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
    """Rescale correlations such that the null correlation becomes 0 and 1 stays 1.

    Parameters
    ----------
    scores, chance
        Correlations and null correlations; shapes that broadcast. NaN stays NaN.

    Examples
    --------
    >>> import numpy as np
    >>> rescale_above_null(np.array([0.1, 0.55, 1.0]), np.array(0.1)).round(3)
    array([0. , 0.5, 1. ])
    """
    return (scores - chance) / (1 - chance)
