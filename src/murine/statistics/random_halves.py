"""Random halves of the trials of each stimulus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from zlib import crc32

import numpy as np
from jaxtyping import Float, Float32, Int

Trials = Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"]
Means = Float[np.ndarray, "n_neuroids n_stimuli"]

#: Random numbers whose ranks order the trials of a stimulus; a different order for every split.
SplitKeys = Float32[np.ndarray, "n_splits n_stimuli n_repetitions"]

#: Number of splits whose means are computed at once.
BLOCK = 8


def split_keys(stimulus_ids: Sequence[str], n_repetitions: int, n_splits: int, seed: int) -> SplitKeys:
    """Draw the random numbers by which the trials of each stimulus are divided into halves.

    The numbers depend on the id of a stimulus, so its halves stay the same whatever other stimuli are present. All
    neurons share them, so noise that neurons share stays within one half. Each stimulus has its own order: two
    repetitions of n stimuli can be halved in 2^n ways, and slow changes over repetitions count as noise.

    Parameters
    ----------
    stimulus_ids
        Ids of the stimuli.
    n_repetitions, n_splits
        Repetitions of each stimulus, and random splits to draw.
    seed
        The same seed gives the same halves.

    Returns
    -------
    keys
        (n_splits, n_stimuli, n_repetitions) float32, for `half_means`.

    Examples
    --------
    >>> split_keys(["a", "b"], n_repetitions=4, n_splits=10, seed=0).shape
    (10, 2, 4)
    """
    shape = n_splits, n_repetitions
    return np.stack(
        [np.random.default_rng([seed, crc32(name.encode())]).random(shape, np.float32) for name in stimulus_ids], axis=1
    )


def count_trials(trials: Trials) -> Int[np.ndarray, "n_neuroids n_stimuli"]:
    """Count the valid trials of each neuron and stimulus.

    Parameters
    ----------
    trials
        (n_neuroids, n_stimuli, n_repetitions); a missing trial is NaN.

    Returns
    -------
    n
        (n_neuroids, n_stimuli).

    Examples
    --------
    >>> import numpy as np
    >>> count_trials(np.array([[[1.0, np.nan], [2.0, 3.0]]]))
    array([[1, 2]])
    """
    return np.isfinite(trials).sum(axis=2)


def half_means(trials: Trials, keys: SplitKeys) -> Iterator[tuple[Means, Means]]:
    """Yield the mean responses over two random halves of the trials of each stimulus, for every split.

    Of n valid trials the first half has n // 2 and the second half the others. A single trial is used for both halves.

    Parameters
    ----------
    trials
        (n_neuroids, n_stimuli, n_repetitions), any unit; a missing trial is NaN.
    keys
        (n_splits, n_stimuli, n_repetitions), from `split_keys`.

    Yields
    ------
    first, second
        (n_neuroids, n_stimuli) float64 each; NaN where a neuron has no trial of a stimulus.

    Examples
    --------
    >>> import numpy as np
    >>> trials = np.array([[[1.0, 3.0]]])  # one neuron, one stimulus, two repetitions
    >>> ((first, second),) = half_means(trials, split_keys(["a"], 2, 1, seed=0))
    >>> sorted([first.item(), second.item()])
    [1.0, 3.0]
    """
    valid = np.isfinite(trials)
    filled = np.where(valid, trials, 0.0).transpose(1, 0, 2).astype(np.float64)  # one matrix for each stimulus
    # Neurons with the same missing trials have the same halves, so they are computed together.
    packed = np.packbits(valid.reshape(len(trials), -1), axis=1)
    patterns, which = np.unique(packed, axis=0, return_inverse=True)
    groups = [np.flatnonzero(which.ravel() == k) for k in range(len(patterns))]
    for start in range(0, len(keys), BLOCK):
        block = keys[start : start + BLOCK]
        found = np.empty((2, len(block), *trials.shape[:2]))
        for members in groups:
            for half, weights in zip(found, _half_weights(block, valid[members[0]]), strict=True):
                means = filled[:, members] @ weights.transpose(1, 2, 0)
                half[:, members] = means.transpose(2, 1, 0)
        yield from zip(*found, strict=True)


def _half_weights(keys: SplitKeys, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weight of each trial in the mean of the first and of the second half."""
    rank = np.where(valid, keys, np.inf).argsort(axis=2).argsort(axis=2)
    n = valid.sum(axis=1)[:, None]
    first, second = rank < n // 2, (rank >= n // 2) & (rank < n)
    first = np.where(n == 1, second, first)
    with np.errstate(invalid="ignore", divide="ignore"):
        return first / first.sum(axis=2, keepdims=True), second / second.sum(axis=2, keepdims=True)
