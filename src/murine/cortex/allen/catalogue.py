"""The catalogue of the Allen Brain Observatory: experiments, containers and cells, from the bucket's JSON files.

Formats: ``docs/reference/sources.md``, *File formats*. A *container* is one mouse, area, depth and line, normally
seen in three experiments (sessions A, B, C); only session B shows the natural scenes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from murine.cortex.allen import transgenic
from murine.errors import MurineError, nearest, some
from murine.io.files import read_json

log = logging.getLogger(__name__)

#: The files a catalogue is read from; the last one may be absent.
CONTAINERS_FILE = "experiment_containers.json"
EXPERIMENTS_FILE = "ophys_experiments.json"
CELLS_FILE = "cell_specimens.json"

#: Session types of this data set; the warehouse lists those of other projects too.
SESSION_PREFIX = "three_session_"
SCENES_SESSION = "three_session_B"

DEFAULT_SCHEME = "allen-cnn"

#: Fields of an experiment without which nothing can be done with it.
_NEEDED = ("id", "experiment_container_id", "stimulus_name", "targeted_structure.acronym", "imaging_depth")


@dataclass(frozen=True)
class Catalogue:
    """Tables of the experiments, containers and cells that can be fetched.

    Attributes
    ----------
    experiments
        One row per experiment: ``experiment_id, container_id, session_type, area, depth_um, layer, cre_line,
        cell_class, indicator, reporter, donor, sex, age_days, date, failed, tags`` (a text, '' for none).
    cells
        One row per cell identity as published: ``cell_specimen_id, container_id, area, ...`` and the metrics, NaN where
        null; empty where the file of cells was not read.
    layer_scheme
        The rule that made ``layer`` of depth and line (`transgenic.layer_schemes`).
    """

    experiments: pd.DataFrame
    cells: pd.DataFrame
    layer_scheme: str

    @classmethod
    def read(cls, folder: str | Path, *, layer_scheme: str = DEFAULT_SCHEME, cells: bool = False) -> Catalogue:
        """Read the JSON files of a folder (``visual-coding-2p``).

        Parameters
        ----------
        folder
            Holds experiment_containers.json, ophys_experiments.json and, if ``cells``, cell_specimens.json.
        layer_scheme
            ``allen-cnn`` or ``de-vries2020``.
        cells
            Read the cells too (about 63,000).

        Raises
        ------
        MurineError
            If a file is missing or damaged, or a required field has the wrong type; the message names the row and the
            field. Rows in which a required field is null or absent are skipped, with a message in the log.
        """
        folder = Path(folder)
        layer_of = transgenic.layer_schemes[layer_scheme]
        containers: dict[int, _Row] = {}
        listed = _rows(folder / CONTAINERS_FILE)
        for row in _complete(listed, ("id",)):
            if containers.setdefault(row.integer("id"), row) is not row:
                raise row.refuse("id", "ids that differ")
        rows = [
            _experiment(row, containers, layer_of)
            for row in _complete(_rows(folder / EXPERIMENTS_FILE), _NEEDED)
            if row.text("stimulus_name").startswith(SESSION_PREFIX)
            # That of a container that was skipped
            and (len(containers) == len(listed) or row.integer("experiment_container_id") in containers)
        ]
        if not rows:
            raise MurineError(
                f"{str(folder / EXPERIMENTS_FILE)!r} lists no experiment whose stimulus_name begins with "
                f"{SESSION_PREFIX!r}; it may be the list of another project."
            )
        experiments = pd.DataFrame(rows).sort_values("experiment_id", ignore_index=True)
        twice = experiments.experiment_id[experiments.experiment_id.duplicated()]
        if len(twice):
            raise MurineError(f"{str(folder / EXPERIMENTS_FILE)!r} lists experiment {some(twice)} more than once.")
        return cls(experiments, _cells(folder / CELLS_FILE) if cells else pd.DataFrame(), layer_scheme)

    def select(
        self,
        *,
        area: Sequence[str] = (),
        cre_line: Sequence[str] = (),
        cell_class: Sequence[str] = (),
        depth: Sequence[tuple[float, float]] = (),
        layer: Sequence[str] = (),
        session_type: Sequence[str] = (SCENES_SESSION,),
        experiments: Sequence[int] = (),
        containers: Sequence[int] = (),
        tagged: bool = True,
        failed: bool = False,
        limit: int | None = None,
    ) -> Catalogue:
        """Keep the experiments that meet every condition; an empty condition keeps all.

        Parameters
        ----------
        area, cell_class, layer, session_type
            Values to keep; by default the sessions with natural scenes.
        cre_line
            Names of Cre lines or parts that are unique, as ``cux2``.
        depth
            Ranges in um, both ends included.
        experiments, containers
            Ids to keep; one that does not exist raises.
        tagged
            Keep experiments of containers with tags (as ``Epileptiform Events``).
        failed
            Keep those of containers that failed quality control.
        limit
            At most so many, in the order of their ids.

        Raises
        ------
        MurineError
            If a value does not exist, or nothing is left.
        """
        table = self.experiments
        keep = np.ones(len(table), dtype=bool)
        lines = [line if line in set(table.cre_line) else transgenic.known_line(line) for line in cre_line]
        for column, wanted in (
            ("area", area),
            ("cre_line", lines),
            ("cell_class", cell_class),
            ("layer", layer),
            ("session_type", session_type),
            ("experiment_id", experiments),
            ("container_id", containers),
        ):
            known = set(table[column])
            unknown = [value for value in wanted if value not in known]
            if unknown:
                raise MurineError(
                    f"no experiment has {column} {some(unknown)}{nearest(str(unknown[0]), map(str, known)) or '.'} "
                    f"Values: {some(sorted(known), 20)}."
                )
            keep &= table[column].isin(list(wanted)) if wanted else True
        if depth:
            keep &= np.logical_or.reduce([(table.depth_um >= low) & (table.depth_um <= high) for low, high in depth])
        if not tagged:
            keep &= table.tags == ""
        n_failed = int((keep & table.failed).sum())
        if not failed:
            keep &= ~table.failed
        chosen = table[keep].head(limit) if limit is not None else table[keep]
        if chosen.empty:
            raise MurineError(
                f"none of the {len(table)} experiments meets all conditions at once"
                + (f", of which one is the session type {' or '.join(session_type)}" if session_type else "")
                + (f"; {n_failed} would, but belong to failed containers" if n_failed and not failed else "")
                + "."
            )
        cells = self.cells
        if len(cells):
            cells = cells[cells.container_id.isin(chosen.container_id)]
        return Catalogue(chosen.reset_index(drop=True), cells, self.layer_scheme)

    def summary(self, by: Sequence[str] = ("area", "cre_line")) -> pd.DataFrame:
        """Count experiments, containers and mice by columns; tagged and failed ones too.

        Where the file of cells was read, ``cells`` counts the identities of these containers, in whichever of their
        sessions they were seen.

        Raises
        ------
        MurineError
            If a column does not exist, or none is given.
        """
        known = list(self.experiments)
        unknown = [column for column in by if column not in known]
        if unknown or not by:
            raise MurineError(
                f"experiments cannot be counted by {some(unknown) or 'nothing'}"
                f"{(unknown and nearest(unknown[0], known)) or '.'} There are {', '.join(known)}."
            )
        counted = {
            "experiments": ("experiment_id", "size"),
            "containers": ("container_id", "nunique"),
            "mice": ("donor", "nunique"),
            "tagged": ("tags", lambda tags: int((tags != "").sum())),
            "failed": ("failed", "sum"),
        }
        if len(self.cells):
            cells = self.cells["container_id"].value_counts()
            counted["cells"] = ("container_id", lambda ids: int(cells.reindex(ids.unique(), fill_value=0).sum()))
        return self.experiments.groupby(list(by), sort=True).agg(**counted).reset_index()


class _Row:
    """One object of a JSON file; every look into it tells file, row and field if it fails."""

    def __init__(self, file: Path, number: int, content: Mapping[str, Any]) -> None:
        self.file, self.number, self.content = file, number, content

    def get(self, path: str) -> Any:
        """The value at a dotted path; None where any part of it is absent or null."""
        value: Any = self.content
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def refuse(self, path: str, expected: str) -> MurineError:
        return MurineError(
            f"{str(self.file)!r}, row {self.number}, {path}: found {self.get(path)!r:.80}; expected {expected}."
        )

    def integer(self, path: str) -> int:
        value = self.get(path)
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**62:
            raise self.refuse(path, "a whole number")
        return value

    def text(self, path: str) -> str:
        value = self.get(path)
        if not isinstance(value, str):
            raise self.refuse(path, "a text")
        return value

    def flag(self, path: str) -> bool:
        """A truth value; an absent one is False."""
        value = self.get(path)
        if value is not None and not isinstance(value, bool):
            raise self.refuse(path, "true or false")
        return bool(value)

    def objects(self, path: str) -> list[Mapping[str, Any]]:
        """A list of objects; an absent one is empty."""
        value = self.get(path)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
            raise self.refuse(path, "a list of objects")
        return value


def _rows(file: Path) -> list[_Row]:
    content = read_json(file)
    if isinstance(content, Mapping) and isinstance(content.get("msg"), list):
        content = content["msg"]  # the envelope of the warehouse's answers
    if not isinstance(content, list) or not content or not all(isinstance(row, Mapping) for row in content):
        raise MurineError(f"{str(file)!r}: found {type(content).__name__}; expected a list of objects.")
    return [_Row(file, number, row) for number, row in enumerate(content)]


def _complete(rows: Sequence[_Row], needed: Sequence[str]) -> list[_Row]:
    """Return the rows that have all required fields.

    Log once how many rows lack one, and refuse a file without complete rows.
    """
    lacking = {i: path for i, row in enumerate(rows) for path in reversed(needed) if row.get(path) is None}
    if not lacking:
        return list(rows)
    first = min(lacking)
    if len(lacking) == len(rows):
        raise rows[first].refuse(
            lacking[first], f"a value; so it is in each of the {len(rows)} rows, in this field or another"
        )
    log.warning(
        "%s: %d of %d rows are skipped, since a needed field is null: the first is row %d, %s",
        rows[first].file,
        len(lacking),
        len(rows),
        rows[first].number,
        lacking[first],
    )
    return [row for i, row in enumerate(rows) if i not in lacking]


def _line(lines: Iterable[Mapping[str, Any]], kind: str, part: str = "") -> str:
    """The name of the first transgenic line of a kind, '' for none."""
    names = (str(line.get("name", "")) for line in lines if line.get("transgenic_line_type_name") == kind)
    return next((name for name in names if part in name), "")


def _experiment(row: _Row, containers: Mapping[int, _Row], layer_of: Callable[[float, str], str]) -> dict[str, Any]:
    container_id = row.integer("experiment_container_id")
    container = containers.get(container_id)
    if container is None:
        raise row.refuse("experiment_container_id", f"one of the {len(containers)} ids of {CONTAINERS_FILE}")
    lines = row.objects("specimen.donor.transgenic_lines") or container.objects("specimen.donor.transgenic_lines")
    line, reporter = transgenic.cre_line(_line(lines, "driver", "Cre")), _line(lines, "reporter")
    depth = float(row.integer("imaging_depth"))
    conditions = container.objects("specimen.donor.conditions")
    names = [str(condition.get("name", "")) for condition in conditions]
    date, born = row.get("date_of_acquisition"), row.get("specimen.donor.date_of_birth")
    days = pd.to_datetime(pd.Series([date, born]), utc=True, errors="coerce", format="ISO8601")
    age = (days[0] - days[1]).days if days.notna().all() else np.nan
    return {
        "experiment_id": row.integer("id"),
        "container_id": container_id,
        "session_type": row.text("stimulus_name"),
        "area": row.text("targeted_structure.acronym"),
        "depth_um": depth,
        "layer": layer_of(depth, line),
        "cre_line": line,
        "cell_class": transgenic.cell_class(line),
        "indicator": transgenic.indicator(reporter),
        "reporter": reporter,
        "donor": str(
            row.get("specimen.donor.external_donor_name") or container.get("specimen.donor.external_donor_name") or ""
        ),
        "sex": {"M": "male", "F": "female"}.get(str(row.get("specimen.donor.sex") or ""), ""),
        "age_days": float(age),
        "date": str(date or ""),
        "failed": container.flag("failed") or row.flag("experiment_container.failed"),
        "tags": "; ".join(name for name in names if name and not name.startswith("tissuecyte")),
    }


def _cells(file: Path) -> pd.DataFrame:
    """Cells as published; the names of their columns are kept but for the container's, pictures are left out."""
    rows = _complete(_rows(file), ("cell_specimen_id", "experiment_container_id"))
    for row in rows:
        row.integer("cell_specimen_id"), row.integer("experiment_container_id")
    kept = [
        {
            key: value
            for key, value in row.content.items()
            if not key.endswith(("_small", "_large")) and key != "container_id"
        }
        for row in rows
    ]
    table = pd.DataFrame(kept).rename(columns={"experiment_container_id": "container_id"})
    for column in table.columns[table.columns.str.contains(r"_(?:ns|dg|sg|lsn|nm\d.*)$", regex=True)]:
        try:
            table[column] = table[column].astype(np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            odd = [i for i, value in enumerate(table[column]) if not isinstance(value, (int, float, type(None)))]
            raise MurineError(
                f"{str(file)!r}, row {some(odd, 1) or '?'}, {column}: found no number ({error}); expected one, or null."
            ) from None
    return table
