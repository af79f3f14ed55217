"""CKA."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from jaxtyping import Float, Float32

from murine.similarity.kernel_similarity import (
    KernelComparison,
    Kernels,
    LayerKernels,
    SiteKernels,
    centre_kernels,
    rounding_norms,
    u_centre_kernels,
)
from murine.similarity.rdm_vectors import upper_triangle
from murine.similarity.rsa import Draws, Relabellings, Scores, Vectors
from murine.statistics.bootstrap import Counts
from murine.statistics.permutation import permuted_pairs

FloatCounts = Float32[np.ndarray, "n_draws n_stimuli"]

Entries = Float32[np.ndarray, "n_draws n_entries"]

Terms = Float32[np.ndarray, "n_draws n_kernels n_terms"]


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
        return vectors / np.where(length > rounding_norms(kernels), length, np.nan)[:, None]

    def score(self, layers: LayerKernels, sites: SiteKernels) -> Scores:
        return np.clip(self._vectors(layers) @ self._vectors(sites).T, -1, 1)

    def permute(self, layers: LayerKernels, sites: SiteKernels, relabellings: Relabellings) -> Draws:
        a, b = (self._vectors(k).astype(np.float32) for k in (layers, sites))
        draws = np.empty((len(relabellings), len(a), len(b)), np.float32)
        n_pairs = a.shape[1] - layers.shape[1]
        for k, (pairs, relabelling) in enumerate(zip(permuted_pairs(relabellings), relabellings, strict=True)):
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


def _flat(kernels: Kernels) -> Vectors:
    """Upper triangles, then diagonals."""
    return np.concatenate([upper_triangle(kernels), np.diagonal(kernels, axis1=1, axis2=2)], axis=1)


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
        return centre_kernels(kernels)

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
        return u_centre_kernels(kernels)

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


linear_cka = LinearCKA()

debiased_cka = DebiasedCKA()
