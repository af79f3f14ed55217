"""The command that predicts time and memory of scoring networks."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from murine.cli.common import quieten, sizes
from murine.cli.numbers import number_with_unit, short_number
from murine.cli.options import (
    AgainstOption,
    BatchSizeOption,
    DataOption,
    FormatOption,
    InputSizeOption,
    LayersOption,
    NetworksArgument,
    QuietOption,
    StimuliOption,
)
from murine.cli.registry_help import CommandWithNames
from murine.cli.tables import Format, show
from murine.errors import MurineError, some

if TYPE_CHECKING:
    from murine.atlas.cost_plan import NetworkCost

app = typer.Typer()


@app.command(cls=CommandWithNames)
def plan(
    networks: NetworksArgument,
    against: AgainstOption = "simulated",
    input_size: InputSizeOption = None,
    layers: LayersOption = "own",
    metric: Annotated[
        list[str] | None, typer.Option("--metric", help="Metric as for `murine score`; none: plan only the captures.")
    ] = None,
    stimuli: StimuliOption = None,
    data: DataOption = None,
    memory: Annotated[
        str | None, typer.Option("--memory", help="Memory to plan for: 8G (default: the memory available now).")
    ] = None,
    batch_size: BatchSizeOption = None,
    format: FormatOption = Format.table,
    quiet: QuietOption = False,
) -> None:
    """Predict memory and time of `murine score` from shapes alone, without running networks or fetching weights.

    Operations and tensors are counted on networks without data; a measurement of a few seconds converts the counts into
    time on this machine. The command fails if a network would not fit into memory.

    Examples:

    `murine models plan resnet50 vit_base_patch16_224 --against allen-neuropixels`

    `murine models plan suite:conwell2021 --input-size 64 --memory 8G --format csv`
    """
    import pandas as pd

    from murine.atlas.cost_plan import plan_costs
    from murine.networks import zoo
    from murine.progress import duration, progress_bars

    quieten(quiet)
    budget = None if memory is None else int(number_with_unit(memory, "--memory"))
    choices = list(dict.fromkeys(zoo.expand(networks)))
    with progress_bars(not quiet) as progress:
        found = plan_costs(
            choices,
            sizes(input_size),
            progress,
            against=against,
            metrics=metric or (),
            layers=layers,
            data=data,
            stimuli=stimuli,
            memory=budget,
            batch_size=batch_size,
        )
    failed = list(found.failures)
    if found.networks:
        table = pd.DataFrame([_row(network) for network in found.networks])
        show(table, format)
        if not quiet:
            total, most = table["total_s"].sum(), table["memory_gb"].max()
            print(
                f"{found.n_stimuli} images of {found.data}: about {duration(total)} in all, at most {most:.1f} GB at a "
                "time",
                file=sys.stderr,
            )
        if large := [network.network for network in found.networks if not network.cost.fits]:
            failed.append(
                f"memory does not suffice for {some(large)}: give a smaller --input-size or fewer --layers, or find a "
                "machine with more."
            )
    if failed:
        raise MurineError("\n".join(failed))


def _row(network: NetworkCost) -> dict[str, Any]:
    work, cost = network.work, network.cost
    return {
        "network": network.network,
        "input_size": "x".join(map(str, network.input_size)),
        "parameters": short_number(work.parameters),
        "gflops": round(work.gflops, 3),
        "layers": work.n_outputs,
        "units": short_number(work.n_units),
        "memory_gb": round(cost.memory / 1e9, 2),
        "passes": cost.n_passes,
        "forward_s": round(cost.forward, 2),
        "kernels_s": round(cost.kernels, 2),
        "scoring_s": round(network.scoring_seconds, 2),
        "total_s": round(network.seconds, 2),
        "fits": cost.fits,
    }
