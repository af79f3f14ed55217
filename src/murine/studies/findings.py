"""What the parts of a study add to its result, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from murine.studies.claim import Claim
from murine.studies.study import FigureSpec, StudyResult


@dataclass
class Findings:
    """Tables by label, figures, claims and notes, in the order of the page."""

    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    figures: list[FigureSpec] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def result(self, study: str, columns: Mapping[str, str]) -> StudyResult:
        """Return the result of the study of this name, whose tables have columns with these meanings."""
        return StudyResult(study, self.tables, columns, tuple(self.figures), tuple(self.claims), tuple(self.notes))
