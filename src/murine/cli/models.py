"""Commands that tell of networks: what there is, and what they would cost."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from murine.cli import models_plan
from murine.cli.numbers import number_with_unit, short_number
from murine.cli.options import (
    FormatOption,
)
from murine.cli.tables import Format, show


class _ListByDefault(TyperGroup):
    """`murine models PATTERN` is `murine models list PATTERN`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ListByDefault,
    help="List the networks that can be named, with what is known of them; `plan`: what they would cost.\n\n"
    "Examples: `murine models 'resnet1*' --pretrained`, `murine models --suite neurn44`, `murine models plan resnet50`",
)

#: Columns a terminal has room for.
_SHOWN = [
    "network",
    "family",
    "parameters",
    "depth",
    "input_size",
    "weights",
    "task",
    "data",
    "top1",
    "year",
    "citation",
]


@app.command(name="list")
def list_networks(
    pattern: Annotated[
        str,
        typer.Argument(
            help="Name with wildcards, as 'resnet*' or 'torchvision:*'; a plain one looks in timm, then in torchvision."
        ),
    ] = "*",
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="A row for every tag of pretrained weights.")
    ] = False,
    family: Annotated[str | None, typer.Option("--family", help="Only this family, wildcards allowed.")] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="Only weights trained like this: classification, self-supervised ...")
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option("--suite", help="Only the members of a published list: conwell2021, conwell2021-tasks, neurn44."),
    ] = None,
    max_parameters: Annotated[
        str | None, typer.Option("--max-parameters", help="At most so many: 5M, 1.2B or a number.")
    ] = None,
    format: FormatOption = Format.table,
) -> None:
    """List networks and their properties; csv and json also tell where each property is from.

    Parameters count the last layers, too; depth is that of the longest way, in layers with weights. Task, data and
    top-1 are those of the default weights, or with `--pretrained` of each. What is not known is empty.

    Examples:

    `murine models 'resnet1*' --pretrained`

    `murine models --suite conwell2021 --max-parameters 5M`

    `murine models --task self-supervised --pretrained --format csv`
    """
    import pandas as pd

    from murine.networks import catalogue
    from murine.networks.catalogue_search import find_entries

    entries = find_entries(
        pattern,
        pretrained=pretrained,
        suite=suite or "",
        family=family,
        task=task,
        max_parameters=None if max_parameters is None else number_with_unit(max_parameters, "--max-parameters"),
    )
    table = pd.DataFrame([entry.row() for entry in entries], dtype=object)
    if suite:
        members = catalogue.suite(suite)
        called = {member.network: member.name for member in members}
        table.insert(0, "member", [called[name] for name in table["network"]])
        if missing := [f"{member.name} ({member.missing})" for member in members if member.missing]:
            print(f"not available: {'; '.join(missing)}", file=sys.stderr)
    if format in (Format.table, Format.markdown):
        table = table[[column for column in ("member", *_SHOWN) if column in table]]
        table["parameters"] = [short_number(number) for number in table["parameters"]]
    show(table.where(table.notna(), ""), format)


app.add_typer(models_plan.app)
