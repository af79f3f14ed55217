"""Spike rates of the units in an NWB 2 file.

`murine.cortex.allen.neuropixels` reads the session files of the Allen Institute, which have tables of their own.
"""

from __future__ import annotations

import logging

import numpy as np
from jaxtyping import Bool, Float

from murine.cortex.nwb.stimulus_tables import ShownStimuli
from murine.cortex.nwb.tables import labels_of_rows, ragged_bounds, row_ids
from murine.errors import some
from murine.io.hdf5 import Tree

log = logging.getLogger(__name__)

_ELECTRODES = "/general/extracellular_ephys/electrodes"


def spike_rates(
    tree: Tree, units: str, shown: ShownStimuli
) -> tuple[Float[np.ndarray, "n_presentations n_units"], dict[str, np.ndarray]]:
    """Return the spikes per second of each unit in the window of each presentation, and the labels of the units.

    NaN where ``obs_intervals`` says that a unit was not recorded during the whole window.
    """
    n_units = len(row_ids(tree, units))
    if not n_units:
        tree.refuse(units, "no unit", "at least one")
    begin, end = shown.begin, shown.end
    times = f"{units}/spike_times"
    bounds = ragged_bounds(tree, times, n_units)
    stored = tree.dataset(times, (None,), "iuf")
    observed = f"{units}/obs_intervals"
    limits = ragged_bounds(tree, observed, n_units) if observed in tree else None
    rates = np.empty((len(begin), n_units))
    for unit in range(n_units):
        spikes = np.sort(tree.read(times, stored, slice(bounds[unit], bounds[unit + 1])).astype(np.float64))
        if not np.isfinite(spikes).all():
            tree.refuse(times, f"NaN or infinite times among the spikes of unit {unit}", "seconds")
        rates[:, unit] = (np.searchsorted(spikes, end) - np.searchsorted(spikes, begin)) / (end - begin)
        if limits is not None:
            intervals = tree.read(
                observed, tree.dataset(observed, (None, 2)), slice(limits[unit], limits[unit + 1])
            ).astype(np.float64)
            rates[~_within(intervals, begin, end), unit] = np.nan
    labels = labels_of_rows(tree, units, n_units)
    if "area" not in labels and f"{units}/electrodes" in tree:
        labels["area"] = _areas(tree, units, n_units)
    return rates, labels


def _within(
    intervals: Float[np.ndarray, "n_intervals 2"],
    begin: Float[np.ndarray, " n_presentations"],
    end: Float[np.ndarray, " n_presentations"],
) -> Bool[np.ndarray, " n_presentations"]:
    """Which windows lie in one interval of a unit; intervals that touch or overlap are one."""
    order = np.argsort(intervals[:, 0], kind="stable")
    start, stop = intervals[order, 0], np.maximum.accumulate(intervals[order, 1])
    first = np.flatnonzero(np.r_[True, start[1:] > stop[:-1]]) if len(start) else np.array([], dtype=int)
    start, stop = start[first], np.r_[stop[first[1:] - 1], stop[-1:]]
    place = np.searchsorted(start, begin, side="right") - 1
    inside = place >= 0
    inside[inside] = end[inside] <= stop[place[inside]]
    return inside


def _areas(tree: Tree, units: str, n_units: int) -> np.ndarray:
    """The location of the electrodes of each unit; '' where it has none, or electrodes in several places."""
    path = f"{units}/electrodes"
    table = tree.referred(path, "table") or _ELECTRODES
    locations = np.array(tree.texts(f"{table}/location"), dtype=object)
    rows = tree.array(path, (None,), "iu").astype(np.int64)
    if len(rows) and (rows.min() < 0 or rows.max() >= len(locations)):
        tree.refuse(path, f"rows {rows.min()} to {rows.max()}", f"rows of {table}, which has {len(locations)}")
    ragged = f"{path}_index" in tree
    bounds = ragged_bounds(tree, path, n_units) if ragged else np.arange(len(tree.array(path, (n_units,), "iu")) + 1)
    places = [set(locations[rows[bounds[i] : bounds[i + 1]]]) for i in range(n_units)]
    several = [found for found in places if len(found) > 1]
    if several:
        log.warning(
            "%s: %d of %d units have electrodes in several areas, as %s; their area is left empty.",
            tree.file,
            len(several),
            n_units,
            some(sorted(several[0])),
        )
    return np.array([next(iter(found)) if len(found) == 1 else "" for found in places], dtype=object)
