"""What scoring one network costs as a whole: against the published way, metric by metric, and in memory.

118 images of 224 px, resnet18 with random weights (60 modules with outputs of their own), 6,600 neurons in 21 sites.
Claims, each a ratio of CPU times on one thread, measured side by side in this run:

1. Features, RSA, reweighted RSA and ridge regression are at least 40 x faster than the published way (Conwell et al.
   2021, as DeepMouseTrap does it with scikit-learn and SciPy), with the same scores but for its random projection.
2. Scores by all metrics take at most half of the bare forward pass at its fastest batch size. What each takes is told,
   and what it takes with all that `murine score` adds by default: 1,000 bootstraps, 1,000 permutations, layers chosen
   on other stimuli.
3. Peak memory of a process that scores one network by three metrics is below 2.5 GB, for resnet18 and for vgg16.

The published way takes seven minutes. By default its costs are taken from one layer in five: what it costs to make the
features of all layers is measured as it is, what it does with a layer is scaled up by units for projections and
correlations, and by layers for regressions. `--whole` runs all of it.

Run: python benchmarks/pipeline.py [--whole] [--rounds 3] [--parts pipeline,metrics,intervals,memory]
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

N_STIMULI, N_NEUROIDS, N_SITES, N_FOLDS, N_REPETITIONS, SIZE = 118, 6600, 21, 6, 50, 224
EVERY = 5  # of how many layers the published way sees one
BATCH_SIZES = (4, 8, 16, 32)


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


def network(name: str = "resnet18"):  # type: ignore[no-untyped-def]
    """Random weights; of residual branches, too, which timm would start at zero."""
    import timm
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    options = {"zero_init_last": False} if name.startswith("resnet") else {}
    return timm.create_model(name, **options).eval()


def images():  # type: ignore[no-untyped-def]
    import torch

    from murine.scenes import synthetic_scenes

    grey = torch.from_numpy(synthetic_scenes(N_STIMULI, SIZE).images)
    return ((grey.float() / 255 - 0.45) / 0.225)[:, None].repeat(1, 3, 1, 1)


def recording(kernels, n_repetitions: int):  # type: ignore[no-untyped-def]
    """Responses that a site's neurons, in part, share with one of the layers; each trial with as much noise again."""
    import numpy as np

    from murine.cortex.recording import Recording
    from murine.encoding.kernels import centre_layer_grams

    rng = np.random.default_rng(0)
    grams = centre_layer_grams(kernels)
    responses = np.empty((N_NEUROIDS, N_STIMULI, n_repetitions), np.float32)
    groups = np.array_split(np.arange(N_NEUROIDS), N_SITES)
    for s, members in enumerate(groups):
        values, vectors = np.linalg.eigh(grams[s * len(grams) // N_SITES])
        patterns = (vectors * np.maximum(values, 0) ** 0.25) @ rng.standard_normal((N_STIMULI, len(members)))
        noise = rng.standard_normal((len(members), N_STIMULI, n_repetitions), dtype=np.float32)
        responses[members] = (patterns / patterns.std(axis=0)).T[:, :, None] + 2 * noise
    areas = np.repeat([f"site {s:02d}" for s in range(N_SITES)], [len(members) for members in groups])
    return Recording.from_arrays(
        responses,
        {"neuroid_id": np.arange(N_NEUROIDS).astype(str), "area": areas},
        {"stimulus_id": np.array([f"{i:03d}" for i in range(N_STIMULI)])},
    )


def captured(module, shown):  # type: ignore[no-untyped-def]
    """Layers with outputs of their own."""
    from murine.networks.capture import capture

    return [layer for layer in capture(module, shown) if not (layer.same_as or layer.flag)]


def bare(folder: Path) -> dict[str, float]:
    """The forward pass and nothing else, at the fastest batch size and memory format."""
    import torch

    module, shown = network(), images()
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        module.to(memory_format=layout)
        inputs = shown.contiguous(memory_format=layout)
        with torch.no_grad():
            for size in BATCH_SIZES:
                passes = functools.partial(lambda *batches: [module(batch) for batch in batches], *inputs.split(size))
                found.append(cpu_time(passes, 2))
    return {"forward": min(found)}


def murine(folder: Path) -> dict[str, float]:
    """From images to scores, given the responses; what it scored is left in the folder for the published way."""
    import numpy as np

    from murine.networks.memory import freed_memory_kept
    from murine.scoring.metric import metrics
    from murine.scoring.site_preparation import make_site_data

    module, shown = network(), images()
    names = ("rsa-pearson", "rsa-reweighted", "ridge-conwell2021")
    with freed_memory_kept():
        kernels = [layer.kernel for layer in captured(module, shown)]
        site_data = make_site_data(recording(kernels, 2), normalise="none", n_splits=1)
        sites = {name: metrics[name].of_sites(site_data) for name in names}
        times = dict.fromkeys(("total", "features", *names), 0.0)
        scores = {}

        def whole() -> None:
            start = last = time.process_time()
            found = [layer.kernel for layer in captured(module, shown)]
            for name in ("features", *names):
                if name != "features":
                    stack, _ = metrics[name].prepare(found, site_data)
                    scores[name] = metrics[name].score(stack, sites[name])
                now = time.process_time()
                times[name], last = now - last, now
            times["total"] = now - start

        whole()
        slowest = dict(times)
        whole()
    if times["total"] > slowest["total"]:
        times = slowest
    np.savez(folder / "scored.npz", responses=site_data.population.means, rdms=site_data.rdms, **scores)
    return times


def published(folder: Path, whole: bool) -> dict[str, float]:
    """Features of all layers at once, each projected and regressed by itself, correlations in loops."""
    import numpy as np
    import torch
    from scipy.stats import pearsonr
    from sklearn.linear_model import LinearRegression, RidgeCV
    from sklearn.model_selection import KFold
    from sklearn.preprocessing import scale
    from sklearn.random_projection import SparseRandomProjection, johnson_lindenstrauss_min_dim

    n_projected = int(johnson_lindenstrauss_min_dim(N_STIMULI + 1, eps=0.1))  # 4096
    module, shown = network(), images()
    given = np.load(folder / "scored.npz")
    responses = np.ascontiguousarray(given["responses"].T)
    pairs = np.triu_indices(N_STIMULI, 1)
    sites = given["rdms"][:, *pairs]
    times: dict[str, float] = {}
    last = time.process_time()

    def clock(name: str) -> None:
        nonlocal last
        now = time.process_time()
        times[name] = times.get(name, 0.0) + now - last
        last = now

    features: list[np.ndarray] = []

    def keep(_: object, __: object, output: torch.Tensor) -> None:
        flat = output.detach().flatten(1).numpy().copy()
        if not any(flat.shape == other.shape and np.array_equal(flat, other) for other in features):
            features.append(flat)

    hooks = [part.register_forward_hook(keep) for part in module.modules() if not list(part.children())]
    with torch.no_grad():
        module(shown)
    for hook in hooks:
        hook.remove()
    clock("features")
    sizes = np.array([x.shape[1] for x in features])
    chosen = np.arange(len(features)) if whole else np.arange(EVERY // 2, len(features), EVERY)
    rdms, ridge = [], []
    for i in chosen:
        last = time.process_time()
        rdms.append((1 - np.corrcoef(features[i]))[pairs])
        clock("RDMs")
        x = features[i]
        if sizes[i] > n_projected:
            x = SparseRandomProjection(n_projected, random_state=0).fit_transform(x)
        clock("projections")
        model = RidgeCV([1.0], scoring="explained_variance", store_cv_results=True).fit(scale(x), responses)
        predictions = model.cv_results_[:, :, 0]
        ridge.append([pearsonr(predictions[:, j], responses[:, j]).statistic for j in range(N_NEUROIDS)])
        clock("ridge")
    # What follows needs all RDMs. Those that were not made are made apart.
    made = dict(zip(chosen.tolist(), rdms, strict=True))
    layers = np.stack([made[i] if i in made else (1 - np.corrcoef(x))[pairs] for i, x in enumerate(features)])
    last = time.process_time()
    rsa = np.array([[pearsonr(layer, site).statistic for site in sites] for layer in layers])
    clock("RSA")
    rows, columns = pairs
    total, counted = np.zeros(sites.shape), np.zeros(len(rows))
    for _, test in KFold(N_FOLDS, shuffle=True, random_state=0).split(np.arange(N_STIMULI)):
        held_out = np.isin(rows, test) | np.isin(columns, test)
        counted += held_out
        for s, site in enumerate(sites):
            fit = LinearRegression(positive=True).fit(layers[:, ~held_out].T, site[~held_out])
            total[s, held_out] += fit.predict(layers[:, held_out].T)
    mixed = np.array([pearsonr(one, other).statistic for one, other in zip(total / counted, sites, strict=True)])
    clock("reweighted RSA")
    if not whole:
        large = sizes > n_projected
        times["RDMs"] *= sizes.sum() / sizes[chosen].sum()
        times["projections"] *= (sizes * large).sum() / (sizes * large)[chosen].sum()
        times["ridge"] *= len(sizes) / len(chosen)
    groups = np.array_split(np.arange(N_NEUROIDS), N_SITES)
    regressed = np.array([[np.mean(np.asarray(r)[g]) for g in groups] for r in ridge])
    return {
        **times,
        "total": sum(times.values()),
        "layers": float(len(features)),
        "layers projected and regressed": float(len(chosen)),
        "largest difference, RSA": float(np.abs(rsa - given["rsa-pearson"]).max()),
        "largest difference, reweighted RSA": float(np.abs(mixed - given["rsa-reweighted"][0]).max()),
        "largest difference, ridge of a site": float(np.abs(regressed - given["ridge-conwell2021"][chosen]).max()),
    }


def scores(folder: Path) -> dict[str, float]:
    """What every metric takes from kernels to scores."""
    from murine.scoring.metric import metrics
    from murine.scoring.site_preparation import make_site_data

    kernels = [layer.kernel for layer in captured(network(), images())]
    site_data = make_site_data(recording(kernels, 2), n_splits=1)
    found = {}
    for name in metrics:
        metric = metrics[name]
        sites = metric.of_sites(site_data)

        def work(metric: Any, sites: Any) -> None:
            metric.score(metric.prepare(kernels, site_data)[0], sites)

        metric.score(metric.prepare(kernels[:2], site_data)[0], sites)  # compiles
        found[name] = cpu_time(functools.partial(work, metric, sites), 2, warm=False)
    return found


def intervals(folder: Path) -> dict[str, float]:
    """What `murine score` does for a network, metric by metric; what all networks share is made before."""
    from murine.scoring.layer_scores import score_layers
    from murine.scoring.metric import metrics
    from murine.scoring.settings import ScoreSettings
    from murine.scoring.site_benchmark import SiteBenchmark
    from murine.scoring.site_preparation import make_site_data

    layers = captured(network(), images())
    site_data = make_site_data(recording([layer.kernel for layer in layers], N_REPETITIONS))
    found = {}
    for name in metrics:
        start = time.process_time()
        benchmark = SiteBenchmark(site_data, name, settings=ScoreSettings(1000, 1000, 0))
        found[f"{name}, shared"] = time.process_time() - start
        score_layers(layers[:2], SiteBenchmark(site_data, name, settings=ScoreSettings(20, 5, 0)))  # compiles
        found[name] = cpu_time(functools.partial(score_layers, layers, benchmark), warm=False)
        print(f"{name} {found[name]:.1f} s", file=sys.stderr, flush=True)
    return found


def memory(folder: Path, name: str, batch_size: int | None) -> dict[str, float]:
    """The most that a process has held that captures a network and scores it by three metrics."""
    import torch

    from murine.networks.capture import capture
    from murine.networks.layer_kernel import LayerKernel
    from murine.networks.memory import freed_memory_kept, release_freed_memory
    from murine.scoring.layer_scores import score_layers
    from murine.scoring.settings import ScoreSettings
    from murine.scoring.site_benchmark import SiteBenchmark
    from murine.scoring.site_preparation import make_site_data

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    shown = images()
    kernel = LayerKernel.of(shown.flatten(1).numpy())
    site_data = make_site_data(recording([kernel], N_REPETITIONS))
    names = ("rsa-pearson", "rsa-reweighted", "ridge")
    benchmarks = [SiteBenchmark(site_data, metric, settings=ScoreSettings(1000, 1000, 0)) for metric in names]
    before = peak()
    module = network(name)
    start = time.process_time()
    with torch.no_grad(), freed_memory_kept():
        layers = capture(module, shown, batch_size=batch_size)
        release_freed_memory()
        seconds = time.process_time() - start
        after = peak()
        for benchmark in benchmarks:
            score_layers(layers, benchmark)
    return {"data": before, "capture": after, "peak": peak(), "seconds of capture": seconds}


def in_fresh_process(part: str, folder: str, *more: str) -> dict[str, float]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, __file__, "--part", part, folder, *more],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def told(numbers: dict[str, float], unit: str = " s") -> str:
    return ", ".join(f"{name} {value:.3g}{unit}" for name, value in numbers.items())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--whole", action="store_true", help="the published way with all layers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", default="pipeline,metrics,intervals,memory")
    given = parser.parse_args()
    parts = given.parts.split(",")
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        if "pipeline" in parts:
            ratios = []
            for _ in range(1 if given.whole else given.rounds):
                ours = in_fresh_process("murine", folder)
                theirs = in_fresh_process("published", folder, *(["whole"] if given.whole else []))
                differences = {name: theirs.pop(name) for name in list(theirs) if "difference" in name}
                n_layers, seen = (int(theirs.pop(name)) for name in ("layers", "layers projected and regressed"))
                print(f"murine: {told(ours)}")
                how = "all layers" if seen == n_layers else f"scaled up from {seen} of {n_layers} layers"
                print(f"published way ({how}): {told(theirs)}")
                print(told(differences, ""), flush=True)
                ratios.append(theirs["total"] / ours["total"])
            lines.append(f"whole pipeline, published way ({how}) / murine: {statistics.median(ratios):.1f}")
        if "metrics" in parts or "intervals" in parts:
            shares: list[dict[str, float]] = []
            for _ in range(given.rounds if "metrics" in parts else 1):
                forward = in_fresh_process("bare", folder)["forward"]
                print(f"bare forward pass: {forward:.2f} s", flush=True)
                if "metrics" in parts:
                    found = in_fresh_process("scores", folder)
                    shares.append({name: seconds / forward for name, seconds in found.items()})
                    print(f"scores: {told(found)}", flush=True)
            middle = {name: statistics.median(share[name] for share in shares) for name in (shares or [{}])[0]}
            full = in_fresh_process("intervals", folder) if "intervals" in parts else {}
            print("\n| metric | scores, passes | with intervals, p and nested choice, passes | shared by networks, s |")
            print("|---|---|---|---|")
            for name in middle or [name for name in full if ", " not in name]:
                cells = [f"{middle[name]:.3f}" if middle else "", "", ""]
                if full:
                    cells[1:] = f"{full[name] / forward:.2f}", f"{full[f'{name}, shared']:.1f}"
                print(f"| {name} | {' | '.join(cells)} |")
            print()
            if middle:
                fitted = sum(share for name, share in middle.items() if name.startswith("pls"))
                total = sum(middle.values())
                lines.append(f"scores by all metrics but PLS / bare forward pass: {total - fitted:.2f}")
                lines.append(f"scores by all metrics / bare forward pass: {total:.2f}")
        if "memory" in parts:
            for name, batch_size in (("resnet18", ""), ("vgg16", ""), ("vgg16", "32")):
                found = in_fresh_process("memory", folder, name, *([batch_size] if batch_size else []))
                seconds = found.pop("seconds of capture")
                how = f", at most {batch_size} images at once" if batch_size else ""
                lines.append(f"peak memory, {name}{how}: {told(found, ' MB')} ({seconds:.0f} s of capture)")
                print(lines[-1], flush=True)
    print(*lines, sep="\n")


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "--part":
        part, place, *more = sys.argv[2:]
        folder = Path(place)
        if part == "published":
            print(json.dumps(published(folder, bool(more))))
        elif part == "memory":
            print(json.dumps(memory(folder, more[0], int(more[1]) if len(more) > 1 else None)))
        else:
            alone = {"bare": bare, "murine": murine, "scores": scores, "intervals": intervals}
            print(json.dumps(alone[part](folder)))
    else:
        main()
