"""Metrics of neural regression by ridge (`murine.encoding.ridge`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from murine.encoding.jackknife import resample_neuron_scores, resample_site_scores
from murine.encoding.null_correlation import null_correlations, rescale_above_null
from murine.encoding.prediction_operators import correlate_predictions, permute_correlations
from murine.encoding.ridge import ridge_loo_operators
from murine.networks.layer_kernel import LayerKernel
from murine.scoring.encoding_metrics import CHANCE_REFITS, REGRESSION, EncodingMetric, Responses, SiteNeurons
from murine.scoring.kernel_metrics import layer_grams
from murine.scoring.metric import Bias, Draws, Metric, Relabellings, Scores, Stack
from murine.scoring.site_data import SiteData
from murine.statistics.bootstrap import Counts

_RIDGE = (
    "Ridge regression, each image left out in turn, with penalty 1 on features that are scaled as by the sparse random "
    "projection of Conwell et al. (2021), computed exactly. "
)


_SIZES = (
    "More images give better predictions from a layer with many units. A layer with about as many units as there are "
    "images is overfitted, so its score may fall with more images. "
)


class RidgeMetric(EncodingMetric):
    """Predict each stimulus by ridge on all others, and count scores from chance.

    The mean of the responses that a prediction was fitted to is subtracted from it. The mean r over neurons is then
    rescaled, so that the expected score of a layer without information is 0 (`murine.encoding.null_correlation`). Draws
    include the effect of each stimulus on the fit (`murine.encoding.jackknife`).
    """

    name = "ridge"
    summary = "Neural regression: Pearson's r of responses and leave-one-out ridge predictions, relative to chance."
    formula = (
        REGRESSION
        + _RIDGE
        + "Predictions are taken relative to the mean each was fitted to, and scores are (r - chance) / (1 - chance)."
    )
    use = "Use it to ask how well single neurons are predicted, and at what price in images. It needs single neurons."
    sizes = _SIZES + "Where nothing is shared it is zero in the mean, whatever the numbers."
    bias: Bias = "depends on the layer"
    from_chance: ClassVar[bool] = True

    def of_layers(self, layers: Sequence[LayerKernel], site_data: SiteData) -> Stack:
        grams = layer_grams(layers, site_data)
        return ridge_loo_operators(grams, relative=self.from_chance) if layers else grams

    def placeholder(self, stack: Stack) -> np.ndarray:
        # It predicts the response to the next stimulus. The identity would have r = 1 by chance.
        return np.roll(np.eye(stack.shape[-1]), 1, axis=1)

    def operators(self, layers: Stack, site: SiteNeurons) -> Stack:
        return layers

    def neuron_scores(self, operators: Stack, responses: Responses) -> Float[np.ndarray, "n_layers n_neuroids"]:
        return self._above(self._chance(operators), correlate_predictions(operators, responses))

    def neuron_draws(
        self, operators: Stack, responses: Responses, counts: Counts
    ) -> Float[np.ndarray, "n_draws n_layers n_neuroids"]:
        return self._above(self._chance(operators), resample_neuron_scores(operators, responses, counts))

    def score(self, layers: Stack, sites: SiteNeurons) -> Scores:
        if not len(layers):
            return np.empty((0, len(sites.members)))
        return sites.averaged(self.neuron_scores(layers, sites.responses))

    def resample(self, layers: Stack, sites: SiteNeurons, counts: Counts) -> Draws:
        defined = sites.defined
        draws = np.full((len(counts), len(layers), len(defined)), np.nan, np.float32)
        if defined.any():
            own = sites if defined.all() else sites[np.flatnonzero(defined)]
            found = resample_site_scores(layers, own.responses, counts, own.members)
            draws[:, :, defined] = self._above(self._chance(layers), found)
        return draws

    def plain(self, layers: Stack, sites: SiteNeurons) -> Scores:
        return sites.averaged(correlate_predictions(self._plain(layers), sites.responses))

    def chance(self, layers: Stack, sites: SiteNeurons, relabellings: Relabellings) -> Scores:
        return np.tile(null_correlations(self._plain(layers))[:, None], len(sites.members))

    def _plain(self, layers: Stack) -> Stack:
        """Operators to predictions as they are: the mean of the other responses less that of all is -y / (n - 1)."""
        n = layers.shape[-1]
        return layers - np.eye(n) / (n - 1) if self.from_chance else layers

    def permute(self, layers: Stack, sites: SiteNeurons, relabellings: Relabellings) -> Draws:
        draws = permute_correlations(layers, sites.responses, relabellings, sites.members)
        return self._above(self._chance(layers), draws)

    def _chance(self, operators: Stack) -> Float[np.ndarray, " n_layers"]:
        return null_correlations(operators) if self.from_chance else np.zeros(len(operators))

    def _above(self, chance: Float[np.ndarray, " n_layers"], scores: np.ndarray) -> np.ndarray:
        return rescale_above_null(scores, chance.astype(scores.dtype)[:, None])


class PublishedRidgeMetric(RidgeMetric):
    """Ridge as Conwell et al. (2021) score it: r of uncorrected predictions.

    What a layer has by chance is then anywhere from -0.2 to 0.05.
    """

    name = "ridge-conwell2021"
    summary = "Neural regression by ridge with the published score: Pearson's r of uncorrected predictions."
    formula = (
        REGRESSION
        + _RIDGE
        + "As in the publication, the mean of the other responses is part of each prediction, which makes a layer that "
        "says nothing score below zero."
    )
    use = "Use it to repeat published numbers; ridge is free of the bias."
    sizes = _SIZES + "Where nothing is shared it is further below zero with fewer images."
    from_chance = False
    below_zero_by_chance = True


class PerNeuronRidgeMetric(PublishedRidgeMetric):
    """Ridge as Conwell et al. (2021) report it: the best layer of every neuron, then the mean over a site's neurons.

    Layers are chosen and scored on the same stimuli. Draws keep the layer of every neuron.
    """

    name = "ridge-conwell2021-per-neuron"
    summary = "Neural regression as published by Conwell et al. (2021): every neuron takes its best layer."
    formula = (
        REGRESSION + "Ridge regression as published by Conwell et al. (2021): each image is left out in turn, every "
        "neuron takes the layer that predicts it best, and the score of a site is the mean over its neurons."
    )
    use = (
        "Use it to repeat published numbers only. Layers are chosen and scored on the same images, so networks with "
        "many layers have an advantage."
    )
    sizes = _SIZES + "Where nothing is shared it is above zero, the more so with fewer images and more layers."
    combines_layers = True
    chooses_naively = True
    max_permutations = CHANCE_REFITS
    below_zero_by_chance = False  # the best of many layers is above zero by chance

    def of_layers(self, layers: Sequence[LayerKernel], site_data: SiteData) -> Stack:
        stack = super().of_layers(layers, site_data)
        usable = stack[np.isfinite(stack).all(axis=(1, 2))]
        n = site_data.n_stimuli
        return usable[None] if len(usable) else np.full((1, 1, n, n), np.nan)

    def neuron_scores(self, operators: Stack, responses: Responses) -> Float[np.ndarray, "n_layers n_neuroids"]:
        return np.stack([correlate_predictions(own, responses).max(axis=0) for own in operators])

    def neuron_draws(
        self, operators: Stack, responses: Responses, counts: Counts
    ) -> Float[np.ndarray, "n_draws n_layers n_neuroids"]:
        draws = np.full((len(counts), len(operators), len(responses)), np.nan, np.float32)
        for own, found in zip(operators, draws.transpose(1, 0, 2), strict=True):
            scores = correlate_predictions(own, responses)
            best = np.where(np.isnan(scores).any(axis=0), -1, scores.argmax(axis=0))
            for layer in np.unique(best[best >= 0]):
                mine = np.flatnonzero(best == layer)
                found[:, mine] = resample_neuron_scores(own[[layer]], responses[mine], counts)[:, 0]
        return draws

    def resample(self, layers: Stack, sites: SiteNeurons, counts: Counts) -> Draws:
        draws = self.neuron_draws(layers, sites.responses, counts)
        return np.stack([draws[:, :, members].mean(axis=2) for members in sites.members], axis=2)

    def plain(self, layers: Stack, sites: SiteNeurons) -> Scores:
        return self.score(layers, sites)

    def chance(self, layers: Stack, sites: SiteNeurons, relabellings: Relabellings) -> Scores:
        # The chance level of the best of several penalties depends on all of them, so there is no closed form.
        if not len(relabellings):
            return np.full((len(layers), len(sites.members)), np.nan)
        return np.asarray(self.permute(layers, sites, relabellings).mean(axis=0))

    def permute(self, layers: Stack, sites: SiteNeurons, relabellings: Relabellings) -> Draws:
        return Metric.permute(self, layers, sites, relabellings)


ridge = RidgeMetric()
ridge_conwell2021 = PublishedRidgeMetric()
ridge_conwell2021_per_neuron = PerNeuronRidgeMetric()
