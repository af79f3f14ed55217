"""Ridge regression from the features of a layer to neurons, by the layer's n x n kernel alone.

Ridge from any number of units needs only their products between stimuli; with one eigendecomposition of these
(`murine.encoding.ridge_spectrum`) every neuron, every penalty and every stimulus left out is a matrix product away.

Responses are (n_neuroids, n_stimuli), as `murine.cortex.recording.Recording` has them. A neuron with NaN has NaN
predictions; kernels with NaN are refused, or in stacks give NaN. Scores of predictions are in
`murine.encoding.prediction_scores`."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from murine.encoding.cross_validation import HeldOutPredictions, split_stimuli
from murine.encoding.kernels import Kernel, Kernels, Responses, check_shapes, has_variance
from murine.encoding.prediction_operators import correlate_predictions
from murine.encoding.ridge_spectrum import N_PROJECTED, Scale, Spectrum
from murine.errors import MurineError


def ridge_loo(
    kernel: Kernel,
    responses: Responses,
    alpha: float = 1.0,
    *,
    scale: Scale = "projection",
    n_features: int = N_PROJECTED,
    relative: bool = False,
) -> Float[np.ndarray, "n_neuroids n_stimuli"]:
    """Predict the response to each stimulus by ridge on all others, for all neurons at once, in closed form.

    With H the matrix from responses to fitted responses (with an intercept that is not penalised), the prediction
    without stimulus i is y_i - (y_i - (Hy)_i) / (1 - H_ii): the same as refitting n times on features that were scaled
    once, on all stimuli, as Conwell et al. (2021) do (papers.md 3.3).

    Parameters
    ----------
    kernel
        Gram matrix of the features, centred over stimuli or not.
    responses
        (n_neuroids, n_stimuli), in any unit. Neurons with NaN get NaN.
    alpha
        Penalty on squared weights, in units that `scale` sets; above 0.
    scale, n_features
        How features are scaled, and how many they count as then (unused with ``none``):
        `murine.encoding.ridge_spectrum.Scale`.
    relative
        True: return predictions less the mean of the responses each was fitted to. That mean is high where the
        response left out is low, and so makes correlations of a layer that says nothing negative. Without it the
        covariance of predictions and responses is exactly 0 in the mean over all orders of the stimuli.

    Returns
    -------
    (n_neuroids, n_stimuli) float64

    Raises
    ------
    MurineError
        With fewer than 4 stimuli, a kernel that is not finite or of features that are the same for all stimuli, or a
        penalty that is not above 0.
    """
    responses = check_shapes(kernel, responses)
    operator = _loo_operator(Spectrum.of_kernel(kernel, scale, n_features), _check_penalty(alpha), relative)
    means = responses.mean(axis=1, keepdims=True)
    predictions = (responses - means) @ operator.T
    return predictions if relative else predictions + means


def ridge_loo_operators(
    kernels: Kernels,
    alpha: float = 1.0,
    *,
    scale: Scale = "projection",
    n_features: int = N_PROJECTED,
    relative: bool = False,
) -> Kernels:
    """For every layer the matrix from responses (any neuron's, less their mean) to `ridge_loo` predictions (less it).

    Its diagonal is zero: no response takes part in its own prediction. A layer with NaN in its kernel, or with features
    that are the same for all stimuli, has NaN."""
    operators = np.full(kernels.shape, np.nan)
    for kernel, operator in zip(kernels, operators, strict=True):
        if has_variance(kernel):
            operator[:] = _loo_operator(Spectrum.of_kernel(kernel, scale, n_features), _check_penalty(alpha), relative)
    return operators


def ridge_correlations(
    kernels: Kernels,
    responses: Responses,
    alpha: float = 1.0,
    *,
    scale: Scale = "projection",
    n_features: int = N_PROJECTED,
    relative: bool = False,
) -> Float[np.ndarray, "n_layers n_neuroids"]:
    """Correlate `ridge_loo` predictions with responses, for every layer and neuron: Pearson's r.

    Returns
    -------
    (n_layers, n_neuroids) float64
        NaN for layers with NaN in their kernel or with features that are the same for all stimuli, and for neurons
        with NaN or with one response to all stimuli. See `correlate` for its precision.
    """
    responses = check_shapes(kernels[0], responses)
    return correlate_predictions(
        ridge_loo_operators(kernels, alpha, scale=scale, n_features=n_features, relative=relative), responses
    )


def ridge_cv(
    kernel: Kernel,
    responses: Responses,
    folds: Any,
    alphas: ArrayLike = 1.0,
    *,
    scale: Scale = "projection",
    n_features: int = N_PROJECTED,
    relative: bool = False,
) -> tuple[Float[np.ndarray, "n_neuroids n_stimuli"], Float[np.ndarray, "n_folds n_neuroids"]]:
    """Predict held-out stimuli by ridge, the penalty of every neuron chosen within the training stimuli.

    In each fold features are centred and scaled by the training stimuli, and of several penalties each neuron gets the
    one with the least squared leave-one-out error among them (`ridge_loo`). No held-out response takes part, so scores
    of the predictions are not optimistic; the least leave-one-out error, being a minimum, would be.

    Parameters
    ----------
    folds
        Test stimuli of every fold (`murine.statistics.folds.kfold`), pairs of training and test stimuli, or a
        scikit-learn splitter (see `splits`).
    alphas
        One penalty or several to choose from, above 0.

    The other parameters, and what is refused, are as in `ridge_loo`.

    Returns
    -------
    predictions
        (n_neuroids, n_stimuli) float64: the mean over the folds that hold a stimulus out; NaN where none does.
    chosen
        (n_folds, n_neuroids) penalties; NaN for neurons with NaN.
    """
    responses = check_shapes(kernel, responses)
    grid = check_penalties(alphas)
    predictions = HeldOutPredictions(responses)
    chosen = []
    for train, test in split_stimuli(folds, responses.shape[1]):
        inner = kernel[np.ix_(train, train)]
        spectrum = Spectrum.of_kernel(inner, scale, n_features)
        weights, best = fit_ridge_directions(spectrum, predictions.relative(train), grid)
        across = (kernel[np.ix_(test, train)] - inner.mean(axis=0)) @ spectrum.vectors
        predictions.add(train, test, weights @ across.T, relative)
        chosen.append(best)
    return predictions.mean(), np.array(chosen)


def fit_ridge_directions(
    spectrum: Spectrum,
    responses: Float[np.ndarray, "n_neuroids n_train"],
    alphas: Float[np.ndarray, " n_alphas"],
) -> tuple[Float[np.ndarray, "n_neuroids n_directions"], Float[np.ndarray, " n_neuroids"]]:
    """Fit ridge in the principal directions, with the best of some penalties by leave-one-out error for each neuron.

    Parameters
    ----------
    responses
        Less their mean over training stimuli. Neurons with NaN get NaN.
    alphas
        Of equally good ones the first is taken.

    Returns
    -------
    weights
        On the products of other stimuli's features with the training features and `spectrum.vectors`.
    chosen
        The penalty of each neuron.
    """
    along = responses @ spectrum.vectors
    if len(alphas) == 1:
        return along * spectrum.weights(alphas[0]), np.where(np.isnan(along[:, :1]).any(axis=1), np.nan, alphas[0])
    errors = np.stack([(_loo_residuals(spectrum, responses, along, alpha) ** 2).sum(axis=1) for alpha in alphas])
    best = errors.argmin(axis=0)
    weights = along * np.stack([spectrum.weights(alpha) for alpha in alphas])[best]
    return weights, np.where(np.isnan(errors).any(axis=0), np.nan, alphas[best])


def _loo_residuals(
    spectrum: Spectrum,
    responses: Float[np.ndarray, "n_neuroids n_train"],
    along: Float[np.ndarray, "n_neuroids n_directions"],
    alpha: float,
) -> Float[np.ndarray, "n_neuroids n_train"]:
    """Responses less their leave-one-out predictions, from responses less their mean and their products with U."""
    shares = spectrum.residual_shares(alpha)
    vectors = spectrum.vectors
    residuals = (along * shares) @ vectors.T
    left = vectors**2 @ shares
    n_train, n_directions = vectors.shape
    if n_directions < n_train - 1:  # fewer units than stimuli: what the directions do not span is not fitted either
        residuals += responses - along @ vectors.T
        left += 1 - 1 / n_train - (vectors**2).sum(axis=1)
    return residuals / left


def _loo_operator(spectrum: Spectrum, alpha: float, relative: bool) -> Kernel:
    """The matrix from responses less their mean to leave-one-out predictions less that mean."""
    n_stimuli = len(spectrum.vectors)
    residual = (spectrum.vectors * spectrum.residual_shares(alpha)) @ spectrum.vectors.T
    operator = np.eye(n_stimuli) - residual / np.diag(residual)[:, None]
    if relative:  # the mean of the other responses, in terms of these less the mean of all
        operator -= (1 - np.eye(n_stimuli)) / (n_stimuli - 1)
    return operator


def check_penalties(alphas: ArrayLike) -> Float[np.ndarray, " n_alphas"]:
    """Check penalties."""
    grid = np.atleast_1d(np.asarray(alphas, dtype=np.float64))
    if grid.ndim > 1 or len(grid) == 0 or not (np.isfinite(grid).all() and (grid > 0).all()):
        raise MurineError(f"Penalties {alphas!r}; expected one number above 0, or a list of them.")
    return grid


def _check_penalty(alpha: float) -> float:
    if np.ndim(alpha):
        raise MurineError(f"Penalty {alpha!r}; expected one number (`ridge_cv` takes several).")
    return float(check_penalties(alpha)[0])
