"""Options and printing of tables that `murine match` and `murine maps` share."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from murine.cli.common import isolated, names, pairs, report_outcomes, sizes
from murine.cli.options import Over, limited
from murine.cli.tables import Format, show
from murine.errors import MurineError
from murine.limits import BOOTSTRAPS, SHUFFLES

if TYPE_CHECKING:
    from murine.atlas.unit_results import UnitComparison
    from murine.atlas.unit_sweep import MapComparison, Matching, NeuronData, UnitSettings
    from murine.networks.spec import NetworkSpec

NeuronsOption = Annotated[
    str,
    typer.Option("--against", help="Data set with single neurons, one of: {datasets}; or a file of single trials."),
]
SitesOption = Annotated[
    str,
    typer.Option("--by", help="Labels of neurons that define a site, joined by commas: area,cell_class or cre_line."),
]
OverOption = Annotated[Over, typer.Option("--over", help="Intervals are for other neurons, animals or both.")]
NeuronBootstrapsOption = Annotated[
    int,
    typer.Option(
        "--bootstraps", callback=limited("--bootstraps", BOOTSTRAPS), help="Number of samples of neurons (animals)."
    ),
]
ShufflesOption = Annotated[
    int,
    typer.Option(
        "--shuffles",
        callback=limited("--shuffles", SHUFFLES),
        help="Number of relabellings of each neuron's stimuli, for the chance level.",
    ),
]
RowsOption = Annotated[
    Path | None,
    typer.Option("--rows", help="Also write the rows, one per layer and neuron, to this file (.parquet or .csv)."),
]
FiguresOption = Annotated[
    Path | None, typer.Option("--figures", help="Also draw pictures as PDF and PNG into this folder.")
]


def plans_of(
    input_size: Sequence[str] | None, layers: str, shuffles: int, seed: int, batch_size: int | None, device: str
) -> list[UnitSettings]:
    """One for each size of the images."""
    from murine.atlas.unit_sweep import UnitSettings
    from murine.networks.zoo import available_device

    there = available_device(device)
    return [UnitSettings(layers, size, shuffles, seed, batch_size, there) for size in sizes(input_size)]


def neurons_of(
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


class UnitTables:
    """Compares networks, prints the table of sites and writes what was asked for."""

    def __init__(self, table: str, neurons: NeuronData, by: str, over: Over, atlas: Path, quiet: bool) -> None:
        from murine.atlas.store import Atlas
        from murine.atlas.unit_results import UnitComparison

        labels = neurons.labels(names(by), animals=over is not Over.neurons)
        self.work: UnitComparison = UnitComparison(table, labels, Atlas(atlas))
        self.over, self.quiet = over, quiet

    def run(
        self, comparisons: Sequence[Matching | MapComparison], networks: Sequence[NetworkSpec], time_limit: float
    ) -> None:
        """Compute what is missing."""
        from murine.progress import progress_bars

        with progress_bars(not self.quiet) as progress:
            self.work.run(comparisons, networks, progress, isolated=isolated(), time_limit=time_limit)

    def show(
        self,
        bootstraps: int,
        seed: int,
        format: Format,
        headings: Mapping[str, str],
        title: str,
        digits: tuple[int, int] = (3, 2),
    ) -> None:
        """Print the table of sites, and how many neurons it leaves out."""
        from murine.progress import progress_bars

        with progress_bars(not self.quiet) as progress:
            table = self.work.site_tables(progress, over=self.over.value, n_bootstraps=bootstraps, seed=seed)
        if table.empty:
            return
        labels = self.work.labels
        settings = {"input_size": "input", "side": "side"}
        told = {name: text for name, text in settings.items() if name in table and table[name].nunique() > 1}
        numbers = {"n_neuroids": "neurons", **({} if self.over is Over.neurons else {"n_animals": "animals"})}
        columns = {"network": "network", "weights": "weights", **told, **{name: name for name in labels}}
        show(table, format, headings={**columns, **numbers, **headings}, title=title, digits=digits)
        if self.quiet:
            return
        if n := self.work.n_unlabelled:
            print(f"{n} of {len(labels)} neurons have no label {', '.join(labels)}", file=sys.stderr)
        for flag, n in Counter(self.work.flags.values()).items():
            print(f"{n} of {len(labels)} neurons have no score: {flag}", file=sys.stderr)

    def finish(self, rows: Path | None, figures: Path | None) -> None:
        """Write rows and pictures where asked to, tell what became of the networks, and fail if one did."""
        if rows is not None:
            self.work.export(rows)
        if figures is not None:
            from murine.progress import progress_bars
            from murine.report.figures import save
            from murine.report.unit_pictures import pictures

            finished = self.work.finished
            with progress_bars(not self.quiet) as progress, progress.task("pictures", len(finished)) as bar:
                for comparison, result in finished:
                    for name, figure in pictures(comparison, result, self.work.atlas, self.work.labels):
                        save(figure, figures, name)
                    bar.advance(done=str(result.spec))
        report_outcomes(self.work.results, self.work.atlas.folder, self.quiet)


def check_rows(rows: Path | None) -> None:
    """Refuse a name of the file of rows that cannot be written, before anything is computed."""
    if rows is not None and rows.suffix not in (".parquet", ".csv"):
        raise MurineError(f"--rows {str(rows)!r} has to end with .parquet or .csv.")
