"""Printing of tables for a terminal, for a page, or for other programs."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from murine.report.short_names import shortened

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


class Format(StrEnum):
    """How results are printed."""

    table = "table"
    csv = "csv"
    json = "json"
    markdown = "markdown"


#: Columns a terminal has room for, in order, with what stands above them.
_COMPACT = {
    "band": "band",
    "cortex": "cortex",
    "metric": "metric",
    "network": "network",
    "weights": "weights",
    "input_size": "input",
    "treatment": "treatment",
    "setting": "setting",
    "site": "site",
    "stimuli": "images",
    "split": "split",
    "layer": "layer",
    "ceiled": "share of ceiling",
    "score": "raw score",
    "naive": "naive best, share",
    "plain": "plain r",
    "chance": "plain r by chance",
    "p_value": "p",
    "p_max": "largest p",
    "n_sites": "sites",
    "selection": "layer choice",
    "chosen": "chosen",
    "flag": "flag",
    "site_flag": "about the site",
}


def show(
    table: pd.DataFrame,
    format: Format,
    compact: bool = True,
    *,
    headings: Mapping[str, str] | None = None,
    title: str = "",
    digits: tuple[int, int] = (3, 2),
) -> None:
    """Print a table.

    Parameters
    ----------
    compact
        In a table of scores, only the columns a terminal has room for.
    headings
        In a table, only these columns, in this order, with what stands above them.
    title
        Of a table. By default what all rows have in common.
    digits
        After the point in a table, of numbers and of their intervals.
    """
    if format is Format.json:
        sys.stdout.write(table.to_json(orient="records", double_precision=15) + "\n")
    elif format is Format.csv:
        table.to_csv(sys.stdout, index=False)
    elif table.empty:
        print("no results")
    elif headings is None and compact and (sets := _comparable(table)):
        for name, own in sets.items():
            if format is Format.markdown:
                print(f"**{name}**\n")
            show(own, format, title=name, digits=digits)
            print()
    elif format is Format.markdown:
        named = headings or {column: _COMPACT.get(column, column) for column in _chosen_columns(table, compact)}
        _print_markdown(table, {column: text for column, text in named.items() if column in table}, digits)
    elif headings is not None:
        _print_table(table, {column: text for column, text in headings.items() if column in table}, title, digits)
    else:
        columns = _chosen_columns(table, compact)
        same = [c for c in COMPARABLE if c in columns and table[c].nunique() == 1]
        title = title or ", ".join(str(table[c].iloc[0]) for c in same if table[c].iloc[0])
        _print_table(table, {c: _COMPACT.get(c, c) for c in columns if c not in same}, title, digits)


#: What rows of scores have in common that can be ranked together.
COMPARABLE = ("cortex", "metric", "treatment", "setting")


def _comparable(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Tables of rows that can be ranked together, by what they have in common; none where all rows can."""
    names = [name for name in COMPARABLE if name in table]
    if not names or len(table.drop_duplicates(names)) < 2:
        return {}
    sets = table.groupby(names, sort=False, dropna=False)
    return {", ".join(str(part) for part in key if part): own.drop(columns=names) for key, own in sets}


def _print_markdown(table: pd.DataFrame, headings: Mapping[str, str], digits: tuple[int, int]) -> None:
    """A table for a page."""
    rows = [[_cell(row, column, digits) for column in headings] for row in table.to_dict("records")]
    for cells in [list(headings.values()), ["---"] * len(headings), *rows]:
        print("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")


def _chosen_columns(table: pd.DataFrame, compact: bool) -> list[str]:
    told = "site_flag" in table and table["site_flag"].fillna("").ne("").any()
    known = [c for c in _COMPACT if c in table and (told or c != "site_flag")] if compact else []
    # Only metrics that predict neurons have these.
    known = [c for c in known if c not in ("plain", "chance") or table[c].notna().any()]
    if "network" in known and "score" in known:
        return known + [str(c) for c in table if str(c).startswith("within ")]
    return [str(c) for c in table]


def _print_table(table: pd.DataFrame, headings: Mapping[str, str], title: str, digits: tuple[int, int]) -> None:
    """A row of the table is a line, however wide the terminal is."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    rows = table.to_dict("records")
    columns = [[heading, *(_cell(row, column, digits) for row in rows)] for column, heading in headings.items()]
    # In a file or a pipe a line may be as long as it likes, unless COLUMNS limits it.
    limited = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal()
    fitted = _fitted(columns, Console().width) if limited else columns
    if left_out := list(headings.values())[len(fitted) :]:
        log.warning("no room for %s: a wider window, or --format csv, shows them.", ", ".join(left_out))

    shown = Table(pad_edge=False, box=None, header_style="bold")
    for name, (heading, *_) in zip(headings, fitted, strict=False):
        numeric = table[name].dtype.kind in "fiu"
        shown.add_column(escape(heading), justify="right" if numeric else "left", no_wrap=True)
    band: object = None
    for i, row in enumerate(rows, 1):
        if "band" in row and band is not None and row["band"] != band:
            shown.add_section()
        band = row.get("band")
        shown.add_row(*(escape(cells[i]) for cells in fitted))
    console = Console(width=max(_width(fitted), cell_len(title), 1))
    if title:  # by itself: as a part of the table it would be broken into lines of the table's width
        console.print(escape(title), style="table.title", highlight=False)
    console.print(shown, crop=False)


#: Blanks between the columns of a table.
_GAP = 2


def _width(columns: Sequence[Sequence[str]]) -> int:
    from rich.cells import cell_len

    return sum(max(map(cell_len, cells)) for cells in columns) + _GAP * (len(columns) - 1)


def _fitted(columns: Sequence[Sequence[str]], room: int) -> list[list[str]]:
    """The first columns, as many as there is room for: long names lose their middle, numbers lose nothing."""
    fitted = [list(cells) for cells in columns]
    named = [cells for cells in fitted if not any(re.match(r"[-+\d\[*]", cell) for cell in cells[1:])]
    for longest, least in ((24, 5), (12, 2)):
        while _width(fitted) > room:
            longer = [cells for cells in fitted if any(cells is own for own in named) and _width([cells]) > longest]
            if longer:
                widest = max(longer, key=lambda cells: _width([cells]))
                to = max(longest, _width([widest]) - (_width(fitted) - room))
                widest[:] = [shortened(cell, to) for cell in widest]
            elif len(fitted) > least:
                fitted.pop()
            else:
                break
    return fitted


def _cell(row: dict[str, Any], column: str, digits: tuple[int, int]) -> str:
    value = row[column]
    if isinstance(value, float):
        if value != value:
            return "-"
        of_value, of_interval = digits
        text = f"{value:.{of_value}f}"
        low, high = row.get(f"{column}_low"), row.get(f"{column}_high")
        if low is not None and high is not None and low == low and high == high:
            text += f" [{low:.{of_interval}f}, {high:.{of_interval}f}]"
        return text
    return "" if value is None else str(value)
