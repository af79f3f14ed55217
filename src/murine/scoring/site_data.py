"""Targets: the RDMs of cortical sites, with those of parts of the data that tell how reliable they are, ready to be
compared.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Recording, Site
from murine.errors import MurineError, some
from murine.io.array_cache import ArrayCache
from murine.limits import SEED, SPLITS
from murine.networks.layer_kernel import LayerKernel
from murine.similarity.kernel_similarity import u_centre_kernels
from murine.similarity.noise_ceiling import SplitHalfRDM, cosine_reliability, harmonic_mean
from murine.similarity.rdm import dissimilarities
from murine.similarity.rdm_vectors import pair_positions, upper_triangle
from murine.statistics.bootstrap import Counts
from murine.statistics.noise_ceiling import DISTANCE, SCALES, Ceiling
from murine.statistics.random_halves import SplitKeys, count_trials, half_means, split_keys
from murine.statistics.standardisation import zscore

log = logging.getLogger(__name__)

#: Where a neuron has a single trial of a stimulus, it stands in for both halves, and the halves agree too well. With
#: more stand-ins than the first share of a site's means its ceiling is flagged, with more than the second it is not
#: known.
FEW_STAND_INS, MOST_STAND_INS = 0.01, 0.1

#: Dissimilarities that are one less a cosine between patterns, and whether patterns are centred first.
COSINES = {"pearson": True, "cosine": False}


@dataclass(frozen=True, eq=False)
class Population:
    """Single neurons of all sites.

    Attributes
    ----------
    responses
        (n_neuroids, n_all_stimuli, n_repetitions); NaN where a trial is missing. Selections share them.
    stimuli
        Which of the stimuli this is about, as positions.
    members
        The positions of the neurons of each site.
    normalise
        What is done to responses before patterns are made of them (`make_site_data`).
    keys
        Orders of the trials of all stimuli, by which they are halved; none where there is one repetition.
    neuroid_ids, donors
        Of every neuron: its id, and the animal it is of, '' where that is not known.
    source
        What this is a selection of: means over repetitions are taken once, when they are first asked for.
    """

    responses: Float[np.ndarray, "n_neuroids n_all_stimuli n_repetitions"]
    stimuli: Int[np.ndarray, " n_stimuli"]
    members: tuple[Int[np.ndarray, " _"], ...]
    normalise: str
    keys: SplitKeys
    neuroid_ids: tuple[str, ...]
    donors: tuple[str, ...]
    source: Population | None = None

    @cached_property
    def all_means(self) -> Float[np.ndarray, "n_neuroids n_all_stimuli"]:
        """Mean responses to all stimuli, whichever of them were selected."""
        return _means(self.responses) if self.source is None else self.source.all_means

    @property
    def trials(self) -> Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"]:
        """Responses to these stimuli."""
        return _chosen(self.responses, self.stimuli)

    @property
    def means(self) -> Float[np.ndarray, "n_neuroids n_stimuli"]:
        """Mean responses over repetitions."""
        return self.all_means[:, self.stimuli]

    def patterns(self, site: int) -> Float[np.ndarray, "n_members n_stimuli"]:
        """Mean responses of a site's neurons, as patterns are made of them."""
        means = self.means[self.members[site]]
        return zscore(means) if self.normalise == "zscore" else means

    def of_neurons(
        self, neurons: Int[np.ndarray, " n_chosen"]
    ) -> Float[np.ndarray, "n_chosen n_stimuli n_repetitions"]:
        """Responses of some neurons, without a copy of those of all."""
        return _chosen(self.responses[neurons], self.stimuli)

    def select(self, stimuli: Int[np.ndarray, " n_chosen"]) -> Population:
        """The same neurons' responses to some of the stimuli (positions)."""
        source = self.source or self
        return replace(self, stimuli=self.stimuli[stimuli], keys=self.keys[:, stimuli], source=source)


@dataclass(frozen=True)
class LostSite:
    """A site of the data that cannot be compared: it has rows without scores.

    Attributes
    ----------
    n_neuroids
        Its usable neurons.
    reason
        Why it cannot.
    """

    site: Site
    n_neuroids: int
    reason: str


@dataclass(frozen=True, eq=False)
class SiteData:
    """RDMs of one or more sites for a common set of stimuli, in the order of their ids.

    Attributes
    ----------
    rdms
        (n_sites, n_stimuli, n_stimuli), of all repetitions.
    dissimilarity
        What they are made of, and those of layers are to be (`murine.similarity.rdm.dissimilarities`).
    parts
        (n_sites, 2, n_splits, n_pairs) float32: RDM vectors of two random halves of the trials; None for data without
        repetitions. NaN where too many trials are missing.
    part_patterns
        (n_sites, 3, n_stimuli): how well the patterns of halves agree about a stimulus, the length of the pattern and
        the number of trials (`murine.similarity.noise_ceiling.SplitHalfRDM`); None with ``parts``.
    given_reliability
        (n_sites, 2): mean and standard error, where the data brought them; NaN else.
    n_neuroids
        Neurons per site; 0 where not known.
    left_out
        Ids of neurons that could not be used, by reason.
    kernels
        Products of the patterns of every two stimuli, (n_sites, n_stimuli, n_stimuli); of given matrices their
        similarities.
    population
        The single neurons; None for data without them.
    lost
        Sites of the data that are not among ``sites``, because nothing can be compared with them.
    notes
        What is to be known of each site, '' for nothing: a constant matrix, a ceiling that comes out too high.
    """

    name: str
    digest: str
    sites: tuple[Site, ...]
    stimulus_ids: tuple[str, ...]
    rdms: Float[np.ndarray, "n_sites n_stimuli n_stimuli"]
    dissimilarity: str
    parts: Float[np.ndarray, "n_sites 2 n_splits n_pairs"] | None
    given_reliability: Float[np.ndarray, "n_sites 2"]
    n_neuroids: tuple[int, ...]
    n_repetitions: int
    left_out: dict[str, tuple[str, ...]]
    kernels: Float[np.ndarray, "n_sites n_stimuli n_stimuli"]
    population: Population | None = None
    lost: tuple[LostSite, ...] = ()
    notes: tuple[str, ...] = ()
    part_patterns: Float[np.ndarray, "n_sites 3 n_stimuli"] | None = None

    @property
    def n_stimuli(self) -> int:
        return len(self.stimulus_ids)

    def site_notes(self, ceiling: Ceiling) -> tuple[str, ...]:
        """What is to be known of each site and its ceiling, '' for nothing; of a metric without ceilings, of the
        site."""
        own = self.notes or ("",) * len(self.sites)
        of_ceiling = ceiling.flags if ceiling.scale in (*SCALES, DISTANCE) else ("",) * len(self.sites)
        return tuple("; ".join(filter(None, both)) for both in zip(own, of_ceiling, strict=True))

    def select(self, stimuli: Int[np.ndarray, " n_chosen"]) -> SiteData:
        """Return the targets for some of the stimuli (positions)."""
        pairs = pair_positions(stimuli, self.n_stimuli)
        return replace(
            self,
            stimulus_ids=tuple(self.stimulus_ids[i] for i in stimuli),
            rdms=self.rdms[:, stimuli][:, :, stimuli],
            parts=None if self.parts is None else self.parts[..., pairs],
            part_patterns=None if self.part_patterns is None else self.part_patterns[..., stimuli],
            kernels=self.kernels[:, stimuli][:, :, stimuli],
            population=None if self.population is None else self.population.select(stimuli),
        )

    def without_parts(self) -> SiteData:
        """The same sites without what their ceilings are made of: less to copy where only scores are wanted."""
        return replace(self, parts=None, part_patterns=None)

    def ceiling(self, scale: str, counts: Counts, *, ranks: bool = False, seed: int = 0) -> Ceiling:
        """The ceiling of a score on ``scale`` against the RDMs, with draws paired with ``counts``.

        From single trials: the correlation with what the RDM would be without noise (of ranks with ``ranks``), from
        random halves (`murine.similarity.noise_ceiling`). From given reliabilities: their value, with normal draws of
        their standard error, or without an error where that is not given. Not known of single trials."""
        reliability = np.empty(len(self.sites))
        draws = np.empty((len(counts), len(self.sites)))
        generator = np.random.default_rng([seed, len(self.sites)])
        for s in range(len(self.sites)):
            if self.parts is None:
                mean, sem = self.given_reliability[s]
                reliability[s], draws[:, s] = mean, mean + sem * generator.standard_normal(len(counts))
            else:
                reliability[s], draws[:, s] = self.halved(s).reliability(counts, ranks=ranks)
        return Ceiling.from_reliability(reliability, draws, scale, ranks=ranks and self.parts is not None)

    def halved(self, site: int) -> SplitHalfRDM:
        """The RDM of a site, and those of halves of its trials."""
        if self.parts is None or self.part_patterns is None:
            raise MurineError(f"{self.name!r} has no repetitions to make halves of.")
        agreement, power, numbers = self.part_patterns[site]
        cosines = self.dissimilarity in COSINES
        whole = upper_triangle(self.rdms[[site]])[0]
        first, second = self.parts[site]
        return SplitHalfRDM(whole, first, second, agreement if cosines else None, power, numbers)

    def kernel_ceiling(self, counts: Counts) -> Ceiling:
        """The ceiling of the debiased CKA with the kernels, from random halves of the trials.

        Its draws are taken over pairs of stimuli."""
        if self.population is None or not len(self.population.keys):
            raise MurineError(f"{self.name!r} has no repetitions to make halves of.")
        reliability = np.empty(len(self.sites))
        draws = np.empty((len(counts), len(self.sites)))
        for s, (first, second) in enumerate(self._kernel_parts):
            whole = upper_triangle(u_centre_kernels(self.kernels[[s]]))[0]
            reliability[s], draws[:, s] = cosine_reliability(whole * self._units[s], first, second, counts)
        return Ceiling.from_reliability(reliability, draws, "r")

    @cached_property
    def _kernel_parts(self) -> Float[np.ndarray, "n_sites 2 n_splits n_pairs"]:
        """As ``parts``, of kernels centred without bias."""
        if self.population is None:
            raise MurineError(f"{self.name!r} has no single trials to make halves of.")
        population, n_pairs = self.population, self.n_stimuli * (self.n_stimuli - 1) // 2
        vectors = np.empty((len(self.sites), 2, len(population.keys), n_pairs), np.float32)
        for own, members, unit in zip(vectors, population.members, self._units, strict=True):
            trials = population.of_neurons(members)
            if _stand_ins(trials) > MOST_STAND_INS:
                own[:] = np.nan
                continue
            # Over all stimuli, as that of the kernels.
            scale = _Scale.of(population.all_means[members], population.normalise)
            for k, halves in enumerate(half_means(trials, population.keys)):
                for vector, half in zip(own[:, k], halves, strict=True):
                    vector[:] = upper_triangle(u_centre_kernels(unit * scale.kernel(half).gram[None]))[0]
        return vectors

    @property
    def _units(self) -> Float[np.ndarray, " n_sites"]:
        """Powers of 2 that bring the kernels to the size of 1: float32 has no room for those of very small units."""
        return np.exp2(-np.floor(np.log2(np.abs(self.kernels).max(axis=(1, 2)))))


def make_site_data(
    data: Recording | NeuralRDMs,
    by: Sequence[str] = (),
    *,
    normalise: str = "none",
    dissimilarity: str = "pearson",
    n_splits: int = 100,
    seed: int = 0,
    kept: ArrayCache | None = None,
) -> SiteData:
    """Prepare cortical data for representational comparison.

    Parameters
    ----------
    data
        A recording (RDMs are dissimilarities of the population responses to every two stimuli) or given matrices.
    by
        Coordinates that make up a site, for a recording. Without any, a site is an area, or the whole recording where
        it names no area.
    normalise
        ``none``: neurons as they are, so that the most active ones dominate (Conwell et al. 2021 take
        ``numpy.corrcoef`` of the plain responses); ``zscore``: each neuron is standardised over stimuli first, so that
        all count alike. Given matrices cannot be standardised.
    dissimilarity
        A name in `murine.similarity.rdm.dissimilarities`. Matrices come with theirs, which is taken to be this one.
    n_splits, seed
        Random halves of the trials of each stimulus, for the ceiling.
    kept
        Where RDMs of halves are kept between runs; they depend on nothing but the arguments.

    Raises
    ------
    MurineError
        No usable neuron, no site with an RDM, unknown coordinate, normalisation or dissimilarity; given matrices that
        are to be standardised.
    """
    if normalise not in ("zscore", "none"):
        raise MurineError(f"normalise is {normalise!r}; expected 'zscore' or 'none'.")
    SPLITS.check("n_splits", n_splits)
    SEED.check("seed", seed)
    rdm_of = dissimilarities[dissimilarity]
    order = np.argsort(np.asarray(data.stimulus_ids))
    ids = tuple(data.stimulus_ids[i] for i in order)
    if isinstance(data, NeuralRDMs):
        if normalise == "zscore":
            raise MurineError(
                f"{data.name!r} comes as matrices, which do not hold single neurons: these cannot be z-scored. Use "
                "--normalise none; --normalise-features zscore standardises the network's side alone."
            )
        return _given_targets(data, order, ids, dissimilarity)

    usable, left_out = data.usable()
    groups = usable.sites(*by)
    lost = _too_small(data, usable, by)
    n = usable.n_repetitions
    keys = split_keys(ids, n, n_splits if n > 1 else 0, seed)

    found: list[np.ndarray] = []
    kernels: list[np.ndarray] = []
    notes: dict[Site, str] = {}
    parts = np.full((len(groups), 2, len(keys), len(ids) * (len(ids) - 1) // 2), np.nan, np.float32)
    patterns = np.full((len(groups), 3, len(ids)), np.nan)
    for site, members in groups.items():
        about = {"site": site.name, "data": data.digest, "by": list(by), "normalise": normalise, "splits": n_splits}
        about |= {"dissimilarity": dissimilarity, "seed": seed}
        compute = partial(_of_site, usable.responses, members, order, keys, dissimilarity, normalise)
        computed = (kept or ArrayCache()).arrays(about, compute)
        kernel = _Scale.of(computed["mean"], normalise).kernel(computed["mean"])
        rdm = rdm_of(kernel)
        if np.isnan(rdm).any():
            lost.append(LostSite(site, len(members), "all neurons respond alike to some stimulus"))
            continue
        notes[site] = _stand_in_note(float(computed["stand_ins"]))
        if len(computed["parts"]):
            parts[len(found)], patterns[len(found)] = computed["parts"], computed["patterns"]
        found.append(rdm)
        kernels.append(kernel.gram)
    sites = tuple(notes)
    _tell(data.name, n, lost, notes)
    if not sites:
        raise MurineError(
            f"no site of {data.name!r} has an RDM: {some([f'{x.site.name} ({x.reason})' for x in lost])}. Use more "
            "neurons a site, or normalise='none'."
        )
    return SiteData(
        data.name,
        data.digest,
        sites,
        ids,
        np.stack(found),
        dissimilarity,
        parts[: len(sites)] if n > 1 else None,
        np.full((len(sites), 2), np.nan),
        tuple(len(groups[site]) for site in sites),
        data.n_repetitions,
        left_out,
        np.stack(kernels),
        Population(
            usable.responses,
            np.asarray(order),
            tuple(groups[site] for site in sites),
            normalise,
            keys,
            tuple(usable["neuroid_id"].astype(str)),
            _donors(usable),
        ),
        tuple(lost),
        tuple(notes.values()),
        patterns[: len(sites)] if n > 1 else None,
    )


def _of_site(
    responses: Float[np.ndarray, "n_neuroids n_all_stimuli n_repetitions"],
    members: Int[np.ndarray, " n_members"],
    stimuli: Int[np.ndarray, " n_stimuli"],
    keys: SplitKeys,
    dissimilarity: str,
    normalise: str,
) -> dict[str, np.ndarray]:
    """What is made of the trials of a site: mean responses; RDM vectors of halves of the trials, with what their
    ceiling needs to know of the patterns of each stimulus; and the share of means that are of a single trial."""
    rdm_of = dissimilarities[dissimilarity]
    trials = responses[members][:, stimuli]
    mean = _means(trials)
    scale = _Scale.of(mean, normalise)
    kernel = scale.kernel(mean)
    stand_ins = _stand_ins(trials) if len(keys) else 0.0
    if not len(keys) or stand_ins > MOST_STAND_INS or np.isnan(rdm_of(kernel)).any():
        parts, patterns = np.empty((0, 0, 0), np.float32), np.empty((0, 0))
    else:
        centre = COSINES.get(dissimilarity, True)
        parts = np.empty((2, len(keys), len(stimuli) * (len(stimuli) - 1) // 2), np.float32)
        agreement = np.zeros(len(stimuli))
        for k, halves in enumerate(half_means(trials, keys)):
            parts[:, k] = [upper_triangle(rdm_of(scale.kernel(half))) for half in halves]
            agreement += scale.agreement(*halves, centre) / len(keys)
        power = np.diag(kernel.covariance if centre else kernel.gram)
        patterns = np.stack([agreement, power, harmonic_mean(count_trials(trials))])
    return {"mean": mean, "parts": parts, "patterns": patterns, "stand_ins": np.array(stand_ins)}


def _given_targets(
    data: NeuralRDMs, order: Int[np.ndarray, " n_stimuli"], ids: tuple[str, ...], dissimilarity: str
) -> SiteData:
    rdms = data.matrices[:, order][:, :, order]
    vectors = upper_triangle(rdms)
    constant = np.ptp(vectors, axis=1) <= 1e-12 * np.abs(vectors).max(axis=1, initial=0)
    notes = tuple("the same dissimilarity for every pair" if x else "" for x in constant)
    _tell(data.name, None, [], dict(zip(data.sites, notes, strict=True)))
    without_error = np.isfinite(data.reliability) & np.isnan(data.reliability_sem)
    if without_error.any():
        names = [site.name for site, lacks in zip(data.sites, without_error, strict=True) if lacks]
        log.warning(
            "%s: the reliability of %s has no standard error (reliability_sem). Its ceiling is taken as exact: "
            "intervals of ceiled scores hold the error of scores alone.",
            data.name,
            some(names),
        )
    return SiteData(
        data.name,
        data.digest,
        data.sites,
        ids,
        rdms,
        dissimilarity,
        None,
        np.stack([data.reliability, data.reliability_sem], axis=1),
        (0,) * len(data.sites),
        0,
        {},
        1 - rdms,
        notes=notes,
    )


def _too_small(data: Recording, usable: Recording, by: Sequence[str]) -> list[LostSite]:
    """Sites of all neurons that have fewer than two usable ones."""
    left = {site: len(members) for site, members in usable.sites(*by, min_neuroids=1).items()}
    names = {0: "no usable neuron", 1: "one usable neuron"}
    return [
        LostSite(site, left.get(site, 0), names[left.get(site, 0)])
        for site in data.sites(*by, min_neuroids=1)
        if left.get(site, 0) < 2
    ]


def _tell(name: str, n_repetitions: int | None, lost: Sequence[LostSite], notes: Mapping[Site, str]) -> None:
    """Say once in words what rows say by flags."""
    told = [f"{site.name} ({note})" for site, note in notes.items() if note]
    if told:
        log.warning("%s: take care with %s.", name, some(told))
    if lost:
        log.warning("%s: sites without scores: %s.", name, some([f"{x.site.name} ({x.reason})" for x in lost]))
    if n_repetitions == 1:
        log.warning("%s: one repetition of each stimulus gives no noise ceiling; scores are raw.", name)


def _chosen(
    responses: Float[np.ndarray, "n_neuroids n_all_stimuli n_repetitions"], stimuli: Int[np.ndarray, " n_stimuli"]
) -> Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"]:
    """Responses to some stimuli; not copied where these are all, in order: they may be the largest array there is."""
    everything = np.array_equal(stimuli, np.arange(responses.shape[1]))
    return responses if everything else responses[:, stimuli]


def _donors(recording: Recording) -> tuple[str, ...]:
    if "donor" not in recording.dataset.coords or recording.dataset["donor"].dims != ("neuroid",):
        return ("",) * recording.n_neuroids
    values = recording["donor"]
    return tuple(np.where(pd.isna(values), "", values.astype(str)))


@dataclass(frozen=True, eq=False)
class _Scale:
    """What patterns are made of: responses as they are, or less a mean and over an SD for each neuron.

    Halves have the scale of the whole: each with its own, they would weigh neurons otherwise than the whole does."""

    mean: Float[np.ndarray, "n_neuroids 1"]
    sd: Float[np.ndarray, "n_neuroids 1"]

    @classmethod
    def of(cls, means: Float[np.ndarray, "n_neuroids n_stimuli"], normalise: str) -> _Scale:
        none = np.zeros((len(means), 1)), np.ones((len(means), 1))
        if normalise == "none":
            return cls(*none)
        mean, sd = means.mean(axis=1, keepdims=True), means.std(axis=1, keepdims=True)
        tiny = 1e-12 * np.abs(means).max(axis=1, keepdims=True, initial=0)
        return cls(mean, np.where(sd > tiny, sd, np.inf))  # a constant neuron becomes 0

    def patterns(self, responses: Float[np.ndarray, "n_neuroids n_stimuli"]) -> np.ndarray:
        return np.ascontiguousarray(((responses - self.mean) / self.sd).T)

    def kernel(self, responses: Float[np.ndarray, "n_neuroids n_stimuli"]) -> LayerKernel:
        """The products of population patterns of every two stimuli."""
        return LayerKernel.of(self.patterns(responses))

    def agreement(self, first: np.ndarray, second: np.ndarray, centre: bool) -> Float[np.ndarray, " n_stimuli"]:
        """The cosine between two patterns of each stimulus; 0 where one has no length."""
        one, other = self.patterns(first), self.patterns(second)
        if centre:
            one, other = (x - x.mean(axis=1, keepdims=True) for x in (one, other))
        lengths = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
        return np.divide((one * other).sum(axis=1), lengths, out=np.zeros(len(one)), where=lengths > 0)


def _stand_ins(trials: Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"]) -> float:
    """The share of mean responses that are single trials, which stand in for both halves."""
    return float((count_trials(trials) < 2).mean())


def _stand_in_note(share: float) -> str:
    if share > MOST_STAND_INS:
        return f"too few trials for a ceiling: {share:.0%} of the mean responses are of a single trial"
    if share > FEW_STAND_INS:
        return f"ceiling too high: {share:.0%} of the mean responses are of a single trial"
    return ""


def _means(
    trials: Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"],
) -> Float[np.ndarray, "n_neuroids n_stimuli"]:
    """Mean responses over the trials that are there."""
    valid = np.isfinite(trials)
    return np.asarray(np.where(valid, trials, 0.0).sum(axis=2, dtype=np.float64) / valid.sum(axis=2))
