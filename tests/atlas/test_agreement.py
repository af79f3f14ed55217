"""Correlations between metrics over networks, against plain ones of the leaderboard's scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import small_cortex
from scipy.stats import pearsonr, spearmanr

from murine.atlas.agreement import agreement
from murine.atlas.leaderboard import across_metrics, leaderboards
from murine.atlas.store import Atlas
from murine.atlas.sweep import sweep
from murine.errors import MurineError


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    folder = tmp_path_factory.mktemp("agreement")
    plan = small_cortex.write(folder / "mouse")
    names = ("pixels", "gabor", "conv@random:0", "conv@random:1", "conv@random:2", "square")
    networks = small_cortex.choices(folder / "mouse", *names)
    atlas = Atlas(folder / "atlas")
    sweep(networks, replace(plan, metrics=("rsa-pearson", "rsa-spearman", "cka")), atlas)
    sweep(networks[:3], replace(plan, metrics=("procrustes",)), atlas)
    return atlas


def test_correlations_are_those_of_the_leaderboard(atlas):
    table = agreement(atlas)
    board = leaderboards(atlas).pivot(index="network_digest", columns="metric", values="value")
    assert {(a, b) for a, b in zip(table.metric, table.other_metric, strict=True)} == {
        ("cka", "rsa-pearson"),
        ("cka", "rsa-spearman"),
        ("rsa-pearson", "rsa-spearman"),
    }  # too few networks have a Procrustes score
    for row in table.to_dict("records"):
        both = board[[row["metric"], row["other_metric"]]]
        assert row["n_networks"] == len(both) == 6
        assert row["r"] == pytest.approx(pearsonr(*both.to_numpy().T).statistic)
        assert row["rho"] == pytest.approx(spearmanr(*both.to_numpy().T).statistic)
        assert -1 <= row["r_low"] <= row["r"] <= row["r_high"] <= 1
    alike = table.set_index(["metric", "other_metric"]).loc[("rsa-pearson", "rsa-spearman")]
    assert alike.r > 0.9
    assert agreement(atlas).equals(table)


def test_networks_by_metrics(atlas):
    board = leaderboards(atlas)
    wide = across_metrics(board).set_index("network")
    assert len(wide) == 6
    for row in board.itertuples():
        mine = wide.loc[[row.network]]
        mine = mine[mine.weights == row.weights]
        name = row.metric if row.unit == "share of the ceiling" else f"{row.metric} (raw)"
        found = [mine[f"{name}{end}"].item() for end in ("", "_low", "_high")]
        np.testing.assert_allclose(found, [row.value, row.value_low, row.value_high])
    assert {"rsa-pearson", "cka (raw)"} <= set(wide)
    assert wide["procrustes (raw)"].isna().sum() == 3


def test_too_few_networks_are_refused(atlas):
    first = leaderboards(atlas).task[:3].tolist()
    with pytest.raises(MurineError, match="no two metrics have scores of 4 networks in common"):
        agreement(atlas, tasks=first)


def test_intervals_cover_the_correlation_of_all_networks():
    """Networks drawn from many: the interval covers the correlation over all of them about as often as it says."""
    from murine.atlas.agreement import _correlations

    covered = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        first = rng.normal(size=25)
        second = 0.7 * first + np.sqrt(1 - 0.49) * rng.normal(size=25)
        found = _correlations([first, second], [np.tile(x, (300, 1)) for x in (first, second)], 300, seed)
        covered.append(found["r_low"] <= 0.7 <= found["r_high"])
    assert 0.87 <= np.mean(covered) <= 0.98
