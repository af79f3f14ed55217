"""Comparisons of kernels: what CKA (`murine.similarity.cka`) and Procrustes (`murine.similarity.procrustes`) share.

A kernel holds the products X X' of the patterns of every two stimuli. Comparisons centre kernels over stimuli,
whether they were centred before or not. They can be repeated under resampled and relabelled stimuli, like those of RDMs
(`murine.similarity.rsa.Comparison`).
"""

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
    """A way to compare kernels. Subclasses define the score and how it is resampled.

    Attributes
    ----------
    scale
        The scale of the scores. Only a ceiling on the same scale may be applied.
    costly_permutations
        True where a permutation test of all layers takes minutes. It should then be run for selected layers only.

    Examples
    --------
    >>> sorted(kernel_metrics)
    ['cka', 'cka-debiased', 'procrustes']
    >>> kernel_metrics["cka"].scale
    'cka'
    """

    scale: ClassVar[str]
    costly_permutations: ClassVar[bool] = False

    @abstractmethod
    def score(self, layers: LayerKernels, sites: SiteKernels) -> Scores:
        """Compare every layer with every site.

        Parameters
        ----------
        layers, sites
            (n_layers, n_stimuli, n_stimuli) and (n_sites, n_stimuli, n_stimuli).

        Returns
        -------
        scores
            (n_layers, n_sites); NaN where a kernel is the same for all stimuli or not finite.
        """

    @abstractmethod
    def resample(self, layers: LayerKernels, sites: SiteKernels, counts: Counts) -> Draws:
        """Compare under resampled stimuli.

        Parameters
        ----------
        counts
            (n_draws, n_stimuli): how often each stimulus is in each bootstrap sample.

        Returns
        -------
        draws
            (n_draws, n_layers, n_sites) float32.
        """

    @abstractmethod
    def permute(self, layers: LayerKernels, sites: SiteKernels, relabellings: Relabellings) -> Draws:
        """Compare with the stimuli of the sites relabelled: the null distribution of scores that share nothing."""


kernel_metrics: Registry[KernelComparison] = Registry("kernel_metric")
kernel_metrics.refer("cka", "murine.similarity.cka:linear_cka")
kernel_metrics.refer("cka-debiased", "murine.similarity.cka:debiased_cka")
kernel_metrics.refer("procrustes", "murine.similarity.procrustes:procrustes")


def centre_kernels(kernels: Kernels) -> Kernels:
    """Return the kernels of the patterns less their mean over stimuli (double centring).

    Parameters
    ----------
    kernels
        (n_kernels, n_stimuli, n_stimuli). NaN stays NaN.

    Examples
    --------
    >>> import numpy as np
    >>> centre_kernels(np.array([[[4.0, 2.0], [2.0, 4.0]]]))
    array([[[ 1., -1.],
            [-1.,  1.]]])
    """
    with np.errstate(invalid="ignore"):
        rows = kernels.mean(axis=2)
        return kernels - rows[:, :, None] - rows[:, None] + rows.mean(axis=1)[:, None, None]


def u_centre_kernels(kernels: Kernels) -> Kernels:
    """Return U-centred kernels: 0 on the diagonal and in the sum of each row, so products of two kernels have no bias.

    Parameters
    ----------
    kernels
        (n_kernels, n_stimuli, n_stimuli), with at least 3 stimuli. NaN stays NaN.

    References
    ----------
    Székely & Rizzo 2014, Ann. Statist. 42: 2382-2412, definition 2; Song et al. 2012, JMLR 13: 1393-1434, eq. 5.

    Examples
    --------
    >>> import numpy as np
    >>> patterns = np.random.default_rng(0).normal(size=(5, 3))
    >>> bool(np.allclose(u_centre_kernels((patterns @ patterns.T)[None]).sum(axis=2), 0))
    True
    """
    n = kernels.shape[1]
    off = centre_kernels(kernels)  # does not change the result, but keeps more digits
    diagonal = np.arange(n)
    off[:, diagonal, diagonal] = 0
    rows = off.sum(axis=2) / (n - 2)
    off += (rows.sum(axis=1) / (n - 1))[:, None, None] - rows[:, :, None] - rows[:, None]
    off[:, diagonal, diagonal] = 0
    return off


def rounding_norms(kernels: Kernels) -> Float[np.ndarray, " n_kernels"]:
    """Return the norm of what centring may leave, by rounding, of a kernel that is the same for all stimuli.

    Infinite for a kernel that is not finite.
    """
    largest = np.abs(kernels).max(axis=(1, 2))
    return np.where(np.isfinite(largest), 1e-12 * kernels.shape[1] * largest, np.inf)
