"""Responses from traces: the signal of every sweep, averaged over a window of frames.

A *sweep* is one presentation of one image. Definitions: AllenSDK 2.16.2
(``docs/reference/sources.md``, *Natural-scene metrics*).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped

from murine.errors import MurineError, nearest

#: Baseline, response and what follows the onset in a sweep's window, in lengths of a sweep.
BASELINE_LENGTHS, RESPONSE_LENGTHS, AFTER_LENGTHS = 4, 2, 5

#: Frames; natural scenes have 7.
_LONGEST_SWEEP = 300

#: Pieces of a recording that fewer frames than this separate are read as one.
_NEARBY = 256


@dataclass(frozen=True)
class Window:
    """The frames of a sweep that are averaged, counted from its onset: from ``first`` up to, not including, ``stop``.

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
    """Frames of a sweep: end - start of the second row in time (as AllenSDK does).

    Raises
    ------
    MurineError
        If there is no row, or that is no length of a brief presentation.
    """
    if not len(table):
        raise MurineError("no natural scene was shown; expected at least one row in the table of sweeps.")
    row = table.iloc[min(1, len(table) - 1)]
    length = int(row["end"] - row["start"])
    if not 0 < length <= _LONGEST_SWEEP:
        raise MurineError(f"found sweeps of {length} frames; expected 1 to {_LONGEST_SWEEP} (natural scenes have 7).")
    return length


@dataclass(frozen=True)
class Excerpt:
    """The frames that the windows of sweeps reach, in pieces of the recording: scenes fill less than half a session.

    Attributes
    ----------
    pieces
        In time order, without overlap.
    starts
        Onsets of the sweeps in the joined pieces. A window that is incomplete there is incomplete in the recording,
        too.
    """

    pieces: tuple[slice, ...]
    starts: Int[np.ndarray, " n_sweeps"]

    @classmethod
    def around(
        cls, starts: Int[np.ndarray, " n_sweeps"], before: int, after: int, n_frames: int, together: int = 1
    ) -> Excerpt:
        """Cover ``before`` frames before each onset and ``after`` from it on.

        Onsets are in time order. ``together`` is how many frames the file stores in one piece.
        """
        first, stop = np.maximum(starts - before, 0), np.minimum(starts + after, n_frames)
        begins_piece = np.append(True, first[1:] - stop[:-1] >= max(_NEARBY, together))
        ends_piece = np.append(begins_piece[1:], True)
        begins, ends = first[begins_piece], stop[ends_piece]
        joined = np.cumsum(ends - begins) - (ends - begins)  # where pieces begin in the joined recording
        piece = np.cumsum(begins_piece) - 1
        pieces = tuple(slice(int(a), int(b)) for a, b in zip(begins, ends, strict=True))
        return cls(pieces, starts - begins[piece] + joined[piece])


def summed(terms: Shaped[np.ndarray, "n_terms ..."]) -> np.ndarray:
    """Sum over the first axis, in the order in which NumPy sums a contiguous row: to the last bit the same.

    Many short rows, side by side, are summed several times faster this way than row after row. The order is that of
    pairwise summation: eight running sums, which are then joined in pairs; of more than 128 terms, in halves.
    """
    n = len(terms)
    if n > 128:
        half = n // 2 - n // 2 % 8
        return summed(terms[:half]) + summed(terms[half:])
    rest = n % 8 if n >= 8 else n
    if n < 8:
        total = np.zeros_like(terms, shape=terms.shape[1:])
    else:
        lanes = terms[:8].copy()
        for i in range(8, n - rest, 8):
            lanes += terms[i : i + 8]
        pairs = lanes[0::2] + lanes[1::2]
        total = (pairs[0] + pairs[1]) + (pairs[2] + pairs[3])
    for term in terms[n - rest :]:
        total += term
    return total


def moving_sums(trace: Shaped[np.ndarray, " n_frames"], n: int) -> Shaped[np.ndarray, " n_windows"]:
    """Sum of every ``n`` neighbouring samples: as `summed` sums them, to the last bit, with the running sums shared."""
    if n > 128:
        half = n // 2 - n // 2 % 8
        return moving_sums(trace[: half - n], half) + moving_sums(trace[half:], n - half)
    if n < 8:
        return summed(np.lib.stride_tricks.sliding_window_view(trace, n).T)
    n_windows, whole = len(trace) - n + 1, n - n % 8
    lanes = trace[: n_windows + 7].copy()
    for i in range(8, whole, 8):
        lanes += trace[i : i + n_windows + 7]
    pairs = lanes[:-1] + lanes[1:]
    fours = pairs[:-2] + pairs[2:]
    total: np.ndarray = fours[:-4] + fours[4:]
    for i in range(whole, n):
        total += trace[i : i + n_windows]
    return total


def windows_within(
    starts: Int[np.ndarray, " n_sweeps"], before: int, first: int, stop: int, n_frames: int
) -> Iterator[tuple[Int[np.ndarray, " n_chosen"], int]]:
    """Find the sweeps whose windows have frames, with where these stop: pairs of their positions and that frame.

    There is nearly always one pair: all sweeps with ``stop``. Windows that reach beyond the end of the recording stop
    earlier, as in AllenSDK. Sweeps that need a frame before the start of the recording (``before`` frames before the
    onset, or ``first`` frames after it) have no window.
    """
    begins = starts >= max(before, -first)
    stops = np.minimum(stop, n_frames - starts)
    for found in np.unique(stops[begins & (stops > first)]):
        yield np.flatnonzero(begins & (stops == found)), int(found)


def sweep_means(
    traces: Shaped[np.ndarray, "n_cells n_frames"],
    starts: Int[np.ndarray, " n_sweeps"],
    length: int,
    *,
    window: Window = WINDOWS["allensdk"],
    local_baseline: bool = True,
) -> Float[np.ndarray, "n_sweeps n_cells"]:
    """Average each cell's trace over the window of every sweep.

    Parameters
    ----------
    traces
        float32 or float64. They are not converted, because the type decides the last digits of the result.
    starts
        Onsets of the sweeps.
    length
        Frames of a sweep (`sweep_length`).
    local_baseline
        Whether to return percent of the mean over the four sweep lengths before onset, as AllenSDK does for corrected
        fluorescence; otherwise the plain mean is returned.

    Returns
    -------
    means
        Of the type of the traces. With AllenSDK's window and corrected fluorescence they are **bitwise** equal to its
        ``mean_sweep_response``. A NaN in a sweep's window or baseline makes that response NaN, and so does a window
        that begins before the recording. A window that ends after the recording is averaged over its existing frames.
        Other sweeps and cells are not affected.
    """
    if traces.dtype.kind != "f":
        traces = traces.astype(np.float64)
    real = traces.dtype.type
    first, stop = window.frames(length)
    before = BASELINE_LENGTHS * length if local_baseline else 0
    means = np.full((len(traces), len(starts)), np.nan, real)
    for sweeps, end in windows_within(starts, before, first, stop, traces.shape[1]):
        samples_at = starts[sweeps] + np.arange(first, end)[:, None]
        baseline_at = starts[sweeps] - before
        with np.errstate(divide="ignore", invalid="ignore"):
            for cell, trace in enumerate(traces):  # one at a time: its windows stay in the cache
                samples = trace.take(samples_at)
                if local_baseline:  # 100 (F / baseline - 1), in that order of operations
                    samples /= moving_sums(trace, before).take(baseline_at) / real(before)
                    samples -= real(1)
                    samples *= real(100)
                means[cell, sweeps] = summed(samples) / real(end - first)
    return means.T


def percent_of_baseline(
    windows: Shaped[np.ndarray, "n_sweeps n_samples"], baseline: int
) -> Shaped[np.ndarray, "n_sweeps n_samples"]:
    """100 (F / mean of the first ``baseline`` samples - 1), in that order of operations: the sweep response.

    Not finite where that mean is 0 or NaN.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        response: np.ndarray = 100 * (windows / windows[:, :baseline].mean(axis=1)[:, None] - 1)
    return response


def by_condition(
    means: Float[np.ndarray, "n_sweeps n_cells"], frames: Int[np.ndarray, " n_sweeps"], n_scenes: int = 118
) -> Float[np.ndarray, "n_cells n_conditions n_repetitions"]:
    """Arrange sweeps by image: scenes 0 to ``n_scenes`` - 1, then the blank screen (-1); float32.

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
    n_repetitions = counts.max()
    responses = np.full((means.shape[1], (n_scenes + 1) * n_repetitions), np.nan, np.float32)
    with np.errstate(over="ignore"):
        responses[:, conditions * n_repetitions + repetition] = means.T
    return responses.reshape(means.shape[1], n_scenes + 1, n_repetitions)
