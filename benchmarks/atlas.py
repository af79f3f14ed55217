"""How fast an atlas of 10,000 results answers, beside one of 10.

    python benchmarks/atlas.py                     # 10 and 10,000 results of 1,000 rows, 1,000 bootstraps: about 2 GB
    python benchmarks/atlas.py --results 1000      # smaller
    python benchmarks/atlas.py --folder DIR        # keep the atlases in DIR, and use those that are there

The rows are invented, but written by the own writer: 200 networks with 160 layers against two data sets of six
sites, by several metrics, treatments and input sizes. Every command runs in a new process. CPU seconds are user and
system together; memory is the largest resident size. The ratios to the targets are printed last.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from murine.atlas.identity import CaptureTask, CortexSettings, ScoreTask
from murine.atlas.store import Atlas
from murine.networks.dependencies import Observation
from murine.networks.preprocessing import Preprocessing
from murine.scoring.treatments import Standardisation

SITES = ("VISp", "VISl", "VISrl", "VISal", "VISpm", "VISam")
N_STIMULI = 118
N_LAYERS = 160
N_NETWORKS = 200
N_BOOTSTRAPS = 1000

#: Limits at the large atlas: CPU seconds and MB.
TARGETS = {
    "murine results": (1.5, 500.0),
    "results, after one more": (1.5, 500.0),
    "a finished sweep": (2.0, 500.0),
    "murine report": (10.0, 2000.0),
    "leaderboard query": (2.0, 2000.0),
}

#: What a process does that recognises a finished sweep by the requests of its networks.
FINISHED = """
import sys
from murine.atlas.store import Atlas
atlas = Atlas(sys.argv[1])
requests = [file.stem for file in (atlas.folder / "requests").glob("*.json")]
answers = [atlas.answered(request) for request in requests]
assert all(answers), "not recognised"
print(sum(map(len, answers)), "results of", len(answers), "networks")
"""


def tasks(n: int) -> Iterator[ScoreTask]:
    """Yield the tasks of a zoo: the metrics and treatments of one network follow each other."""
    treatments: tuple[Standardisation, ...] = ("none", "zscore")
    kinds = product(
        (64, 224, 384), ("allen-2p", "allen-neuropixels"), treatments, ("rsa-pearson", "cka", "ridge", "rsa-spearman")
    )
    plan = list(islice(product(kinds, range(N_NETWORKS)), n))
    for (size, cortex, treatment, metric), network in sorted(plan, key=lambda own: own[1]):
        seed = network % 4
        yield ScoreTask(
            network=f"network{network // 2:03d}",
            weights="pretrained:imagenet" if network % 2 else f"random:{seed}",
            capture=CaptureTask(
                network_digest=f"{network:032x}",
                preprocessing=Preprocessing(input_size=(size, size)),
                stimuli_digest="0" * 32,
                layers="own",
                normalise=treatment,
            ),
            cortex=CortexSettings(cortex=cortex),
            cortex_digest="1" * 32,
            metric=metric,
            normalise_neurons=treatment,
            n_bootstraps=N_BOOTSTRAPS,
            n_permutations=1000,
            seed=0,
        )


def rows(task: ScoreTask, rng: np.random.Generator) -> pd.DataFrame:
    """Invent the rows of a task: every layer at every site, the naive best and the held-out choice with draws."""
    n = N_LAYERS * len(SITES)
    quality = 0.4 + 0.2 * rng.random() + (0.1 if task.weights.startswith("pretrained") else 0.0)
    layer = np.repeat(np.arange(N_LAYERS), len(SITES))
    score = quality * 0.8 + 0.1 * rng.normal(size=n)
    site = np.array(SITES * N_LAYERS)
    best = np.array([np.flatnonzero(site == name)[score[site == name].argmax()] for name in SITES])
    chosen = np.full(n, "", dtype=object)
    chosen[best] = "naive"
    frame = pd.DataFrame(
        {
            "layer": [f"stages.{k // 12}.blocks.{k % 12}.norm" for k in layer],
            "layer_index": layer,
            "depth": layer / (N_LAYERS - 1),
            "n_units": 1000 + layer,
            "site": site,
            "area": site,
            "n_neuroids": 500,
            "n_repetitions": 50,
            "metric": task.metric,
            "scale": "r",
            "stimuli": "all",
            "n_stimuli": N_STIMULI,
            "split": "all",
            "score": score,
            "low": score - 0.05,
            "high": score + 0.05,
            "ceiling": 0.8,
            "ceiling_low": 0.75,
            "ceiling_high": 0.85,
            "ceiled": score / 0.8,
            "ceiled_low": score / 0.8 - 0.06,
            "ceiled_high": score / 0.8 + 0.06,
            "above_ceiling": score > 0.8,
            "p_value": rng.random(n),
            "chosen": chosen,
        }
    )
    frame = frame.assign(**dict.fromkeys(("cortical_layer", "site_flag", "flag", "same_as", "other_layer"), ""))
    held_out = frame.iloc[best].assign(chosen="nested", split="held out", optimism=0.02, layer_share=0.7)
    frame = pd.concat([frame, held_out], ignore_index=True)
    has_draws = (frame.chosen != "").to_numpy()
    for column, size in (("draws", N_BOOTSTRAPS), ("without_one", N_STIMULI)):
        spread = 0.05 if column == "draws" else 0.002
        drawn = (frame.ceiled.to_numpy()[has_draws, None] + spread * rng.normal(size=(has_draws.sum(), size))).astype(
            "f4"
        )
        values = np.full(len(frame), None, dtype=object)
        for place, own in zip(np.flatnonzero(has_draws), drawn, strict=True):
            values[place] = own
        frame[column] = values
    return frame.assign(role="trained" if task.weights.startswith("pretrained") else "random")


def fill(atlas: Atlas, n: int) -> None:
    """Write n results and the requests that they answer, as a sweep does."""
    rng = np.random.default_rng(0)
    begin = time.process_time()
    by_network: dict[str, list[str]] = {}
    for number, task in enumerate(tasks(n)):
        atlas.write_scores(task, rows(task, rng), {"murine": "benchmark"})
        by_network.setdefault(task.capture.network_digest, []).append(task.digest)
        if number % 500 == 499:
            print(f"{number + 1} results after {time.process_time() - begin:.0f} s of CPU", file=sys.stderr)
    for network, digests in by_network.items():
        atlas.add_request(network, Observation(), digests)


def measured(*arguments: str) -> tuple[float, float]:
    """Run Python in a new process; return its CPU seconds and its largest memory in MB."""
    with tempfile.TemporaryFile() as notes:
        process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=notes)
        _, status, used = os.wait4(process.pid, 0)
        notes.seek(0)
        if status:
            raise SystemExit(f"{arguments} failed:\n{notes.read().decode()}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / (1 << (20 if sys.platform == "darwin" else 10))


def questions(folder: Path, scratch: Path) -> dict[str, tuple[str, ...]]:
    """Return what is measured: the arguments of Python by name."""
    atlas = ("--atlas", str(folder))
    ranking = "SELECT network, max(value) AS best FROM leaderboard GROUP BY network ORDER BY best DESC LIMIT 10"
    return {
        "murine results": ("-m", "murine", "results", *atlas),
        "a finished sweep": ("-c", FINISHED, str(folder)),
        "leaderboard query": ("-m", "murine", "results", *atlas, "--sql", ranking),
        "murine report": ("-m", "murine", "report", *atlas, "--quiet", "--out", str(scratch / "report.html")),
    }


def add_one(folder: Path) -> None:
    """Write one more result into an atlas."""
    first = next(tasks(1))
    task = first.model_copy(update={"network": "one more", "weights": f"random:{time.time_ns()}"})
    Atlas(folder).write_scores(task, rows(task, np.random.default_rng(1)), {"murine": "benchmark"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, default=None)
    chosen = parser.parse_args()
    found: dict[str, dict[int, tuple[float, float]]] = {}
    sizes = (10, chosen.results)
    with tempfile.TemporaryDirectory() as temporary:
        home = chosen.folder or Path(temporary)
        os.environ["MURINE_CACHE"] = str(home / "cache")
        for n in sizes:
            folder = home / f"atlas-{n}"
            if not (folder / "requests").exists():
                fill(Atlas(folder), n)
            seconds, memory = measured("-m", "murine", "results", "--atlas", str(folder))
            print(f"{n} results: the first `murine results` takes {seconds:.1f} s of CPU and {memory:.0f} MB")
            for name, arguments in questions(folder, home).items():
                found.setdefault(name, {})[n] = min(measured(*arguments) for _ in range(2))
            add_one(folder)
            found.setdefault("results, after one more", {})[n] = measured(
                "-m", "murine", "results", *("--atlas", str(folder))
            )
            if n == sizes[-1]:
                _describe(folder, home / "report.html")
    for name, by_size in found.items():
        (small, large), (seconds, memory) = (by_size[n] for n in sizes), TARGETS[name]
        print(
            f"{name}: {small[0]:.2f} s and {small[1]:.0f} MB at {sizes[0]}; {large[0]:.2f} s and {large[1]:.0f} MB at "
            f"{sizes[1]}; of the targets {large[0] / seconds:.2f} and {large[1] / memory:.2f}"
        )


def _describe(folder: Path, page: Path) -> None:
    files: list[Any] = [file.stat().st_size for file in folder.rglob("*") if file.is_file()]
    text = page.read_text("utf-8")
    about = {
        "files": len(files),
        "MB": sum(files) >> 20,
        "page MB": len(text) >> 20,
        "tags on the page": text.count("<"),
    }
    print(json.dumps(about))


if __name__ == "__main__":
    main()
