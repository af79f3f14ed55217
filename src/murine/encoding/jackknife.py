"""Bootstrap draws of scores of held-out predictions, from the influence of each stimulus.

Predictions of left-out stimuli are linear in the responses of a neuron, z = O y, so their correlation with y is a sum
over pairs of stimuli. A stimulus influences the score in two ways: as one that is predicted, and as one that all others
are predicted from. Resampling fixed predictions sees only the first. For scores near zero that is half of the variance:
a layer with shuffled images differed from zero in 15 to 20 % of the cases.

How much the second part adds cannot be estimated from one set of stimuli. The exact jackknife has 1.4 times the
variance for 15 units and 100 stimuli, and 30 times for as many units as stimuli, where leaving out one stimulus changes
the predictions completely. Subtracting the part of pairs gave anything between half and twice the variance. In
simulations with 20 to 200 stimuli, 15 to 2,000 units and scores from 0 to 0.8, for ridge and for PLS, scores and their
differences had 1.4 to 3.5 times the variance of fixed predictions, mostly 2 to 2.8 times. Draws therefore have
`VARIANCE_FACTOR` times that variance. This is too much for many stimuli and few units, where intervals are up to 40 %
too wide.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int

from murine.encoding.kernels import Operators, Responses
from murine.encoding.prediction_scores import membership_matrix, standardise_float32
from murine.statistics.bootstrap import Counts
from murine.statistics.variance_correction import student_factor

Groups = Sequence[Int[np.ndarray, " _"]]

#: The variance of a score over new stimuli, divided by that of fixed predictions.
VARIANCE_FACTOR = 2.8


def resample_site_scores(
    operators: Operators, responses: Responses, counts: Counts, groups: Groups
) -> Float32[np.ndarray, "n_draws n_layers n_groups"]:
    """Draw the mean correlation of predictions and responses over the neurons of each site, under resampled stimuli.

    Draws are linear in the counts, and have the variance that the head of this module describes.

    Parameters
    ----------
    operators
        (n_layers, n_stimuli, n_stimuli): from responses less their mean to predictions of left-out stimuli
        (`murine.encoding.ridge.ridge_loo_operators`, `murine.encoding.pls.PLSFolds.operators`).
    responses
        (n_neuroids, n_stimuli), any unit.
    counts
        (n_draws, n_stimuli), from `murine.statistics.bootstrap.bootstrap_counts`.
    groups
        Positions of the neurons of each site. Sites may share neurons.

    Returns
    -------
    draws
        (n_draws, n_layers, n_groups) float32.

    Raises
    ------
    MurineError
        If a site has no neurons, or has one with NaN or with constant responses or predictions.

    Examples
    --------
    >>> import numpy as np
    >>> from murine.encoding.ridge import ridge_loo_operators
    >>> from murine.statistics.bootstrap import bootstrap_counts
    >>> rng = np.random.default_rng(0)
    >>> features = rng.normal(size=(40, 10))
    >>> responses = (features @ rng.normal(size=(10, 3)) + rng.normal(size=(40, 3))).T
    >>> operators = ridge_loo_operators((features @ features.T)[None])
    >>> resample_site_scores(operators, responses, bootstrap_counts(40, 100, 0), [np.array([0, 1, 2])]).shape
    (100, 1, 1)
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
    """Draw the correlation of predictions and responses of each neuron, under resampled stimuli.

    The mean of these draws over the neurons of a site equals `resample_site_scores`.

    Parameters
    ----------
    operators, responses, counts
        As in `resample_site_scores`.

    Returns
    -------
    draws
        (n_draws, n_layers, n_neuroids) float32.

    Raises
    ------
    MurineError
        If a neuron has NaN or constant responses or predictions.

    Examples
    --------
    >>> import numpy as np
    >>> from murine.encoding.ridge import ridge_loo_operators
    >>> from murine.statistics.bootstrap import bootstrap_counts
    >>> rng = np.random.default_rng(0)
    >>> features = rng.normal(size=(40, 10))
    >>> responses = (features @ rng.normal(size=(10, 3)) + rng.normal(size=(40, 3))).T
    >>> operators = ridge_loo_operators((features @ features.T)[None])
    >>> resample_neuron_scores(operators, responses, bootstrap_counts(40, 100, 0)).shape
    (100, 1, 3)
    """
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
    """Return the predictions of standardised responses, standardised, and their correlation with the responses."""
    own = (operator - operator.mean(axis=0)).astype(np.float32)
    predictions = standardise_float32(responses @ own.T)
    return predictions, np.einsum("ij,ij->i", predictions, responses) / np.float32(responses.shape[1])


def _draw_weights(counts: Counts) -> Float32[np.ndarray, "n_draws n_stimuli"]:
    """Return the weight of each stimulus in each draw, with the spread that new stimuli would give.

    A bootstrap has (n - 1) / n of the variance.
    """
    n_stimuli = counts.shape[1]
    weights = counts / counts.sum(axis=1, keepdims=True, dtype=np.float64)
    spread = np.sqrt(VARIANCE_FACTOR * n_stimuli / (n_stimuli - 1)) * student_factor(n_stimuli)
    # Influences have mean 0, so a constant added to all weights changes nothing.
    return np.asarray(spread * weights, np.float32)
