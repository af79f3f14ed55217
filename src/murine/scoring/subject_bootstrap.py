"""Bootstrap over neurons or animals: the variation of scores with other images and other subjects.

The neurons of every site are drawn again (`murine.statistics.crossed_bootstrap.neuron_counts`), together with the
stimuli and alone. In a draw, each neuron counts as often as it was drawn: in the RDM or kernel of the site, or in the
mean over scores of neurons. Predictions and chosen layers stay as they are; only the mixtures of reweighted similarity
are fitted to each draw. All networks see the same draws, so differences between them are paired.

Resampled subjects are fewer different ones, so scores against their RDMs are lower than that of all: intervals are not
percentiles, but the score and Student's t for few subjects (Welch-Satterthwaite), with the variance of
`murine.statistics.crossed_bootstrap.dual_variance`. Animals that are drawn whole already vary as their neurons do; with
``both``, that counts once more, so intervals are somewhat too wide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int, UInt16

from murine.errors import MurineError, some
from murine.networks.layer_kernel import LayerKernel
from murine.scoring.encoding_metrics import EncodingMetric
from murine.scoring.held_out import Choices
from murine.scoring.metric import Metric, Stack
from murine.scoring.population import Population
from murine.scoring.site_data import SiteData
from murine.similarity.rdm import dissimilarities
from murine.statistics.bootstrap import Counts
from murine.statistics.crossed_bootstrap import (
    CrossedDraws,
    NeuronCounts,
    animal_counts,
    check_subjects,
    expand_animal_counts,
    mean_over_neurons,
    neuron_counts,
)
from murine.statistics.noise_ceiling import Ceiling

#: Resampled sites that are compared at once. If stimuli are resampled too, the square of this number is computed.
BLOCK = 16

#: At most so many of the layers that halves choose are compared with resampled subjects; others are chosen too rarely.
MOST_CHOSEN = 3

#: At least one of so many samples of animals must leave no site empty.
MOST_TRIES = 1000

Presence = Bool[np.ndarray, "n_sites n_animals"]
Animals = UInt16[np.ndarray, "n_draws n_animals"]


@dataclass(frozen=True, eq=False)
class Subjects:
    """Resampled neurons of every site, the same for all networks.

    Attributes
    ----------
    over
        What is drawn: ``neurons``, ``animals`` or ``both`` (`murine.statistics.crossed_bootstrap.neuron_counts`).
    counts
        How often each neuron of a site (in the order of ``Population.members``) is in each sample.
    n_animals
        Of every site; 0 where a neuron's animal is not known.
    """

    over: str
    counts: tuple[UInt16[np.ndarray, "n_draws _"], ...]
    n_animals: tuple[int, ...]

    @property
    def n_draws(self) -> int:
        return len(self.counts[0])

    def sizes(self, n_stimuli: int, site: int) -> tuple[int, int]:
        """Return the numbers of stimuli and of subjects that samples are drawn from."""
        neurons = self.counts[site].shape[1]
        return n_stimuli, neurons if self.over == "neurons" else self.n_animals[site]


def draw_subjects(site_data: SiteData, over: str, n_draws: int, seed: int) -> Subjects:
    """Draw neurons of every site. The draws depend on the seed, but not on the order of the neurons.

    Neurons are drawn within their site. An animal with neurons at several sites is drawn at all of these sites
    together, so that a mean over sites varies as it does between animals. Animals that share sites, directly or through
    other animals, form a group; as many animals are drawn from a group as it has. A sample without an animal at some
    site is drawn again.

    Raises
    ------
    MurineError
        Data without single neurons; for animals: neurons whose animal is not known, a site with those of one alone, or
        sites that cannot all be kept.
    """
    check_subjects(over)
    population = site_data.population
    if population is None:
        raise MurineError(
            f"{site_data.name!r} comes as matrices of whole sites: neurons or animals cannot be resampled. Leave out "
            "--over, or use a recording."
        )
    ids, donors = np.array(population.neuroid_ids), np.array(population.donors)
    unknown = np.concatenate(population.members)[donors[np.concatenate(population.members)] == ""]
    if len(unknown) and over != "neurons":
        raise MurineError(
            f"{len(unknown)} neurons of {site_data.name!r} do not tell which animal they are of (coordinate donor): "
            f"{some(ids[unknown])}. Take --over neurons, or give them that label."
        )
    sorted_members = [members[np.argsort(ids[members])] for members in population.members]
    names, which = np.unique(donors, return_inverse=True)
    presence = np.array([np.bincount(which[members], minlength=len(names)) > 0 for members in sorted_members])
    n_animals = np.where([(donors[members] == "").any() for members in sorted_members], 0, presence.sum(axis=1))
    alone = [site.name for site, n in zip(site_data.sites, n_animals, strict=True) if n == 1]
    if alone and over != "neurons":
        raise MurineError(
            f"the neurons at {some(alone)} of {site_data.name!r} are all of one animal, which says nothing about "
            "others. Take --over neurons, larger sites (--by), or other ones (--select)."
        )
    drawn = np.zeros((n_draws, 0)) if over == "neurons" else _animals(presence, n_draws, seed)
    counts = []
    for s, (members, found) in enumerate(zip(population.members, sorted_members, strict=True)):
        if over == "neurons":
            own = neuron_counts(donors[found], n_draws, seed + s, over)
        else:
            here, local = np.unique(which[found], return_inverse=True)
            own = expand_animal_counts(local, drawn[:, here], seed + s, over)
        counts.append(own[:, np.argsort(np.argsort(ids[members]))])
    return Subjects(over, tuple(counts), tuple(n_animals.tolist()))


def _animals(presence: Presence, n_draws: int, seed: int) -> Animals:
    """Draw animals within each set of animals that share sites, so that every site has some."""
    from scipy.sparse.csgraph import connected_components

    n_sets, labels = connected_components(presence.T.astype(int) @ presence)
    drawn = np.zeros((n_draws, presence.shape[1]), np.uint16)
    for k in range(n_sets):
        members = np.flatnonzero(labels == k)
        sites = presence[:, members].any(axis=1)
        if sites.any():  # animals whose neurons are at no site are not drawn
            drawn[:, members] = _complete(presence[np.ix_(sites, members)], n_draws, seed + k)
    return drawn


def _complete(presence: Presence, n_draws: int, seed: int) -> Animals:
    """Return the first samples of animals in which every site has at least one."""
    n_samples = n_draws
    while n_samples <= MOST_TRIES * n_draws:
        drawn = animal_counts(presence.shape[1], n_samples, seed)
        whole = drawn[(drawn @ presence.T.astype(int) > 0).all(axis=1)]
        if len(whole) >= n_draws:
            return whole[:n_draws]
        n_samples *= 4
    raise MurineError(
        f"{presence.shape[1]} animals cannot be drawn so that each of {len(presence)} sites keeps some: the smallest "
        f"has {presence.sum(axis=1).min()}. Take --over neurons, or larger sites (--by)."
    )


@dataclass(frozen=True, eq=False)
class SubjectDraws:
    """Draws of one score of every site, and of its ceiling.

    Attributes
    ----------
    both, subjects
        (n_draws, n_sites): under resampled stimuli and subjects; under resampled subjects alone. NaN without a score.
    ceilings_both, ceilings_subjects
        The ceilings that belong to them.
    """

    both: Float[np.ndarray, "n_draws n_sites"]
    subjects: Float[np.ndarray, "n_draws n_sites"]
    ceilings_both: Float[np.ndarray, "n_draws n_sites"]
    ceilings_subjects: Float[np.ndarray, "n_draws n_sites"]


class SubjectBootstrap:
    """Score chosen layers under resampled subjects, for one metric. It is made once and used for many networks.

    The ceiling of scores over neurons is resampled with them, neuron by neuron. That of RDMs and kernels takes halves
    of the repetitions, hundreds of times as many RDMs; it is resampled over stimuli, and stays as it is over subjects.

    200 draws of a site with 118 stimuli and 300 neurons take, on one core, 0.1 s for the resampled RDMs, and for every
    chosen layer 0.03 s by Pearson's r and cosine, 0.1 s by CKA, 0.2 s for a mixture of 30 layers, 0.5 s by Spearman's
    rank correlation, 0.7 s by Procrustes and 2 s by tau-a; 0.05 s for ridge and PLS. Held-out scores take up to
    `MOST_CHOSEN` layers of each site.

    Parameters
    ----------
    metric, site_data
        The metric, and the sites for all stimuli.
    subjects
        Resampled neurons.
    counts
        Resampled stimuli; the first ones are paired with the draws of neurons.
    ceiling
        Of the metric, with draws paired with ``counts``.
    """

    def __init__(
        self,
        metric: Metric,
        site_data: SiteData,
        subjects: Subjects,
        counts: Counts,
        ceiling: Ceiling,
    ) -> None:
        n = subjects.n_draws
        self.subjects, self.n_stimuli = subjects, site_data.n_stimuli
        self._metric, self._site_data = metric, site_data.without_halves()
        self._sites, self._counts = metric.of_sites(site_data), counts[:n]
        self._ceilings = ceiling.draws[:n], np.tile(ceiling.value, (n, 1))
        if isinstance(metric, EncodingMetric):
            self._ceilings = self._neuron_ceilings(metric.neuron_ceiling(site_data, counts))

    def _neuron_ceilings(self, ceiling: Ceiling) -> tuple[np.ndarray, np.ndarray]:
        found = []
        for s, members in enumerate(_population(self._site_data).members):
            own = ceiling.fill_unknown(members)
            if np.isnan(own.value).any():  # of no neuron is it known
                unknown = np.full((self.subjects.n_draws, 1), np.nan)
                found.append(CrossedDraws(unknown, unknown, unknown, self.subjects.sizes(self.n_stimuli, s)))
                continue
            draws = own.draws[: self.subjects.n_draws, None]
            found.append(self._over_neurons(s, own.value[None], draws))
        return np.stack([x.both[:, 0] for x in found], axis=1), np.stack([x.subjects[:, 0] for x in found], axis=1)

    def _over_neurons(self, s: int, scores: np.ndarray, draws: np.ndarray) -> CrossedDraws:
        return mean_over_neurons(scores, draws, self.subjects.counts[s], self.subjects.sizes(self.n_stimuli, s))

    def run(
        self, stack: Stack, best: Int[np.ndarray, " n_sites"], choices: Choices | None
    ) -> tuple[SubjectDraws, SubjectDraws | None]:
        """Return draws of the scores of chosen layers.

        Parameters
        ----------
        stack
            All layers, as the metric sees them.
        best
            A layer for each site, chosen on all stimuli; -1 for none.
        choices
            Of layers on halves of the stimuli.

        Returns
        -------
        naive, held_out
            Of ``best``; of ``choices``, where there are any: the mean of the layers that are chosen most often, each as
            often as it is chosen.
        """
        naive, held_out = np.full((2, 2, self.subjects.n_draws, len(best)), np.nan)
        for s in range(len(best)):
            drawn = None
            if not isinstance(self._metric, EncodingMetric):
                drawn = drawn_sites(self._site_data, s, self.subjects.counts[s])
            if best[s] >= 0:
                naive[:, :, s] = self._compare(stack[[best[s]]], s, drawn)
            which, shares = (np.empty(0, int), np.empty((0, 0))) if choices is None else choices.shares(s)
            if len(which):
                weights = shares.mean(axis=0)[:MOST_CHOSEN]
                found = [self._compare(stack[[layer]], s, drawn) for layer in which[:MOST_CHOSEN]]
                held_out[:, :, s] = np.average(found, axis=0, weights=weights)
        result = [SubjectDraws(both, alone, *self._ceilings) for both, alone in (naive, held_out)]
        return result[0], None if choices is None else result[1]

    def _compare(self, layer: Stack, s: int, drawn: SiteData | None) -> Float[np.ndarray, "2 n_draws"]:
        """Score one layer at one site: under resampled stimuli and subjects, and under resampled subjects alone."""
        metric, n_draws, counts = self._metric, self.subjects.n_draws, self._counts
        if isinstance(metric, EncodingMetric):
            site = self._sites[[s]]
            operators = metric.operators(layer, site)
            scores = metric.neuron_scores(operators, site.responses)
            if np.isnan(scores).any():
                return np.full((2, n_draws), np.nan)
            found = self._over_neurons(s, scores, metric.neuron_draws(operators, site.responses, counts))
            return np.stack([found.both[:, 0], found.subjects[:, 0]])
        if drawn is None:
            raise MurineError("a metric of whole sites needs resampled sites.")
        sites = metric.of_sites(drawn)
        defined = np.isfinite(sites).reshape(n_draws, -1).all(axis=1)
        sites = np.where(defined.reshape(-1, *(1,) * (sites.ndim - 1)), sites, self._sites[[s]])
        both = np.empty(n_draws)
        for start in range(0, n_draws, BLOCK):
            block = slice(start, start + BLOCK)
            both[block] = np.diagonal(metric.resample_independently(layer, sites[block], counts[block])[:, 0])
        return np.where(defined, np.stack([both, metric.score(layer, sites)[0]]), np.nan)


def _population(site_data: SiteData) -> Population:
    if site_data.population is None:
        raise MurineError(f"{site_data.name!r} has no single neurons.")
    return site_data.population


def drawn_sites(site_data: SiteData, site: int, counts: NeuronCounts) -> SiteData:
    """Return resampled versions of a site: each draw of its neurons is one site.

    NaN where the drawn neurons all respond alike to some stimulus, as a single neuron does."""
    population = _population(site_data)
    n_draws, n = len(counts), site_data.n_stimuli
    rdm_of = dissimilarities[site_data.dissimilarity]
    rdms, grams = np.empty((n_draws, n, n)), np.empty((n_draws, n, n))
    for k, kernel in enumerate(drawn_kernels(population.patterns(site), counts)):
        rdms[k], grams[k] = rdm_of(kernel), kernel.gram
    return replace(
        site_data,
        sites=(site_data.sites[site],) * n_draws,
        rdms=rdms,
        half_rdms=None,
        half_patterns=None,
        given_reliability=np.full((n_draws, 2), np.nan),
        n_neuroids=(site_data.n_neuroids[site],) * n_draws,
        kernels=grams,
        population=None,
    )


def drawn_kernels(
    patterns: Float[np.ndarray, "n_neuroids n_stimuli"], counts: UInt16[np.ndarray, "n_draws n_neuroids"]
) -> Iterator[LayerKernel]:
    """Yield the kernel of each sample of neurons, each repeated as often as it was drawn."""
    columns = np.ascontiguousarray(patterns.T)
    for row in counts:
        drawn = np.flatnonzero(row)
        weights, number = row[drawn].astype(np.float64), int(row.sum())
        own = columns[:, drawn]
        means = own @ weights / number
        own -= means[:, None]
        own *= np.sqrt(weights)
        yield LayerKernel(own @ own.T, means, number)
