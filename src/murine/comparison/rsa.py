"""Representational similarity analysis: how alike the RDMs of layers and of neural sites are.

Every metric takes stacks of RDM vectors (`murine.comparison.rdm.upper`), compares each layer with each site, and can
repeat that under resampled or relabelled stimuli. Vectors must be finite; `murine.comparison.scoring` takes care of
that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import comb
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import kendalltau, rankdata

from murine.comparison.inference import Counts, pair_weights, relabelled_pairs
from murine.registry import Registry

Vectors = Float[np.ndarray, "n_vectors n_pairs"]
LayerVectors = Float[np.ndarray, "n_layers n_pairs"]
SiteVectors = Float[np.ndarray, "n_sites n_pairs"]
Scores = Float[np.ndarray, "n_layers n_sites"]
Draws = Float[np.ndarray, "n_draws n_layers n_sites"]
Relabellings = Int[np.ndarray, "n_draws n_stimuli"]


class Metric(ABC):
    """A way to compare RDM vectors.

    Attributes
    ----------
    scale
        The scale of its scores; only a ceiling of the same scale may be applied
        (`murine.comparison.ceiling.Ceiling`).
    on_ranks
        True where only the order of dissimilarities counts.
    costly_permutations
        True where a permutation test takes seconds per layer and site: it is then run for chosen layers only.
    """

    scale: ClassVar[str]
    on_ranks: ClassVar[bool]
    costly_permutations: ClassVar[bool] = False

    @abstractmethod
    def score(self, layers: LayerVectors, sites: SiteVectors) -> Scores:
        """Compare every layer with every site."""

    @abstractmethod
    def resample(self, layers: LayerVectors, sites: SiteVectors, counts: Counts) -> Draws:
        """Compare under resampled stimuli.

        ``counts[b, i]`` is how often stimulus i was drawn in bootstrap sample b. Pairs of a stimulus with its own
        copy, whose dissimilarity is zero by construction, are left out (they would inflate every score)."""

    @abstractmethod
    def permute(self, layers: LayerVectors, sites: SiteVectors, relabellings: Relabellings) -> Draws:
        """Compare with the stimuli of the sites relabelled: the distribution where nothing is shared."""


metrics: Registry[Metric] = Registry("metric")


def _register(name: str, metric: Metric) -> None:
    metrics.register(name)(metric)


def _standardise(vectors: Vectors) -> Vectors:
    """Mean 0 and length 1 over pairs; a constant vector becomes NaN."""
    centred = vectors - vectors.mean(axis=1, keepdims=True)
    length = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    tiny = 1e-12 * np.abs(vectors).max(axis=1, keepdims=True, initial=0)
    return np.divide(centred, length, out=np.full(centred.shape, np.nan), where=length > tiny)


class _Correlation(Metric):
    """Pearson correlation of transformed RDM vectors."""

    def _transform(self, vectors: Vectors) -> Vectors:
        return vectors

    def score(self, layers: LayerVectors, sites: SiteVectors) -> Scores:
        a, b = (_standardise(self._transform(v)) for v in (layers, sites))
        return np.clip(a @ b.T, -1, 1)

    def permute(self, layers: LayerVectors, sites: SiteVectors, relabellings: Relabellings) -> Draws:
        a, b = (_standardise(self._transform(v)).astype(np.float32) for v in (layers, sites))
        draws = np.empty((len(relabellings), len(a), len(b)), np.float32)
        for k, pairs in enumerate(relabelled_pairs(relabellings)):
            np.matmul(a, b[:, pairs].T, out=draws[k])
        return draws


class Pearson(_Correlation):
    """Pearson's r of the dissimilarities (the classic RSA of Conwell et al. 2021)."""

    scale = "r"
    on_ranks = False

    def resample(self, layers: LayerVectors, sites: SiteVectors, counts: Counts) -> Draws:
        # Vectors of length 1 and mean 0 leave little to cancel in the weighted moments, so float32 is good to 1e-6.
        n_pairs = layers.shape[1]
        a, b = (np.float32(np.sqrt(n_pairs)) * _standardise(v).astype(np.float32) for v in (layers, sites))
        weights = pair_weights(counts)
        weights /= weights.sum(axis=1, keepdims=True)
        moments = [(weights @ v.T, weights @ (v**2).T) for v in (a, b)]
        (mean_a, sd_a), (mean_b, sd_b) = [(m, np.sqrt(np.maximum(square - m**2, 0))) for m, square in moments]
        draws = np.empty((len(counts), len(a), len(b)), np.float32)
        step = max(1, 512 // len(b))  # columns of one matrix product: large enough for BLAS, small in memory
        for start in range(0, len(a), step):
            part = slice(start, start + step)
            products = (a[part, None] * b[None]).reshape(-1, n_pairs)
            draws[:, part] = (weights @ products.T).reshape(len(counts), -1, len(b))
        draws -= mean_a[:, :, None] * mean_b[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            draws /= sd_a[:, :, None] * sd_b[:, None]
        return draws


class Spearman(_Correlation):
    """Spearman's rank correlation (ties share their mean rank)."""

    scale = "r"
    on_ranks = True

    def _transform(self, vectors: Vectors) -> Vectors:
        ranks: Vectors = rankdata(vectors, axis=1)
        return ranks

    def resample(self, layers: LayerVectors, sites: SiteVectors, counts: Counts) -> Draws:
        # Ranks within a sample are found without sorting again: in the order of the full vector, the mid-rank of a
        # pair is the weight before it plus half its own.
        vectors = np.concatenate([layers, sites])
        ranker = _WeightedRanks(vectors)
        weights = pair_weights(counts)
        draws = np.empty((len(counts), len(layers), len(sites)), np.float32)
        for k, weight in enumerate(weights):
            drawn = np.flatnonzero(weight)
            ranks = ranker(weight)[:, drawn]
            weight = weight[drawn] / weight.sum()
            ranks -= (ranks @ weight)[:, None]
            ranks *= np.sqrt(weight)
            with np.errstate(invalid="ignore"):
                ranks /= np.sqrt((ranks**2).sum(axis=1, keepdims=True))
            draws[k] = ranks[: len(layers)] @ ranks[len(layers) :].T
        return _without_constants(draws, layers, sites)


def _without_constants(draws: Draws, layers: LayerVectors, sites: SiteVectors) -> Draws:
    """A constant vector has no rank correlation: NaN, where rounding would make up one."""
    draws[:, np.ptp(layers, axis=1) == 0] = np.nan
    draws[:, :, np.ptp(sites, axis=1) == 0] = np.nan
    return draws


class _WeightedRanks:
    """Mid-ranks of fixed vectors under changing weights of their elements."""

    def __init__(self, vectors: Vectors) -> None:
        self._order = vectors.argsort(axis=1)
        ordered = np.take_along_axis(vectors, self._order, axis=1)
        new = np.ones(vectors.shape, bool)
        new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
        self._tied = np.flatnonzero(~new.all(axis=1))
        self._starts = [np.flatnonzero(new[i]) for i in self._tied]

    def __call__(self, weight: Float[np.ndarray, " n_pairs"]) -> Vectors:
        w = weight.astype(np.float64)[self._order]
        ranks = np.cumsum(w, axis=1) - w / 2
        for i, starts in zip(self._tied, self._starts, strict=True):
            group = np.add.reduceat(w[i], starts)
            middle = np.cumsum(group) - group / 2
            ranks[i] = np.repeat(middle, np.diff(np.append(starts, w.shape[1])))
        out = np.empty_like(ranks)
        np.put_along_axis(out, self._order, ranks, axis=1)
        return out


class KendallTauA(Metric):
    """Kendall's tau-a: concordant less discordant pairs of dissimilarities, over all pairs (ties count as neither).

    Bootstrap draws are those of the jackknife pseudo-values over stimuli (Efron & Tibshirani 1993, ch. 11): exact to
    first order, where counting anew for every sample would take hours."""

    scale = "tau-a"
    on_ranks = True
    costly_permutations = True

    def score(self, layers: LayerVectors, sites: SiteVectors) -> Scores:
        return np.array([[_tau_a(a, b) for b in sites] for a in layers]).reshape(len(layers), len(sites))

    def resample(self, layers: LayerVectors, sites: SiteVectors, counts: Counts) -> Draws:
        tau, without = _leave_one_out_tau_a(layers, sites)
        n = len(without)
        influence = (n - 1) * (without.mean(axis=0) - without)
        draws = tau + np.einsum("bi,ils->bls", counts.astype(np.float64), influence, optimize=True) / n
        return _without_constants(np.asarray(np.clip(draws, -1, 1), dtype=np.float32), layers, sites)

    def permute(self, layers: LayerVectors, sites: SiteVectors, relabellings: Relabellings) -> Draws:
        return np.stack([self.score(layers, sites[:, pairs]) for pairs in relabelled_pairs(relabellings)])


def _tau_a(a: np.ndarray, b: np.ndarray) -> float:
    """tau-a from SciPy's tau-b, whose denominator is replaced."""
    tau_b = float(kendalltau(a, b).statistic)
    total = comb(len(a), 2)
    ties = [(np.unique(v, return_counts=True)[1].astype(float)) for v in (a, b)]
    untied = [total - (t * (t - 1) / 2).sum() for t in ties]
    return tau_b * float(np.sqrt(untied[0] * untied[1])) / total


def _leave_one_out_tau_a(
    layers: LayerVectors, sites: SiteVectors
) -> tuple[Scores, Float[np.ndarray, "n_stimuli n_layers n_sites"]]:
    """tau-a of all layers and sites, and again without each stimulus."""
    n_pairs = layers.shape[1]
    n = round((1 + np.sqrt(1 + 8 * n_pairs)) / 2)
    rows, columns = np.triu_indices(n, 1)
    a, b = layers.astype(np.float64), sites.astype(np.float64)
    concordance = np.empty((n_pairs, len(a), len(b)), np.float32)  # of each pair with all others
    for p in range(n_pairs):
        signs = [np.sign(v[:, p, None] - v).astype(np.float32) for v in (a, b)]
        concordance[p] = signs[0] @ signs[1].T
    total = concordance.sum(axis=0, dtype=np.float64) / 2
    without = np.empty((n, len(a), len(b)))
    for i in range(n):
        own = np.flatnonzero((rows == i) | (columns == i))
        signs = [np.sign(v[:, own, None] - v[:, None, own]).reshape(len(v), -1) for v in (a, b)]
        lost = concordance[own].sum(axis=0, dtype=np.float64) - signs[0] @ signs[1].T / 2
        without[i] = (total - lost) / comb(comb(n - 1, 2), 2)
    return total / comb(n_pairs, 2), without


_register("rsa-pearson", Pearson())
_register("rsa-spearman", Spearman())
_register("rsa-tau-a", KendallTauA())
