"""The natural-scene responses and metrics of the Allen Brain Observatory, written as plainly as they are specified.

A transcription of sections 7 and 8 of the format's specification: a loop per cell and per sweep, means by NumPy and
tests by scipy.stats. It is slow, shares nothing with murine, and is itself compared with AllenSDK's own answers in
tests/reference/test_allensdk.py. Names follow the specification: L is the length of a sweep, s its start.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from scipy import stats

N_SCENES = 118
CONDITIONS = (-1, *range(N_SCENES))
PEAK_COLUMNS = (
    "scene_ns",
    "peak_dff_ns",
    "ptest_ns",
    "time_to_peak_ns",
    "p_run_ns",
    "run_modulation_ns",
    "reliability_ns",
    "image_selectivity_ns",
)


@dataclass(frozen=True)
class Stored:
    """What the file holds, as it is typed there, rows and columns as they lie there."""

    cell_specimen_ids: np.ndarray
    signal: np.ndarray
    """(cells, frames) what the neuropil is subtracted from: demixed, or raw fluorescence before pipeline 2.0."""
    neuropil: np.ndarray
    ratio: np.ndarray
    clock: np.ndarray
    speed: np.ndarray
    speed_times: np.ndarray
    scene: np.ndarray
    frame_duration: np.ndarray


@dataclass(frozen=True)
class Answers:
    """Everything that AllenSDK answers for the scenes of one file."""

    cell_specimen_ids: np.ndarray
    corrected: np.ndarray
    """(cells, frames) fluorescence."""
    running: np.ndarray
    """(frames,) cm/s, NaN where it was not measured."""
    table: np.ndarray
    """(sweeps, 4): scene, start, end, and row in the file; in time order."""
    mean_sweep_response: np.ndarray
    """(sweeps, cells + 1) percent; running speed last."""
    sweep_p: np.ndarray | None
    """(sweeps, cells + 1); running speed last."""
    response: np.ndarray | None
    """(119, cells + 1, 3), blank first."""
    peak: dict[str, np.ndarray]
    """A column per entry of ``PEAK_COLUMNS``, each (cells,)."""


def stored(path: Path | str) -> Stored:
    """The arrays of one file of any pipeline version (sections 3.1 to 3.3)."""
    with h5py.File(path) as file:
        pipe = file["processing/brain_observatory_pipeline"]
        fluorescence, plane = pipe["Fluorescence"], pipe["Fluorescence/imaging_plane_1"]
        version = float(file["general/generated_by"][-1]) if "generated_by" in file["general"] else 0.9
        running = pipe["BehavioralTimeSeries/running_speed"]
        shown = file["stimulus/presentation"]
        scenes = shown["natural_scenes" if "natural_scenes" in shown else "natural_scenes_stimulus"]
        response = fluorescence["imaging_plane_1_neuropil_response"] if version >= 2 else plane
        return Stored(
            cell_specimen_ids=pipe["ImageSegmentation/cell_specimen_ids"][()],
            signal=(fluorescence["imaging_plane_1_demixed_signal/data"] if version >= 2 else plane["data"])[()],
            neuropil=(response["data"] if version >= 2 else plane["neuropil_traces"])[()],
            ratio=response["r"][()],
            clock=plane["timestamps"][()],
            speed=running["data"][()].reshape(-1),
            speed_times=running["timestamps"][()],
            scene=scenes["data"][()],
            frame_duration=scenes["frame_duration"][()],
        )


def corrected_fluorescence(signal: np.ndarray, neuropil: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """Section 3.1, and step 1 of section 8: no cast."""
    return signal - neuropil * ratio[:, None]


def padded_running(speed: np.ndarray, speed_times: np.ndarray, clock: np.ndarray) -> np.ndarray:
    """Section 3.2: NaN before the frame with exactly the first time, and after the last until lengths match."""
    before = 0
    if speed_times[0] > clock[0]:
        before = int(np.flatnonzero(clock == speed_times[0])[0])
    after = len(clock) - len(speed) - before
    return np.concatenate([np.full(before, np.nan), speed, np.full(after, np.nan)])


def sweep_table(scene: np.ndarray, frame_duration: np.ndarray) -> np.ndarray:
    """Section 3.3: (sweeps, 4) of scene, start, end and row in the file, by start and then end."""
    rows = [(int(start), int(end), row, int(scene[row])) for row, (start, end) in enumerate(frame_duration)]
    return np.array([(shown, start, end, row) for start, end, row, shown in sorted(rows)], dtype=np.int64)


def sweep_response(trace: np.ndarray, start: int, length: int) -> np.ndarray:
    """Section 7.1: 9 L samples in percent of the mean of the first 4 L."""
    window = trace[start - 4 * length : start + 5 * length]
    with np.errstate(all="ignore"):
        return 100 * (window / _mean(window[: 4 * length]) - 1)


def anova(groups: list[np.ndarray]) -> float:
    """One-way, in float64 whatever the type of the trace; NaN where it is not defined."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return float(stats.f_oneway(*[group.astype(np.float64) for group in groups]).pvalue)


def condition_response(means: np.ndarray, p: np.ndarray | None) -> np.ndarray:
    """Section 7.4, of one cell and one condition: mean, standard error, number of significant sweeps.

    The mean is summed in the trace's own type, over all sweeps with zero for NaN; the variance is float64 and rounded
    to that type. (In float64 this is what it seems to be; in float32 it decides the last digits.)
    """
    known = ~np.isnan(means)
    count = int(known.sum())
    mean = np.sum(np.where(known, means, 0), dtype=means.dtype) / means.dtype.type(count) if count else np.nan
    error = np.nan
    if count > 1:
        wide = np.where(known, means, 0).astype(np.float64)
        squares = np.where(known, (np.sum(wide) / count - wide) ** 2, 0.0)
        variance = means.dtype.type(np.sum(squares) / (count - 1))
        error = np.float64(np.sqrt(variance)) / np.sqrt(len(means))
    significant = np.nan if p is None else np.sum(p < 0.05 / N_SCENES)
    return np.array([mean, error, significant], dtype=np.float64)


def selectivity(responses: np.ndarray) -> float:
    """Section 7.5, of the mean responses to the 118 scenes."""
    if np.isnan(responses).any():
        return np.nan
    low, high = np.min(responses), np.max(responses)
    fractions = []
    for j in range(1000):
        threshold = low + j * (high - low) / 1000
        fractions.append(np.sum(responses > threshold) / N_SCENES)
    return float(1 - 2 * np.mean(fractions))


def reliability(windows: list[np.ndarray]) -> float:
    """Section 7.5: mean correlation of the time courses of two presentations, samples 28 to 41 whatever L is."""
    correlations = []
    for i in range(len(windows)):
        for j in range(i + 1, len(windows)):
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                pair = [windows[k][28:42].astype(np.float64) for k in (i, j)]
                correlations.append(np.corrcoef(*pair)[0, 1])
    known = [r for r in correlations if not np.isnan(r)]
    return float(np.mean(known)) if known else np.nan


def welch(x: np.ndarray, y: np.ndarray) -> float:
    """p of Welch's t-test: means and squared deviations in the values' own type, the rest in float64."""
    with np.errstate(all="ignore"):
        parts = []
        for values in (x, y):
            n = len(values)
            spread = np.float64(np.mean((values - np.mean(values)) ** 2)) * n / (n - 1)
            parts.append(spread / n)
        t = np.float64(np.mean(x) - np.mean(y)) / np.sqrt(sum(parts))
        freedom = sum(parts) ** 2 / (parts[0] ** 2 / (len(x) - 1) + parts[1] ** 2 / (len(y) - 1))
        return float(2 * stats.t.sf(abs(t), freedom))


def running_modulation(means: np.ndarray, speeds: np.ndarray) -> tuple[float, float]:
    """Section 7.5: p of Welch's test, and modulation, of the best scene's sweeps; NaN if too few of either kind."""
    running, still = means[speeds >= 1], means[speeds < 1]
    if len(running) <= 4 or len(still) <= 4:
        return np.nan, np.nan
    p = welch(running, still)
    a, b = np.mean(running), np.mean(still)
    if a > b:
        return p, float((a - b) / abs(a))
    if a < b:
        return p, float(-(b - a) / abs(b))
    return p, np.nan


def answers_of(file: Stored, *, sweep_p: bool = True) -> Answers:
    """All of sections 7 and 8; without ``sweep_p`` neither the sweeps' p values nor the condition responses.

    Cells are independent of each other. Where a sweep of a cell's preferred scene is NaN, AllenSDK raises for the whole
    experiment (7.7): here it is skipped, and a scene of which every sweep is NaN is not preferred. It also raises where
    the recording ends within such a sweep's window: here that window is left out of time course and correlations.
    """
    corrected = corrected_fluorescence(file.signal, file.neuropil, file.ratio)
    running = padded_running(file.speed, file.speed_times, file.clock)
    table = sweep_table(file.scene, file.frame_duration)
    starts = [int(s) for s in table[:, 1]]
    length = int(table[1, 2] - table[1, 1])
    onset, over = 4 * length, 6 * length
    rate = 1 / (file.clock[1] - file.clock[0])

    cells, sweeps = len(corrected), len(table)
    means = np.full((sweeps, cells + 1), np.nan)
    p = np.full((sweeps, cells + 1), np.nan)
    response = np.full((len(CONDITIONS), cells + 1, 3), np.nan)
    peak = {name: np.full(cells, np.nan) for name in PEAK_COLUMNS}
    speed_windows = [running[s - onset : s + 5 * length] for s in starts]
    speeds = np.array([_mean(window[onset:over]) for window in speed_windows])

    for c in range(cells + 1):
        windows = [sweep_response(corrected[c], s, length) for s in starts] if c < cells else speed_windows
        mine = np.array([_mean(window[onset:over]) for window in windows], dtype=windows[0].dtype)
        means[:, c] = mine
        if sweep_p:
            p[:, c] = [anova([window[:onset], window[onset:over]]) for window in windows]
        for n, condition in enumerate(CONDITIONS):
            shown = table[:, 0] == condition
            response[n, c] = condition_response(mine[shown], p[shown, c] if sweep_p else None)
        if c == cells:
            continue

        scenes = response[1:, c, 0]
        if np.isnan(scenes).all():
            continue
        best = int(np.nanargmax(scenes))
        shown = np.flatnonzero((table[:, 0] == best) & ~np.isnan(mine))
        best_windows = [windows[k] for k in shown if len(windows[k]) == 9 * length]
        peak["scene_ns"][c] = best
        peak["peak_dff_ns"][c] = scenes[best]
        peak["ptest_ns"][c] = anova([mine[table[:, 0] == condition] for condition in CONDITIONS])
        if best_windows:  # the first NaN is the peak, where the tail of a window has one
            peak["time_to_peak_ns"][c] = (int(np.argmax(np.mean(best_windows, axis=0))) - onset) / rate
        peak["p_run_ns"][c], peak["run_modulation_ns"][c] = running_modulation(mine[shown], speeds[shown])
        peak["reliability_ns"][c] = reliability(best_windows)
        peak["image_selectivity_ns"][c] = selectivity(scenes)
    return Answers(
        file.cell_specimen_ids,
        corrected,
        running,
        table,
        means,
        p if sweep_p else None,
        response if sweep_p else None,
        peak,
    )


def _mean(values: np.ndarray) -> np.floating:
    """NaN without a warning where there is nothing to average."""
    return np.mean(values) if len(values) else values.dtype.type(np.nan)
