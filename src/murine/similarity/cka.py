"""Centred kernel alignment (CKA): cosine similarity of centred kernels, with and without bias."""

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
    """The cosine of the angle between kernels. A kernel is a vector of its pairs of stimuli, then its diagonal."""

    @abstractmethod
    def _centre(self, kernels: Kernels) -> Kernels: ...

    @abstractmethod
    def _weights(self, c: FloatCounts) -> Entries:
        """Return the weight of each product of two entries in each sample: pairs first, then the diagonal."""

    @abstractmethod
    def _terms(self, kernels: Kernels, c: FloatCounts) -> tuple[Terms, Terms]:
        """Return the other terms of the product of two kernels in a sample: sums of left terms times right terms."""

    def _vectors(self, kernels: Kernels) -> Vectors:
        """Return centred kernels as vectors of length 1; NaN where only rounding is left."""
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
        step = max(1, 512 // len(sites))  # columns of one matrix product: enough for BLAS, small in memory
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
        """Return centred kernels whose entries are about 1, so that sums in float32 are good to 1e-6."""
        n = kernels.shape[1]
        return _square((self._vectors(kernels) / _multiplicity(n) * n).astype(np.float32), n)


def _norms(kernels: Kernels, weights: Entries, left: Terms, right: Terms) -> Float32[np.ndarray, "n_draws n_kernels"]:
    """Return the norms of kernels in every sample; NaN where the squared norm is not above zero."""
    with np.errstate(invalid="ignore"):
        squares = weights @ (_flat(kernels) ** 2).T + np.einsum("bkt,bkt->bk", left, right)
        return np.sqrt(np.where(squares > 0, squares, np.float32("nan")))


def _flat(kernels: Kernels) -> Vectors:
    """Return the upper triangles of kernels, followed by their diagonals."""
    return np.concatenate([upper_triangle(kernels), np.diagonal(kernels, axis1=1, axis2=2)], axis=1)


def _square(vectors: Vectors, n_stimuli: int) -> Kernels:
    """Return kernels from the vectors that `_flat` makes."""
    rows, columns = np.triu_indices(n_stimuli, 1)
    kernels = np.empty((len(vectors), n_stimuli, n_stimuli), vectors.dtype)
    kernels[:, rows, columns] = kernels[:, columns, rows] = vectors[:, : len(rows)]
    diagonal = np.arange(n_stimuli)
    kernels[:, diagonal, diagonal] = vectors[:, len(rows) :]
    return kernels


def _multiplicity(n_stimuli: int) -> Float[np.ndarray, " n_entries"]:
    """Return the root of how often an entry of the vector occurs in the matrix: pairs twice, the diagonal once."""
    n_pairs = n_stimuli * (n_stimuli - 1) // 2
    return np.repeat([np.sqrt(2), 1.0], [n_pairs, n_stimuli])


def _row_sums(kernels: Kernels, c: FloatCounts) -> Terms:
    """Return the weighted sum of each row, for all draws and kernels: (n_draws, n_kernels, n_stimuli)."""
    n = kernels.shape[1]
    return (c @ kernels.transpose(1, 0, 2).reshape(n, -1)).reshape(len(c), len(kernels), n)


class LinearCKA(_Alignment):
    """Linear centred kernel alignment, 0 to 1.

    With few stimuli it is high for layers that share nothing with a site, and higher the more units they have.
    Relabelled stimuli show how high; `DebiasedCKA` does not have this bias. In resampled stimuli, kernels are centred
    in each sample, each stimulus counts as often as it was drawn, and pairs of a stimulus with its own copy are left
    out.

    References
    ----------
    Kornblith et al. 2019, ICML, arXiv 1905.00414.

    Examples
    --------
    >>> import numpy as np
    >>> patterns = np.random.default_rng(0).normal(size=(20, 5))
    >>> kernel = (patterns @ patterns.T)[None]
    >>> LinearCKA().score(kernel, 3 * kernel).round(3)  # the size of the patterns does not matter
    array([[1.]])
    """

    scale = "cka"

    def _centre(self, kernels: Kernels) -> Kernels:
        return centre_kernels(kernels)

    def _weights(self, c: FloatCounts) -> Entries:
        n = c.sum(axis=1, keepdims=True)
        rows, columns = np.triu_indices(c.shape[1], 1)
        return np.concatenate([2 * c[:, rows] * c[:, columns], c**2], axis=1) / n**2

    def _terms(self, kernels: Kernels, c: FloatCounts) -> tuple[Terms, Terms]:
        # The weights give products of kernels that are not centred in the sample, so products of means are subtracted.
        # Pairs of a stimulus with its own copy, which are on the diagonal, are subtracted, too.
        c = c[:, None]
        n = c.sum(axis=2, keepdims=True)
        means = _row_sums(kernels, c[:, 0] / n[:, 0])
        mean = (means * c).sum(axis=2, keepdims=True) / n
        diagonal = np.diagonal(kernels, axis1=1, axis2=2) - 2 * means + mean
        left = (-2 / n * c * means, (c - c**2) / n**2 * diagonal, mean)
        return np.concatenate(left, axis=2), np.concatenate([means, diagonal, mean], axis=2)


class DebiasedCKA(_Alignment):
    """Linear CKA from unbiased estimates, -1 to 1: zero on average for layers that share nothing with a site.

    The estimates are means over all sets of four different stimuli. In resampled stimuli these sets count as often as
    they were drawn, and sets with copies are left out. NaN where an estimated squared norm is not above zero.

    References
    ----------
    Song et al. 2012, JMLR 13: 1393-1434.

    Examples
    --------
    >>> import numpy as np
    >>> patterns = np.random.default_rng(0).normal(size=(2, 20, 100))
    >>> kernels = patterns @ patterns.transpose(0, 2, 1)
    >>> LinearCKA().score(kernels[:1], kernels[1:]).round(1), DebiasedCKA().score(kernels[:1], kernels[1:]).round(1)
    (array([[0.8]]), array([[-0.]]))
    """

    scale = "cka-debiased"

    def _centre(self, kernels: Kernels) -> Kernels:
        return u_centre_kernels(kernels)

    def _weights(self, c: FloatCounts) -> Entries:
        n, squares = c.sum(axis=1, keepdims=True), (c**2).sum(axis=1, keepdims=True)
        rows, columns = np.triu_indices(c.shape[1], 1)
        a, b = c[:, rows], c[:, columns]
        both = a * b
        with np.errstate(invalid="ignore", divide="ignore"):  # a sample with fewer than four stimuli
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
    """Count ordered sets of four different stimuli, as often as they were drawn (Newton's identities)."""
    p1, p2, p3, p4 = ((c.astype(np.float64) ** k).sum(axis=1, keepdims=True) for k in (1, 2, 3, 4))
    return (p1**4 - 6 * p1**2 * p2 + 3 * p2**2 + 8 * p1 * p3 - 6 * p4).astype(np.float32)


linear_cka = LinearCKA()

debiased_cka = DebiasedCKA()
