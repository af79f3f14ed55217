"""The state of a sweep or of an atlas: what is done, running, failed and missing, by network and data set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from murine.atlas.store import Atlas
from murine.progress import Progress, Silent
from murine.sweeps.run import prepared
from murine.sweeps.running import running
from murine.sweeps.sweep_file import SweepFile, read_sweep

#: What identifies a unit in the records of failures and of running units.
_KEYS = ("network", "weights", "input_size", "layers", "cortex", "cortex_settings")

#: The columns of `sweep_status`.
STATUS_COLUMNS = {
    "network": "The network, with inserted layers.",
    "weights": "Its weights; empty for the usual ones.",
    "input_size": "Height x width of the images, or native.",
    "cortex": "The data set.",
    "seed": "The seed of resampling.",
    "state": "done, running, failed or missing. A unit that failed and runs again is running.",
    "about": "Why it failed, or where it runs.",
}


def sweep_status(
    source: str | Path | Mapping[str, Any] | SweepFile,
    atlas: Atlas | str | Path = "atlas",
    *,
    shard: str = "",
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Return the state of every unit of a sweep; columns as `STATUS_COLUMNS`. Nothing is computed.

    Raises
    ------
    MurineError
        If the sweep cannot be read.

    Examples
    --------
    >>> table = sweep_status({"networks": "pixels", "controls": False, "data": "simulated"}, "no-such-atlas")
    >>> table[["network", "cortex", "state"]].values.tolist()
    [['pixels', 'simulated', 'missing']]
    """
    store = atlas if isinstance(atlas, Atlas) else Atlas(atlas)
    task, units = prepared(read_sweep(source), shard)
    failures = {_key(row): str(row["reason"]) for _, row in store.failures().iterrows()}
    now = {_key(row): f"on {row['host']} since {row['since']}" for _, row in running(store.folder).iterrows()}
    rows = []
    with (progress or Silent()).task("looking up results", len(units)) as bar:
        for unit in units:
            asked = task.asked(unit)
            key = _key(asked)
            if task.known(unit, store) is not None:
                state, about = "done", ""
            elif key in now:
                state, about = "running", now[key]
            elif key in failures:
                state, about = "failed", failures[key]
            else:
                state, about = "missing", ""
            rows.append(
                {
                    "network": unit.full_name,
                    "weights": unit.weights,
                    "input_size": asked["input_size"],
                    "cortex": asked["cortex"],
                    "seed": task.settings[unit.settings].scoring.seed,
                    "state": state,
                    "about": about,
                }
            )
            bar.advance()
    return pd.DataFrame(rows, columns=list(STATUS_COLUMNS))


def atlas_status(atlas: Atlas | str | Path = "atlas") -> pd.DataFrame:
    """Return how many results an atlas has for each network and data set, and what runs and failed.

    Columns are those of `STATUS_COLUMNS` without the seed, and ``results``: the number of results of a done row.

    Examples
    --------
    >>> len(atlas_status("no-such-atlas"))
    0
    """
    store = atlas if isinstance(atlas, Atlas) else Atlas(atlas)
    columns = ["network", "weights", "input_size", "cortex", "state", "results", "about"]
    parts = []
    if any((store.folder / "scores").glob("[!.]*.parquet")):
        parts.append(
            store.query(
                "SELECT network, weights, input_size, cortex, 'done' AS state, count(DISTINCT task) AS results, "
                "'' AS about FROM scores GROUP BY ALL ORDER BY ALL"
            )
        )
    now = running(store.folder)
    if len(now):
        parts.append(now.assign(state="running", results=0, about="on " + now.host + " since " + now.since))
    failed = store.failures()
    if len(failed):
        parts.append(failed.assign(state="failed", results=0, about=failed.reason))
    if not parts:
        return pd.DataFrame(columns=columns)
    return pd.concat([part[columns] for part in parts], ignore_index=True)


def _key(asked: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(asked[name]) for name in _KEYS)


def counts(table: pd.DataFrame) -> pd.DataFrame:
    """Return the number of done, running, failed and missing units of `sweep_status` for each network and data set.

    Examples
    --------
    >>> table = sweep_status({"networks": "pixels", "controls": False, "data": "simulated"}, "no-such-atlas")
    >>> counts(table).values.tolist()
    [['pixels', 'simulated', 0, 0, 0, 1]]
    """
    states = ["done", "running", "failed", "missing"]
    per = table.groupby(["network", "cortex"], sort=False).state.value_counts().unstack(fill_value=0)
    return per.reindex(columns=states, fill_value=0).rename_axis(columns=None).reset_index()
