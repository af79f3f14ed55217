"""Random halves of the trials of every stimulus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from zlib import crc32

import numpy as np
from jaxtyping import Float, Float32, Int

Trials = Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"]
Means = Float[np.ndarray, "n_neuroids n_stimuli"]

#: Random numbers that put the trials of a stimulus in order, another order for every split.
SplitKeys = Float32[np.ndarray, "n_splits n_stimuli n_repetitions"]

#: Means of so many splits are made at once.
BLOCK = 8


def split_keys(stimulus_ids: Sequence[str], n_repetitions: int, n_splits: int, seed: int) -> SplitKeys:
    """Draw the orders of trials by which each stimulus is halved.

    They follow from the id of a stimulus: its halves stay the same, whatever other stimuli there are. All neurons share
    them, so that noise that neurons share stays within a half. Each stimulus has orders of its own: two repetitions of
    n stimuli can be halved in 2^n ways, not in one, and slow changes over repetitions count as noise."""
    shape = n_splits, n_repetitions
    return np.stack(
        [np.random.default_rng([seed, crc32(name.encode())]).random(shape, np.float32) for name in stimulus_ids], axis=1
    )


def count_trials(trials: Trials) -> Int[np.ndarray, "n_neuroids n_stimuli"]:
    """Count the trials that are there."""
    return np.isfinite(trials).sum(axis=2)


def half_means(trials: Trials, keys: SplitKeys) -> Iterator[tuple[Means, Means]]:
    """Yield the mean responses over two random halves of the trials of each stimulus, for every split.

    The n // 2 first of the n valid trials and the others; a single trial stands in for both. NaN without trials."""
    valid = np.isfinite(trials)
    filled = np.where(valid, trials, 0.0).transpose(1, 0, 2).astype(np.float64)  # a matrix per stimulus
    # Neurons that lack the same trials share their halves.
    packed = np.packbits(valid.reshape(len(trials), -1), axis=1)
    patterns, which = np.unique(packed, axis=0, return_inverse=True)
    groups = [np.flatnonzero(which.ravel() == k) for k in range(len(patterns))]
    for start in range(0, len(keys), BLOCK):
        some = keys[start : start + BLOCK]
        found = np.empty((2, len(some), *trials.shape[:2]))
        for members in groups:
            for half, weights in zip(found, _weights(some, valid[members[0]]), strict=True):
                means = filled[:, members] @ weights.transpose(1, 2, 0)
                half[:, members] = means.transpose(2, 1, 0)
        yield from zip(*found, strict=True)


def _weights(keys: SplitKeys, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What each trial counts in the means over both halves."""
    rank = np.where(valid, keys, np.inf).argsort(axis=2).argsort(axis=2)
    n = valid.sum(axis=1)[:, None]
    first, second = rank < n // 2, (rank >= n // 2) & (rank < n)
    first = np.where(n == 1, second, first)
    with np.errstate(invalid="ignore", divide="ignore"):
        return first / first.sum(axis=2, keepdims=True), second / second.sum(axis=2, keepdims=True)
