"""Studies: questions with a recipe, from data and networks to tables, figures and verdicts on published claims.

To add a study, derive a class from `Study` and name it in `studies`, or from another package as an entry point of the
group ``murine.study``. ``examples/plugin`` has a whole one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pandas as pd

from murine.errors import MurineError
from murine.io.files import atomic_write
from murine.literature import Citation
from murine.registry import Registry

if TYPE_CHECKING:
    from murine.atlas.store import Atlas
    from murine.cortex.dataset import Dataset

#: What a test of a claim came to.
Verdict = Literal["reproduced", "not reproduced", "not tested"]

#: All studies by name. Other packages add theirs through the entry-point group ``murine.study``.
studies: Registry[Study] = Registry("study")

names, describe = studies.names, studies.describe

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
}


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

    def __post_init__(self) -> None:
        if self.verdict not in ("reproduced", "not reproduced", "not tested"):
            raise MurineError(
                f"the verdict on {self.claim!r} is {self.verdict!r}; expected reproduced, not reproduced or not tested."
            )
        if not self.claim or not self.explanation:
            raise MurineError(f"a claim needs a sentence and an explanation; this one has {self!r}.")
        if self.verdict != "not tested" and math.isnan(self.estimate):
            raise MurineError(f"{self.claim!r} is {self.verdict}, but has no estimate; it is not tested then.")

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        published = "no number" if self.published is None else f"{self.published:g}{unit}"
        ours = "none" if math.isnan(self.estimate) else f"{self.estimate:.3g}{unit}"
        interval = "" if math.isnan(self.low) else f" [{self.low:.3g}, {self.high:.3g}]"
        return f"{self.claim} Published: {published}; ours: {ours}{interval}: {self.verdict}. {self.explanation}"


@dataclass(frozen=True, eq=False, repr=False)
class StudyResult:
    """What a study found.

    Attributes
    ----------
    study
        The name of the study.
    tables
        Tables by their labels.
    columns
        The meaning of every column of the tables, with its unit and when it is empty. A column has one meaning in all
        tables.
    figures
        Files of figures by their labels.
    claims
        Claims with verdicts.

    Raises
    ------
    MurineError
        If a column has no meaning, or a figure is no file.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"network": ["pixels"], "score": [0.1]})
    >>> columns = {"network": "Name of the network.", "score": "Mean score."}
    >>> claim = Claim("Pixels score above zero.", "not tested", "There is no interval.")
    >>> result = StudyResult("mine", {"scores": table}, columns, claims=(claim,))
    >>> result
    <StudyResult mine: 1 table, 0 figures, 1 claim (1 not tested)>
    >>> result.verdicts().verdict.tolist()
    ['not tested']
    """

    study: str
    tables: Mapping[str, pd.DataFrame]
    columns: Mapping[str, str]
    figures: Mapping[str, Path] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()

    def __post_init__(self) -> None:
        for label, table in self.tables.items():
            if unknown := [str(column) for column in table.columns if not self.columns.get(column)]:
                raise MurineError(
                    f"the table {label!r} of the study {self.study!r} has columns without a meaning: "
                    f"{', '.join(unknown)}. Add them to columns."
                )
        for label, file in self.figures.items():
            if not Path(file).is_file():
                raise MurineError(f"the figure {label!r} of the study {self.study!r} is no file: {str(file)!r}.")

    def __repr__(self) -> str:
        counts = {verdict: sum(c.verdict == verdict for c in self.claims) for verdict in sorted(self._verdicts())}
        found = f" ({', '.join(f'{n} {verdict}' for verdict, n in counts.items())})" if counts else ""
        kinds = (("table", self.tables), ("figure", self.figures), ("claim", self.claims))
        parts = [f"{len(things)} {kind}{'s' * (len(things) != 1)}" for kind, things in kinds]
        return f"<StudyResult {self.study}: {', '.join(parts)}{found}>"

    def _repr_html_(self) -> str:
        return self.verdicts().to_html(index=False, float_format="{:.3f}".format, na_rep="")

    def _verdicts(self) -> set[str]:
        return {claim.verdict for claim in self.claims}

    def verdicts(self) -> pd.DataFrame:
        """Return a row for each claim, with the columns that `CLAIM_COLUMNS` describes: published beside ours."""
        table = pd.DataFrame([asdict(claim) for claim in self.claims], columns=list(CLAIM_COLUMNS))
        return table.astype(dict.fromkeys(("published", "estimate", "low", "high"), float))

    def write(self, folder: str | Path) -> list[Path]:
        """Write the claims and every table as CSV files; each appears whole or not at all. Return their paths."""
        tables = {"claims": self.verdicts(), **self.tables}
        files = []
        for label, table in tables.items():
            file = Path(folder) / f"{label}.csv"
            with atomic_write(file) as partial:
                table.to_csv(partial, index=False)
            files.append(file)
        return files


class Study(ABC):
    """A question about networks and cortex, with the recipe that answers it.

    Attributes
    ----------
    name
        Its name in the registry.
    title
        A heading of a few words.
    question
        The question in one sentence.
    citation
        The publication that the question or the claims are from; None if there is none.

    Examples
    --------
    >>> class Counting(Study):
    ...     name, title, question = "counting", "Counting", "How many networks were given?"
    ...
    ...     def run(self, data, networks, *, atlas=None, folder=None, **options):
    ...         table = pd.DataFrame({"n": [len(networks)]})
    ...         return StudyResult(self.name, {"count": table}, {"n": "Number of networks."})
    >>> Counting().run("simulated", ["pixels"]).tables["count"].n.item()
    1
    >>> print(Counting().describe())
    Counting: How many networks were given?
    """

    name: ClassVar[str]
    title: ClassVar[str]
    question: ClassVar[str]
    citation: ClassVar[Citation | None] = None

    def describe(self) -> str:
        """Return the title with the question, and the publication."""
        cited = [] if self.citation is None else [f"{self.citation.text} {self.citation.link}"]
        return "\n".join([f"{self.title}: {self.question}", *cited])

    @abstractmethod
    def run(
        self,
        data: str | Path | Dataset,
        networks: Sequence[Any],
        *,
        atlas: Atlas | str | Path | None = None,
        folder: str | Path | None = None,
        **options: Any,
    ) -> StudyResult:
        """Answer the question.

        Parameters
        ----------
        data
            A name, a file or a `Dataset`.
        networks
            Names, modules or `murine.Network` objects.
        atlas
            Where scores are kept and found again; None to keep none.
        folder
            Where figures are written; None to draw none.
        options
            Options of `murine.compare`, as ``n_bootstraps``.

        Raises
        ------
        MurineError
            If the data, the networks or an option cannot be used.
        """
