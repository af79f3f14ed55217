"""Claims: what was published, or is asked by a study, beside our estimate, with a verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from murine.errors import MurineError
from murine.literature import published_numbers

#: What a test of a claim came to.
Verdict = Literal["reproduced", "not reproduced", "not tested"]

#: The columns of `StudyResult.verdicts`.
CLAIM_COLUMNS = {
    "claim": "What was claimed, in one sentence.",
    "published": "The published value; empty where there is none.",
    "estimate": "Our value of the same; empty where it was not computed.",
    "low": "Lower end of the 95 % interval of our value; empty where there is none.",
    "high": "Upper end of the 95 % interval of our value; empty where there is none.",
    "unit": "Unit of the values; empty for plain numbers.",
    "verdict": "reproduced, not reproduced or not tested.",
    "explanation": "Why, in one sentence.",
    "kind": "What kind of number was published, as noise ceiling of a site; statement where none was.",
    "mark": "How sure the published number is: V printed, F measured from a figure, S from a summary, I inferred, "
    "M from memory; empty where there is none.",
}

#: The kind of a claim without a published number.
STATEMENT = "statement"


@dataclass(frozen=True)
class Claim:
    """A published claim, or one of the study itself, beside our estimate.

    Attributes
    ----------
    claim
        What is claimed, in one sentence.
    verdict
        ``reproduced``, ``not reproduced`` or ``not tested``.
    explanation
        Why, in one sentence.
    published
        The published value; None where no number was published.
    estimate, low, high
        Our value with its 95 % interval; NaN where it was not computed.
    unit
        Unit of all values; '' for plain numbers.
    kind
        What kind of number was published; `STATEMENT` where none was.
    mark
        The mark of the published number (`murine.literature.MARKS`); '' where there is none.

    Raises
    ------
    MurineError
        If there is no such verdict, a claim that was tested has no estimate, or a sentence is missing.

    Examples
    --------
    >>> claim = Claim("Training helps.", "reproduced", "The interval lies above zero.", None, 0.2, 0.1, 0.3)
    >>> print(claim)
    Training helps. Published: no number; ours: 0.2 [0.1, 0.3]: reproduced. The interval lies above zero.
    """

    claim: str
    verdict: Verdict
    explanation: str
    published: float | None = None
    estimate: float = math.nan
    low: float = math.nan
    high: float = math.nan
    unit: str = ""
    kind: str = STATEMENT
    mark: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in ("reproduced", "not reproduced", "not tested"):
            raise MurineError(
                f"the verdict on {self.claim!r} is {self.verdict!r}; expected reproduced, not reproduced or not tested."
            )
        if not self.claim or not self.explanation:
            raise MurineError(f"a claim needs a sentence and an explanation; this one has {self!r}.")
        if self.verdict != "not tested" and math.isnan(self.estimate):
            raise MurineError(f"{self.claim!r} is {self.verdict}, but has no estimate; it is not tested then.")

    @classmethod
    def above_zero(cls, claim: str, row: Mapping[Any, Any], what: str, sign: int = 1) -> Claim:
        """Return the claim that a difference is above zero (below, for a sign of -1), by its 95 % interval.

        Parameters
        ----------
        claim
            The claim, in one sentence.
        row
            The difference: ``difference, low, high, unit``.
        what
            What the difference is of, in words.

        Examples
        --------
        >>> row = {"difference": 0.2, "low": 0.1, "high": 0.3, "unit": "raw score"}
        >>> print(Claim.above_zero("Training helps.", row, "trained - random"))
        Training helps. Published: no number; ours: 0.2 raw score [0.1, 0.3]: reproduced. trained - random: the 95 % \
interval lies above zero.
        """
        value, low, high = (float(row[name]) for name in ("difference", "low", "high"))
        if math.isnan(value):
            return cls(claim, "not tested", f"{what}: there is no score.")
        place = "lies above zero" if low > 0 else "lies below zero" if high < 0 else "contains zero"
        found = low > 0 if sign > 0 else high < 0
        verdict: Verdict = "reproduced" if found else "not reproduced"
        told = f"{what}: the 95 % interval {place}."
        return cls(claim, verdict, told, None, value, low, high, str(row.get("unit", "")))

    @classmethod
    def by_order(cls, claim: str, row: Mapping[Any, Any]) -> Claim:
        """Return the claim that a quantity rises in an order of areas, by the permutation p of the order.

        Parameters
        ----------
        claim
            The claim, in one sentence.
        row
            Of `murine.atlas.depth_order.depth_order`: ``order_rho, order_p, n_areas, depths``.

        Examples
        --------
        >>> row = {"order_rho": 1.0, "order_p": 1 / 6, "n_areas": 3, "depths": "A 0.1, B 0.2, C 0.4"}
        >>> print(Claim.by_order("Depth follows the areas.", row))
        Depth follows the areas. Published: no number; ours: none: not tested. 3 areas cannot reach p = 0.05; rho 1.00.
        """
        rho, p, n_areas = float(row["order_rho"]), float(row["order_p"]), int(row["n_areas"])
        if math.isnan(rho):
            return cls(claim, "not tested", f"All areas have the same depth: {row['depths']}.")
        if math.factorial(n_areas) < 20:
            return cls(claim, "not tested", f"{n_areas} areas cannot reach p = 0.05; rho {rho:.2f}.")
        verdict: Verdict = "reproduced" if p <= 0.05 else "not reproduced"
        told = f"p = {p:.3f} over all orders of {n_areas} areas; depths: {row['depths']}."
        return cls(claim, verdict, told, None, rho, unit="Spearman")

    @classmethod
    def beside(
        cls,
        claim: str,
        published: float,
        ours: float,
        tolerance: float,
        unit: str = "",
        what: str = "",
        kind: str = "number",
        mark: str = "",
    ) -> Claim:
        """Return the claim that our value is the published one, within a tolerance that is stated.

        Parameters
        ----------
        what
            A sentence before the difference; the reason where ours is NaN.

        Examples
        --------
        >>> print(Claim.beside("The score of VGG16 and VGG19.", 15, 15, 0))
        The score of VGG16 and VGG19. Published: 15; ours: 15: reproduced. Ours differs by 0, at most 0 is allowed.
        """
        if math.isnan(ours):
            reason = what or "There is no value of ours."
            return cls(claim, "not tested", reason, published, unit=unit, kind=kind, mark=mark)
        gap = abs(ours - published)
        verdict: Verdict = "reproduced" if gap <= tolerance + 1e-12 else "not reproduced"
        told = f"{what + ' ' if what else ''}Ours differs by {gap:.3g}, at most {tolerance:.3g} is allowed."
        return cls(claim, verdict, told, published, ours, unit=unit, kind=kind, mark=mark)

    @classmethod
    def of_numbers(
        cls,
        paper: str,
        quantity: str,
        ours: Mapping[str, float],
        tolerance: float | Callable[[float], float],
        *,
        where: str = "",
        what: str = "",
    ) -> list[Claim]:
        """Return a claim for each published number of a quantity that has a value of ours.

        Parameters
        ----------
        paper, quantity
            As in `murine.literature.published_numbers`.
        ours
            Our values by the item that the number is of.
        tolerance
            How much ours may differ; or a function of the published value.
        where
            What our values were computed on, in brackets behind the claim.
        what
            A sentence before the difference.

        Examples
        --------
        >>> (claim,) = Claim.of_numbers("Conwell et al. 2021", "sites", {"all areas": 21.0}, 0)
        >>> print(claim, claim.mark)
        Sites: all areas. Published: 21 sites; ours: 21 sites: reproduced. Ours differs by 0, at most 0 is allowed. V
        """
        kind = quantity.partition(",")[0]
        return [
            cls.beside(
                f"{quantity[0].upper()}{quantity[1:]}: {row['item']}{f' ({where})' if where else ''}.",
                row["value"],
                ours[row["item"]],
                tolerance(row["value"]) if callable(tolerance) else tolerance,
                row["unit"],
                what,
                kind,
                row["mark"],
            )
            for row in published_numbers(paper, quantity).to_dict("records")
            if row["item"] in ours
        ]

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        published = "no number" if self.published is None else f"{self.published:g}{unit}"
        ours = "none" if math.isnan(self.estimate) else f"{number_text(self.estimate)}{unit}"
        interval = "" if math.isnan(self.low) else f" [{self.low:.3g}, {self.high:.3g}]"
        return f"{self.claim} Published: {published}; ours: {ours}{interval}: {self.verdict}. {self.explanation}"


def number_text(value: float) -> str:
    """Return a number with three digits, or all digits before the point; '' for NaN.

    Examples
    --------
    >>> number_text(0.12345), number_text(4096.0)
    ('0.123', '4096')
    """
    if math.isnan(value):
        return ""
    return f"{value:.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.3g}"
