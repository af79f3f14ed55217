"""The entry to NWB 2 files: which signal and which stimuli, and the recording that they make."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from murine.cortex.nwb.spikes import spike_rates
from murine.cortex.nwb.stimulus_tables import is_named, read_presentations
from murine.cortex.nwb.traces import mean_traces
from murine.cortex.presentations import Presentations
from murine.cortex.recording import Recording
from murine.errors import MurineError, nearest, some
from murine.io.hdf5 import Tree
from murine.io.isolation import read_apart

log = logging.getLogger(__name__)

#: The most that one read may take: the spikes of a unit, or a small series.
_MOST_BYTES = 2 << 30


def read_nwb(
    file: str | Path,
    *,
    signal: str | None = None,
    stimulus_table: str | None = None,
    stimulus_column: str | None = None,
    window: tuple[float, float | None] = (0.0, None),
    area: str | None = None,
    isolated: bool = True,
) -> Recording:
    """Read the responses in an NWB 2 file; `Recording.from_nwb` documents the parameters."""
    if len(window) != 2 or not _is_window(*window):
        raise MurineError(
            f"the window {window} is none; expected seconds after onset, the first before the second, or None as the "
            "second for the end of each presentation."
        )
    path = Path(file)
    if not path.is_file():
        raise MurineError(f"there is no file {str(file)!r}; expected an NWB 2 file (HDF5).")
    asked = (path, signal, stimulus_table, stimulus_column, window, area)
    return read_apart(path, _read, *asked) if isolated else _read(*asked)


def _is_window(first: float, last: float | None) -> bool:
    return math.isfinite(first) and (last is None or (math.isfinite(last) and first < last))


@np.errstate(all="ignore")  # absurd values of a damaged file become NaN or infinite, not noise on the terminal
def _read(
    path: Path,
    signal: str | None,
    stimulus_table: str | None,
    stimulus_column: str | None,
    window: tuple[float, float | None],
    area: str | None,
) -> Recording:
    with Tree(path, max_bytes=_MOST_BYTES) as tree:
        version = tree.nwb_2()
        if not version.startswith("2"):
            older = (
                " It is NWB 1: `murine data reduce` reads those of the Allen Institute."
                if "nwb_version" in tree
                else ""
            )
            raise MurineError(
                f"{str(path)!r} is no NWB 2 file: its attribute nwb_version is {version or 'missing'}. At its root are "
                f"{some(tree.names('/'), 10) or 'no groups'}.{older}"
            )
        groups = [group for group in tree.groups() if not group.startswith("/specifications")]
        source = _chosen_signal(tree, groups, signal)
        shown = read_presentations(tree, groups, stimulus_table, stimulus_column, window)
        spikes = f"{source}/spike_times" in tree
        responses, labels = (spike_rates if spikes else mean_traces)(tree, source, shown)
        responses[shown.invalid] = np.nan
    if area is not None:
        if area not in labels:
            raise MurineError(
                f"{source} of {str(path)!r} has no column {area!r} for the area{nearest(area, labels) or '.'} It has "
                f"{some(labels, 30)}."
            )
        labels["area"] = labels.pop(area)
    return Presentations.labelled(
        responses,
        {"stimulus_id": np.array(shown.stimulus_ids)},
        labels,
        stimulus="stimulus_id",
        repetition=None,
        neuroid_id="neuroid_id",
        name=path.stem,
    ).recording(path.stem)


def _chosen_signal(tree: Tree, groups: Sequence[str], asked: str | None) -> str:
    """The path of the units or the series that was asked for, or of the only one."""
    units = [group for group in groups if f"{group}/spike_times" in tree and f"{group}/spike_times_index" in tree]
    series = [group for group in groups if f"{group}/rois" in tree and f"{group}/data" in tree]
    if not units + series:
        raise MurineError(
            f"{str(tree.file)!r} has no responses of neurons; expected units with spike_times, or a RoiResponseSeries. "
            f"It has the groups {some([group for group in groups if group.count('/') <= 2], 20) or 'none'}."
        )
    listed = ", ".join([*(f"{path} (spikes)" for path in units), *(f"{path} (traces)" for path in series)])
    found = [path for path in units + series if asked is None or is_named(path, asked)]
    if len(found) == 1:
        return found[0]
    if asked is None:
        raise MurineError(
            f"{str(tree.file)!r} has {len(found)} signals; say which one to take with signal=NAME (--signal NAME of "
            f"`murine data import`). They are: {listed}."
        )
    raise MurineError(
        f"{str(tree.file)!r} has {'several signals' if found else 'no signal'} called {asked!r}"
        f"{nearest(asked, units + series) or '.'} It has: {listed}."
    )
