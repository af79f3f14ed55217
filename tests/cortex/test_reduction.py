"""From files to Recordings: responses against plain loops over cells and sweeps, labels against what was written."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial

import h5py
import numpy as np
import pytest
import scene_truth
from allen_files import PIPE, Options, write_events, write_experiment

from murine.cortex.allen import reduction
from murine.cortex.allen.reduction import Measure, reduce_file
from murine.cortex.allen.responses import WINDOWS, window_of
from murine.cortex.allen.scene_metrics import METRICS
from murine.cortex.recording import Recording
from murine.errors import MurineError

read_recording = partial(reduction.read_recording, isolated=False)  # checked, and seen by caplog
SMALL = Options(cells=5, repetitions=4, fewer=((17, 2), (-1, 3)), nan_cell=1, nan_at="other", missing_id=3)
KINDS = {
    "float32": SMALL,
    "float64": replace(SMALL, dtype="float64", dff_extra=1),
    "gzip": replace(SMALL, compression="gzip", dff_extra=0),
    "old": replace(SMALL, pipeline="0.9", dtype="float64"),
    "ends-early": replace(SMALL, lead_out=6, dff_extra=-1, nan_cell=None),
    "starts-early": replace(SMALL, lead_in=3, gratings=False, nan_cell=None),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reduction")
    for name, options in KINDS.items():
        write_experiment(folder / f"{name}.nwb", options)
        write_events(folder / f"{name}.npz", options)
    return folder


def looped(folder, name, signal, first, stop):
    """Responses by loops, (cells, 119, repetitions): scenes, then the blank; repetitions in time order."""
    stored = scene_truth.stored(folder / f"{name}.nwb")
    traces = scene_truth.corrected_fluorescence(stored.signal, stored.neuropil, stored.ratio)
    if signal == "dff":
        with h5py.File(folder / f"{name}.nwb") as file:
            traces = file[f"{PIPE}/DfOverF/imaging_plane_1/data"][()][:, : len(stored.clock)]
    elif signal == "events":
        with np.load(folder / f"{name}.npz") as archive:
            traces = archive["ev"]
    trials = [[[] for _ in range(119)] for _ in traces]
    for scene, start, _, _ in scene_truth.sweep_table(stored.scene, stored.frame_duration).tolist():
        for cell, trace in enumerate(traces):
            samples = trace[max(0, start + first) : start + stop]
            response = np.nan
            if start + first >= 0 and len(samples) and (signal != "corrected" or start >= 28):
                if signal == "corrected":
                    samples = 100 * (samples / np.mean(trace[start - 28 : start]) - 1)
                response = np.mean(samples)
            trials[cell][scene if scene >= 0 else 118].append(response)
    most = max(len(t) for cell in trials for t in cell)
    padded = [[t + [np.nan] * (most - len(t)) for t in cell] for cell in trials]
    return np.array(padded).astype(np.float32)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("signal", ["corrected", "dff", "events"])
def test_responses_are_those_of_plain_loops(folder, name, signal):
    for window in ("allensdk", "de-vries2020", "0-250ms", "2:12", "-4:3"):
        recording = read_recording(
            folder / f"{name}.nwb", events=folder / f"{name}.npz", signal=signal, window=window_of(window)
        )
        first, stop = window_of(window).frames(7)
        np.testing.assert_array_equal(recording.responses, looped(folder, name, signal, first, stop))
        assert set(recording["signal"]) == {signal}
        assert set(recording["window"]) == {window}


def test_missing_repetitions_are_the_last_and_nan(folder):
    responses = read_recording(folder / "float32.nwb").responses
    assert responses.shape == (5, 119, 4)
    counts = np.isfinite(responses[[0, 2, 3, 4]]).sum(axis=2)
    expected = np.full(119, 4)
    expected[[17, 118]] = 2, 3
    assert (counts == expected).all()
    assert np.isnan(responses[:, 17, 2:]).all()
    assert np.isnan(responses[:, 118, 3:]).all()


def test_labels_are_those_written(folder):
    recording = read_recording(folder / "float32.nwb")
    assert recording.name == "501559087"
    expected = {
        "experiment_id": "501559087",
        "container_id": "511510736",
        "area": "VISp",
        "layer": "2/3",
        "layer_scheme": "allen-cnn",
        "depth_um": 175.0,
        "cre_line": "Cux2-CreERT2",
        "cell_class": "excitatory",
        "indicator": "GCaMP6f",
        "donor": "222426",
        "sex": "female",
        "signal": "corrected",
        "window": "allensdk",
    }
    for key, value in expected.items():
        assert recording[key].tolist() == [value] * 5, key
    assert recording["roi_id"].tolist() == [str(5015590870 + k) for k in range(5)]
    assert recording.stimulus_ids == (*(f"scene_{k:03d}" for k in range(118)), "blank")
    assert recording.dataset["responses"].dtype == np.float32


def test_layer_scheme_is_chosen(tmp_path):
    write_experiment(tmp_path / "a.nwb", replace(SMALL, depth=400, driver="Rbp4-Cre_KL100"))
    for scheme, layer in (("allen-cnn", "5"), ("de-vries2020", "")):
        recording = read_recording(tmp_path / "a.nwb", layer_scheme=scheme)
        assert set(recording["layer"]) == {layer}
        assert set(recording["layer_scheme"]) == {scheme}


def test_metrics_come_with_the_responses(folder):
    truth = scene_truth.answers_of(scene_truth.stored(folder / "float64.nwb"), sweep_p=False)
    for signal in ("corrected", "dff"):
        recording = read_recording(folder / "float64.nwb", signal=signal)
        assert set(METRICS) <= set(recording.dataset.coords)
        np.testing.assert_array_equal(recording["pref_image_ns"], truth.peak["scene_ns"])
        np.testing.assert_allclose(recording["p_ns"], truth.peak["ptest_ns"], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(recording["reliability_ns"], truth.peak["reliability_ns"], rtol=1e-12, atol=1e-12)


def test_ids_of_cells(tmp_path):
    """One without identity, and two that share one, go by their place in the experiment."""
    options = replace(SMALL, cell_ids=(11, 22, 33, 44, 22))
    write_experiment(tmp_path / "a.nwb", options)
    ids = read_recording(tmp_path / "a.nwb")["neuroid_id"]
    roi = [f"501559087-roi501559087{k}" for k in range(5)]
    assert ids.tolist() == ["11", roi[1], "33", roi[3], roi[4]]


def test_repeated_roi_ids_are_refused(tmp_path):
    write_experiment(tmp_path / "a.nwb", replace(SMALL, cell_ids=(-1, -1, 33, 44, 55)))
    with h5py.File(tmp_path / "a.nwb", "r+") as file:
        file[f"{PIPE}/ImageSegmentation/roi_ids"][1] = file[f"{PIPE}/ImageSegmentation/roi_ids"][0]
    with pytest.raises(MurineError, match=r"a\.nwb.*ids that repeat"):
        read_recording(tmp_path / "a.nwb")


def test_a_process_of_its_own_gives_the_same(folder):
    inside = read_recording(folder / "float32.nwb", window=WINDOWS["0-250ms"])
    apart = reduction.read_recording(folder / "float32.nwb", window=WINDOWS["0-250ms"])
    assert apart.digest == inside.digest
    assert apart.dataset.identical(inside.dataset)


def test_a_process_of_its_own_refuses_the_same(folder, tmp_path):
    (tmp_path / "cut.nwb").write_bytes((folder / "float32.nwb").read_bytes()[:5000])
    for isolated in (False, True):
        with pytest.raises(MurineError, match=r"cut\.nwb.*truncated"):
            read_recording(tmp_path / "cut.nwb", isolated=isolated)
        with pytest.raises(MurineError, match="no file"):
            read_recording(tmp_path / "none.nwb", isolated=isolated)


def test_missing_demixed_leaves_dff_without_metrics(tmp_path, caplog):
    write_experiment(tmp_path / "a.nwb", replace(SMALL, demixed=False))
    for window in ("allensdk", "2:12"):
        with pytest.raises(MurineError, match="demixed_signal/data"):
            read_recording(tmp_path / "a.nwb", window=window_of(window))
    with caplog.at_level(logging.WARNING):
        recording = read_recording(tmp_path / "a.nwb", signal="dff")
    assert "no metrics from corrected fluorescence" in caplog.text
    assert np.isfinite(recording.responses[0]).any()
    assert all(np.isnan(recording[name]).all() for name in METRICS)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (replace(SMALL, session_type="three_session_A", nan_cell=None), "only B shows natural scenes"),
        (replace(SMALL, second_scene_group=True), "one stimulus"),
        (replace(SMALL, second_sweep_frames=500), "sweeps of 500 frames"),
    ],
)
def test_files_without_usable_scenes_are_refused(tmp_path, options, says):
    write_experiment(tmp_path / "a.nwb", options)
    with pytest.raises(MurineError, match=rf"a\.nwb.*{says}"):
        read_recording(tmp_path / "a.nwb")


@pytest.mark.parametrize("signal", ["corrected", "dff"])
@pytest.mark.parametrize(("scenes", "found"), [([118], "118 to 118"), ([], "none")])
def test_other_scenes_are_refused(tmp_path, scenes, found, signal):
    write_experiment(tmp_path / "a.nwb", SMALL)
    group = "stimulus/presentation/natural_scenes_stimulus"
    with h5py.File(tmp_path / "a.nwb", "r+") as file:
        n = len(scenes)
        frames = file[f"{group}/frame_duration"][:n]
        for name, values in (("data", np.array(scenes, dtype=np.int64)), ("frame_duration", frames)):
            del file[f"{group}/{name}"]
            file[f"{group}/{name}"] = values
    with pytest.raises(MurineError, match=rf"a\.nwb.*found scenes {found}"):
        read_recording(tmp_path / "a.nwb", signal=signal)


def test_signal_that_is_none_is_refused(folder):
    with pytest.raises(MurineError, match="no signal 'dfff'"):
        read_recording(folder / "float32.nwb", signal="dfff")


def test_reduction_writes_what_reading_gives(folder, tmp_path):
    measures = {
        tmp_path / "a.nc": Measure(),
        tmp_path / "b.nc": Measure("dff", WINDOWS["de-vries2020"]),
        tmp_path / "c.nc": Measure("events"),
    }
    impossible = reduce_file(folder / "float32.nwb", None, measures, tmp_path / "templates")
    assert list(impossible) == [tmp_path / "c.nc"]
    assert "no events file was given" in impossible[tmp_path / "c.nc"]
    for target, (signal, window) in {"a.nc": ("corrected", "allensdk"), "b.nc": ("dff", "de-vries2020")}.items():
        again = Recording.read(tmp_path / target)
        now = read_recording(folder / "float32.nwb", signal=signal, window=WINDOWS[window])
        assert again.digest == now.digest
        np.testing.assert_array_equal(again["p_ns"], now["p_ns"])
    assert any((tmp_path / "templates").iterdir())  # more of them in test_templates.py


def test_names_of_measures():
    assert Measure().name == "corrected-allensdk"
    assert Measure("dff", window_of("2:12")).name == "dff-2to12"
