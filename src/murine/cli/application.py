"""All commands. Everything heavy is imported inside the commands: `murine --help` must be quick."""

from __future__ import annotations

from typing import Annotated

import typer

from murine.cli import (
    align,
    atlas,
    data,
    domains,
    explain,
    generalization,
    masquerade,
    models,
    neurn,
    results,
    scoring,
    study,
    sweep,
    unit_maps,
    unit_match,
    verification,
)
from murine.cli.command_groups import MurineCommands
from murine.cli.common import quieten

app = typer.Typer(
    name="murine",
    cls=MurineCommands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="How mouse-like is a deep network, and does making it more mouse-like make it more robust?",
    epilog="Start with `murine demo`. Every command has `--help` with examples.",
)
app.add_typer(scoring.app)
app.add_typer(sweep.app)
app.add_typer(results.app)
app.add_typer(masquerade.app)
app.add_typer(neurn.app)
app.add_typer(align.app)
app.add_typer(explain.app)
app.add_typer(unit_match.app)
app.add_typer(unit_maps.app)
app.add_typer(generalization.app)
app.add_typer(study.app)
app.add_typer(verification.app)
app.add_typer(atlas.why_app)
app.add_typer(atlas.app, name="atlas")
app.add_typer(data.app, name="data")
app.add_typer(models.app, name="models")
app.add_typer(domains.app, name="domains")


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    quieten(False)  # commands with --quiet change that
    if version:
        from importlib.metadata import version as installed

        print(f"murine {installed('murine')}")
        raise typer.Exit
