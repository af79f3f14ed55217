"""Partial least squares regression from the features of a layer to neurons, by the layer's n x n kernel.

The scores T of PLS2 depend on features and responses only through their products between stimuli, and predictions are
T T'Y: so the features may be replaced by their principal coordinates (at most n - 1), the responses of thousands of
neurons by one n x n matrix, and each component is one leading eigenvector (`murine.encoding.pls_components`).
scikit-learn's `PLSRegression` (NIPALS) iterates towards the same vectors, and stops short of them at its default
tolerance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from murine.encoding.cross_validation import Split, split_stimuli
from murine.encoding.kernels import Kernel, Kernels, Responses, check_shapes, check_variance, has_variance
from murine.encoding.prediction_operators import correlate_predictions
from murine.encoding.ridge_spectrum import Spectrum
from murine.errors import MurineError

#: Components of Conwell et al. (2021), and of mouse-vision and Brain-Score.
N_COMPONENTS = (10, 25)


def pls_cv(
    kernel: Kernel,
    responses: Responses,
    folds: Any,
    n_components: Sequence[int] = N_COMPONENTS,
    *,
    scale: bool = True,
    relative: bool = False,
) -> Float[np.ndarray, "n_choices n_neuroids n_stimuli"]:
    """Predict held-out stimuli by PLS from all neurons at once, for some numbers of components from one fit.

    In each fold this is, run to convergence, scikit-learn's ``PLSRegression(n_components, scale=False)`` from the
    features as they are to all neurons given; with ``scale=True`` (its default) each neuron is divided by its SD over
    the training stimuli before, as ``PLSRegression(scale=True)`` does. That divides units as well, which no kernel can
    follow: for it use `murine.encoding.estimators.PLSRegressor`, which takes features.

    Parameters
    ----------
    kernel
        Gram matrix of the features, centred over stimuli or not.
    responses
        (n_neuroids, n_stimuli). All neurons share components: give those of one site for a fit of its own. Neurons with
        NaN take no part and get NaN.
    folds
        As in `murine.encoding.cross_validation.split_stimuli`.
    n_components
        Numbers of components.
    relative
        True: predictions less the mean of the training responses (`murine.encoding.ridge.ridge_loo`).

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
    responses = check_shapes(kernel, responses)
    check_variance(kernel)
    operators = pls_operators(kernel[None], responses, folds, n_components, scale=scale, relative=relative)[0]
    means = responses.mean(axis=1, keepdims=True)
    predictions = (responses - means) @ operators.transpose(0, 2, 1)
    return predictions if relative else predictions + means


def pls_operators(
    kernels: Kernels,
    responses: Responses,
    folds: Any,
    n_components: Sequence[int] = N_COMPONENTS,
    *,
    scale: bool = True,
    relative: bool = False,
    at_most: bool = False,
) -> Float[np.ndarray, "n_layers n_choices n_stimuli n_stimuli"]:
    """For every layer and number of components the matrix from responses to `pls_cv` predictions, both less the mean.

    Responses shape the components all neurons share; given these, predictions are linear in each neuron's responses.
    Rows of stimuli that no fold holds out are NaN, as are layers with NaN in their kernel or with features that are the
    same for all stimuli, and all layers where no neuron has finite responses that differ between the training stimuli
    of some fold. ``at_most`` takes as many components as there are directions that features vary along where more are
    asked for, which is refused otherwise."""
    layers = PLSFolds(kernels, folds, at_most=at_most)
    return layers.operators(responses, n_components, scale=scale, relative=relative)


class PLSFolds:
    """Layers in the principal directions of the training stimuli of every fold, to be fitted to many populations.

    Parameters
    ----------
    kernels, folds, at_most
        As in `pls_operators`.
    """

    def __init__(self, kernels: Kernels, folds: Any, *, at_most: bool = False) -> None:
        self._shape, self._at_most = kernels.shape, at_most
        self._parts = split_stimuli(folds, kernels.shape[1])
        self._layers = [
            [_Directions.of(kernel, part) for part in self._parts] if has_variance(kernel) else None
            for kernel in kernels
        ]

    def operators(
        self,
        responses: Responses,
        n_components: Sequence[int] = N_COMPONENTS,
        *,
        scale: bool = True,
        relative: bool = False,
    ) -> Float[np.ndarray, "n_layers n_choices n_stimuli n_stimuli"]:
        """`pls_operators` of one population."""
        n_layers, n_stimuli, _ = self._shape
        if responses.shape[1] != n_stimuli:
            raise MurineError(f"Responses to {responses.shape[1]} stimuli do not fit kernels of {n_stimuli}.")
        responses = responses.astype(np.float64, copy=False)
        counts = [int(count) for count in n_components]
        if not counts or min(counts) < 1:
            raise MurineError(f"Numbers of components {counts}; expected at least one, each 1 or more.")
        reduced = [_reduce_responses(responses[:, train], scale) for train, _ in self._parts]
        shown = [own for own in reduced if own is not None]
        tested = np.concatenate([np.unique(test) for _, test in self._parts])
        times = np.bincount(tested, minlength=n_stimuli).astype(float)
        times[times == 0] = np.nan
        operators = np.full((n_layers, len(counts), n_stimuli, n_stimuli), np.nan)
        if len(shown) < len(reduced):  # nothing to learn from in a fold
            return operators
        for layer, found in zip(self._layers, operators, strict=True):
            if layer is None:
                continue
            found[:] = 0
            for (train, test), own, directions in zip(self._parts, shown, layer, strict=True):
                block = test[:, None], train
                for total, inner in zip(found, directions.operators(own, counts, self._at_most), strict=True):
                    total[block] += inner if relative else inner + 1 / len(train)
            found /= times[:, None]
        return operators


def pls_correlations(
    kernels: Kernels,
    responses: Responses,
    folds: Any,
    n_components: Sequence[int] = N_COMPONENTS,
    *,
    scale: bool = True,
    relative: bool = False,
) -> Float[np.ndarray, "n_layers n_choices n_neuroids"]:
    """Correlate `pls_cv` predictions with responses, for every layer, number of components and neuron: Pearson's r.

    Returns
    -------
    (n_layers, n_choices, n_neuroids) float64
        NaN for layers with NaN in their kernel or with features that are the same for all stimuli, for neurons with
        NaN or with one response to all stimuli, and throughout where folds leave a stimulus out of every test.
        See `murine.encoding.prediction_operators.correlate_predictions` for its precision.
    """
    operators = pls_operators(kernels, responses, folds, n_components, scale=scale, relative=relative)
    n_layers, n_choices, n_stimuli, _ = operators.shape
    scores = correlate_predictions(operators.reshape(-1, n_stimuli, n_stimuli), responses)
    return scores.reshape(n_layers, n_choices, -1)


def pls_scores(
    coordinates: Float[np.ndarray, "n_train n_directions"],
    others: Float[np.ndarray, "n_test n_directions"],
    responses: Float[np.ndarray, "n_neuroids n_train"],
    n_components: int,
) -> tuple[Float[np.ndarray, "n_components n_train"], Float[np.ndarray, "n_components n_test"]]:
    """Scores of PLS: those of the training stimuli, of length 1, and those of other stimuli on the same scale.

    Zero from the component on before which responses are explained but for rounding.

    Parameters
    ----------
    coordinates, others
        Features of training and other stimuli in the principal directions of the former, less the mean over training
        stimuli: columns of ``coordinates`` are at right angles to each other, and none is zero.
    responses
        To the training stimuli, less their mean; or less rows that have the same products between stimuli.
    """
    from murine.encoding.pls_components import pls_rotations

    powers = np.einsum("ij,ij->j", coordinates, coordinates)
    along = responses @ coordinates
    rotated = pls_rotations(along.T @ along, powers, n_components)
    return rotated @ coordinates.T, rotated @ others.T


@dataclass(frozen=True, eq=False)
class _Directions:
    """A layer's features in the principal directions of the training stimuli of one fold."""

    training: Float[np.ndarray, "n_train n_directions"]
    others: Float[np.ndarray, "n_test n_directions"]

    @classmethod
    def of(cls, kernel: Kernel, part: Split) -> _Directions:
        train, test = part
        inner = kernel[np.ix_(train, train)]
        spectrum = Spectrum.of_kernel(inner, "none")
        varied = spectrum.values > 0
        vectors, lengths = spectrum.vectors[:, varied], np.sqrt(spectrum.values[varied])
        others = (kernel[np.ix_(test, train)] - inner.mean(axis=0)) @ vectors / lengths
        return cls(vectors * lengths, others)

    def operators(
        self, responses: Float[np.ndarray, "n_neuroids n_train"], counts: Sequence[int], at_most: bool
    ) -> list[Float[np.ndarray, "n_test n_train"]]:
        """For each number of components the matrix from training responses (less mean) to predictions (less mean)."""
        n_train, n_directions = self.training.shape
        if at_most:
            counts = [min(count, n_directions) for count in counts]
        if max(counts) > n_directions:
            raise MurineError(
                f"{max(counts)} components were asked for, but the features vary along {n_directions} directions over "
                f"the {n_train} training stimuli; use at most as many components."
            )
        scores, other_scores = pls_scores(self.training, self.others, responses, max(counts))
        # Scores have mean 0 over training stimuli, so responses need not.
        return [other_scores[:count].T @ scores[:count] for count in counts]


def _reduce_responses(
    responses: Float[np.ndarray, "n_neuroids n_train"], scale: bool
) -> Float[np.ndarray, "n_rows n_train"] | None:
    """Training responses less their mean, over their SD with `scale`; of many neurons as few rows as do. None where no
    neuron has responses that are finite and differ."""
    known = responses[np.isfinite(responses).all(axis=1)]
    known = known - known.mean(axis=1, keepdims=True)
    if scale:
        deviations = known.std(axis=1, ddof=1, keepdims=True)
        known /= np.where(deviations > 0, deviations, 1)
    if not known.any():
        return None
    return np.asarray(np.linalg.qr(known, mode="r"))
