"""What the selection of reliable neurons costs, against reading their responses and against plain loops.

Claims, each measured side by side in this run:

1. Choosing, among 37,000 neurons x 119 conditions x 50 repetitions (880 MB), those that running does not modulate and
   whose split-half reliability (100 splits) is at least 0.75, takes at most 5 x the time of reading the responses from
   a file by `Recording.write`. A file without compression, in the cache of the system, is the harder case: it is read
   at the speed of a copy. Either opens in under 1 s.
2. Split-half reliability is at least 500 x faster than a loop over neurons and splits with scipy's pearsonr, and equal
   to it to 1e-12. A leaner loop, with numpy's corrcoef, is timed too.

Times are the least of several rounds: CPU times on one thread, wall times on more. Needs 5 GB of memory, and 2 GB of
disk in the folder of temporary files.

Run: python benchmarks/reliability.py [--threads 2] [--neurons 37000]
"""

from __future__ import annotations

import argparse
import functools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.stats import pearsonr
from threadpoolctl import threadpool_limits

from murine.cortex.recording import Recording
from murine.cortex.reliability import random_halves, split_half
from murine.cortex.selection import conwell2021

ROUNDS = 3
N_STIMULI, N_REPETITIONS, N_SPLITS = 119, 50, 100
N_LOOPED = 12  # neurons; the loop's time is in proportion


def least(clock: Callable[[], float], work: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        start = clock()
        work()
        times.append(clock() - start)
    return min(times)


def read_and_choose(clock: Callable[[], float], file: Path) -> tuple[float, float]:
    start = clock()
    recording = Recording.read(file)
    recording.responses  # noqa: B018 (reads them)
    read = clock()
    conwell2021(recording)
    return read - start, clock() - read


def population(n_neurons: int) -> Recording:
    """Neurons of all reliabilities; running modulates one in ten, and one in ten was not tested for it."""
    rng = np.random.default_rng(0)
    strength = rng.gamma(0.5, 0.3, (n_neurons, 1, 1)).astype(np.float32)
    responses = rng.standard_normal((n_neurons, N_STIMULI, N_REPETITIONS), dtype=np.float32)
    responses += strength * rng.standard_normal((n_neurons, N_STIMULI, 1), dtype=np.float32)
    p = rng.uniform(0, 0.5, n_neurons)
    neuroid = {"neuroid_id": np.arange(n_neurons).astype(str), "p_run_mod_ns": np.where(p > 0.45, np.nan, p)}
    return Recording.from_arrays(responses, neuroid, {"stimulus_id": np.arange(N_STIMULI).astype(str)})


def looped(responses: np.ndarray, correlate: Callable[[np.ndarray, np.ndarray], float]) -> np.ndarray:
    found = []
    for trials in responses.astype(np.float64):
        corrected = []
        for first in random_halves(N_REPETITIONS, N_SPLITS):
            r = correlate(trials[:, first].mean(axis=1), trials[:, ~first].mean(axis=1))
            corrected.append(2 * r / (1 + r))
        found.append(np.mean(corrected))
    return np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--neurons", type=int, default=37_000)
    given = parser.parse_args()
    clock = time.process_time if given.threads == 1 else time.perf_counter
    timed = functools.partial(least, clock)
    with threadpool_limits(given.threads), tempfile.TemporaryDirectory() as folder:
        recording = population(given.neurons)
        size = recording.responses.nbytes / 1e6
        print(f"{given.neurons} neurons x {N_STIMULI} x {N_REPETITIONS}, {size:.0f} MB, {given.threads} threads")
        files = {"compressed": Path(folder) / "compressed.nc", "not compressed": Path(folder) / "plain.nc"}
        recording.write(files["compressed"])
        recording.dataset.to_netcdf(files["not compressed"], engine="h5netcdf")
        ratios = {}
        for name, file in files.items():
            opening = timed(functools.partial(Recording.read, file))
            reading, choosing = zip(*(read_and_choose(clock, file) for _ in range(ROUNDS)), strict=True)
            ratios[name] = min(choosing) / min(reading)
            print(
                f"{name}: opened in {opening:.2f} s, read in {min(reading):.2f} s, chosen in {min(choosing):.2f} s",
                flush=True,
            )
        few = recording.responses[:N_LOOPED]
        ours = timed(lambda: split_half(recording.responses, N_SPLITS)) / given.neurons
        scipy_loop = timed(lambda: looped(few, lambda a, b: pearsonr(a, b).statistic)) / N_LOOPED
        numpy_loop = timed(lambda: looped(few, lambda a, b: np.corrcoef(a, b)[0, 1])) / N_LOOPED
        error = np.abs(looped(few, lambda a, b: pearsonr(a, b).statistic) - split_half(few, N_SPLITS)).max()
        holes = recording.responses[:1000].copy()
        holes[:, 3, 7] = np.nan
        missing = timed(lambda: split_half(holes, N_SPLITS)) / len(holes)
        print(f"a neuron: {1e6 * ours:.0f} us ({1e6 * missing:.0f} us if it misses a trial); the loop:", end=" ")
        print(f"{1e3 * scipy_loop:.1f} ms, leaner loop {1e3 * numpy_loop:.1f} ms; largest error {error:.0e}")
    for name, ratio in ratios.items():
        print(f"selection / reading, {name}: {ratio:.2f}")
    print(f"leaner loop / murine: {numpy_loop / ours:.0f}")
    print(f"loop / murine: {scipy_loop / ours:.0f}")


if __name__ == "__main__":
    main()
