"""From traces to responses: what is averaged over which frames of every sweep.

A *sweep* is one presentation of one image. Definitions: ``specs/allen-brain-observatory.md``, sections 7.1, 7.2 and 8.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped

from murine.cortex.natural_scenes import BLANK
from murine.errors import MurineError, nearest

#: Baseline and tail of a sweep's window, in lengths of a sweep.
BASELINE_LENGTHS, RESPONSE_LENGTHS, WINDOW_LENGTHS = 4, 2, 9


@dataclass(frozen=True)
class Window:
    """Frames of a sweep, counted from its onset, that make its response: ``first`` up to, not including, ``stop``.

    ``stop`` None means two lengths of a sweep, AllenSDK's choice: 14 frames, about 0.47 s, into the next image.
    """

    name: str
    first: int
    stop: int | None

    def frames(self, length: int) -> tuple[int, int]:
        """First and last-plus-one frame for sweeps of a length."""
        return self.first, RESPONSE_LENGTHS * length if self.stop is None else self.stop


#: Windows by name: AllenSDK's; frames +2 to +11 (de Vries et al. 2020); the frames that begin within 250 ms at 30.1 Hz.
WINDOWS = {
    window.name: window
    for window in (Window("allensdk", 0, None), Window("de-vries2020", 2, 12), Window("0-250ms", 0, 8))
}


def window_of(text: str) -> Window:
    """Find a window by name, or make one from ``FIRST:STOP`` in frames after onset, as ``2:12``."""
    if text in WINDOWS:
        return WINDOWS[text]
    frames = re.fullmatch(r"(-?\d{1,4}):(\d{1,4})", text.strip())
    if frames is None or int(frames[1]) >= int(frames[2]):
        raise MurineError(
            f"there is no window {text!r}{nearest(text, WINDOWS) or '.'} Known: {', '.join(WINDOWS)}, or "
            "FIRST:STOP in frames after onset (STOP not included), as 2:12."
        )
    return Window(text.strip(), int(frames[1]), int(frames[2]))


def sweep_length(table: pd.DataFrame) -> int:
    """Frames of a sweep: end - start of the second row in time (as AllenSDK does)."""
    row = table.iloc[min(1, len(table) - 1)]
    return int(row["end"] - row["start"])


def windows_around(
    trace: Shaped[np.ndarray, " n_frames"], starts: Int[np.ndarray, " n_sweeps"], before: int, after: int
) -> Shaped[np.ndarray, "n_sweeps n_samples"]:
    """Gather ``before`` frames before each start and ``after`` from it on; NaN where the recording has no frame."""
    inside = (starts >= before) & (starts + after <= len(trace))
    if inside.all():
        return np.lib.stride_tricks.sliding_window_view(trace, before + after)[starts - before]
    frames = starts[:, None] + np.arange(-before, after)
    there = (frames >= 0) & (frames < len(trace))
    return np.where(there, trace[np.where(there, frames, 0)], trace.dtype.type(np.nan))


def percent_of_baseline(
    windows: Shaped[np.ndarray, "n_sweeps n_samples"], baseline: int
) -> Shaped[np.ndarray, "n_sweeps n_samples"]:
    """100 (F / mean of the first ``baseline`` samples - 1), in that order of operations: the sweep response.

    Not finite where that mean is 0 or NaN.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        response: np.ndarray = 100 * (windows / windows[:, :baseline].mean(axis=1)[:, None] - 1)
    return response


def sweep_means(
    traces: Shaped[np.ndarray, "n_cells n_frames"],
    table: pd.DataFrame,
    *,
    window: Window = WINDOWS["allensdk"],
    local_baseline: bool = True,
) -> Float[np.ndarray, "n_sweeps n_cells"]:
    """Average each cell's trace over the window of every sweep.

    Parameters
    ----------
    traces
        float32 or float64, kept as they are: the promotion decides the last digits.
    table
        Sweeps in time order (`Experiment.stimulus_table`).
    local_baseline
        Give percent of the mean over the four sweep lengths before onset, as AllenSDK does with corrected
        fluorescence; else the plain mean.

    Returns
    -------
    means
        float64. With AllenSDK's window and corrected fluorescence **bitwise** equal to its ``mean_sweep_response``. A
        NaN in a sweep's window or baseline makes that response NaN, as does a window that begins before the recording
        or ends after it; other sweeps and cells are not touched.
    """
    starts = table["start"].to_numpy()
    length = sweep_length(table)
    first, stop = window.frames(length)
    before = BASELINE_LENGTHS * length if local_baseline else 0
    means = np.empty((len(starts), len(traces)))
    for cell, trace in enumerate(traces):  # one cell at a time: its windows stay in the cache
        if local_baseline:
            # The reductions run over contiguous samples, as AllenSDK's do: the sums are the same to the last bit.
            baseline = windows_around(trace, starts, before, 0).mean(axis=1)
            samples = windows_around(trace, starts, -first, stop)
            with np.errstate(divide="ignore", invalid="ignore"):
                means[:, cell] = (100 * (samples / baseline[:, None] - 1)).mean(axis=1)
        else:
            means[:, cell] = windows_around(trace, starts, -first, stop).mean(axis=1)
    return means


def by_condition(
    means: Float[np.ndarray, "n_sweeps n_cells"], frames: Int[np.ndarray, " n_sweeps"], n_scenes: int = 118
) -> Float[np.ndarray, "n_cells n_conditions n_repetitions"]:
    """Arrange sweeps by image: scenes 0 to ``n_scenes`` - 1, then the blank screen (-1).

    Repetitions are in time order; an image shown less often than another has NaN for the rest.

    Raises
    ------
    MurineError
        If a frame is no scene, or nothing was shown.
    """
    if not len(frames) or frames.min() < -1 or frames.max() >= n_scenes:
        found = f"{frames.min()} to {frames.max()}" if len(frames) else "none"
        raise MurineError(f"found scenes {found}; expected 0 to {n_scenes - 1}, and -1 for the blank screen.")
    conditions = np.where(frames < 0, n_scenes, frames)
    counts = np.bincount(conditions, minlength=n_scenes + 1)
    order = np.argsort(conditions, kind="stable")
    repetition = np.empty(len(frames), dtype=np.int64)
    repetition[order] = np.arange(len(frames)) - np.repeat(np.cumsum(counts) - counts, counts)
    responses = np.full((means.shape[1], n_scenes + 1, counts.max()), np.nan)
    responses[:, conditions, repetition] = means.T
    return responses


def stimulus_ids(n_scenes: int = 118) -> list[str]:
    """``scene_000`` ... and ``blank``, the order of `by_condition`."""
    return [*(f"scene_{i:03d}" for i in range(n_scenes)), BLANK]
