"""What commands share: options, and how results are printed."""

from __future__ import annotations

import logging
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pandas as pd


class Format(StrEnum):
    """How results are printed."""

    table = "table"
    csv = "csv"
    json = "json"


AtlasOption = Annotated[Path, typer.Option("--atlas", help="Folder of results; made if missing.")]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Folder of data (default: $MURINE_SHARED, then ../shared).")
]
FormatOption = Annotated[Format, typer.Option("--format", help="How to print the result.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no notes: results and errors only.")]
JobsOption = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Processes; networks are shared among them.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of resampling, permutations and random halves.")]


def quieten(quiet: bool) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("murine: %(message)s"))
    log = logging.getLogger("murine")
    log.handlers = [handler]
    log.setLevel(logging.ERROR if quiet else logging.WARNING)


#: Columns a terminal has room for, in order, with what stands above them.
_COMPACT = {
    "band": "band",
    "cortex": "cortex",
    "metric": "metric",
    "network": "network",
    "weights": "weights",
    "input_size": "input",
    "site": "site",
    "layer": "layer",
    "ceiled": "of ceiling",
    "score": "score",
    "naive": "naive best",
    "p_value": "p",
    "p_max": "p max",
    "n_sites": "sites",
    "selection": "layer choice",
    "chosen": "chosen",
    "flag": "flag",
}


def show(table: pd.DataFrame, format: Format, compact: bool = True) -> None:
    if format is Format.json:
        sys.stdout.write(table.to_json(orient="records", double_precision=15) + "\n")
    elif format is Format.csv:
        table.to_csv(sys.stdout, index=False)
    else:
        _print_table(table, compact)


def _print_table(table: pd.DataFrame, compact: bool) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    if table.empty:
        print("no results")
        return
    known = [column for column in _COMPACT if column in table] if compact else []
    columns = (
        (known + [c for c in table if c.startswith("within ")])
        if "network" in known and "score" in known
        else list(table)
    )
    same = [c for c in ("cortex", "metric") if c in columns and table[c].nunique() == 1]
    title = ", ".join(str(table[c].iloc[0]) for c in same) or None
    columns = [c for c in columns if c not in same]
    shown = Table(title=title, title_justify="left", pad_edge=False, box=None, header_style="bold")
    for column in columns:
        numeric = table[column].dtype.kind in "fiu"
        shown.add_column(
            _COMPACT.get(str(column), str(column)), justify="right" if numeric else "left", overflow="fold"
        )
    band: object = None
    for row in table.to_dict(orient="records"):
        if "band" in row and band is not None and row["band"] != band:
            shown.add_section()
        band = row.get("band")
        shown.add_row(*(escape(_cell(row, column)) for column in columns))
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(shown)


def _cell(row: dict[str, Any], column: str) -> str:
    value = row[column]
    if isinstance(value, float):
        if value != value:
            return "-"
        text = f"{value:.3f}"
        low, high = row.get(f"{column}_low"), row.get(f"{column}_high")
        if low is not None and high is not None:
            text += f" [{low:.2f}, {high:.2f}]"
        return text
    return "" if value is None else str(value)
