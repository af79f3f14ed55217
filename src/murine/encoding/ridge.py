"""Ridge regression from the features of a layer to the responses of neurons, computed from the kernel of the layer.

Ridge from any number of units needs only the products of the features of every two stimuli. One eigendecomposition of
these (`murine.encoding.ridge_spectrum`) serves all neurons, all penalties and all left-out stimuli.

Responses are (n_neuroids, n_stimuli), as in `murine.cortex.recording.Recording`. A neuron with NaN gets NaN
predictions. A kernel with NaN is refused; in a stack of kernels it gives NaN. Scores of predictions are in
`murine.encoding.prediction_scores`, noise ceilings in `murine.encoding.neuron_ceilings`.
"""

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
    """Predict the response to each stimulus by ridge on all other stimuli (leave-one-out), in closed form.

    With H the matrix from responses to fitted responses (with an intercept that is not penalised), the prediction of
    stimulus i is y_i - (y_i - (Hy)_i) / (1 - H_ii). This equals fitting n times on features that were scaled once, on
    all stimuli, as Conwell et al. (2021) do.

    Parameters
    ----------
    kernel
        (n_stimuli, n_stimuli): Gram matrix of the features, centred over stimuli or not.
    responses
        (n_neuroids, n_stimuli), any unit. Neurons with NaN get NaN.
    alpha
        Penalty on squared weights, above 0, in units that ``scale`` sets.
    scale, n_features
        How features are scaled, and how many features they count as (unused with ``none``); see
        `murine.encoding.ridge_spectrum.Scale`.
    relative
        True returns predictions less the mean of the responses they were fitted to. That mean is high where the
        left-out response is low, so it makes the correlations of a layer without information negative. Without it, the
        covariance of predictions and responses is exactly 0 on average over all orders of the stimuli.

    Returns
    -------
    predictions
        (n_neuroids, n_stimuli) float64, in the unit of the responses.

    Raises
    ------
    MurineError
        If there are fewer than 4 stimuli, the kernel is not finite or the same for all stimuli, or the penalty is not
        above 0.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> features = rng.normal(size=(50, 10))
    >>> responses = (features @ rng.normal(size=(10, 3)) + 0.1 * rng.normal(size=(50, 3))).T
    >>> predictions = ridge_loo(features @ features.T, responses, scale="none")
    >>> bool((np.diag(np.corrcoef(predictions, responses)[:3, 3:]) > 0.99).all())
    True
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
    """Return, for every layer, the matrix from responses to `ridge_loo` predictions, both less the mean response.

    Its diagonal is zero, because no response takes part in its own prediction.

    Parameters
    ----------
    kernels
        (n_layers, n_stimuli, n_stimuli), for example from `murine.encoding.kernels.centre_layer_grams`.
    alpha, scale, n_features, relative
        As in `ridge_loo`.

    Returns
    -------
    operators
        (n_layers, n_stimuli, n_stimuli); NaN for a layer with NaN or without differences between stimuli.

    Examples
    --------
    >>> import numpy as np
    >>> features = np.random.default_rng(0).normal(size=(10, 4))
    >>> operators = ridge_loo_operators((features @ features.T)[None])
    >>> bool(np.allclose(np.diag(operators[0]), 0))
    True
    """
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

    Parameters
    ----------
    kernels
        (n_layers, n_stimuli, n_stimuli).
    responses
        (n_neuroids, n_stimuli), any unit.
    alpha, scale, n_features, relative
        As in `ridge_loo`.

    Returns
    -------
    r
        (n_layers, n_neuroids) float64; NaN for layers with NaN or without differences between stimuli, and for neurons
        with NaN or with one response to all stimuli. For the precision see
        `murine.encoding.prediction_operators.correlate_predictions`.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> features = rng.normal(size=(50, 10))
    >>> responses = (features @ rng.normal(size=(10, 2))).T
    >>> ridge_correlations((features @ features.T)[None], responses, alpha=1e-6, scale="none").round(3)
    array([[1., 1.]])
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
    """Predict held-out stimuli by ridge, with the penalty of each neuron selected within the training stimuli.

    In each fold, features are centred and scaled by the training stimuli. Of several penalties, each neuron gets the
    one with the least squared leave-one-out error among the training stimuli (`ridge_loo`). No held-out response takes
    part in this, so the scores of the predictions are not optimistic. (The least leave-one-out error itself would be.)

    Parameters
    ----------
    kernel, responses, scale, n_features, relative
        As in `ridge_loo`.
    folds
        Test stimuli of every fold (`murine.statistics.folds.kfold`), pairs of training and test stimuli, or a
        scikit-learn splitter; see `murine.encoding.cross_validation.split_stimuli`.
    alphas
        One penalty, or several to select from, above 0.

    Returns
    -------
    predictions
        (n_neuroids, n_stimuli) float64: the mean over the folds that hold a stimulus out; NaN where none does.
    chosen
        (n_folds, n_neuroids): the selected penalties; NaN for neurons with NaN.

    Raises
    ------
    MurineError
        As in `ridge_loo` and `murine.encoding.cross_validation.split_stimuli`.

    Examples
    --------
    >>> import numpy as np
    >>> from murine.statistics.folds import kfold
    >>> rng = np.random.default_rng(0)
    >>> features = rng.normal(size=(60, 10))
    >>> responses = (features @ rng.normal(size=(10, 2))).T
    >>> predictions, chosen = ridge_cv(features @ features.T, responses, kfold(60, 6, 0), [0.1, 10], scale="none")
    >>> predictions.shape, chosen[0]
    ((2, 60), array([0.1, 0.1]))
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
    """Fit ridge in the principal directions of the features, with the best penalty for each neuron.

    Parameters
    ----------
    spectrum
        Decomposition of the training features.
    responses
        (n_neuroids, n_train), less their mean over the training stimuli. Neurons with NaN get NaN.
    alphas
        (n_alphas,): penalties. Of equally good ones the first is taken.

    Returns
    -------
    weights
        (n_neuroids, n_directions): weights of ``spectrum.vectors``, to be multiplied with the products of the features
        of other stimuli with the training features.
    chosen
        (n_neuroids,): the penalty of each neuron.
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
    """Return responses less their leave-one-out predictions.

    ``along`` holds the products of the responses (less their mean) with the directions of the spectrum.
    """
    shares = spectrum.residual_shares(alpha)
    vectors = spectrum.vectors
    residuals = (along * shares) @ vectors.T
    left = vectors**2 @ shares
    n_train, n_directions = vectors.shape
    if n_directions < n_train - 1:  # fewer units than stimuli: add what the directions do not span
        residuals += responses - along @ vectors.T
        left += 1 - 1 / n_train - (vectors**2).sum(axis=1)
    return residuals / left


def _loo_operator(spectrum: Spectrum, alpha: float, relative: bool) -> Kernel:
    """Return the matrix from responses less their mean to leave-one-out predictions less that mean."""
    n_stimuli = len(spectrum.vectors)
    residual = (spectrum.vectors * spectrum.residual_shares(alpha)) @ spectrum.vectors.T
    operator = np.eye(n_stimuli) - residual / np.diag(residual)[:, None]
    if relative:  # subtract the mean of the other responses, less the mean of all
        operator -= (1 - np.eye(n_stimuli)) / (n_stimuli - 1)
    return operator


def check_penalties(alphas: ArrayLike) -> Float[np.ndarray, " n_alphas"]:
    """Return penalties as a float64 array; refuse those that are not above 0."""
    grid = np.atleast_1d(np.asarray(alphas, dtype=np.float64))
    if grid.ndim > 1 or len(grid) == 0 or not (np.isfinite(grid).all() and (grid > 0).all()):
        raise MurineError(f"Penalties {alphas!r}; expected one number above 0, or a list of them.")
    return grid


def _check_penalty(alpha: float) -> float:
    if np.ndim(alpha):
        raise MurineError(f"Penalty {alpha!r}; expected one number (`ridge_cv` takes several).")
    return float(check_penalties(alpha)[0])
