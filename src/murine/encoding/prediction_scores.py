"""How well predictions match the responses of single neurons, and how sure that is over stimuli.

Predictions and responses are (n_neuroids, n_stimuli); each neuron has a score of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32, Int

from murine.encoding.ridge import unit_length
from murine.errors import MurineError
from murine.statistics.bootstrap import MIN_STIMULI, Counts

Responses = Float[np.ndarray, "n_neuroids n_stimuli"]
PerNeuron = Float[np.ndarray, " n_neuroids"]

#: Neurons taken at once under resampling: what belongs to one block stays in a core's cache.
BLOCK = 128

#: Standard deviations beyond these have squares that float32 does not hold with all digits.
_SMALLEST, _LARGEST = 1e-15, 1e15

#: In a resample, less than this share of the variance over all stimuli counts as none.
CONSTANT = 1e-5


def correlations(predictions: Responses, responses: Responses) -> PerNeuron:
    """Pearson's r over stimuli; NaN for a neuron with NaN, or with constant predictions or responses. Scale: r."""
    _check(predictions, responses)
    return np.clip(np.einsum("ij,ij->i", unit_length(predictions), unit_length(responses)), -1, 1)


def r2(predictions: Responses, responses: Responses) -> PerNeuron:
    """1 - SSE / SST, with SST about the neuron's mean over all stimuli: below 0 where that mean is the better guess.

    NaN for a neuron with NaN, or with constant predictions or responses. Scale: r2."""
    _check(predictions, responses)
    return _unexplained(responses - predictions, predictions, responses)


def explained_variance(predictions: Responses, responses: Responses) -> PerNeuron:
    """1 - var(responses - predictions) / var(responses): as `r2`, but a constant shift of predictions is forgiven.

    NaN for a neuron with NaN, or with constant predictions or responses. Scale: r2."""
    _check(predictions, responses)
    residuals = responses - predictions
    return _unexplained(residuals - residuals.mean(axis=1, keepdims=True), predictions, responses)


def _unexplained(residuals: np.ndarray, predictions: np.ndarray, responses: np.ndarray) -> PerNeuron:
    flat = [np.isnan(unit_length(values)).any(axis=1) for values in (predictions, responses)]
    relative = responses - responses.mean(axis=1, keepdims=True)
    total = np.where(flat[0] | flat[1], np.nan, np.einsum("ij,ij->i", relative, relative))
    return 1 - np.einsum("ij,ij->i", residuals, residuals) / total


def resampled_correlations(
    predictions: Float[np.ndarray, "n_layers n_neuroids n_stimuli"],
    responses: Responses,
    counts: Counts,
    groups: Sequence[Int[np.ndarray, " _"]],
) -> Float32[np.ndarray, "n_draws n_layers n_groups"]:
    """Mean correlation of predictions and responses over the neurons of a site, under resampled stimuli.

    Predictions are kept as they are (no model is fitted anew, so what other stimuli to learn from would change is not
    in it: `murine.encoding.jackknife`); each neuron's Pearson r is taken anew over the stimuli
    of every sample, weighted by how often they were drawn. Moments are products of (n_draws, n_stimuli) and
    (n_stimuli, n_neuroids) in float32 of standardised data: means over neurons are within 1e-5 of float64.

    Parameters
    ----------
    predictions
        (n_layers, n_neuroids, n_stimuli): layers share what only the responses and the samples need.
    counts
        (n_draws, n_stimuli) from `murine.statistics.bootstrap.bootstrap_counts`.
    groups
        For each site the positions of its neurons; sites may share neurons.
    Returns
    -------
    (n_draws, n_layers, n_groups) float32
        In a sample where a neuron is left constant, the mean is over the others; NaN if none is left. (A neuron that
        holds less than 1e-5 of its variance counts as constant.)

    Raises
    ------
    MurineError
        Where a site has no neurons, or has one without correlation (`correlations` gives NaN): leave that out.
    """
    if predictions.ndim != 3 or counts.shape[1] != responses.shape[1]:
        raise MurineError(
            f"Predictions of shape {predictions.shape}, responses of shape {responses.shape} and counts of shape "
            f"{counts.shape}; expected (n_layers, n_neuroids, n_stimuli), (n_neuroids, n_stimuli) and "
            "(n_draws, n_stimuli)."
        )
    for layer in predictions:
        _check(layer, responses)
    members = memberships(groups, len(responses))
    used = np.flatnonzero(members.any(axis=0))
    members = members[:, used]
    return _resampled(predictions, standardised(responses[used]), counts.astype(np.float32), members, used)


def _resampled(
    predictions: np.ndarray, responses: np.ndarray, counts: np.ndarray, members: np.ndarray, used: np.ndarray
) -> np.ndarray:
    weights = counts / counts.sum(axis=1, keepdims=True)
    sums = np.zeros((len(counts), len(predictions), len(members)), np.float32)
    lost = np.zeros_like(sums)
    for start in range(0, len(used), BLOCK):
        part = slice(start, start + BLOCK)
        y = responses[part]
        y_mean, y_scale = _moments(weights, y)
        share = members[:, part].T
        for k, layer in enumerate(predictions):
            x = standardised(layer[used[part]])
            x_mean, x_scale = _moments(weights, x)
            r = weights @ (x * y).T
            r -= np.multiply(x_mean, y_mean, out=x_mean)
            r *= x_scale
            r *= y_scale
            np.clip(r, -1, 1, out=r)
            gone = np.isnan(r)
            if gone.any():
                r[gone] = 0
                lost[:, k] += gone @ share
            sums[:, k] += r @ share
    counted = members.sum(axis=1) - lost
    with np.errstate(invalid="ignore"):
        return sums / np.where(counted > 0, counted, np.nan)


def _moments(weights: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted means, and one over the weighted SD: NaN for none."""
    means = weights @ values.T
    variances = weights @ (values**2).T
    variances -= means**2
    variances[variances < CONSTANT] = np.nan
    np.sqrt(variances, out=variances)
    return means, np.reciprocal(variances, out=variances)


def deviations(values: np.ndarray) -> tuple[Float32[np.ndarray, "n_neuroids n_stimuli"], Float32[np.ndarray, " _"]]:
    """Values less their mean over stimuli, and their SD, in float32. Refuses neurons that have no correlation."""
    means = values.mean(axis=1, keepdims=True)
    relative = np.subtract(values, means, dtype=values.dtype).astype(np.float32, copy=False)
    sd = np.sqrt(np.einsum("ij,ij->i", relative, relative) / values.shape[1])
    extreme = ~((sd > _SMALLEST) & (sd < _LARGEST))
    if extreme.any():  # squares leave the range of float32: of others by a power of two, which changes no digit
        exponent = np.frexp(np.abs(relative[extreme]).max(axis=1))[1]
        scaled = np.ldexp(relative[extreme], -exponent[:, None])
        sd[extreme] = np.ldexp(np.sqrt(np.einsum("ij,ij->i", scaled, scaled) / values.shape[1]), exponent)
    rounding = 1e-12 if values.dtype == np.float64 else 1e-6
    lacking = ~(sd > rounding * np.abs(means[:, 0]))
    if lacking.any():
        raise MurineError(
            f"Neuron {int(lacking.argmax())} of those in sites has NaN, or constant predictions or responses, and "
            "so no correlation; leave such neurons out of the groups."
        )
    return relative, sd


def standardised(values: np.ndarray) -> Float32[np.ndarray, "n_neuroids n_stimuli"]:
    """Mean 0 and variance 1 over stimuli."""
    relative, sd = deviations(values)
    relative /= sd[:, None]
    return relative


def memberships(groups: Sequence[np.ndarray], n_neuroids: int) -> Float32[np.ndarray, "n_groups n_neuroids"]:
    """1 where a neuron is of a site, 0 elsewhere. Refuses sites without neurons."""
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
