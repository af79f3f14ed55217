"""Partial least squares regression from the features of a layer to neurons, by the layer's n x n kernel.

The scores T of PLS2 depend on features and responses only through their products between stimuli, and predictions are
T T'Y: so the features may be replaced by their principal coordinates (at most n - 1), the responses of thousands of
neurons by one n x n matrix, and each component is one leading eigenvector. scikit-learn's `PLSRegression` (NIPALS)
iterates towards the same vectors, and stops short of them at its default tolerance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import eigh

from murine.comparison.encoding import HeldOut, Kernel, Kernels, Responses, Split, check_sizes, splits, unit_length
from murine.comparison.spectrum import Spectrum, varies
from murine.errors import MurineError

#: Components of Conwell et al. (2021), and of mouse-vision and Brain-Score.
COMPONENTS = (10, 25)


def pls_cv(
    kernel: Kernel,
    responses: Responses,
    folds: Any,
    n_components: Sequence[int] = COMPONENTS,
    *,
    scale: bool = True,
    relative: bool = False,
) -> Float[np.ndarray, "n_choices n_neuroids n_stimuli"]:
    """Predict held-out stimuli by PLS from all neurons at once, for some numbers of components from one fit.

    In each fold this is, run to convergence, scikit-learn's ``PLSRegression(n_components, scale=False)`` from the
    features as they are to all neurons given; with ``scale=True`` (its default) each neuron is divided by its SD over
    the training stimuli before, as ``PLSRegression(scale=True)`` does. That divides units as well, which no kernel can
    follow: for it use `murine.comparison.estimators.PLS`, which takes features.

    Parameters
    ----------
    kernel
        Gram matrix of the features, centred over stimuli or not.
    responses
        (n_neuroids, n_stimuli). All neurons share components: give those of one site for a fit of its own. Neurons with
        NaN take no part and get NaN.
    folds
        As in `murine.comparison.encoding.splits`.
    n_components
        Numbers of components.
    relative
        True: predictions less the mean of the training responses (`murine.comparison.encoding.ridge_loo`).

    Returns
    -------
    (n_choices, n_neuroids, n_stimuli) float64
        The mean over the folds that hold a stimulus out; NaN where none does.

    Raises
    ------
    MurineError
        With fewer than 4 stimuli, a kernel that is not finite or of features that are the same for all stimuli, or more
        components than features vary along in a fold.
    """
    responses = check_sizes(kernel, responses)
    counts = _counts(n_components)
    held_out = [HeldOut(responses) for _ in counts]
    for train, test in splits(folds, responses.shape[1]):
        scaled, deviations, products = _targets(responses, train, scale)
        for held, operator in zip(held_out, _operators(kernel, (train, test), products, counts), strict=True):
            held.add(train, test, scaled @ operator.T * deviations, relative)
    return np.stack([held.mean() for held in held_out])


def pls_correlations(
    kernels: Kernels,
    responses: Responses,
    folds: Any,
    n_components: Sequence[int] = COMPONENTS,
    *,
    scale: bool = True,
    relative: bool = False,
) -> Float[np.ndarray, "n_layers n_choices n_neuroids"]:
    """Correlate `pls_cv` predictions with responses, for every layer, number of components and neuron: Pearson's r.

    What only the responses need is done once for all layers. Predictions are taken in float32, which leaves r within
    1e-5. Every stimulus must be held out once.

    Returns
    -------
    (n_layers, n_choices, n_neuroids) float64
        NaN for layers with NaN in their kernel or with features that are the same for all stimuli, and for neurons
        with NaN or with one response to all stimuli.
    """
    responses = check_sizes(kernels[0], responses)
    counts = _counts(n_components)
    n_stimuli = responses.shape[1]
    parts = splits(folds, n_stimuli)
    if not np.array_equal(np.sort(np.concatenate([test for _, test in parts])), np.arange(n_stimuli)):
        raise MurineError("Folds that hold a stimulus out never or more than once; use `pls_cv` for these.")
    targets = [_targets(responses, train, scale) for train, _ in parts]
    scales = np.sqrt(((responses - responses.mean(axis=1, keepdims=True)) ** 2).sum(axis=1, keepdims=True))
    standardised = unit_length(responses).astype(np.float32)
    # Responses less their mean, on one scale: predictions differ from the true ones by a shift and factor per neuron.
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = [(values * deviations / scales).astype(np.float32) for values, deviations, _ in targets]
    shifts = [standardised[:, train].mean(axis=1, keepdims=True) * (not relative) for train, _ in parts]
    found = np.full((len(kernels), len(counts), len(responses)), np.nan)
    predictions = np.empty((len(counts), *responses.shape), np.float32)
    for kernel, scores in zip(kernels, found, strict=True):
        if not varies(kernel):
            continue
        for part, values, shift, target in zip(parts, scaled, shifts, targets, strict=True):
            for prediction, operator in zip(predictions, _operators(kernel, part, target[2], counts), strict=True):
                prediction[:, part[1]] = values @ operator.T.astype(np.float32) + shift
        predictions -= predictions.mean(axis=2, keepdims=True)
        power = np.einsum("cij,cij->ci", predictions, predictions)
        with np.errstate(invalid="ignore", divide="ignore"):
            scores[:] = np.einsum("cij,ij->ci", predictions, standardised) / np.sqrt(power)
    return np.clip(found, -1, 1, out=found)


def components(
    coordinates: Float[np.ndarray, "n_train n_directions"],
    others: Float[np.ndarray, "n_test n_directions"],
    products: Float[np.ndarray, "n_train n_train"],
    n_components: int,
) -> tuple[Float[np.ndarray, "n_components n_train"], Float[np.ndarray, "n_components n_test"]]:
    """Scores of PLS: those of the training stimuli, of length 1, and those of other stimuli on the same scale.

    Parameters
    ----------
    coordinates, others
        Features of training and other stimuli in any orthonormal basis, less the mean over training stimuli.
    products
        YY' of the responses to the training stimuli, less their mean.
    """
    coordinates, others = coordinates.copy(), others.copy()
    covariances = coordinates.T @ products @ coordinates
    scores = np.empty((n_components, len(coordinates)))
    other_scores = np.empty((n_components, len(others)))
    last = len(covariances) - 1
    for score, other in zip(scores, other_scores, strict=True):
        weights = eigh(covariances, subset_by_index=(last, last), check_finite=False)[1][:, 0]
        score[:] = coordinates @ weights
        length = np.linalg.norm(score)
        score /= length
        other[:] = others @ weights / length
        loadings = score @ coordinates
        shared = products @ score
        across = shared @ coordinates
        coordinates -= np.outer(score, loadings)
        others -= np.outer(other, loadings)
        update = np.outer(across - 0.5 * (shared @ score) * loadings, loadings)
        covariances -= update
        covariances -= update.T
    return scores, other_scores


def _operators(
    kernel: Kernel, part: Split, products: Float[np.ndarray, "n_train n_train"], counts: Sequence[int]
) -> list[Float[np.ndarray, "n_test n_train"]]:
    """For each number of components the matrix from training responses (less mean) to predictions (less mean)."""
    train, test = part
    inner = kernel[np.ix_(train, train)]
    spectrum = Spectrum.of_kernel(inner, "none")
    varied = spectrum.values > 0
    if max(counts) > varied.sum():
        raise MurineError(
            f"{max(counts)} components were asked for, but the features vary along {varied.sum()} directions over the "
            f"{len(train)} training stimuli; use at most as many components."
        )
    vectors, lengths = spectrum.vectors[:, varied], np.sqrt(spectrum.values[varied])
    others = (kernel[np.ix_(test, train)] - inner.mean(axis=0)) @ vectors / lengths
    scores, other_scores = components(vectors * lengths, others, products, max(counts))
    return [other_scores[:count].T @ scores[:count] for count in counts]


def _targets(
    responses: Responses, train: Int[np.ndarray, " n_train"], scale: bool
) -> tuple[Float[np.ndarray, "n_neuroids n_train"], Float[np.ndarray, "n_neuroids 1"], np.ndarray]:
    """Training responses less their mean over their SD, the SD, and the products between stimuli."""
    values = HeldOut(responses).relative(train)
    deviations = np.ones((len(values), 1))
    if scale:
        deviations = values.std(axis=1, ddof=1, keepdims=True)
        deviations[deviations == 0] = 1
        values = values / deviations
    known = values[np.isfinite(values).all(axis=1)]
    if len(known) == 0 or not known.any():
        raise MurineError("No neuron has responses that are finite and differ between training stimuli.")
    return values, deviations, known.T @ known


def _counts(n_components: Sequence[int]) -> list[int]:
    counts = [int(count) for count in n_components]
    if not counts or min(counts) < 1:
        raise MurineError(f"Numbers of components {list(n_components)}; expected at least one, each 1 or more.")
    return counts
