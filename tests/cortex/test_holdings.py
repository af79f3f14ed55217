"""Both public data sets from a bucket to one recording: what is joined, left out, and where labels come from."""

from __future__ import annotations

import json
import logging

import allen_files
import numpy as np
import pytest
from allen_bucket import FAILED, GONE, NO_DEMIXED, NO_EVENTS, TAGGED, TWICE, SmallBucket, filled

from murine.cortex.allen.holdings import Neuropixels, SpikeCounts, TwoPhoton
from murine.cortex.allen.neuropixels import read_session
from murine.cortex.allen.neuropixels_tables import VISUAL_AREAS, read_tables
from murine.cortex.allen.reduction import Measure, read_recording
from murine.cortex.allen.responses import WINDOWS
from murine.cortex.recording import Recording
from murine.cortex.reliability import split_half
from murine.cortex.selection import selections
from murine.errors import MurineError

MEASURES = [Measure(), Measure("events"), Measure("dff", WINDOWS["de-vries2020"])]


@pytest.fixture(scope="module")
def allen(server_of_buckets, tmp_path_factory) -> SmallBucket:
    return filled(server_of_buckets, tmp_path_factory)


@pytest.fixture(scope="module")
def held(allen, tmp_path_factory) -> TwoPhoton:
    """All sessions that the catalogue gives by default, fetched."""
    holdings = TwoPhoton(tmp_path_factory.mktemp("cache"), bucket=allen.bucket)
    catalogue = holdings.catalogue().select()
    plan = holdings.plan(holdings.sessions(catalogue.experiments.experiment_id.tolist(), MEASURES))
    assert plan.absent == (GONE,)
    assert plan.without == (f"ophys_experiment_events/{NO_EVENTS}_events.npz",)
    report = holdings.fetch_sessions(plan, MEASURES, workers=2)
    assert set(report.made) == set(allen.tree.scene_experiments) - {GONE}
    assert report.failed == {GONE: "the bucket does not have it"}
    impossible = {(file.parent.name, file.name): reason for file, reason in report.impossible.items()}
    assert set(impossible) == {
        ("corrected-allensdk.v1", f"{NO_DEMIXED}.nc"),
        ("events-allensdk.v1", f"{NO_EVENTS}.nc"),
    }
    assert "no events of this experiment" in impossible["events-allensdk.v1", f"{NO_EVENTS}.nc"]
    (note,) = report.notes  # two recordings of that session have no metrics: told once
    assert note.startswith(f"session {NO_DEMIXED}: no metrics from corrected fluorescence: '{NO_DEMIXED}.nwb'")
    assert not list(holdings.place.rglob("*.nwb"))
    assert not list(holdings.place.rglob("*_events.npz"))
    return holdings


def test_everything_that_is_here_becomes_one_recording(held, allen, caplog):
    catalogue = held.catalogue().select()
    with caplog.at_level(logging.WARNING, logger="murine"):
        recording = held.recording(catalogue)
    assert f"session {NO_DEMIXED} left out: corrected-allensdk" in caplog.text
    assert "1 of 7 sessions are not fetched yet" in caplog.text
    assert recording.name == "allen-2p-corrected-allensdk"
    assert recording.stimulus_ids[-1] == "blank"
    assert recording.n_stimuli == 119
    experiments = set("+".join(recording["experiment_id"]).split("+"))
    wanted = {str(number) for number in allen.tree.scene_experiments} - {str(NO_DEMIXED), str(GONE)}
    assert experiments == wanted
    assert str(FAILED) not in experiments
    assert set(recording["tags"][recording["experiment_id"] == str(TAGGED)]) == {"Epileptiform Events"}
    assert set(recording["layer_scheme"]) == {"allen-cnn"}
    for number in wanted - {str(n) for n in TWICE}:  # the same as straight from the file
        direct = read_recording(allen.tree.nwb(int(number)))
        rows = np.flatnonzero(recording["experiment_id"] == number)
        assert list(recording["neuroid_id"][rows]) == list(direct["neuroid_id"])
        np.testing.assert_array_equal(recording.responses[rows][:, :, : direct.n_repetitions], direct.responses)
        assert np.isnan(recording.responses[rows][:, :, direct.n_repetitions :]).all()
        np.testing.assert_array_equal(recording["p_run_mod_ns"][rows], direct["p_run_mod_ns"])


def test_a_cell_that_two_sessions_saw_has_the_repetitions_of_both(held, allen):
    recording = held.recording(held.catalogue().select(experiments=TWICE))
    row = int(np.flatnonzero(recording["neuroid_id"] == str(allen_files.TWICE_SEEN_CELL))[0])
    assert recording["experiment_id"][row] == f"{TWICE[0]}+{TWICE[1]}"
    first, second = (read_recording(allen.tree.nwb(number)) for number in TWICE)
    own = [r.responses[np.flatnonzero(r["neuroid_id"] == str(allen_files.TWICE_SEEN_CELL))[0]] for r in (first, second)]
    np.testing.assert_array_equal(recording.responses[row], np.concatenate(own, axis=1))
    assert recording.n_neuroids == first.n_neuroids + second.n_neuroids - 1
    assert recording.n_repetitions == first.n_repetitions + second.n_repetitions


def test_labels_are_those_of_the_catalogue_not_of_the_file(held, tmp_path):
    listed = held.place / "ophys_experiments.json"
    before = listed.read_text()
    rows = json.loads(before)
    (row,) = [row for row in rows if row["id"] == 501559087]
    row["targeted_structure"]["acronym"] = "VISrl"
    row["imaging_depth"] = 450
    for line in row["specimen"]["donor"]["transgenic_lines"]:
        line["name"] = {"Cux2-CreERT2": "Tlx3-Cre_PL56", "Ai93(TITL-GCaMP6f)": "Ai94(TITL-GCaMP6s)"}.get(
            line["name"], line["name"]
        )
    row["specimen"]["donor"] |= {"sex": "M", "external_donor_name": "000001"}
    listed.write_text(json.dumps(rows))
    try:
        catalogue = held.catalogue(layer_scheme="de-vries2020").select(experiments=[501559087])
        recording = held.recording(catalogue)
    finally:
        listed.write_text(before)
    told = {key: set(recording[key].tolist()) for key in ("area", "layer", "depth_um", "cre_line", "indicator")}
    assert told == {
        "area": {"VISrl"},
        "layer": {""},  # 450 um belong to no layer of that scheme
        "depth_um": {450.0},
        "cre_line": {"Tlx3-Cre_PL56"},
        "indicator": {"GCaMP6s"},
    }
    assert set(recording["donor"]) == {"000001"}
    assert set(recording["sex"]) == {"male"}
    assert set(recording["container_id"]) == {"511510736"}
    assert set(recording["layer_scheme"]) == {"de-vries2020"}


def test_other_signals_and_windows(held, allen):
    catalogue = held.catalogue().select()
    events = held.recording(catalogue, Measure("events"))
    assert set(events["signal"]) == {"events"}
    assert str(NO_EVENTS) not in set("+".join(events["experiment_id"]).split("+"))
    assert str(NO_DEMIXED) in set(events["experiment_id"])
    direct = read_recording(allen.tree.nwb(TAGGED), events=allen.tree.events(TAGGED), signal="events")
    rows = np.flatnonzero(events["experiment_id"] == str(TAGGED))
    np.testing.assert_array_equal(events.responses[rows][:, :, :12], direct.responses)
    dff = held.recording(catalogue, MEASURES[2])
    assert set(dff["window"]) == {"de-vries2020"}
    assert len(set("+".join(dff["experiment_id"]).split("+"))) == 6
    with pytest.raises(
        MurineError, match=r"as dff-0-250ms\. Of any session there is corrected-allensdk, dff-de-vries20"
    ):
        held.recording(catalogue, Measure("dff", WINDOWS["0-250ms"]))


def test_the_pictures_are_kept_once(held, allen):
    stimuli = held.templates.stimuli()
    assert stimuli.ids[0] == "scene_000"
    expected = allen_files.templates(allen.tree.experiments[501559087])
    np.testing.assert_array_equal(stimuli.images, expected.astype(np.uint8))


def test_failed_containers_come_when_asked_for(held, allen):
    catalogue = held.catalogue().select(failed=True, experiments=[FAILED])
    plan = held.plan(held.sessions([FAILED], [Measure()]))
    held.fetch_sessions(plan, [Measure()]).require_all()
    assert held.recording(catalogue).n_neuroids == 6
    assert str(FAILED) not in set(held.recording(held.catalogue().select())["experiment_id"])


def test_a_choice_of_the_joined_neurons(held):
    recording = held.recording(held.catalogue().select())
    chosen = selections["conwell2021"](recording, min_reliability=0.5)
    assert 0 < chosen.n_neuroids < recording.n_neuroids
    p = chosen["p_run_mod_ns"]
    assert (np.isnan(p) | (p > 0.05)).all()
    np.testing.assert_allclose(split_half(chosen.responses), chosen["reliability"], atol=1e-6)


# ------------------------------------------------------------------------------------------------------- neuropixels


@pytest.fixture(scope="module")
def probes(allen, tmp_path_factory) -> Neuropixels:
    """Both sessions in two windows, fetched."""
    holdings = Neuropixels(tmp_path_factory.mktemp("cache"), bucket=allen.bucket)
    numbers = holdings.tables().natural_scene_sessions()
    assert numbers == [715093703, 719161530]
    windows = [SpikeCounts(), SpikeCounts(0.05, 0.25)]
    holdings.fetch_templates()
    report = holdings.fetch_sessions(holdings.plan(holdings.sessions(numbers, windows)), windows)
    report.require_all()
    assert sorted(report.made) == numbers
    assert not list(holdings.place.rglob("*.nwb"))
    return holdings


def test_neuropixels_end_to_end(probes, allen, tmp_path):
    numbers = probes.tables().natural_scene_sessions()
    for window in (SpikeCounts(), SpikeCounts(0.05, 0.25)):
        recording = probes.recording(numbers, window)
        assert recording.name == f"allen-neuropixels-{window.name}"
        tables = read_tables(probes.place)
        start = 0
        for number in numbers:
            file = allen.tree.root / probes.prefix / f"session_{number}" / f"session_{number}.nwb"
            direct = read_session(file, window=(window.start, window.stop), tables=tables, areas=VISUAL_AREAS)
            rows = slice(start, start + direct.n_neuroids)
            start = rows.stop
            np.testing.assert_array_equal(recording.responses[rows], direct.responses)
            assert set(recording["session_id"][rows]) == {str(number)}
            assert list(recording["area"][rows]) == list(direct["area"])
        assert start == recording.n_neuroids
    with pytest.raises(MurineError, match="as counts-10to250ms"):
        probes.recording(numbers, SpikeCounts(0.01, 0.25))


def test_neuropixels_pictures(probes, allen):
    np.testing.assert_array_equal(probes.templates.images(), allen.templates)
    (probes.place / "natural_scene_templates" / "natural_scene_5.tiff").unlink()
    probes.bucket = allen.at("http://127.0.0.1:9")
    try:
        probes.fetch_templates()  # nothing to ask for
    finally:
        probes.bucket = allen.bucket


def test_the_window_of_spikes():
    assert SpikeCounts(0.05, 0.25).name == "counts-50to250ms"
    for limits in ((0.25, 0.25), (0.3, 0.1), (float("nan"), 1.0), (0.0, float("inf"))):
        with pytest.raises(MurineError, match=r"holds nothing; expected start < stop"):
            SpikeCounts(*limits)


def test_the_shared_recording_and_a_fetched_one_go_through_the_same_code(probes, shared_data):
    """Selection, reliability and scoring take the counts in the folder of data as they take what was fetched."""
    from murine.cortex.loading import load_dataset
    from murine.scoring.site_preparation import make_site_data
    from murine.statistics.bootstrap import bootstrap_counts

    data = load_dataset("allen-neuropixels", root=shared_data)
    scenes, real = data.stimuli, data.responses
    assert isinstance(real, Recording)
    fetched = probes.recording(probes.tables().natural_scene_sessions())
    fetched = fetched.select(stimuli=[i for i in fetched.stimulus_ids if i != "blank"])
    assert fetched.stimulus_ids == real.stimulus_ids == scenes.ids
    for key in ("neuroid_id", "area", "layer", "depth", "cre_line", "cell_class", "session_id", "donor", "sex"):
        assert real[key].dtype.kind == fetched[key].dtype.kind, key
    real = real.select(area="VISam")
    for recording, threshold in ((real, 0.75), (fetched, 0.0)):
        reliability = split_half(recording.responses)
        chosen = selections["conwell2021"](recording, run_alpha=None, min_reliability=threshold)
        np.testing.assert_array_equal(chosen["neuroid_id"], recording["neuroid_id"][reliability >= threshold])
        np.testing.assert_array_equal(chosen["reliability"], reliability[reliability >= threshold])
        site_data = make_site_data(chosen, ("area",))
        ceiling = site_data.ceiling("r", bootstrap_counts(recording.n_stimuli, 20, 0))
        assert (ceiling.value <= 1).all()
        if recording is real:
            assert 300 < chosen.n_neuroids < real.n_neuroids
            assert ceiling.value[0] > 0.9
