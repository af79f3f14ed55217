"""Targets: the RDMs of cortical sites, with those of parts of the data that tell how reliable they are, ready to be
compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata

from murine.comparison.ceiling import Ceiling, full_reliability, halves_reliability
from murine.comparison.geometry import u_centred
from murine.comparison.inference import Counts
from murine.comparison.rdm import dissimilarities, pairs_among, upper, zscore
from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Recording, Site
from murine.errors import MurineError
from murine.networks.kernel import LayerKernel


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

    @property
    def n_stimuli(self) -> int:
        return len(self.stimulus_ids)

    def select(self, stimuli: Int[np.ndarray, " n_chosen"]) -> Targets:
        """Return the targets for some of the stimuli (positions)."""
        pairs = pairs_among(stimuli, self.n_stimuli)
        return Targets(
            self.name,
            self.digest,
            self.sites,
            tuple(self.stimulus_ids[i] for i in stimuli),
            self.rdms[:, stimuli][:, :, stimuli],
            self.dissimilarity,
            None if self.parts is None else self.parts[..., pairs],
            self.given_reliability,
            self.n_neuroids,
            self.n_repetitions,
            self.left_out,
            self.kernels[:, stimuli][:, :, stimuli],
            None if self.population is None else self.population.select(stimuli),
        )

    def without_parts(self) -> Targets:
        """The same sites without what their ceilings are made of: less to copy where only scores are wanted."""
        return replace(self, parts=None)

    def ceiling(self, scale: str, counts: Counts, *, ranks: bool = False, seed: int = 0) -> Ceiling:
        """The ceiling of a score on ``scale`` against the RDMs, with draws paired with ``counts``.

        From single trials: the mean correlation of the RDMs of random halves (of their ranks with ``ranks``), which
        is the reliability of half the data; that of all repetitions follows by Spearman-Brown with a second term
        (`murine.comparison.ceiling.full_reliability`). From given reliabilities: their value, with
        normal draws of their standard error."""
        reliability = np.empty(len(self.sites))
        draws = np.empty((len(counts), len(self.sites)))
        generator = np.random.default_rng([seed, len(self.sites)])
        for s in range(len(self.sites)):
            if self.parts is None:
                mean, sem = self.given_reliability[s]
                reliability[s], draws[:, s] = mean, mean + sem * generator.standard_normal(len(counts))
                continue
            parts = rankdata(self.parts[s], axis=-1).astype(np.float32) if ranks else self.parts[s]
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
            for vector, means in zip(own, _means(population.of_neurons(members), selections), strict=True):
                vector[:] = upper(u_centred(_kernel(means, population.normalise).gram[None]))[0]
        return vectors.reshape(len(self.sites), -1, population.n_splits, n_pairs)


def targets_of(
    data: Recording | NeuralRDMs,
    by: Sequence[str] = ("area",),
    *,
    normalise: str = "zscore",
    dissimilarity: str = "pearson",
    n_splits: int = 100,
    seed: int = 0,
) -> Targets:
    """Prepare cortical data for representational comparison.

    Parameters
    ----------
    data
        A recording (RDMs are dissimilarities of the population responses to every two stimuli) or given matrices.
    by
        Coordinates that make up a site, for a recording.
    normalise
        ``zscore``: each neuron is standardised over stimuli first, so that all count alike; ``none``: as they are, so
        that the most active ones dominate (Conwell et al. 2021 take ``numpy.corrcoef`` of the plain responses).
    dissimilarity
        A name in `murine.comparison.rdm.dissimilarities`. Matrices come with theirs, which is taken to be this one.
    n_splits, seed
        Random halves and quarters of the repetitions for the ceiling.

    Raises
    ------
    MurineError
        Fewer than two repetitions, no usable neuron, unknown coordinate, normalisation or dissimilarity.
    """
    if normalise not in ("zscore", "none"):
        raise MurineError(f"normalise is {normalise!r}; expected 'zscore' or 'none'.")
    rdm_of = dissimilarities[dissimilarity]
    order = np.argsort(np.asarray(data.stimulus_ids))
    ids = tuple(data.stimulus_ids[i] for i in order)
    if isinstance(data, NeuralRDMs):
        given = np.stack([data.reliability, data.reliability_sem], axis=1)
        rdms = data.matrices[:, order][:, :, order]
        unknown = (0,) * len(data.sites)
        return Targets(
            data.name, data.digest, data.sites, ids, rdms, dissimilarity, None, given, unknown, 0, {}, 1 - rdms
        )

    if data.n_repetitions < 2:
        raise MurineError(
            f"{data.name!r} has {data.n_repetitions} repetition of each stimulus; ceilings need at least 2."
        )
    usable, left_out = data.usable()
    groups = usable.sites(*by)
    n = usable.n_repetitions
    selections = np.concatenate([*_random_parts(n, n_splits, seed), np.ones((1, n), bool)])

    found: list[np.ndarray] = []
    kernels: list[np.ndarray] = []
    parts = np.full((len(groups), 4, n_splits, len(ids) * (len(ids) - 1) // 2), np.nan, np.float32)
    for s, members in enumerate(groups.values()):
        *random, mean = _means(usable.responses[members][:, order], selections)
        for k, part in enumerate(random):
            parts[s, k // n_splits, k % n_splits] = upper(rdm_of(_kernel(part, normalise)))
        kernel = _kernel(mean, normalise)
        found.append(rdm_of(kernel))
        kernels.append(kernel.gram)
    _refuse_undefined(data.name, list(groups), found)
    return Targets(
        data.name,
        data.digest,
        tuple(groups),
        ids,
        np.stack(found),
        dissimilarity,
        parts,
        np.full((len(groups), 2), np.nan),
        tuple(len(members) for members in groups.values()),
        data.n_repetitions,
        left_out,
        np.stack(kernels),
        Population(
            usable.responses,
            np.asarray(order),
            tuple(groups.values()),
            normalise,
            n_splits,
            seed,
            tuple(usable["neuroid_id"].astype(str)),
            _donors(usable),
        ),
    )


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


def _means(
    trials: Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"], parts: np.ndarray
) -> Float[np.ndarray, "n_parts n_neuroids n_stimuli"]:
    """Mean responses over each part of the repetitions; where a part has no trial, the mean over all stands in.

    The stand-in makes halves of a neuron with a single valid trial of some stimulus agree there; it is needed only
    for recordings with many missing trials."""
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


def _refuse_undefined(name: str, sites: Sequence[Site], found: Sequence[np.ndarray]) -> None:
    for site, rdm in zip(sites, found, strict=True):
        if np.isnan(rdm).any():
            raise MurineError(
                f"the RDM of {name!r} at {site.name!r} is not defined: all its neurons respond alike to some stimulus. "
                "Use more neurons a site, or normalise='none'."
            )
