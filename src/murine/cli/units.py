"""Commands that compare single neurons with single units."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from murine.atlas.limits import TIME_LIMIT
from murine.cli.common import (
    asked,
    isolated,
    names,
    pairs,
    quieten,
    report_outcomes,
    sizes,
)
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
    QuietOption,
    SeedOption,
    SelectOption,
    StimuliOption,
    TimeLimitOption,
    TwinsOption,
    WeightsOption,
    limited,
)
from murine.cli.tables import Format, show
from murine.errors import MurineError
from murine.limits import BOOTSTRAPS, COUNT, SHUFFLES, Limits

if TYPE_CHECKING:
    import pandas as pd

    from murine.atlas.sweep import NetworkResult
    from murine.atlas.unit_sweep import MapComparison, Matching, NeuronData, UnitsPlan
    from murine.networks.spec import NetworkSpec

#: Cells along a side of a map, as `murine.cortex.response_maps` has it.
SIDE = 11

app = typer.Typer()


class Over(StrEnum):
    """What bootstrap samples are drawn of."""

    neurons = "neurons"
    animals = "animals"
    both = "both"


class UnitMaps(StrEnum):
    """What the map of a unit is."""

    activation = "activation"
    weighted = "weighted"


class Normalisation(StrEnum):
    """What makes maps comparable."""

    l2 = "l2"
    min_max = "min-max"


AgainstOption = Annotated[
    str,
    typer.Option(
        "--against", help="Recording: a name of `murine data list` that has single neurons, or a file of single trials."
    ),
]
ByOption = Annotated[
    str,
    typer.Option("--by", help="What makes a site: labels of neurons with commas, as area,cell_class or cre_line."),
]
OverOption = Annotated[Over, typer.Option("--over", help="What intervals generalise to: other neurons, animals, both.")]
BootstrapsOption = Annotated[
    int,
    typer.Option(
        "--bootstraps", callback=limited("--bootstraps", BOOTSTRAPS), help="Samples of neurons (animals) for intervals."
    ),
]
ShufflesOption = Annotated[
    int,
    typer.Option(
        "--shuffles",
        callback=limited("--shuffles", SHUFFLES),
        help="Relabellings of each neuron's stimuli: what chance gives, to stand beside.",
    ),
]
RowsOption = Annotated[
    Path | None,
    typer.Option("--rows", help="Also write the rows, one per layer and neuron, to this file (.parquet or .csv)."),
]
FiguresOption = Annotated[
    Path | None, typer.Option("--figures", help="Also draw pictures as PDF and PNG into this folder.")
]

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

_MAP_HEADINGS = {
    "rmse_best": "nearest unit",
    "rmse_best_shuffled": "nearest, shuffled",
    "below_chance": "below shuffled",
    "rmse_mean": "all units",
    "rmse_mean_shuffled": "all, shuffled",
    "layer": "nearest layer",
}


@app.command()
def match(
    networks: NetworksArgument,
    against: AgainstOption = "simulated",
    weights: WeightsOption = "",
    twins: TwinsOption = 0,
    input_size: InputSizeOption = None,
    layers: LayersOption = "own",
    by: ByOption = "area",
    select: SelectOption = None,
    min_reliability: MinReliabilityOption = None,
    candidates: Annotated[
        int,
        typer.Option(
            "--candidates",
            callback=limited("--candidates", COUNT._replace(least=0)),
            help="Also give each neuron a unit of its own, of so many of its best (one to one; assigned_... in the "
            "rows), beside the same assignment for shuffled stimuli.",
        ),
    ] = 0,
    stimuli: StimuliOption = None,
    data: DataOption = None,
    atlas: AtlasOption = Path("atlas"),
    over: OverOption = Over.neurons,
    bootstraps: BootstrapsOption = 1000,
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
    """Find the best unit of every neuron, in every layer, and tell how well it does by site.

    The unit, and of all layers the best, are chosen on odd repetitions (r odd) and scored on even ones (r even):
    Pearson's r over stimuli. So the pair that is called best is best on odd repetitions; on even ones another may look
    better. Pictures show even repetitions. Both halves saw the same stimuli, and of many units one fits by chance; so
    the same search is done for each neuron with its stimuli shuffled, and stands beside. Only what is above it is not
    chance.

    Results go into the atlas; what is there already is not computed again.

    Examples:

    `murine match resnet18@random:0 pixels --input-size 64`

    `murine match examples/trained_networks.py:squeezenet --twins 1 --against allen-neuropixels --input-size 64`

    `murine match resnet50 --against mouse.nc --stimuli scenes.npz --by cre_line --over animals --figures figures`
    """
    from murine.atlas.unit_sweep import Matching

    quieten(quiet)
    choices = asked(networks, weights, twins)
    plans = _plans(input_size, layers, shuffles, seed, batch_size, device)
    neurons = _neurons(against, select, min_reliability, data, stimuli, quiet)
    work = _Work("matches", neurons.labels(names(by), animals=over is not Over.neurons), atlas, rows, quiet)
    work.sweep([Matching(neurons, plan, candidates) for plan in plans], choices, time_limit)
    n = neurons.images.n_stimuli
    title = f"{neurons.recording.name}: units chosen by r odd (over {n} stimuli on odd repetitions), scored by r even"
    one_to_one = {} if candidates else dict.fromkeys(name for name in _MATCH_HEADINGS if name.startswith("assigned"))
    headings = {name: text for name, text in _MATCH_HEADINGS.items() if name not in one_to_one}
    work.show(over, bootstraps, seed, format, headings, title)
    work.finish(figures)


@app.command()
def maps(
    networks: NetworksArgument,
    against: AgainstOption = "simulated",
    weights: WeightsOption = "",
    twins: TwinsOption = 0,
    input_size: InputSizeOption = None,
    layers: LayersOption = "own",
    side: Annotated[
        list[int] | None,
        typer.Option(
            "--side",
            callback=limited("--side", Limits(2, 1024)),
            help="Cells along a side of a map, as 11, 14, 28; repeat for more. [default: 11]",
        ),
    ] = None,
    unit_maps: Annotated[
        UnitMaps,
        typer.Option(
            "--unit-maps",
            help="activation: a channel's mean activation at each place; weighted: the stimuli weighted by a channel's "
            "mean activation, as a neuron's map by its responses.",
        ),
    ] = UnitMaps.activation,
    normalisation: Annotated[
        Normalisation,
        typer.Option(
            "--normalisation",
            help="What gives neurons and units one scale. l2: unit length, the published scale; min-max: 0 to 1.",
        ),
    ] = Normalisation.l2,
    centred: Annotated[
        bool,
        typer.Option(
            "--centred/--plain",
            help="centred takes each neuron's (channel's) mean response off first. plain does not, as the published "
            "method reads. Rates are not negative, so plain maps are all but the mean stimulus, and those of shuffled "
            "responses come as near to units as the neurons' own, or nearer.",
        ),
    ] = True,
    by: ByOption = "area",
    select: SelectOption = None,
    min_reliability: MinReliabilityOption = None,
    stimuli: StimuliOption = None,
    data: DataOption = None,
    atlas: AtlasOption = Path("atlas"),
    over: OverOption = Over.neurons,
    bootstraps: BootstrapsOption = 1000,
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
    """Compare what each neuron responds to, as a picture, with the maps of all units: Mice-to-Machines maps.

    A neuron's map is the sum of the stimuli, each reduced to a few cells and weighted by the neuron's mean response.
    The RMSE to the map of every channel of a layer is told for the nearest and on the average; of all layers the
    nearest is taken for each site. The same for responses with shuffled stimuli stands beside: only what is nearer
    than that has to do with what the neuron prefers.

    RMSE of maps of unit length shrinks as one over the side of the map. The table shows it times side / 11, so that
    sizes can be compared; 11 is the published size. The rows (`--rows`) hold the plain RMSE.

    Results go into the atlas; what is there already is not computed again.

    Examples:

    `murine maps resnet18@random:0 --input-size 64`

    `murine maps examples/trained_networks.py:mobilenet_v2 --twins 1 --against allen-neuropixels --side 11 --side 14`

    `murine maps resnet50 --against mouse.nc --stimuli scenes.npz --by cell_class --figures figures`
    """
    from murine.atlas.unit_sweep import MapComparison

    quieten(quiet)
    choices = asked(networks, weights, twins)
    plans = _plans(input_size, layers, shuffles, seed, batch_size, device)
    neurons = _neurons(against, select, min_reliability, data, stimuli, quiet)
    work = _Work("maps", neurons.labels(names(by), animals=over is not Over.neurons), atlas, rows, quiet)
    made = (tuple(dict.fromkeys(side or [SIDE])), unit_maps.value, normalisation.value, centred)
    work.sweep([MapComparison(neurons, plan, *made) for plan in plans], choices, time_limit)
    how = f"{'centred' if centred else 'plain'}, {normalisation.value}, unit maps by {unit_maps.value}"
    scale = f" times side / {SIDE}, comparable between sizes" if normalisation is Normalisation.l2 else ""
    title = f"{neurons.recording.name}: RMSE of maps{scale} ({how})"
    work.show(over, bootstraps, seed, format, _MAP_HEADINGS, title, (4, 4))
    if not centred and not quiet:
        print(
            "plain maps are mostly the mean stimulus, those of shuffled responses too: a small RMSE says nothing of "
            "what neurons prefer. --centred (the default) takes the mean off",
            file=sys.stderr,
        )
    work.finish(figures)


def _plans(
    input_size: Sequence[str] | None, layers: str, shuffles: int, seed: int, batch_size: int | None, device: str
) -> list[UnitsPlan]:
    """One for each size of the images."""
    from murine.atlas.unit_sweep import UnitsPlan
    from murine.networks.zoo import available_device

    there = available_device(device)
    return [UnitsPlan(layers, size, shuffles, seed, batch_size, there) for size in sizes(input_size)]


def _neurons(
    against: str,
    select: Sequence[str] | None,
    min_reliability: float | None,
    data: Path | None,
    stimuli: Path | None,
    quiet: bool,
) -> NeuronData:
    from murine.atlas.identity import CortexSettings
    from murine.atlas.unit_sweep import NeuronData
    from murine.progress import progress_bars

    settings = CortexSettings(cortex=against, select=pairs(select or []), min_reliability=min_reliability)
    with progress_bars(not quiet) as progress, progress.task("reading the recording", None):
        return NeuronData(settings, data, stimuli)


class _Work:
    """Networks whose units are compared with neurons, and what is made of their rows."""

    def __init__(self, table: str, labels: pd.DataFrame, atlas: Path, rows: Path | None, quiet: bool) -> None:
        from murine.atlas.store import Atlas

        if rows is not None and rows.suffix not in (".parquet", ".csv"):
            raise MurineError(f"--rows {str(rows)!r} has to end with .parquet or .csv.")
        self.table, self.labels, self.atlas, self.rows, self.quiet = table, labels, Atlas(atlas), rows, quiet
        self.done: list[tuple[Matching | MapComparison, NetworkResult]] = []

    def sweep(
        self, runners: Sequence[Matching | MapComparison], choices: Sequence[NetworkSpec], time_limit: float
    ) -> None:
        """Compute what is missing."""
        from murine.atlas.sweep import each
        from murine.progress import progress_bars

        with progress_bars(not self.quiet) as progress:
            for runner in runners:
                self.done += [
                    (runner, outcome)
                    for outcome in each(
                        runner, choices, self.atlas, progress, isolated=isolated(), time_limit=time_limit
                    )
                ]

    def show(
        self,
        over: Over,
        bootstraps: int,
        seed: int,
        format: Format,
        headings: Mapping[str, str],
        title: str,
        digits: tuple[int, int] = (3, 2),
    ) -> None:
        """Print the table of sites. A network of which no neuron has a score counts as failed."""
        import pandas as pd

        from murine.atlas.unit_sweep import site_table, unscored
        from murine.progress import progress_bars

        tables = []
        flags: dict[str, str] = {}
        with progress_bars(not self.quiet) as progress, progress.task("tables of sites", len(self.done)) as bar:
            for i, (runner, outcome) in enumerate(self.done):
                try:
                    for task in outcome.tasks:
                        rows = self.atlas.read_units(self.table, task)
                        flags |= unscored(rows)
                        tables.append(
                            site_table(rows, self.labels, over=over.value, n_bootstraps=bootstraps, seed=seed)
                        )
                except MurineError as error:
                    self.done[i] = runner, replace(outcome, state="failed", tasks=(), reason=str(error))
                bar.advance()
        if not tables:
            return
        table = pd.concat(tables, ignore_index=True)
        settings = {"input_size": "input", "side": "side"}
        told = {name: text for name, text in settings.items() if name in table and table[name].nunique() > 1}
        numbers = {"n_neuroids": "neurons", **({} if over is Over.neurons else {"n_animals": "animals"})}
        columns = {"network": "network", "weights": "weights", **told, **{name: name for name in self.labels}}
        show(table, format, headings={**columns, **numbers, **headings}, title=title, digits=digits)
        if not self.quiet:
            self._tell_left_out(flags)

    def _tell_left_out(self, flags: Mapping[str, str]) -> None:
        blank = [(self.labels == "").any(axis=1).sum(), len(self.labels)]
        if blank[0]:
            print(f"{blank[0]} of {blank[1]} neurons have no label {', '.join(self.labels)}", file=sys.stderr)
        for flag, n in Counter(flags.values()).items():
            print(f"{n} of {blank[1]} neurons have no score: {flag}", file=sys.stderr)

    def finish(self, figures: Path | None) -> None:
        """Write rows and pictures where asked to, tell what became of the networks, and fail if one did."""
        finished = [(runner, outcome) for runner, outcome in self.done if outcome.tasks]
        if self.rows is not None and finished:
            self.atlas.export_units(self.table, [task for _, outcome in finished for task in outcome.tasks], self.rows)
        if figures is not None:
            from murine.progress import progress_bars
            from murine.report.figures import save
            from murine.report.unit_pictures import pictures

            with progress_bars(not self.quiet) as progress, progress.task("pictures", len(finished)) as bar:
                for runner, outcome in finished:
                    for name, figure in pictures(runner, outcome, self.atlas, self.labels):
                        save(figure, figures, name)
                    bar.advance(done=str(outcome.choice))
        report_outcomes([outcome for _, outcome in self.done], self.atlas.folder, self.quiet)
