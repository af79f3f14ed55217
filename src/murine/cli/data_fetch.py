"""The command that fetches public data sets."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from murine.cli.common import quieten
from murine.cli.data_options import FetchCommand, settings_of
from murine.cli.options import (
    CacheOption,
    EndpointOption,
    PublicDatasetArgument,
    QuietOption,
    RefreshOption,
    limited,
)
from murine.errors import MurineError
from murine.limits import SECONDS, Limits

app = typer.Typer()


class Check(StrEnum):
    """What a fetched file is held against."""

    etag = "etag"
    size = "size"


@app.command("fetch", cls=FetchCommand)
def data_fetch(
    ctx: typer.Context,
    name: PublicDatasetArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, and stop.")] = False,
    cache: CacheOption = None,
    endpoint: EndpointOption = "",
    workers: Annotated[
        int, typer.Option("--workers", callback=limited("--workers", Limits(1, 32)), help="Files at a time.")
    ] = 4,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", callback=limited("--timeout", SECONDS), help="Seconds without a byte before a retry."
        ),
    ] = 30.0,
    retries: Annotated[
        int,
        typer.Option("--retries", callback=limited("--retries", Limits(0, 1000)), help="Attempts without progress."),
    ] = 5,
    check: Annotated[
        Check, typer.Option("--check", help="Compare with the ETag, or only the size where ETags are no digests.")
    ] = Check.etag,
    refresh: RefreshOption = False,
    quiet: QuietOption = False,
) -> None:
    """Fetch sessions of a public data set and make recordings of them; never a movie file.

    First it tells how many files and bytes will come and how much disk is free. Files come several at a time, are
    verified, and go on where they stopped after Ctrl-C, a crash or a cut. Each becomes its recordings (a few MB) and
    is deleted, unless it is to be kept: ask for all signals and windows at once, or keep raw files.

    Examples:

    `murine data fetch allen --area VISp --cre cux2 --limit 4`

    `murine data fetch allen --events --yes`

    `murine data fetch allen --class inhibitory --signal dff --window de-vries2020 --keep-raw`

    `murine data fetch allen-neuropixels --area VISp --limit 2 --window 50:250`
    """
    from murine.cortex.public_data import DataAccess, find_public_dataset
    from murine.progress import progress_bars

    quieten(quiet)
    data_set = find_public_dataset(name)
    access = DataAccess(cache, endpoint, check.value, timeout, retries, workers, refresh, dry_run)
    settings = settings_of(data_set, "plan", ctx)
    with progress_bars(not quiet) as progress:
        plan = data_set.plan(access, settings, progress=progress)
    if not quiet:
        print("\n".join(plan.lines), file=sys.stderr)
    if dry_run:
        return
    if plan.needs_consent and not yes:
        if not sys.stdin.isatty():
            raise MurineError("there is nobody to ask whether to do that; give --yes, or --dry-run to see the plan.")
        typer.confirm("Go on?", default=True, abort=True, err=True)
    with progress_bars(not quiet) as progress:
        result = data_set.fetch(plan, progress=progress)
    if not quiet:
        for note in result.notes:
            print(f"murine: {note}", file=sys.stderr)
        print(result.summary, file=sys.stderr)
        if result.can_build:
            print(f"`murine data build {name} --out FILE.nc` makes one recording of them.", file=sys.stderr)
        if told := data_set.citation_text():
            print(told, file=sys.stderr)
    result.require_all()
