"""`murine score --over` from the command line to the leaderboard and the report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from murine.atlas.leaderboard import leaderboards
from murine.atlas.store import Atlas
from murine.cortex.simulated import simulate
from murine.report.leaderboard_view import read_boards
from murine.report.methods import methods
from murine.scenes import synthetic_scenes
from murine.scoring.score_sample import ScoreSample

pytestmark = pytest.mark.usefixtures("unchecked")

N_DRAWS = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A simulated cortex on the disk, of four animals; and the same of animals that are not known."""
    folder = tmp_path_factory.mktemp("mice")
    cortex = simulate(synthetic_scenes(24, 40), n_neuroids=12, n_repetitions=6, reliability=0.9)
    donor = np.array([f"m{k % 4}" for k in range(cortex.recording.n_neuroids)])
    cortex.recording.labelled({"donor": donor}).write(folder / "mouse.nc")
    cortex.recording.write(folder / "unknown.nc")
    one = np.where(cortex.recording["area"] == "SIMl", "m1", donor)
    cortex.recording.labelled({"donor": one}).write(folder / "one.nc")
    np.savez(folder / "images.npz", images=cortex.stimuli.images, ids=cortex.stimuli.ids)
    n = cortex.stimuli.n_stimuli
    np.savez(folder / "rdms.npz", matrices=1 - np.eye(n)[None], sites=["V"], stimulus_ids=cortex.stimuli.ids)
    return folder


def asked(folder: Path, name: str = "mouse.nc") -> tuple[object, ...]:
    return (
        *("score", "pixels", "gabor", "--no-controls", "--against", folder / name, "--input-size", 40),
        *("--stimuli", folder / "images.npz", "--bootstraps", N_DRAWS, "--permutations", 0, "--splits", 4),
    )


def test_networks_are_ranked_over_new_images_and_new_animals(murine, folder, tmp_path):
    place = ("--atlas", tmp_path / "a")
    code, out, err = murine(*asked(folder), *place, "--over", "animals", "--metric", "ridge", "--format", "json")
    assert code == 0, err
    assert "intervals and bands are over new images and new animals" in err
    board = {row["network"]: row for row in json.loads(out)}
    atlas = Atlas(tmp_path / "a")
    rows = atlas.query("SELECT * FROM scores WHERE chosen = 'nested' AND stimuli = 'all' AND ceiling >= 0.5")
    assert set(rows.over) == {"animals"}
    assert set(rows.n_animals) == {4}
    assert set(rows.n_subject_draws) == {N_DRAWS}
    means = {}
    for name, mine in rows.groupby("network"):
        means[name] = ScoreSample.mean([ScoreSample.of_row(row) for row in mine.to_dict("records")])
        ends = board[name]["ceiled_low"], board[name]["ceiled_high"]
        assert ends == pytest.approx(means[name].interval(), abs=1e-6)
        assert board[name]["ceiled"] == pytest.approx((mine.score / mine.ceiling).mean())
    best, other = sorted(board, key=lambda name: -board[name]["ceiled"])
    apart = (means[best] - means[other]).interval()[0] > 0
    assert [board[best]["band"], board[other]["band"]] == [1, 2 if apart else 1]
    probability = (means[best].over_both() > means[other].over_both()).mean()
    assert board[best]["top_probability"] == pytest.approx(probability)

    code, out, err = murine("results", "--view", "sites", *place, "--format", "csv")
    assert code == 0, err
    assert "ceiled_low_both" in out.partition("\n")[0]
    assert "draws_both" not in out.partition("\n")[0]

    # Without it: other results, on a board of their own, by the same scores.
    code, out, err = murine(*asked(folder), *place, "--metric", "ridge", "--format", "json")
    assert code == 0, err
    assert "new animals" not in err
    plain = {row["network"]: row for row in json.loads(out)}
    assert plain[best]["ceiled"] == pytest.approx(board[best]["ceiled"])
    assert plain[best]["ceiled_low"] != board[best]["ceiled_low"]
    both = leaderboards(atlas)
    assert sorted(both.over) == ["", "", "animals", "animals"]
    assert both.task.nunique() == 4

    wide, narrow = sorted(read_boards(atlas), key=lambda board: board.settings["over"])
    told = {
        board.settings["over"]: " ".join(p for topic in methods(board) for p in topic.paragraphs)
        for board in (wide, narrow)
    }
    assert "new images and other animals" in told["animals"]
    assert "not what other neurons or mice would" in told["stimuli"]
    for board, suffix in ((wide, "_both"), (narrow, "")):
        known = atlas.query(
            f"SELECT ceiled_low{suffix} AS low FROM scores WHERE over = ? AND chosen = 'nested'",
            ["animals" if suffix else ""],
        )
        assert sorted(board.official.ceiled_low) == pytest.approx(sorted(known.low))


@pytest.mark.parametrize(
    ("name", "over", "told"),
    [
        ("unknown.nc", "animals", "do not tell which animal they are of"),
        ("unknown.nc", "both", "do not tell which animal they are of"),
        ("one.nc", "animals", "the neurons at SIMl of 'one' are all of one animal"),
        ("rdms.npz", "neurons", "comes as matrices of whole sites: neurons or animals cannot be resampled"),
        ("mouse.nc", "mice", "'mice' is not one of"),
    ],
)
def test_what_cannot_be_resampled_is_told_before_networks_are_run(murine, folder, tmp_path, name, over, told):
    code, _, err = murine(*asked(folder, name), "--atlas", tmp_path / "a", "--over", over)
    assert code != 0
    assert told in " ".join(err.replace("│", " ").split())
    assert not (tmp_path / "a").exists()


def test_neurons_are_resampled_where_animals_are_not_known(murine, folder, tmp_path):
    code, _, err = murine(*asked(folder, "unknown.nc"), "--atlas", tmp_path / "a", "--over", "neurons")
    assert code == 0, err
    rows = Atlas(tmp_path / "a").query("SELECT n_animals, low_both FROM scores WHERE chosen <> '' AND stimuli = 'all'")
    assert rows.n_animals.isna().all()
    assert rows.low_both.notna().all()
