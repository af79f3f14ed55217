"""Visual Coding Neuropixels: session files (NWB 2), without AllenSDK.

A session file becomes a `Recording` of spike counts to the natural scenes. Source of the layout: the
printed contents of DANDI 000021, the mirror of these files (``docs/reference/sources.md``, *Neuropixels files*).
The field potentials (``probe_*_lfp.nwb``) are never opened.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Collection, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from murine.cortex.allen.neuropixels_tables import VISUAL_AREAS, Tables
from murine.cortex.allen.responses import by_condition
from murine.cortex.allen.transgenic import cre_line
from murine.cortex.natural_scenes import BLANK, N_SCENES, SCENE_IDS, scene_groups
from murine.cortex.nwb.tables import ragged_bounds
from murine.cortex.recording import Recording
from murine.download import untouched
from murine.errors import MurineError, some
from murine.io.hdf5 import Tree
from murine.io.isolation import read_apart

log = logging.getLogger(__name__)

# A session has 2,800 units, 2,300 channels and 6,000 presentations; its busiest unit has some 10^6 spikes. Damaged
# sizes far beyond that are refused before they take memory.
_MOST_ROWS = 1_000_000
_MOST_BYTES = 256 << 20

# Older stimulus tables kept the names of the stimulus program, which AllenSDK still translates.
_PRESENTATIONS = ("natural_scenes_presentations", "Natural_Images_presentations", "Natural Images_presentations")
_FRAMES = ("frame", "Image")

_ELECTRODES = "general/extracellular_ephys/electrodes"


class _Presentations(NamedTuple):
    """Presentations of natural scenes in order of time."""

    start: Float[np.ndarray, " n_presentations"]
    stop: Float[np.ndarray, " n_presentations"]
    frame: Int[np.ndarray, " n_presentations"]
    """The scene; -1 is the blank screen."""


def read_session(
    path: str | Path,
    *,
    window: tuple[float, float] = (0.0, 0.25),
    isi_violations: float | None = 0.5,
    amplitude_cutoff: float | None = 0.1,
    presence_ratio: float | None = 0.9,
    areas: Collection[str] | None = VISUAL_AREAS,
    tables: Tables | None = None,
    rates: bool = False,
    isolated: bool | None = None,
) -> Recording:
    """Count the spikes of each unit in each presentation of a natural scene.

    Parameters
    ----------
    path
        A session file, ``session_<id>.nwb``.
    window
        Start and end in seconds after the onset of a presentation. A spike at the start counts, a spike at the end does
        not, so that adjoining windows share no spike. (AllenSDK's ``presentationwise_spike_counts`` counts both.)
    isi_violations, amplitude_cutoff, presence_ratio
        A unit is kept if its values are below the first limit, below the second and above the third; units with NaN are
        left out. None removes a limit. The defaults are those of AllenSDK's documentation; its code (2.16.2) keeps
        units with a presence ratio of *at least 0.95*.
    areas
        Areas to keep; None for every unit inside the brain. Parts of a structure count as the structure (``LGd-sh`` is
        ``LGd``).
    tables
        The project's tables (`read_tables`). Areas then come from ``channels.csv``, which is newer than the files, and
        donor, sex and Cre line from ``sessions.csv``.
    rates
        Spikes per second instead of counts.
    isolated
        Whether to read in a separate process with limits of time and memory, because a damaged file can make the HDF5
        library crash or hang. This takes half a second. None: yes, unless `murine.download` fetched and verified the
        file.

    Returns
    -------
    Recording
        (n_units, 119, n_repetitions), float32: units in the order of the file; ``scene_000`` to ``scene_117`` and
        ``blank``; repetitions in the order of time. NaN where a scene was shown less often, and for the units concerned
        where a presentation, from onset to offset and to the end of the window, touches an invalid interval.
        Coordinates: those of the data set
        ``allen-neuropixels`` as far as they are known (``layer`` '' and ``depth`` NaN: the files have neither);
        ``donor`` is the specimen id with ``tables``, otherwise the file's own subject id. Further probe_id, probe, the
        quality metrics, the position of the peak channel on the probe and in the brain (um), and the window.

    Raises
    ------
    MurineError
        Where the file is damaged or not of this kind, natural scenes were not shown, or no unit is left; with the path
        inside the file, what was found and what was expected.

    Notes
    -----
    As in AllenSDK, units are also left out if they are not marked good, are on channels without valid data, or are
    outside the brain. An invalid interval with the name or id of a probe applies to that probe; ``optotagging``
    (missing light pulses) applies to no probe; every other one applies to all probes. Negative spike times mark spikes
    without a time and are dropped. Spikes that are not in order are sorted. Files from before May 2020 need both
    (AllenSDK issue 1349).
    """
    _check_window(window)
    limits = {
        "isi_violations": (isi_violations, -1),
        "amplitude_cutoff": (amplitude_cutoff, -1),
        "presence_ratio": (presence_ratio, 1),
    }
    file = Path(path)
    if isolated or (isolated is None and not untouched(file)):
        return read_apart(file, _read_session, file, window, limits, areas, tables, rates)
    return _read_session(file, window, limits, areas, tables, rates)


def _read_session(
    path: Path,
    window: tuple[float, float],
    limits: dict[str, tuple[float | None, int]],
    areas: Collection[str] | None,
    tables: Tables | None,
    rates: bool,
) -> Recording:
    with Tree(path, max_bytes=_MOST_BYTES) as tree:
        if "units" not in tree and not tree.nwb_2():
            tree.refuse("units", "nothing there, and no version of NWB 2", "the NWB 2 file of a Neuropixels session")
        session = tree.text("identifier")
        presentations = _presentations(tree)
        channels = _channels(tree, tables)
        units = _units(tree, channels)
        kept = _chosen(str(path), units, limits, areas)
        bounds = ragged_bounds(tree, "units/spike_times", len(units))
        invalid = _invalid(tree, presentations, window, dict(zip(channels.probe_id, channels.probe, strict=True)))
        counts = np.empty((len(presentations.start), len(kept)))
        disordered = 0
        for i, unit in enumerate(kept.index):
            spikes, orderly = _spikes(tree, bounds, int(unit))
            disordered += not orderly
            counts[:, i] = spike_counts(spikes, presentations.start, window)
            counts[invalid[kept.probe_id[unit]], i] = np.nan
        if disordered:
            log.warning(
                "%s: the spikes of %d units were not in order or had no time (AllenSDK #1349).", path, disordered
            )
        subject = _subject(tree, session, tables)
    neuroid = {
        "neuroid_id": kept.id,
        "area": kept.area,
        "layer": np.full(len(kept), ""),
        "depth": np.full(len(kept), np.nan),
        **{key: np.full(len(kept), value) for key, value in subject.items()},
        **{key: kept[key] for key in _UNIT_NUMBERS},
        **{key: kept[key] for key in ("probe_id", "probe", *_POSITIONS.values())},
        "window_start_s": np.full(len(kept), float(window[0])),
        "window_stop_s": np.full(len(kept), float(window[1])),
    }
    stimulus = {"stimulus_id": np.array([*SCENE_IDS, BLANK]), "group": np.array([*scene_groups(), ""])}
    responses = by_condition(counts / (window[1] - window[0]) if rates else counts, presentations.frame, N_SCENES)
    return Recording.from_arrays(responses, neuroid, stimulus, name=f"allen-neuropixels-{session}")


def spike_counts(
    spikes: Float[np.ndarray, " n_spikes"], onsets: Float[np.ndarray, " n_onsets"], window: tuple[float, float]
) -> Int[np.ndarray, " n_onsets"]:
    """Count sorted spikes with ``onset + window[0] <= spike < onset + window[1]`` for each onset (all seconds)."""
    return np.searchsorted(spikes, onsets + window[1]) - np.searchsorted(spikes, onsets + window[0])


def _check_window(window: Sequence[float]) -> None:
    if len(window) != 2 or not all(math.isfinite(limit) for limit in window) or window[0] >= window[1]:
        raise MurineError(f"the window {window} is none; expected two times in seconds, the first before the second.")


def _rows(tree: Tree, path: str, kind: str) -> np.ndarray:
    """Read the column that defines the number of rows of a table."""
    n_rows = tree.dataset(path, (None,), kind).shape[0]
    if n_rows > _MOST_ROWS:
        tree.refuse(path, f"{n_rows:,} rows", f"at most {_MOST_ROWS:,}")
    return tree.array(path, (None,), kind)


def _floats(tree: Tree, path: str, n_rows: int) -> Float[np.ndarray, " n_rows"]:
    """Read a column of numbers; NaN where the file has no such column."""
    return tree.array(path, (n_rows,)).astype(np.float64) if path in tree else np.full(n_rows, np.nan)


def _ids(tree: Tree, path: str) -> Int[np.ndarray, " n_rows"]:
    ids = _rows(tree, path, "iu")
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        tree.refuse(path, f"ids more than once: {some(values[counts > 1])}", "ids that differ")
    return ids.astype(np.int64)


def _presentations(tree: Tree) -> _Presentations:
    """Read when which scene was shown."""
    table = next((f"intervals/{name}" for name in _PRESENTATIONS if f"intervals/{name}" in tree), None)
    if table is None:
        found = some(tree.names("intervals"), 20) or "nothing"
        tree.refuse("intervals", found, f"{_PRESENTATIONS[0]}; natural scenes were not shown in this session")
    start = _rows(tree, f"{table}/start_time", "f").astype(np.float64)
    stop = tree.array(f"{table}/stop_time", start.shape, "f").astype(np.float64)
    column = next((f"{table}/{name}" for name in _FRAMES if f"{table}/{name}" in tree), f"{table}/{_FRAMES[0]}")
    frame = tree.array(column, start.shape).astype(np.float64)
    known = ~np.isnan(frame)
    if not known.all():
        log.warning("%s: %d presentations without a frame are left out.", tree.file, int((~known).sum()))
        start, stop, frame = start[known], stop[known], frame[known]
    if not len(frame):
        tree.refuse(column, "no presentation", "some")
    odd = (frame != np.floor(frame)) | (frame < -1) | (frame >= N_SCENES)
    if odd.any():
        tree.refuse(column, f"frames {some(frame[odd])}", f"-1 (blank) or whole numbers below {N_SCENES}")
    if not np.isfinite(start).all() or not (np.isfinite(stop) & (stop >= start)).all():
        tree.refuse(table, "presentations that have no time or end before they start", "seconds")
    order = np.argsort(start, kind="stable")
    return _Presentations(start[order], stop[order], frame[order].astype(np.int64))


#: Columns of the electrodes table to coordinates.
_POSITIONS = {
    "probe_vertical_position": "vertical_position_um",
    "x": "anterior_posterior_um",
    "y": "dorsal_ventral_um",
    "z": "left_right_um",
}


def _channels(tree: Tree, tables: Tables | None) -> pd.DataFrame:
    """Read the channels, indexed by id: probe, area ('' outside the brain), whether their data are valid, position."""
    ids = _ids(tree, f"{_ELECTRODES}/id")
    size = len(ids)
    areas = pd.Series(tree.texts(f"{_ELECTRODES}/location", (size,)), index=ids, dtype=object)
    if tables is not None:
        newer = tables.channels["ecephys_structure_acronym"].reindex(ids).fillna("").astype(str)
        areas = newer.where(areas.index.isin(tables.channels.index), areas)
    valid = f"{_ELECTRODES}/valid_data"
    return pd.DataFrame(
        {
            "probe_id": tree.array(f"{_ELECTRODES}/probe_id", (size,), "iu").astype(np.int64),
            "probe": tree.texts(f"{_ELECTRODES}/group_name", (size,)),
            "area": [_structure(area) for area in areas],
            "valid_data": tree.array(valid, (size,), "biu").astype(bool) if valid in tree else np.ones(size, bool),
            **{name: _floats(tree, f"{_ELECTRODES}/{key}", size) for key, name in _POSITIONS.items()},
        },
        index=ids,
    )


def _structure(location: str) -> str:
    """The structure of a location without its part; '' for none."""
    return "" if location.strip() in ("", "None", "nan", "null") else location.strip().split("-")[0]


#: Metrics of the units that become coordinates.
_UNIT_NUMBERS = ("isi_violations", "amplitude_cutoff", "presence_ratio", "snr", "firing_rate", "waveform_duration")


def _units(tree: Tree, channels: pd.DataFrame) -> pd.DataFrame:
    """Read the units in the order of the file, with what is known of their peak channels."""
    ids = _ids(tree, "units/id")
    size = len(ids)
    for name in _UNIT_NUMBERS[:3]:
        tree.dataset(f"units/{name}", (size,))
    units = pd.DataFrame({name: _floats(tree, f"units/{name}", size) for name in _UNIT_NUMBERS})
    units["id"] = ids
    units["good"] = [q == "good" for q in tree.texts("units/quality", (size,))] if "units/quality" in tree else True
    peak = tree.array("units/peak_channel_id", (size,), "iu").astype(np.int64)
    units["channel_known"] = np.isin(peak, channels.index)
    found = channels.reindex(peak).reset_index(drop=True)
    found["area"] = found["area"].fillna("")
    found["valid_data"] = found["valid_data"].eq(True)
    return units.join(found)


def _chosen(
    file: str,
    units: pd.DataFrame,
    limits: dict[str, tuple[float | None, int]],
    areas: Collection[str] | None,
) -> pd.DataFrame:
    """Keep the units that meet every condition.

    The log says how many units failed each; so does the error if no unit is left.
    """
    if isinstance(areas, str):
        areas = (areas,)
    conditions = {
        "not good": units.good,
        "an unknown peak channel": units.channel_known,
        "no valid data on their peak channel": units.valid_data | ~units.channel_known,
        "a place outside the brain": (units.area != "") | ~units.channel_known,
    }
    for name, (limit, sign) in limits.items():
        if limit is not None:
            word = "below" if sign < 0 else "above"
            conditions[f"{name} not {word} {limit}"] = sign * units[name] > sign * limit
    if areas is not None:
        conditions[f"an area other than {', '.join(areas)}"] = units.area.isin(list(areas)) | (units.area == "")
    kept = units[np.logical_and.reduce([*conditions.values()])]
    failed = "; ".join(f"{int((~ok).sum())} with {why}" for why, ok in conditions.items() if not ok.all())
    if kept.empty:
        raise MurineError(f"{file!r}: none of its {len(units)} units is left: {failed or 'there is none'}.")
    log.info("%s: %d of %d units kept; %s.", file, len(kept), len(units), failed or "all")
    # Channels that are not known made these floats; the units that are left have one.
    return kept.astype({"probe_id": np.int64})


def _spikes(tree: Tree, bounds: Int[np.ndarray, " n_bounds"], unit: int) -> tuple[Float[np.ndarray, " n_spikes"], bool]:
    """Read the spikes of the unit in a row of the table, sorted, and tell whether they were so in the file."""
    path = "units/spike_times"
    rows = slice(int(bounds[unit]), int(bounds[unit + 1]))
    spikes = tree.read(path, tree.dataset(path, (None,), "f"), rows).astype(np.float64, copy=False)
    if not np.isfinite(spikes).all():
        tree.refuse(path, f"NaN or infinite times among the spikes {rows.start} to {rows.stop}", "seconds")
    if len(spikes) and (spikes[0] < 0 or (spikes[1:] < spikes[:-1]).any()):
        return np.sort(spikes[spikes >= 0]), False
    return spikes, True


def _invalid(
    tree: Tree, presentations: _Presentations, window: tuple[float, float], probes: dict[int, str]
) -> dict[int, Bool[np.ndarray, " n_presentations"]]:
    """Tell for each probe which presentations touch an invalid interval."""
    masks = {probe: np.zeros(len(presentations.start), dtype=bool) for probe in probes}
    table = "intervals/invalid_times"
    if table not in tree:
        return masks
    start = _rows(tree, f"{table}/start_time", "f").astype(np.float64)
    stop = tree.array(f"{table}/stop_time", start.shape, "f").astype(np.float64)
    if not (stop >= start).all():
        tree.refuse(table, "intervals that have no time or end before they start", "seconds")
    first = np.minimum(presentations.start, presentations.start + window[0])
    last = np.maximum(presentations.stop, presentations.start + window[1])
    for begin, end, tags in zip(start, stop, _tags(tree, f"{table}/tags", len(start)), strict=True):
        touched = (first <= end) & (last >= begin)
        for probe in _concerned(tags, probes):
            masks[probe] |= touched
    return masks


def _tags(tree: Tree, path: str, n_rows: int) -> list[list[str]]:
    """Read the tags of each interval; none where the table has no such column."""
    if path not in tree:
        return [[] for _ in range(n_rows)]
    bounds = ragged_bounds(tree, path, n_rows)
    if bounds[-1] > _MOST_ROWS:
        tree.refuse(path, f"{bounds[-1]:,} tags", f"at most {_MOST_ROWS:,}")
    texts = tree.texts(path)
    return [texts[begin:end] for begin, end in pairwise(bounds)]


def _concerned(tags: Sequence[str], probes: dict[int, str]) -> set[int]:
    """The probes that an invalid interval concerns; its tags are a scope, the id of what is in it, and a label."""
    if "optotagging" in tags:
        return set()
    named = {probe for probe, name in probes.items() if name in tags or str(probe) in tags}
    everything = "all_probes" in tags or "stimulus" in tags or not (named or "EcephysProbe" in tags)
    return set(probes) if everything else named


def _subject(tree: Tree, session: str, tables: Tables | None) -> dict[str, str]:
    """What is known of the mouse and the session, as coordinates."""
    row: dict[str, Any] = {}
    if tables is None:
        for key, name in (("specimen_id", "subject_id"), ("sex", "sex"), ("genotype", "genotype")):
            row[key] = tree.text(f"general/subject/{name}") if f"general/subject/{name}" in tree else ""
    elif not re.fullmatch(r"[0-9]{1,18}", session) or int(session) not in tables.sessions.index:
        tree.refuse("identifier", f"session {session!r}", f"one of sessions.csv: {some(tables.sessions.index)}")
    else:
        row = {str(key): "" if pd.isna(value) else value for key, value in tables.sessions.loc[int(session)].items()}
    lines = [line for line in str(row["genotype"]).split(";") if "Cre" in line]
    donor = row["specimen_id"]
    return {
        "cre_line": cre_line(lines[0]) if lines else str(row["genotype"]).split("/")[0],
        "cell_class": "unknown",
        "session_id": session,
        "donor": str(int(donor)) if isinstance(donor, (float, np.floating)) and math.isfinite(donor) else str(donor),
        "sex": str(row["sex"]),
    }
