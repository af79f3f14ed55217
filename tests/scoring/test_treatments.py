"""Which treatments options ask for."""

from __future__ import annotations

import pytest

from murine.errors import MurineError
from murine.scoring.treatments import CHOICES, RAW, ZSCORED, Treatment, chosen_treatments


def test_both_sides_are_treated_alike_unless_asked_otherwise():
    assert chosen_treatments() == (RAW,)
    assert chosen_treatments("zscore") == (ZSCORED,)
    assert chosen_treatments("both") == (RAW, ZSCORED)
    assert all(treatment.is_matched for treatment in chosen_treatments("both"))
    assert len(set(chosen_treatments("all"))) == 4


@pytest.mark.parametrize(
    ("normalise", "neurons", "features", "wanted"),
    [
        ("none", "zscore", None, ("zscore", "none")),
        ("none", None, "zscore", ("none", "zscore")),
        ("zscore", "none", None, ("none", "zscore")),
        ("zscore", None, "none", ("zscore", "none")),
        ("none", "zscore", "zscore", ("zscore", "zscore")),
    ],
)
def test_one_side_can_be_changed(normalise, neurons, features, wanted):
    assert chosen_treatments(normalise, neurons, features) == (Treatment(*wanted),)


def test_one_side_of_several_is_refused():
    for several in ("both", "all"):
        with pytest.raises(MurineError, match=f"--normalise {several} computes {len(CHOICES[several])} treatments"):
            chosen_treatments(several, neurons="zscore")


@pytest.mark.parametrize("given", [("z-score",), ("none", "both"), ("none", None, "all")])
def test_unknown_treatments_are_refused(given):
    with pytest.raises(MurineError, match="expected none"):
        chosen_treatments(*given)


def test_words_tell_treatments_apart():
    assert len({treatment.words for treatment in CHOICES["all"]}) == 4
