"""The tables of Visual Coding Neuropixels: sessions, probes, channels and units, and which sessions to take."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from murine.errors import MurineError, nearest, some
from murine.io.files import read_table

log = logging.getLogger(__name__)

#: The six visual areas that the project aimed at.
VISUAL_AREAS = ("VISp", "VISl", "VISrl", "VISal", "VISpm", "VISam")

#: The kind of session in which natural scenes were shown.
SESSION_TYPE = "brain_observatory_1.1"

#: Names of files, each with its columns other than ``id``: (name, other spelling), and whether the column contains
#: numbers.
_COLUMNS: dict[str, dict[str, tuple[tuple[str, ...], bool]]] = {
    "sessions": {
        "session_type": ((), False),
        "specimen_id": ((), True),
        "sex": ((), False),
        "genotype": (("full_genotype",), False),
    },
    "probes": {"ecephys_session_id": ((), True), "name": ((), False)},
    "channels": {"ecephys_probe_id": ((), True), "ecephys_structure_acronym": ((), False)},
    "units": {
        "ecephys_channel_id": (("peak_channel_id",), True),
        "isi_violations": ((), True),
        "amplitude_cutoff": ((), True),
        "presence_ratio": ((), True),
    },
}


class Tables(NamedTuple):
    """The project's tables, each indexed by id.

    Attributes
    ----------
    sessions
        With ``session_type, specimen_id, sex, genotype``.
    probes
        With ``ecephys_session_id, name``.
    channels
        With ``ecephys_probe_id, ecephys_structure_acronym`` (NaN outside the brain).
    units
        With ``ecephys_channel_id, isi_violations, amplitude_cutoff, presence_ratio``.
    """

    sessions: pd.DataFrame
    probes: pd.DataFrame
    channels: pd.DataFrame
    units: pd.DataFrame

    def natural_scene_sessions(self, areas: Collection[str] | None = None) -> list[int]:
        """Ids of the sessions with natural scenes, sorted; with ``areas``, those with a channel in one of them."""
        chosen = self.sessions.index[self.sessions["session_type"] == SESSION_TYPE]
        if areas is not None:
            within = self.channels["ecephys_structure_acronym"].isin(list(areas))
            probes = self.probes.loc[self.probes.index.isin(self.channels["ecephys_probe_id"][within])]
            chosen = chosen[chosen.isin(probes["ecephys_session_id"])]
        return sorted(int(i) for i in chosen)

    def chosen_sessions(
        self, areas: Collection[str] = (), sessions: Collection[int] = (), limit: int | None = None
    ) -> list[int]:
        """Return ids of sessions with natural scenes that meet every condition; an empty condition keeps all.

        Parameters
        ----------
        areas
            Visual areas, of which a session has a channel in at least one.
        sessions
            Ids to keep.
        limit
            At most so many, in the order of their ids.

        Raises
        ------
        MurineError
            If an area is not in `VISUAL_AREAS`, or a session has no natural scenes in these areas.
        """
        unknown = [name for name in areas if name not in VISUAL_AREAS]
        if unknown:
            raise MurineError(
                f"there is no area {', '.join(unknown)}{nearest(unknown[0], VISUAL_AREAS) or '.'} Areas that are read: "
                f"{', '.join(VISUAL_AREAS)}."
            )
        numbers = self.natural_scene_sessions(areas or None)
        lacking = [number for number in sessions if number not in numbers]
        if lacking or not numbers:
            there = ", ".join(map(str, self.natural_scene_sessions())) or "none"
            raise MurineError(
                f"no session {', '.join(map(str, lacking)) or 'at all'} with natural scenes"
                f"{' and channels in ' + ', '.join(areas) if areas else ''}. Sessions with natural scenes: {there}."
            )
        return [number for number in numbers if not sessions or number in sessions][:limit]

    def unit_counts(self, sessions: Sequence[int], areas: Collection[str] = ()) -> pd.DataFrame:
        """Count the units of sessions, in each area, that pass the usual limits of quality.

        Returns
        -------
        counts
            A row for each session: session_id, specimen_id, sex, genotype, and ``units_<area>`` for each area
            (`VISUAL_AREAS` by default). The limits are those of `murine.cortex.allen.neuropixels.read_session`.
        """
        units = self.units
        passing = (units.isi_violations < 0.5) & (units.amplitude_cutoff < 0.1) & (units.presence_ratio > 0.9)
        channels = self.channels.reindex(units.ecephys_channel_id[passing])
        of_units = self.probes.ecephys_session_id.reindex(channels.ecephys_probe_id).to_numpy()
        counts = pd.crosstab(of_units, channels.ecephys_structure_acronym.to_numpy())
        counts = counts.reindex(index=sessions, columns=[*(areas or VISUAL_AREAS)], fill_value=0)
        about = self.sessions.loc[[*sessions], ["specimen_id", "sex", "genotype"]]
        return about.join(counts.add_prefix("units_")).rename_axis("session_id").reset_index()


def read_tables(folder: str | Path) -> Tables:
    """Read ``sessions.csv``, ``probes.csv``, ``channels.csv`` and ``units.csv``.

    Rows with an id that no other table has are kept and logged. A `MurineError` is raised if a table is missing,
    truncated or incomplete, an id is repeated or not a whole number, or a column of numbers contains text.
    """
    place = Path(folder)
    tables = Tables(*(_read_csv(place / f"{name}.csv", _COLUMNS[name]) for name in Tables._fields))
    for table, key, other in (
        ("probes", "ecephys_session_id", "sessions"),
        ("channels", "ecephys_probe_id", "probes"),
        ("units", "ecephys_channel_id", "channels"),
    ):
        orphans = int((~getattr(tables, table)[key].isin(getattr(tables, other).index)).sum())
        if orphans:
            log.warning("%s: %d rows of %s.csv have an %s that %s.csv lacks.", place, orphans, table, key, other)
    return tables


def _read_csv(file: Path, columns: dict[str, tuple[tuple[str, ...], bool]]) -> pd.DataFrame:
    table = read_table(file, ("id",))
    for name, (others, _) in columns.items():
        found = [other for other in others if other in table and name not in table]
        table = table.rename(columns=dict.fromkeys(found[:1], name))
    missing = [name for name in columns if name not in table]
    if missing:
        raise MurineError(f"{str(file)!r} has no column {', '.join(missing)}; it has {some(table.columns, 30)}.")
    for name, numbers in (("id", True), *((name, numbers) for name, (_, numbers) in columns.items())):
        if numbers and table[name].dtype.kind not in "iuf":
            raise MurineError(f"column {name!r} of {str(file)!r} holds {table[name].dtype}; expected numbers.")
    ids = table["id"]
    if ids.dtype.kind not in "iu" or ids.duplicated().any():
        odd = ids[ids.duplicated()].tolist() if ids.dtype.kind in "iu" else ids[ids % 1 != 0].tolist()
        raise MurineError(f"the ids of {str(file)!r} must be whole numbers that differ; found {some(odd)}.")
    return table.set_index("id")
