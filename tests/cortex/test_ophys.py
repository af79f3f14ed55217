"""The reader of NWB 1.0 files against what the writer put there and a plain reading of the datasets."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
import scene_truth
from allen_files import PIPE, Options, standard_experiments, write_events, write_experiment, write_tree

from murine.cortex.allen import ophys
from murine.cortex.allen.ophys import Experiment
from murine.errors import MurineError

SMALL = Options(cells=3, repetitions=3)
PLANE = f"{PIPE}/Fluorescence/imaging_plane_1"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("ophys") / "501559087.nwb"
    write_experiment(path, replace(SMALL, missing_id=1))
    return path


@pytest.fixture
def changed(file, tmp_path):
    """A copy of the file, to be damaged."""
    path = tmp_path / file.name
    shutil.copy(file, path)

    def change(work):
        with h5py.File(path, "r+") as opened:
            work(opened)
        return path

    return change


def put(path, values):
    def work(opened):
        if path in opened:
            del opened[path]
        if values is not None:
            opened[path] = values

    return work


def test_labels(file):
    with Experiment(file) as experiment:
        assert experiment.metadata == {
            "ophys_experiment_id": 501559087,
            "experiment_container_id": 511510736,
            "session_type": "three_session_B",
            "genotype": "Cux2-CreERT2/wt;Camk2a-tTA/wt;Ai93(TITL-GCaMP6f)/wt",
            "cre_line": "Cux2-CreERT2",
            "sex": "female",
            "age_days": 103,
            "targeted_structure": "VISp",
            "imaging_depth_um": 175,
            "excitation_lambda": "910 nanometers",
            "indicator": "GCaMP6f",
            "fov": "400x400 microns (512 x 512 pixels)",
            "device": "Nikon A1R-MP multiphoton microscope",
            "device_name": "CAM2P.2",
            "specimen_name": "Cux2-CreERT2;Camk2a-tTA;Ai93-222426",
            "session_start_time": "Wed May 31 10:29:38 2017",
            "pipeline_version": "3.0",
        }
        assert experiment.cell_specimen_ids.tolist() == replace(SMALL, missing_id=1).specimen_ids.tolist()
        assert experiment.cell_specimen_ids[1] == -1
        assert experiment.roi_ids == [str(5015590870 + k) for k in range(3)]
        assert experiment.experiment_id == 501559087
        assert repr(experiment) == "<Experiment 501559087: 3 cells, three_session_B>"


def test_absent_labels_are_absent(changed):
    def strip(opened):
        del opened["general"], opened["session_start_time"], opened[f"{PIPE}/ImageSegmentation/roi_ids"]

    path = changed(strip)
    renamed = path.rename(path.with_name("77_copy.nwb"))
    with Experiment(renamed) as experiment:
        assert experiment.metadata == {"pipeline_version": "0.9"}
        assert experiment.experiment_id == 77
        assert experiment.roi_ids == ["0", "1", "2"]
    unnamed = renamed.rename(renamed.with_name("copy.nwb"))
    with Experiment(unnamed) as experiment, pytest.raises(MurineError, match="session_id"):
        _ = experiment.experiment_id


KINDS = {
    "float32": SMALL,
    "float64": replace(SMALL, dtype="float64"),
    "ratio64": replace(SMALL, ratio_dtype="float64"),
    "ratio32": replace(SMALL, dtype="float64", ratio_dtype="float32"),
    "gzip": replace(SMALL, compression="gzip", cells=5),
    "old": replace(SMALL, pipeline="0.9"),
    "unnamed": replace(SMALL, pipeline=None),
    "2.0": replace(SMALL, pipeline="2.0"),
    "late": replace(SMALL, late_running=700, short_running=0),
    "on-time": replace(SMALL, late_running=0, shuffled=False),
    "other-name": replace(SMALL, scene_group="natural_scenes", nan_cell=1),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_is_read_as_it_is_stored(kind, tmp_path, monkeypatch):
    path = tmp_path / "file.nwb"
    write_experiment(path, KINDS[kind])
    stored = scene_truth.stored(path)
    corrected = scene_truth.corrected_fluorescence(stored.signal, stored.neuropil, stored.ratio)
    with h5py.File(path) as opened:
        dff = opened[f"{PIPE}/DfOverF/imaging_plane_1/data"][()]
    pieces = [slice(0, 100), slice(100, 130), slice(900, 2000), slice(len(stored.clock) - 5, len(stored.clock) + 9)]
    with Experiment(path) as experiment:
        for at_once in (4 << 20, 1000):  # all cells, and one at a time
            monkeypatch.setattr(ophys, "_READ_TOGETHER", at_once)
            traces = experiment.traces("corrected")
            assert traces.dtype == corrected.dtype
            np.testing.assert_array_equal(traces, corrected)
            for signal, whole in (("corrected", corrected), ("dff", dff)):
                joined = np.concatenate([whole[:, piece] for piece in pieces], axis=1)
                np.testing.assert_array_equal(experiment.traces(signal, pieces), joined)
        np.testing.assert_array_equal(experiment.timestamps, stored.clock)
        assert experiment.acquisition_rate == 1 / (stored.clock[1] - stored.clock[0])
        running = scene_truth.padded_running(stored.speed, stored.speed_times, stored.clock)
        np.testing.assert_array_equal(experiment.running_speed, running)
        table = experiment.stimulus_table()
        np.testing.assert_array_equal(
            np.c_[table[["frame", "start", "end"]], table.index],
            scene_truth.sweep_table(stored.scene, stored.frame_duration),
        )
        assert (experiment.frames_together() > 1) == (kind == "gzip")
        assert experiment.shows("natural_scenes")
        assert not experiment.shows("drifting_gratings")
        assert experiment.scene_template().shape == (118, 9, 11)


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_dff_may_be_a_sample_short_or_long(tmp_path, extra):
    write_experiment(tmp_path / "file.nwb", replace(SMALL, dff_extra=extra))
    with Experiment(tmp_path / "file.nwb") as experiment:
        assert experiment.traces("dff").shape == (3, experiment.n_frames + extra)
        last = slice(experiment.n_frames - 3, experiment.n_frames)
        assert experiment.traces("dff", [last]).shape == (3, min(3, 3 + extra))


def test_events(file, tmp_path):
    write_events(tmp_path / "events.npz", SMALL)
    with np.load(tmp_path / "events.npz") as archive:
        stored = archive["ev"]
    with Experiment(file, tmp_path / "events.npz") as experiment:
        np.testing.assert_array_equal(experiment.traces("events"), stored)
        pieces = [slice(5, 9), slice(50, 60)]
        np.testing.assert_array_equal(experiment.traces("events", pieces), np.c_[stored[:, 5:9], stored[:, 50:60]])
        assert experiment.frames_together("events") == 1


@pytest.mark.parametrize(
    ("arrays", "found"),
    [
        ({"ev": np.zeros((3, 9))}, r"ev float64 \(3, 9\)"),
        ({"dff": np.zeros((3, 9))}, r"dff float64 \(3, 9\)"),
        ({"ev": np.full((3, 9), "x")}, r"ev <U1"),
        ({}, "nothing"),
    ],
)
def test_events_that_do_not_fit_are_refused(file, tmp_path, arrays, found):
    np.savez(tmp_path / "events.npz", **arrays)
    with (
        Experiment(file, tmp_path / "events.npz") as experiment,
        pytest.raises(MurineError, match=f"ev: found {found}"),
    ):
        experiment.traces("events")


def test_events_that_were_not_given(file):
    with Experiment(file) as experiment, pytest.raises(MurineError, match="no events file was given"):
        experiment.traces("events")


@pytest.mark.parametrize("signal", ["", "dfff", "raw"])
def test_other_signals_are_refused(file, signal):
    with Experiment(file) as experiment, pytest.raises(MurineError, match="Known: corrected, dff, events"):
        experiment.traces(signal)


def test_demixed_that_is_missing_is_named(tmp_path):
    write_experiment(tmp_path / "file.nwb", replace(SMALL, demixed=False))
    with Experiment(tmp_path / "file.nwb") as experiment:
        with pytest.raises(MurineError, match=r"file\.nwb.*imaging_plane_1_demixed_signal/data"):
            experiment.traces("corrected")
        assert experiment.traces("dff").shape[0] == 3


def test_memory_is_limited(file):
    with Experiment(file) as experiment:
        assert experiment.n_frames > 99
        experiment.tree.max_bytes = 20_000
        with pytest.raises(MurineError, match=r"3 cells x \d+ frames of float32; expected at most 20,000 bytes"):
            experiment.traces()
        assert experiment.traces("corrected", [slice(0, 99)]).shape == (3, 99)


@pytest.mark.parametrize("session", ["three_session_A", "three_session_C", "three_session_C2"])
def test_sessions_without_scenes(tmp_path, session):
    write_experiment(tmp_path / "file.nwb", replace(SMALL, session_type=session))
    with Experiment(tmp_path / "file.nwb") as experiment:
        assert not experiment.shows()
        with pytest.raises(MurineError, match="only B shows natural scenes"):
            experiment.stimulus_table()


def test_scenes_under_both_names_are_an_error(tmp_path):
    write_experiment(tmp_path / "file.nwb", replace(SMALL, second_scene_group=True))
    with Experiment(tmp_path / "file.nwb") as experiment:
        assert experiment.shows()
        with pytest.raises(MurineError, match="which are one stimulus"):
            experiment.stimulus_table()


SCENES = "stimulus/presentation/natural_scenes_stimulus"
RUNNING = f"{PIPE}/BehavioralTimeSeries/running_speed"
DAMAGE = {  # path, what to put there, what to ask, what the error says
    "clock-backwards": (f"{PLANE}/timestamps", np.arange(9.0)[::-1], "timestamps", "increasing times"),
    "clock-nan": (f"{PLANE}/timestamps", np.r_[0.0, np.nan], "timestamps", "increasing times"),
    "clock-one": (f"{PLANE}/timestamps", np.zeros(1), "timestamps", "increasing times"),
    "clock-short": (f"{PLANE}/timestamps", np.arange(9.0), "traces", "expected 9, the number of frames"),
    "ids-float": (f"{PIPE}/ImageSegmentation/cell_specimen_ids", np.zeros(3), "n_cells", "integers"),
    "ids-two": (f"{PIPE}/ImageSegmentation/cell_specimen_ids", np.arange(2), "traces", r"of shape \(2, "),
    "ratio-short": (f"{PLANE}_neuropil_response/r", np.zeros(2), "traces", r"response/r.*\(3,\)"),
    "ratio-text": (f"{PLANE}_neuropil_response/r", np.array(["a"] * 3, "S"), "traces", "response/r"),
    "neuropil-missing": (f"{PLANE}_neuropil_response/data", None, "traces", "neuropil_response/data"),
    "scene-half": (f"{SCENES}/data", np.full(357, 0.5), "stimulus_table", "-1 for blank"),
    "scene-minus-two": (f"{SCENES}/data", np.full(357, -2), "stimulus_table", "-1 for blank"),
    "scene-nan": (f"{SCENES}/data", np.full(357, np.nan), "stimulus_table", "whole numbers"),
    "scene-2d": (f"{SCENES}/data", np.zeros((357, 1)), "stimulus_table", r"\(any,\)"),
    "frames-short": (f"{SCENES}/frame_duration", np.zeros((3, 2)), "stimulus_table", "frame_duration"),
    "frames-empty": (f"{SCENES}/frame_duration", np.zeros((351, 2)), "stimulus_table", "start before end"),
    "running-long": (f"{RUNNING}/data", np.zeros(99_999), "running_speed", r"running_speed/timestamps.*\(99999,\)"),
    "running-2d": (f"{RUNNING}/data", np.zeros((5, 2)), "running_speed", r"\(any, 1\)"),
    "depth": ("general/optophysiology/imaging_plane_1/imaging depth", np.bytes_("deep"), "metadata", "'deep'"),
    "sex": ("general/subject/sex", np.bytes_(b"\xff\xfe"), "metadata", "UTF-8"),
    "session": ("general/session_type", np.zeros(3), "metadata", "text"),
    "roi-ids": (f"{PIPE}/ImageSegmentation/roi_ids", np.array(["a"], "S"), "roi_ids", "roi_ids"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named_with_file_and_path(damage, changed):
    path, values, question, says = DAMAGE[damage]
    if damage == "frames-empty":
        with h5py.File(changed(lambda opened: None)) as opened:
            values = np.zeros(opened[f"{SCENES}/frame_duration"].shape)
    elif damage.startswith("scene-"):
        with h5py.File(changed(lambda opened: None)) as opened:
            values = np.resize(values, (len(opened[f"{SCENES}/data"]), *values.shape[1:]))
    with Experiment(changed(put(path, values))) as experiment:
        with pytest.raises(MurineError, match=says) as error:
            getattr(experiment, question)()  # methods; properties raise before they are called
        assert "501559087.nwb" in str(error.value)
        assert re.search(re.escape(path.split("/")[-1]) + "|timestamps|data", str(error.value))


def test_times_of_running_must_be_on_the_clock(tmp_path):
    write_experiment(tmp_path / "file.nwb", replace(SMALL, running_off_clock=True))
    with Experiment(tmp_path / "file.nwb") as experiment, pytest.raises(MurineError, match="to the bit"):
        _ = experiment.running_speed


def test_no_running_at_all_is_nan(changed):
    def empty(opened):
        put(f"{RUNNING}/data", np.zeros(0))(opened)
        put(f"{RUNNING}/timestamps", np.zeros(0))(opened)

    with Experiment(changed(empty)) as experiment:
        assert np.isnan(experiment.running_speed).all()


def test_truncated_or_missing_files_are_refused(file, tmp_path):
    (tmp_path / "cut.nwb").write_bytes(file.read_bytes()[:-1])
    with pytest.raises(MurineError, match="may be truncated"):
        Experiment(tmp_path / "cut.nwb")
    with pytest.raises(MurineError, match="there is no file"):
        Experiment(tmp_path / "none.nwb")


def test_every_file_of_a_tree_opens(tmp_path):
    """Those of failed containers too: leaving them out is the catalogue's business."""
    tree = write_tree(tmp_path, *standard_experiments(cells=5, repetitions=2))
    for number, options in tree.experiments.items():
        with Experiment(tree.nwb(number), tree.events(number)) as experiment:
            assert experiment.experiment_id == number
            assert experiment.metadata["session_type"] == options.session_type
            assert experiment.shows() == (options.session_type == "three_session_B")
            signal = "corrected" if options.demixed else "dff"
            assert np.isfinite(experiment.traces(signal)).mean() > 0.9
            assert len(experiment.traces("events")) == 5 if options.events else True
