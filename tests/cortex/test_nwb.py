"""NWB 2 files that pynwb wrote: rates and means are NumPy's, and what is ambiguous or damaged is refused."""

from __future__ import annotations

import logging
import shutil
from contextlib import suppress

import h5py
import numpy as np
import pandas as pd
import pytest
from nwb_files import IMAGES, Spikes, Traces, add_presentations, add_traces, add_units, empty, save, shown
from pynwb.ophys import Fluorescence

from murine.cortex.recording import Recording
from murine.errors import MurineError

pytestmark = pytest.mark.usefixtures("unchecked")


def read(file, **options):
    """Read in this process: a process of its own for each of them would take half a second."""
    return Recording.from_nwb(file, isolated=False, **options)


def expected(table: pd.DataFrame, recording: Recording, value) -> np.ndarray:
    """``value(row)`` gives the responses of all neurons to one presentation."""
    ordered = table.sort_values("start_time")
    found = np.full((recording.n_stimuli, recording.n_repetitions, recording.n_neuroids), np.nan)
    for i, stimulus in enumerate(recording.stimulus_ids):
        for j, row in enumerate(ordered[ordered.image.astype(str) == stimulus].itertuples()):
            found[i, j] = value(row)
    return found.transpose(2, 0, 1).astype(np.float32)


def rate(times, begin, end):
    return np.sum((times >= begin) & (times < end)) / (end - begin)


@pytest.fixture(scope="module")
def table():
    return shown()


@pytest.fixture(scope="module")
def spikes():
    return Spikes.drawn()


@pytest.fixture(scope="module")
def traces():
    return Traces.drawn()


@pytest.fixture(scope="module")
def units_file(tmp_path_factory, table, spikes):
    nwb = empty()
    add_presentations(nwb, table)
    add_units(nwb, spikes)
    return save(nwb, tmp_path_factory.mktemp("nwb") / "units.nwb")


@pytest.fixture(scope="module")
def both_file(tmp_path_factory, table, spikes, traces):
    """Units and two series, two tables of intervals."""
    nwb = empty()
    add_presentations(nwb, table)
    add_presentations(nwb, table.iloc[:5], "gratings_presentations", "orientation")
    add_units(nwb, spikes)
    add_traces(nwb, traces)
    add_traces(nwb, traces, kind=Fluorescence)
    return save(nwb, tmp_path_factory.mktemp("nwb") / "both.nwb")


# ---------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("window", [(0.0, None), (0.05, 0.2), (-0.1, None)])
def test_spike_rates(units_file, table, spikes, window):
    found = read(units_file, window=window)

    def rates(row):
        end = row.stop_time if window[1] is None else row.start_time + window[1]
        return [rate(times, row.start_time + window[0], end) for times in spikes.times]

    np.testing.assert_array_equal(found.responses, expected(table, found, rates))
    assert found["neuroid_id"].tolist() == ["10", "11", "12"]
    assert found["area"].tolist() == ["VISp", "VISl", "VISp"]
    assert found["quality"].tolist() == ["good", "mua", "good"]
    assert found["snr"].tolist() == [0, 1, 2]
    assert set(found.stimulus_ids) == set(IMAGES)
    assert found.n_repetitions == 4
    assert not np.isnan(found.responses).any()
    assert not found.responses[1].any()


def test_a_process_of_its_own_reads_the_same(units_file):
    assert Recording.from_nwb(units_file).digest == read(units_file).digest


@pytest.mark.parametrize("by_rate", [False, True])
@pytest.mark.parametrize("window", [(0.0, None), (0.1, 0.3)])
def test_mean_traces(tmp_path, table, traces, window, by_rate):
    nwb = empty()
    add_presentations(nwb, table)
    rows = [4, 0, 6, 2, 1]
    add_traces(nwb, traces, rate=by_rate, rows=rows)
    found = read(save(nwb, tmp_path / "cells.nwb"), window=window)

    def means(row):
        end = row.stop_time if window[1] is None else row.start_time + window[1]
        inside = (traces.times >= row.start_time + window[0]) & (traces.times < end)
        return traces.values[inside].mean(axis=0)

    np.testing.assert_array_equal(found.responses, expected(table, found, means))
    assert found["neuroid_id"].tolist() == [str(100 + row) for row in rows]
    assert found["cell_type"].tolist() == ["Sst" if row % 2 else "Pvalb" for row in rows]
    assert found["area"].tolist() == ["VISp"] * 5


def test_stored_values_become_values_in_the_unit_of_the_series(tmp_path, table, traces):
    nwb = empty()
    add_presentations(nwb, table)
    add_traces(nwb, traces, conversion=0.5, offset=2.0)
    found = read(save(nwb, tmp_path / "cells.nwb"))

    def means(row):
        inside = (traces.times >= row.start_time) & (traces.times < row.stop_time)
        return (traces.values[inside] * 0.5 + 2).mean(axis=0)

    np.testing.assert_allclose(found.responses, expected(table, found, means), rtol=1e-6)


def test_series_too_large_to_read_at_once(tmp_path, table, traces, monkeypatch):
    nwb = empty()
    add_presentations(nwb, table)
    add_traces(nwb, traces)
    file = save(nwb, tmp_path / "cells.nwb")
    whole = read(file)
    monkeypatch.setattr("murine.cortex.nwb.traces._AT_ONCE", 0)
    assert read(file).digest == whole.digest


# ------------------------------------------------------------------------------------------------- missing


@pytest.mark.parametrize(
    ("ids", "blanks"),
    [
        ([0.0, 1.0, 2.0, -1.0], {"-1"}),
        ([0.0, 1.0, 2.0, np.nan], {"nan"}),
        (["a", "b", "c", ""], {""}),
        ([3, 1, 2, -1], {"-1"}),
    ],
)
def test_blank_presentations_are_left_out_and_counted(tmp_path, spikes, ids, blanks, caplog):
    table = shown(ids, n_repetitions=5)
    nwb = empty()
    add_presentations(nwb, table, "natural_scenes_presentations", "frame")
    add_units(nwb, spikes)
    with caplog.at_level(logging.WARNING, "murine"):
        found = read(save(nwb, tmp_path / "blank.nwb"))
    names = {f"{i:g}" if isinstance(i, float) else str(i) for i in ids} - blanks
    assert set(found.stimulus_ids) == names
    assert found.n_repetitions == 5
    assert "5 of 20 presentations in /intervals/natural_scenes_presentations have no stimulus id" in caplog.text


def test_where_a_unit_was_not_recorded_is_nan(tmp_path, table, spikes):
    half = [[0.0, 4.0], [4.0, 8.0]]  # two intervals that touch are one
    nwb = empty()
    add_presentations(nwb, table)
    add_units(nwb, spikes, observed=[half, [[0.0, 3.0], [9.0, 20.0]], [[0.0, 20.0]]])
    found = read(save(nwb, tmp_path / "observed.nwb"))

    def rates(row):
        begin, end = row.start_time, row.stop_time
        values = [rate(times, begin, end) for times in spikes.times]
        values[0] = values[0] if end <= 8 else np.nan
        values[1] = values[1] if end <= 3 or begin >= 9 else np.nan
        return values

    np.testing.assert_array_equal(found.responses, expected(table, found, rates))
    assert 0 < np.isnan(found.responses[0]).sum() < 24


def test_where_a_series_has_nan_or_ends_is_nan(tmp_path, table, caplog):
    traces = Traces.drawn()
    traces.values[200:215, 1] = np.nan
    short = Traces(traces.values[:300], traces.times[:300])  # until 11 s; presentations go on until 14 s
    nwb = empty()
    add_presentations(nwb, table)
    add_traces(nwb, short)
    with caplog.at_level(logging.WARNING, "murine"):
        found = read(save(nwb, tmp_path / "cells.nwb"))

    def means(row):
        inside = (short.times >= row.start_time) & (short.times < row.stop_time)
        recorded = row.stop_time <= short.times[-1] + 1 / 30
        return short.values[inside].mean(axis=0) if recorded else np.full(5, np.nan)

    np.testing.assert_array_equal(found.responses, expected(table, found, means))
    late = int((table.stop_time > short.times[-1] + 1 / 30).sum())
    assert f"was not recorded during {late} of 24 presentations" in caplog.text
    assert np.isnan(found.responses[1]).sum() > np.isnan(found.responses[0]).sum() == late


def test_invalid_times_are_nan(tmp_path, table, spikes, caplog):
    nwb = empty()
    add_presentations(nwb, table)
    add_units(nwb, spikes)
    nwb.add_invalid_time_interval(start_time=5.0, stop_time=6.2)
    with caplog.at_level(logging.WARNING, "murine"):
        found = read(save(nwb, tmp_path / "invalid.nwb"))
    touched = (table.start_time <= 6.2) & (table.stop_time >= 5)
    assert np.isnan(found.responses[0]).sum() == touched.sum() > 0
    assert f"{touched.sum()} of 24 presentations touch an interval of /intervals/invalid_times" in caplog.text


# --------------------------------------------------------------------------------------------------- areas


def test_electrodes_in_several_areas(tmp_path, table, spikes, caplog):
    nwb = empty()
    add_presentations(nwb, table)
    add_units(nwb, Spikes(spikes.times, ["VISl", "VISp", "VISp"]), several=True)
    file = save(nwb, tmp_path / "several.nwb")
    with caplog.at_level(logging.WARNING, "murine"):
        assert read(file)["area"].tolist() == ["VISl", "VISp", ""]
    assert "1 of 3 units have electrodes in several areas, as VISl, VISp; their area is left empty" in caplog.text
    assert read(file, area="quality")["area"].tolist() == ["good", "mua", "good"]
    with pytest.raises(
        MurineError, match=r"/units of .* has no column 'qualities' for the area; did you mean quality\?"
    ):
        read(file, area="qualities")


def test_units_without_electrodes_have_no_area(tmp_path, table, spikes):
    nwb = empty()
    add_presentations(nwb, table)
    add_units(nwb, spikes, electrodes=False)
    assert read(save(nwb, tmp_path / "bare.nwb"))["area"].tolist() == ["", "", ""]


# ------------------------------------------------------------------------------------------------ ambiguity


def test_several_signals(both_file):
    with pytest.raises(MurineError) as raised:
        read(both_file)
    text = str(raised.value)
    assert "has 3 signals; say which one to take with signal=NAME (--signal NAME of `murine data import`)" in text
    for path in ("/units (spikes)", "/processing/ophys/DfOverF/RoiResponseSeries (traces)", "Fluorescence/Roi"):
        assert path in text
    with pytest.raises(MurineError, match="has several signals called 'RoiResponseSeries'"):
        read(both_file, signal="RoiResponseSeries")
    with pytest.raises(MurineError, match="has no signal called 'spikes'"):
        read(both_file, signal="spikes")


def test_several_tables(both_file, units_file, spikes):
    with pytest.raises(MurineError) as raised:
        read(both_file, signal="units")
    text = str(raised.value)
    assert "has 2 tables of intervals; say which one tells when stimuli were shown, with stimulus_table=NAME" in text
    assert "/intervals/images_presentations (24 rows: start_time, stop_time, image)" in text
    assert "/intervals/gratings_presentations (5 rows: start_time, stop_time, orientation)" in text
    with pytest.raises(MurineError, match=r"no table of intervals called 'images'\. It has: /intervals"):
        read(both_file, signal="units", stimulus_table="images")
    chosen = {"signal": "/units", "stimulus_table": "images_presentations"}
    assert read(both_file, **chosen).digest == read(units_file).digest
    traced = read(both_file, signal="DfOverF/RoiResponseSeries", stimulus_table="/intervals/images_presentations")
    assert traced.n_neuroids == 5


def test_several_columns(tmp_path, table, spikes):
    columns = [("block", [0, 1] * 12), ("contrast", [0.5, 1.0] * 12)]
    nwb = empty()
    add_presentations(nwb, table, column="picture_name", others=columns)
    add_units(nwb, spikes)
    file = save(nwb, tmp_path / "columns.nwb")
    with pytest.raises(
        MurineError, match=r"stimulus_column=NAME .*picture_name \(6 different\), block \(2 different\)"
    ):
        read(file)
    with pytest.raises(MurineError, match=r"no column 'pictures' with one value a row; did you mean picture_name, "):
        read(file, stimulus_column="pictures")
    assert set(read(file, stimulus_column="picture_name").stimulus_ids) == set(IMAGES)


def test_the_usual_name_is_taken_among_other_columns(tmp_path, table, spikes):
    """As the Allen Institute's tables are: one value of stimulus_name in all rows, and the frame."""
    nwb = empty()
    others = [("stimulus_name", ["natural_scenes"] * 24), ("stimulus_block", [1, 2] * 12)]
    add_presentations(nwb, table, column="frame", others=others)
    add_units(nwb, spikes)
    assert set(read(save(nwb, tmp_path / "allen.nwb")).stimulus_ids) == set(IMAGES)


# -------------------------------------------------------------------------------------------------- refused


def test_files_that_lack_something(tmp_path, table, spikes, traces):
    nwb = empty()
    add_units(nwb, spikes)
    with pytest.raises(MurineError, match=r"has no table of stimulus presentations; .*/intervals holds nothing"):
        read(save(nwb, tmp_path / "a.nwb"))
    nwb = empty()
    add_presentations(nwb, table)
    with pytest.raises(MurineError, match="has no responses of neurons; expected units with spike_times, or a RoiRes"):
        read(save(nwb, tmp_path / "b.nwb"))
    with h5py.File(tmp_path / "c.nwb", "w") as file:
        file["data"] = np.ones(3)
    with pytest.raises(MurineError, match=r"is no NWB 2 file: its attribute nwb_version is missing. At its root are d"):
        read(tmp_path / "c.nwb")
    with h5py.File(tmp_path / "d.nwb", "w") as file:
        file["nwb_version"] = "NWB-1.0.6"
    with pytest.raises(MurineError, match="It is NWB 1: `murine data reduce` reads those of the Allen Institute"):
        read(tmp_path / "d.nwb")
    with pytest.raises(MurineError, match="there is no file"):
        read(tmp_path / "e.nwb")


@pytest.mark.parametrize(
    ("window", "message"),
    [
        ((0.3, 0.1), "the window .* is none"),
        ((0.0, float("nan")), "the window .* is none"),
        ((0.29, None), r"\d+ presentations whose window \(from 0.29 s after onset to stop_time\) is empty"),
    ],
)
def test_windows_that_are_none(units_file, window, message):
    with pytest.raises(MurineError, match=message):
        read(units_file, window=window)


def broken(change):
    def apply(file):
        with h5py.File(file, "r+") as opened:
            change(opened)

    return apply


def replaced(path, values):
    def change(file):
        attributes = dict(file[path].attrs)
        del file[path]
        file[path] = values
        file[path].attrs.update({key: value for key, value in attributes.items() if key != "table"})

    return broken(change)


BROKEN = {
    "index": (replaced("units/spike_times_index", np.array([400, 300, 1300])), "limits out of order"),
    "end": (replaced("units/spike_times_index", np.array([400, 400, 1301])), "limits from 400 to 1301"),
    "nan": (replaced("units/spike_times", np.full(1300, np.nan)), "NaN or infinite times among the spikes of unit 0"),
    "electrodes": (replaced("units/electrodes", np.full(6, 99)), "rows of /general/extracellular_ephys/electrodes"),
    "rows": (replaced("intervals/images_presentations/stop_time", np.ones(7)), "images_presentations/stop_time"),
    "times": (replaced("intervals/images_presentations/stop_time", np.zeros(24)), "24 presentations whose window"),
    "blank": (replaced("intervals/images_presentations/image", np.full(24, -1.0)), "no id of a stimulus in 24 rows"),
    "ids": (replaced("units/id", np.array([1, 1, 2])), "neuroid_id must be unique"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_damaged_tables_are_one_clear_error(units_file, tmp_path, case):
    file = shutil.copy(units_file, tmp_path / "broken.nwb")
    change, message = BROKEN[case]
    change(file)
    with pytest.raises(MurineError, match=message):
        read(file)


def test_traces_that_do_not_fit(both_file, tmp_path, traces):
    chosen = {"signal": "DfOverF/RoiResponseSeries", "stimulus_table": "images_presentations"}
    path = "processing/ophys/DfOverF/RoiResponseSeries"
    cases = {
        "It seems to be ROIs x times: transpose it": replaced(f"{path}/data", traces.values.T),
        "rising times in seconds": replaced(f"{path}/timestamps", traces.times[::-1]),
        "rows of a PlaneSegmentation": replaced(f"{path}/rois", np.arange(5)),
    }
    for i, (message, change) in enumerate(cases.items()):
        file = shutil.copy(both_file, tmp_path / f"{i}.nwb")
        change(file)
        with pytest.raises(MurineError, match=message):
            read(file, **chosen)


def test_truncated_and_corrupted_files(units_file, tmp_path):
    whole = units_file.read_bytes()
    file = tmp_path / "cut.nwb"
    for size in (100, len(whole) // 2, len(whole) - 1000):
        file.write_bytes(whole[:size])
        with pytest.raises(MurineError, match=r"cut\.nwb"):
            Recording.from_nwb(file)
    rng = np.random.default_rng(0)
    for _ in range(4):
        at = int(rng.integers(0, len(whole) - 64))
        file.write_bytes(whole[:at] + rng.bytes(64) + whole[at + 64 :])
        with suppress(MurineError):  # many bytes do not matter; every other error, or none, fails
            Recording.from_nwb(file)
