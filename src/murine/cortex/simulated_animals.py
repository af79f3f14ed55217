"""Simulated animals with known similarity: each has latent variables that all animals share, and own latent variables.

They have no images. They show whether a similarity between animals, and a test that rests on it, is right.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from murine.errors import MurineError

Trials = Float[np.ndarray, "n_units n_stimuli n_repetitions"]


def simulate_animals(
    shared: Sequence[float],
    *,
    seed: int,
    n_units: tuple[int, int] | Sequence[int] = (24, 110),
    n_stimuli: int = 118,
    n_latents: int = 40,
    n_repetitions: int = 50,
    rate: float = 2.0,
    noisy: bool | Sequence[bool] = True,
) -> list[Trials]:
    """Record simulated animals.

    Each of ``n_latents`` latent variables of an animal is sqrt(rho) times one that all animals share plus sqrt(1 - rho)
    times one of its own, both standard normal over stimuli, with amplitude i^(-1/2). A unit is a random mixture of
    them, scaled to standard deviation 1, through softplus, times ``rate``; its trials are Poisson counts. The linear
    CKA of two animals is the product of their rho, but for the bend of the softplus.

    Parameters
    ----------
    shared
        rho of each animal, 0 to 1: the share of its variance that comes from the shared latent variables.
    seed
        Seed of all random numbers. The shared latent variables are drawn first.
    n_units
        The smallest and largest number of units, drawn for each animal; or a number for each, if there are more than
        two animals.
    n_stimuli, n_latents, n_repetitions
        Numbers of stimuli, latent variables and trials.
    rate
        Approximate number of spikes in a trial.
    noisy
        False returns the rates themselves, as one trial. One value for all animals, or one for each.

    Returns
    -------
    trials
        One array (n_units, n_stimuli, n_repetitions) for each animal.

    Raises
    ------
    MurineError
        If a share is not between 0 and 1, or numbers do not fit.

    Examples
    --------
    >>> [trials.shape[1:] for trials in simulate_animals([0.6, 0.6], seed=0, n_repetitions=4)]
    [(118, 4), (118, 4)]
    """
    if not all(0 <= rho <= 1 for rho in shared):
        raise MurineError(f"the shares are {list(shared)}; each must be between 0 and 1.")
    n = len(shared)
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((n_latents, n_stimuli))
    amplitudes = np.arange(1, n_latents + 1) ** -0.5
    if len(n_units) == 2:
        counts = rng.integers(n_units[0], n_units[1] + 1, n).tolist()
    elif len(n_units) == n:
        counts = list(n_units)
    else:
        raise MurineError(f"there are {len(n_units)} numbers of units for {n} animals.")
    noise = [noisy] * n if isinstance(noisy, bool) else list(noisy)
    return [
        _record(rng, common, rho, amplitudes, count, n_repetitions if with_noise else 0, rate)
        for rho, count, with_noise in zip(shared, counts, noise, strict=True)
    ]


def _record(
    rng: np.random.Generator,
    common: Float[np.ndarray, "n_latents n_stimuli"],
    rho: float,
    amplitudes: Float[np.ndarray, " n_latents"],
    n_units: int,
    n_repetitions: int,
    rate: float,
) -> Trials:
    """Return the trials of one animal; its rates, as one trial, if there are no repetitions."""
    latents = np.sqrt(rho) * common + np.sqrt(1 - rho) * rng.standard_normal(common.shape)
    weights = rng.standard_normal((n_units, len(amplitudes))) * amplitudes
    drive = (weights / np.linalg.norm(weights, axis=1, keepdims=True)) @ latents
    rates = rate * np.logaddexp(0, drive)
    if not n_repetitions:
        return rates[:, :, None]
    return rng.poisson(rates[:, :, None], (*rates.shape, n_repetitions)).astype(np.float64)
