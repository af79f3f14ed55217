"""Verdicts on a candidate: not a mouse, could be a mouse, or cannot tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

#: Controls that must be rejected before a candidate can pass.
PIXELS, TWIN, SHUFFLED = "pixels", "random twin", "shuffled scenes"
REQUIRED_CONTROLS = (PIXELS, TWIN, SHUFFLED)

#: t from which on a candidate is called more typical than an animal.
MORE_TYPICAL = 2.0


class VerdictWord(StrEnum):
    """The three verdicts."""

    no = "not a mouse"
    maybe = "could be a mouse"
    unknown = "cannot tell"


@dataclass(frozen=True)
class AnimalVerdict:
    """A verdict in one area.

    Attributes
    ----------
    word
        One of three.
    reason
        Why, as a clause.
    """

    word: VerdictWord
    reason: str

    def __str__(self) -> str:
        return f"{self.word} ({self.reason})"


def judge(
    p: float,
    p_nested: float,
    controls: Mapping[str, float],
    t: float = float("nan"),
    alpha: float = 0.05,
    p_student: float = float("nan"),
) -> AnimalVerdict:
    """Return the verdict on a network in one area.

    A network passes only if its controls are rejected there: an area that cannot tell pixels or random weights from a
    mouse says nothing about a network.

    Parameters
    ----------
    p
        Largest p-value over all candidates of the network (layers and windows): the null hypothesis is that one of them
        is a mouse.
    p_nested
        p-value with the candidate chosen on other animals.
    controls
        The largest p-value of each control in this area, by name. The names of `REQUIRED_CONTROLS` must be there for a
        pass; several twins count as their largest p-value.
    t
        Of the best candidate, to tell whether it is more typical than an animal.
    alpha
        Level.
    p_student
        By Student's distribution alone. Where it rejects and ``p`` does not, that is said beside a pass.

    Examples
    --------
    >>> print(judge(0.3, 0.2, {"pixels": 0.02, "random twin": 0.01, "shuffled scenes": 0.01}))
    could be a mouse (p = 0.30; pixels, random twin and shuffled scenes are rejected)
    >>> print(judge(0.3, 0.2, {"pixels": 0.2, "random twin": 0.01, "shuffled scenes": 0.01}))
    cannot tell (p = 0.30, but pixels would pass, too)
    """
    if not np.isfinite(p):
        return AnimalVerdict(VerdictWord.unknown, "no layer could be compared")
    if p <= alpha:
        return AnimalVerdict(VerdictWord.no, f"p = {p:.3f}")
    if not p_nested > alpha:
        reason = f"p = {p:.2f}, but {p_nested:.3f} with the layer chosen on other mice"
        return AnimalVerdict(VerdictWord.unknown, reason)
    missing = [name for name in REQUIRED_CONTROLS if not np.isfinite(controls.get(name, np.nan))]
    if missing:
        return AnimalVerdict(VerdictWord.unknown, f"p = {p:.2f}, but there is no control of {_listed(missing)}")
    passing = [name for name in REQUIRED_CONTROLS if controls[name] > alpha]
    if passing:
        return AnimalVerdict(VerdictWord.unknown, f"p = {p:.2f}, but {_listed(passing)} would pass, too")
    more = "; more typical than a mouse, as an average of mice is" if t > MORE_TYPICAL else ""
    close = f"; close: Student's test alone would reject it, p = {p_student:.3f}" if p_student <= alpha else ""
    return AnimalVerdict(VerdictWord.maybe, f"p = {p:.2f}; {_listed(REQUIRED_CONTROLS)} are rejected{more}{close}")


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
