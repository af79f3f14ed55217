"""Ceilings between animals: how well the data of some predict those of others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt16
from scipy.stats import rankdata

from murine.comparison.ceiling import Ceiling, full_reliability, halves_reliability
from murine.comparison.inference import MIN_STIMULI, Counts, pair_weights
from murine.comparison.neuron_ceiling import correlation_draws
from murine.comparison.rdm import kernel_rdm, upper
from murine.comparison.two_way import pooled_kernels
from murine.errors import MurineError
from murine.networks.kernel import LayerKernel

#: How RDMs of animals may be compared: as the correlation of dissimilarities, their cosine, the correlation of ranks.
COMPARISONS = ("pearson", "cosine", "spearman")

AnimalCounts = UInt16[np.ndarray, "n_draws n_animals"]

#: Products of two RDMs that are held at once: 256 x 6,903 pairs of 118 stimuli are 14 MB.
BLOCK = 256


@dataclass(frozen=True, eq=False)
class Bounds:
    """Between which scores the best possible model lies, for mean scores over animals (one site each)."""

    lower: Ceiling
    upper: Ceiling


def animal_bounds(
    rdms: Float[np.ndarray, "n_animals n_pairs"],
    counts: Counts,
    animals: AnimalCounts | None = None,
    comparison: str = "pearson",
) -> Bounds:
    """The bounds of the noise ceiling over animals (Nili et al. 2014): for the mean score over the animals' own RDMs.

    Lower: each animal's RDM compared with the mean of the others, averaged; a model that knows the others' RDMs reaches
    it. Upper: with the mean of all, itself included; no model can be closer to all of them. RDMs are standardised
    (``pearson``), divided by their length (``cosine``) or ranked (``spearman``) before they are averaged, as each
    animal counts alike. Mean ranks are not ranked again, so for ``spearman`` the upper bound is at least that of any
    RDM, and both differ from rsatoolbox's in the third digit.

    Everything follows from the similarities C of any two animals: with weights w (how often an animal was drawn),
    animal a and the mean of the others compare as sum_b w_b C_ab / sqrt(sum_bc w_b w_c C_bc), over b, c other than a.
    All copies of an animal are left out together.

    Parameters
    ----------
    rdms
        RDM vectors.
    counts
        How often each stimulus is in each bootstrap sample. Ranks are not taken anew within samples.
    animals
        How often each animal is in them (`murine.comparison.two_way.animal_counts`); by default once.

    Returns
    -------
    bounds
        On scale ``r``. A draw of one animal alone is NaN in ``lower``.
    """
    if comparison not in COMPARISONS:
        raise MurineError(f"RDMs of animals cannot be compared by {comparison!r}; expected {', '.join(COMPARISONS)}.")
    n_animals = len(rdms)
    if n_animals < 2 or counts.shape[1] < MIN_STIMULI:
        raise MurineError(
            f"{n_animals} animals and {counts.shape[1]} stimuli give no ceiling between animals; expected at least 2 "
            f"and {MIN_STIMULI}."
        )
    if not np.isfinite(rdms).all():
        raise MurineError("an RDM of an animal is not defined (NaN); leave that animal out, or give it more neurons.")
    vectors = rankdata(rdms, axis=1) if comparison == "spearman" else rdms.astype(np.float64)
    if comparison != "cosine":
        vectors = vectors - vectors.mean(axis=1, keepdims=True)
    vectors = vectors / np.sqrt((vectors**2).mean(axis=1, keepdims=True))
    pairs = np.concatenate([np.ones((1, rdms.shape[1])), pair_weights(counts).astype(np.float64)])
    similarity = _similarities(vectors, pairs, centred=comparison != "cosine")
    drawn = np.ones((len(counts), n_animals)) if animals is None else animals.astype(np.float64)
    weights = np.concatenate([np.ones((1, n_animals)), drawn])

    # What all animals together have with each, and among themselves; without its own copies, for the lower bound.
    own = weights * np.einsum("daa->da", similarity)
    towards = np.einsum("dab,db->da", similarity, weights)
    among = np.einsum("da,da->d", towards, weights)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        upper_each = towards / np.sqrt(among)
        rest = among - 2 * weights * towards + weights * own
        alone = weights == weights.sum(axis=1, keepdims=True)
        lower_each = np.where(alone, np.nan, (towards - own) / np.sqrt(rest))
    bounds = []
    for each in (lower_each, upper_each):
        mean = np.where(weights > 0, weights * each, 0).sum(axis=1) / weights.sum(axis=1)
        bounds.append(Ceiling(mean[:1], mean[1:, None], "r"))
    return Bounds(*bounds)


def _similarities(
    vectors: Float[np.ndarray, "n_animals n_pairs"], weights: Float[np.ndarray, "n_draws n_pairs"], centred: bool
) -> Float[np.ndarray, "n_draws n_animals n_animals"]:
    """Weighted correlations (or, not centred, cosines) of all animals, draw by draw."""
    n = len(vectors)
    weights = weights / weights.sum(axis=1, keepdims=True)
    rows, columns = np.triu_indices(n)
    out = np.empty((len(weights), n, n))
    for start in range(0, len(rows), BLOCK):
        i, j = rows[start : start + BLOCK], columns[start : start + BLOCK]
        out[:, i, j] = out[:, j, i] = weights @ (vectors[i] * vectors[j]).T
    if centred:
        means = weights @ vectors.T
        out -= means[:, :, None] * means[:, None]
    size = np.sqrt(np.einsum("daa->da", out))
    with np.errstate(invalid="ignore", divide="ignore"):
        return out / (size[:, :, None] * size[:, None])


def between_animals(
    kernels: Sequence[LayerKernel],
    counts: Counts,
    scale: str,
    *,
    ranks: bool = False,
    n_splits: int = 100,
    seed: int = 0,
) -> Ceiling:
    """The ceiling of scores against a site's Pearson RDM that differences between animals allow.

    The animals are split into two random groups of equal size; the RDMs of the neurons of both groups correlate by r,
    averaged over splits, and Spearman-Brown over animals gives the reliability of the RDM of all of them. Neurons,
    trials and sessions differ between animals too, so this ceiling contains their noise; it is lower than that of
    repetitions, which takes these neurons for all there is. Sessions, or any other groups of neurons, may stand for
    animals.

    Parameters
    ----------
    kernels
        Of the mean responses of each animal's neurons (`LayerKernel.of`, neurons as units), at least two.
    scale, ranks
        As for `murine.comparison.targets.Targets.ceiling`.
    """
    n_animals = len(kernels)
    if n_animals < 2:
        raise MurineError(f"a ceiling between animals needs at least 2 of them; there is {n_animals}.")
    order = np.random.default_rng([seed, n_animals, 4]).random((n_splits, n_animals)).argsort(axis=1).argsort(axis=1)
    half = n_animals // 2
    groups = [order < half, (order >= half) & (order < 2 * half)]
    rdms = [
        np.stack([upper(kernel_rdm(kernel)) for kernel in pooled_kernels(kernels, group.astype(np.uint16))])
        for group in groups
    ]
    if not all(np.isfinite(vectors).all() for vectors in rdms):
        raise MurineError("the RDM of a group of animals is not defined; leave out animals with very few neurons.")
    first, second = (rankdata(v, axis=1) if ranks else v for v in rdms)
    value, draws = halves_reliability(first, second, counts)
    reliability = full_reliability(np.array([value]), None, n_animals)
    return Ceiling.from_reliability(reliability, full_reliability(draws[:, None], None, n_animals), scale)


#: Held-out predictions of responses (n_stimuli, n_neuroids) from a kernel (n_stimuli, n_stimuli) between stimuli.
Predict = Callable[[np.ndarray, np.ndarray], np.ndarray]


def predicted_by_animals(
    responses: Float[np.ndarray, "n_neuroids n_stimuli"],
    animals: Sequence[str] | np.ndarray,
    predict: Predict,
    counts: Counts,
) -> Ceiling:
    """How well the neurons of the other animals predict each neuron, by the mapping that layers are given too.

    The inter-animal consistency of Nayebi et al. 2023: what a network that is as much like this animal as others are
    would score. Scale ``r``, of scores against these responses; not corrected for noise in the other animals'
    responses, so it rises with their number.

    Parameters
    ----------
    responses
        Means over repetitions, finite.
    animals
        Which animal each neuron is of.
    predict
        From the kernel of the others' responses (each neuron standardised over stimuli) and the responses (n_stimuli,
        n_own) to cross-validated predictions of the same shape.
    counts
        How often each stimulus is in each bootstrap sample; the predictions stay as they are.

    Returns
    -------
    ceiling
        Of every neuron; NaN for a constant neuron. Where it is not above zero, ceiled scores are NaN.
    """
    names = np.asarray(animals).astype(str)
    known = np.unique(names)
    if names.shape != (len(responses),):
        raise MurineError(f"{names.shape} labels of animals do not fit {len(responses)} neurons.")
    if len(known) < 2:
        raise MurineError(f"a ceiling between animals needs at least 2 of them; there is {len(known)}.")
    if not np.isfinite(responses).all():
        raise MurineError("responses with NaN cannot predict others; leave out these neurons (Recording.usable).")
    centred = responses - responses.mean(axis=1, keepdims=True, dtype=np.float64)
    scale = centred.std(axis=1, keepdims=True)
    varying = scale > 1e-12 * np.abs(responses).max(axis=1, keepdims=True, initial=0)
    patterns = np.divide(centred, scale, out=np.zeros_like(centred), where=varying)
    grams = {name: patterns[names == name].T @ patterns[names == name] for name in known}
    total = np.sum(list(grams.values()), axis=0)
    samples = np.concatenate([np.ones((1, responses.shape[1]), np.uint16), counts])
    r = np.full((len(samples), len(responses)), np.nan)
    for name in known:
        own = np.flatnonzero(names == name)
        truth = responses[own].T.astype(np.float64)
        r[:, own] = correlation_draws(predict(total - grams[name], truth), truth, samples)
    return Ceiling(r[0], r[1:], "r")
