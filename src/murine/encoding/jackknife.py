"""What each stimulus does to a score of held-out predictions, as one to be predicted and as one to be learned from.

Predictions of left-out stimuli are linear in a neuron's responses, z = O y, so their correlation with y is a sum over
pairs: a stimulus takes part in its own prediction's product and, by O, in those of all others. Resampling predictions
as they are (`murine.encoding.prediction_scores.resampled_correlations`) sees the first part alone. Of scores near zero
that is half of the variance, and a layer with its images shuffled was found different from zero in 15 to 20 % of the
cases.

How much the second part adds cannot be read off one set of stimuli. The jackknife, exact and in closed form, has 1.4
times the variance for 15 units and 100 stimuli, and 30 times for as many units as stimuli, where leaving out one turns
predictions over; taking away what pairs add left anything between half and twice. In simulations with 20 to 200
stimuli, 15 to 2,000 units and scores from 0 to 0.8, for ridge and for PLS, scores and differences of scores had 1.4 to
3.5 times the variance of predictions as they are, mostly 2 to 2.8: twice from what is learned from a stimulus, and more
where stimuli are few. Draws have `VARIANCE_FACTOR` times that variance. It is too much for many stimuli and few units, where
intervals are up to 40 % too wide."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int

from murine.encoding.kernels import Operators, Responses
from murine.encoding.prediction_scores import membership_matrix, standardise_float32
from murine.statistics.bootstrap import Counts
from murine.statistics.variance_correction import student_factor

Groups = Sequence[Int[np.ndarray, " _"]]

#: The variance of a score over new stimuli, in that of predictions as they are.
VARIANCE_FACTOR = 2.8


def resample_site_scores(
    operators: Operators, responses: Responses, counts: Counts, groups: Groups
) -> Float32[np.ndarray, "n_draws n_layers n_groups"]:
    """Mean correlation of predictions and responses over the neurons of a site, as other stimuli would have it.

    Draws are linear in the counts, and have the variance that the module's head tells of.

    Parameters
    ----------
    operators
        From responses less their mean to predictions of left-out stimuli (`murine.encoding.ridge.ridge_loo_operators`,
        `murine.encoding.pls.PLSFolds.operators`).
    responses
        (n_neuroids, n_stimuli).
    counts
        (n_draws, n_stimuli) from `murine.statistics.bootstrap.bootstrap_counts`.
    groups
        For each site the positions of its neurons; sites may share neurons.

    Raises
    ------
    MurineError
        Where a site has no neurons, or has one with NaN or with constant responses or predictions.
    """
    members = membership_matrix(groups, len(responses))
    used = np.flatnonzero(members.any(axis=0))
    members = members[:, used]
    share = members / members.sum(axis=1, keepdims=True)
    own = standardise_float32(responses[used])
    squares = own**2
    weights = _draw_weights(counts)
    draws = np.empty((len(counts), len(operators), len(groups)), np.float32)
    for k, operator in enumerate(operators):
        predictions, r = _predict(operator, own)
        half = share * (r / 2)
        influence = share @ (predictions * own)
        influence -= half @ squares
        influence -= half @ predictions**2
        draws[:, k] = share @ r + weights @ influence.T
    return draws


def resample_neuron_scores(
    operators: Operators, responses: Responses, counts: Counts
) -> Float32[np.ndarray, "n_draws n_layers n_neuroids"]:
    """`resample_site_scores` of a site before its mean is taken: that is the mean over neurons of these draws."""
    own = standardise_float32(responses)
    weights = _draw_weights(counts)
    draws = np.empty((len(counts), len(operators), len(responses)), np.float32)
    for k, operator in enumerate(operators):
        predictions, r = _predict(operator, own)
        influence = own * predictions - r[:, None] * (own**2 + predictions**2) / 2
        draws[:, k] = r + weights @ influence.T
    return draws


def _predict(
    operator: np.ndarray, responses: Float32[np.ndarray, "n_neuroids n_stimuli"]
) -> tuple[Float32[np.ndarray, "n_neuroids n_stimuli"], Float32[np.ndarray, " n_neuroids"]]:
    """Predictions of standardised responses, standardised, and how they correlate with these."""
    own = (operator - operator.mean(axis=0)).astype(np.float32)
    predictions = standardise_float32(responses @ own.T)
    return predictions, np.einsum("ij,ij->i", predictions, responses) / np.float32(responses.shape[1])


def _draw_weights(counts: Counts) -> Float32[np.ndarray, "n_draws n_stimuli"]:
    """What each stimulus weighs in a draw, with the spread of new stimuli; a bootstrap has (n - 1) / n of it."""
    n_stimuli = counts.shape[1]
    weights = counts / counts.sum(axis=1, keepdims=True, dtype=np.float64)
    spread = np.sqrt(VARIANCE_FACTOR * n_stimuli / (n_stimuli - 1)) * student_factor(n_stimuli)
    # Influences have mean 0, so that a constant added to all weights changes nothing.
    return np.asarray(spread * weights, np.float32)
