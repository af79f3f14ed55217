"""The command that finds the best unit of every neuron."""

from __future__ import annotations

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
from murine.limits import COUNT

app = typer.Typer()

_MATCH_HEADINGS = {
    "r_train": "r odd",
    "r_test": "r even",
    "r_test_shuffled": "r shuffled",
    "above_chance": "above shuffled",
    "ceiling": "ceiling of r",
    "overlap": "overlap",
    "overlap_shuffled": "shuffled",
    "assigned_r_test": "one to one",
    "assigned_r_test_shuffled": "one to one, shuffled",
    "layer": "layer of most",
}


@app.command(cls=CommandWithNames)
def match(
    networks: NetworksArgument,
    against: NeuronsOption = "simulated",
    weights: WeightsOption = "",
    twins: TwinsOption = 0,
    input_size: InputSizeOption = None,
    layers: LayersOption = "own",
    by: SitesOption = "area",
    select: SelectOption = None,
    min_reliability: MinReliabilityOption = None,
    candidates: Annotated[
        int,
        typer.Option(
            "--candidates",
            callback=limited("--candidates", COUNT._replace(least=0)),
            help="Also assign units to neurons one to one, from this many best units of each neuron (assigned_... in "
            "the rows), and do the same for shuffled stimuli.",
        ),
    ] = 0,
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
    """Find the best unit of every neuron in every layer, and print mean scores by site.

    The unit and its layer are chosen on odd repetitions (r odd) and scored on even repetitions (r even), by Pearson's r
    over stimuli. So the best pair is the best on odd repetitions; pictures show even repetitions, where another pair
    may look better. Both halves have the same stimuli, and one of many units always fits by chance. So the same search
    runs for each neuron with shuffled stimuli (r shuffled). Only the difference to r shuffled is more than chance.

    Results are stored in the atlas; stored results are not computed again.

    Examples:

    `murine match resnet18@random:0 pixels --input-size 64`

    `murine match examples/trained_networks.py:squeezenet --twins 1 --against allen-neuropixels --input-size 64`

    `murine match resnet50 --against mouse.nc --stimuli scenes.npz --by cre_line --over animals --figures figures`
    """
    from murine.atlas.unit_sweep import Matching

    quieten(quiet)
    check_rows(rows)
    choices = asked(networks, weights, twins)
    plans = plans_of(input_size, layers, shuffles, seed, batch_size, device)
    neurons = neurons_of(against, select, min_reliability, data, stimuli, quiet)
    work = UnitTables("matches", neurons, by, over, atlas, quiet)
    work.run([Matching(neurons, plan, candidates) for plan in plans], choices, time_limit)
    n = neurons.images.n_stimuli
    title = f"{neurons.recording.name}: units chosen by r odd (over {n} stimuli on odd repetitions), scored by r even"
    one_to_one = {} if candidates else dict.fromkeys(name for name in _MATCH_HEADINGS if name.startswith("assigned"))
    headings = {name: text for name, text in _MATCH_HEADINGS.items() if name not in one_to_one}
    work.show(bootstraps, seed, format, headings, title)
    work.finish(rows, figures)
