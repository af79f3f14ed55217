"""What predicting 6,600 neurons costs, against the ways it is done elsewhere.

Claims, each a ratio of CPU times on one thread, measured side by side in this run, on the same inputs:

1. Exact kernels of 118 x 800,000 features are at least 30 x faster than the sparse random projection they replace.
2. PLS in 5 folds (10 and 25 components) is at least 10 x faster than scikit-learn's PLSRegression run to the same
   answer.
3. Leave-one-out ridge of all 60 layers of a resnet18, and a bootstrap of its scores, take less than a quarter of the
   bare forward pass (at its fastest batch size).
4. Leave-one-out ridge with r per neuron, 118 x 4,096 features, is at least 200 x faster than RidgeCV + pearsonr.

Run: python benchmarks/encoding.py
"""

from __future__ import annotations

import functools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

ROUNDS = 3
N_STIMULI, N_NEUROIDS, N_SITES, N_LAYERS = 118, 6600, 21, 60


def cpu_time(work: Callable[[], object], repeats: int = 1, warm: bool = True) -> float:
    """Least CPU seconds of a few runs, after one to warm up."""
    if warm:
        work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def inputs(n_units: int, seed: int = 0):  # type: ignore[no-untyped-def]
    """Features of falling variance, mixed over units, and responses (n_neuroids, n_stimuli) that they half explain."""
    import numpy as np

    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(N_STIMULI, 200)) / np.arange(1, 201) ** 0.5
    features = latent @ rng.normal(size=(200, n_units))
    features += 0.1 * rng.normal(size=features.shape)
    responses = (latent / latent.std()) @ rng.normal(size=(200, N_NEUROIDS)) / 200**0.5
    responses += rng.normal(size=responses.shape)
    return features, np.ascontiguousarray(responses.T)


def ridge() -> dict[str, float]:
    import numpy as np
    from scipy.stats import pearsonr
    from sklearn.linear_model import RidgeCV
    from sklearn.preprocessing import scale

    from murine.encoding.ridge import ridge_correlations
    from murine.networks.layer_kernel import LayerKernel

    features, responses = inputs(4096)
    features = scale(features)
    found = {}

    def ours() -> None:
        gram = LayerKernel.of(features).gram
        found["ours"] = ridge_correlations(gram[None], responses, 1.0, scale="none")[0]

    targets = np.ascontiguousarray(responses.T)

    def theirs() -> None:
        model = RidgeCV([1.0], scoring="explained_variance", store_cv_results=True).fit(features, targets)
        predictions = model.cv_results_[:, :, 0]
        found["theirs"] = np.array([pearsonr(predictions[:, j], targets[:, j]).statistic for j in range(N_NEUROIDS)])

    times = {"murine": cpu_time(ours, 15), "peer": cpu_time(theirs, 1, warm=False)}
    return {**times, "largest difference": float(np.abs(found["ours"] - found["theirs"]).max())}


def pls() -> dict[str, float]:
    import numpy as np
    from sklearn.cross_decomposition import PLSRegression

    from murine.encoding.pls import pls_cv
    from murine.statistics.folds import kfold

    features, responses = inputs(4096)
    parts = kfold(N_STIMULI, 5, 0)
    gram = features @ features.T
    found = {}
    result = {}
    for n_components in (10, 25):

        def ours(count: int) -> None:
            found["ours"] = pls_cv(gram, responses, parts, (count,), scale=False)[0]

        def theirs(count: int) -> None:
            predictions = np.empty_like(responses)
            for test in parts:
                train = np.setdiff1d(np.arange(N_STIMULI), test)
                model = PLSRegression(count, scale=False, tol=1e-13, max_iter=10_000)
                model.fit(features[train], responses[:, train].T)
                predictions[:, test] = model.predict(features[test]).T
            found["theirs"] = predictions

        result[f"murine {n_components}"] = cpu_time(functools.partial(ours, n_components), 3)
        result[f"peer {n_components}"] = cpu_time(functools.partial(theirs, n_components), 1, warm=False)
        result[f"largest difference {n_components}"] = float(np.abs(found["ours"] - found["theirs"]).max())
    return result


def projection() -> dict[str, float]:
    import numpy as np
    from sklearn.random_projection import SparseRandomProjection

    from murine.networks.layer_kernel import LayerKernel

    features = np.random.default_rng(0).standard_normal((N_STIMULI, 800_000), dtype=np.float32)
    ours = cpu_time(lambda: LayerKernel.of(features), 3)
    theirs = cpu_time(lambda: SparseRandomProjection(4096, random_state=0).fit_transform(features), 1, warm=False)
    return {"murine": ours, "peer": theirs}


def layers() -> dict[str, float]:
    import numpy as np

    from murine.encoding.jackknife import resample_site_scores
    from murine.encoding.pls import pls_correlations
    from murine.encoding.prediction_scores import correlations
    from murine.encoding.ridge import ridge_correlations, ridge_loo, ridge_loo_operators
    from murine.encoding.ridge_spectrum import Spectrum
    from murine.statistics.bootstrap import bootstrap_counts
    from murine.statistics.folds import kfold

    responses = inputs(10)[1]
    grams = np.stack([f @ f.T for f in (inputs(500 + 50 * k, k)[0] for k in range(N_LAYERS))])
    counts = bootstrap_counts(N_STIMULI, 1000, 0)
    groups = np.array_split(np.arange(N_NEUROIDS), N_SITES)

    def first_order(kernels: np.ndarray) -> None:
        resample_site_scores(ridge_loo_operators(kernels), responses, counts, groups)

    exact = ridge_correlations(grams[:2], responses)
    plain = np.stack([correlations(ridge_loo(gram, responses), responses) for gram in grams[:2]])
    return {
        "ridge": cpu_time(lambda: ridge_correlations(grams, responses), 5),
        "of which decompositions": cpu_time(lambda: [Spectrum.of_kernel(gram) for gram in grams], 5),
        "bootstrap to first order": cpu_time(lambda: first_order(grams), 3),
        "PLS, 10 components, 6 folds": cpu_time(
            lambda: pls_correlations(grams, responses, kfold(N_STIMULI, 6, 0), (10,)), 2
        ),
        "float32 error of r": float(np.abs(exact - plain).max()),
    }


def forward() -> dict[str, float]:
    """The bare forward pass of resnet18, in both memory formats."""
    import timm
    import torch

    torch.set_num_threads(1)
    network = timm.create_model("resnet18").eval()
    images = torch.rand(N_STIMULI, 3, 224, 224)
    found = {}
    for name, layout in (("default", torch.contiguous_format), ("channels last", torch.channels_last)):
        network.to(memory_format=layout)
        shown = images.contiguous(memory_format=layout)
        with torch.no_grad():
            for size in (8, 16, 32):
                passes = functools.partial(lambda *batches: [network(batch) for batch in batches], *shown.split(size))
                found[f"{name}, batches of {size}"] = cpu_time(passes, 1)
    return found


def in_fresh_process(part: str) -> dict[str, float]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, __file__, part], check=True, stdout=subprocess.PIPE, text=True, env=environment
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    ratios: dict[str, list[float]] = {
        "exact kernel, sparse projection / murine": [],
        "PLS 25 components, scikit-learn / murine": [],
        "PLS 10 components, scikit-learn / murine": [],
        "ridge and bootstrap of 60 layers / bare forward pass": [],
        "ridge, RidgeCV + pearsonr / murine": [],
    }
    for _ in range(ROUNDS):
        found = {part: in_fresh_process(part) for part in ("projection", "pls", "forward", "layers", "ridge")}
        for part, numbers in found.items():
            print(f"{part}: " + ", ".join(f"{name} {value:.3g}" for name, value in numbers.items()), flush=True)
        several = found["layers"]["ridge"] + found["layers"]["bootstrap to first order"]
        for name, ratio in zip(
            ratios,
            (
                found["projection"]["peer"] / found["projection"]["murine"],
                found["pls"]["peer 25"] / found["pls"]["murine 25"],
                found["pls"]["peer 10"] / found["pls"]["murine 10"],
                several / min(found["forward"].values()),
                found["ridge"]["peer"] / found["ridge"]["murine"],
            ),
            strict=True,
        ):
            ratios[name].append(ratio)
    for name, values in ratios.items():
        print(f"{name}: {statistics.median(values):.3g}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        parts = {"ridge": ridge, "pls": pls, "projection": projection, "layers": layers, "forward": forward}
        print(json.dumps(parts[sys.argv[1]]()))
    else:
        main()
