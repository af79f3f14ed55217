"""Prepare the data of a cortex for comparison: its sites, their dissimilarities, and halves of the trials."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Recording, Site
from murine.errors import MurineError, some
from murine.io.array_cache import ArrayCache
from murine.limits import SEED, SPLITS
from murine.scoring.population import PatternScale, Population, mean_responses, single_trial_share
from murine.scoring.site_data import COSINES, MOST_SINGLE_TRIALS, LostSite, SiteData
from murine.similarity.rdm import dissimilarities
from murine.similarity.rdm_ceilings import harmonic_mean
from murine.similarity.rdm_vectors import upper_triangle
from murine.statistics.random_halves import SplitKeys, count_trials, half_means, split_keys

log = logging.getLogger(__name__)

#: A ceiling is flagged if more than this share of a site's mean responses are of a single trial.
FEW_SINGLE_TRIALS = 0.01


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
    """Prepare the data of a cortex for comparison with layers.

    Parameters
    ----------
    data
        A recording (RDMs are dissimilarities of the population responses to every two stimuli) or given matrices.
    by
        Coordinates that define a site of a recording. By default a site is an area, or the whole recording if it has no
        areas.
    normalise
        ``none``: neurons as they are, so the most active ones dominate, as in Conwell et al. (2021). ``zscore``: each
        neuron is standardised over stimuli first, so all count alike. Given matrices cannot be standardised.
    dissimilarity
        A name in `murine.similarity.rdm.dissimilarities`. For given matrices it states how they were computed.
    n_splits, seed
        Random halves of the trials of each stimulus, for the ceiling.
    kept
        Cache for the RDMs of halves, which depend only on the arguments.

    Raises
    ------
    MurineError
        No usable neuron, no site with an RDM, unknown coordinate, normalisation or dissimilarity; given matrices that
        are to be standardised.

    Examples
    --------
    >>> from murine.cortex.simulated import simulate
    >>> from murine.scenes import synthetic_scenes
    >>> cortex = simulate(synthetic_scenes(24, 32), n_neuroids=10, n_repetitions=4)
    >>> sites = make_site_data(cortex.recording, n_splits=2)
    >>> [site.name for site in sites.sites], sites.rdms.shape
    (['SIMam', 'SIMl', 'SIMp'], (3, 24, 24))
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
        return _given_site_data(data, order, ids, dissimilarity)

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
        kernel = PatternScale.of(computed["mean"], normalise).kernel(computed["mean"])
        rdm = rdm_of(kernel)
        if np.isnan(rdm).any():
            lost.append(LostSite(site, len(members), "all neurons respond alike to some stimulus"))
            continue
        notes[site] = _single_trial_note(float(computed["stand_ins"]))
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
    """Return what takes time to compute for a site.

    These are mean responses, RDM vectors of halves of the trials, what their ceiling needs to know of the patterns of
    each stimulus, and the share of means that are of a single trial.
    """
    rdm_of = dissimilarities[dissimilarity]
    trials = responses[members][:, stimuli]
    mean = mean_responses(trials)
    scale = PatternScale.of(mean, normalise)
    kernel = scale.kernel(mean)
    stand_ins = single_trial_share(trials) if len(keys) else 0.0
    if not len(keys) or stand_ins > MOST_SINGLE_TRIALS or np.isnan(rdm_of(kernel)).any():
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


def _given_site_data(
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
            "%s: the reliability of %s has no standard error (reliability_sem). Its ceiling is treated as exact: "
            "intervals of ceiled scores include only the error of the scores.",
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
    """Return the sites that have fewer than two usable neurons."""
    left = {site: len(members) for site, members in usable.sites(*by, min_neuroids=1).items()}
    names = {0: "no usable neuron", 1: "one usable neuron"}
    return [
        LostSite(site, left.get(site, 0), names[left.get(site, 0)])
        for site in data.sites(*by, min_neuroids=1)
        if left.get(site, 0) < 2
    ]


def _tell(name: str, n_repetitions: int | None, lost: Sequence[LostSite], notes: Mapping[Site, str]) -> None:
    """Log once in words what the rows will say in flags."""
    told = [f"{site.name} ({note})" for site, note in notes.items() if note]
    if told:
        log.warning("%s: take care with %s.", name, some(told))
    if lost:
        log.warning("%s: sites without scores: %s.", name, some([f"{x.site.name} ({x.reason})" for x in lost]))
    if n_repetitions == 1:
        log.warning("%s: one repetition of each stimulus gives no noise ceiling; scores are raw.", name)


def _donors(recording: Recording) -> tuple[str, ...]:
    if "donor" not in recording.dataset.coords or recording.dataset["donor"].dims != ("neuroid",):
        return ("",) * recording.n_neuroids
    values = recording["donor"]
    return tuple(np.where(pd.isna(values), "", values.astype(str)))


def _single_trial_note(share: float) -> str:
    if share > MOST_SINGLE_TRIALS:
        return f"too few trials for a ceiling: {share:.0%} of the mean responses are of a single trial"
    if share > FEW_SINGLE_TRIALS:
        return f"ceiling too high: {share:.0%} of the mean responses are of a single trial"
    return ""
