"""The metrics by name: what scoring asks of each, whatever it compares layers and sites by.

A metric sees layers as a stack of arrays made of their kernels, and sites as it likes best: vectors of dissimilarities,
kernels, or single neurons. Scoring only passes these on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from murine.encoding.jackknife import resample_neuron_scores, resample_site_scores
from murine.encoding.kernels import centre_layer_grams
from murine.encoding.noise_ceiling import low_ceiling_note, mean_ceilings
from murine.encoding.null_correlation import null_correlations, rescale_above_null
from murine.encoding.pls import N_COMPONENTS, PLSFolds
from murine.encoding.prediction_operators import correlate_predictions, permute_correlations
from murine.encoding.ridge import ridge_loo_operators
from murine.errors import MurineError
from murine.networks.layer_kernel import LayerKernel
from murine.registry import Registry
from murine.scoring.site_data import Population, SiteData
from murine.similarity import kernel_similarity as geometry
from murine.similarity import rsa
from murine.similarity.rdm import dissimilarities
from murine.similarity.rdm_vectors import n_stimuli_of_pairs, pair_positions, upper_triangle
from murine.similarity.reweighted_rsa import fit_reweighted_rsa
from murine.similarity.rsa import Draws, Relabellings, Scores
from murine.statistics.bootstrap import MIN_STIMULI, Counts, leave_one_out_counts
from murine.statistics.folds import kfold
from murine.statistics.noise_ceiling import SCALES, Ceiling
from murine.statistics.permutation import permuted_pairs
from murine.statistics.standardisation import unit_length

#: Layers as a metric sees them: (n_layers, ...); NaN where one is not defined.
Stack = Float[np.ndarray, "n_layers ..."]

Responses = Float[np.ndarray, "n_neuroids n_stimuli"]

#: Parts of the stimuli that are held out in turn.
N_FOLDS = 6

#: Relabellings of metrics that fit anew for each; and of those that give the chance level of such a metric.
MAX_REFITS, CHANCE_REFITS = 200, 50


class Metric(ABC):
    """A way to compare layers with sites.

    Attributes
    ----------
    scale
        The scale of its scores; only a ceiling of the same scale may be applied.
    costly_permutations
        True where a permutation test of all layers takes minutes: it is then run for chosen layers only.
    combines_layers
        True where all layers together have one score.
    chooses_naively
        True where that score chooses layers on the stimuli that it is of.
    over_pairs
        True where a score is a mean over pairs of stimuli, so that its draws are to be corrected by
        `murine.statistics.variance_correction.correct_for_pairs`.
    of_neurons
        True where single neurons are compared, which matrices do not have.
    below_zero_by_chance
        True where scores lie below 0 in the mean where nothing is shared: a row whose interval is below 0 is flagged.
    min_stimuli
        Fewer than this cannot be scored.
    n_splits
        Random splits of the stimuli for held-out scores (`murine.scoring.held_out`), where the usual number would
        take minutes; 0 for the usual number.
    """

    scale: str
    costly_permutations: bool = False
    combines_layers: ClassVar[bool] = False
    chooses_naively: ClassVar[bool] = False
    over_pairs: bool = False
    of_neurons: ClassVar[bool] = False
    below_zero_by_chance: bool = False
    min_stimuli: int = MIN_STIMULI
    n_splits: ClassVar[int] = 0

    @abstractmethod
    def of_layers(self, layers: Sequence[LayerKernel], site_data: SiteData) -> Stack:
        """What is compared of layers."""

    @abstractmethod
    def of_sites(self, site_data: SiteData) -> Any:
        """What is compared of the sites; ``sites[[s]]`` are some of them."""

    @abstractmethod
    def stand_in(self, stack: Stack) -> np.ndarray:
        """Something harmless of the shape of one layer, for those that are not defined; their scores become NaN."""

    @abstractmethod
    def score(self, layers: Stack, sites: Any) -> Scores:
        """Compare every layer with every site."""

    @abstractmethod
    def resample(self, layers: Stack, sites: Any, counts: Counts) -> Draws:
        """Compare under resampled stimuli: ``counts[b, i]`` is how often stimulus i was drawn in sample b."""

    def resample_singly(self, layers: Stack, sites: Any, counts: Counts) -> Draws:
        """As `resample`, where a draw does not depend on what other samples there are; they may have another mean."""
        return self.resample(layers, sites, counts)

    def leave_one_out(self, layers: Stack, sites: Any, n_stimuli: int) -> Draws:
        """Compare without each of the stimuli: (n_stimuli, n_layers, n_sites). Asked for where it is `over_pairs`."""
        return self.resample(layers, sites, leave_one_out_counts(n_stimuli))

    @abstractmethod
    def permute(self, layers: Stack, sites: Any, relabellings: Relabellings) -> Draws:
        """Compare with the stimuli of the sites relabelled: the distribution where nothing is shared."""

    @abstractmethod
    def ceiling(self, site_data: SiteData, counts: Counts, seed: int) -> Ceiling:
        """The best score that noise in the data allows, with draws paired with ``counts``."""

    def prepare(
        self, layers: Sequence[LayerKernel], site_data: SiteData
    ) -> tuple[Stack, Bool[np.ndarray, " n_layers"]]:
        """`of_layers`, with a stand-in for those that are not defined, and which are."""
        stack = self.of_layers(layers, site_data)
        # A layer may be well for all stimuli and constant within some of them.
        defined = np.isfinite(stack).all(axis=tuple(range(1, stack.ndim)))
        mask = defined.reshape(-1, *(1,) * (stack.ndim - 1))
        return np.where(mask, stack, self.stand_in(stack)), defined

    def score_within(
        self,
        layers: Sequence[LayerKernel],
        stack: Stack,
        members: Int[np.ndarray, " n_members"],
        site_data: SiteData,
        sites: Any,
    ) -> Scores:
        """Compare every layer with every site for some of the stimuli; NaN where a layer is not defined there.

        Parameters
        ----------
        layers, stack
            Kernels of all stimuli, and what the metric makes of them.
        members
            Positions of the stimuli, ascending.
        targets, sites
            The sites for these stimuli, and what the metric makes of them.
        """
        own, defined = self.prepare([layer.select(members) for layer in layers], site_data)
        return np.where(defined[:, None], self.score(own, sites), np.nan)


metrics: Registry[Metric] = Registry("metric")


class RDMMetric(Metric):
    """Representational similarity: RDM vectors of layers against those of sites.

    Both are made of the dissimilarity that the sites are made of. The cosine of dissimilarities has no ceiling: noise
    moves all of them alike, which a cosine sees and no reliability undoes."""

    over_pairs = True

    def __init__(self, comparison: rsa.Comparison) -> None:
        self._comparison = comparison
        self.scale = comparison.scale
        self.costly_permutations = comparison.costly_permutations

    def of_layers(self, layers: Sequence[LayerKernel], site_data: SiteData) -> Stack:
        if not layers:
            return np.empty((0, site_data.n_stimuli * (site_data.n_stimuli - 1) // 2))
        dissimilarity = dissimilarities[site_data.dissimilarity]
        return upper_triangle(np.stack([dissimilarity(layer) for layer in layers]))

    def of_sites(self, site_data: SiteData) -> Any:
        return upper_triangle(site_data.rdms)

    def score_within(
        self,
        layers: Sequence[LayerKernel],
        stack: Stack,
        members: Int[np.ndarray, " n_members"],
        site_data: SiteData,
        sites: Any,
    ) -> Scores:
        # The dissimilarity of two stimuli does not depend on which others there are.
        return self.score(stack[:, pair_positions(members, n_stimuli_of_pairs(stack.shape[1]))], sites)

    def stand_in(self, stack: Stack) -> np.ndarray:
        return np.arange(stack.shape[-1], dtype=np.float64)

    def score(self, layers: Stack, sites: Any) -> Scores:
        return self._comparison.score(layers, sites)

    def resample(self, layers: Stack, sites: Any, counts: Counts) -> Draws:
        return self._comparison.resample(layers, sites, counts)

    def leave_one_out(self, layers: Stack, sites: Any, n_stimuli: int) -> Draws:
        return self._comparison.leave_one_out(layers, sites)

    def permute(self, layers: Stack, sites: Any, relabellings: Relabellings) -> Draws:
        return self._comparison.permute(layers, sites, relabellings)

    def ceiling(self, site_data: SiteData, counts: Counts, seed: int) -> Ceiling:
        if self.scale not in SCALES:
            return Ceiling.unknown(len(site_data.sites), len(counts), self.scale)
        # A rank correlation is limited by how well noise lets ranks be known, tau-a by Greiner's relation to ranks.
        return site_data.ceiling(self.scale, counts, ranks=self._comparison.on_ranks, seed=seed)


class Reweighted(RDMMetric):
    """Reweighted representational similarity: a non-negative mixture of all layers' RDMs.

    Judged on pairs with held-out stimuli, 6 folds (`murine.similarity.reweighted_rsa`; Conwell et al. 2021).
    """

    combines_layers = True
    below_zero_by_chance = True

    def __init__(self) -> None:
        super().__init__(rsa.Pearson())

    def of_layers(self, layers: Sequence[LayerKernel], site_data: SiteData) -> Stack:
        vectors = super().of_layers(layers, site_data)
        usable = vectors[np.isfinite(vectors).all(axis=1)]
        return usable[None] if len(usable) else np.full((1, 1, vectors.shape[1]), np.nan)

    def score(self, layers: Stack, sites: Any) -> Scores:
        return self._fit(layers, sites).scores[None]

    def resample(self, layers: Stack, sites: Any, counts: Counts) -> Draws:
        return self._fit(layers, sites).resample(sites, counts)[:, None]

    def leave_one_out(self, layers: Stack, sites: Any, n_stimuli: int) -> Draws:
        return self.resample(layers, sites, leave_one_out_counts(n_stimuli))  # the mixture as it is

    def permute(self, layers: Stack, sites: Any, relabellings: Relabellings) -> Draws:
        pairs = permuted_pairs(relabellings[:MAX_REFITS])
        return np.stack([self.score(layers, sites[:, order]) for order in pairs]).astype(np.float32)

    def _fit(self, layers: Stack, sites: Any) -> Any:
        n_stimuli = n_stimuli_of_pairs(sites.shape[1])
        return fit_reweighted_rsa(layers[0], sites, kfold(n_stimuli, N_FOLDS, 0))


class KernelComparison(Metric):
    """Likeness of geometries: centred kernels of layers against those of sites.

    Only of the debiased CKA a ceiling is known: noise adds nothing to its kernels in expectation, so that halves of the
    data are alike as their reliability says. The others are lowered by noise in a way that no reliability undoes."""

    def __init__(self, comparison: geometry.KernelComparison, unbiased: bool) -> None:
        self._comparison, self._unbiased = comparison, unbiased
        self.over_pairs = unbiased
        self.scale = "r" if unbiased else comparison.scale
        self.costly_permutations = comparison.costly_permutations

    def of_layers(self, layers: Sequence[LayerKernel], site_data: SiteData) -> Stack:
        return _grams(layers, site_data)

    def of_sites(self, site_data: SiteData) -> Any:
        return site_data.kernels

    def stand_in(self, stack: Stack) -> np.ndarray:
        return np.eye(stack.shape[-1])

    def score(self, layers: Stack, sites: Any) -> Scores:
        return self._comparison.score(layers, sites)

    def resample(self, layers: Stack, sites: Any, counts: Counts) -> Draws:
        draws = self.resample_singly(layers, sites, counts)
        if self._unbiased:
            return draws
        # A sample has fewer different stimuli, which raises plain scores: they vary about the score of all.
        return draws - draws.mean(axis=0) + self._comparison.score(layers, sites).astype(np.float32)

    def resample_singly(self, layers: Stack, sites: Any, counts: Counts) -> Draws:
        return self._comparison.resample(layers, sites, counts)

    def permute(self, layers: Stack, sites: Any, relabellings: Relabellings) -> Draws:
        return self._comparison.permute(layers, sites, relabellings)

    def ceiling(self, site_data: SiteData, counts: Counts, seed: int) -> Ceiling:
        if self._unbiased and site_data.population is not None and site_data.n_repetitions > 1:
            return site_data.kernel_ceiling(counts)
        return Ceiling.unknown(len(site_data.sites), len(counts), self.scale)


def _grams(layers: Sequence[LayerKernel], site_data: SiteData) -> Stack:
    """Kernels centred over stimuli."""
    return centre_layer_grams(layers) if layers else np.empty((0, site_data.n_stimuli, site_data.n_stimuli))


@dataclass(frozen=True, eq=False)
class Neurons:
    """Single neurons of sites: mean responses (n_neuroids, n_stimuli), and the positions of each site's neurons."""

    responses: Float[np.ndarray, "n_neuroids n_stimuli"]
    members: tuple[Int[np.ndarray, " _"], ...]

    def __getitem__(self, sites: ArrayLike) -> Neurons:
        chosen = [self.members[s] for s in np.asarray(sites)]
        starts = np.cumsum([0, *(len(members) for members in chosen)])
        positions = tuple(np.arange(a, b) for a, b in pairwise(starts))
        return Neurons(self.responses[np.concatenate(chosen)], positions)

    @property
    def defined(self) -> Bool[np.ndarray, " n_sites"]:
        """Sites of which every neuron varies over the stimuli: a mean over neurons has no score else."""
        varies = ~np.isnan(unit_length(self.responses)).any(axis=1)
        return np.array([varies[members].all() for members in self.members], bool)

    def relabelled(self, relabellings: Relabellings) -> Iterator[Neurons]:
        """Yield the same neurons with the stimuli in each of these orders."""
        return (Neurons(self.responses[:, order], self.members) for order in relabellings)

    def averaged(self, scores: Float[np.ndarray, "n_layers n_neuroids"]) -> Scores:
        """Mean over the neurons of each site."""
        return np.stack([scores[:, members].mean(axis=1) for members in self.members], axis=1)


class Encoding(Metric):
    """Neural regression: Pearson's r of responses and predictions of left-out stimuli, mean over a site's neurons.

    Given the layer (and for PLS the site) predictions are linear in each neuron's responses: a matrix of n x n."""

    scale = "r"
    costly_permutations = True
    of_neurons = True

    def of_sites(self, site_data: SiteData) -> Any:
        population = _population(site_data)
        return Neurons(population.means, population.members)

    def stand_in(self, stack: Stack) -> np.ndarray:
        return np.eye(stack.shape[-1])

    @abstractmethod
    def operators(self, layers: Stack, site: Neurons) -> Stack:
        """For every layer the matrix from the responses of a site's neurons, less their means, to predictions."""

    def neuron_scores(self, operators: Stack, responses: Responses) -> Float[np.ndarray, "n_layers n_neuroids"]:
        """Scores of single neurons, of which that of a site is the mean."""
        return correlate_predictions(operators, responses)

    @abstractmethod
    def neuron_draws(
        self, operators: Stack, responses: Responses, counts: Counts
    ) -> Float[np.ndarray, "n_draws n_layers n_neuroids"]:
        """Draws of `neuron_scores` of a site's neurons, of which those of the site are the mean."""

    @abstractmethod
    def plain(self, layers: Stack, sites: Neurons) -> Scores:
        """Return Pearson's r of responses and predictions as they are, mean over a site's neurons.

        Scores are made of predictions less the mean of the responses that each was fitted to."""

    @abstractmethod
    def chance(self, layers: Stack, sites: Neurons, relabellings: Relabellings) -> Scores:
        """Return the mean of `plain` scores where layers and sites share nothing; NaN where it is not known."""

    def ceiling(self, site_data: SiteData, counts: Counts, seed: int) -> Ceiling:
        own, groups = self.neuron_ceiling(site_data, counts), _population(site_data).members
        averaged = own.mean_over(groups)
        notes = [
            "; ".join(filter(None, (note, low_ceiling_note(own.value[members]))))
            for note, members in zip(averaged.notes, groups, strict=True)
        ]
        return replace(averaged, notes=tuple(notes))

    def neuron_ceiling(self, site_data: SiteData, counts: Counts) -> Ceiling:
        """That of every neuron, for means over a site's neurons; not known of single trials."""
        population = _population(site_data)
        if site_data.n_repetitions < 2:
            return Ceiling.unknown(len(population.responses), len(counts), self.scale)
        return mean_ceilings(population.trials, population.members, counts)


class Ridge(Encoding):
    """Neural regression: Pearson's r of responses and leave-one-out ridge predictions, mean over a site's neurons.

    Penalty 1 on features scaled as by the projection of Conwell et al. 2021 (`murine.encoding.ridge`). Draws take
    into account that stimuli are learned from, too (`murine.encoding.jackknife`).

    Parameters
    ----------
    from_zero
        Correlate predictions less the mean of the responses each was fitted to, and put r on a scale on which a layer
        that says nothing has 0 in the mean (`murine.encoding.null_correlation`). Conwell et al. do neither; what a
        layer has by chance is then anywhere from -0.2 to 0.05.
    """

    def __init__(self, from_zero: bool) -> None:
        self._from_zero = from_zero
        self.below_zero_by_chance = not from_zero

    def of_layers(self, layers: Sequence[LayerKernel], site_data: SiteData) -> Stack:
        grams = _grams(layers, site_data)
        return ridge_loo_operators(grams, relative=self._from_zero) if layers else grams

    def stand_in(self, stack: Stack) -> np.ndarray:
        # Predicts the response to the next stimulus: r by chance is not 1, as that of the identity.
        return np.roll(np.eye(stack.shape[-1]), 1, axis=1)

    def operators(self, layers: Stack, site: Neurons) -> Stack:
        return layers

    def neuron_scores(self, operators: Stack, responses: Responses) -> Float[np.ndarray, "n_layers n_neuroids"]:
        return self._above(self._chance(operators), correlate_predictions(operators, responses))

    def neuron_draws(
        self, operators: Stack, responses: Responses, counts: Counts
    ) -> Float[np.ndarray, "n_draws n_layers n_neuroids"]:
        return self._above(self._chance(operators), resample_neuron_scores(operators, responses, counts))

    def score(self, layers: Stack, sites: Neurons) -> Scores:
        if not len(layers):
            return np.empty((0, len(sites.members)))
        return sites.averaged(self.neuron_scores(layers, sites.responses))

    def resample(self, layers: Stack, sites: Neurons, counts: Counts) -> Draws:
        defined = sites.defined
        draws = np.full((len(counts), len(layers), len(defined)), np.nan, np.float32)
        if defined.any():
            own = sites if defined.all() else sites[np.flatnonzero(defined)]
            found = resample_site_scores(layers, own.responses, counts, own.members)
            draws[:, :, defined] = self._above(self._chance(layers), found)
        return draws

    def plain(self, layers: Stack, sites: Neurons) -> Scores:
        return sites.averaged(correlate_predictions(self._plain(layers), sites.responses))

    def chance(self, layers: Stack, sites: Neurons, relabellings: Relabellings) -> Scores:
        return np.tile(null_correlations(self._plain(layers))[:, None], len(sites.members))

    def _plain(self, layers: Stack) -> Stack:
        """Operators to predictions as they are: the mean of the other responses less that of all is -y / (n - 1)."""
        n = layers.shape[-1]
        return layers - np.eye(n) / (n - 1) if self._from_zero else layers

    def permute(self, layers: Stack, sites: Neurons, relabellings: Relabellings) -> Draws:
        draws = permute_correlations(layers, sites.responses, relabellings, sites.members)
        return self._above(self._chance(layers), draws)

    def _chance(self, operators: Stack) -> Float[np.ndarray, " n_layers"]:
        return null_correlations(operators) if self._from_zero else np.zeros(len(operators))

    def _above(self, chance: Float[np.ndarray, " n_layers"], scores: np.ndarray) -> np.ndarray:
        return rescale_above_null(scores, chance.astype(scores.dtype)[:, None])


class RidgePerNeuron(Ridge):
    """Ridge as Conwell et al. (2021) report it: the best layer of every neuron, then the mean over a site's neurons.

    Layers are chosen and scored on the same stimuli: networks with many layers have an advantage. Draws keep the layer
    of every neuron."""

    combines_layers = True
    chooses_naively = True

    def __init__(self) -> None:
        super().__init__(from_zero=False)
        self.below_zero_by_chance = False  # the best of many is above zero by chance

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

    def resample(self, layers: Stack, sites: Neurons, counts: Counts) -> Draws:
        draws = self.neuron_draws(layers, sites.responses, counts)
        return np.stack([draws[:, :, members].mean(axis=2) for members in sites.members], axis=2)

    def plain(self, layers: Stack, sites: Neurons) -> Scores:
        return self.score(layers, sites)

    def chance(self, layers: Stack, sites: Neurons, relabellings: Relabellings) -> Scores:
        # What the best of several has by chance depends on all of them, so that no closed form holds.
        if not len(relabellings):
            return np.full((len(layers), len(sites.members)), np.nan)
        return np.asarray(self.permute(layers, sites, relabellings).mean(axis=0))

    def permute(self, layers: Stack, sites: Neurons, relabellings: Relabellings) -> Draws:
        moved = sites.relabelled(relabellings[:CHANCE_REFITS])
        return np.stack([self.score(layers, own) for own in moved]).astype(np.float32)


class PLS(Encoding):
    """Neural regression by partial least squares: r of responses and held-out predictions, mean over a site's neurons.

    6 folds over stimuli; all neurons of a site share components (`murine.encoding.pls`). A layer that varies along
    fewer directions than there are components is fitted with all it has. Draws take into account that stimuli are
    learned from, too (`murine.encoding.jackknife`)."""

    n_splits = 10  # a fit for every layer, site and half

    def __init__(self, n_components: int) -> None:
        self._n_components = n_components
        self.below_zero_by_chance = True
        # So that a training part has as many stimuli as components, and some more.
        self.min_stimuli = n_components * N_FOLDS // (N_FOLDS - 1) + N_FOLDS

    def of_layers(self, layers: Sequence[LayerKernel], site_data: SiteData) -> Stack:
        return _grams(layers, site_data)

    def score(self, layers: Stack, sites: Neurons) -> Scores:
        return self._scores(_folded(layers), sites)

    def resample(self, layers: Stack, sites: Neurons, counts: Counts) -> Draws:
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

    def plain(self, layers: Stack, sites: Neurons) -> Scores:
        return self._scores(_folded(layers), sites, relative=False)

    def chance(self, layers: Stack, sites: Neurons, relabellings: Relabellings) -> Scores:
        # Components follow the responses, so that no closed form holds.
        if not len(relabellings):
            return np.full((len(layers), len(sites.members)), np.nan)
        folded, moved = _folded(layers), sites.relabelled(relabellings[:CHANCE_REFITS])
        return np.mean([self._scores(folded, own, relative=False) for own in moved], axis=0)

    def permute(self, layers: Stack, sites: Neurons, relabellings: Relabellings) -> Draws:
        folded, orders = _folded(layers), relabellings[:MAX_REFITS]
        draws = np.empty((len(orders), len(layers), len(sites.members)), np.float32)
        for draw, own in zip(draws, sites.relabelled(orders), strict=True):
            draw[:] = self._scores(folded, own)
        return draws

    def operators(self, layers: Stack, site: Neurons) -> Stack:
        return self._operators(_folded(layers), site)

    def _scores(self, layers: PLSFolds, sites: Neurons, relative: bool = True) -> Scores:
        chosen = (sites[[s]] for s in range(len(sites.members)))
        return np.concatenate(
            [
                site.averaged(correlate_predictions(self._operators(layers, site, relative), site.responses))
                for site in chosen
            ],
            axis=1,
        )

    def _operators(self, layers: PLSFolds, site: Neurons, relative: bool = True) -> Stack:
        return layers.operators(site.responses, [self._n_components], relative=relative)[:, 0]


def _folded(layers: Stack) -> PLSFolds:
    """Kernels of layers, ready for PLS."""
    return PLSFolds(layers, kfold(layers.shape[-1], N_FOLDS, 0), at_most=True)


def _population(site_data: SiteData) -> Population:
    if site_data.population is None:
        raise MurineError(
            f"{site_data.name!r} comes as matrices of whole sites: single neurons cannot be predicted. Use one of the "
            "metrics that begin with rsa-, or a recording."
        )
    return site_data.population


for _name, _comparison in rsa.comparisons.items():
    metrics.register(_name)(RDMMetric(_comparison))
metrics.register("rsa-reweighted")(Reweighted())
metrics.register("cka")(KernelComparison(geometry.kernel_metrics["cka"], unbiased=False))
metrics.register("cka-debiased")(KernelComparison(geometry.kernel_metrics["cka-debiased"], unbiased=True))
metrics.register("procrustes")(KernelComparison(geometry.kernel_metrics["procrustes"], unbiased=False))
metrics.register("ridge")(Ridge(from_zero=True))
metrics.register("ridge-conwell2021")(Ridge(from_zero=False))
metrics.register("ridge-conwell2021-per-neuron")(RidgePerNeuron())
for _n_components in N_COMPONENTS:
    metrics.register(f"pls-{_n_components}")(PLS(_n_components))
