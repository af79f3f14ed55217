"""Trained minus random under every treatment: from constructed rows, and from a sweep."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import small_cortex
from test_leaderboard import add

from murine.atlas.leaderboard import leaderboards
from murine.atlas.store import Atlas
from murine.atlas.sweep import sweep
from murine.atlas.trained_against_random import (
    ALL_NETWORKS,
    ALL_SITES,
    SIGN_DEPENDS,
    sign_depends,
    trained_minus_random,
)
from murine.errors import MurineError
from murine.scoring.treatments import CHOICES


@pytest.fixture
def atlas(tmp_path):
    return Atlas(tmp_path / "atlas")


def pair(atlas, network, difference, **treatment):
    add(atlas, network, {"V1": 0.5 + difference, "LM": 0.3 + difference}, **treatment)
    for seed in range(2):
        random = {"role": "random", "weights": f"random:{seed}", "network_digest": f"{network}{seed}"}
        add(atlas, network, {"V1": 0.5, "LM": 0.3}, **random, **treatment)


def test_differences_are_those_that_were_put_in(atlas):
    pair(atlas, "net", 0.1)
    pair(atlas, "other", 0.3)
    pair(atlas, "net", -0.2, normalise_neurons="zscore")
    table = trained_minus_random(atlas).set_index(["network", "site"])
    for site in ("V1", "LM", ALL_SITES):
        row = table.loc["net", site]
        assert row["both as they are"] == pytest.approx(0.1)
        assert row["neurons z-scored"] == pytest.approx(-0.2)
        assert row["both as they are_low"] < 0.1 < row["both as they are_high"]
        assert row["note"] == SIGN_DEPENDS
        other = table.loc["other", site]
        assert other["both as they are"] == pytest.approx(0.3)
        assert np.isnan(other["neurons z-scored"])
        assert other["note"] == ""
        assert table.loc[ALL_NETWORKS, site]["both as they are"] == pytest.approx(0.2)
    assert "both z-scored" not in table


def test_rows_of_different_data_never_meet(atlas):
    add(atlas, "net", {"V1": 0.5})
    random = {"role": "random", "weights": "random:0", "network_digest": "r"}
    for other in (
        {"cortex_digest": "d"},
        {"metric": "cka"},
        {"size": 32},
        {"seed": 1},
        {"normalise_neurons": "zscore"},
    ):
        add(atlas, "net", {"V1": 0.1}, **random, **other)
    with pytest.raises(MurineError, match="--twins 1 --normalise both"):
        trained_minus_random(atlas)


def test_a_sign_depends_only_where_an_interval_tells_one():
    assert sign_depends([(0.2, 0.1, 0.3), (-0.01, -0.1, 0.1)])
    assert not sign_depends([(0.02, -0.1, 0.3), (-0.01, -0.1, 0.1)])
    assert not sign_depends([(0.2, 0.1, 0.3), (0.01, -0.1, 0.1)])
    assert not sign_depends([(0.2, 0.1, 0.3), (np.nan, np.nan, np.nan), (0.0, 0.0, 0.0)])
    assert not sign_depends([])


def test_treatments_of_one_pass_are_those_of_passes_of_their_own(tmp_path):
    plan = small_cortex.write(tmp_path)
    chosen = small_cortex.choices(tmp_path, "conv@random:0", "pool")
    together = Atlas(tmp_path / "together")
    sweep(chosen, replace(plan, treatments=CHOICES["all"]), together)
    alone = Atlas(tmp_path / "alone")
    for treatment in reversed(CHOICES["all"]):
        sweep(chosen, replace(plan, treatments=(treatment,)), alone)
    key = ["treatment", "network", "input_size"]
    one, other = (leaderboards(atlas).sort_values(key, ignore_index=True) for atlas in (together, alone))
    assert one.groupby("treatment").size().tolist() == [2] * 4
    assert one.value.tolist() == other.value.tolist()
    assert one.value.round(6).nunique() == 8
    assert len(list((together.folder / "kernels").iterdir())) == 4
    (first, *_) = sweep(chosen, replace(plan, treatments=CHOICES["all"]), together)
    assert first.state == "done"
