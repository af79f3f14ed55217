"""Procrustes similarity and distances: how well one set of patterns can be rotated onto another."""

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

    The nuclear norm |X'Y|_* is the sum of the singular values. The arc cosine of the score is the angular Procrustes
    distance, which is a metric. The score is also known as normalised Bures similarity.

    A layer and a site take 0.9 ms for 118 stimuli. Bootstrap draws are linear in the influence of each stimulus on the
    score, which is exact to first order (Efron & Tibshirani 1993, ch. 22). The score of the sample itself would take
    one decomposition each, and would be too high, because copies leave fewer dimensions to rotate in. Relabelled
    stimuli do take one decomposition each.

    References
    ----------
    Williams et al. 2021, NeurIPS, arXiv 2110.14739.

    Examples
    --------
    >>> import numpy as np
    >>> patterns = np.random.default_rng(0).normal(size=(20, 5))
    >>> rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))[0]
    >>> kernel, rotated = ((x @ x.T)[None] for x in (patterns, patterns @ rotation))
    >>> Procrustes().score(kernel, rotated).round(3)
    array([[1.]])
    """

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
    """Return centred patterns of length 1 that have these kernels up to a factor; NaN where there are none."""
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
    """Return the sum of the singular values of x'y, at most 1; NaN where a pattern is not finite."""
    products = x.T @ y
    if not np.isfinite(products).all():
        return float("nan")
    return min(float(np.linalg.svd(products, compute_uv=False).sum()), 1.0)


def _influence(x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the score, and the derivative of its logarithm with respect to the weight of each stimulus."""
    products = x.T @ y
    if not np.isfinite(products).all():
        return float("nan"), np.full(len(x), np.nan)
    u, values, v = np.linalg.svd(products, full_matrices=False)
    kept = values > 1e-10 * values[0]
    share = ((x @ u[:, kept]) * (y @ v[kept].T)).sum(axis=1) / values.sum()
    return min(float(values.sum()), 1.0), share - ((x**2).sum(axis=1) + (y**2).sum(axis=1)) / 2


def angular_procrustes_distances(layers: LayerKernels, sites: SiteKernels) -> Scores:
    """Return the angular Procrustes distance, 0 to pi / 2. The size of the patterns does not matter.

    Parameters
    ----------
    layers, sites
        (n_layers, n_stimuli, n_stimuli) and (n_sites, n_stimuli, n_stimuli): kernels.

    Returns
    -------
    distances
        (n_layers, n_sites), in radians; NaN where a kernel is the same for all stimuli or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> patterns = np.random.default_rng(0).normal(size=(20, 5))
    >>> kernel = (patterns @ patterns.T)[None]
    >>> bool(angular_procrustes_distances(kernel, 4 * kernel)[0, 0] < 1e-6)
    True
    """
    return np.arccos(Procrustes().score(layers, sites))


def procrustes_distances(layers: LayerKernels, sites: SiteKernels) -> Scores:
    """Return the Procrustes distance with sizes: the least |X - Y Q| over rotations Q, for centred patterns.

    Parameters
    ----------
    layers, sites
        (n_layers, n_stimuli, n_stimuli) and (n_sites, n_stimuli, n_stimuli): kernels.

    Returns
    -------
    distances
        (n_layers, n_sites), in the unit of the patterns; NaN where a kernel is the same for all stimuli or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> patterns = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> kernel = (patterns @ patterns.T)[None]
    >>> procrustes_distances(kernel, 4 * kernel)  # all patterns are twice as long
    array([[2.]])
    """
    a, b = (np.trace(centre_kernels(x), axis1=1, axis2=2) for x in (layers, sites))
    nuclear = Procrustes().score(layers, sites) * np.sqrt(np.outer(a, b))
    return np.sqrt(np.maximum(a[:, None] + b - 2 * nuclear, 0))


procrustes = Procrustes()
