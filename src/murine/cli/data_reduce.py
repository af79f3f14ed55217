"""The command that makes recordings of two-photon files that somebody has already."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from murine.cli.common import quieten
from murine.cli.options import QuietOption
from murine.errors import MurineError

app = typer.Typer()


@app.command("reduce")
def data_reduce(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="NWB files of two-photon experiments.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the recordings, <experiment id>.nc.")],
    events: Annotated[
        Path | None, typer.Option("--events", help="Folder of <experiment id>_events.npz, for --signal events.")
    ] = None,
    signal: Annotated[str, typer.Option("--signal", help="corrected, dff or events.")] = "corrected",
    window: Annotated[
        str, typer.Option("--window", help="allensdk, de-vries2020, 0-250ms, or frames as 2:12.")
    ] = "allensdk",
    quiet: QuietOption = False,
) -> None:
    """Make recordings of two-photon files you have already, as those of an AllenSDK cache.

    Each file is read in a process of its own: a damaged one is reported and the others go on.

    Example: `murine data reduce ophys_experiment_data/*.nwb --out recordings --signal dff`
    """
    from murine.cortex.allen.reduction import measures_of, write_recordings
    from murine.progress import progress_bars

    quieten(quiet)
    (measure,) = measures_of([signal], [window])
    with progress_bars(not quiet) as progress, progress.task("making recordings", len(files)) as bar:
        failures = write_recordings(files, out, measure, events=events, done=lambda file: bar.advance(done=file.name))
    n_made = len(files) - len(failures)
    if not quiet:
        print(f"{n_made:,} recording{'s'[: n_made != 1]} written to {out}", file=sys.stderr)
    if failures:
        given = f"{len(files):,} file{'s'[: len(files) != 1]}"
        raise MurineError(f"no recording of {len(failures)} of {given}:\n  " + "\n  ".join(failures))
