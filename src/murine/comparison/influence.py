"""What each stimulus does to a score of held-out predictions, as one to be predicted and as one to be learned from.

Predictions of left-out stimuli are linear in a neuron's responses, z = O y, so their correlation with y is a sum over
pairs: a stimulus takes part in its own prediction's product and, by O, in those of all others. Resampling predictions
as they are (`murine.comparison.prediction.resampled_correlations`) sees the first part alone: of scores near zero half
of the variance, of others a third to all of it. A layer with its images shuffled was then found different from zero in
15 to 20 % of the cases, not in 5 %.

With y and z standardised, r their correlation and e = y - r z, the correlation changes with the weight of stimulus j
by y_j z_j - r (y_j^2 + z_j^2) / 2 as it is predicted, and by e_j sum_i e_i O_ij / sd(z) as it is learned from: the
response beyond what was predicted of it moves the predictions of the others. The jackknife of both together has a
variance of a + 2 b, with a of single stimuli and b of pairs (`murine.comparison.inference.pair_corrected`), and b is
known from the terms e_i (O_ij + O_ji) e_j of the pairs; draws are made with a + b."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int

from murine.comparison.inference import Counts
from murine.comparison.prediction import deviations, memberships

Operators = Float[np.ndarray, "n_layers n_stimuli n_stimuli"]
Responses = Float[np.ndarray, "n_neuroids n_stimuli"]
Groups = Sequence[Int[np.ndarray, " _"]]


@dataclass(frozen=True, eq=False)
class _Predicted:
    """Standardised responses and predictions of neurons, float32.

    Attributes
    ----------
    operator
        (n_stimuli, n_stimuli), of predictions with mean 0 over stimuli.
    r
        Correlations.
    sd
        Of the predictions of standardised responses.
    """

    operator: Float32[np.ndarray, "n_stimuli n_stimuli"]
    responses: Float32[np.ndarray, "n_neuroids n_stimuli"]
    predictions: Float32[np.ndarray, "n_neuroids n_stimuli"]
    r: Float32[np.ndarray, " n_neuroids"]
    sd: Float32[np.ndarray, " n_neuroids"]

    @classmethod
    def by(cls, operator: np.ndarray, responses: Float32[np.ndarray, "n_neuroids n_stimuli"]) -> _Predicted:
        own = (operator - operator.mean(axis=0)).astype(np.float32)
        predictions, sd = deviations(responses @ own.T)
        predictions /= sd[:, None]
        r = np.einsum("ij,ij->i", predictions, responses) / responses.shape[1]
        return cls(own, responses, predictions, r, sd)

    def unexplained(self, members: slice | Int[np.ndarray, " _"]) -> Float32[np.ndarray, "_ n_stimuli"]:
        """Responses of some neurons less their regression on the predictions."""
        return self.responses[members] - self.r[members, None] * self.predictions[members]


def resampled_scores(
    operators: Operators, responses: Responses, counts: Counts, groups: Groups, *, fitted_to_responses: bool = False
) -> Float32[np.ndarray, "n_draws n_layers n_groups"]:
    """Mean correlation of predictions and responses over the neurons of a site, as other stimuli would have it.

    Draws are linear in the counts, exact to first order, and have the variance that the module's head tells of.

    Parameters
    ----------
    operators
        From responses less their mean to predictions of left-out stimuli (`murine.comparison.encoding.loo_operators`,
        `murine.comparison.pls.FoldedLayers.operators`).
    responses
        (n_neuroids, n_stimuli).
    counts
        (n_draws, n_stimuli) from `murine.comparison.inference.bootstrap_counts`.
    groups
        For each site the positions of its neurons; sites may share neurons.
    fitted_to_responses
        True where the operators themselves depend on the responses (PLS): what is learned from a stimulus is then not
        told by the operator. Draws get twice the variance that predictions as they are would have: what learning adds
        to a sum over pairs, each stimulus being learned from as much as predicted.

    Raises
    ------
    MurineError
        Where a site has no neurons, or has one with NaN or with constant responses or predictions.
    """
    members = memberships(groups, len(responses))
    used = np.flatnonzero(members.any(axis=0))
    members = members[:, used]
    share = members / members.sum(axis=1, keepdims=True)
    standardised, sd = deviations(responses[used])
    standardised /= sd[:, None]
    squares = standardised**2
    weights = counts.astype(np.float32) / counts.sum(axis=1, keepdims=True, dtype=np.float32)
    draws = np.empty((len(counts), len(operators), len(groups)), np.float32)
    for k, operator in enumerate(operators):
        predicted = _Predicted.by(operator, standardised)
        influence = _as_predicted(predicted, squares, share)
        if fitted_to_responses:
            influence *= np.float32(np.sqrt(2))
        else:
            for own, part, mine in zip(influence, share, members, strict=True):
                learned, pairs = _as_learned(predicted, part, mine)
                own += learned
                own *= _drawn_together(own, pairs)
        draws[:, k] = share @ predicted.r + weights @ influence.T
    return draws


def resampled_neurons(
    operators: Operators, responses: Responses, counts: Counts, *, fitted_to_responses: bool = False
) -> Float32[np.ndarray, "n_draws n_layers n_neuroids"]:
    """`resampled_scores` of a site before its mean is taken: that is the mean over neurons of these draws."""
    n_neuroids = len(responses)
    share = np.full((1, n_neuroids), 1 / n_neuroids, np.float32)
    standardised, sd = deviations(responses)
    standardised /= sd[:, None]
    weights = counts.astype(np.float32) / counts.sum(axis=1, keepdims=True, dtype=np.float32)
    draws = np.empty((len(counts), len(operators), n_neuroids), np.float32)
    for k, operator in enumerate(operators):
        predicted = _Predicted.by(operator, standardised)
        r = predicted.r[:, None]
        influence = standardised * predicted.predictions - r * (standardised**2 + predicted.predictions**2) / 2
        if fitted_to_responses:
            influence *= np.float32(np.sqrt(2))
        else:
            rest = predicted.unexplained(slice(None))
            learned = rest * (rest @ predicted.operator) / predicted.sd[:, None]
            influence += learned - learned.mean(axis=1, keepdims=True)
            _, pairs = _as_learned(predicted, share[0], np.ones(n_neuroids, np.float32))
            influence *= _drawn_together((share @ influence)[0], pairs)
        draws[:, k] = predicted.r + weights @ influence.T
    return draws


def _as_predicted(
    predicted: _Predicted,
    squares: Float32[np.ndarray, "n_neuroids n_stimuli"],
    share: Float32[np.ndarray, "n_groups n_neuroids"],
) -> Float32[np.ndarray, "n_groups n_stimuli"]:
    half = share * (predicted.r / 2)
    influence = share @ (predicted.predictions * predicted.responses)
    influence -= half @ squares
    influence -= half @ predicted.predictions**2
    return np.asarray(influence)


def _as_learned(
    predicted: _Predicted, share: Float32[np.ndarray, " n_neuroids"], members: Float32[np.ndarray, " n_neuroids"]
) -> tuple[Float32[np.ndarray, " n_stimuli"], float]:
    """The influence of stimuli that are learned from on a site's score, and the variance that is of pairs."""
    own = np.flatnonzero(members)
    rest = predicted.unexplained(own)
    terms = predicted.operator * ((rest * (share[own] / predicted.sd[own])[:, None]).T @ rest)
    n_stimuli = len(terms)
    influence = terms.sum(axis=0)
    pairs = (terms + terms.T) / n_stimuli
    np.fill_diagonal(pairs, 0)
    rows = pairs.sum(axis=1) / (n_stimuli - 2)
    pairs += rows.sum() / (n_stimuli - 1) - rows[:, None] - rows
    np.fill_diagonal(pairs, 0)
    return influence - influence.mean(), float((pairs**2).sum() / 2)


def _drawn_together(influence: Float32[np.ndarray, " n_stimuli"], pairs: float) -> np.float32:
    """What makes a + b of the variance a + 2 b, which b is at most half of; and what a resample's variance lacks."""
    n = len(influence)
    variance = float((influence.astype(np.float64) ** 2).sum()) / n**2
    share = max(1 - pairs / variance, 0.5) if variance > 0 else 1.0
    return np.float32(np.sqrt(share * n / (n - 1)))
