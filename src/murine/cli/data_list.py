"""The command that lists data sets."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from murine.cli.data_options import ListCommand, settings_of
from murine.cli.options import CacheOption, EndpointOption, FormatOption, RefreshOption
from murine.cli.tables import Format, show
from murine.errors import MurineError

app = typer.Typer()


@app.command("list", cls=ListCommand)
def data_list(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(help="Nothing: the names --against knows. A public data set: what can be fetched.")
    ] = "",
    cache: CacheOption = None,
    endpoint: EndpointOption = "",
    refresh: RefreshOption = False,
    format: FormatOption = Format.table,
) -> None:
    """List data sets, or filter and count what a public one holds.

    Examples:

    `murine data list`

    `murine data list allen --area VISp --class inhibitory`

    `murine data list allen --cre sst --by area,layer,depth_um --cells`

    `murine data list allen --each --format csv`
    """
    from murine.cortex.public_data import DataAccess, find_public_dataset, usable_datasets
    from murine.progress import progress_bars

    if not name:
        if ctx.obj:
            given = ", ".join(f"--{option}" for option in ctx.obj)
            raise MurineError(f"{given}: of which public data set? Give its name: {', '.join(usable_datasets())}.")
        _list_names(format)
        return
    data_set = find_public_dataset(name)
    access = DataAccess(cache, endpoint, refresh=refresh)
    settings = settings_of(data_set, "list", ctx)
    with progress_bars(True) as progress:
        listing = data_set.list(access, settings, progress=progress)
    in_terminal = format is Format.table and listing.shown is not None
    show(listing.shown if in_terminal else listing.table, format, compact=False)
    if listing.note and format is Format.table:
        print(listing.note, file=sys.stderr)


def _list_names(format: Format) -> None:
    """Print the data sets by name, and where the public ones are listed."""
    import pandas as pd

    from murine.cortex.dataset_sources import known_sources
    from murine.cortex.public_data import usable_datasets

    about = [(name, source.species, source.licence, source.about) for name, source in known_sources().items()]
    table = pd.DataFrame(about, columns=["name", "species", "licence", "about"])
    show(table[["name", "about"]] if format is Format.table else table, format)
    if format is Format.table:
        print("These are for --against. Public data sets that can be fetched:", file=sys.stderr)
        for name, data_set in usable_datasets().items():
            print(f"`murine data list {name}`: {data_set.about}", file=sys.stderr)
