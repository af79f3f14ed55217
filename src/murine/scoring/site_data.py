"""The sites of a cortex, ready to be compared: dissimilarities, kernels and neurons, with what ceilings need."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from murine.cortex.recording import Site
from murine.errors import MurineError
from murine.scoring.population import PatternScale, Population, single_trial_share
from murine.similarity.kernel_similarity import u_centre_kernels
from murine.similarity.rdm_ceilings import SplitHalfRDM, cosine_reliability
from murine.similarity.rdm_vectors import pair_positions, upper_triangle
from murine.statistics.bootstrap import Counts
from murine.statistics.noise_ceiling import DISTANCE, SCALES, Ceiling
from murine.statistics.random_halves import half_means

#: If a neuron has only one trial of a stimulus, this trial is in both halves, and the halves agree too well. If more
#: than this share of a site's mean responses come from a single trial, its ceiling is unknown.
MOST_SINGLE_TRIALS = 0.1

#: Dissimilarities that are one less a cosine between patterns, and whether patterns are centred first.
COSINES = {"pearson": True, "cosine": False}


@dataclass(frozen=True)
class LostSite:
    """A site of the data that cannot be compared; its rows have no score.

    Attributes
    ----------
    n_neuroids
        Number of its usable neurons.
    reason
        Why it cannot be compared.
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
        The measure they are made with, which layers use too (`murine.similarity.rdm.dissimilarities`).
    half_rdms
        (n_sites, 2, n_splits, n_pairs) float32: RDM vectors of two random halves of the trials; None for data without
        repetitions. NaN where too many trials are missing.
    half_patterns
        (n_sites, 3, n_stimuli): agreement of the patterns of both halves for a stimulus, the length of the pattern and
        the number of trials (`murine.similarity.rdm_ceilings.SplitHalfRDM`); None if ``half_rdms`` is None.
    given_reliability
        (n_sites, 2): mean and standard error that came with the data; NaN if none came.
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
        Sites of the data that are not among ``sites``, because they cannot be compared.
    notes
        Notes on each site for the reader, for example a constant matrix or a ceiling that is too high; '' if there are
        none.

    Examples
    --------
    >>> from murine.cortex import simulate
    >>> from murine.scenes import synthetic_scenes
    >>> from murine.scoring import make_site_data
    >>> cortex = simulate(synthetic_scenes(24, 32), n_neuroids=10, n_repetitions=4)
    >>> data = make_site_data(cortex.recording, n_splits=2)
    >>> [site.name for site in data.sites], data.n_neuroids
    (['SIMam', 'SIMl', 'SIMp'], (10, 10, 10))
    >>> data.select(np.arange(12)).rdms.shape
    (3, 12, 12)
    """

    name: str
    digest: str
    sites: tuple[Site, ...]
    stimulus_ids: tuple[str, ...]
    rdms: Float[np.ndarray, "n_sites n_stimuli n_stimuli"]
    dissimilarity: str
    half_rdms: Float[np.ndarray, "n_sites 2 n_splits n_pairs"] | None
    given_reliability: Float[np.ndarray, "n_sites 2"]
    n_neuroids: tuple[int, ...]
    n_repetitions: int
    left_out: dict[str, tuple[str, ...]]
    kernels: Float[np.ndarray, "n_sites n_stimuli n_stimuli"]
    population: Population | None = None
    lost: tuple[LostSite, ...] = ()
    notes: tuple[str, ...] = ()
    half_patterns: Float[np.ndarray, "n_sites 3 n_stimuli"] | None = None

    @property
    def n_stimuli(self) -> int:
        return len(self.stimulus_ids)

    def site_notes(self, ceiling: Ceiling) -> tuple[str, ...]:
        """Return the notes on each site and its ceiling for the reader; '' if there are none.

        Of a metric without ceilings, the notes are about the site alone.
        """
        own = self.notes or ("",) * len(self.sites)
        of_ceiling = ceiling.flags if ceiling.scale in (*SCALES, DISTANCE) else ("",) * len(self.sites)
        return tuple("; ".join(filter(None, both)) for both in zip(own, of_ceiling, strict=True))

    def select(self, stimuli: Int[np.ndarray, " n_chosen"]) -> SiteData:
        """Return the sites for some of the stimuli (positions)."""
        pairs = pair_positions(stimuli, self.n_stimuli)
        return replace(
            self,
            stimulus_ids=tuple(self.stimulus_ids[i] for i in stimuli),
            rdms=self.rdms[:, stimuli][:, :, stimuli],
            half_rdms=None if self.half_rdms is None else self.half_rdms[..., pairs],
            half_patterns=None if self.half_patterns is None else self.half_patterns[..., stimuli],
            kernels=self.kernels[:, stimuli][:, :, stimuli],
            population=None if self.population is None else self.population.select(stimuli),
        )

    def without_halves(self) -> SiteData:
        """Return the same sites without the halves, which only ceilings need: less to copy."""
        return replace(self, half_rdms=None, half_patterns=None)

    def ceiling(self, scale: str, counts: Counts, *, ranks: bool = False, seed: int = 0) -> Ceiling:
        """Return the ceiling of a score on ``scale`` against the RDMs, with draws paired with ``counts``.

        With repetitions, it is the correlation of the RDM with the RDM without noise (of ranks with ``ranks``),
        estimated from random halves of the trials (`murine.similarity.rdm_ceilings`). With given reliabilities, it is
        computed from them; draws are normal with the given standard error, or constant if none is given. With one trial
        per stimulus, it is unknown.
        """
        reliability = np.empty(len(self.sites))
        draws = np.empty((len(counts), len(self.sites)))
        generator = np.random.default_rng([seed, len(self.sites)])
        for s in range(len(self.sites)):
            if self.half_rdms is None:
                mean, sem = self.given_reliability[s]
                reliability[s], draws[:, s] = mean, mean + sem * generator.standard_normal(len(counts))
            else:
                reliability[s], draws[:, s] = self.halved(s).reliability(counts, ranks=ranks)
        return Ceiling.from_reliability(reliability, draws, scale, ranks=ranks and self.half_rdms is not None)

    def halved(self, site: int) -> SplitHalfRDM:
        """Return the RDM of a site and those of halves of its trials."""
        if self.half_rdms is None or self.half_patterns is None:
            raise MurineError(f"{self.name!r} has no repetitions to make halves of.")
        agreement, power, numbers = self.half_patterns[site]
        cosines = self.dissimilarity in COSINES
        whole = upper_triangle(self.rdms[[site]])[0]
        first, second = self.half_rdms[site]
        return SplitHalfRDM(whole, first, second, agreement if cosines else None, power, numbers)

    def kernel_ceiling(self, counts: Counts) -> Ceiling:
        """Return the ceiling of the debiased CKA, from random halves of the trials; draws are over pairs of stimuli."""
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
        """As ``half_rdms``, but kernels that are centred without bias."""
        if self.population is None:
            raise MurineError(f"{self.name!r} has no single trials to make halves of.")
        population, n_pairs = self.population, self.n_stimuli * (self.n_stimuli - 1) // 2
        vectors = np.empty((len(self.sites), 2, len(population.keys), n_pairs), np.float32)
        for own, members, unit in zip(vectors, population.members, self._units, strict=True):
            trials = population.of_neurons(members)
            if single_trial_share(trials) > MOST_SINGLE_TRIALS:
                own[:] = np.nan
                continue
            # Over all stimuli, as that of the kernels.
            scale = PatternScale.of(population.all_means[members], population.normalise)
            for k, halves in enumerate(half_means(trials, population.keys)):
                for vector, half in zip(own[:, k], halves, strict=True):
                    vector[:] = upper_triangle(u_centre_kernels(unit * scale.kernel(half).gram[None]))[0]
        return vectors

    @property
    def _units(self) -> Float[np.ndarray, " n_sites"]:
        """Powers of 2 that bring the kernels to the size of 1: float32 has no room for those of very small units."""
        return np.exp2(-np.floor(np.log2(np.abs(self.kernels).max(axis=(1, 2)))))
