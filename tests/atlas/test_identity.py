"""Identity: what can change a result changes its digest, and nothing else does."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from murine.atlas.identity import CaptureTask, CortexSettings, ScoreTask
from murine.networks.preprocessing import Preprocessing

CAPTURE = CaptureTask(
    network_digest="n", preprocessing=Preprocessing(input_size=(64, 64)), stimuli_digest="s", layers="all"
)
SCORE = ScoreTask(
    network="net",
    weights="random:0",
    capture=CAPTURE,
    cortex=CortexSettings(cortex="mouse"),
    cortex_digest="c",
    metric="rsa-pearson",
    n_bootstraps=100,
    n_permutations=100,
    seed=0,
)


def changed(task, **values):
    """The task with other values, validated again."""
    return type(task).model_validate({**task.model_dump(), **values})


CAPTURE_CHANGES = [
    {"method": 1},
    {"network_digest": "m"},
    {"stimuli_digest": "t"},
    {"layers": "blocks"},
    {"normalise": "zscore"},
    *(
        {"preprocessing": {**CAPTURE.preprocessing.model_dump(), **change}}
        for change in (
            {"input_size": (64, 65)},
            {"input_size": (65, 64)},
            {"mean": (0.1, 0.0, 0.0)},
            {"std": (1.0, 1.0, 0.9)},
            {"interpolation": "bicubic"},
            {"channel_order": "BGR"},
        )
    ),
]
CORTEX_CHANGES = [
    {"cortex": "rat"},
    {"by": ("area", "layer")},
    {"by": ("layer", "area")},
    {"select": (("area", "VISp"),)},
    {"select": (("layer", "VISp"),)},
    {"min_reliability": 0.5},
    {"dissimilarity": "cosine"},
    {"n_splits": 99},
]
SCORE_CHANGES = [
    {"method": 1},
    {"network": "other"},
    {"weights": "random:1"},
    {"cortex_digest": "d"},
    {"groups": "g"},
    {"metric": "rsa-tau-a"},
    {"normalise_neurons": "zscore"},
    {"n_bootstraps": 99},
    {"n_permutations": 99},
    {"seed": 1},
    {"layer_choice": "naive"},
    {"over": "animals"},
    {"over": "both"},
    {"over": "both", "n_subject_draws": 100},
    *({"cortex": {**SCORE.cortex.model_dump(), **change}} for change in CORTEX_CHANGES),
    *({"capture": changed(CAPTURE, **change)} for change in CAPTURE_CHANGES),
]


@pytest.mark.parametrize(("task", "changes"), [(CAPTURE, CAPTURE_CHANGES), (SCORE, SCORE_CHANGES)])
def test_every_setting_is_part_of_the_identity(task, changes):
    digests = {changed(task, **change).digest for change in changes} | {task.digest}
    assert len(digests) == len(changes) + 1


def test_no_setting_is_forgotten_here():
    """A new field must be thought about: does it change a result?"""
    names = {key for change in SCORE_CHANGES for key in change}
    assert names == set(ScoreTask.model_fields) - {"kind"}
    assert {key for change in CAPTURE_CHANGES for key in change} == set(CaptureTask.model_fields) - {"kind"}
    assert {key for change in CORTEX_CHANGES for key in change} == set(CortexSettings.model_fields)
    places = {key for change in CAPTURE_CHANGES for key in change.get("preprocessing", {})}
    assert places == set(Preprocessing.model_fields)


def test_digest_is_the_same_in_another_process():
    command = "import sys; from murine.atlas.identity import ScoreTask\n"
    command += "print(ScoreTask.model_validate_json(sys.argv[1]).digest)"
    done = subprocess.run(
        [sys.executable, "-c", command, SCORE.model_dump_json()], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == SCORE.digest


def test_digest_does_not_depend_on_how_numbers_are_written():
    again = ScoreTask.model_validate(json.loads(SCORE.model_dump_json()))
    assert again == SCORE
    assert again.digest == SCORE.digest
    whole = changed(SCORE, cortex={"cortex": "mouse", "min_reliability": 1})
    real = changed(SCORE, cortex={"cortex": "mouse", "min_reliability": 1.0})
    assert whole.digest == real.digest


def test_what_was_not_asked_for_does_not_change_names():
    """Results from before neurons and animals could be resampled are still found."""
    assert "over" not in SCORE.model_dump()
    assert changed(SCORE, n_subject_draws=200).digest == SCORE.digest
    asked = changed(SCORE, over="neurons", n_subject_draws=200)
    assert ScoreTask.model_validate_json(asked.model_dump_json()) == asked
    with pytest.raises(ValidationError, match="over"):
        changed(SCORE, over="mice")


def test_digest_is_a_file_name():
    assert len(SCORE.digest) == 32
    assert set(SCORE.digest) <= set("0123456789abcdef")


@pytest.mark.parametrize("task", [CAPTURE, SCORE, SCORE.cortex])
def test_unknown_settings_and_changes_are_refused(task):
    with pytest.raises(ValidationError, match="batch_size"):
        changed(task, batch_size=3)
    with pytest.raises(ValidationError, match="frozen"):
        task.method = 3


def test_values_out_of_range_are_refused():
    for change in ({"n_bootstraps": "many"}, {"cortex": {"cortex": "mouse", "normalise": "rank"}}, {"seed": None}):
        with pytest.raises(ValidationError):
            changed(SCORE, **change)
