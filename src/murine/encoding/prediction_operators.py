"""Ops."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32, Int

from murine.encoding.kernels import Responses
from murine.statistics.standardisation import unit_length


def correlate_predictions(
    operators: Float[np.ndarray, "n_operators n_stimuli n_stimuli"], responses: Responses
) -> Float[np.ndarray, "n_operators n_neuroids"]:
    """Correlate the predictions of operators (`loo_operators`, `murine.encoding.pls.pls_operators`) with responses.

    Responses are standardised once for all; products are taken in float32, which leaves r within 1e-5."""
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
    """`correlate_predictions` with the stimuli of the responses relabelled, mean over the neurons of each group.

    Stimulus i gets the responses to stimulus ``relabellings[b, i]``. Responses stay where they are, and are
    standardised once; operators are relabelled instead."""
    operators = (operators - operators.mean(axis=1, keepdims=True)).astype(np.float32)
    standardised = unit_length(responses).astype(np.float32)
    n_neuroids, n_stimuli = standardised.shape
    places = relabellings.argsort(axis=1)
    draws = np.empty((len(places), len(operators), len(groups)), np.float32)
    step = 8  # predictions of so many at once: large enough for BLAS, small enough for a cache
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
