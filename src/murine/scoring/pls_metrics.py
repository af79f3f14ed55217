"""Metrics of neural regression by partial least squares (`murine.encoding.pls`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from murine.encoding.jackknife import resample_neuron_scores, resample_site_scores
from murine.encoding.pls import PLSFolds
from murine.encoding.prediction_operators import correlate_predictions
from murine.networks.layer_kernel import LayerKernel
from murine.scoring.encoding_metrics import CHANCE_REFITS, REGRESSION, EncodingMetric, Responses, SiteNeurons
from murine.scoring.kernel_metrics import layer_grams
from murine.scoring.metric import Draws, Relabellings, Scores, Stack
from murine.scoring.site_data import SiteData
from murine.statistics.bootstrap import Counts
from murine.statistics.folds import kfold

#: Folds over stimuli, each of which is predicted from the others.
N_FOLDS = 6


class PLSMetric(EncodingMetric):
    """Predict each fold of the stimuli by partial least squares; all neurons of a site share components.

    A layer that varies along fewer directions than there are components is fitted with all it has. Draws include that
    stimuli are learned from, too (`murine.encoding.jackknife`).

    Parameters
    ----------
    n_components
        Number of components.
    """

    sizes = "More images give better predictions, and with few images the components fit noise, which lowers the score."
    bias = "lower with few stimuli"
    n_splits = 10  # a fit for every layer, site and half
    below_zero_by_chance = True
    max_permutations = 200

    def __init__(self, n_components: int) -> None:
        self.name = f"pls-{n_components}"
        self.summary = (
            f"Neural regression: Pearson's r of responses and held-out predictions by partial least squares with "
            f"{n_components} components."
        )
        self.formula = REGRESSION + f"Partial least squares with {n_components} components, 6 folds over images."
        self.use = "Use it to compare with studies that predict neurons by PLS. It needs single neurons."
        self._n_components = n_components
        # A training part then has more stimuli than components.
        self.min_stimuli = n_components * N_FOLDS // (N_FOLDS - 1) + N_FOLDS

    def of_layers(self, layers: Sequence[LayerKernel], site_data: SiteData) -> Stack:
        return layer_grams(layers, site_data)

    def score(self, layers: Stack, sites: SiteNeurons) -> Scores:
        return self._scores(_folded(layers), sites)

    def resample(self, layers: Stack, sites: SiteNeurons, counts: Counts) -> Draws:
        draws = np.empty((len(counts), len(layers), len(sites.members)), np.float32)
        folded = _folded(layers)
        for s in range(len(sites.members)):
            site = sites[[s]]
            operators = self._operators(folded, site)
            lost = np.isnan(site.averaged(correlate_predictions(operators, site.responses))[:, 0])
            draws[:, lost, s] = np.nan
            for i, operator in enumerate(operators):
                if lost[i]:
                    continue
                one = resample_site_scores(operator[None], site.responses, counts, site.members)
                draws[:, i, s] = one[:, 0, 0]
        return draws

    def neuron_draws(
        self, operators: Stack, responses: Responses, counts: Counts
    ) -> Float[np.ndarray, "n_draws n_layers n_neuroids"]:
        return resample_neuron_scores(operators, responses, counts)

    def plain(self, layers: Stack, sites: SiteNeurons) -> Scores:
        return self._scores(_folded(layers), sites, relative=False)

    def chance(self, layers: Stack, sites: SiteNeurons, relabellings: Relabellings) -> Scores:
        # Components follow the responses, so that no closed form holds.
        if not len(relabellings):
            return np.full((len(layers), len(sites.members)), np.nan)
        folded, moved = _folded(layers), sites.relabelled(relabellings[:CHANCE_REFITS])
        return np.mean([self._scores(folded, own, relative=False) for own in moved], axis=0)

    def permute(self, layers: Stack, sites: SiteNeurons, relabellings: Relabellings) -> Draws:
        folded, orders = _folded(layers), relabellings[: self.max_permutations]
        draws = np.empty((len(orders), len(layers), len(sites.members)), np.float32)
        for draw, own in zip(draws, sites.relabelled(orders), strict=True):
            draw[:] = self._scores(folded, own)
        return draws

    def operators(self, layers: Stack, site: SiteNeurons) -> Stack:
        return self._operators(_folded(layers), site)

    def _scores(self, layers: PLSFolds, sites: SiteNeurons, relative: bool = True) -> Scores:
        chosen = (sites[[s]] for s in range(len(sites.members)))
        return np.concatenate(
            [
                site.averaged(correlate_predictions(self._operators(layers, site, relative), site.responses))
                for site in chosen
            ],
            axis=1,
        )

    def _operators(self, layers: PLSFolds, site: SiteNeurons, relative: bool = True) -> Stack:
        return layers.operators(site.responses, [self._n_components], relative=relative)[:, 0]


def _folded(layers: Stack) -> PLSFolds:
    """Prepare kernels of layers for PLS."""
    return PLSFolds(layers, kfold(layers.shape[-1], N_FOLDS, 0), at_most=True)


pls_10, pls_25 = PLSMetric(10), PLSMetric(25)
