"""What comparing 50 layers with 21 sites costs (118 stimuli), against other libraries.

Claims, each measured side by side in this run, CPU times on one thread, the least of several rounds:

1. Reweighted RSA (non-negative weights, 6 folds over stimuli) is at least 20 x faster than one scikit-learn fit for
   each site and fold, and predicts the same to 1e-10.
2. Kendall's tau-a is at least 4 x faster than rsatoolbox's, with and without ties, and equal to 1e-12.
3. 1,000 bootstrap draws of CKA, plain or debiased, for 60 layers x 21 sites take at most 2.5 x those of RSA by
   Pearson's r.

What 1,000 relabellings by tau-a and draws of Procrustes take is told, too.

Run: python benchmarks/similarity.py
"""

from __future__ import annotations

import functools
import time
import warnings
from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold
from threadpoolctl import threadpool_limits

from murine.similarity.kernel_similarity import kernel_metrics
from murine.similarity.rdm_vectors import upper_triangle
from murine.similarity.reweighted_rsa import fit_reweighted_rsa
from murine.similarity.rsa import comparisons
from murine.statistics.bootstrap import bootstrap_counts
from murine.statistics.permutation import permutations

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import rsatoolbox

ROUNDS = 5
N_STIMULI, N_LAYERS, N_SITES, N_FOLDS, N_DRAWS = 118, 50, 21, 6, 1000


def cpu_time(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    work()
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def features(n_sets: int, n_units: int, noise: float) -> list[np.ndarray]:
    """Sets of patterns that share what their stimuli are, each in its own way."""
    rng = np.random.default_rng([n_sets, n_units])
    latent = np.random.default_rng(0).standard_normal((N_STIMULI, 20))
    sets = []
    for _ in range(n_sets):
        linear, rectified = (latent @ rng.standard_normal((20, n_units)) for _ in range(2))
        sets.append(linear * rng.random() + np.maximum(rectified, 0) + noise * rng.standard_normal(linear.shape))
    return sets


def one_fit_each(layers: np.ndarray, sites: np.ndarray, folds: list[np.ndarray]) -> np.ndarray:
    """The protocol of Conwell et al. 2021 as they wrote it: scikit-learn for each fold and site."""
    rows, columns = np.triu_indices(N_STIMULI, 1)
    total, times = np.zeros(sites.shape), np.zeros(sites.shape[1])
    for test in folds:
        held_out = np.isin(rows, test) | np.isin(columns, test)
        times += held_out
        for s, site in enumerate(sites):
            model = LinearRegression(positive=True).fit(layers[:, ~held_out].T, site[~held_out])
            total[s, held_out] += model.predict(layers[:, held_out].T)
    return np.asarray(total / times)


def main() -> None:
    with threadpool_limits(1):
        layers = upper_triangle(np.stack([1 - np.corrcoef(x) for x in features(N_LAYERS, 300, 3)]))
        sites = upper_triangle(np.stack([1 - np.corrcoef(x) for x in features(N_SITES, 200, 5)]))
        splitter = KFold(N_FOLDS, shuffle=True, random_state=0)
        folds = [test for _, test in splitter.split(np.arange(N_STIMULI))]
        print(f"{N_LAYERS} layers, {N_SITES} sites, {N_STIMULI} stimuli, one thread")

        found = fit_reweighted_rsa(layers, sites, folds)
        error = np.abs(found.predictions - one_fit_each(layers, sites, folds)).max()
        theirs = cpu_time(lambda: one_fit_each(layers, sites, folds), 2)
        ours = cpu_time(lambda: fit_reweighted_rsa(layers, sites, folds), 5 * ROUNDS)
        reweighting = theirs / ours
        chosen = (found.weights > 0).sum(axis=2).mean()
        print(f"reweighted RSA, {N_FOLDS} folds: {1e3 * ours:.1f} ms, scikit-learn {1e3 * theirs:.0f} ms; {chosen:.0f}")
        print(f"weights above zero; largest error {error:.0e}, furthest from optimal {found.violations.max():.0e}")

        tau_a = comparisons["rsa-tau-a"]
        ratios = []
        for decimals in (None, 2):
            a, b = (x if decimals is None else x.round(decimals) for x in (layers, sites))
            both = [rsatoolbox.rdm.RDMs(x) for x in (a, b)]
            compare = functools.partial(rsatoolbox.rdm.compare, *both, method="tau-a")
            score = functools.partial(tau_a.score, a, b)
            error = np.abs(compare() - score()).max()
            theirs, ours = cpu_time(compare, 2), cpu_time(score)
            ratios.append(theirs / ours)
            print(f"tau-a{'' if decimals is None else ' with ties'}: {1e3 * ours:.0f} ms, rsatoolbox", end=" ")
            print(f"{1e3 * theirs:.0f} ms; largest error {error:.0e}", flush=True)
        relabellings = permutations(N_STIMULI, 100, 0)
        taken = cpu_time(lambda: tau_a.permute(layers[:1], sites, relabellings), 1) * 10
        counts = bootstrap_counts(N_STIMULI, N_DRAWS, 0)
        drawn = cpu_time(lambda: tau_a.resample(layers, sites, counts), 1)
        print(
            f"tau-a: 1,000 relabellings of a layer and {N_SITES} sites {taken:.1f} s; {N_DRAWS} draws of all", end=" "
        )
        print(f"{drawn:.1f} s")

        kernels = [np.stack([x @ x.T for x in features(*given)]) for given in ((60, 300, 3), (N_SITES, 200, 5))]
        vectors = [upper_triangle(k) for k in kernels]
        pearson = cpu_time(lambda: comparisons["rsa-pearson"].resample(vectors[0], vectors[1], counts))
        print(f"{N_DRAWS} draws of 60 layers x {N_SITES} sites: RSA by Pearson's r {pearson:.2f} s", end="")
        cka = {}
        for name in ("cka", "cka-debiased"):
            cka[name] = cpu_time(functools.partial(kernel_metrics[name].resample, *kernels, counts))
            print(f", {name} {cka[name]:.2f} s", end="")
        procrustes = kernel_metrics["procrustes"]
        print(f", procrustes {cpu_time(lambda: procrustes.resample(*kernels, counts), 1):.1f} s", end=" ")
        print(f"(its scores {cpu_time(lambda: procrustes.score(*kernels), 1):.1f} s)")
    print(f"draws, CKA / Pearson: {cka['cka'] / pearson:.2f}; debiased / Pearson: {cka['cka-debiased'] / pearson:.2f}")
    print(f"tau-a, rsatoolbox / murine: {ratios[0]:.1f}; with ties: {ratios[1]:.1f}")
    print(f"reweighted RSA, scikit-learn / murine: {reweighting:.1f}")


if __name__ == "__main__":
    main()
