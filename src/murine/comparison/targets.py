"""Targets: the RDMs of cortical sites, with those of parts of the data that tell how reliable they are, ready to be
compared.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from murine.comparison.ceiling import DISTANCE, SCALES, Ceiling, full_reliability, halves_reliability
from murine.comparison.geometry import u_centred
from murine.comparison.inference import Counts
from murine.comparison.rdm import dissimilarities, pairs_among, upper, zscore
from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Recording, Site
from murine.errors import MurineError, some
from murine.kept import Kept
from murine.limits import SEED, SPLITS
from murine.networks.kernel import LayerKernel

log = logging.getLogger(__name__)

#: Where trials are missing, a half of the repetitions may have none of some neuron and stimulus; the mean of all then
#: stands in, and the halves agree too well. With more stand-ins than the first share of a site's means its ceiling is
#: flagged, with more than the second it is not known.
FEW_STAND_INS, MOST_STAND_INS = 0.01, 0.1


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
        What is done to responses before patterns are made of them (`targets_of`).
    n_splits, seed
        Random parts of the repetitions.
    neuroid_ids, donors
        Of every neuron: its id, and the animal it is of, '' where that is not known.
    """

    responses: Float[np.ndarray, "n_neuroids n_all_stimuli n_repetitions"]
    stimuli: Int[np.ndarray, " n_stimuli"]
    members: tuple[Int[np.ndarray, " _"], ...]
    normalise: str
    n_splits: int
    seed: int
    neuroid_ids: tuple[str, ...]
    donors: tuple[str, ...]

    @property
    def trials(self) -> Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"]:
        """Responses to these stimuli."""
        return _chosen(self.responses, self.stimuli)

    @property
    def means(self) -> Float[np.ndarray, "n_neuroids n_stimuli"]:
        """Mean responses over repetitions."""
        return _means(self.trials, np.ones((1, self.responses.shape[2]), bool))[0]

    def patterns(self, site: int) -> Float[np.ndarray, "n_members n_stimuli"]:
        """Mean responses of a site's neurons, as patterns are made of them."""
        trials = self.of_neurons(self.members[site])
        means = _means(trials, np.ones((1, trials.shape[2]), bool))[0]
        return zscore(means) if self.normalise == "zscore" else means

    def of_neurons(
        self, neurons: Int[np.ndarray, " n_chosen"]
    ) -> Float[np.ndarray, "n_chosen n_stimuli n_repetitions"]:
        """Responses of some neurons, without a copy of those of all."""
        return _chosen(self.responses[neurons], self.stimuli)

    def select(self, stimuli: Int[np.ndarray, " n_chosen"]) -> Population:
        """The same neurons' responses to some of the stimuli (positions)."""
        return replace(self, stimuli=self.stimuli[stimuli])


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
class Targets:
    """RDMs of one or more sites for a common set of stimuli, in the order of their ids.

    Attributes
    ----------
    rdms
        (n_sites, n_stimuli, n_stimuli), of all repetitions.
    dissimilarity
        What they are made of, and those of layers are to be (`murine.comparison.rdm.dissimilarities`).
    parts
        (n_sites, 4, n_splits, n_pairs) float32: RDM vectors of two random halves and of two random quarters of the
        repetitions; None for data without single trials. Quarters are NaN with fewer than four repetitions.
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
    parts: Float[np.ndarray, "n_sites 4 n_splits n_pairs"] | None
    given_reliability: Float[np.ndarray, "n_sites 2"]
    n_neuroids: tuple[int, ...]
    n_repetitions: int
    left_out: dict[str, tuple[str, ...]]
    kernels: Float[np.ndarray, "n_sites n_stimuli n_stimuli"]
    population: Population | None = None
    lost: tuple[LostSite, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def n_stimuli(self) -> int:
        return len(self.stimulus_ids)

    def site_notes(self, ceiling: Ceiling) -> tuple[str, ...]:
        """What is to be known of each site and its ceiling, '' for nothing; of a metric without ceilings, of the
        site."""
        own = self.notes or ("",) * len(self.sites)
        of_ceiling = ceiling.flags if ceiling.scale in (*SCALES, DISTANCE) else ("",) * len(self.sites)
        return tuple("; ".join(filter(None, both)) for both in zip(own, of_ceiling, strict=True))

    def select(self, stimuli: Int[np.ndarray, " n_chosen"]) -> Targets:
        """Return the targets for some of the stimuli (positions)."""
        pairs = pairs_among(stimuli, self.n_stimuli)
        return replace(
            self,
            stimulus_ids=tuple(self.stimulus_ids[i] for i in stimuli),
            rdms=self.rdms[:, stimuli][:, :, stimuli],
            parts=None if self.parts is None else self.parts[..., pairs],
            kernels=self.kernels[:, stimuli][:, :, stimuli],
            population=None if self.population is None else self.population.select(stimuli),
        )

    def without_parts(self) -> Targets:
        """The same sites without what their ceilings are made of: less to copy where only scores are wanted."""
        return replace(self, parts=None)

    def ceiling(self, scale: str, counts: Counts, *, ranks: bool = False, seed: int = 0) -> Ceiling:
        """The ceiling of a score on ``scale`` against the RDMs, with draws paired with ``counts``.

        From single trials: the mean correlation of the RDMs of random halves (of their ranks with ``ranks``), which
        is the reliability of half the data; that of all repetitions follows by Spearman-Brown with a second term
        (`murine.comparison.ceiling.full_reliability`). From given reliabilities: their value, with
        normal draws of their standard error, or without an error where that is not given. Not known of single
        trials."""
        reliability = np.empty(len(self.sites))
        draws = np.empty((len(counts), len(self.sites)))
        generator = np.random.default_rng([seed, len(self.sites)])
        for s in range(len(self.sites)):
            if self.parts is None:
                mean, sem = self.given_reliability[s]
                reliability[s], draws[:, s] = mean, mean + sem * generator.standard_normal(len(counts))
                continue
            parts = _ranks(self.parts[s]) if ranks else self.parts[s]
            reliability[s], draws[:, s] = _parts_reliability(parts, counts, self.n_repetitions)
        return Ceiling.from_reliability(reliability, draws, scale)

    def kernel_ceiling(self, counts: Counts) -> Ceiling:
        """The ceiling of the debiased CKA with the kernels, from random halves and quarters as `ceiling`.

        Kernels centred without bias have no noise in expectation, and their likeness is a cosine: that of halves is a
        reliability. Its draws are taken over pairs of stimuli.
        """
        reliability = np.empty(len(self.sites))
        draws = np.empty((len(counts), len(self.sites)))
        for s, parts in enumerate(self._kernel_parts):
            reliability[s], draws[:, s] = _parts_reliability(parts, counts, self.n_repetitions)
        return Ceiling.from_reliability(reliability, draws, "r")

    @cached_property
    def _kernel_parts(self) -> Float[np.ndarray, "n_sites n_parts n_splits n_pairs"]:
        """As ``parts``, of kernels centred without bias."""
        if self.population is None:
            raise MurineError(f"{self.name!r} has no single trials to make halves of.")
        population, n_pairs = self.population, self.n_stimuli * (self.n_stimuli - 1) // 2
        selections = np.concatenate(_random_parts(self.n_repetitions, population.n_splits, population.seed))
        vectors = np.empty((len(self.sites), len(selections), n_pairs), np.float32)
        for own, members in zip(vectors, population.members, strict=True):
            trials = population.of_neurons(members)
            if _stand_ins(trials, selections[: 2 * population.n_splits]) > MOST_STAND_INS:
                own[:] = np.nan
                continue
            for vector, means in zip(own, _means(trials, selections), strict=True):
                vector[:] = upper(u_centred(_kernel(means, population.normalise).gram[None]))[0]
        return vectors.reshape(len(self.sites), -1, population.n_splits, n_pairs)


def targets_of(
    data: Recording | NeuralRDMs,
    by: Sequence[str] = (),
    *,
    normalise: str = "none",
    dissimilarity: str = "pearson",
    n_splits: int = 100,
    seed: int = 0,
    kept: Kept | None = None,
) -> Targets:
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
        A name in `murine.comparison.rdm.dissimilarities`. Matrices come with theirs, which is taken to be this one.
    n_splits, seed
        Random halves and quarters of the repetitions for the ceiling.
    kept
        Where RDMs of halves and quarters are kept between runs; they depend on nothing but the arguments.

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
    selections = np.concatenate([*(_random_parts(n, n_splits, seed) if n > 1 else ()), np.ones((1, n), bool)])

    found: list[np.ndarray] = []
    kernels: list[np.ndarray] = []
    notes: dict[Site, str] = {}
    parts = np.full((len(groups), 4, n_splits, len(ids) * (len(ids) - 1) // 2), np.nan, np.float32)
    for site, members in groups.items():
        about = {"site": site.name, "data": data.digest, "by": list(by), "normalise": normalise, "splits": n_splits}
        about |= {"dissimilarity": dissimilarity, "seed": seed}
        compute = partial(_of_site, usable.responses, members, order, selections, rdm_of, normalise)
        computed = (kept or Kept()).arrays(about, compute)
        kernel = _kernel(computed["mean"], normalise)
        rdm = rdm_of(kernel)
        if np.isnan(rdm).any():
            lost.append(LostSite(site, len(members), "all neurons respond alike to some stimulus"))
            continue
        notes[site] = _stand_in_note(float(computed["stand_ins"]))
        of_parts = computed["parts"]
        parts[len(found)].reshape(-1, parts.shape[-1])[: len(of_parts)] = of_parts
        found.append(rdm)
        kernels.append(kernel.gram)
    sites = tuple(notes)
    _tell(data.name, n, lost, notes)
    if not sites:
        raise MurineError(
            f"no site of {data.name!r} has an RDM: {some([f'{x.site.name} ({x.reason})' for x in lost])}. Use more "
            "neurons a site, or normalise='none'."
        )
    return Targets(
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
            n_splits,
            seed,
            tuple(usable["neuroid_id"].astype(str)),
            _donors(usable),
        ),
        tuple(lost),
        tuple(notes.values()),
    )


def _ranks(vectors: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    from scipy.stats import rankdata  # takes a second to import

    return rankdata(vectors, axis=-1).astype(np.float32)


def _of_site(
    responses: Float[np.ndarray, "n_neuroids n_all_stimuli n_repetitions"],
    members: Int[np.ndarray, " n_members"],
    stimuli: Int[np.ndarray, " n_stimuli"],
    selections: Bool[np.ndarray, "n_selections n_repetitions"],
    rdm_of: Callable[[LayerKernel], np.ndarray],
    normalise: str,
) -> dict[str, np.ndarray]:
    """What is made of the trials of a site: mean responses over all repetitions, the last selection; RDM vectors of
    the others, the first half of which are halves; and the share of means that had no trial."""
    trials = responses[members][:, stimuli]
    *random, mean = _means(trials, selections)
    # The first selections are halves; as many quarters follow, where there are enough repetitions.
    half = int(selections[0].sum()) if random else 0
    halves = [selection.sum() == half for selection in selections[:-1]]
    stand_ins = _stand_ins(trials, selections[:-1][halves]) if random else 0.0
    vectors: list[np.ndarray] = []
    if stand_ins <= MOST_STAND_INS and not np.isnan(rdm_of(_kernel(mean, normalise))).any():
        vectors = [upper(rdm_of(_kernel(part, normalise))).astype(np.float32) for part in random]
    n_pairs = mean.shape[1] * (mean.shape[1] - 1) // 2
    parts = np.stack(vectors) if vectors else np.empty((0, n_pairs), np.float32)
    return {"mean": mean, "parts": parts, "stand_ins": np.array(stand_ins)}


def _given_targets(
    data: NeuralRDMs, order: Int[np.ndarray, " n_stimuli"], ids: tuple[str, ...], dissimilarity: str
) -> Targets:
    rdms = data.matrices[:, order][:, :, order]
    vectors = upper(rdms)
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
    return Targets(
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


def _parts_reliability(
    parts: Float[np.ndarray, "n_parts n_splits n_pairs"], counts: Counts, n_repetitions: int
) -> tuple[float, Float[np.ndarray, " n_draws"]]:
    """The reliability of vectors of all repetitions, from those of two halves and, with four or more, two quarters."""
    half, half_draws = halves_reliability(parts[0], parts[1], counts)
    quarter, quarter_draws = None, None
    if n_repetitions >= 4:
        value, quarter_draws = halves_reliability(parts[2], parts[3], counts)
        quarter = np.array(value)
    value = float(full_reliability(np.array(half), quarter, n_repetitions))
    return value, full_reliability(half_draws, quarter_draws, n_repetitions)


def _kernel(responses: Float[np.ndarray, "n_neuroids n_stimuli"], normalise: str) -> LayerKernel:
    """The products of population patterns of every two stimuli."""
    patterns = (zscore(responses) if normalise == "zscore" else responses).T
    return LayerKernel.of(np.ascontiguousarray(patterns))


def _random_parts(n_repetitions: int, n_splits: int, seed: int) -> list[Bool[np.ndarray, "n_splits n_repetitions"]]:
    """Two disjoint random halves and, with at least four repetitions, two disjoint random quarters.

    Parts of a pair are of equal size: with an odd number, a repetition is left over.
    """
    ranks = np.random.default_rng(seed).random((n_splits, n_repetitions)).argsort(axis=1).argsort(axis=1)
    half, quarter = n_repetitions // 2, n_repetitions // 4
    bounds = [(0, half), (half, 2 * half)]
    if quarter:
        bounds += [(0, quarter), (quarter, 2 * quarter)]
    return [(ranks >= start) & (ranks < stop) for start, stop in bounds]


def _stand_ins(
    trials: Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"], parts: Bool[np.ndarray, "n_parts n_repetitions"]
) -> float:
    """The share of means over parts of the repetitions for which there is no trial."""
    valid = np.isfinite(trials)
    if valid.all():
        return 0.0
    flat = valid.reshape(-1, trials.shape[2]).astype(np.float32)
    return float((parts.astype(np.float32) @ flat.T == 0).mean())


def _stand_in_note(share: float) -> str:
    if share > MOST_STAND_INS:
        return f"too few trials for a ceiling: {share:.0%} of the means over half of the repetitions have none"
    if share > FEW_STAND_INS:
        return f"ceiling too high: {share:.0%} of the means over half of the repetitions have no trial"
    return ""


def _means(
    trials: Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"], parts: np.ndarray
) -> Float[np.ndarray, "n_parts n_neuroids n_stimuli"]:
    """Mean responses over each part of the repetitions; where a part has no trial, the mean over all stands in.

    The stand-in makes halves of a neuron with a single valid trial of some stimulus agree there; `_stand_ins` says how
    often that is."""
    flat = trials.reshape(-1, trials.shape[2]).astype(np.float64).T
    selection = parts.astype(np.float64)
    valid = np.isfinite(flat)
    if valid.all():
        means = (selection / selection.sum(axis=1, keepdims=True)) @ flat
    else:
        filled = np.where(valid, flat, 0)
        count = selection @ valid
        means = np.where(count > 0, selection @ filled / np.maximum(count, 1), filled.sum(axis=0) / valid.sum(axis=0))
    return means.reshape(len(parts), *trials.shape[:2])
