"""Verdicts: a pass needs controls that are rejected, whatever else is true."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from murine.statistics.animal_verdicts import REQUIRED_CONTROLS, VerdictWord, judge

REJECTED = dict.fromkeys(REQUIRED_CONTROLS, 0.02)


def test_the_three_verdicts():
    assert judge(0.05, 0.5, REJECTED).word == VerdictWord.no
    assert judge(0.06, 0.06, REJECTED).word == VerdictWord.maybe
    assert judge(0.06, 0.05, REJECTED).word == VerdictWord.unknown
    assert judge(float("nan"), 0.5, REJECTED).word == VerdictWord.unknown


@pytest.mark.parametrize("values", list(product([0.02, 0.3, None, float("nan")], repeat=len(REQUIRED_CONTROLS))))
def test_no_pass_without_every_control_rejected(values):
    controls = {name: p for name, p in zip(REQUIRED_CONTROLS, values, strict=True) if p is not None}
    verdict = judge(0.4, 0.4, controls)
    rejected = all(p == 0.02 for p in values)
    assert (verdict.word == VerdictWord.maybe) == rejected
    if not rejected:
        weak = [name for name, p in zip(REQUIRED_CONTROLS, values, strict=True) if p != 0.02]
        assert any(name in verdict.reason for name in weak)


def test_controls_cannot_turn_a_rejection_into_anything_else():
    for controls in ({}, REJECTED, dict.fromkeys(REQUIRED_CONTROLS, 0.9)):
        assert judge(0.01, np.nan, controls).word == VerdictWord.no


def test_the_level_is_the_one_asked_for():
    assert judge(0.03, 0.03, REJECTED, alpha=0.01).word == VerdictWord.unknown  # controls at .02 pass at this level
    assert judge(0.03, 0.03, dict.fromkeys(REQUIRED_CONTROLS, 0.01), alpha=0.01).word == VerdictWord.maybe


def test_a_pass_that_one_of_the_two_tests_would_reject_says_so():
    assert "close: Student's test alone would reject it, p = 0.010" in str(judge(0.07, 0.07, REJECTED, p_student=0.01))
    assert "close" not in str(judge(0.07, 0.07, REJECTED, p_student=0.06))


def test_more_typical_than_an_animal_is_said():
    assert "more typical" in str(judge(0.99, 0.99, REJECTED, t=2.5))
    assert "more typical" not in str(judge(0.9, 0.9, REJECTED, t=1.9))
