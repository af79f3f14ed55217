"""What a score costs, against the bare forward pass and against rsatoolbox.

Claims, each a ratio of CPU times on one thread, measured side by side in this run:

1. resnet18 at 224 px, 118 images: capture of all modules + kernels + RSA against 21 sites with 1,000 bootstraps takes
   at most 1.3 x the bare forward pass at its fastest batch size and memory format. The goal is not reached yet.
2. Peak memory of a process that captures resnet18 or vgg16 is below 2.5 GB. vgg16 is above it.
3. The Pearson RDM of 118 x 800,000 features is at least 15 x faster than rsatoolbox's.

Run: python benchmarks/score.py
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

ROUNDS = 3
N_STIMULI, SIZE, N_SITES, N_BOOTSTRAPS = 118, 224, 21, 1000
BATCH_SIZES = (8, 32)


def cpu_time(work: Callable[[], object], repeats: int = 1) -> float:
    """Least CPU seconds of a few runs, after one to warm up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def bare() -> dict[str, float]:
    """CPU seconds of the forward pass and nothing else, in both memory formats at two batch sizes."""
    import timm
    import torch

    network = timm.create_model("resnet18").eval()
    images = torch.rand(N_STIMULI, 3, SIZE, SIZE)
    found = {}
    for name, layout in (("default", torch.contiguous_format), ("channels last", torch.channels_last)):
        network.to(memory_format=layout)
        shown = images.contiguous(memory_format=layout)
        with torch.no_grad():
            for size in BATCH_SIZES:
                start = time.process_time()
                for batch in shown.split(size):
                    network(batch)
                found[f"{name}, batches of {size}"] = time.process_time() - start
    return found


def score() -> dict[str, float]:
    """Everything murine does for one network: capture, kernels, RSA, bootstrap (permutations apart)."""
    import numpy as np
    import timm
    import torch
    from threadpoolctl import threadpool_limits

    from murine.cortex.rdms import NeuralRDMs
    from murine.cortex.recording import Site
    from murine.networks.capture import capture
    from murine.networks.memory import freed_memory_kept
    from murine.scoring.layer_scores import score_layers
    from murine.scoring.settings import ScoreSettings
    from murine.scoring.site_benchmark import SiteBenchmark
    from murine.scoring.site_preparation import make_site_data

    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    ids = tuple(f"{i:03d}" for i in range(N_STIMULI))
    matrices = np.stack([1 - np.corrcoef(generator.standard_normal((N_STIMULI, 200))) for _ in range(N_SITES)])
    sites = tuple(Site.of({"area": f"site {i}"}) for i in range(N_SITES))
    reliability = np.full(N_SITES, 0.8)
    rdms = NeuralRDMs(matrices, sites, ids, reliability, reliability / 100)
    benchmark = SiteBenchmark(make_site_data(rdms), settings=ScoreSettings(N_BOOTSTRAPS, 0, 0))
    network = timm.create_model("resnet18")
    images = torch.rand(N_STIMULI, 3, SIZE, SIZE)
    layers = []

    def whole() -> None:
        layers[:] = capture(network, images)
        score_layers(layers, benchmark)

    with threadpool_limits(1), freed_memory_kept():
        whole()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # of scoring one network
        before = bare()
        start = time.process_time()
        whole()
        total = time.process_time() - start
        after = bare()
        comparison = cpu_time(lambda: score_layers(layers, benchmark), 2)
    fastest = {name: min(before[name], after[name]) for name in before}
    return {
        **fastest,
        "total": total,
        "of which comparison": comparison,
        "peak MB": peak,
        "outputs": float(len(layers)),
    }


def memory() -> dict[str, float]:
    """Peak memory of a process that captures vgg16, whose first layers are four times as large."""
    import timm
    import torch

    from murine.networks.capture import capture
    from murine.networks.memory import freed_memory_kept

    torch.set_num_threads(1)
    network, images = timm.create_model("vgg16"), torch.rand(N_STIMULI, 3, SIZE, SIZE)
    with freed_memory_kept():
        capture(network, images)
    return {"peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def rdm() -> dict[str, float]:
    """The RDM of 118 x 800,000 float32 features."""
    import numpy as np
    import rsatoolbox
    from threadpoolctl import threadpool_limits

    from murine.similarity.rdm import pearson_rdm
    from murine.similarity.rdm_vectors import upper_triangle

    features = np.random.default_rng(0).standard_normal((N_STIMULI, 800_000), dtype=np.float32)
    data = rsatoolbox.data.Dataset(features)
    results = []
    with threadpool_limits(1):
        ours = cpu_time(lambda: results.append(upper_triangle(pearson_rdm(features))), 3)
        theirs = cpu_time(
            lambda: results.append(rsatoolbox.rdm.calc_rdm(data, method="correlation").dissimilarities[0]), 1
        )
        exact = upper_triangle(1 - np.corrcoef(features))
    errors = {
        "error": float(np.abs(results[0] - exact).max()),
        "rsatoolbox error": float(np.abs(results[-1] - exact).max()),
    }
    return {"murine": ours, "rsatoolbox": theirs, **errors}


def in_fresh_process(part: str) -> dict[str, float]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, __file__, part], check=True, capture_output=True, text=True, env=environment)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    ratios: dict[str, list[float]] = {"default": [], "channels last": []}
    peaks = []
    for _ in range(ROUNDS):
        scored = in_fresh_process("score")
        for layout, found in ratios.items():
            name, fastest = min(((n, t) for n, t in scored.items() if n.startswith(layout)), key=lambda pair: pair[1])
            found.append(scored["total"] / fastest)
            print(f"bare forward pass, {name}: {fastest:.2f} s; score: {scored['total']:.2f} s", end=" ")
            print(f"({scored['of which comparison']:.2f} s of it RSA and bootstrap), ratio {found[-1]:.2f}")
        peaks.append(scored["peak MB"])
        print(f"{scored['outputs']:.0f} outputs, peak memory {peaks[-1]:.0f} MB", flush=True)
    speed_up = []
    for _ in range(ROUNDS):
        found_rdm = in_fresh_process("rdm")
        speed_up.append(found_rdm["rsatoolbox"] / found_rdm["murine"])
        print(
            f"RDM: murine {found_rdm['murine']:.3f} s (largest error {found_rdm['error']:.0e}), rsatoolbox "
            f"{found_rdm['rsatoolbox']:.2f} s ({found_rdm['rsatoolbox error']:.0e}), {speed_up[-1]:.1f} x faster",
            flush=True,
        )
    print(f"RDM, rsatoolbox / murine: {statistics.median(speed_up):.1f}")
    print(f"peak memory: resnet18 {max(peaks):.0f} MB, vgg16 {in_fresh_process('memory')['peak MB']:.0f} MB")
    print(f"score / fastest bare pass, default format: {statistics.median(ratios['default']):.2f}")
    print(f"score / fastest bare pass, channels last: {statistics.median(ratios['channels last']):.2f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps({"score": score, "memory": memory, "rdm": rdm}[sys.argv[1]]()))
    else:
        main()
