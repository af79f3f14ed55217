"""Mean traces of the ROIs (cells) of a RoiResponseSeries in an NWB 2 file."""

from __future__ import annotations

import logging

import numpy as np
from jaxtyping import Float

from murine.cortex.nwb.stimulus_tables import ShownStimuli
from murine.cortex.nwb.tables import labels_of_rows, row_ids
from murine.io.hdf5 import Tree

log = logging.getLogger(__name__)

#: Series up to this size are read at once; of larger ones the samples of each presentation.
_AT_ONCE = 1 << 30

#: What rounding may leave between two times that are equal, over the time between samples.
_ROUNDING = 1e-6


def mean_traces(
    tree: Tree, series: str, shown: ShownStimuli
) -> tuple[Float[np.ndarray, "n_presentations n_rois"], dict[str, np.ndarray]]:
    """Return the mean of each ROI in the window of each presentation, and the labels of the ROIs.

    NaN where a sample in the window is NaN, where no sample lies in it, or where it reaches beyond the recording.
    """
    rois = tree.array(f"{series}/rois", (None,), "iu").astype(np.int64)
    stored = tree.dataset(f"{series}/data", None)
    times = _times(tree, series, stored.shape[0] if stored.shape else 0)
    if stored.shape not in ((len(times), len(rois)), (len(times),) if len(rois) == 1 else ()):
        turned = " It seems to be ROIs x times: transpose it." if stored.shape == (len(rois), len(times)) else ""
        tree.refuse(f"{series}/data", f"shape {stored.shape}", f"times x ROIs, {(len(times), len(rois))}.{turned}")
    conversion = _number(tree, series, "conversion", 1.0)
    offset = _number(tree, series, "offset", 0.0)
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    slack = _ROUNDING * step
    recorded = (shown.begin >= times[0] - slack) & (shown.end <= times[-1] + step + slack)
    first, last = np.searchsorted(times, shown.begin), np.searchsorted(times, shown.end)
    data = tree.read(f"{series}/data", stored) if stored.size * stored.dtype.itemsize <= _AT_ONCE else None
    means = np.full((len(first), len(rois)), np.nan)
    for i in np.flatnonzero(recorded & (last > first)):
        part = slice(int(first[i]), int(last[i]))
        samples = data[part] if data is not None else tree.read(f"{series}/data", stored, part)
        means[i] = samples.reshape(-1, len(rois)).mean(axis=0, dtype=np.float64) * conversion + offset
    n_missing = int((~recorded | (last <= first)).sum())
    if n_missing:
        log.warning(
            "%s: %s was not recorded during %d of %d presentations; their responses are missing (NaN).",
            tree.file,
            series,
            n_missing,
            len(first),
        )
    return means, _labels(tree, series, rois)


def _times(tree: Tree, series: str, n_times: int) -> Float[np.ndarray, " n_times"]:
    """The time of each sample in seconds: stored one by one, or as a start and a rate."""
    if f"{series}/timestamps" in tree:
        times = tree.array(f"{series}/timestamps", (None,), "iuf").astype(np.float64)
        if not len(times) or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
            tree.refuse(f"{series}/timestamps", "no times, or times that do not rise", "rising times in seconds")
        return times
    start = float(tree.array(f"{series}/starting_time", ()))
    rate = tree.attribute(f"{series}/starting_time", "rate")
    if not isinstance(rate, (int, float, np.number)) or not 0 < float(rate) < np.inf or not n_times:
        tree.refuse(
            f"{series}/starting_time", f"the rate {rate!r} and {n_times} samples", "samples and their rate in Hz"
        )
    return start + np.arange(n_times) / float(rate)


def _number(tree: Tree, series: str, name: str, default: float) -> float:
    """A number that says how stored values become values in the unit of the series."""
    value = tree.attribute(f"{series}/data", name)
    if value is not None and not isinstance(value, (int, float, np.number)):
        tree.refuse(f"{series}/data", f"the {name} {value!r}", "a number")
    return default if value is None else float(value)


def _labels(tree: Tree, series: str, rois: np.ndarray) -> dict[str, np.ndarray]:
    """The labels of the ROIs: columns of their table, and where the imaging plane is."""
    table = tree.referred(f"{series}/rois", "table")
    if not table:
        tree.refuse(f"{series}/rois", "rows of no table", "rows of a PlaneSegmentation")
    n_rows = len(row_ids(tree, table))
    if len(rois) == 0 or rois.min() < 0 or rois.max() >= n_rows:
        tree.refuse(f"{series}/rois", f"{len(rois)} rows", f"rows of {table}, which has {n_rows}")
    labels = labels_of_rows(tree, table, n_rows, rois)
    location = f"{table}/imaging_plane/location"
    if "area" not in labels and location in tree:
        labels["area"] = np.full(len(rois), tree.text(location), dtype=object)
    return labels
