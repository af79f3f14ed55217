"""The times of all stimuli: the table of presentations in an NWB 2 file."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from murine.cortex.nwb.tables import column, plain_columns
from murine.errors import MurineError, nearest, some
from murine.io.hdf5 import Tree
from murine.io.labels import as_labels

log = logging.getLogger(__name__)

#: What tables have instead of an id where no stimulus was shown.
_NO_STIMULUS = ("", "-1", "nan", "null")

#: Columns that hold the ids of stimuli, by the names that laboratories give them.
_USUAL_COLUMNS = (
    *("stimulus_id", "stimulus", "stimulus_name", "image", "image_id", "image_name", "frame", "scene", "scene_id"),
    *("picture", "picture_id", "condition", "condition_id", "stim_id", "stim_name", "stim"),
)

#: Intervals that are to be left out of every analysis.
INVALID_TIMES = "/intervals/invalid_times"


class ShownStimuli(NamedTuple):
    """Presentations of stimuli in order of time, with the window in which responses are taken.

    Attributes
    ----------
    stimulus_ids
        (n_presentations,)
    begin, end
        (n_presentations,): the window of each presentation, in seconds on the clock of the file.
    invalid
        (n_presentations,): whether the presentation or its window touches an invalid interval.
    """

    stimulus_ids: tuple[str, ...]
    begin: Float[np.ndarray, " n_presentations"]
    end: Float[np.ndarray, " n_presentations"]
    invalid: Bool[np.ndarray, " n_presentations"]


def read_presentations(
    tree: Tree,
    groups: Sequence[str],
    table: str | None,
    id_column: str | None,
    window: tuple[float, float | None],
) -> ShownStimuli:
    """Read a table of presentations; `Recording.from_nwb` documents which tables are chosen and refused.

    Parameters
    ----------
    groups
        Every group of the file.
    table, id_column
        What the user named; None to take the only one there is.
    window
        Seconds after onset; None for the end of the presentation.
    """
    path = _chosen_table(tree, groups, table)
    start = tree.array(f"{path}/start_time", (None,), "iuf").astype(np.float64)
    stop = tree.array(f"{path}/stop_time", start.shape, "iuf").astype(np.float64)
    name = _chosen_column(tree, path, len(start), id_column)
    ids = np.array(as_labels(column(tree, f"{path}/{name}", len(start)), f"{path}/{name}", missing=""), dtype=object)
    shown = np.array([text.strip().lower() not in _NO_STIMULUS for text in ids], dtype=bool)
    if not shown.any():
        tree.refuse(f"{path}/{name}", f"no id of a stimulus in {len(ids)} rows", "ids, for example names of images")
    if not shown.all():
        log.warning(
            "%s: %d of %d presentations in %s have no stimulus id (%s is NaN, -1 or empty), as blank screens have; "
            "they are left out.",
            tree.file,
            (~shown).sum(),
            len(shown),
            path,
            name,
        )
    order = np.flatnonzero(shown)[np.argsort(start[shown], kind="stable")]
    start, stop = start[order], stop[order]
    begin = start + window[0]
    end = stop if window[1] is None else start + window[1]
    if not np.isfinite(start).all() or not (end > begin).all():
        n_odd = int((~(end > begin)).sum())
        asked = f"from {window[0]:g} s after onset to " + ("stop_time" if window[1] is None else f"{window[1]:g} s")
        tree.refuse(path, f"{n_odd} presentations whose window ({asked}) is empty or has no time", "windows in seconds")
    return ShownStimuli(tuple(ids[order]), begin, end, _invalid(tree, np.fmin(start, begin), np.fmax(stop, end)))


def _chosen_table(tree: Tree, groups: Sequence[str], asked: str | None) -> str:
    """The path of the table that was asked for, or of the only one."""
    tables = [
        group
        for group in groups
        if group != INVALID_TIMES and f"{group}/start_time" in tree and f"{group}/stop_time" in tree
    ]
    if not tables:
        raise MurineError(
            f"{str(tree.file)!r} has no table of stimulus presentations; expected one under /intervals with the "
            "columns start_time, stop_time and an id of the stimulus. /intervals holds "
            f"{some(tree.names('intervals'), 10) or 'nothing'}."
        )
    listed = "; ".join(_described(tree, table) for table in tables)
    found = tables if asked is None else [table for table in tables if is_named(table, asked)]
    if len(found) == 1:
        return found[0]
    if asked is None:
        raise MurineError(
            f"{str(tree.file)!r} has {len(tables)} tables of intervals; say which one tells when stimuli were shown, "
            f"with stimulus_table=NAME (--stimulus-table NAME of `murine data import`). They are: {listed}."
        )
    raise MurineError(
        f"{str(tree.file)!r} has {'several tables' if found else 'no table'} of intervals called {asked!r}"
        f"{nearest(asked, [table.rpartition('/')[2] for table in tables]) or '.'} It has: {listed}."
    )


def _described(tree: Tree, table: str) -> str:
    n_rows = tree.dataset(f"{table}/start_time", (None,), "iuf").shape[0]
    return f"{table} ({n_rows} rows: {some(plain_columns(tree, table, n_rows), 12)})"


def is_named(path: str, asked: str) -> bool:
    """Return whether a user's name, a whole path or its last parts, means this path inside a file."""
    return f"/{path.strip('/')}".endswith(f"/{asked.strip('/')}")


def _chosen_column(tree: Tree, table: str, n_rows: int, asked: str | None) -> str:
    """The column of ids that was asked for, or the only one that can be it."""
    columns = [name for name in plain_columns(tree, table, n_rows) if name not in ("start_time", "stop_time")]
    if asked is not None:
        if asked in columns:
            return asked
        raise MurineError(
            f"{table} of {str(tree.file)!r} has no column {asked!r} with one value a "
            f"row{nearest(asked, columns) or '.'} It has {some(columns, 30) or 'none'}."
        )
    n_different = {name: len(set(as_labels(column(tree, f"{table}/{name}", n_rows), missing=""))) for name in columns}
    usual = [name for name in columns if name.lower() in _USUAL_COLUMNS and n_different[name] > 1]
    possible = usual or columns
    if len(possible) == 1:
        return possible[0]
    listed = ", ".join(f"{name} ({n_different[name]} different)" for name in columns) or "none"
    raise MurineError(
        f"it is not clear which column of {table} in {str(tree.file)!r} holds the ids of the stimuli; say it with "
        f"stimulus_column=NAME (--stimulus-column NAME of `murine data import`). Its columns are: {listed}."
    )


def _invalid(
    tree: Tree, first: Float[np.ndarray, " n_presentations"], last: Float[np.ndarray, " n_presentations"]
) -> Bool[np.ndarray, " n_presentations"]:
    """Which presentations touch an invalid interval."""
    touched = np.zeros(len(first), dtype=bool)
    if INVALID_TIMES in tree:
        start = tree.array(f"{INVALID_TIMES}/start_time", (None,), "iuf").astype(np.float64)
        stop = tree.array(f"{INVALID_TIMES}/stop_time", start.shape, "iuf").astype(np.float64)
        for begin, end in zip(start, stop, strict=True):
            touched |= (first <= end) & (last >= begin)
    if touched.any():
        log.warning(
            "%s: %d of %d presentations touch an interval of %s; their responses are missing (NaN).",
            tree.file,
            touched.sum(),
            len(touched),
            INVALID_TIMES,
        )
    return touched
