"""The command that shows the sites of a data set."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from murine.cli.common import names
from murine.cli.options import DataOption, FormatOption, StimuliOption
from murine.cli.registry_help import CommandWithNames
from murine.cli.tables import Format, show

app = typer.Typer()


@app.command("show", cls=CommandWithNames)
def data_show(
    name: Annotated[str, typer.Argument(help="Data set: {datasets}; or a file.")],
    by: Annotated[str, typer.Option("--by", help="Labels of neurons that define a site.")] = "area",
    stimuli: StimuliOption = None,
    data: DataOption = None,
    format: FormatOption = Format.table,
) -> None:
    """Show the sites of a data set: neurons, repetitions, reliability of neurons and of RDMs.

    Example: `murine data show allen-neuropixels --by area,layer`
    """
    from murine.cortex.loading import load_dataset
    from murine.scoring.site_summary import site_reliability_table

    dataset = load_dataset(name, root=data, stimuli=stimuli)
    show(site_reliability_table(dataset.responses, names(by)), format)
    if format is Format.table:
        print(dataset.describe(), file=sys.stderr)
