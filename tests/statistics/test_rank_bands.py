"""Rank bands of constructed examples."""

from __future__ import annotations

import numpy as np
import pytest

from murine.statistics.bootstrap import percentile_interval
from murine.statistics.ranking import rank_bands


def draws_around(means, sd, shared=0.0, n=2000, seed=0):
    rng = np.random.default_rng(seed)
    return np.asarray(means) + sd * rng.normal(size=(n, len(means))) + shared * rng.normal(size=(n, 1))


def bands_of(scores, draws):
    def difference(i, j):
        low, high = percentile_interval((draws[:, i] - draws[:, j])[:, None])
        return float(low[0]), float(high[0])

    return rank_bands(scores, difference).tolist()


@pytest.mark.parametrize(
    ("means", "sd", "bands"),
    [
        ([0.9, 0.5, 0.1], 0.01, [1, 2, 3]),
        ([0.1, 0.9, 0.5], 0.01, [3, 1, 2]),
        ([0.50, 0.51, 0.52], 0.1, [1, 1, 1]),
        ([0.90, 0.89, 0.50, 0.49, 0.10], 0.05, [1, 1, 2, 2, 3]),
        # A staircase: each is like the next, but the third is not like the first.
        ([0.60, 0.50, 0.40, 0.30], 0.045, [1, 1, 2, 2]),
        ([np.nan, 0.9, 0.5], 0.01, [0, 1, 2]),
        ([np.nan, np.nan], 0.01, [0, 0]),
        ([0.3], 0.1, [1]),
    ],
)
def test_bands_of_constructed_examples(means, sd, bands):
    scores = np.array(means)
    assert bands_of(scores, draws_around(np.nan_to_num(scores), sd)) == bands


def test_bands_look_at_paired_differences():
    scores = np.array([0.55, 0.50])
    # Both move together by far more than they differ: apart when paired, together when not.
    assert bands_of(scores, draws_around(scores, 0.005, shared=0.3)) == [1, 2]
    unpaired = draws_around(scores, 0.005, shared=0.3)
    unpaired[:, 1] = np.random.default_rng(5).permutation(unpaired[:, 1])
    assert bands_of(scores, unpaired) == [1, 1]
