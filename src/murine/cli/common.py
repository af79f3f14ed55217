"""What commands share: options, and how results are printed."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from murine.errors import MurineError
from murine.limits import BATCH_SIZE, BOOTSTRAPS, INPUT_SIZE, JOBS, PERMUTATIONS, RELIABILITY, SEED, SPLITS, Limits

if TYPE_CHECKING:
    import pandas as pd

    from murine.atlas.sweep import Outcome
    from murine.networks.zoo import Choice


class Format(StrEnum):
    """How results are printed."""

    table = "table"
    csv = "csv"
    json = "json"
    markdown = "markdown"


def limited(name: str, limits: Limits) -> Callable[[Any], Any]:
    """Return a callback of an option that refuses numbers outside limits before anything runs."""

    def check(given: Any) -> Any:
        for value in given if isinstance(given, (list, tuple)) else [given]:
            limits.check(name, value)
        return given

    return check


AtlasOption = Annotated[Path, typer.Option("--atlas", help="Folder of results; made if missing.")]
CacheOption = Annotated[
    Path | None, typer.Option("--cache", help="Folder of fetched data (default: $MURINE_CACHE, then the system's).")
]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Folder of data (default: $MURINE_SHARED, then ../shared).")
]
FormatOption = Annotated[Format, typer.Option("--format", help="How to print the result.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no notes: results and errors only.")]
JobsOption = Annotated[
    int,
    typer.Option("--jobs", "-j", callback=limited("--jobs", JOBS), help="Processes; networks are shared among them."),
]
SeedOption = Annotated[
    int,
    typer.Option("--seed", callback=limited("--seed", SEED), help="Of resampling, permutations and random halves."),
]
BootstrapsOption = Annotated[
    int,
    typer.Option(
        "--bootstraps", callback=limited("--bootstraps", BOOTSTRAPS), help="Samples of stimuli for intervals."
    ),
]
PermutationsOption = Annotated[
    int,
    typer.Option("--permutations", callback=limited("--permutations", PERMUTATIONS), help="Relabellings for p-values."),
]
SplitsOption = Annotated[
    int,
    typer.Option("--splits", callback=limited("--splits", SPLITS), help="Random halves of repetitions for ceilings."),
]
NetworksArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="NETWORK...",
        help="timm name (wildcards allowed), path/to/file.py:factory (options in brackets: 'net.py:build(width=64)'), "
        "or a control (pixels, gabor, neurn); each optionally with @WEIGHTS.",
    ),
]
WeightsOption = Annotated[
    str, typer.Option("--weights", help="For networks without @WEIGHTS: pretrained, random:SEED or a file.")
]
TwinsOption = Annotated[
    int,
    typer.Option(
        "--twins",
        callback=limited("--twins", Limits(0, 1000)),
        help="Add N random twins of every trained network.",
    ),
]
InputSizeOption = Annotated[
    list[str] | None,
    typer.Option("--input-size", help="Pixels (64), HEIGHTxWIDTH or native; may be given several times."),
]
LayersOption = Annotated[
    str, typer.Option("--layers", help="all, blocks, own (all but what surgery put in), or names with wildcards.")
]
SelectOption = Annotated[
    list[str] | None, typer.Option("--select", help="Neurons with KEY=VALUE (area=VISp); repeat for more values.")
]
MinReliabilityOption = Annotated[
    float | None,
    typer.Option(
        "--min-reliability",
        callback=limited("--min-reliability", RELIABILITY),
        help="Neurons with at least this split-half reliability.",
    ),
]
StimuliOption = Annotated[
    Path | None, typer.Option("--stimuli", help="Images of your own data: a folder of PNGs or an npz.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1 ... or auto.")]
BatchSizeOption = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        callback=limited("--batch-size", BATCH_SIZE),
        help="Images that pass together (default: all that fit).",
    ),
]


def quieten(quiet: bool) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("murine: %(message)s"))
    log = logging.getLogger("murine")
    log.handlers = [handler]
    log.setLevel(logging.ERROR if quiet else logging.WARNING)


def asked(networks: Sequence[str], weights: str, twins: int) -> list[Choice]:
    """The networks that were named, each once, and random twins of those that are trained."""
    from murine.networks import zoo

    choices = zoo.expand(networks, weights)
    with_twins = [*choices, *(zoo.twin(choice, seed) for choice in choices for seed in range(twins))]
    return list(dict.fromkeys(choice for choice in with_twins if choice is not None))


def names(text: str) -> tuple[str, ...]:
    """``area, layer`` -> (area, layer)"""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def pairs(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """``area=VISp`` -> (area, VISp), in order."""
    for text in texts:
        if "=" not in text:
            raise MurineError(f"--select {text!r} is not understood; expected KEY=VALUE, as area=VISp.")
    return tuple(sorted((text.partition("=")[0], text.partition("=")[2]) for text in texts))


def sizes(texts: Sequence[str] | None) -> list[int | tuple[int, int] | None]:
    """Each once: ``native`` -> None, ``64`` -> 64, ``64x80`` -> (64, 80)."""
    return [_size(text) for text in dict.fromkeys(texts or ["native"])]


def _size(text: str) -> int | tuple[int, int] | None:
    if text == "native":
        return None
    parts = [whole_number(part) for part in text.lower().split("x")]
    height, width = parts[0], parts[-1]
    if len(parts) > 2 or height is None or width is None:
        raise MurineError(f"--input-size {text!r} is not understood; expected 64, 64x80 (height x width) or native.")
    for part in (height, width):
        INPUT_SIZE.check("--input-size", part)
    return height if len(parts) == 1 else (height, width)


def whole_number(text: str) -> int | None:
    """``64`` -> 64; None for what is no number in the digits 0 to 9, of at most 18."""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def report_outcomes(outcomes: Sequence[Outcome], folder: Path, quiet: bool) -> None:
    """Tell what became of networks, and fail if one did."""
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    if not quiet:
        computed = sum(outcome.state == "computed" for outcome in outcomes)
        done = sum(outcome.state == "done" for outcome in outcomes)
        print(
            f"{computed} computed, {done} done before, {len(failed)} failed; results are in {folder}",
            file=sys.stderr,
        )
    if failed:
        several = "" if len(outcomes) == 1 else f"{len(failed)} of {len(outcomes)} networks could not be scored:\n"
        raise MurineError(several + "\n".join(f"{outcome.choice}: {outcome.reason}" for outcome in failed))


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
    elif format is Format.markdown:
        named = headings or {column: _COMPACT.get(column, column) for column in _chosen_columns(table, compact)}
        _print_markdown(table, {column: text for column, text in named.items() if column in table}, digits)
    elif headings is not None:
        _print_table(table, {column: text for column, text in headings.items() if column in table}, title, digits)
    else:
        columns = _chosen_columns(table, compact)
        same = [c for c in ("cortex", "metric") if c in columns and table[c].nunique() == 1]
        title = title or ", ".join(str(table[c].iloc[0]) for c in same)
        _print_table(table, {c: _COMPACT.get(c, c) for c in columns if c not in same}, title, digits)


def _print_markdown(table: pd.DataFrame, headings: Mapping[str, str], digits: tuple[int, int]) -> None:
    """A table for a page."""
    rows = [[_cell(row, column, digits) for column in headings] for row in table.to_dict("records")]
    for cells in [list(headings.values()), ["---"] * len(headings), *rows]:
        print("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")


def _chosen_columns(table: pd.DataFrame, compact: bool) -> list[str]:
    known = [column for column in _COMPACT if column in table] if compact else []
    if "network" in known and "score" in known:
        return known + [str(c) for c in table if str(c).startswith("within ")]
    return [str(c) for c in table]


def _print_table(table: pd.DataFrame, headings: Mapping[str, str], title: str, digits: tuple[int, int]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = Table(title=escape(title) or None, title_justify="left", pad_edge=False, box=None, header_style="bold")
    for column, heading in headings.items():
        numeric = table[column].dtype.kind in "fiu"
        shown.add_column(escape(heading), justify="right" if numeric else "left", overflow="fold")
    band: object = None
    for row in table.to_dict(orient="records"):
        if "band" in row and band is not None and row["band"] != band:
            shown.add_section()
        band = row.get("band")
        shown.add_row(*(escape(_cell(row, column, digits)) for column in headings))
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(shown)


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
