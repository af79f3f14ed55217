"""The command that compares response-weighted maps of neurons with maps of units."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from murine.atlas.limits import TIME_LIMIT
from murine.cli.common import asked, quieten
from murine.cli.options import (
    AtlasOption,
    BatchSizeOption,
    DataOption,
    DeviceOption,
    FormatOption,
    InputSizeOption,
    LayersOption,
    MinReliabilityOption,
    NetworksArgument,
    Over,
    QuietOption,
    SeedOption,
    SelectOption,
    StimuliOption,
    TimeLimitOption,
    TwinsOption,
    WeightsOption,
    limited,
)
from murine.cli.registry_help import CommandWithNames
from murine.cli.tables import Format
from murine.cli.unit_tables import (
    FiguresOption,
    NeuronBootstrapsOption,
    NeuronsOption,
    OverOption,
    RowsOption,
    ShufflesOption,
    SitesOption,
    UnitTables,
    check_rows,
    neurons_of,
    plans_of,
)
from murine.limits import Limits

app = typer.Typer()

#: Cells along a side of a map, as `murine.cortex.response_maps` has it.
SIDE = 11

_MAP_HEADINGS = {
    "rmse_best": "nearest unit",
    "rmse_best_shuffled": "nearest, shuffled",
    "below_chance": "below shuffled",
    "rmse_mean": "all units",
    "rmse_mean_shuffled": "all, shuffled",
    "layer": "nearest layer",
}


class UnitMaps(StrEnum):
    """What the map of a unit is."""

    activation = "activation"
    weighted = "weighted"


class Normalisation(StrEnum):
    """What makes maps comparable."""

    l2 = "l2"
    min_max = "min-max"


@app.command(cls=CommandWithNames)
def maps(
    networks: NetworksArgument,
    against: NeuronsOption = "simulated",
    weights: WeightsOption = "",
    twins: TwinsOption = 0,
    input_size: InputSizeOption = None,
    layers: LayersOption = "own",
    side: Annotated[
        list[int] | None,
        typer.Option(
            "--side",
            callback=limited("--side", Limits(2, 1024)),
            help="Number of cells along a side of a map: 11, 14 or 28; repeat for more. [default: 11]",
        ),
    ] = None,
    unit_maps: Annotated[
        UnitMaps,
        typer.Option(
            "--unit-maps",
            help="activation: a channel's mean activation at each place; weighted: the sum of the stimuli weighted "
            "by a channel's mean activation, like a neuron's map.",
        ),
    ] = UnitMaps.activation,
    normalisation: Annotated[
        Normalisation,
        typer.Option(
            "--normalisation",
            help="Common scale of the maps of neurons and units. l2: unit length, the published scale; min-max: 0 to "
            "1.",
        ),
    ] = Normalisation.l2,
    centred: Annotated[
        bool,
        typer.Option(
            "--centred/--plain",
            help="centred: the mean response of each neuron (channel) is subtracted first. plain: it is not, as in the "
            "published text. Rates are never negative, so plain maps are nearly the mean stimulus, and maps "
            "of shuffled responses are as similar to units as maps of true responses, or more.",
        ),
    ] = True,
    by: SitesOption = "area",
    select: SelectOption = None,
    min_reliability: MinReliabilityOption = None,
    stimuli: StimuliOption = None,
    data: DataOption = None,
    atlas: AtlasOption = Path("atlas"),
    over: OverOption = Over.neurons,
    bootstraps: NeuronBootstrapsOption = 1000,
    shuffles: ShufflesOption = 1,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    time_limit: TimeLimitOption = TIME_LIMIT,
    batch_size: BatchSizeOption = None,
    rows: RowsOption = None,
    figures: FiguresOption = None,
    format: FormatOption = Format.table,
    quiet: QuietOption = False,
) -> None:
    """Compare the response-weighted map of each neuron with the maps of all units (Mice-to-Machines).

    A neuron's map is the sum of the stimuli, each reduced to a few cells and weighted by the neuron's mean response.
    The table gives the RMSE between this map and the map of the nearest channel of a layer, and the mean RMSE over all
    channels, for the nearest layer of each site. It also gives both for responses with shuffled stimuli: only a smaller
    RMSE than that shows what the neuron prefers.

    RMSE of maps of unit length shrinks as one over the side of the map. The table shows it times side / 11, so that
    sizes can be compared; 11 is the published size. The rows (`--rows`) hold the plain RMSE.

    Results are stored in the atlas; stored results are not computed again.

    Examples:

    `murine maps resnet18@random:0 --input-size 64`

    `murine maps examples/trained_networks.py:mobilenet_v2 --twins 1 --against allen-neuropixels --side 11 --side 14`

    `murine maps resnet50 --against mouse.nc --stimuli scenes.npz --by cell_class --figures figures`
    """
    from murine.atlas.unit_sweep import MapComparison

    quieten(quiet)
    check_rows(rows)
    choices = asked(networks, weights, twins)
    plans = plans_of(input_size, layers, shuffles, seed, batch_size, device)
    neurons = neurons_of(against, select, min_reliability, data, stimuli, quiet)
    work = UnitTables("maps", neurons, by, over, atlas, quiet)
    made = (tuple(dict.fromkeys(side or [SIDE])), unit_maps.value, normalisation.value, centred)
    work.run([MapComparison(neurons, plan, *made) for plan in plans], choices, time_limit)
    how = f"{'centred' if centred else 'plain'}, {normalisation.value}, unit maps by {unit_maps.value}"
    scale = f" times side / {SIDE}, comparable between sizes" if normalisation is Normalisation.l2 else ""
    title = f"{neurons.recording.name}: RMSE of maps{scale} ({how})"
    work.show(bootstraps, seed, format, _MAP_HEADINGS, title, (4, 4))
    if not centred and not quiet:
        print(
            "plain maps are mostly the mean stimulus, those of shuffled responses too: a small RMSE says nothing of "
            "what neurons prefer. --centred (the default) takes the mean off",
            file=sys.stderr,
        )
    work.finish(rows, figures)
