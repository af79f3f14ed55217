"""Leaderboards recomputed from constructed rows, and from those of a sweep."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import small_cortex

import murine.atlas.tables
from murine.atlas.identity import CaptureTask, CortexSettings, ScoreTask
from murine.atlas.leaderboard import MIN_CEILING, across_metrics, ask, leaderboards
from murine.atlas.store import Atlas
from murine.atlas.sweep import sweep
from murine.errors import MurineError
from murine.networks.preprocessing import Preprocessing
from murine.statistics.variance_correction import correct_for_pairs

N_DRAWS = 400


@pytest.fixture
def atlas(tmp_path):
    return Atlas(tmp_path / "atlas")


def add(
    atlas,
    network,
    ceiled,
    *,
    ceilings=None,
    sd=0.01,
    groups=(),
    nested=True,
    shared=0.0,
    role="trained",
    size=64,
    settings=CortexSettings(cortex="mouse"),  # noqa: B008 (frozen)
    **about,
):
    """Write the chosen rows of a network: ``ceiled`` by site, of the nested choice; the naive one is 0.05 higher."""
    ceilings = ceilings or dict.fromkeys(ceiled, 0.8)
    capture = CaptureTask(
        network_digest=about.pop("network_digest", network),
        preprocessing=Preprocessing(input_size=(size, size)),
        stimuli_digest="s",
        layers=about.pop("layers", "all"),
        normalise=about.pop("normalise_features", "none"),
    )
    defaults = {"weights": "pretrained", "cortex_digest": "c", "metric": "rsa-pearson", "seed": 0}
    numbers = {"n_bootstraps": N_DRAWS, "n_permutations": 0}
    task = ScoreTask(network=network, capture=capture, cortex=settings, **{**defaults, **numbers, **about})
    rng = np.random.default_rng([len(network), *network.encode()])
    rows = []
    for s, (site, value) in enumerate(ceiled.items()):
        for rule, split, more in (("naive", "all", 0.05), ("nested", "even", 0.0))[: 1 + nested]:
            mean = value + more
            known = ceilings[site] is not None
            spread = mean + sd * rng.normal(size=task.n_bootstraps) + shared
            for stimuli in ("all", *groups):
                inside = 0.0 if stimuli == "all" else 0.1 * (1 + groups.index(stimuli))
                rows.append(
                    {
                        "site": site,
                        "area": site,
                        "stimuli": stimuli,
                        "metric": task.metric,
                        "role": role,
                        "chosen": rule,
                        "split": split,
                        "layer": f"{rule} {site}",
                        "p_value": 0.01 * (1 + s),
                        "score": (mean - inside) * (ceilings[site] if known else 1),
                        "ceiling": ceilings[site] if known else np.nan,
                        "ceiled": mean - inside if known else np.nan,
                        "draws": spread.astype(np.float32),
                    }
                )
    frame = pd.DataFrame(rows)
    for column in murine.atlas.tables.score_schema().names:
        if column not in frame:
            frame[column] = None
    atlas.write_scores(task, frame, {})
    return task.digest


def test_a_score_is_the_mean_over_sites_of_the_nested_choice(atlas):
    task = add(atlas, "net", {"V1": 0.5, "LM": 0.7, "AL": 0.3}, ceilings={"V1": 0.9, "LM": 0.8, "AL": 0.6})
    (row,) = leaderboards(atlas).to_dict("records")
    assert row["ceiled"] == pytest.approx(0.5)
    assert row["score"] == pytest.approx((0.5 * 0.9 + 0.7 * 0.8 + 0.3 * 0.6) / 3)
    assert row["naive"] == pytest.approx(0.55)
    assert row["p_max"] == pytest.approx(0.03)
    assert (row["n_sites"], row["n_sites_all"], row["selection"]) == (3, 3, "nested")
    assert row["layers"] == "AL: nested AL, LM: nested LM, V1: nested V1"
    assert (row["task"], row["band"], row["network"], row["input_size"]) == (task, 1, "net", "64x64")


def test_intervals_are_those_of_the_mean_of_the_draws(atlas):
    add(atlas, "net", {"V1": 0.5, "LM": 0.7}, sd=0.1)
    rows = atlas.query("SELECT * FROM scores WHERE chosen = 'nested'")
    mean = np.mean(np.stack(list(rows.draws)), axis=0)
    (row,) = leaderboards(atlas).to_dict("records")
    np.testing.assert_allclose([row["ceiled_low"], row["ceiled_high"]], np.quantile(mean, [0.025, 0.975]), atol=1e-6)
    # Two independent sites: the mean spreads less than each by a factor of sqrt(2).
    assert row["ceiled_high"] - row["ceiled_low"] == pytest.approx(2 * 1.96 * 0.1 / np.sqrt(2), rel=0.15)


def test_sites_without_a_usable_ceiling_do_not_rank(atlas):
    ceilings = {"V1": 0.9, "LM": MIN_CEILING, "AL": MIN_CEILING - 1e-6, "RL": None}
    add(atlas, "net", {"V1": 0.5, "LM": 0.7, "AL": 5.0, "RL": -3.0}, ceilings=ceilings)
    (row,) = leaderboards(atlas).to_dict("records")
    assert row["ceiled"] == pytest.approx(0.6)
    assert (row["n_sites"], row["n_sites_all"]) == (2, 4)
    (row,) = leaderboards(atlas, min_ceiling=0.8).to_dict("records")
    assert (row["ceiled"], row["n_sites"]) == (pytest.approx(0.5), 1)
    assert leaderboards(atlas, min_ceiling=0.99).empty


def test_without_any_ceiling_raw_scores_rank(atlas):
    for name, value in (("worse", 0.2), ("better", 0.3)):
        add(atlas, name, {"V1": value, "LM": value}, ceilings={"V1": None, "LM": None}, nested=False)
    board = leaderboards(atlas)
    assert board.network.tolist() == ["better", "worse"]
    assert board.value.tolist() == board.score.tolist() == pytest.approx([0.35, 0.25])
    assert board.unit.tolist() == ["raw score"] * 2
    assert (board.score_low < board.score).all()
    assert (board.score_high > board.score).all()
    assert board[["ceiled", "ceiled_low", "ceiled_high", "naive"]].isna().all(axis=None)  # there is no ceiling
    assert board.selection.tolist() == ["naive", "naive"]
    assert board.naive_score.tolist() == pytest.approx([0.35, 0.25])


def test_networks_are_ranked_into_bands_of_what_cannot_be_told_apart(atlas):
    values = {"last": 0.1, "first": 0.9, "second": 0.899, "fourth": 0.501, "third": 0.502}
    for name, value in values.items():
        add(atlas, name, {"V1": value, "LM": value})
    board = leaderboards(atlas)
    assert board.network.tolist() == ["first", "second", "third", "fourth", "last"]
    assert board.band.tolist() == [1, 1, 2, 2, 3]
    assert board.ceiled.is_monotonic_decreasing


def test_differences_are_paired(atlas):
    """What moves both networks in the same samples does not blur their difference."""
    common = 0.5 * np.random.default_rng(0).normal(size=N_DRAWS)
    for name, value in (("one", 0.55), ("two", 0.5)):
        add(atlas, name, {"V1": value}, shared=common)
    board = leaderboards(atlas)
    assert board.band.tolist() == [1, 2]
    assert board.ceiled_low[0] < board.ceiled_high[1]  # the intervals themselves overlap


def test_scores_within_groups_are_means_of_the_same_layers(atlas):
    add(atlas, "net", {"V1": 0.5, "LM": 0.7}, groups=("animals", "plants"))
    (row,) = leaderboards(atlas).to_dict("records")
    assert row["within animals"] == pytest.approx((0.4 + 0.6) / 2 * 0.8)
    assert row["within plants"] == pytest.approx((0.3 + 0.5) / 2 * 0.8)


def test_what_is_not_comparable_is_on_boards_of_its_own(atlas):
    add(atlas, "net", {"V1": 0.5})
    add(atlas, "net2", {"V1": 0.4})
    for change in (
        {"settings": CortexSettings(cortex="rat")},
        {"settings": CortexSettings(cortex="mouse", by=("area", "layer"))},
        {"normalise_neurons": "zscore"},
        {"normalise_features": "zscore"},
        {"cortex_digest": "d"},
        {"metric": "rsa-tau-a"},
        {"layers": "blocks"},
        {"seed": 1},
        {"n_bootstraps": 100},
    ):
        add(atlas, "net", {"V1": 0.3, "LM": 0.1}, **change)
    board = leaderboards(atlas)
    assert len(board) == 11
    own = board[board.network == "net2"]
    assert (own.band == 2).all()
    assert (board[board.network == "net"].band == 1).all()  # the best on each of its boards
    assert board[board.ceiled == board.ceiled.max()].n_sites_all.tolist() == [1]


def test_variants_of_a_network_are_entries_of_their_own(atlas):
    add(atlas, "net", {"V1": 0.5})
    for change in ({"size": 32}, {"weights": "random:0", "role": "random"}, {"network_digest": "new"}):
        add(atlas, "net", {"V1": 0.4}, **change)
    board = leaderboards(atlas)
    assert len(board) == 4
    assert board.ceiled.tolist() == pytest.approx([0.5, 0.4, 0.4, 0.4])


def test_filters(atlas):
    first = add(atlas, "net", {"V1": 0.5})
    add(atlas, "net", {"V1": 0.5}, settings=CortexSettings(cortex="rat"))
    add(atlas, "net", {"V1": 0.5}, metric="rsa-spearman")
    assert leaderboards(atlas, cortex="rat").cortex.tolist() == ["rat"]
    assert leaderboards(atlas, cortex="mouse", metric="rsa-spearman").metric.tolist() == ["rsa-spearman"]
    assert leaderboards(atlas, tasks=[first]).task.tolist() == [first]
    with pytest.raises(MurineError, match=r"no result has cortex 'mose'; did you mean mouse\? There are: mouse, rat"):
        leaderboards(atlas, cortex="mose")
    with pytest.raises(MurineError, match="no result has metric 'rsa'"):
        leaderboards(atlas, metric="rsa")
    with pytest.raises(MurineError, match="no layer has a score"):
        leaderboards(atlas, tasks=["none"])


def test_the_board_of_a_sweep_can_be_recomputed_from_its_rows(tmp_path):
    plan = small_cortex.write(tmp_path / "mouse")
    networks = small_cortex.choices(tmp_path / "mouse", "pixels", "gabor", "conv@random:0", "square")
    atlas = Atlas(tmp_path / "atlas")
    sweep(networks, replace(plan, metrics=("rsa-pearson", "rsa-spearman")), atlas)
    board = leaderboards(atlas)
    assert len(board) == 8
    rows = atlas.query("SELECT * FROM scores WHERE chosen = 'nested' AND stimuli = 'all'")
    for _, entry in board.iterrows():
        mine = rows[(rows.network == entry.network) & (rows.metric == entry.metric)]
        mine = mine[mine.ceiling >= MIN_CEILING]
        assert entry.n_sites == len(mine) == 3
        assert entry.ceiled == pytest.approx((mine.score / mine.ceiling).mean())
        draws, without = (np.mean(np.stack(list(mine[name])), axis=0) for name in ("draws", "without_one"))
        corrected = correct_for_pairs(draws, without)
        assert [entry.ceiled_low, entry.ceiled_high] == pytest.approx(
            list(np.quantile(corrected, [0.025, 0.975])), abs=1e-6
        )
        assert entry.optimism == pytest.approx(mine.optimism.mean())
    for _, part in board.groupby("metric", sort=False):
        assert part.ceiled.is_monotonic_decreasing
        assert part.top_probability.sum() == pytest.approx(1)
        assert part.band.is_monotonic_increasing
        assert part.band.iloc[0] == 1


def test_a_mixed_atlas_is_never_ranked_across_what_differs(atlas):
    """Data, grouping, selection, layers, treatment, seed, resampled subjects: a board for each, best first in all."""
    mouse = CortexSettings(cortex="mouse")
    kinds = {
        "plain": {},
        "other data": {"cortex_digest": "d" * 64},
        "grouping": {"settings": mouse.model_copy(update={"by": ("area", "layer")})},
        "selection": {"settings": mouse.model_copy(update={"select": (("area", "V1"),)})},
        "layers": {"layers": "*relu*"},
        "treatment": {"normalise_neurons": "zscore"},
        "seed": {"seed": 1},
        "over": {"over": "neurons", "n_subject_draws": 100},
        "metric": {"metric": "cka"},
    }
    for k, about in enumerate(kinds.values()):
        for network, score in (("a", 0.5 - 0.05 * k), ("b", 0.4 - 0.05 * k)):
            add(atlas, network, {"V1": score, "LM": score}, **about)
    table = leaderboards(atlas)
    sets = table.groupby(["cortex", "metric", "treatment", "setting"])
    assert len(sets) == len(kinds)
    for _, own in sets:
        assert list(own.network) == ["a", "b"]
        assert list(own.band) == [1, 2]
    words = " | ".join(sorted(set(table.setting)))
    for told in (
        "data dddddddd",
        "by area x layer",
        "by default, select none",
        "layers *relu*",
        "seed 1",
        "over neurons",
    ):
        assert told in words
    # The view for SQL holds these rows; the table of metrics has one row for every network and kind of the data.
    asked = ask(atlas, "SELECT network, setting, value FROM leaderboard ORDER BY value DESC")
    assert list(asked.value) == sorted(table.value, reverse=True)
    wide = across_metrics(table)
    assert not wide.duplicated(["cortex", "network", "treatment", "setting"]).any()
    assert len(wide) == 2 * (len(kinds) - 1)
