"""What matching single neurons with single units costs, against plain loops and against holding all correlations.

Claims, measured side by side in this run on the same inputs, CPU times on one thread:

1. Finding the best of 100,000 units for each of 6,600 neurons (118 images) takes at most twice the matrix product that
   it is made of, and less than 100 MB, whatever the number of units.
2. The same units come out as from a loop over neurons in NumPy, at least 3 x faster, and at least 10,000 x faster than
   by SciPy's pearsonr for every pair.
3. One unit for each of 2,000 neurons among 20,000, of 50 candidates each, is found at least 5 x faster than by SciPy's
   dense assignment, with the same sum.
4. The RMSE of all pairs of 6,600 and 512 maps is at least 10 x faster than by plain differences.

Run: python benchmarks/units.py
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import pearsonr
from threadpoolctl import threadpool_limits

from murine.units.assignment import assign_units
from murine.units.maps import nearest_units, normalise_maps, pairwise_rmse
from murine.units.matching import BLOCK, match_units

N_STIMULI, N_NEUROIDS, N_UNITS = 118, 6600, 100_000
N_LOOPED, N_PAIRS, ROUNDS = 40, 20_000, 3  # neurons of the loop, pairs of pearsonr; their time is in proportion


def cpu_time(work: Callable[[], object], repeats: int = 2) -> float:
    """Least CPU seconds of a few runs."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def looped(features: np.ndarray, train: np.ndarray) -> np.ndarray:
    """As one would write it: correlate a neuron with all units, take the best."""
    units = features - features.mean(axis=0)
    units /= np.sqrt((units**2).sum(axis=0))
    best = []
    for response in train:
        relative = (response - response.mean()).astype(np.float32)
        best.append(np.argmax(relative @ units / np.sqrt((relative**2).sum())))
    return np.array(best)


def matching() -> None:
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(N_STIMULI, 60)).astype(np.float32)
    features = latent @ rng.normal(size=(60, N_UNITS)).astype(np.float32)
    features += rng.standard_normal(features.shape, dtype=np.float32)
    signal = rng.normal(size=(N_NEUROIDS, 60)) @ latent.T
    train, test = (signal + 5 * rng.normal(size=signal.shape) for _ in range(2))
    match_units(features[:, :BLOCK], train, test)  # to warm up
    before = peak()
    few = cpu_time(lambda: match_units(features[:, : N_UNITS // 10], train, test), 1)
    after_few = peak()
    found = [match_units(features, train, test)]
    after_all = peak()
    z, x = torch.from_numpy(train.astype(np.float32)), torch.from_numpy(features)
    space = torch.empty(N_NEUROIDS, BLOCK)

    def product() -> None:
        for i in range(0, N_UNITS - BLOCK + 1, BLOCK):
            torch.matmul(z, x[:, i : i + BLOCK], out=space)

    rounds = [(cpu_time(lambda: match_units(features, train, test)), cpu_time(product)) for _ in range(ROUNDS)]
    ours, alone = (min(times) for times in zip(*rounds, strict=True))
    units: list[np.ndarray] = []
    prepared = cpu_time(lambda: looped(features, train[:0]))
    loop = cpu_time(lambda: units.append(looped(features, train[:N_LOOPED])))
    loop = prepared + (loop - prepared) * N_NEUROIDS / N_LOOPED
    pairs = cpu_time(lambda: [pearsonr(train[0], features[:, i]) for i in range(N_PAIRS)], 1)
    pairs *= N_NEUROIDS * N_UNITS / N_PAIRS
    same = (units[0] == found[0].unit[:N_LOOPED]).all()
    print(f"best unit of {N_NEUROIDS} neurons among {N_UNITS}: {ours:.2f} s; the product alone {alone:.2f} s;")
    print(f"  loop over neurons {loop:.0f} s, pearsonr of all pairs {pairs / 3600:.0f} h (same units: {same});")
    print(
        f"  a tenth of the units {few:.2f} s; memory + {after_few - before:.0f} MB, then + {after_all - after_few:.0f}"
    )
    print(f"matching / its matrix product: {statistics.median(a / b for a, b in rounds):.2f}")
    print(f"pearsonr / murine: {pairs / ours:.0f}")
    print(f"loop over neurons / murine: {loop / ours:.1f}", flush=True)


def assignment() -> None:
    rng = np.random.default_rng(1)
    latent = rng.normal(size=(N_STIMULI, 60))
    features = latent @ rng.normal(size=(60, 20_000)) + rng.normal(size=(N_STIMULI, 20_000))
    responses = rng.normal(size=(2000, 60)) @ latent.T + 5 * rng.normal(size=(2000, N_STIMULI))
    found = match_units(features, responses, responses, n_candidates=50)
    given = []
    ours = cpu_time(lambda: given.append(assign_units(found.candidates, found.candidate_r, found.n_units)))
    standardised = [x - x.mean(axis=1, keepdims=True) for x in (responses, features.T)]
    standardised = [x / np.sqrt((x**2).sum(axis=1, keepdims=True)) for x in standardised]
    r = standardised[0] @ standardised[1].T
    pairs = []
    dense = cpu_time(lambda: pairs.append(linear_sum_assignment(r, maximize=True)), 1)
    error = abs(r[pairs[0]].sum() - given[0].r.sum())
    print(f"assignment of 2,000 neurons to 20,000 units: {ours:.2f} s (gap {given[0].gap:.1e}); dense {dense:.2f} s;")
    print(f"  sums differ by {error:.0e}; dense / murine: {dense / ours:.1f}", flush=True)


def maps() -> None:
    rng = np.random.default_rng(2)
    neurons, units = normalise_maps(rng.random((N_NEUROIDS, 121))), normalise_maps(rng.random((512, 121)))
    found = []
    ours = cpu_time(lambda: found.append(pairwise_rmse(neurons, units)))
    with_best = cpu_time(lambda: nearest_units(neurons, units))
    plain: list[np.ndarray] = []
    few = neurons[:200]
    theirs = cpu_time(lambda: plain.append(np.sqrt(((few[:, None] - units) ** 2).mean(axis=2))), 1)
    theirs *= N_NEUROIDS / len(few)
    error = np.abs(plain[0] - found[0][:200]).max()
    print(f"RMSE of {N_NEUROIDS} x 512 maps: {1e3 * ours:.0f} ms, with best and mean {1e3 * with_best:.0f} ms, plain")
    print(f"  differences {theirs:.1f} s (largest error {error:.0e}); plain / murine: {theirs / ours:.0f}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with threadpool_limits(1):
        matching()
        assignment()
        maps()
