"""CKA*: CKA of populations without bias from few stimuli, few units, trial noise and noise that units share.

The patterns of each unit are standardised over stimuli. The kernel of a population is the mean over its units of the
kernels of single units, U-centred, so that a product of two populations that were recorded apart is unbiased as it
stands. The norms are not: in the product of a population with itself, each unit meets itself, and units meet the noise
that they share with units recorded together. So a norm comes from two halves of the trials, without the products of
units with themselves.

References
----------
Székely & Rizzo 2014, Ann. Statist. 42: 2382-2412 (U-centring); Kang et al. 2025, arXiv:2502.19648 (units and trials).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from murine.errors import MurineError
from murine.similarity.kernel_similarity import u_centre_kernels
from murine.statistics.random_halves import half_means
from murine.statistics.standardisation import zscore

#: Patterns as a metric of populations sees them.
Patterns = Float[np.ndarray, "n_units n_stimuli"]

Kernel = Float[np.ndarray, "n_stimuli n_stimuli"]

#: Fewer stimuli have no U-centred product.
MIN_STIMULI = 4

#: Random halves of the trials that a norm is averaged over.
N_SPLITS = 10

#: A unit whose range over stimuli is below this share of its largest value does not vary: that is float32 rounding.
_CONSTANT = 1e-6

#: Difference of two projections of standardised patterns that counts as rounding.
_ROUNDING = 1e-4


@dataclass(frozen=True, eq=False, repr=False)
class PopulationKernel:
    """A population of units, as CKA* needs it.

    Attributes
    ----------
    kernel
        (n_stimuli, n_stimuli) U-centred ZZ'/n of the standardised patterns of n units.
    norm
        Unbiased estimate of the kernel's squared norm without noise, over all units that might have been recorded. It
        can be zero or negative if there are few units or much noise: such a population has no CKA*.
    scatter
        Standard deviation of the norm over splits of the trials, as a share of the norm; 0 without noise. NaN if the
        norm is not above 0.
    n_units
        Number of units that vary, each once.

    Examples
    --------
    >>> import numpy as np
    >>> noiseless_kernel(np.random.default_rng(0).normal(size=(40, 20)))
    <PopulationKernel: 40 units, 20 stimuli>
    """

    kernel: Float[np.ndarray, "n_stimuli n_stimuli"]
    norm: float
    scatter: float
    n_units: int

    def __repr__(self) -> str:
        return f"<PopulationKernel: {self.n_units:,} units, {len(self.kernel)} stimuli>"

    @property
    def is_defined(self) -> bool:
        """Whether the norm is above 0, so that the population has a CKA* with others."""
        return bool(self.norm > 0)


def noisy_kernel(
    trials: Float[np.ndarray, "n_units n_stimuli n_repetitions"], *, n_splits: int = N_SPLITS, seed: int = 0
) -> PopulationKernel:
    """Return the kernel of recorded units, with a norm from random halves of their trials.

    All stimuli are halved alike: repetition r of every stimulus is in the same half. Slow changes over repetitions are
    then the same for all stimuli of a half, and centring removes them. If each stimulus had its own halves, such
    changes would pull the two halves of a stimulus apart, and norms would be too small.

    Parameters
    ----------
    trials
        (n_units, n_stimuli, n_repetitions), any unit of response; a missing trial is NaN. Units whose mean response is
        the same for all stimuli are left out.
    n_splits, seed
        Random halves of the trials, the same for all units, and their seed.

    Raises
    ------
    MurineError
        If there are fewer than four stimuli, a unit has a stimulus with fewer than two trials, or fewer than two units
        vary.

    Examples
    --------
    >>> import numpy as np
    >>> trials = np.random.default_rng(0).normal(size=(30, 12, 1)) + np.zeros(4)  # the same in every trial
    >>> kernel = noisy_kernel(trials)
    >>> bool(np.isclose(kernel.norm, noiseless_kernel(trials[:, :, 0]).norm))
    True
    """
    if trials.shape[1] < MIN_STIMULI:
        raise MurineError(f"there are {trials.shape[1]} stimuli; CKA* needs at least {MIN_STIMULI}.")
    n_trials = np.isfinite(trials).sum(axis=2)
    if n_trials.size and n_trials.min() < 2:
        raise MurineError(
            f"{int((n_trials.min(axis=1) < 2).sum())} of {len(trials)} units have a stimulus with fewer than two "
            "trials. CKA* measures noise from halves of the trials: every stimulus needs at least two."
        )
    means = np.nanmean(trials.astype(np.float64), axis=2)
    varies = _varies(means)
    if varies.sum() < 2:
        raise MurineError(f"{int(varies.sum())} of {len(trials)} units respond to stimuli in different ways; need 2.")
    means = means[varies]
    scale = means.std(axis=1, keepdims=True)
    norms = []
    keys = np.random.default_rng(seed).random((n_splits, 1, trials.shape[2]), np.float32)
    for first, second in half_means(trials[varies], np.broadcast_to(keys, (n_splits, *trials.shape[1:]))):
        one, two = ((half - half.mean(axis=1, keepdims=True)) / scale for half in (first, second))
        norms.append(_norm(_u_kernel(one), _u_kernel(two), one, two))
    norm = float(np.mean(norms))
    scatter = float(np.std(norms) / norm) if norm > 0 else float("nan")
    return PopulationKernel(_u_kernel(zscore(means)) / len(means), norm, scatter, len(means))


def noiseless_kernel(patterns: Patterns) -> PopulationKernel:
    """Return the kernel of units without noise, such as those of a network.

    Parameters
    ----------
    patterns
        (n_units, n_stimuli). Units that do not vary are left out. Units that are copies of each other, up to scale and
        offset, count once: a copy of a unit would be taken for another unit that agrees with it.

    Raises
    ------
    MurineError
        If there are fewer than four stimuli, fewer than two different units vary, or a value is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> patterns = np.random.default_rng(0).normal(size=(40, 20))
    >>> noiseless_kernel(np.concatenate([patterns, 3 * patterns + 1])).n_units
    40
    """
    if patterns.shape[1] < MIN_STIMULI:
        raise MurineError(f"there are {patterns.shape[1]} stimuli; CKA* needs at least {MIN_STIMULI}.")
    if not np.isfinite(patterns).all():
        raise MurineError("units with NaN or infinite values have no CKA*.")
    units = distinct_units(patterns)
    if len(units) < 2:
        raise MurineError(f"{len(units)} of {len(patterns)} units respond to stimuli in different ways; CKA* needs 2.")
    kernel = _u_kernel(units)
    return PopulationKernel(kernel / len(units), _norm(kernel, kernel, units, units), 0.0, len(units))


def distinct_units(patterns: Patterns) -> Float[np.ndarray, "n_distinct n_stimuli"]:
    """Return the standardised patterns of units that vary; of units equal up to scale and offset, the first.

    Examples
    --------
    >>> import numpy as np
    >>> distinct_units(np.array([[1.0, 2.0, 4.0], [0.0, -2.0, -6.0], [5.0, 5.0, 5.0]])).shape
    (1, 3)
    """
    units = zscore(patterns[_varies(patterns)].astype(np.float64))
    # Copies have the same projection on any direction, up to sign and rounding. Other units have not, on all of three.
    directions = np.random.default_rng(0).standard_normal((patterns.shape[1], 3))
    projections = np.abs(units @ directions)
    order = np.argsort(projections, axis=0, kind="stable")
    starts = np.diff(np.take_along_axis(projections, order, axis=0), axis=0, prepend=-np.inf) > _ROUNDING
    groups = np.empty_like(order)
    np.put_along_axis(groups, order, starts.cumsum(axis=0), axis=0)
    _, firsts = np.unique(groups @ (len(units) + 1) ** np.arange(3), return_index=True)
    return units[np.sort(firsts)]


def unbiased_cka(one: PopulationKernel, two: PopulationKernel) -> float:
    """Return CKA* of two populations that share neither units nor trials.

    It estimates the linear CKA of all units of both areas without noise. It is not clipped: an estimate can be above 1
    or below 0.

    Returns
    -------
    similarity
        NaN if one of the norms is not above 0: the populations have too few units or too much noise to be compared.

    Examples
    --------
    >>> import numpy as np
    >>> units = np.random.default_rng(0).normal(size=(8, 20)).T @ np.random.default_rng(1).normal(size=(8, 400))
    >>> round(unbiased_cka(noiseless_kernel(units.T[:200]), noiseless_kernel(units.T[200:])), 1)
    1.0
    """
    return float(unbiased_cka_matrix([one], [two])[0, 0])


def unbiased_cka_matrix(
    ones: Iterable[PopulationKernel], others: Iterable[PopulationKernel]
) -> Float[np.ndarray, "n_ones n_others"]:
    """Return CKA* of every one of some populations with every one of others; NaN where `unbiased_cka` has none.

    Examples
    --------
    >>> import numpy as np
    >>> kernels = [noiseless_kernel(np.random.default_rng(i).normal(size=(40, 20))) for i in range(3)]
    >>> unbiased_cka_matrix(kernels[:1], kernels).shape
    (1, 3)
    """
    ones, others = list(ones), list(others)
    left, right = (np.stack([p.kernel.ravel() for p in group]) for group in (ones, others))
    norms = [np.array([p.norm if p.is_defined else np.nan for p in group]) for group in (ones, others)]
    return (left @ right.T) / _n_products(ones[0].kernel.shape[0]) / np.sqrt(np.outer(*norms))


def u_product(one: Float[np.ndarray, "n n"], two: Float[np.ndarray, "n n"]) -> float:
    """Return the product of two U-centred kernels: the mean over ordered pairs of stimuli, n (n - 3) of them."""
    return float((one * two).sum() / _n_products(len(one)))


def _n_products(n_stimuli: int) -> float:
    return n_stimuli * (n_stimuli - 3)


def _varies(patterns: Patterns) -> Bool[np.ndarray, " n_units"]:
    """Tell units that differ between stimuli by more than rounding."""
    with np.errstate(invalid="ignore"):
        return np.ptp(patterns, axis=1) > _CONSTANT * np.abs(patterns).max(axis=1)


def _u_kernel(units: Patterns) -> Kernel:
    """Return the U-centred products of stimuli, summed over units."""
    kernel: Any = u_centre_kernels((units.T @ units)[None])[0]
    return kernel


def _norm(kernel: Kernel, other: Kernel, one: Patterns, two: Patterns) -> float:
    """Return the mean product of the kernels of two different units, one in the first half, one in the second."""
    n = len(one)
    return (u_product(kernel, other) - _self_products(one, two).sum()) / (n * (n - 1))


def _self_products(one: Patterns, two: Patterns) -> Float[np.ndarray, " n_units"]:
    """Return, for each unit, the U-centred product of its kernels in two halves of the trials, in closed form."""
    m = one.shape[1]
    shared = (one * two).sum(axis=1) ** 2 - (one**2 * two**2).sum(axis=1)
    sums = [half.sum(axis=1, keepdims=True) for half in (one, two)]
    rows = [half * total - half**2 for half, total in zip((one, two), sums, strict=True)]  # row sums, no diagonal
    totals = [row.sum(axis=1) for row in rows]
    between = totals[0] * totals[1] / ((m - 1) * (m - 2)) - 2 * (rows[0] * rows[1]).sum(axis=1) / (m - 2)
    return (shared + between) / _n_products(m)
