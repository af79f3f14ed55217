"""Scores of predictions of the responses of single neurons.

Predictions and responses are (n_neuroids, n_stimuli); each neuron has its own score. Bootstrap draws of scores are in
`murine.encoding.jackknife`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32

from murine.encoding.kernels import Responses
from murine.errors import MurineError
from murine.statistics.bootstrap import MIN_STIMULI
from murine.statistics.standardisation import unit_length

PerNeuron = Float[np.ndarray, " n_neuroids"]


#: Bounds of standard deviations whose squares keep all digits in float32.
_SMALLEST, _LARGEST = 1e-15, 1e15


def correlations(predictions: Responses, responses: Responses) -> PerNeuron:
    """Return Pearson's r of predictions and responses over stimuli, for each neuron. Scale: r.

    Parameters
    ----------
    predictions, responses
        (n_neuroids, n_stimuli), any unit.

    Returns
    -------
    r
        (n_neuroids,); NaN for a neuron with NaN, or with constant predictions or responses.

    Raises
    ------
    MurineError
        If shapes differ or there are fewer than 4 stimuli.

    Examples
    --------
    >>> import numpy as np
    >>> correlations(np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([[2.0, 4.0, 6.0, 8.0]])).round(3)
    array([1.])
    """
    _check(predictions, responses)
    return np.clip(np.einsum("ij,ij->i", unit_length(predictions), unit_length(responses)), -1, 1)


def r2(predictions: Responses, responses: Responses) -> PerNeuron:
    """Return the coefficient of determination, 1 - SSE / SST, for each neuron. Scale: r2.

    SST is about the mean of the neuron over all stimuli. The score is below 0 where that mean predicts better.

    Parameters
    ----------
    predictions, responses
        (n_neuroids, n_stimuli), in the same unit.

    Returns
    -------
    r2
        (n_neuroids,); NaN for a neuron with NaN, or with constant predictions or responses.

    Raises
    ------
    MurineError
        If shapes differ or there are fewer than 4 stimuli.

    Examples
    --------
    >>> import numpy as np
    >>> r2(np.array([[1.0, 2.0, 3.0, 5.0]]), np.array([[1.0, 2.0, 3.0, 4.0]]))
    array([0.8])
    """
    _check(predictions, responses)
    return _explained_share(responses - predictions, predictions, responses)


def explained_variance(predictions: Responses, responses: Responses) -> PerNeuron:
    """Return the explained variance, 1 - var(responses - predictions) / var(responses), for each neuron. Scale: r2.

    Unlike `r2`, it does not change when a constant is added to the predictions.

    Parameters
    ----------
    predictions, responses
        (n_neuroids, n_stimuli), in the same unit.

    Returns
    -------
    share
        (n_neuroids,); NaN for a neuron with NaN, or with constant predictions or responses.

    Raises
    ------
    MurineError
        If shapes differ or there are fewer than 4 stimuli.

    Examples
    --------
    >>> import numpy as np
    >>> explained_variance(np.array([[11.0, 12.0, 13.0, 14.0]]), np.array([[1.0, 2.0, 3.0, 4.0]]))
    array([1.])
    """
    _check(predictions, responses)
    residuals = responses - predictions
    return _explained_share(residuals - residuals.mean(axis=1, keepdims=True), predictions, responses)


def _explained_share(residuals: np.ndarray, predictions: np.ndarray, responses: np.ndarray) -> PerNeuron:
    """Return one less the share of the squared deviations of responses that the residuals have."""
    flat = [np.isnan(unit_length(values)).any(axis=1) for values in (predictions, responses)]
    relative = responses - responses.mean(axis=1, keepdims=True)
    total = np.where(flat[0] | flat[1], np.nan, np.einsum("ij,ij->i", relative, relative))
    return 1 - np.einsum("ij,ij->i", residuals, residuals) / total


def _deviations(values: np.ndarray) -> tuple[Float32[np.ndarray, "n_neuroids n_stimuli"], Float32[np.ndarray, " _"]]:
    """Return values less their mean over stimuli, and their SD, in float32. Refuse neurons that have no correlation."""
    means = values.mean(axis=1, keepdims=True)
    relative = np.subtract(values, means, dtype=values.dtype).astype(np.float32, copy=False)
    sd = np.sqrt(np.einsum("ij,ij->i", relative, relative) / values.shape[1])
    extreme = ~((sd > _SMALLEST) & (sd < _LARGEST))
    if extreme.any():  # squares leave the range of float32: scale by a power of two, which changes no digit
        exponent = np.frexp(np.abs(relative[extreme]).max(axis=1))[1]
        scaled = np.ldexp(relative[extreme], -exponent[:, None])
        sd[extreme] = np.ldexp(np.sqrt(np.einsum("ij,ij->i", scaled, scaled) / values.shape[1]), exponent)
    rounding = 1e-12 if values.dtype == np.float64 else 1e-6
    lacking = ~(sd > rounding * np.abs(means[:, 0]))
    if lacking.any():
        raise MurineError(
            f"Neuron {int(lacking.argmax())} of those in sites has NaN, or constant predictions or responses, so it "
            "has no correlation; leave such neurons out of the groups."
        )
    return relative, sd


def standardise_float32(values: np.ndarray) -> Float32[np.ndarray, "n_neuroids n_stimuli"]:
    """Standardise each neuron over stimuli in float32. Refuse neurons that have no correlation."""
    relative, sd = _deviations(values)
    relative /= sd[:, None]
    return relative


def membership_matrix(groups: Sequence[np.ndarray], n_neuroids: int) -> Float32[np.ndarray, "n_groups n_neuroids"]:
    """Return a matrix that is 1 where a neuron belongs to a site and 0 elsewhere. Refuse sites without neurons."""
    members = np.zeros((len(groups), n_neuroids), np.float32)
    for k, group in enumerate(groups):
        if len(group) == 0 or group.min() < 0 or group.max() >= n_neuroids:
            raise MurineError(
                f"Site {k} has neurons {group}; expected at least one, with positions from 0 to {n_neuroids - 1}."
            )
        members[k, group] = 1
    return members


def _check(predictions: np.ndarray, responses: np.ndarray) -> None:
    if predictions.shape != responses.shape or responses.ndim != 2:
        raise MurineError(
            f"Predictions of shape {predictions.shape} and responses of shape {responses.shape}; expected the same "
            "(n_neuroids, n_stimuli)."
        )
    if responses.shape[1] < MIN_STIMULI:
        raise MurineError(f"{responses.shape[1]} stimuli are too few to score; at least {MIN_STIMULI} are needed.")
