"""Representational similarity analysis (RSA): similarity of the RDMs of layers and of neural sites.

Each comparison takes stacks of RDM vectors (`murine.similarity.rdm_vectors.upper_triangle`) of layers and of sites, and
can be repeated under resampled or relabelled stimuli. Vectors must be finite: `murine.scoring.layer_scores` removes
those that are not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from math import comb
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Float32, Int

from murine.similarity.rdm_vectors import n_stimuli_of_pairs
from murine.similarity.weighted_correlation import MIN_VARIANCE_SHARE
from murine.statistics.bootstrap import Counts, leave_one_out_counts, pair_weights
from murine.statistics.permutation import permuted_pairs

Vectors = Float[np.ndarray, "n_vectors n_pairs"]
LayerVectors = Float[np.ndarray, "n_layers n_pairs"]
SiteVectors = Float[np.ndarray, "n_sites n_pairs"]
Scores = Float[np.ndarray, "n_layers n_sites"]
Draws = Float[np.ndarray, "n_draws n_layers n_sites"]
Relabellings = Int[np.ndarray, "n_draws n_stimuli"]


class Comparison(ABC):
    """A way to compare RDM vectors. Subclasses define the score and how it is resampled.

    Attributes
    ----------
    scale
        The scale of the scores. Only a ceiling on the same scale may be applied
        (`murine.statistics.noise_ceiling.Ceiling`).
    on_ranks
        True where only the order of the dissimilarities counts.
    costly_permutations
        True where a permutation test of all layers takes minutes. It is then run for selected layers only.

    Examples
    --------
    >>> comparisons["rsa-pearson"].scale, comparisons["rsa-spearman"].on_ranks
    ('r', True)
    """

    scale: ClassVar[str]
    on_ranks: ClassVar[bool]
    costly_permutations: ClassVar[bool] = False

    @abstractmethod
    def score(self, layers: LayerVectors, sites: SiteVectors) -> Scores:
        """Compare every layer with every site.

        Parameters
        ----------
        layers, sites
            (n_layers, n_pairs) and (n_sites, n_pairs): RDM vectors of the same stimuli.

        Returns
        -------
        scores
            (n_layers, n_sites); NaN where a vector is constant.
        """

    @abstractmethod
    def resample(self, layers: LayerVectors, sites: SiteVectors, counts: Counts) -> Draws:
        """Compare under resampled stimuli.

        Parameters
        ----------
        counts
            (n_draws, n_stimuli): how often each stimulus is in each bootstrap sample. Pairs of a stimulus with its own
            copy are left out: their dissimilarity is always zero, which would make every score too high.

        Returns
        -------
        draws
            (n_draws, n_layers, n_sites) float32; NaN where a vector does not vary in a sample.
        """

    def leave_one_out(
        self, layers: LayerVectors, sites: SiteVectors
    ) -> Float[np.ndarray, "n_stimuli n_layers n_sites"]:
        """Compare without each of the stimuli: (n_stimuli, n_layers, n_sites)."""
        return self.resample(layers, sites, leave_one_out_counts(n_stimuli_of_pairs(sites.shape[1])))

    @abstractmethod
    def permute(self, layers: LayerVectors, sites: SiteVectors, relabellings: Relabellings) -> Draws:
        """Compare with the stimuli of the sites relabelled: the null distribution of scores that share nothing.

        Parameters
        ----------
        relabellings
            (n_draws, n_stimuli), from `murine.statistics.permutation.permutations`.

        Returns
        -------
        draws
            (n_draws, n_layers, n_sites).
        """


def standardise_vectors(vectors: Vectors) -> Vectors:
    """Give each vector mean 0 and length 1; a constant vector becomes NaN.

    The last digits differ from `murine.statistics.standardisation.unit_length`, which sums in another order.
    """
    centred = vectors - vectors.mean(axis=1, keepdims=True)
    length = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    tiny = 1e-12 * np.abs(vectors).max(axis=1, keepdims=True, initial=0)
    return np.divide(centred, length, out=np.full(centred.shape, np.nan), where=length > tiny)


def _scale_to_unit_length(vectors: Vectors) -> Vectors:
    """Give each vector length 1; a vector of zeros becomes NaN."""
    length = np.sqrt((vectors**2).sum(axis=1, keepdims=True))
    return np.divide(vectors, length, out=np.full(vectors.shape, np.nan), where=length > 0)


class _Correlation(Comparison):
    """The cosine of the angle between transformed RDM vectors."""

    @abstractmethod
    def _transform(self, vectors: Vectors) -> Vectors:
        """Return vectors of length 1 whose products are the scores."""

    def score(self, layers: LayerVectors, sites: SiteVectors) -> Scores:
        a, b = (self._transform(v) for v in (layers, sites))
        return np.clip(a @ b.T, -1, 1)

    def permute(self, layers: LayerVectors, sites: SiteVectors, relabellings: Relabellings) -> Draws:
        a, b = (self._transform(v).astype(np.float32) for v in (layers, sites))
        draws = np.empty((len(relabellings), len(a), len(b)), np.float32)
        for k, pairs in enumerate(permuted_pairs(relabellings)):
            np.matmul(a, b[:, pairs].T, out=draws[k])
        return draws


class _MomentCorrelation(_Correlation):
    """A correlation of the dissimilarities themselves. Scores of a sample follow from weighted moments."""

    centred: ClassVar[bool]

    def resample(self, layers: LayerVectors, sites: SiteVectors, counts: Counts) -> Draws:
        # With vectors of length 1 (and mean 0) little cancels in the weighted moments, so float32 is good to 1e-6.
        n_pairs = layers.shape[1]
        a, b = (np.float32(np.sqrt(n_pairs)) * self._transform(v).astype(np.float32) for v in (layers, sites))
        weights = pair_weights(counts)
        weights /= weights.sum(axis=1, keepdims=True)
        means = [weights @ v.T if self.centred else np.zeros((len(counts), len(v)), np.float32) for v in (a, b)]
        squares = [weights @ (v**2).T for v in (a, b)]
        variances = [
            np.where(s - m**2 > MIN_VARIANCE_SHARE * s, s - m**2, np.nan) for m, s in zip(means, squares, strict=True)
        ]
        sd_a, sd_b = map(np.sqrt, variances)
        draws = np.empty((len(counts), len(a), len(b)), np.float32)
        step = max(1, 512 // len(b))  # columns of one matrix product: enough for BLAS, small in memory
        for start in range(0, len(a), step):
            part = slice(start, start + step)
            products = (a[part, None] * b[None]).reshape(-1, n_pairs)
            draws[:, part] = (weights @ products.T).reshape(len(counts), -1, len(b))
        draws -= means[0][:, :, None] * means[1][:, None]
        draws /= sd_a[:, :, None] * sd_b[:, None]
        return draws


class Pearson(_MomentCorrelation):
    """Pearson's r of the dissimilarities: the classic RSA of Conwell et al. 2021.

    Examples
    --------
    >>> import numpy as np
    >>> layers, sites = np.array([[0.1, 0.5, 0.9]]), np.array([[0.2, 0.4, 0.9]])
    >>> Pearson().score(layers, sites).round(3)
    array([[0.971]])
    """

    scale = "r"
    on_ranks = False
    centred = True

    def _transform(self, vectors: Vectors) -> Vectors:
        return standardise_vectors(vectors)


class Cosine(_MomentCorrelation):
    """The cosine of the angle between the dissimilarities, which are not centred.

    It is right where zero means "not different", as for cross-validated distances (Walther et al. 2016, NeuroImage 137:
    188-200). Dissimilarities that are all positive have a high cosine whatever they are: relabelled stimuli show how
    high.

    Examples
    --------
    >>> import numpy as np
    >>> Cosine().score(np.array([[1.0, 1.0, 0.0]]), np.array([[1.0, 0.0, 0.0]])).round(3)
    array([[0.707]])
    """

    scale = "cosine"
    on_ranks = False
    centred = False

    def _transform(self, vectors: Vectors) -> Vectors:
        return _scale_to_unit_length(vectors)


class Spearman(_Correlation):
    """Spearman's rank correlation of the dissimilarities. Ties share their mean rank.

    Examples
    --------
    >>> import numpy as np
    >>> Spearman().score(np.array([[0.1, 0.5, 0.9]]), np.array([[0.2, 0.4, 0.9]])).round(3)
    array([[1.]])
    """

    scale = "r"
    on_ranks = True

    def _transform(self, vectors: Vectors) -> Vectors:
        return standardise_vectors(_rank_vectors(vectors))

    def resample(self, layers: LayerVectors, sites: SiteVectors, counts: Counts) -> Draws:
        from murine.similarity.weighted_ranks import WeightedRanks

        ranks = [WeightedRanks(vectors) for vectors in (layers, sites)]
        draws = np.empty((len(counts), len(layers), len(sites)), np.float32)
        for draw, weight in zip(draws, pair_weights(counts), strict=True):
            a, b = (ranks_of(weight) for ranks_of in ranks)
            draw[:] = a @ b.T
        return _blank_constants(draws, layers, sites)


def _blank_constants(draws: Draws, layers: LayerVectors, sites: SiteVectors) -> Draws:
    """Set the draws of constant vectors to NaN: they have no rank correlation, but rounding would invent one."""
    draws[:, np.ptp(layers, axis=1) == 0] = np.nan
    draws[:, :, np.ptp(sites, axis=1) == 0] = np.nan
    return draws


class KendallTauA(Comparison):
    """Kendall's tau-a of the dissimilarities: concordant less discordant pairs, over all pairs. Ties count as neither.

    Pairs are counted exactly, in 0.1 ms for 118 stimuli. In a bootstrap sample pairs have weights, which cannot be
    counted that fast. Draws are therefore computed from the jackknife pseudo-values of the stimuli (Efron & Tibshirani
    1993, ch. 11), which is exact to first order. Their spread is scaled by the ratio of bootstrap to jackknife variance
    of the correlation of ranks, so that they vary like the draws of other scores over pairs
    (`murine.statistics.variance_correction.correct_for_pairs`).

    Examples
    --------
    >>> import numpy as np
    >>> KendallTauA().score(np.array([[0.1, 0.5, 0.9]]), np.array([[0.2, 0.9, 0.4]])).round(3)
    array([[0.333]])
    """

    scale = "tau-a"
    on_ranks = True
    costly_permutations = True

    def score(self, layers: LayerVectors, sites: SiteVectors) -> Scores:
        from murine.similarity.kendall import RankOrder, kendall_s

        orders = [[RankOrder.of(vector) for vector in vectors] for vectors in (layers, sites)]
        counts = np.array([[kendall_s(a, b) for b in orders[1]] for a in orders[0]], float)
        scores = counts.reshape(1, len(layers), len(sites)) / comb(layers.shape[1], 2)
        return _blank_constants(scores, layers, sites)[0]

    def resample(self, layers: LayerVectors, sites: SiteVectors, counts: Counts) -> Draws:
        tau, without = _leave_one_out_tau_a(layers, sites)
        n = len(without)
        influence = (n - 1) * (without.mean(axis=0) - without) * _bootstrap_to_jackknife_ratio(layers, sites, counts)
        draws = tau + np.einsum("bi,ils->bls", counts.astype(np.float64), influence, optimize=True) / n
        return _blank_constants(np.asarray(np.clip(draws, -1, 1), dtype=np.float32), layers, sites)

    def leave_one_out(
        self, layers: LayerVectors, sites: SiteVectors
    ) -> Float[np.ndarray, "n_stimuli n_layers n_sites"]:
        return _blank_constants(_leave_one_out_tau_a(layers, sites)[1].astype(np.float32), layers, sites)

    def permute(self, layers: LayerVectors, sites: SiteVectors, relabellings: Relabellings) -> Draws:
        from murine.similarity.kendall import RankOrder, permuted_kendall_s

        orders = [[RankOrder.of(vector) for vector in vectors] for vectors in (layers, sites)]
        counts = np.empty((len(relabellings), len(layers), len(sites)))
        for k, pairs in enumerate(permuted_pairs(relabellings)):
            for s, site in enumerate(orders[1]):
                counts[k, :, s] = [permuted_kendall_s(layer, site, pairs) for layer in orders[0]]
        return _blank_constants(counts / comb(layers.shape[1], 2), layers, sites)


def _rank_vectors(vectors: Vectors) -> Vectors:
    from scipy.stats import rankdata  # takes a second to import

    return rankdata(vectors, axis=1)


def _bootstrap_to_jackknife_ratio(layers: LayerVectors, sites: SiteVectors, counts: Counts) -> Scores:
    """Return the ratio of bootstrap to jackknife standard deviations of the correlation of (fixed) ranks: 1 to sqrt(3 /
    2).
    """
    a, b = (_rank_vectors(vectors) for vectors in (layers, sites))
    draws = Pearson().resample(a, b, counts)
    spread = draws.var(axis=0)
    partial = np.isnan(spread) & ~np.isnan(draws).all(axis=0)  # some samples of a sparse site are undefined
    spread[partial] = np.nanvar(draws[:, partial], axis=0)
    without = Pearson().leave_one_out(a, b)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = spread / ((len(without) - 1) * without.var(axis=0))
    return np.sqrt(np.clip(np.where(np.isnan(ratio), 1, ratio), 1, 1.5))


def _leave_one_out_tau_a(
    layers: LayerVectors, sites: SiteVectors
) -> tuple[Scores, Float[np.ndarray, "n_stimuli n_layers n_sites"]]:
    """Return tau-a of all layers and sites, and tau-a without each stimulus."""
    from murine.similarity.kendall import RankOrder, kendall_s_per_element

    n_pairs = layers.shape[1]
    n = n_stimuli_of_pairs(n_pairs)
    rows, columns = np.triu_indices(n, 1)
    orders = [[RankOrder.of(vector) for vector in vectors] for vectors in (layers, sites)]
    total = np.empty((len(layers), len(sites)))
    lost = np.empty((n, len(layers), len(sites)))  # S of the pairs that a stimulus belongs to
    for i, layer in enumerate(orders[0]):
        for s, site in enumerate(orders[1]):
            each = kendall_s_per_element(layer, site).astype(np.float64)
            total[i, s] = each.sum() / 2
            lost[:, i, s] = np.bincount(rows, each, n) + np.bincount(columns, each, n)
    for i in range(n):  # comparisons of two of its own pairs were counted twice
        own = np.flatnonzero((rows == i) | (columns == i))
        signs = [_difference_signs(v[:, own]) for v in (layers, sites)]
        lost[i] -= signs[0] @ signs[1].T / 2
    return total / comb(n_pairs, 2), (total - lost) / comb(comb(n - 1, 2), 2)


def _difference_signs(vectors: Vectors) -> Float32[np.ndarray, "n_vectors n_differences"]:
    """Return the sign of the difference of every two elements of each vector."""
    a, b = vectors[:, :, None], vectors[:, None]
    signs = (a > b).view(np.int8) - (a < b).view(np.int8)
    return signs.reshape(len(vectors), vectors.shape[1] ** 2).astype(np.float32)


#: The comparisons of RDM vectors, by name.
comparisons: Mapping[str, Comparison] = MappingProxyType(
    {"rsa-pearson": Pearson(), "rsa-spearman": Spearman(), "rsa-tau-a": KendallTauA(), "rsa-cosine": Cosine()}
)
