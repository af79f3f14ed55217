"""Partial least squares (PLS) regression from a layer to neurons, computed from the kernel of the layer.

The scores T of PLS2 depend on features and responses only through products between stimuli, and predictions are T T'Y.
So features may be replaced by their principal coordinates (at most n - 1), and the responses of thousands of neurons by
one n x n matrix. Each component is one leading eigenvector (`murine.encoding.pls_components`). scikit-learn's
`PLSRegression` (NIPALS) iterates towards the same vectors, but stops early at its default tolerance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from murine.encoding.cross_validation import Split, split_stimuli
from murine.encoding.kernels import (
    Kernel,
    Kernels,
    Responses,
    check_shapes,
    check_variance,
    has_variance,
)
from murine.encoding.prediction_operators import correlate_predictions
from murine.encoding.ridge_spectrum import Spectrum
from murine.errors import MurineError

#: Numbers of components: that of Conwell et al. (2021), and that of mouse-vision and Brain-Score.
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
    """Predict held-out stimuli by PLS to all neurons at once, for several numbers of components from one fit.

    In each fold this equals scikit-learn's ``PLSRegression(n_components, scale=False)`` run to convergence. With
    ``scale=True`` (its default), each neuron is first divided by its SD over the training stimuli, as
    ``PLSRegression(scale=True)`` does. That also divides units by their SD, which a kernel does not allow: use
    `murine.encoding.estimators.PLSRegressor` for it, which takes features.

    Parameters
    ----------
    kernel
        (n_stimuli, n_stimuli): Gram matrix of the features, centred over stimuli or not.
    responses
        (n_neuroids, n_stimuli), any unit. All neurons share components: give the neurons of one site for a fit of its
        own. Neurons with NaN take no part and get NaN.
    folds
        As in `murine.encoding.cross_validation.split_stimuli`.
    n_components
        Numbers of components.
    scale
        Divide each neuron by its SD over the training stimuli.
    relative
        True returns predictions less the mean of the training responses (`murine.encoding.ridge.ridge_loo`).

    Returns
    -------
    predictions
        (n_choices, n_neuroids, n_stimuli) float64: the mean over the folds that hold a stimulus out; NaN where none
        does.

    Raises
    ------
    MurineError
        If there are fewer than 4 stimuli, the kernel is not finite or the same for all stimuli, or more components are
        asked for than the features have directions in a fold.

    Examples
    --------
    >>> import numpy as np
    >>> from murine.statistics.folds import kfold
    >>> rng = np.random.default_rng(0)
    >>> features = rng.normal(size=(60, 10))
    >>> responses = (features @ rng.normal(size=(10, 5))).T
    >>> pls_cv(features @ features.T, responses, kfold(60, 6, 0), n_components=(2, 5)).shape
    (2, 5, 60)
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
    """Return the matrix from responses to `pls_cv` predictions, for every layer and number of components.

    Both are less the mean response. The responses shape the components that all neurons share; given these, predictions
    are linear in the responses of each neuron.

    Parameters
    ----------
    kernels
        (n_layers, n_stimuli, n_stimuli).
    responses, folds, n_components, scale, relative
        As in `pls_cv`.
    at_most
        True takes all directions of a layer that has fewer than the components asked for; False refuses it.

    Returns
    -------
    operators
        (n_layers, n_choices, n_stimuli, n_stimuli). NaN in rows of stimuli that no fold holds out, for layers with NaN
        or without differences between stimuli, and for all layers where in some fold no neuron has finite responses
        that vary.

    Examples
    --------
    >>> import numpy as np
    >>> from murine.statistics.folds import kfold
    >>> rng = np.random.default_rng(0)
    >>> features = rng.normal(size=(12, 10))
    >>> responses = (features @ rng.normal(size=(10, 5))).T
    >>> pls_operators((features @ features.T)[None], responses, kfold(12, 3, 0), (2,)).shape
    (1, 1, 12, 12)
    """
    layers = PLSFolds(kernels, folds, at_most=at_most)
    return layers.operators(responses, n_components, scale=scale, relative=relative)


class PLSFolds:
    """Layers prepared for PLS: principal directions of the training stimuli of every fold, to be fitted to many
    populations.

    Parameters
    ----------
    kernels, folds, at_most
        As in `pls_operators`.

    Examples
    --------
    >>> import numpy as np
    >>> from murine.statistics.folds import kfold
    >>> rng = np.random.default_rng(0)
    >>> features = rng.normal(size=(12, 10))
    >>> layers = PLSFolds((features @ features.T)[None], kfold(12, 3, 0))
    >>> layers.operators(rng.normal(size=(5, 12)), n_components=(2,)).shape
    (1, 1, 12, 12)
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
        """Return the `pls_operators` of one population."""
        n_layers, n_stimuli, _ = self._shape
        if responses.shape[1] != n_stimuli:
            raise MurineError(f"Responses to {responses.shape[1]} stimuli do not fit kernels of {n_stimuli}.")
        responses = responses.astype(np.float64, copy=False)
        counts = [int(count) for count in n_components]
        if not counts or min(counts) < 1:
            raise MurineError(f"Numbers of components {counts}; expected at least one, each 1 or more.")
        reduced = [_reduce_responses(responses[:, train], scale) for train, _ in self._parts]
        targets = [rows for rows in reduced if rows is not None]
        tested = np.concatenate([np.unique(test) for _, test in self._parts])
        times = np.bincount(tested, minlength=n_stimuli).astype(float)
        times[times == 0] = np.nan
        operators = np.full((n_layers, len(counts), n_stimuli, n_stimuli), np.nan)
        if len(targets) < len(reduced):  # some fold has no responses to learn from
            return operators
        for layer, found in zip(self._layers, operators, strict=True):
            if layer is None:
                continue
            found[:] = 0
            for (train, test), rows, directions in zip(self._parts, targets, layer, strict=True):
                block = test[:, None], train
                for total, inner in zip(found, directions.operators(rows, counts, self._at_most), strict=True):
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

    Parameters
    ----------
    kernels
        (n_layers, n_stimuli, n_stimuli).
    responses, folds, n_components, scale, relative
        As in `pls_cv`.

    Returns
    -------
    r
        (n_layers, n_choices, n_neuroids) float64. NaN for layers with NaN or without differences between stimuli, for
        neurons with NaN or with one response to all stimuli, and everywhere if a stimulus is in no test fold. For the
        precision see `murine.encoding.prediction_operators.correlate_predictions`.

    Examples
    --------
    >>> import numpy as np
    >>> from murine.statistics.folds import kfold
    >>> rng = np.random.default_rng(0)
    >>> features = rng.normal(size=(60, 10))
    >>> responses = (features @ rng.normal(size=(10, 2))).T
    >>> pls_correlations((features @ features.T)[None], responses, kfold(60, 6, 0), (10,)).round(3)
    array([[[1., 1.]]])
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
    """Return the PLS scores of the training stimuli, of length 1, and of other stimuli on the same scale.

    Scores are zero from the component on before which the responses are fully explained.

    Parameters
    ----------
    coordinates, others
        (n_train, n_directions) and (n_test, n_directions): features of training and other stimuli in the principal
        directions of the former, less the mean over training stimuli. The columns of ``coordinates`` are orthogonal,
        and none is zero.
    responses
        (n_neuroids, n_train): responses to the training stimuli less their mean, or other rows with the same products
        between stimuli.
    """
    from murine.encoding.pls_components import pls_rotations

    powers = np.einsum("ij,ij->j", coordinates, coordinates)
    along = responses @ coordinates
    rotated = pls_rotations(along.T @ along, powers, n_components)
    return rotated @ coordinates.T, rotated @ others.T


@dataclass(frozen=True, eq=False)
class _Directions:
    """The features of a layer in the principal directions of the training stimuli of one fold."""

    training: Float[np.ndarray, "n_train n_directions"]
    others: Float[np.ndarray, "n_test n_directions"]

    @classmethod
    def of(cls, kernel: Kernel, part: Split) -> _Directions:
        """Decompose the kernel of the training stimuli, and project the test stimuli."""
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
        """Return the matrix from training responses to predictions (less the mean), for each number of components."""
        n_train, n_directions = self.training.shape
        if at_most:
            counts = [min(count, n_directions) for count in counts]
        if max(counts) > n_directions:
            raise MurineError(
                f"{max(counts)} components were asked for, but the features vary along {n_directions} directions over "
                f"the {n_train} training stimuli; use at most as many components."
            )
        scores, other_scores = pls_scores(self.training, self.others, responses, max(counts))
        # Scores have mean 0 over training stimuli, so the responses need not have it.
        return [other_scores[:count].T @ scores[:count] for count in counts]


def _reduce_responses(
    responses: Float[np.ndarray, "n_neuroids n_train"], scale: bool
) -> Float[np.ndarray, "n_rows n_train"] | None:
    """Return training responses less their mean (over their SD with ``scale``), reduced to at most n_train rows.

    The rows have the same products between stimuli. None where no neuron has finite responses that differ.
    """
    known = responses[np.isfinite(responses).all(axis=1)]
    known = known - known.mean(axis=1, keepdims=True)
    if scale:
        deviations = known.std(axis=1, ddof=1, keepdims=True)
        known /= np.where(deviations > 0, deviations, 1)
    if not known.any():
        return None
    return np.asarray(np.linalg.qr(known, mode="r"))
