"""Metrics of neural regression: what they share. Ridge and PLS are in `ridge_metrics` and `pls_metrics`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from murine.encoding.neuron_ceilings import low_ceiling_note, mean_ceilings
from murine.encoding.prediction_operators import correlate_predictions
from murine.errors import MurineError
from murine.literature import CONWELL, Citation
from murine.scoring.metric import Metric, Relabellings, Scores, Stack, Stimuli
from murine.scoring.population import Population
from murine.scoring.site_data import SiteData
from murine.statistics.bootstrap import Counts
from murine.statistics.noise_ceiling import Ceiling
from murine.statistics.standardisation import unit_length

Responses = Float[np.ndarray, "n_neuroids n_stimuli"]

#: Relabellings that give the mean score by chance, where each takes a fit.
CHANCE_REFITS = 50

#: The first sentences of every formula.
REGRESSION = (
    "Neural regression. The responses of every neuron are predicted from all units of a layer, for images that were "
    "left out of the fit only; the score of a site is the mean over its neurons of Pearson's r between prediction and "
    "response. "
)


@dataclass(frozen=True, eq=False)
class SiteNeurons:
    """Single neurons of sites: mean responses (n_neuroids, n_stimuli), and the positions of each site's neurons."""

    responses: Responses
    members: tuple[Int[np.ndarray, " _"], ...]

    def __getitem__(self, sites: ArrayLike) -> SiteNeurons:
        chosen = [self.members[s] for s in np.asarray(sites)]
        starts = np.cumsum([0, *(len(members) for members in chosen)])
        positions = tuple(np.arange(a, b) for a, b in pairwise(starts))
        return SiteNeurons(self.responses[np.concatenate(chosen)], positions)

    @property
    def defined(self) -> Bool[np.ndarray, " n_sites"]:
        """Sites in which every neuron varies over the stimuli.

        Other sites have no score, because it is a mean over all neurons.
        """
        varies = ~np.isnan(unit_length(self.responses)).any(axis=1)
        return np.array([varies[members].all() for members in self.members], bool)

    def relabelled(self, relabellings: Relabellings) -> Iterator[SiteNeurons]:
        """Yield the same neurons with the stimuli in each of these orders."""
        return (SiteNeurons(self.responses[:, order], self.members) for order in relabellings)

    def averaged(self, scores: Float[np.ndarray, "n_layers n_neuroids"]) -> Scores:
        """Return the mean over the neurons of each site."""
        return np.stack([scores[:, members].mean(axis=1) for members in self.members], axis=1)


class EncodingMetric(Metric):
    """Predict single neurons: Pearson's r of responses and predictions of left-out stimuli, mean over a site's neurons.

    Given the layer (and for PLS the site), predictions are linear in each neuron's responses: a matrix of n x n, the
    operator of the layer.
    """

    scale = "r"
    costly_permutations = True
    of_neurons = True
    citations: tuple[Citation, ...] = (CONWELL,)
    ceiling_words = "the mean over its neurons of the square root of the reliability of their mean responses"
    resampling = "the influence of each image as one to predict and as one to learn from, exact to first order"

    def of_sites(self, site_data: SiteData) -> Any:
        population = _population(site_data)
        return SiteNeurons(population.means, population.members)

    def select(self, compared: Any, stimuli: Stimuli) -> Any:
        if not isinstance(compared, SiteNeurons):
            raise TypeError(f"{self.name} fits layers to all stimuli: they have none to select")
        return SiteNeurons(compared.responses[:, stimuli], compared.members)

    def placeholder(self, stack: Stack) -> np.ndarray:
        return np.eye(stack.shape[-1])

    @abstractmethod
    def operators(self, layers: Stack, site: SiteNeurons) -> Stack:
        """Return for every layer the matrix from the responses of a site's neurons, less means, to predictions."""

    def neuron_scores(self, operators: Stack, responses: Responses) -> Float[np.ndarray, "n_layers n_neuroids"]:
        """Return the scores of single neurons, whose mean is the score of their site."""
        return correlate_predictions(operators, responses)

    @abstractmethod
    def neuron_draws(
        self, operators: Stack, responses: Responses, counts: Counts
    ) -> Float[np.ndarray, "n_draws n_layers n_neuroids"]:
        """Return draws of `neuron_scores` under resampled stimuli."""

    @abstractmethod
    def plain(self, layers: Stack, sites: SiteNeurons) -> Scores:
        """Return Pearson's r between responses and uncorrected predictions, mean over a site's neurons.

        Scores are computed from predictions after subtraction of the mean of the responses that each prediction was
        fitted to."""

    @abstractmethod
    def chance(self, layers: Stack, sites: SiteNeurons, relabellings: Relabellings) -> Scores:
        """Return the mean of `plain` scores if layers and sites share nothing; NaN if it is unknown."""

    def ceiling(self, site_data: SiteData, counts: Counts, seed: int) -> Ceiling:
        own, groups = self.neuron_ceiling(site_data, counts), _population(site_data).members
        averaged = own.mean_over(groups)
        notes = [
            "; ".join(filter(None, (note, low_ceiling_note(own.value[members]))))
            for note, members in zip(averaged.notes, groups, strict=True)
        ]
        return replace(averaged, notes=tuple(notes))

    def neuron_ceiling(self, site_data: SiteData, counts: Counts) -> Ceiling:
        """Return the ceiling of every neuron; it is not known without repetitions."""
        population = _population(site_data)
        if site_data.n_repetitions < 2:
            return Ceiling.unknown(len(population.responses), len(counts), self.scale)
        return mean_ceilings(population.trials, population.members, counts)


def _population(site_data: SiteData) -> Population:
    if site_data.population is None:
        raise MurineError(
            f"{site_data.name!r} comes as matrices of whole sites: single neurons cannot be predicted. Use one of the "
            "metrics that begin with rsa-, or a recording."
        )
    return site_data.population
