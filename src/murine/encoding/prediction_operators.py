"""Operators from responses to held-out predictions, and the correlation of both for many layers and neurons.

Predictions of left-out stimuli are linear in the responses of a neuron: z = O y. The operator O (n_stimuli x
n_stimuli) is made once for a layer (`murine.encoding.ridge.ridge_loo_operators`, `murine.encoding.pls.pls_operators`)
and used for all neurons, bootstrap samples and relabellings.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32, Int

from murine.encoding.kernels import Responses
from murine.statistics.standardisation import unit_length


def correlate_predictions(
    operators: Float[np.ndarray, "n_operators n_stimuli n_stimuli"], responses: Responses
) -> Float[np.ndarray, "n_operators n_neuroids"]:
    """Correlate the predictions of operators with responses: Pearson's r over stimuli.

    Products are computed in float32, which leaves r within 1e-5.

    Parameters
    ----------
    operators
        (n_operators, n_stimuli, n_stimuli).
    responses
        (n_neuroids, n_stimuli), any unit.

    Returns
    -------
    r
        (n_operators, n_neuroids) float64; NaN for an operator with NaN, and for neurons with NaN or with one response
        to all stimuli.

    Examples
    --------
    >>> import numpy as np
    >>> responses = np.random.default_rng(0).normal(size=(2, 10))
    >>> correlate_predictions(np.eye(10)[None], responses).round(3)  # predictions that equal the responses
    array([[1., 1.]])
    """
    operators = operators - operators.mean(axis=1, keepdims=True)  # predictions with mean 0 over stimuli
    standardised = unit_length(responses).astype(np.float32)
    products: Float32[np.ndarray, "n_neuroids n_stimuli"] = np.empty_like(standardised)
    scores = np.empty((len(operators), len(responses)))
    for operator, score in zip(operators.astype(np.float32), scores, strict=True):
        np.matmul(standardised, operator.T, out=products)
        power = np.einsum("ij,ij->i", products, products)
        with np.errstate(invalid="ignore", divide="ignore"):
            score[:] = np.einsum("ij,ij->i", products, standardised) / np.sqrt(power)
    return np.clip(scores, -1, 1, out=scores)


def permute_correlations(
    operators: Float[np.ndarray, "n_operators n_stimuli n_stimuli"],
    responses: Responses,
    relabellings: Int[np.ndarray, "n_draws n_stimuli"],
    groups: Sequence[Int[np.ndarray, " _"]],
) -> Float32[np.ndarray, "n_draws n_operators n_groups"]:
    """Correlate predictions with responses whose stimuli are relabelled, averaged over the neurons of each group.

    Stimulus i gets the responses to stimulus ``relabellings[b, i]``, and the model is fitted to these responses. The
    operators are relabelled instead of the responses, which gives the same r and is faster.

    Parameters
    ----------
    operators
        (n_operators, n_stimuli, n_stimuli).
    responses
        (n_neuroids, n_stimuli), any unit.
    relabellings
        (n_draws, n_stimuli), from `murine.statistics.permutation.permutations`.
    groups
        Positions of the neurons of each site.

    Returns
    -------
    r
        (n_draws, n_operators, n_groups) float32; NaN where a neuron of the group has no correlation.

    Examples
    --------
    >>> import numpy as np
    >>> from murine.statistics.permutation import permutations
    >>> responses = np.random.default_rng(0).normal(size=(2, 10))
    >>> operators = np.random.default_rng(1).normal(size=(1, 10, 10))
    >>> permute_correlations(operators, responses, permutations(10, 5, 0), [np.array([0, 1])]).shape
    (5, 1, 1)
    """
    operators = (operators - operators.mean(axis=1, keepdims=True)).astype(np.float32)
    standardised = unit_length(responses).astype(np.float32)
    n_neuroids, n_stimuli = standardised.shape
    places = relabellings.argsort(axis=1)
    draws = np.empty((len(places), len(operators), len(groups)), np.float32)
    step = 8  # relabellings at once: enough for BLAS, small enough for the cache
    for operator, found in zip(operators, draws.transpose(1, 0, 2), strict=True):
        for start in range(0, len(places), step):
            order = places[start : start + step]
            moved = operator[order[:, :, None], order[:, None]].reshape(-1, n_stimuli)
            predictions = (standardised @ moved.T).reshape(n_neuroids, len(order), n_stimuli)
            products = np.einsum("jbi,ji->bj", predictions, standardised)
            power = np.einsum("jbi,jbi->bj", predictions, predictions)
            with np.errstate(invalid="ignore", divide="ignore"):
                scores = np.clip(products / np.sqrt(power), -1, 1)
            found[start : start + step] = np.stack([scores[:, members].mean(axis=1) for members in groups], axis=1)
    return draws
