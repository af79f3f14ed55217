"""Contrasts against the leaderboard's own differences, and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import murine
from murine.atlas.contrasts import ALL_SITES, Contrast, Side, contrast_table, sign_changes, spread
from murine.errors import MurineError

NETWORKS = ("pixels", "gabor", "resnet10t@random:0", "resnet10t@random:1")


@pytest.fixture(scope="module")
def scores():
    return murine.compare(NETWORKS, "simulated", controls=False, input_size=32, n_bootstraps=60, n_permutations=20)


def _contrast(first, second, **sides):
    return Contrast("test", "first - second", Side(first, **sides), Side(second))


def test_two_networks_differ_as_in_the_leaderboard(scores):
    table = scores.contrasts([_contrast(("gabor",), ("pixels",))])
    whole = table[table.site == ALL_SITES].iloc[0]
    pair = scores.differences().set_index(["network", "other"])
    own = pair.loc[("gabor", "pixels")]
    assert tuple(whole[["difference", "low", "high"]]) == tuple(own[["difference", "low", "high"]])
    assert whole.unit == own.unit
    assert table.site.tolist() == ["SIMam", "SIMl", "SIMp", ALL_SITES]


def test_a_side_of_several_networks_counts_by_its_mean(scores):
    twins = ("resnet10t@random:0", "resnet10t@random:1")
    table = contrast_table(
        scores.chosen, [_contrast(twins, ("pixels",)), *[_contrast((t,), ("pixels",)) for t in twins]]
    )
    values = table[table.site == ALL_SITES].difference.tolist()
    assert values[0] == pytest.approx((values[1] + values[2]) / 2, abs=1e-12)
    assert table.n_first.tolist()[0] == 2


def test_both_orders_are_opposite(scores):
    there, back = (
        scores.contrasts([_contrast(*sides)]) for sides in ((("gabor",), ("pixels",)), (("pixels",), ("gabor",)))
    )
    np.testing.assert_allclose(there.difference, -back.difference, atol=1e-15)
    np.testing.assert_allclose(there.low, -back.high, atol=1e-15)


def test_a_network_without_a_score_is_named(scores):
    (row,) = scores.contrasts([_contrast(("gabor",), ("resnet18",))]).to_dict("records")
    assert np.isnan(row["difference"])
    assert row["note"] == "no score of resnet18"


def test_an_input_size_that_was_not_scored_is_missing(scores):
    (row,) = scores.contrasts([_contrast(("gabor",), ("pixels",), input_size="64x64")]).to_dict("records")
    assert row["note"] == "no score of gabor"


def test_the_spread_is_the_standard_deviation_of_the_leaderboard(scores):
    twins = Side(("resnet10t@random:0", "resnet10t@random:1"))
    (row,) = spread(scores.chosen, twins).to_dict("records")
    board = scores.leaderboard
    values = board[board.network == "resnet10t"].value
    assert row["spread"] == pytest.approx(np.std(values, ddof=1), abs=1e-12)
    assert row["n_networks"] == 2
    assert np.isnan(spread(scores.chosen, Side(("pixels",))).spread.iloc[0])


def test_sites_without_a_ceiling_have_raw_scores_and_count_only_alone(scores):
    rows = scores.chosen.copy()
    without = rows.site == "SIMp"
    rows.loc[without, ["ceiling", "ceiled"]] = np.nan
    table = contrast_table(rows, [_contrast(("gabor",), ("pixels",))]).set_index("site")
    assert table.unit.to_dict() == {
        **dict.fromkeys(("SIMam", "SIMl", ALL_SITES), "share of the ceiling"),
        "SIMp": "raw score",
    }
    assert table.difference[ALL_SITES] == pytest.approx(table.difference[["SIMam", "SIMl"]].mean(), abs=1e-12)


def test_opposite_signs_are_noted_where_one_is_sure():
    key = dict.fromkeys(("cortex", "metric", "setting", "factor", "contrast", "site"), "x")
    ends = [(0.2, 0.1, 0.3), (-0.1, -0.2, 0.1)]
    table = pd.DataFrame([{**key, "difference": d, "low": low, "high": high, "note": ""} for d, low, high in ends])
    assert (sign_changes(table).note == "the sign depends on the treatment").all()
    unsure = table.assign(low=-0.5, high=0.5)
    assert (sign_changes(unsure).note == "").all()


def test_no_rows_are_refused(scores):
    with pytest.raises(MurineError, match="no scores to contrast"):
        contrast_table(scores.chosen.iloc[:0], [])


def test_every_set_of_results_is_asked_for_all_contrasts_of_an_iterator(scores):
    other = scores.chosen.assign(metric="another")
    both = pd.concat([scores.chosen, other], ignore_index=True)
    table = contrast_table(both, iter([_contrast(("gabor",), ("pixels",)), _contrast(("pixels",), ("gabor",))]))
    assert table.groupby("metric").size().to_dict() == {"rsa-pearson": 8, "another": 8}
