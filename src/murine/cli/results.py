"""Commands that show results: tables and the report."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from murine.cli.options import AtlasOption, FormatOption, QuietOption, limited
from murine.cli.tables import COMPARABLE, Format, show
from murine.limits import COUNT

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer()


class ResultView(StrEnum):
    """Which results."""

    leaderboard = "leaderboard"
    sites = "sites"
    layers = "layers"
    metrics = "metrics"
    agreement = "agreement"
    treatments = "treatments"
    failures = "failures"


@app.command()
def results(
    view: Annotated[
        ResultView,
        typer.Option(
            "--view",
            help="leaderboard; sites: the chosen layers of every site; layers: every layer; metrics: a row for "
            "each network, a column for each metric; agreement: correlations over networks between the scores by two "
            "metrics; treatments: trained minus random networks under every "
            "treatment of neurons and features; failures: networks that could not be scored, and why.",
        ),
    ] = ResultView.leaderboard,
    atlas: AtlasOption = Path("atlas"),
    network: Annotated[str | None, typer.Option("--network", help="Only this network, wildcards allowed.")] = None,
    cortex: Annotated[str | None, typer.Option("--cortex", help="Only this cortex.")] = None,
    metric: Annotated[str | None, typer.Option("--metric", help="Only this metric.")] = None,
    site: Annotated[str | None, typer.Option("--site", help="Only this site, wildcards allowed.")] = None,
    layer: Annotated[str | None, typer.Option("--layer", help="Only these layers, wildcards allowed.")] = None,
    sort: Annotated[str | None, typer.Option("--sort", help="Column to sort by; -COLUMN for descending order.")] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", callback=limited("--limit", COUNT), help="Maximal number of rows.")
    ] = None,
    sql: Annotated[
        str | None,
        typer.Option(
            "--sql",
            help="DuckDB query over the tables leaderboard (one row a network, ranked only among comparable "
            "results), scores (every layer, naive and held-out rows, groups of images), matches and maps.",
        ),
    ] = None,
    format: FormatOption = Format.table,
) -> None:
    """Query the atlas: filters, sorting, SQL.

    Examples:

    `murine results`

    `murine results --view agreement --format markdown`

    `murine results --view sites --cortex allen-2p --site 'VISp*' --sort -ceiled`

    `murine results --sql "SELECT network, value, unit FROM leaderboard WHERE metric = 'rsa-pearson'" --format csv`
    """
    from murine.atlas.leaderboard import ask
    from murine.atlas.store import Atlas
    from murine.atlas.views import View, matching, ordered, read_view

    store = Atlas(atlas)
    patterns = {"network": network, "site": site, "layer": layer}
    if sql is None:
        table, headings = read_view(store, view.value, cortex=cortex, metric=metric, **patterns)
    else:
        table, headings = View(matching(ask(store, sql), patterns))
    if sort is not None:
        table = ordered(table, sort)
    if limit is not None:
        table = table.head(limit)
    elif format is Format.table and sql is None and len(table) > MOST_ROWS:
        table = _shortened(table)
    show(table, format, compact=sql is None, headings=headings)


#: Rows of a table on a terminal; of longer ones, only so many of each set of comparable rows are shown.
MOST_ROWS, FIRST_ROWS = 500, 10


def _shortened(table: pd.DataFrame) -> pd.DataFrame:
    """Return the first rows of each set of comparable rows, and say so."""
    sets = [name for name in COMPARABLE if name in table]
    short = table.groupby(sets, sort=False, dropna=False).head(FIRST_ROWS) if sets else table.head(MOST_ROWS)
    print(
        f"murine: {len(short):,} of {len(table):,} rows: the first {FIRST_ROWS} of each set. --limit {len(table)}, "
        "--format csv, --cortex, --metric and --network show others.",
        file=sys.stderr,
    )
    return short


@app.command()
def report(
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file to write.")] = Path("murine_report.html"),
    atlas: AtlasOption = Path("atlas"),
    cortex: Annotated[str | None, typer.Option("--cortex", help="Only this cortex.")] = None,
    metric: Annotated[str | None, typer.Option("--metric", help="Only this metric.")] = None,
    figures: Annotated[
        Path | None, typer.Option("--figures", help="Also write ranking and heat map as PDF and PNG to this folder.")
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Write one self-contained HTML page that works offline: leaderboard, heat map, depth profiles, provenance.

    Example: `murine report --atlas atlas --out report.html --figures figures`
    """
    write_report(atlas, out, cortex, metric, quiet)
    if figures is not None:
        from murine.atlas.store import Atlas
        from murine.progress import progress_bars
        from murine.report.figures import write_figures

        with progress_bars(not quiet) as progress, progress.task("drawing figures", None):
            files = write_figures(Atlas(atlas), figures, cortex=cortex, metric=metric)
        if not quiet:
            print(f"{len(files)} figures are in {figures}", file=sys.stderr)


def write_report(folder: Path, out: Path, cortex: str | None, metric: str | None, quiet: bool) -> None:
    """Write the page and say where it is."""
    from murine.api import report as write
    from murine.progress import progress_bars

    with progress_bars(not quiet) as progress, progress.task("writing the report", None):
        written = write(folder, out, cortex=cortex, metric=metric)
    if not quiet:
        print(f"the report is in {written}", file=sys.stderr)
