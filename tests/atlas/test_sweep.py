"""Sweeps: computed once, the same however the work is done, and never half."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import small_cortex
import torch
from scipy.stats import pearsonr

import murine.atlas.network_scorer
from murine.atlas.identity import ScoreTask
from murine.atlas.store import Atlas
from murine.atlas.sweep import sweep
from murine.cortex.loading import load_dataset
from murine.cortex.recording import Recording
from murine.errors import MurineError
from murine.networks import zoo
from murine.networks.zoo import NetworkSpec
from murine.scoring.site_preparation import make_site_data
from murine.scoring.treatments import CHOICES, Treatment
from murine.similarity.rdm import pearson_rdm
from murine.similarity.rdm_vectors import upper_triangle
from murine.stimuli import StimulusSet

ORDER = ["network", "weights", "layer_index", "site", "split", "metric", "stimuli"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("mouse")


@pytest.fixture(scope="module")
def plan(folder):
    return small_cortex.write(folder)


@pytest.fixture(scope="module")
def networks(folder):
    return small_cortex.choices(folder, "pixels", "gabor", "conv@random:0", "conv@random:1", "square", "cube")


@pytest.fixture(scope="module")
def whole(plan, networks, tmp_path_factory):
    """An atlas after an undisturbed sweep."""
    atlas = Atlas(tmp_path_factory.mktemp("whole"))
    outcomes = sweep(networks, plan, atlas)
    assert [outcome.state for outcome in outcomes] == ["computed"] * 6
    return atlas


@pytest.fixture
def captured(monkeypatch):
    """Names of the networks that were shown images."""
    seen = []
    original = murine.atlas.network_scorer.capture

    def counting(module, *args, **kwargs):
        seen.append(type(module).__name__)
        return original(module, *args, **kwargs)

    monkeypatch.setattr(murine.atlas.network_scorer, "capture", counting)
    return seen


def table(atlas):
    return atlas.query().sort_values(ORDER, kind="stable").reset_index(drop=True)


def assert_equal(first, second, tolerance=None):
    """Rows are the same: to the last bit, or to a tolerance."""
    assert first.columns.tolist() == second.columns.tolist()
    assert len(first) == len(second)
    numbers = first.select_dtypes("floating").columns
    exact = first.columns.drop([*numbers, "draws", "without_one"])
    pd.testing.assert_frame_equal(first[exact], second[exact])
    for column in numbers:
        np.testing.assert_allclose(first[column], second[column], rtol=0, atol=tolerance or 0, err_msg=column)
    for column in ("draws", "without_one"):
        for a, b in zip(first[column], second[column], strict=True):
            missing = [np.ndim(x) == 0 for x in (a, b)]
            assert missing[0] == missing[1]
            if not missing[0]:
                np.testing.assert_allclose(a, b, rtol=0, atol=tolerance or 0)


def files(atlas):
    """Results; what was asked for may be noted later, when the files it is made of have rested."""
    found = (f for f in atlas.folder.rglob("*") if f.is_file() and f.parent.name != "requests")
    return {f: f.stat().st_mtime_ns for f in found}


def test_rows_are_scores_of_the_network_against_the_cortex(plan, whole):
    data = load_dataset(plan.cortex.cortex, stimuli=plan.stimuli)
    stimuli, recording = data.stimuli, data.responses
    site_data = make_site_data(recording, n_splits=4)
    images = zoo.load("pixels", input_size=32).preprocessing.apply(stimuli.select(sorted(stimuli.ids)))
    rdm = upper_triangle(pearson_rdm(images.mean(dim=1).flatten(1).double().numpy()))
    rows = whole.query("SELECT * FROM scores WHERE network = 'pixels' AND split = 'all' AND layer = 'pixels'")
    for s, site in enumerate(site_data.sites):
        row = rows[rows.site == site.name].iloc[0]
        assert row.score == pytest.approx(pearsonr(rdm, upper_triangle(site_data.rdms[s])).statistic, abs=1e-6)
        assert (row.input_size, row.cortex, row.role) == ("32x32", "mouse", "control")
        assert (row.n_neuroids, row.n_repetitions, row.n_stimuli) == (10, 6, 24)


def test_a_second_run_computes_nothing(plan, networks, whole, captured):
    before = files(whole)
    outcomes = sweep(networks, plan, whole)
    assert [outcome.state for outcome in outcomes] == ["done"] * 6
    assert captured == []
    assert files(whole) == before
    assert [len(outcome.tasks) for outcome in outcomes] == [1] * 6
    assert all(whole.about(task)["task"]["metric"] == "rsa-pearson" for o in outcomes for task in o.tasks)


def test_two_runs_agree_to_the_last_bit(plan, networks, whole, tmp_path):
    again = Atlas(tmp_path / "again")
    sweep(networks, plan, again)
    assert_equal(table(again), table(whole))
    names = [sorted(f.relative_to(a.folder) for f in files(a)) for a in (again, whole)]
    assert names[0] == names[1]


def test_the_order_of_networks_and_other_results_do_not_matter(plan, networks, whole, tmp_path):
    mixed = Atlas(tmp_path / "mixed")
    sweep(networks[3:], plan, mixed)
    sweep(networks[::-1], plan, mixed)
    assert_equal(table(mixed), table(whole))


@pytest.mark.parametrize("batch_size", [5, 16])
def test_batches_change_nothing(batch_size, plan, networks, whole, tmp_path):
    batched = Atlas(tmp_path / "batched")
    sweep(networks, replace(plan, batch_size=batch_size), batched)
    assert {f.name for f in files(batched)} == {f.name for f in files(whole)}  # the same identity
    assert_equal(table(batched), table(whole), 1e-6)


def test_processes_change_nothing(plan, networks, whole, tmp_path):
    parallel = Atlas(tmp_path / "parallel")
    announced = []
    outcomes = sweep(networks, plan, parallel, jobs=2, announce=announced.append)
    assert sorted(str(o.spec) for o in outcomes) == sorted(map(str, networks))
    assert announced == outcomes
    assert {o.state for o in outcomes} == {"computed"}
    assert {f.name for f in files(parallel)} == {f.name for f in files(whole)}
    assert_equal(table(parallel), table(whole), 1e-6)
    assert {o.state for o in sweep(networks, plan, parallel, jobs=2)} == {"done"}


def test_each_network_has_kernels_of_its_own(whole, networks):
    """Pooling, squares and cubes have no weights, and the same modules; still they are not one network."""
    assert len(list((whole.folder / "kernels").iterdir())) == len(networks)
    scores = whole.query("SELECT network, score FROM scores WHERE split = 'all' AND layer = '(output)'")
    by_network = {name: tuple(part.score) for name, part in scores.groupby("network")}
    assert by_network["nets.py:square"] != by_network["nets.py:cube"]
    weights = whole.query("SELECT weights, score FROM scores WHERE network = 'nets.py:conv' AND split = 'all'")
    assert len({tuple(part.score) for _, part in weights.groupby("weights")}) == 2


def test_kernels_serve_every_metric_and_setting(plan, networks, tmp_path, captured):
    atlas = Atlas(tmp_path / "atlas")
    sweep(networks[:1], replace(plan, metrics=("rsa-pearson", "rsa-spearman")), atlas)
    assert len(captured) == 1
    for other in (
        replace(plan, metrics=("rsa-tau-a",)),
        replace(plan, scoring=replace(plan.scoring, seed=1)),
        replace(plan, treatments=(Treatment("zscore", "none"),)),
        small_cortex.with_cortex(plan, by=("cell_class",)),
        small_cortex.with_cortex(plan, select=(("area", "SIMp"),)),
        small_cortex.with_cortex(plan, min_reliability=0.2),
    ):
        (outcome,) = sweep(networks[:1], other, atlas)
        assert outcome.state == "computed"
    assert len(captured) == 1
    assert len(list((atlas.folder / "kernels").iterdir())) == 1
    assert len(list((atlas.folder / "scores").iterdir())) == 8
    for other in (replace(plan, layers="blocks"), replace(plan, input_size=40)):
        sweep(networks[:1], other, atlas)
    assert len(captured) == 3
    sweep(networks[:1], replace(plan, treatments=CHOICES["all"]), atlas)
    assert len(captured) == 4  # that of standardised units; the plain ones are there


def test_scores_from_stored_kernels_are_those_of_fresh_ones(plan, networks, whole, tmp_path, captured):
    atlas = Atlas(tmp_path / "atlas")
    for file in files(whole):
        if file.parent.name == "kernels":
            target = atlas.folder / "kernels" / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    sweep(networks, plan, atlas)
    assert captured == []
    assert_equal(table(atlas), table(whole))


def test_corrupt_kernels_are_captured_again(plan, networks, whole, tmp_path, captured, caplog):
    atlas = Atlas(tmp_path / "atlas")
    sweep(networks[2:3], plan, atlas)
    (scores,), (kernels,) = ((atlas.folder / kind).iterdir() for kind in ("scores", "kernels"))
    right = kernels.read_bytes()
    for content in (right[:-50], b"", right[:300] + b"\0" * 40 + right[340:]):
        scores.unlink()
        kernels.write_bytes(content)
        captured.clear()
        (outcome,) = sweep(networks[2:3], plan, atlas)
        assert outcome.state == "computed"
        assert len(captured) == 1
        assert "They are captured again" in caplog.text
        assert atlas.read_kernels(ScoreTask.model_validate(atlas.about(outcome.tasks[0])["task"]).capture) is not None
        rows = table(atlas)
        expected = table(whole)
        assert_equal(rows, expected[expected.task == outcome.tasks[0]].reset_index(drop=True))


def test_networks_that_fail_do_not_stop_the_others(plan, folder, tmp_path):
    atlas = Atlas(tmp_path / "atlas")
    chosen = small_cortex.choices(folder, "pixels", "broken", "nothing", "conv@missing.pth", "gabor")
    outcomes = sweep([*chosen, NetworkSpec("resnet1000")], plan, atlas)
    assert [outcome.state for outcome in outcomes] == ["computed", "failed", "failed", "failed", "computed", "failed"]
    for outcome, reason in zip(
        [o for o in outcomes if o.state == "failed"],
        ("the network fails on 3 images", "has no function 'nothing'", "no file of weights", "unknown network"),
        strict=True,
    ):
        assert reason in outcome.reason
        assert outcome.tasks == ()
    assert set(atlas.query("SELECT DISTINCT network FROM scores").network) == {"pixels", "gabor"}


def test_a_cortex_that_cannot_be_used_fails_the_sweep(plan, networks, folder, tmp_path, captured):
    atlas = Atlas(tmp_path / "atlas")
    fewer = tmp_path / "fewer.npz"
    with np.load(plan.stimuli) as images:
        np.savez(fewer, images=images["images"][1:], ids=images["ids"][1:])
    for wrong, message in (
        (small_cortex.with_cortex(plan, cortex="mice"), "unknown dataset 'mice'"),
        (small_cortex.with_cortex(plan, cortex=str(tmp_path / "none.nc")), "there is no file"),
        (small_cortex.with_cortex(plan, select=(("area", "V9"),)), "has area 'V9'"),
        (small_cortex.with_cortex(plan, by=("lobe",)), "no coordinate 'lobe'"),
        (small_cortex.with_cortex(plan, min_reliability=1.1), "no neuron"),
        (replace(plan, stimuli=fewer), "stimuli have no image"),
        (replace(plan, metrics=("rsa-pearson", "ccka")), "unknown metric 'ccka'"),
        (replace(plan, device="abacus"), "unknown device 'abacus'"),
    ):
        with pytest.raises(MurineError, match=message):
            sweep(networks[:2], wrong, atlas)
    assert captured == []
    assert not atlas.folder.exists()


def test_what_does_not_change_a_result_does_not_change_its_name(plan, networks, whole, tmp_path):
    """Other folders, other orders of stimuli and neurons, other file dates: the same tasks."""
    data = load_dataset(plan.cortex.cortex, stimuli=plan.stimuli)
    stimuli, recording = data.stimuli, data.responses
    rng = np.random.default_rng(0)
    mixed = Recording(
        recording.dataset.isel(
            neuroid=rng.permutation(recording.n_neuroids), stimulus=rng.permutation(recording.n_stimuli)
        )
    )
    mixed.write(tmp_path / "mouse.nc")
    shuffled = stimuli.select(rng.permutation(stimuli.ids).tolist())
    np.savez(tmp_path / "other.npz", images=shuffled.images, ids=shuffled.ids)
    (tmp_path / "nets.py").write_text(small_cortex.NETWORKS)
    moved = replace(
        small_cortex.with_cortex(plan, cortex=str(tmp_path / "mouse.nc")),
        stimuli=tmp_path / "other.npz",
        batch_size=7,
    )
    chosen = small_cortex.choices(tmp_path, "pixels", "gabor", "conv@random:0")
    outcomes = sweep(chosen, moved, whole)
    assert [outcome.state for outcome in outcomes] == ["done"] * 3


def test_what_changes_a_result_changes_its_name(plan, networks, folder, whole, tmp_path):
    recording = Recording.read(plan.cortex.cortex)
    changed = recording.dataset.load().copy(deep=True)
    changed["responses"].values[3, 4, 2] += 0.01
    Recording(changed).write(tmp_path / "mouse.nc")
    stimuli = StimulusSet.from_npz(plan.stimuli)
    stimuli.images[5, 6, 7] ^= 1
    np.savez(tmp_path / "images.npz", images=stimuli.images, ids=stimuli.ids)
    torch.save(zoo.load(networks[2]).module.state_dict(), tmp_path / "w.pth")
    atlas = Atlas(tmp_path / "atlas")
    tasks = set()
    variants = [
        (networks[2], plan),
        (networks[3], plan),
        (NetworkSpec(networks[2].name, str(tmp_path / "w.pth")), plan),
        (networks[2], replace(plan, input_size=40)),
        (networks[2], replace(plan, layers="blocks")),
        (networks[2], replace(plan, scoring=replace(plan.scoring, n_bootstraps=21))),
        (networks[2], replace(plan, scoring=replace(plan.scoring, n_permutations=8))),
        (networks[2], replace(plan, scoring=replace(plan.scoring, seed=1))),
        (networks[2], small_cortex.with_cortex(plan, n_splits=5)),
        (networks[2], small_cortex.with_cortex(plan, cortex=str(tmp_path / "mouse.nc"))),
        (networks[2], replace(plan, stimuli=tmp_path / "images.npz")),
    ]
    for choice, variant in variants:
        (outcome,) = sweep([choice], variant, atlas)
        assert outcome.state == "computed", (choice, variant)
        tasks.update(outcome.tasks)
    assert len(tasks) == len(variants)


LIMITED = """
import json, resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import small_cortex
from murine.atlas.store import Atlas
from murine.atlas.sweep import sweep

folder, atlas = Path(sys.argv[2]), Atlas(sys.argv[3])
plan = small_cortex.write(folder)
networks = small_cortex.choices(folder, "pixels", "conv@random:0")
found = []
for limit in (500, 2500, resource.RLIM_INFINITY):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    found.append([[o.state, o.reason] for o in sweep(networks, plan, atlas)])
    files = [f for f in atlas.folder.rglob("*") if f.is_file()]
    found[-1].append([f.name for f in files])
print(json.dumps(found))
"""


def test_a_full_disk_fails_the_network_and_the_next_run_completes_it(whole, tmp_path):
    pytest.importorskip("resource")
    command = [sys.executable, "-W", "ignore", "-c", LIMITED, str(Path(__file__).parents[1] / "helpers")]
    done = subprocess.run(
        [*command, str(tmp_path / "mouse"), str(tmp_path / "atlas")], capture_output=True, text=True, check=True
    )
    small, medium, free = json.loads(done.stdout)
    for states in (small, medium):
        assert [state for state, _ in states[:2]] == ["failed", "failed"]
        for _, reason in states[:2]:
            assert "could not be written: the file would be too large" in reason
            assert "the same command goes on from there" in reason
        assert not [name for name in states[2] if "partial" in name]
        assert not [name for name in states[2] if name.endswith(".parquet")]
    assert [state for state, _ in free[:2]] == ["computed", "computed"]
    rows, expected = table(Atlas(tmp_path / "atlas")), table(whole)
    expected = expected[expected.task.isin(rows.task)].reset_index(drop=True)
    assert_equal(rows, expected, 1e-9)
    assert len(rows) > 0
