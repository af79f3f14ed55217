"""The command that checks murine on the user's own machine."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from murine.cli.common import quieten
from murine.cli.options import DataOption, FormatOption, QuietOption, SeedOption
from murine.cli.registry_help import CommandWithNames
from murine.cli.tables import Format, show

app = typer.Typer()


@app.command(cls=CommandWithNames)
def verify(
    against: Annotated[
        str,
        typer.Option("--against", help="Also check on these responses. Data set: {datasets}; or a file of responses."),
    ] = "",
    seed: SeedOption = 0,
    data: DataOption = None,
    format: FormatOption = Format.table,
    quiet: QuietOption = False,
) -> None:
    """Check every metric on this machine against scikit-learn, SciPy, rsatoolbox and himalaya.

    Each metric is computed twice on the same numbers, by murine and by the other library; the table gives the largest
    difference. rsatoolbox and himalaya are optional: libraries that are not installed are skipped. The exit code is 1
    if any result does not agree.

    Examples:

    `murine verify`

    `murine verify --against allen-neuropixels --format csv`
    """
    from murine.cortex.loading import load_responses
    from murine.progress import progress_bars
    from murine.studies.verification import ABSENT, OK, sample_of, simulated_sample
    from murine.studies.verification import verify as run

    quieten(quiet)
    with progress_bars(not quiet) as progress:
        with progress.task("reading responses", None):
            samples = [simulated_sample(seed)]
            if against:
                samples.append(sample_of(load_responses(against, root=data), seed))
        table = run(samples, progress)
    shown = table
    if format is Format.table:
        texts = {
            column: [f"{x:.0e}" if x == x else "" for x in table[column]] for column in ("difference", "tolerance")
        }
        shown = table.assign(**texts, seconds=[f"{x:.2f}" for x in table["seconds"]])
    show(shown, format, compact=False)
    absent = table[table["agreement"] == ABSENT]
    wrong = table[~table["agreement"].isin([OK, ABSENT])]
    if not quiet:
        print(f"{(table['agreement'] == OK).sum()} of {len(table) - len(absent)} agree", file=sys.stderr)
        if len(absent):
            names = " ".join(dict.fromkeys(absent["reference"]))
            print(f"`pip install {names}` lets {len(absent)} more be checked", file=sys.stderr)
    if len(wrong):
        print(f"murine: no agreement: {'; '.join(wrong['metric'] + ' with ' + wrong['reference'])}", file=sys.stderr)
        raise typer.Exit(1)
