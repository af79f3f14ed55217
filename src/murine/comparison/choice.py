"""Choosing the best layer without being fooled by having chosen it.

The best of many layers, scored on the data it was chosen on, scores too well: with noise alone, the best of 300 does.
So layers are chosen on one part of the data (``train``) and scored on another (``test``). What the parts are decides
what is removed:

* *odd and even repetitions* share the stimuli. A layer that fits the responses to these very images by chance does so
  in both halves; only the part of the optimism that comes from noise in the responses goes.
* *training and test stimuli* of folds share neither. All of the optimism goes, also that of reliable neurons and few
  stimuli, at the price of scores on fewer stimuli."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from murine.comparison.inference import MIN_STIMULI, interval
from murine.comparison.rdm import upper
from murine.errors import MurineError

#: Scores of every layer and site in each fold, or part of the repetitions.
Scores = Float[np.ndarray, "n_folds n_layers n_sites"]


def best_layer(scores: Float[np.ndarray, "... n_layers n_sites"]) -> Int[np.ndarray, "... n_sites"]:
    """The position of each site's best layer, the first of equals; -1 where none has a score."""
    filled = np.where(np.isnan(scores), -np.inf, scores)
    if not scores.shape[-2]:
        return np.full((*scores.shape[:-2], scores.shape[-1]), -1)
    return np.where(np.isfinite(filled.max(axis=-2)), filled.argmax(axis=-2), -1)


@dataclass(frozen=True, eq=False)
class Choice:
    """Each site's score with its layer chosen elsewhere (nested) and on the scores themselves (naive).

    Attributes
    ----------
    layers
        (n_folds, n_sites): the layer that is best in ``train``, scored in ``test``; -1 where none has a score.
    nested
        (n_sites,): the mean over folds of its test score; NaN where that is missing in any fold.
    naive_layer
        (n_sites,): the layer with the highest mean test score over folds, of those with a score in every fold.
    naive
        (n_sites,): that mean.
    """

    layers: Int[np.ndarray, "n_folds n_sites"]
    nested: Float[np.ndarray, " n_sites"]
    naive_layer: Int[np.ndarray, " n_sites"]
    naive: Float[np.ndarray, " n_sites"]

    @property
    def optimism(self) -> Float[np.ndarray, " n_sites"]:
        """naive - nested: both are means of the same test scores, so the choice alone differs.

        Below zero only where folds choose different layers, each luckier in its fold than one layer is in all."""
        return self.naive - self.nested

    def resampled(
        self, draws: Float[np.ndarray, "n_draws n_folds n_layers n_sites"]
    ) -> tuple[Float[np.ndarray, "n_draws n_sites"], Float[np.ndarray, "n_draws n_sites"]]:
        """Draws of ``nested`` and of ``naive`` from draws of the test scores, with the layers chosen as they are."""
        return _picked(draws, self.layers), _picked(draws, np.broadcast_to(self.naive_layer, self.layers.shape))

    def optimism_interval(
        self, draws: Float[np.ndarray, "n_draws n_folds n_layers n_sites"], level: float = 0.95
    ) -> tuple[Float[np.ndarray, " n_sites"], Float[np.ndarray, " n_sites"]]:
        """Interval of the optimism over paired draws of the test scores."""
        nested, naive = self.resampled(draws)
        return interval(naive - nested, level)


def choose(train: Scores, test: Scores) -> Choice:
    """Choose each site's layer by its ``train`` score in every fold and average the ``test`` scores of these layers.

    Parameters
    ----------
    train, test
        For repetitions: scores on odd and on even ones, as (2, n_layers, n_sites) in this order and in the other, for
        both directions; or one direction alone. For folds over stimuli: scores within the training part
        (cross-validated there, for fitted metrics) and on the test part; `fold_scores` for RDMs.

    Raises
    ------
    MurineError
        If they differ in shape.
    """
    if train.shape != test.shape:
        raise MurineError(
            f"scores to choose by have shape {train.shape}, those to report {test.shape}; expected equal."
        )
    layers = best_layer(train)
    means = test.mean(axis=0)  # NaN where it is missing in any fold
    naive_layer = best_layer(means)
    naive = _picked(test[None], np.broadcast_to(naive_layer, layers.shape))[0]
    return Choice(layers, _picked(test[None], layers)[0], naive_layer, naive)


def _picked(
    draws: Float[np.ndarray, "n_draws n_folds n_layers n_sites"], layers: Int[np.ndarray, "n_folds n_sites"]
) -> Float[np.ndarray, "n_draws n_sites"]:
    """The mean over folds of the scores of given layers; NaN where one is not given."""
    if not draws.shape[2]:
        return np.full((len(draws), draws.shape[3]), np.nan)
    picked = np.take_along_axis(draws, np.maximum(layers, 0)[None, :, None], axis=2)[:, :, 0]
    return np.where(layers >= 0, picked, np.nan).mean(axis=1)


def chosen_predictions(
    layers: Int[np.ndarray, "n_folds n_sites"],
    predictions: Float[np.ndarray, "n_layers n_stimuli n_sites"],
    folds: Sequence[Int[np.ndarray, " _"]],
) -> Float[np.ndarray, "n_stimuli n_sites"]:
    """Held-out predictions of each site (or neuron), in every fold those of the layer chosen in its training part.

    Parameters
    ----------
    layers
        `best_layer` of scores within the training part of each fold; -1 gives NaN in that fold.
    predictions
        Of every layer, for each stimulus by the model fitted without its fold.
    folds
        Test stimuli of each fold (`murine.comparison.inference.folds`), each stimulus once.
    """
    n_stimuli = predictions.shape[1]
    if len(folds) != len(layers) or not np.array_equal(np.sort(np.concatenate(folds)), np.arange(n_stimuli)):
        raise MurineError(
            f"{len(folds)} folds with {sum(map(len, folds))} stimuli do not fit layers chosen in {len(layers)} folds "
            f"and predictions of {n_stimuli} stimuli; expected every stimulus in one of them."
        )
    out = np.full(predictions.shape[1:], np.nan)
    for chosen, fold in zip(layers, folds, strict=True):
        sites = np.flatnonzero(chosen >= 0)
        out[np.ix_(fold, sites)] = predictions[chosen[sites][None], fold[:, None], sites[None]]
    return out


def fold_scores(
    layers: Float[np.ndarray, "n_layers n_stimuli n_stimuli"],
    sites: Float[np.ndarray, "n_sites n_stimuli n_stimuli"],
    folds: Sequence[Int[np.ndarray, " _"]],
    score: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> tuple[Scores, Scores]:
    """Scores of RDMs within the training stimuli and within the test stimuli of each fold.

    Pairs of a training and a test stimulus are in neither: what makes a training stimulus far from all others in a
    layer would be known to the choice.

    Parameters
    ----------
    layers, sites
        RDMs.
    folds
        Test stimuli of each fold, at least four each. Two folds leave most pairs: 2 x 1,711 of 6,903 with 118 stimuli.
    score
        Of vectors of layers and of sites, such as `murine.comparison.rsa.Comparison.score`.

    Returns
    -------
    train, test
        To be given to `choose`.
    """
    n_stimuli = layers.shape[1]
    smallest = min(len(part) for fold in folds for part in (fold, np.setdiff1d(np.arange(n_stimuli), fold)))
    if smallest < MIN_STIMULI:
        raise MurineError(
            f"a fold with {smallest} stimuli is too small to compare RDMs within it; at least {MIN_STIMULI} are "
            "needed. Use fewer folds."
        )
    scores: list[list[np.ndarray]] = [[], []]
    for fold in folds:
        for part, members in zip(scores, (np.setdiff1d(np.arange(n_stimuli), fold), fold), strict=True):
            vectors = [upper(rdms[:, members][:, :, members]) for rdms in (layers, sites)]
            part.append(score(*vectors))
    return np.stack(scores[0]), np.stack(scores[1])
