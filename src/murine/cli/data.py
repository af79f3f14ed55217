"""The group of commands that find, fetch and show cortical data."""

from __future__ import annotations

import typer

from murine.cli import data_build, data_fetch, data_import, data_list, data_reduce, data_show, interchange

app = typer.Typer(no_args_is_help=True, help="Cortical data: what there is, fetching, choosing neurons.")
for module in (data_list, data_fetch, data_build, data_reduce, data_show, interchange, data_import):
    app.add_typer(module.app)
