"""Two-photon answers against AllenSDK's own, where an interpreter that has it is named by ``MURINE_ALLENSDK``.

AllenSDK needs NumPy 1.23 and forbids commercial use: it is run in an environment of its own, on files that our writer
makes. Compared with it are the plain transcription of its definitions, which every other test trusts, and murine
itself.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import allen_files
import numpy as np
import pytest
import scene_truth
from allen_files import Options

from murine.cortex.allen.ophys import Experiment
from murine.cortex.allen.scene_metrics import NaturalScenes

SCRIPT = Path(__file__).with_name("allensdk_answers.py")
WIDE = Options(dtype="float64")
ANSWERED = {
    "float32": Options(),
    "float64": replace(WIDE, seed=1),
    "float32-ratio64": Options(ratio_dtype="float64", seed=2),
    "float64-ratio32": replace(WIDE, ratio_dtype="float32", seed=3),
    "speed32": Options(speed_dtype="float32", seed=4),
    "constant32": Options(constant_cell=2, seed=5),
    "constant64": replace(WIDE, constant_cell=2, seed=6),
    "nan-other32": Options(nan_cell=0, nan_at="other"),
    "nan-other64": replace(WIDE, nan_cell=0, nan_at="other", seed=7),
    "nan-nothing": Options(nan_cell=0, nan_at="nothing"),
    "nan-tail": Options(nan_cell=0, nan_at="tail"),
    "missing-id": Options(missing_id=2),
    "old-0.9": Options(pipeline="0.9"),
    "old-unnamed": replace(WIDE, pipeline=None),
    "new-2.0": Options(pipeline="2.0"),
    "scenes-name": Options(scene_group="natural_scenes", dff_extra=1, compression="gzip"),
    "in-order": Options(shuffled=False, late_running=0, short_running=0),
    "running-late": Options(late_running=9000),
    "sweeps-of-6": replace(WIDE, sweep_frames=6),
    "sweeps-of-8": Options(sweep_frames=8),
    "second-sweep-of-8": replace(WIDE, second_sweep_frames=8),
    "starts-early": Options(gratings=False, lead_in=20),
    "ends-early": replace(WIDE, lead_out=10),
    "scene-once": Options(fewer=((17, 1), (90, 2))),
    "few": Options(repetitions=3, cells=1),
}
RAISES = {  # options, AllenSDK's answer that is an error, and what it says
    "no-demixed": (Options(demixed=False), "corrected", "KeyError"),
    "session-a": (Options(session_type="three_session_A"), "table", "MissingStimulusException"),
    "session-c": (Options(session_type="three_session_C"), "table", "MissingStimulusException"),
    "session-c2": (Options(session_type="three_session_C2"), "table", "MissingStimulusException"),
    "two-groups": (Options(second_scene_group=True), "table", "multiple matching"),
    "hard-link": (Options(hard_link=True), "table", "ValueError"),
    "running-off-clock": (Options(running_off_clock=True), "running", "IndexError"),
    "nan-preferred": (Options(nan_cell=0, nan_at="preferred"), "peak", "ValueError"),
    "nan-all": (replace(WIDE, nan_cell=1, nan_at="all"), "peak", "ValueError"),
    "no-blank": (Options(fewer=((-1, 0),)), "peak", "IndexError"),
    "scene-never": (Options(fewer=((17, 0),)), "peak", "IndexError"),
}


PUBLISHED = {  # murine's names of metrics, which are the published ones, and AllenSDK's
    "pref_image_ns": "scene_ns",
    "peak_dff_ns": "peak_dff_ns",
    "p_ns": "ptest_ns",
    "time_to_peak_ns": "time_to_peak_ns",
    "p_run_mod_ns": "p_run_ns",
    "run_mod_ns": "run_modulation_ns",
    "reliability_ns": "reliability_ns",
    "image_sel_ns": "image_selectivity_ns",
}


@dataclass(frozen=True)
class Files:
    files: Path
    answers: Path

    def nwb(self, name: str) -> Path:
        return self.files / f"{name}.nwb"

    def allensdk(self, name: str) -> dict[str, np.ndarray]:
        with np.load(self.answers / f"{name}.npz") as answers:
            return dict(answers)


@pytest.fixture(scope="module")
def asked(tmp_path_factory) -> Files:
    """Files of every kind, and what AllenSDK said to each."""
    python = os.environ.get("MURINE_ALLENSDK")
    if not python:
        pytest.skip("set MURINE_ALLENSDK to a Python that has allensdk==2.16.2 (see tests/reference)")
    folder = tmp_path_factory.mktemp("allensdk")
    files = Files(folder / "files", folder / "answers")
    files.files.mkdir()
    for name, options in (ANSWERED | {name: case[0] for name, case in RAISES.items()}).items():
        allen_files.write_experiment(files.nwb(name), options)
    ran = subprocess.run([python, SCRIPT, files.files, files.answers], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return files


def compared(ours, theirs, tolerance=0.0):
    __tracebackhide__ = True
    ours, theirs = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    if tolerance:
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
    else:
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ANSWERED)
def test_transcription_is_what_allensdk_answers(asked, name):
    theirs = asked.allensdk(name)
    assert not [key for key in theirs if key.startswith("error")]
    ours = scene_truth.answers_of(scene_truth.stored(asked.nwb(name)))

    compared(ours.cell_specimen_ids, theirs["cell_specimen_ids"])
    assert ours.corrected.dtype == theirs["corrected"].dtype
    compared(ours.corrected, theirs["corrected"])
    compared(ours.running, theirs["running"])
    compared(ours.table[:, :3], theirs["table"])
    compared(ours.table[:, 3], theirs["table_rows"])

    # Bitwise.
    compared(ours.mean_sweep_response[:, :-1], theirs["mean_sweep_response"])
    compared(ours.mean_sweep_response[:, -1], theirs["mean_dx"])
    compared(ours.response, theirs["response"], 1e-12)
    assert ours.sweep_p is not None
    # Of a sweep without any difference: the root of a rounding error, which is another one in each version of SciPy.
    compared(ours.sweep_p, theirs["sweep_p"], 2e-9)
    for column in scene_truth.PEAK_COLUMNS:
        compared(ours.peak[column], theirs[f"peak_{column}"], 1e-12)


@pytest.mark.parametrize("name", ANSWERED)
def test_murine_answers_what_allensdk_answers(asked, name):
    theirs = asked.allensdk(name)
    with Experiment(asked.nwb(name)) as experiment:
        scenes = NaturalScenes(experiment)
        compared(experiment.cell_specimen_ids, theirs["cell_specimen_ids"])
        assert experiment.traces().dtype == theirs["corrected"].dtype
        compared(experiment.traces(), theirs["corrected"])
        compared(experiment.running_speed, theirs["running"])
        compared(scenes.table, theirs["table"])
        compared(scenes.table.index, theirs["table_rows"])
        assert scenes.sweep_length == theirs["sweep_length"]
        assert experiment.acquisition_rate == theirs["acquisition_rate"]

        # Bitwise.
        compared(scenes.mean_sweep_response, theirs["mean_sweep_response"])
        compared(scenes.running, theirs["mean_dx"])
        compared(scenes.condition_response, theirs["response"], 1e-12)
        compared(scenes.sweep_p_values, theirs["sweep_p"], 2e-9)  # as above
        assert set(scenes.metrics) == set(PUBLISHED)
        for ours, name_there in PUBLISHED.items():
            compared(scenes.metrics[ours], theirs[f"peak_{name_there}"], 1e-12)


@pytest.mark.parametrize("name", ["nan-preferred", "nan-all", "no-blank", "scene-never"])
def test_murine_answers_where_allensdk_has_no_metrics(asked, name):
    theirs = asked.allensdk(name)
    with Experiment(asked.nwb(name)) as experiment:
        scenes = NaturalScenes(experiment)
        compared(scenes.mean_sweep_response, theirs["mean_sweep_response"])
        assert scenes.metrics["image_sel_ns"].notna().any() == (name != "scene-never")


@pytest.mark.parametrize("name", RAISES)
def test_where_allensdk_raises(asked, name):
    _, question, says = RAISES[name]
    theirs = asked.allensdk(name)
    assert says in str(theirs[f"error_{question}"])
    if question == "peak":  # and what else it answers, the transcription does too
        ours = scene_truth.answers_of(scene_truth.stored(asked.nwb(name)))
        compared(ours.mean_sweep_response[:, :-1], theirs["mean_sweep_response"])
        if len(theirs["response"]) == len(scene_truth.CONDITIONS):
            compared(ours.response, theirs["response"], 1e-12)


def test_metadata_is_read_by_allensdk(asked):
    options = ANSWERED["float32"]
    theirs = json.loads(str(asked.allensdk("float32")["metadata"]))
    assert theirs["ophys_experiment_id"] == options.experiment
    assert theirs["experiment_container_id"] == options.container
    assert theirs["cre_line"] == f"{options.driver}/wt"
    assert theirs["targeted_structure"] == options.area
    assert theirs["imaging_depth_um"] == options.depth
    assert theirs["age_days"] == options.age_days
    assert theirs["device_name"] == "CAM2P.2"
    assert theirs["pipeline_version"] == "3.0"


def test_planted_scenes_are_found(asked):
    options = ANSWERED["float64"]
    found = asked.allensdk("float64")["peak_scene_ns"]
    planted = [options.preferred_scene(cell) for cell in range(options.cells)]
    assert [int(scene) for scene, truth in zip(found, planted, strict=True) if truth is not None] == [
        truth for truth in planted if truth is not None
    ]
