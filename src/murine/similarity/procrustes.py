"""Procrustes."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from murine.similarity.kernel_similarity import (
    KernelComparison,
    Kernels,
    LayerKernels,
    SiteKernels,
    centre_kernels,
    rounding_norms,
)
from murine.similarity.rsa import Draws, Relabellings, Scores
from murine.statistics.bootstrap import Counts


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
        a, b = _unit_patterns(layers), _unit_patterns(sites)
        return np.array([[_nuclear_norm(x, y) for y in b] for x in a]).reshape(len(a), len(b))

    def resample(self, layers: LayerKernels, sites: SiteKernels, counts: Counts) -> Draws:
        a, b = _unit_patterns(layers), _unit_patterns(sites)
        scores = np.empty((len(a), len(b)))
        influence = np.empty((len(a), len(b), counts.shape[1]))
        for i, x in enumerate(a):
            for s, y in enumerate(b):
                scores[i, s], influence[i, s] = _influence(x, y)
        draws = scores * (1 + np.einsum("bn,isn->bis", counts.astype(np.float64), influence, optimize=True))
        return np.clip(draws, 0, 1).astype(np.float32)

    def permute(self, layers: LayerKernels, sites: SiteKernels, relabellings: Relabellings) -> Draws:
        a, b = _unit_patterns(layers), _unit_patterns(sites)
        draws = [[[_nuclear_norm(x, y[relabelling]) for y in b] for x in a] for relabelling in relabellings]
        return np.array(draws).reshape(len(relabellings), len(a), len(b))


def _unit_patterns(kernels: Kernels) -> list[Float[np.ndarray, "n_stimuli n_dimensions"]]:
    """Centred patterns of length 1 that have these kernels, up to a factor; one column of NaN where there are none."""
    found = []
    n = kernels.shape[1]
    for kernel, tiny in zip(centre_kernels(kernels), rounding_norms(kernels), strict=True):
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


def angular_procrustes_distances(layers: LayerKernels, sites: SiteKernels) -> Scores:
    """Angular Procrustes distance, 0 to pi / 2: sizes do not matter."""
    return np.arccos(Procrustes().score(layers, sites))


def procrustes_distances(layers: LayerKernels, sites: SiteKernels) -> Scores:
    """Size-and-shape distance: the least |X - Y Q| over rotations Q, for centred patterns."""
    a, b = (np.trace(centre_kernels(x), axis1=1, axis2=2) for x in (layers, sites))
    nuclear = Procrustes().score(layers, sites) * np.sqrt(np.outer(a, b))
    return np.sqrt(np.maximum(a[:, None] + b - 2 * nuclear, 0))


procrustes = Procrustes()
