"""Two-photon files that are nearly right: what can be read is read as AllenSDK reads it, and what is lost is told.

Numbers come from the plain transcription of AllenSDK (`scene_truth`), or from the same file without its oddity.
"""

from __future__ import annotations

import logging
import shutil
from functools import partial

import h5py
import numpy as np
import pytest
import scene_truth
from allen_files import PIPE, Options, write_events, write_experiment
from neuropixels_files import small_session, write_session

from murine.cortex.allen import neuropixels, reduction
from murine.cortex.allen.ophys import Experiment
from murine.cortex.allen.scene_metrics import METRICS, NaturalScenes
from murine.errors import MurineError

read_recording = partial(reduction.read_recording, isolated=False)
OPTIONS = Options(cells=5, repetitions=12, dtype="float64", lead_out=9, seed=1)
PLANE = f"{PIPE}/Fluorescence/imaging_plane_1"
RUNNING = f"{PIPE}/BehavioralTimeSeries/running_speed"
SCENES = "stimulus/presentation/natural_scenes_stimulus"
OF_RUNNING = ["p_run_mod_ns", "run_mod_ns"]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    write_experiment(folder / "501559087.nwb", OPTIONS)
    write_events(folder / "501559087_events.npz", OPTIONS)
    return folder / "501559087.nwb"


@pytest.fixture
def changed(file, tmp_path):
    """A copy of the file, in which datasets are replaced by what a function makes of them (None: deleted)."""

    def change(**work):
        path = tmp_path / file.name
        shutil.copy(file, path)
        with h5py.File(path, "r+") as opened:
            for key, function in work.items():
                name = {"clock": f"{PLANE}/timestamps", "speed": f"{RUNNING}/data", "times": f"{RUNNING}/timestamps"}
                name |= {"scenes": f"{SCENES}/data", "frames": f"{SCENES}/frame_duration", "running": RUNNING}
                name |= {"demixed": f"{PLANE}_demixed_signal/data", "neuropil": f"{PLANE}_neuropil_response/data"}
                found = opened[name[key]]
                values = None if function is None else function(found[()])
                del opened[name[key]]
                if values is not None:
                    opened[name[key]] = values
        return path

    return change


def longer(values, n):
    """By n samples, which go on as noise does; shorter by -n."""
    more = np.random.default_rng(5).normal(500, 50, (*values.shape[:-1], max(n, 0)))
    return np.concatenate([values, more], axis=-1)[..., : values.shape[-1] + n]


@pytest.mark.parametrize("n", [-1, 1])
def test_traces_of_another_length_than_the_clock_are_read_as_allensdk_does(changed, n):
    """The last sweeps' windows end where the trace does."""
    path = changed(demixed=lambda x: longer(x, n), neuropil=lambda x: longer(x, n))
    truth = scene_truth.answers_of(scene_truth.stored(path), sweep_p=False)
    with Experiment(path) as experiment:
        assert experiment.n_samples() == experiment.n_frames + n
        scenes = NaturalScenes(experiment)
        np.testing.assert_array_equal(scenes.mean_sweep_response, truth.mean_sweep_response[:, :-1])
        for ours, theirs in (("pref_image_ns", "scene_ns"), ("reliability_ns", "reliability_ns"), ("p_ns", "ptest_ns")):
            np.testing.assert_allclose(scenes.metrics[ours], truth.peak[theirs], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("demixed", "neuropil", "says"), [(-1, 0, "neuropil.*as in"), (2, 2, "or one more or less")])
def test_traces_that_do_not_fit_are_refused(changed, demixed, neuropil, says):
    path = changed(demixed=lambda x: longer(x, demixed), neuropil=lambda x: longer(x, neuropil))
    with Experiment(path) as experiment, pytest.raises(MurineError, match=says):
        experiment.traces()


@pytest.mark.parametrize("n", [-1, 1])
def test_events_of_another_length_than_the_clock(file, tmp_path, n):
    with np.load(file.with_name("501559087_events.npz")) as archive:
        events = longer(archive["ev"], n)
    np.savez(tmp_path / "events.npz", ev=events)
    with Experiment(file, tmp_path / "events.npz") as experiment:
        np.testing.assert_array_equal(experiment.traces("events"), events)
    recording = read_recording(file, events=tmp_path / "events.npz", signal="events")
    stored = scene_truth.stored(file)
    table = scene_truth.sweep_table(stored.scene, stored.frame_duration)
    scene, start = table[-1, :2]
    last = np.nanmax(np.where(np.isnan(recording.responses), -1, np.arange(recording.n_repetitions)), axis=2).astype(
        int
    )
    row = scene if scene >= 0 else 118
    trial = recording.responses[np.arange(5), row, last[:, row]]
    np.testing.assert_allclose(trial, events[:, start : start + 14].mean(axis=1), rtol=1e-6)


def test_a_repeated_time_is_told_and_changes_nothing(file, changed, caplog):
    whole = read_recording(file)
    caplog.clear()
    path = changed(clock=lambda t: np.r_[t[:5000], t[4999], t[5001:]])
    recording = read_recording(path)
    np.testing.assert_array_equal(recording.responses, whole.responses)
    said = [record.getMessage() for record in caplog.records if "time of the frame before" in record.getMessage()]
    assert len(said) == 1
    assert "1 of " in said[0]
    for metric in set(METRICS) - set(OF_RUNNING):
        np.testing.assert_array_equal(recording[metric], whole[metric])


def test_a_rate_that_the_clock_does_not_tell_is_nan(changed):
    path = changed(clock=lambda t: np.r_[t[1], t[1:]])
    recording = read_recording(path)
    assert np.isnan(recording["time_to_peak_ns"]).all()
    assert np.isfinite(recording["peak_dff_ns"]).all()


def test_a_clock_that_stands_still_is_refused(changed):
    path = changed(clock=lambda t: np.repeat(t[::2], 2)[: len(t)])
    with Experiment(path) as experiment, pytest.raises(MurineError, match="increasing times"):
        _ = experiment.timestamps


@pytest.mark.parametrize("frames", [(10**6, 10**6 + 7), (-3, 4), (500, 500)], ids=["past", "before", "empty"])
def test_one_impossible_sweep_is_lost_and_not_the_experiment(file, changed, caplog, frames):
    whole = read_recording(file)
    caplog.clear()
    path = changed(scenes=lambda s: np.r_[s, 17], frames=lambda f: np.concatenate([f, [frames]]))
    recording = read_recording(path)
    assert recording.digest == whole.digest
    for metric in METRICS:
        np.testing.assert_array_equal(recording[metric], whole[metric])
    (said,) = [r.getMessage() for r in caplog.records if "left out" in r.getMessage()]
    assert f"1 of {12 * 119 - 2} sweeps are left out: frames {frames[0]} to {frames[1]}" in said


def test_many_impossible_sweeps_are_damage(changed):
    path = changed(frames=lambda f: f + 10**6 * (np.arange(len(f)) % 30 == 0)[:, None])
    with pytest.raises(MurineError, match=r"frame_duration: found .*, one of \d+ such rows; expected start before end"):
        read_recording(path)


def test_only_the_metrics_of_running_need_the_running_speed(file, changed, caplog):
    whole = read_recording(file)
    assert np.isfinite(whole["run_mod_ns"]).any()
    clock = scene_truth.stored(file).clock
    early = {"times": lambda t: t - t[0] + clock[0] - 0.5}
    for work, says in (({"running": None}, "nothing there"), (early, "to the bit")):
        caplog.clear()
        path = changed(**work)
        recording = read_recording(path)
        np.testing.assert_array_equal(recording.responses, whole.responses)
        for metric in METRICS:
            expected = np.full(5, np.nan) if metric in OF_RUNNING else whole[metric]
            np.testing.assert_array_equal(recording[metric], expected)
        (said,) = [r.getMessage() for r in caplog.records]
        assert said.startswith("modulation by running is not known: ")
        assert says in said
        assert read_recording(path, signal="dff").n_neuroids == 5


@pytest.mark.parametrize("seconds", [-0.5, -1e-9, 1e-9])
def test_running_that_starts_off_the_clock_is_never_shifted(changed, seconds):
    """AllenSDK raises IndexError; before the clock as well as after it."""
    clock = []
    path = changed(clock=lambda t: clock.append(t) or t, times=lambda t: t - t[0] + clock[0][0] + seconds)
    with Experiment(path) as experiment, pytest.raises(MurineError, match="to the bit"):
        _ = experiment.running_speed


def test_running_after_the_last_frame_is_left_out(file, changed, caplog):
    stored = scene_truth.stored(file)
    with Experiment(file) as experiment:
        whole = experiment.running_speed
    more = np.full(OPTIONS.short_running + 1, 5.0)
    path = changed(speed=lambda v: np.r_[v, more], times=lambda t: np.r_[t, t[-1] + np.arange(1, len(more) + 1)])
    with Experiment(path) as experiment:
        speed = experiment.running_speed
    assert len(speed) == len(stored.clock)
    np.testing.assert_array_equal(speed, np.where(np.isnan(whole) & (np.arange(len(whole)) > 1000), 5.0, whole))
    assert "1 of " in caplog.text
    assert "come after the last frame" in caplog.text


def test_what_a_process_of_its_own_says_is_said_here(changed, caplog, capfd):
    path = changed(running=None)
    with caplog.at_level(logging.WARNING, "murine"):
        reduction.read_recording(path, isolated=True)
    assert [r.getMessage().split(":")[0] for r in caplog.records] == ["modulation by running is not known"]
    assert caplog.records[0].name == "murine.cortex.allen.scene_metrics"
    assert capfd.readouterr().err == ""


def test_a_file_of_the_other_kind_of_nwb_is_called_that(file, tmp_path):
    write_session(tmp_path / "session.nwb", small_session())
    with pytest.raises(MurineError, match=r"session\.nwb' is NWB 2\..*; expected NWB 1.*murine data fetch allen"):
        read_recording(tmp_path / "session.nwb")
    with pytest.raises(MurineError, match=r"no version of NWB 2; expected the NWB 2 file of a Neuropixels session"):
        neuropixels.read_session(file, isolated=False)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is empty"),
        (b"CDF\x01" + bytes(60), "a NetCDF-3 file"),
        (b"PK\x03\x04" + bytes(60), "a zip archive"),
        (b"\x1f\x8b" + bytes(60), "packed with gzip"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"MATLAB 5.0 MAT-file", "a MATLAB file before version 7.3"),
        (b"anything else, as it may be", "may be truncated, or of another format"),
    ],
)
def test_files_of_other_formats_are_called_that(tmp_path, content, says):
    (tmp_path / "1.nwb").write_bytes(content)
    with pytest.raises(MurineError, match=says):
        read_recording(tmp_path / "1.nwb")
