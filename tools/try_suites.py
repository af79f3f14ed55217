"""Build, capture, score and operate on every network of the suites, random weights; a csv of what came of each.

    nice -n 10 python tools/try_suites.py tried.csv [SUITE...]
    python tools/try_suites.py --table tried.csv

At the smallest of some input sizes that a network accepts, in a process of its own, which is forked once everything is
imported. Rows that are there are not tried again. Seconds are of the processor, with one thread; they and the memory
stand beside what `murine.networks.costs` predicted."""

from __future__ import annotations

import csv
import json
import os
import resource
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import timm
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from murine.atlas.identity import CortexSettings
from murine.atlas.network_scorer import NetworkScorer
from murine.atlas.sweep import SweepSettings
from murine.errors import MurineError
from murine.networks import catalogue, costs, surgery, zoo
from murine.networks.capture import CapturedLayer, capture, tensors_in
from murine.networks.memory import freed_memory_kept
from murine.networks.sources.source import get_source
from murine.scoring.layer_scores import score_layers
from murine.scoring.settings import ScoreSettings
from murine.scoring.site_benchmark import SiteBenchmark
from murine.stimuli import StimulusSet

SUITES = ("conwell2021", "neurn44", "conwell2021-tasks")
SIZES = (64, 96, 128, 160, 224, None)
PLACES = 8
COLUMNS = (
    *("network", "members", "input_size", "layers", "compared", "captured_s", "predicted_s", "captured_gb"),
    *("predicted_gb", "scored_s", "best_score", "at_input", "inside", "place", "reason"),
)


def attempt(network: str, stimuli: StimulusSet, benchmark: SiteBenchmark, machine: costs.Machine) -> dict[str, object]:
    reason = ""
    for size in SIZES:
        try:
            skeleton, preprocessing = zoo.skeleton(network, input_size=size)
            cost = costs.predict(costs.work_of(skeleton, preprocessing.input_size), machine)
            before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
            loaded = zoo.load(f"{network}@random:0", input_size=size)
            images = loaded.preprocessing.apply(stimuli)
            start = time.process_time()
            with freed_memory_kept():
                layers = capture(loaded.module, images)
            captured = time.process_time() - start
        except MurineError as error:
            reason = reason or str(error).splitlines()[0][:300]
            continue
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
        start = time.process_time()
        rows = score_layers(layers, benchmark)
        return {
            "input_size": loaded.preprocessing.input_size[0],
            "layers": len(layers),
            "compared": sum(1 for layer in layers if not layer.flag and not layer.same_as),
            "captured_s": round(captured, 2),
            "predicted_s": round(cost.seconds, 2),
            "captured_gb": round(peak / 1e9, 3),
            "predicted_gb": round(cost.memory / 1e9, 3),
            "scored_s": round(time.process_time() - start, 2),
            "best_score": round(float(rows["score"].max()), 4),
            "at_input": operated(loaded.module, images, "input"),
            **inside(loaded.module, images, layers),
        }
    return {"reason": reason}


def inside(module: nn.Module, images: Tensor, layers: Sequence[CapturedLayer]) -> dict[str, str]:
    """The first place inside at which NeuRN can be put in, of some maps nearest to a third of the way, or why not.

    Not maps that are the same for all images: branches that start from zero are, and zeros stay what they are. What
    only such a branch reads changes nothing either."""
    maps = [layer for layer in layers if not layer.flag and is_map(layer.shape) and not set("([") & set(layer.name)]
    nearest = sorted(maps, key=lambda layer: abs(layer.depth - 1 / 3))
    places = list(dict.fromkeys(f"after:{layer.name.partition(':')[0]}" for layer in nearest))[:PLACES]
    said = [operated(module, images, place) for place in places]
    if "ok" in said:
        return {"inside": "ok", "place": places[said.index("ok")]}
    return {"inside": said[0], "place": places[0]} if said else {"inside": "no map of 3 x 3 pixels at this size"}


def is_map(shape: tuple[int, ...]) -> bool:
    """Whether it has the sides of a square image."""
    return len(shape) == 3 and any(a == b >= 3 for a, b in (shape[1:], shape[:2]))


def operated(module: nn.Module, images: Tensor, place: str) -> str:
    """`ok` where NeuRN can be put in and taken out again: keys stay, outputs change and then are as before."""
    keys, few = list(module.state_dict()), images[:2]
    with torch.no_grad():
        before = outputs(module, few)
        try:
            insertion = surgery.insert(module, "neurn(k=3)", place, probe=few)
        except MurineError as error:
            return str(error).splitlines()[0][:200]
        within, kept = outputs(module, few), list(module.state_dict()) == keys
        insertion.undo()
        after = outputs(module, few)
    if not kept or list(module.state_dict()) != keys:
        return "keys differ"
    same = len(before) == len(after) and all(map(torch.equal, before, after))
    if sum(float(tensor.double().sum()) for tensor in before) == sum(float(tensor.double().sum()) for tensor in within):
        return "outputs do not change"
    finite = all(bool(output.isfinite().all()) for output in within)
    return "ok" if finite and same else f"finite: {finite}, undone: {same}"


def outputs(module: nn.Module, images: Tensor) -> list[Tensor]:
    """The output, and sums over those of all modules: with random weights it may hardly depend on the images."""
    sums: list[Tensor] = []

    def hook(_module: nn.Module, _args: object, output: object) -> None:
        sums.extend(tensor.double().sum() for _, tensor in tensors_in(output, ""))

    children = [child for name, child in module.named_modules() if not name.startswith(surgery.HOLDER)]
    handles = [child.register_forward_hook(hook) for child in children]
    try:
        made = [tensor.clone() for _, tensor in tensors_in(module(images), "")]
    finally:
        for handle in handles:
            handle.remove()
    return [*made, *sums]


def main(target: str, *suites: str) -> None:
    members: dict[str, list[str]] = {}
    for suite in suites or SUITES:
        for member in catalogue.suite(suite):
            if member.network:
                members.setdefault(member.network, []).append(f"{suite}/{member.name}")
    file = Path(target)
    done = {row["network"] for row in csv.DictReader(file.open())} if file.exists() else set()
    if not done:
        file.write_text(",".join(COLUMNS) + "\n")
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    timm.list_models()
    get_source("torchvision").architectures()
    with threadpool_limits(1):
        bench = NetworkScorer(SweepSettings(CortexSettings(cortex="simulated"), scoring=ScoreSettings(100, 100, 0)))
        benchmark = bench.benchmark("rsa-pearson", "none")
        with freed_memory_kept():
            machine = costs.calibrate(bench.stimuli.n_stimuli, time.process_time)
        for network, names in members.items():
            if network in done:
                continue
            found = in_child(lambda name=network: attempt(name, bench.stimuli, benchmark, machine))
            with file.open("a", newline="") as stream:
                row = {"network": network, "members": " ".join(names), **found}
                csv.DictWriter(stream, COLUMNS, lineterminator="\n").writerow(row)


def in_child(function: object) -> dict[str, object]:
    """What a function returns in a forked process: memory is counted from here, and a crash ends nothing else."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            answer = function()  # type: ignore[operator]
        except BaseException as error:
            answer = {"reason": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300]}
        with os.fdopen(writing, "w") as pipe:
            json.dump(answer, pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(pid, 0)
    found: dict[str, object] = json.loads(text) if text else {"reason": f"its process ended with status {status}"}
    return found


def table(source: str) -> None:
    """Print what came of it as Markdown: first in numbers, then where something failed, then row by row."""
    with Path(source).open(newline="") as file:
        rows = list(csv.DictReader(file))
    passed = [row for row in rows if row["captured_s"]]
    architectures = {row["network"].partition(".")[0] for row in passed}
    print(
        f"{len(passed)} of {len(rows)} networks, {len(architectures)} architectures, passed capture and scoring; ",
        end="",
    )
    print(f"NeuRN at the input: {sum(row['at_input'] == 'ok' for row in passed)}; ", end="")
    print(f"inside: {sum(row['inside'] == 'ok' for row in passed)}.")
    for measured, predicted in (("captured_s", "predicted_s"), ("captured_gb", "predicted_gb")):
        ratios = sorted(float(row[measured]) / float(row[predicted]) for row in passed)
        quarter = len(ratios) // 4
        print(
            f"{measured} / {predicted}: median {ratios[len(ratios) // 2]:.2f}, half within {ratios[quarter]:.2f} to "
            f"{ratios[-quarter - 1]:.2f}, all within {ratios[0]:.2f} to {ratios[-1]:.2f}"
        )
    print()
    for row in rows:
        for column, what in (("reason", "not captured"), ("at_input", "at the input"), ("inside", "inside")):
            if row[column] not in ("", "ok"):
                print(f"* `{row['network']}`, {what}: {row[column]}")
    shown = [column for column in COLUMNS if column not in ("members", "compared", "best_score", "reason")]
    print("\n| " + " | ".join(shown) + " |")
    print("| " + " | ".join("---" for _ in shown) + " |")
    for row in sorted(rows, key=lambda row: row["network"]):
        values = {**row, "place": f"`{row['place']}`" if row["place"] else ""}
        print("| " + " | ".join(values[column] for column in shown) + " |")


if __name__ == "__main__":
    if sys.argv[1] == "--table":
        table(sys.argv[2])
    else:
        main(*sys.argv[1:])
