"""Write docs/reference/tables.md from the schemas and the descriptions of columns.

    python tools/write_tables_page.py            # writes the page
    python tools/write_tables_page.py --check    # exit code 1 if the page is out of date

Meanings, units and when cells are empty are in `murine.atlas.columns` and `murine.atlas.view_columns`; types are those
of the Parquet schemas."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from murine.atlas.column import Column
from murine.atlas.columns import PARQUET
from murine.atlas.tables import TABLES, UNITS_TABLES, schema_of, score_schema
from murine.atlas.view_columns import VIEWS
from murine.generalization import results
from murine.masquerade.storage import masquerade_schema

PAGE = Path(__file__).resolve().parents[1] / "docs/reference/tables.md"

ABOUT_FILES = {
    "scores": "One row for each layer, site and group of images. Each site has one more row for its held-out layers.",
    "matches": "One row for each layer and neuron: the neuron's best unit in this layer.",
    "maps": "One row for each layer, neuron and size of maps: the channel with the map nearest to the neuron's.",
    "generalization": "One row for each training run and test domain.",
    "masquerade": "One row for each area of a network, of each of its controls, and of groups of real animals.",
}

ABOUT_VIEWS = {
    "leaderboard": "One row for each network in each set of results that can be ranked together. "
    "The table `leaderboard` of `murine results --sql` is the same.",
    "sites": "The rows of `scores` for the chosen layers of each site, without the lists of draws. "
    "A site without a chosen layer has one row that says why.",
    "metrics": "One row for each network, with the leaderboard's value for each metric beside each other.",
    "agreement": "One row for each pair of metrics: how networks' scores by one go with their scores by the other.",
    "treatments": "One row for each network and site: trained network minus random twins, under every treatment.",
    "failures": "One row for each network that could not be scored, the latest first. It goes away when the same work "
    "succeeds.",
}

HEAD = """# Tables

Every column of every table that murine writes or prints. `tools/write_tables_page.py` makes this page; do not edit it.

* An *empty* cell is null or NaN in a number, and null or the empty text in a text. Nothing is ever filled in.
* A *flag* says in words why a row has no score. A row is *chosen* if its layer is the choice for its site.
* *Images* are the stimuli of the data set. *Units* are the numbers that a layer gives for one image.
* The words that are used here are explained in the [glossary](../glossary.md).

## Files

Each result is one Parquet file in the atlas, in the folder named after its table. All files of a table have the same
columns, so `murine results --sql`, pandas, R and DuckDB read them together. The configuration (`murine.task`), the
versions that made it (`murine.provenance`) and a seal (`murine.seal`) are in the metadata of each file.
"""

VIEWS_HEAD = """
## Tables that `murine results` prints

`--format csv` and `--format json` print all columns; in a terminal a table shows those that there is room for. A name
in capitals stands for several columns: `METRIC` for one for each metric, `TREATMENT` for one for each treatment and
`within GROUP` for one for each group of images.

In Python, `murine.score` and `murine.compare` return `Scores`. Its `table` has the most useful columns of `sites`, and
its `rows` those of the file `scores`, with the same names.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_files(), VIEWS_HEAD, *_views()]).rstrip() + "\n"


def schemas() -> dict[str, Any]:
    """The Arrow schema of each Parquet table."""
    units = {name: schema_of(columns) for name, columns in UNITS_TABLES.items()}
    return {"scores": score_schema(), **units, "generalization": results._schema(), "masquerade": masquerade_schema()}


def _files() -> Iterator[str]:
    for table, schema in schemas().items():
        yield f"### {table}\n\n{ABOUT_FILES[table]} Made by `{TABLES[table]}`.\n"
        types = {field.name: _type(field.type) for field in schema}
        yield from _rows(PARQUET[table], types)
        yield ""


def _type(kind: Any) -> str:
    """A type by the name that numpy gives it; Arrow's own for other types."""
    names = {"float": "float32", "double": "float64"}
    if hasattr(kind, "value_type"):
        return f"list of {_type(kind.value_type)}"
    return names.get(str(kind), str(kind))


def _views() -> Iterator[str]:
    for view, about in ABOUT_VIEWS.items():
        names = [view, "layers"] if view == "sites" else [view]
        yield f"### {' and '.join(names)}\n\n`murine results --view {view}`: {about[0].lower()}{about[1:]}"
        yield "\n`--view layers` prints every layer with the same columns.\n" if view == "sites" else ""
        own = VIEWS[view]
        if view == "sites":  # all others are those of the files
            yield "The columns are those of [scores](#scores) without the lists of draws, and these:\n"
            own = {name: column for name, column in own.items() if name not in PARQUET["scores"]}
        yield from _rows(own, {})
        yield ""


def _rows(columns: Mapping[str, Column], types: Mapping[str, str]) -> Iterator[str]:
    """A table of columns; with their types where these are known."""
    heading = ["column", *(["type"] if types else []), "meaning", "unit", "empty"]
    yield f"| {' | '.join(heading)} |"
    yield f"|{' --- |' * len(heading)}"
    for name, column in columns.items():
        cells = [f"`{name}`", *([types[name]] if types else []), column.meaning, column.unit, column.empty]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main() -> int:
    wanted = page()
    if "--check" in sys.argv[1:]:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == wanted:
            return 0
        print(f"{PAGE} is out of date: run `make docs`", file=sys.stderr)
        return 1
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(wanted, encoding="utf-8")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
