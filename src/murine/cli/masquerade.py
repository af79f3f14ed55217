"""The command that asks whether a network is a mouse."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from murine.cli.common import asked, names, quieten, sizes
from murine.cli.options import (
    AtlasOption,
    BatchSizeOption,
    DataOption,
    DeviceOption,
    FormatOption,
    InputSizeOption,
    LayersOption,
    NetworksArgument,
    QuietOption,
    SeedOption,
    StimuliOption,
    WeightsOption,
)
from murine.cli.registry_help import CommandWithNames
from murine.cli.tables import Format, show

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer()


class WindowChoice(StrEnum):
    """Windows of maps that are candidates."""

    none = "none"
    thirds = "thirds"


@app.command(cls=CommandWithNames)
def masquerade(
    networks: NetworksArgument,
    against: Annotated[
        str,
        typer.Option(
            "--against",
            help="Data set with single trials and the animal of each neuron, one of: {datasets}; or a file of trials.",
        ),
    ] = "allen-neuropixels",
    areas: Annotated[str, typer.Option("--areas", help="Areas to show, as VISp,VISl (default: all).")] = "",
    windows: Annotated[
        WindowChoice,
        typer.Option(
            "--windows",
            help="thirds: windows of a half and a third of each map are also candidates; none: only whole maps.",
        ),
    ] = WindowChoice.thirds,
    alpha: Annotated[float, typer.Option("--alpha", help="Level of the tests.")] = 0.05,
    twins: Annotated[
        int, typer.Option("--twins", min=0, help="Random twins of each network; to pass, a network needs 3.")
    ] = 3,
    weights: WeightsOption = "",
    input_size: InputSizeOption = None,
    layers: LayersOption = "own",
    stimuli: StimuliOption = None,
    data: DataOption = None,
    atlas: AtlasOption = Path("atlas"),
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for a figure and a table of all rows of each network.")
    ] = None,
    regression: Annotated[
        bool, typer.Option("--regression", help="Describe also how well each side predicts the other by regression.")
    ] = False,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    batch_size: BatchSizeOption = None,
    format: FormatOption = Format.table,
    quiet: QuietOption = False,
) -> None:
    """Ask whether networks can be told from a mouse, area by area.

    A network is taken as one more animal. It is "not a mouse" if its best layer is far less similar to the mice of an
    area than these are to each other. It "could be a mouse" if it is not, and pixels, its random twins and shuffled
    images are. Otherwise the data "cannot tell".

    Examples:

    `murine masquerade shared:squeezenet --input-size 64`

    `murine masquerade resnet18 --areas VISp,VISl --windows none --input-size 64 --out figures`
    """
    from murine.cortex.loading import load_dataset
    from murine.errors import MurineError
    from murine.masquerade.description import describe_regression
    from murine.masquerade.question import is_it_a_mouse, load_for_question
    from murine.masquerade.run import AnimalData
    from murine.progress import progress_bars

    quieten(quiet)
    chosen = asked(networks, weights, 0)
    animals = AnimalData.of(load_dataset(against, stimuli=stimuli, root=data), seed=seed)
    results, failures, regressions = [], [], []
    with progress_bars(not quiet) as progress:
        for spec in chosen:
            for size in sizes(input_size):
                try:
                    result = is_it_a_mouse(
                        spec,
                        animals,
                        areas=names(areas),
                        windows=windows.value,
                        alpha=alpha,
                        twins=twins,
                        input_size=size,
                        layers=layers,
                        seed=seed,
                        atlas=atlas,
                        device=device,
                        batch_size=batch_size,
                        progress=progress,
                    )
                    if regression:
                        network, _ = load_for_question(spec, size, device)
                        described = describe_regression(network, animals, result, layers=layers, seed=seed)
                        regressions.append(described.assign(network=result.name))
                except MurineError as error:
                    failures.append(f"{spec}: {error}")
                    continue
                results.append(result)
                if out is not None:
                    stem = f"{result.name}_{size or 'native'}".replace("/", "_").replace(":", "_")
                    result.save_figure(out / f"{stem}.png")
                    result.to_csv(out / f"{stem}.csv")
    if results:
        show(_printed([result.verdicts for result in results]), format)
        if not quiet and format == Format.table:
            print("\n".join(result.summary() for result in results))
    if regressions:
        show(_regression_rows(regressions), format)
    for failure in failures:
        print(f"murine: {failure}", file=sys.stderr)
    if failures:
        raise typer.Exit(1 if results else 2)


def _regression_rows(tables: list[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    columns = ["network", "area", "mice_to_mice", "mice_sd", "network_to_mice", "network_matched", "mice_to_network"]
    return pd.concat(tables, ignore_index=True)[columns]


def _printed(verdicts: list[pd.DataFrame]) -> pd.DataFrame:
    """Return one row for each network and area, whole maps and windows side by side."""
    import pandas as pd

    rows = pd.concat(verdicts, ignore_index=True)
    columns = ["network", "weights", "area", "windows", "verdict", "p", "p_nested", "ratio", "ratio_error"]
    return rows[[*columns, "power_ratio", "contrast", "contrast_p", "layer", "window"]]
