"""How alike the geometries of two sets of patterns are: CKA and Procrustes, from n x n kernels.

Kernels are products of patterns, X X' for every two stimuli; they are centred over stimuli here, whether they were or
not. Stacks of layers are compared with stacks of sites, also under resampled and relabelled stimuli, with the
interface of `murine.similarity.rsa.Comparison`, but on kernels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Float32

from murine.registry import Registry
from murine.similarity.rdm import upper
from murine.similarity.rsa import Draws, Relabellings, Scores, Vectors
from murine.statistics.bootstrap import Counts
from murine.statistics.permutation import relabelled_pairs

Kernels = Float[np.ndarray, "n_kernels n_stimuli n_stimuli"]
LayerKernels = Float[np.ndarray, "n_layers n_stimuli n_stimuli"]
SiteKernels = Float[np.ndarray, "n_sites n_stimuli n_stimuli"]
FloatCounts = Float32[np.ndarray, "n_draws n_stimuli"]
Entries = Float32[np.ndarray, "n_draws n_entries"]
Terms = Float32[np.ndarray, "n_draws n_kernels n_terms"]


class KernelComparison(ABC):
    """A way to compare kernels.

    Attributes
    ----------
    scale
        The scale of its scores; only a ceiling of the same scale may be applied.
    costly_permutations
        True where a permutation test of all layers takes minutes: it is then to be run for chosen layers only.
    """

    scale: ClassVar[str]
    costly_permutations: ClassVar[bool] = False

    @abstractmethod
    def score(self, layers: LayerKernels, sites: SiteKernels) -> Scores:
        """Compare every layer with every site; NaN where one is the same for all stimuli or not finite."""

    @abstractmethod
    def resample(self, layers: LayerKernels, sites: SiteKernels, counts: Counts) -> Draws:
        """Compare under resampled stimuli: ``counts[b, i]`` is how often stimulus i was drawn in sample b."""

    @abstractmethod
    def permute(self, layers: LayerKernels, sites: SiteKernels, relabellings: Relabellings) -> Draws:
        """Compare with the stimuli of the sites relabelled: the distribution where nothing is shared."""


kernel_metrics: Registry[KernelComparison] = Registry("kernel_metric")


def centred(kernels: Kernels) -> Kernels:
    """Kernels of patterns less their mean over stimuli."""
    with np.errstate(invalid="ignore"):
        rows = kernels.mean(axis=2)
        return kernels - rows[:, :, None] - rows[:, None] + rows.mean(axis=1)[:, None, None]


def u_centred(kernels: Kernels) -> Kernels:
    """Zero on the diagonal and in the sum of every row, so that products with another kernel have no bias.

    Székely & Rizzo 2014, Ann. Statist. 42: 2382-2412, definition 2; Song et al. 2012, JMLR 13: 1393-1434, eq. 5."""
    n = kernels.shape[1]
    off = centred(kernels)  # changes nothing but the digits that are kept
    diagonal = np.arange(n)
    off[:, diagonal, diagonal] = 0
    rows = off.sum(axis=2) / (n - 2)
    off += (rows.sum(axis=1) / (n - 1))[:, None, None] - rows[:, :, None] - rows[:, None]
    off[:, diagonal, diagonal] = 0
    return off


class _Alignment(KernelComparison):
    """The cosine of the angle between kernels, as vectors with the pairs of stimuli and the stimuli themselves."""

    @abstractmethod
    def _centre(self, kernels: Kernels) -> Kernels: ...

    @abstractmethod
    def _weights(self, c: FloatCounts) -> Entries:
        """What each product of two entries counts in a sample, pairs first, then the diagonal."""

    @abstractmethod
    def _terms(self, kernels: Kernels, c: FloatCounts) -> tuple[Terms, Terms]:
        """What else a sample's product of kernels consists of: the products of a term of one, a term of the other."""

    def _vectors(self, kernels: Kernels) -> Vectors:
        """Of length 1; NaN where nothing but rounding is left."""
        vectors = _flat(self._centre(kernels)) * _multiplicity(kernels.shape[1])
        length = np.sqrt((vectors**2).sum(axis=1))
        return vectors / np.where(length > _rounding(kernels), length, np.nan)[:, None]

    def score(self, layers: LayerKernels, sites: SiteKernels) -> Scores:
        return np.clip(self._vectors(layers) @ self._vectors(sites).T, -1, 1)

    def permute(self, layers: LayerKernels, sites: SiteKernels, relabellings: Relabellings) -> Draws:
        a, b = (self._vectors(k).astype(np.float32) for k in (layers, sites))
        draws = np.empty((len(relabellings), len(a), len(b)), np.float32)
        n_pairs = a.shape[1] - layers.shape[1]
        for k, (pairs, relabelling) in enumerate(zip(relabelled_pairs(relabellings), relabellings, strict=True)):
            np.matmul(a, b[:, np.concatenate([pairs, n_pairs + relabelling])].T, out=draws[k])
        return draws

    def resample(self, layers: LayerKernels, sites: SiteKernels, counts: Counts) -> Draws:
        c = counts.astype(np.float32)
        weights = self._weights(c)
        b = self._scaled(sites)
        left, right = self._terms(b, c)
        norms = _norms(b, weights, left, right)
        draws = np.empty((len(counts), len(layers), len(sites)), np.float32)
        step = max(1, 512 // len(sites))  # columns of one matrix product: large enough for BLAS, small in memory
        for start in range(0, len(layers), step):
            a = self._scaled(layers[start : start + step])
            part = draws[:, start : start + step]
            products = (_flat(a)[:, None] * _flat(b)[None]).reshape(len(a) * len(b), -1)
            left, own = self._terms(a, c)
            with np.errstate(invalid="ignore", divide="ignore"):
                part[:] = (weights @ products.T).reshape(part.shape)
                part += left @ right.transpose(0, 2, 1)
                part /= _norms(a, weights, left, own)[:, :, None] * norms[:, None]
        return draws

    def _scaled(self, kernels: Kernels) -> Kernels:
        """Centred, entries of about 1, so that float32 sums are good to 1e-6."""
        n = kernels.shape[1]
        return _square((self._vectors(kernels) / _multiplicity(n) * n).astype(np.float32), n)


def _norms(kernels: Kernels, weights: Entries, left: Terms, right: Terms) -> Float32[np.ndarray, "n_draws n_kernels"]:
    with np.errstate(invalid="ignore"):
        squares = weights @ (_flat(kernels) ** 2).T + np.einsum("bkt,bkt->bk", left, right)
        return np.sqrt(np.where(squares > 0, squares, np.float32("nan")))


def _rounding(kernels: Kernels) -> Float[np.ndarray, " n_kernels"]:
    """The norm of what centring may leave of a kernel that is the same for all stimuli; infinite for one not finite."""
    largest = np.abs(kernels).max(axis=(1, 2))
    return np.where(np.isfinite(largest), 1e-12 * kernels.shape[1] * largest, np.inf)


def _flat(kernels: Kernels) -> Vectors:
    """Upper triangles, then diagonals."""
    return np.concatenate([upper(kernels), np.diagonal(kernels, axis1=1, axis2=2)], axis=1)


def _square(vectors: Vectors, n_stimuli: int) -> Kernels:
    rows, columns = np.triu_indices(n_stimuli, 1)
    kernels = np.empty((len(vectors), n_stimuli, n_stimuli), vectors.dtype)
    kernels[:, rows, columns] = kernels[:, columns, rows] = vectors[:, : len(rows)]
    diagonal = np.arange(n_stimuli)
    kernels[:, diagonal, diagonal] = vectors[:, len(rows) :]
    return kernels


def _multiplicity(n_stimuli: int) -> Float[np.ndarray, " n_entries"]:
    """The root of how often entries occur in the square: pairs twice, the diagonal once."""
    n_pairs = n_stimuli * (n_stimuli - 1) // 2
    return np.repeat([np.sqrt(2), 1.0], [n_pairs, n_stimuli])


def _row_sums(kernels: Kernels, c: FloatCounts) -> Terms:
    """Weighted sum of each row, for all draws and kernels."""
    n = kernels.shape[1]
    return (c @ kernels.transpose(1, 0, 2).reshape(n, -1)).reshape(len(c), len(kernels), n)


class LinearCKA(_Alignment):
    """Linear centred kernel alignment (Kornblith et al. 2019, ICML).

    With few stimuli it is high for layers that share nothing, the more so the more units they have; relabelled
    stimuli show how high, `DebiasedCKA` is free of it. In resampled stimuli the means are those of the sample, each
    stimulus counts as often as drawn, and pairs of a stimulus with its own copy are left out, which are no more
    different stimuli than the stimulus itself."""

    scale = "cka"

    def _centre(self, kernels: Kernels) -> Kernels:
        return centred(kernels)

    def _weights(self, c: FloatCounts) -> Entries:
        n = c.sum(axis=1, keepdims=True)
        rows, columns = np.triu_indices(c.shape[1], 1)
        return np.concatenate([2 * c[:, rows] * c[:, columns], c**2], axis=1) / n**2

    def _terms(self, kernels: Kernels, c: FloatCounts) -> tuple[Terms, Terms]:
        # The weights give products of kernels that are not centred in the sample: less products of means. Then pairs
        # of copies, on the diagonal, are taken out.
        c = c[:, None]
        n = c.sum(axis=2, keepdims=True)
        means = _row_sums(kernels, c[:, 0] / n[:, 0])
        mean = (means * c).sum(axis=2, keepdims=True) / n
        diagonal = np.diagonal(kernels, axis1=1, axis2=2) - 2 * means + mean
        left = (-2 / n * c * means, (c - c**2) / n**2 * diagonal, mean)
        return np.concatenate(left, axis=2), np.concatenate([means, diagonal, mean], axis=2)


class DebiasedCKA(_Alignment):
    """Linear CKA from unbiased estimates (Song et al. 2012): zero on average for layers that share nothing.

    Its estimates are means over all quadruples of different stimuli; in resampled stimuli over quadruples as often as
    they were drawn, none with copies. NaN where a squared norm is estimated as not above zero."""

    scale = "cka-debiased"

    def _centre(self, kernels: Kernels) -> Kernels:
        return u_centred(kernels)

    def _weights(self, c: FloatCounts) -> Entries:
        n, squares = c.sum(axis=1, keepdims=True), (c**2).sum(axis=1, keepdims=True)
        rows, columns = np.triu_indices(c.shape[1], 1)
        a, b = c[:, rows], c[:, columns]
        both = a * b
        with np.errstate(invalid="ignore", divide="ignore"):  # a sample of fewer than four stimuli has no quadruple
            weights = both * (n**2 - squares - n * (a + b) + 2 * both) * (2 / _quadruples(c))
        return np.concatenate([weights, np.zeros_like(c)], axis=1)

    def _terms(self, kernels: Kernels, c: FloatCounts) -> tuple[Terms, Terms]:
        sums, squares = _row_sums(kernels, c), _row_sums(kernels, c**2)
        quadruples = _quadruples(c)[:, None]
        c = c[:, None]
        n = c.sum(axis=2, keepdims=True)
        total = (sums * c).sum(axis=2, keepdims=True)
        left = (2 * c * squares - (4 * c**2 + 2 * c * (n - c)) * sums, 2 * c * sums, total)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.concatenate(left, axis=2) / quadruples, np.concatenate([sums, squares, total], axis=2)


def _quadruples(c: FloatCounts) -> Float32[np.ndarray, "n_draws 1"]:
    """Ordered quadruples of different stimuli, as often as they were drawn (Newton's identity)."""
    p1, p2, p3, p4 = ((c.astype(np.float64) ** k).sum(axis=1, keepdims=True) for k in (1, 2, 3, 4))
    return (p1**4 - 6 * p1**2 * p2 + 3 * p2**2 + 8 * p1 * p3 - 6 * p4).astype(np.float32)


class Procrustes(KernelComparison):
    """How well one set of patterns can be rotated and scaled onto the other: |X'Y|_* / (|X| |Y|), 0 to 1.

    The nuclear norm |X'Y|_* is the sum of singular values; the arc cosine of the score is the angular Procrustes
    distance (Williams et al. 2021, NeurIPS), a metric; the score itself is known as normalised Bures similarity.

    A layer and a site take 0.9 ms for 118 stimuli. Draws are those of the influence of each stimulus on the score,
    exact to first order (Efron & Tibshirani 1993, ch. 22): a sample's own norm would take a decomposition each, and be
    too high, for copies leave fewer dimensions to rotate in. Relabelled stimuli do take one each."""

    scale = "procrustes"
    costly_permutations = True

    def score(self, layers: LayerKernels, sites: SiteKernels) -> Scores:
        a, b = _patterns(layers), _patterns(sites)
        return np.array([[_nuclear_norm(x, y) for y in b] for x in a]).reshape(len(a), len(b))

    def resample(self, layers: LayerKernels, sites: SiteKernels, counts: Counts) -> Draws:
        a, b = _patterns(layers), _patterns(sites)
        scores = np.empty((len(a), len(b)))
        influence = np.empty((len(a), len(b), counts.shape[1]))
        for i, x in enumerate(a):
            for s, y in enumerate(b):
                scores[i, s], influence[i, s] = _influence(x, y)
        draws = scores * (1 + np.einsum("bn,isn->bis", counts.astype(np.float64), influence, optimize=True))
        return np.clip(draws, 0, 1).astype(np.float32)

    def permute(self, layers: LayerKernels, sites: SiteKernels, relabellings: Relabellings) -> Draws:
        a, b = _patterns(layers), _patterns(sites)
        draws = [[[_nuclear_norm(x, y[relabelling]) for y in b] for x in a] for relabelling in relabellings]
        return np.array(draws).reshape(len(relabellings), len(a), len(b))


def _patterns(kernels: Kernels) -> list[Float[np.ndarray, "n_stimuli n_dimensions"]]:
    """Centred patterns of length 1 that have these kernels, up to a factor; one column of NaN where there are none."""
    found = []
    n = kernels.shape[1]
    for kernel, tiny in zip(centred(kernels), _rounding(kernels), strict=True):
        patterns = np.full((n, 1), np.nan)
        if np.linalg.norm(kernel) > tiny:  # False for NaN
            values, vectors = np.linalg.eigh(kernel)
            kept = values > 1e-14 * n * values[-1]
            patterns = vectors[:, kept] * np.sqrt(values[kept] / values[kept].sum())
        found.append(patterns)
    return found


def _nuclear_norm(x: np.ndarray, y: np.ndarray) -> float:
    """The sum of the singular values of x'y, at most 1; NaN where a pattern is not finite, which LAPACK refuses."""
    products = x.T @ y
    if not np.isfinite(products).all():
        return float("nan")
    return min(float(np.linalg.svd(products, compute_uv=False).sum()), 1.0)


def _influence(x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """The score, and how its logarithm changes with the weight of each stimulus."""
    products = x.T @ y
    if not np.isfinite(products).all():
        return float("nan"), np.full(len(x), np.nan)
    u, values, v = np.linalg.svd(products, full_matrices=False)
    kept = values > 1e-10 * values[0]
    share = ((x @ u[:, kept]) * (y @ v[kept].T)).sum(axis=1) / values.sum()
    return min(float(values.sum()), 1.0), share - ((x**2).sum(axis=1) + (y**2).sum(axis=1)) / 2


def angular_distances(layers: LayerKernels, sites: SiteKernels) -> Scores:
    """Angular Procrustes distance, 0 to pi / 2: sizes do not matter."""
    return np.arccos(Procrustes().score(layers, sites))


def procrustes_distances(layers: LayerKernels, sites: SiteKernels) -> Scores:
    """Size-and-shape distance: the least |X - Y Q| over rotations Q, for centred patterns."""
    a, b = (np.trace(centred(x), axis1=1, axis2=2) for x in (layers, sites))
    nuclear = Procrustes().score(layers, sites) * np.sqrt(np.outer(a, b))
    return np.sqrt(np.maximum(a[:, None] + b - 2 * nuclear, 0))


kernel_metrics.register("cka")(LinearCKA())
kernel_metrics.register("cka-debiased")(DebiasedCKA())
kernel_metrics.register("procrustes")(Procrustes())
