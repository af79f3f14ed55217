"""Comparisons of kernels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from murine.registry import Registry
from murine.similarity.rsa import Draws, Relabellings, Scores
from murine.statistics.bootstrap import Counts

Kernels = Float[np.ndarray, "n_kernels n_stimuli n_stimuli"]

LayerKernels = Float[np.ndarray, "n_layers n_stimuli n_stimuli"]

SiteKernels = Float[np.ndarray, "n_sites n_stimuli n_stimuli"]


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
kernel_metrics.refer("cka", "murine.similarity.cka:linear_cka")
kernel_metrics.refer("cka-debiased", "murine.similarity.cka:debiased_cka")
kernel_metrics.refer("procrustes", "murine.similarity.procrustes:procrustes")


def centre_kernels(kernels: Kernels) -> Kernels:
    """Kernels of patterns less their mean over stimuli."""
    with np.errstate(invalid="ignore"):
        rows = kernels.mean(axis=2)
        return kernels - rows[:, :, None] - rows[:, None] + rows.mean(axis=1)[:, None, None]


def u_centre_kernels(kernels: Kernels) -> Kernels:
    """Zero on the diagonal and in the sum of every row, so that products with another kernel have no bias.

    Székely & Rizzo 2014, Ann. Statist. 42: 2382-2412, definition 2; Song et al. 2012, JMLR 13: 1393-1434, eq. 5."""
    n = kernels.shape[1]
    off = centre_kernels(kernels)  # changes nothing but the digits that are kept
    diagonal = np.arange(n)
    off[:, diagonal, diagonal] = 0
    rows = off.sum(axis=2) / (n - 2)
    off += (rows.sum(axis=1) / (n - 1))[:, None, None] - rows[:, :, None] - rows[:, None]
    off[:, diagonal, diagonal] = 0
    return off


def rounding_norms(kernels: Kernels) -> Float[np.ndarray, " n_kernels"]:
    """The norm of what centring may leave of a kernel that is the same for all stimuli; infinite for one not finite."""
    largest = np.abs(kernels).max(axis=(1, 2))
    return np.where(np.isfinite(largest), 1e-12 * kernels.shape[1] * largest, np.inf)
