"""Windows, excerpts and sums: against slices of the whole recording and NumPy's own sums."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from murine.cortex.allen.responses import (
    WINDOWS,
    Excerpt,
    Window,
    by_condition,
    moving_sums,
    percent_of_baseline,
    summed,
    sweep_length,
    sweep_means,
    window_of,
)
from murine.cortex.natural_scenes import BLANK, SCENE_IDS
from murine.errors import MurineError


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 14, 16, 28, 50, 127, 128, 129, 136, 300, 1000])
def test_sum_is_numpys_to_the_last_bit(n, dtype):
    rows = (np.random.default_rng(n).standard_normal((200, n)) * 1e3).astype(dtype)
    expected = np.array([row.sum() for row in rows], dtype)
    np.testing.assert_array_equal(summed(rows.T), expected)
    np.testing.assert_array_equal(summed(np.ascontiguousarray(rows.T)), expected)
    assert summed(rows.T).dtype == dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 4, 7, 8, 24, 28, 32, 36, 127, 128, 129, 300])
def test_moving_sums_are_numpys_to_the_last_bit(n, dtype):
    trace = (np.random.default_rng(n).standard_normal(700) * 1e3).astype(dtype)
    expected = np.array([trace[t : t + n].sum() for t in range(len(trace) - n + 1)], dtype)
    np.testing.assert_array_equal(moving_sums(trace, n), expected)
    np.testing.assert_array_equal(moving_sums(trace[:n], n), expected[:1])


def looped(traces, starts, first, stop, before):
    """A loop over cells and sweeps: sections 7.1, 7.2 and 8 of the specification, for any window."""
    means = np.full((len(starts), len(traces)), np.nan, traces.dtype)
    for cell, trace in enumerate(traces):
        for sweep, start in enumerate(starts):
            if start - before < 0 or start + first < 0 or start + first >= len(trace):
                continue
            samples = trace[start + first : start + stop]
            if before:
                samples = 100 * (samples / np.mean(trace[start - before : start]) - 1)
            means[sweep, cell] = np.mean(samples)
    return means


STARTS = np.array([0, 3, 27, 28, 35, 43, 300, 307, 315, 980, 987, 990, 999])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("local_baseline", [False, True])
@pytest.mark.parametrize("window", ["allensdk", "de-vries2020", "0-250ms", "2:12", "-5:5", "30:140", "-3:0"])
def test_means_are_those_of_a_loop(window, local_baseline, dtype):
    traces = np.random.default_rng(5).normal(500, 40, (3, 1000)).astype(dtype)
    traces[1, 310:313] = np.nan
    first, stop = window_of(window).frames(7)
    expected = looped(traces, STARTS, first, stop, 28 if local_baseline else 0)
    found = sweep_means(traces, STARTS, 7, window=window_of(window), local_baseline=local_baseline)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, expected)
    assert np.isnan(expected).any()
    assert np.isfinite(expected[:, [0, 2]]).sum() >= 12


def test_means_of_whole_numbers():
    counts = np.arange(40).reshape(2, 20)
    means = sweep_means(counts, np.array([2, 18]), 7, local_baseline=False, window=Window("two", 0, 2))
    np.testing.assert_array_equal(means, [[2.5, 22.5], [18.5, 38.5]])


def test_negative_and_dark_baselines():
    trace = np.r_[np.full(28, -2.0), np.full(14, -3.0), np.zeros(28), np.full(14, 1.0)][None]
    means = sweep_means(trace, np.array([28, 70]), 7)
    np.testing.assert_array_equal(means[:, 0], [50, np.inf])
    np.testing.assert_array_equal(percent_of_baseline(trace[:, :42], 28)[0, 28:], np.full(14, 50.0))


@pytest.mark.parametrize("together", [1, 500, 10**6])
@pytest.mark.parametrize(("before", "after"), [(28, 35), (0, 12), (5, 1), (28, 9000)])
def test_excerpt_holds_every_window(before, after, together):
    rng = np.random.default_rng(6)
    n_frames = 20_000
    starts = np.sort(np.r_[0, 3, rng.integers(5000, 5900, 40), rng.integers(9000, 9100, 3), 6900, 19_990, 19_999])
    excerpt = Excerpt.around(starts, before, after, n_frames, together)
    recording = np.arange(n_frames)
    joined = np.concatenate([recording[piece] for piece in excerpt.pieces])
    np.testing.assert_array_equal(joined[excerpt.starts], starts)
    for start, there in zip(starts, excerpt.starts, strict=True):
        assert (start >= before) == (there >= before)
        np.testing.assert_array_equal(
            joined[max(0, there - before) : there + after], recording[max(0, start - before) : start + after]
        )
    gaps = [b.start - a.stop for a, b in zip(excerpt.pieces, excerpt.pieces[1:], strict=False)]
    assert all(gap >= max(256, together) for gap in gaps)
    assert len(excerpt.pieces) == {1: 5, 500: 5, 10**6: 1}[together] if after < 9000 else 1


def test_pieces_that_are_stored_together_are_read_together():
    starts = np.array([100, 1100])
    assert len(Excerpt.around(starts, 0, 10, 5000, 990).pieces) == 2
    assert Excerpt.around(starts, 0, 10, 5000, 991).pieces == (slice(100, 1110),)


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("allensdk", (0, 14)),
        ("de-vries2020", (2, 12)),
        ("0-250ms", (0, 8)),
        ("2:12", (2, 12)),
        (" -7:0 ", (-7, 0)),
    ],
)
def test_windows_by_name_and_by_frames(text, window):
    assert window_of(text).frames(7) == window
    assert window_of(text).name == text.strip()


@pytest.mark.parametrize("text", ["", "allen", "3:3", "5:2", "2-12", "2:12:3", "a:b", "1.5:3", "0:99999"])
def test_other_windows_are_refused(text):
    with pytest.raises(MurineError, match="FIRST:STOP"):
        window_of(text)


def test_nearest_name_of_a_window():
    with pytest.raises(MurineError, match="de-vries2020"):
        window_of("de-vries")
    assert set(WINDOWS) == {"allensdk", "de-vries2020", "0-250ms"}


def table(*rows):
    return pd.DataFrame(rows, columns=["frame", "start", "end"])


def test_length_is_that_of_the_second_sweep():
    assert sweep_length(table((0, 10, 17), (1, 18, 26), (2, 30, 37))) == 8
    assert sweep_length(table((0, 10, 17))) == 7


@pytest.mark.parametrize("rows", [[], [(0, 5, 5)], [(0, 5, 12), (1, 13, 9000)]])
def test_lengths_that_are_none_are_refused(rows):
    with pytest.raises(MurineError, match="expected"):
        sweep_length(table(*rows))


def test_repetitions_in_time_order_and_nan_for_the_rest():
    frames = np.array([2, -1, 0, 2, 2, 0])
    means = np.arange(12.0).reshape(6, 2)
    responses = by_condition(means, frames, 4)
    expected = np.full((2, 5, 3), np.nan)
    for cell in range(2):
        seen = dict.fromkeys(range(5), 0)
        for frame, mean in zip(frames, means[:, cell], strict=True):
            condition = 4 if frame == -1 else int(frame)
            expected[cell, condition, seen[condition]] = mean
            seen[condition] += 1
    np.testing.assert_array_equal(responses, expected)
    assert responses.dtype == np.float32


@pytest.mark.parametrize(("frames", "found"), [([0, 4], "0 to 4"), ([-2, 0], "-2 to 0"), ([], "none")])
def test_other_frames_are_refused(frames, found):
    with pytest.raises(MurineError, match=f"found scenes {found}; expected 0 to 3"):
        by_condition(np.zeros((len(frames), 2)), np.array(frames, dtype=np.int64), 4)


def test_ids_of_stimuli():
    ids = [*SCENE_IDS, BLANK]
    assert (ids[0], ids[117], ids[118], len(ids)) == ("scene_000", "scene_117", "blank", 119)
