"""Commands that tell of networks: what there is, and what they would cost."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from murine.cli.common import (
    quieten,
    sizes,
)
from murine.cli.options import (
    BatchSizeOption,
    DataOption,
    FormatOption,
    InputSizeOption,
    LayersOption,
    NetworksArgument,
    QuietOption,
    StimuliOption,
)
from murine.cli.tables import Format, show
from murine.errors import MurineError, nearest, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from murine.networks.catalogue import Entry
    from murine.networks.costs import Cost, Work


class _ListByDefault(TyperGroup):
    """`murine models PATTERN` is `murine models list PATTERN`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ListByDefault,
    help="List the networks that can be named, with what is known of them; `plan`: what they would cost.\n\n"
    "Examples: `murine models 'resnet1*' --pretrained`, `murine models --suite neurn44`, `murine models plan resnet50`",
)

#: Columns a terminal has room for.
_SHOWN = [
    "network",
    "family",
    "parameters",
    "depth",
    "input_size",
    "weights",
    "task",
    "data",
    "top1",
    "year",
    "citation",
]


@app.command(name="list")
def list_networks(
    pattern: Annotated[
        str,
        typer.Argument(
            help="Name with wildcards, as 'resnet*' or 'torchvision:*'; a plain one looks in timm, then in torchvision."
        ),
    ] = "*",
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="A row for every tag of pretrained weights.")
    ] = False,
    family: Annotated[str | None, typer.Option("--family", help="Only this family, wildcards allowed.")] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="Only weights trained like this: classification, self-supervised ...")
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option("--suite", help="Only the members of a list: conwell2021, conwell2021-tasks, neurn44."),
    ] = None,
    max_parameters: Annotated[
        str | None, typer.Option("--max-parameters", help="At most so many: 5M, 1.2B or a number.")
    ] = None,
    format: FormatOption = Format.table,
) -> None:
    """List networks and their properties; csv and json also tell where each property is from.

    Parameters count the last layers, too; depth is that of the longest way, in layers with weights. Task, data and
    top-1 are those of the default weights, or with `--pretrained` of each. What is not known is empty.

    Examples:

    `murine models 'resnet1*' --pretrained`

    `murine models --suite conwell2021 --max-parameters 5M`

    `murine models --task self-supervised --pretrained --format csv`
    """
    import pandas as pd

    from murine.networks import catalogue, zoo

    members = [member for member in catalogue.suite(suite) if member.network] if suite else []
    found = [member.network for member in members] if suite else _named(pattern, pretrained)
    if suite and pattern != "*":
        wanted = set(zoo.matching_names(pattern))
        found = [name for name in found if name in wanted or name.partition(".")[0] in wanted]
    if not found:
        near = nearest(pattern, [*zoo.controls, *catalogue.names()])
        raise MurineError(f"no network matches {pattern!r}{near or '.'}")
    entries = _filtered([catalogue.entry(name) for name in dict.fromkeys(found)], family, task, max_parameters)
    table = pd.DataFrame([entry.row() for entry in entries], dtype=object)
    if suite:
        called = {member.network: member.name for member in members}
        table.insert(0, "member", [called[name] for name in table["network"]])
        if missing := [f"{member.name} ({member.missing})" for member in catalogue.suite(suite) if member.missing]:
            print(f"not available: {'; '.join(missing)}", file=sys.stderr)
    if format in (Format.table, Format.markdown):
        table = table[[column for column in ("member", *_SHOWN) if column in table]]
        table["parameters"] = [_short(number) for number in table["parameters"]]
    show(table.where(table.notna(), ""), format)


@app.command()
def plan(
    networks: NetworksArgument,
    against: Annotated[
        str, typer.Option("--against", help="Cortex: a name of `murine data list`, or a file of responses.")
    ] = "simulated",
    input_size: InputSizeOption = None,
    layers: LayersOption = "own",
    metric: Annotated[
        list[str] | None, typer.Option("--metric", help="As for `murine score`; none: captures alone.")
    ] = None,
    stimuli: StimuliOption = None,
    data: DataOption = None,
    memory: Annotated[
        str | None, typer.Option("--memory", help="Memory to plan for, as 8G (default: what is available now).")
    ] = None,
    batch_size: BatchSizeOption = None,
    format: FormatOption = Format.table,
    quiet: QuietOption = False,
) -> None:
    """Predict memory and time of `murine score` from shapes, before anything runs; weights are neither made nor got.

    Operations and tensors are counted on networks without numbers; a measurement of a few seconds on this machine turns
    them into time. Fails where a network would not fit.

    Examples:

    `murine models plan resnet50 vit_base_patch16_224 --against allen-neuropixels`

    `murine models plan suite:conwell2021 --input-size 64 --memory 8G --format csv`
    """
    import pandas as pd

    from murine.atlas.identity import CortexSettings
    from murine.atlas.network_scorer import NetworkScorer
    from murine.atlas.sweep import SweepSettings as Sweep
    from murine.networks import costs, zoo
    from murine.networks.memory import freed_memory_kept
    from murine.progress import duration, progress_bars

    quieten(quiet)
    budget = None if memory is None else int(_number(memory, "--memory"))
    choices = list(dict.fromkeys(zoo.expand(networks)))
    wanted = [(choice, size) for choice in choices for size in sizes(input_size)]
    works: list[tuple[str, tuple[int, int], Work]] = []
    failed: list[str] = []
    rows = []
    with progress_bars(not quiet) as progress:
        with progress.task("reading images and responses", None):
            settings = CortexSettings(cortex=against)
            bench = NetworkScorer(Sweep(settings, tuple(metric or ["rsa-pearson"]), data=data, stimuli=stimuli))
            n = bench.stimuli.n_stimuli
        with progress.task("reading shapes", len(wanted)) as bar:
            for choice, size in wanted:
                try:
                    module, preprocessing = zoo.skeleton(choice, input_size=size)
                    work = costs.work_of(module, preprocessing.input_size, layers, preprocessing.n_channels)
                    works.append((choice.full_name, preprocessing.input_size, work))
                except MurineError as error:
                    failed.append(f"{choice.full_name}: {error}")
                bar.advance(done=choice.full_name)
        if works:
            with progress.task("measuring this machine", None), freed_memory_kept():
                machine = costs.calibrate(n)
            with progress.task("measuring the metrics", None):
                scoring = _scoring(bench, n)
            for name, shape, work in works:
                cost = costs.predict(work, machine, memory=budget, batch_size=batch_size)
                rows.append(_row(name, shape, work, cost, scoring))
    table = pd.DataFrame(rows)
    if rows:
        show(table, format)
        if not quiet:
            total, most = table["total_s"].sum(), table["memory_gb"].max()
            print(
                f"{n} images of {bench.data.name}: about {duration(total)} in all, at most {most:.1f} GB at a time",
                file=sys.stderr,
            )
        large = table.loc[~table["fits"], "network"]
        if len(large):
            failed.append(
                f"memory does not suffice for {some(large)}: give a smaller --input-size or fewer --layers, or find a "
                "machine with more."
            )
    if failed:
        raise MurineError("\n".join(failed))


def _named(pattern: str, pretrained: bool) -> list[str]:
    """The networks of a pattern; with their tags of weights if asked."""
    import timm

    from murine.networks import catalogue, zoo

    if not pretrained:
        return zoo.matching_names(pattern)
    if "." in pattern and ":" not in pattern:
        tagged: list[str] = timm.list_models(pattern, pretrained=True)
        return tagged
    return [tagged for name in zoo.matching_names(pattern) for tagged in catalogue.weights_of(name)]


def _filtered(
    entries: Sequence[Entry], family: str | None, task: str | None, max_parameters: str | None
) -> list[Entry]:
    import fnmatch

    most = None if max_parameters is None else _number(max_parameters, "--max-parameters")
    kept = [
        entry
        for entry in entries
        if (family is None or fnmatch.fnmatch(entry.family, family))
        and (task is None or task.lower() in entry.task.lower())
        and (most is None or (entry.parameters is not None and entry.parameters <= most))
    ]
    if not kept:
        families, tasks = ({getattr(entry, key) for entry in entries} - {""} for key in ("family", "task"))
        wrong = nearest(family, families) if family and family not in families else ""
        raise MurineError(
            f"none of the {len(entries)} networks is left{wrong or '.'} Families: {some(sorted(families))}; tasks: "
            f"{some(sorted(tasks), 8)}."
        )
    return kept


def _number(text: str, option: str) -> float:
    """``5M`` -> 5e6"""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMgGbBtT]?)(?:i?B)?", text.strip())
    if not match:
        raise MurineError(f"{option} {text!r} is not understood; expected a number, as 5M, 1.2B or 8G.")
    return float(match[1]) * {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12}[match[2].lower()]


def _short(number: int | None) -> str:
    if number is None:
        return ""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return str(number)


def _row(name: str, size: tuple[int, int], work: Work, cost: Cost, of_scoring: tuple[float, float]) -> dict[str, Any]:
    scoring = of_scoring[0] + of_scoring[1] * work.n_outputs
    return {
        "network": name,
        "input_size": "x".join(map(str, size)),
        "parameters": _short(work.parameters),
        "gflops": round(work.gflops, 3),
        "layers": work.n_outputs,
        "units": _short(work.n_units),
        "memory_gb": round(cost.memory / 1e9, 2),
        "passes": cost.n_passes,
        "forward_s": round(cost.forward, 2),
        "kernels_s": round(cost.kernels, 2),
        "scoring_s": round(scoring, 2),
        "total_s": round(cost.seconds + scoring, 2),
        "fits": cost.fits,
    }


def _scoring(bench: Any, n_stimuli: int) -> tuple[float, float]:
    """Seconds of scoring a network: once, and for each layer; by scoring made-up layers."""
    import time

    import numpy as np

    from murine.networks.capture import CapturedLayer
    from murine.networks.layer_kernel import LayerKernel
    from murine.scoring.layer_scores import score_layers

    metrics = [metric for metric in bench.plan.metrics if metric != "none"]
    if not metrics:
        return 0.0, 0.0
    random = np.random.default_rng(0)
    kernels = [LayerKernel.of(random.standard_normal((n_stimuli, 512), np.float32)) for _ in range(16)]
    made_up = [CapturedLayer(f"layer{i}", i / 15, (512,), kernel) for i, kernel in enumerate(kernels)]
    taken = []
    for metric in metrics:
        benchmark = bench.benchmark(metric, "none")
        score_layers(made_up[:2], benchmark)  # what is made once for all networks
        for count in (2, len(made_up)):
            start = time.perf_counter()
            score_layers(made_up[:count], benchmark)
            taken.append(time.perf_counter() - start)
    few, many = sum(taken[::2]), sum(taken[1::2])
    per_layer = max(many - few, 0.0) / (len(made_up) - 2)
    return max(few - 2 * per_layer, 0.0), per_layer
