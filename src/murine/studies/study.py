"""Studies: questions with a recipe, from data and networks to tables, figures and verdicts on published claims.

To add a study, derive a class from `Study` and name it in `studies`, or from another package as an entry point of the
group ``murine.study``. ``examples/plugin`` has a whole one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd

from murine.errors import MurineError
from murine.io.files import atomic_write
from murine.literature import Citation
from murine.registry import Registry
from murine.studies.claim import CLAIM_COLUMNS, Claim

if TYPE_CHECKING:
    from murine.atlas.store import Atlas
    from murine.cortex.dataset import Dataset

#: All studies by name. Other packages add theirs through the entry-point group ``murine.study``.
studies: Registry[Study] = Registry("study")
for _name in ("mice-to-machines", "rodent-taskonomy", "contrasts"):
    _module = _name.replace("-", "_")
    studies.refer(_name, f"murine.studies.{_module}:{_module}")

names, describe = studies.names, studies.describe

#: How much of a study is done, least first.
SCALES = ("tiny", "small", "full")


@dataclass(frozen=True, eq=False)
class FigureSpec:
    """A figure as a study asks for it; `murine.report` draws it.

    Attributes
    ----------
    name
        Name of its files, without an ending.
    kind
        Kind of the figure, a key of `murine.report.study_figures.figure_kinds`: ``intervals``, ``violins``, ``heat``
        ...
    rows
        The data of the figure.
    title
        One line above the figure.
    options
        Options of the kind: the names of columns, units.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"network": ["pixels", "gabor"], "score": [0.1, 0.4]})
    >>> spec = FigureSpec("ranking", "intervals", rows, "Scores", {"label": "network", "value": "score"})
    >>> spec.kind, len(spec.rows)
    ('intervals', 2)
    """

    name: str
    kind: str
    rows: pd.DataFrame
    title: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


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
        What is drawn of the tables.
    claims
        Claims with verdicts.
    notes
        Sentences that a reader has to know: what was left out, and why.

    Raises
    ------
    MurineError
        If a column has no meaning, or two figures have one name.

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
    figures: tuple[FigureSpec, ...] = ()
    claims: tuple[Claim, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for label, table in self.tables.items():
            if unknown := [str(column) for column in table.columns if not self.columns.get(column)]:
                raise MurineError(
                    f"the table {label!r} of the study {self.study!r} has columns without a meaning: "
                    f"{', '.join(unknown)}. Add them to columns."
                )
        names = [figure.name for figure in self.figures]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise MurineError(f"the study {self.study!r} has several figures named {', '.join(twice)}.")

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
    durations
        How long it takes on two cores at each scale, in words, as it was measured; '' where it was not.

    Examples
    --------
    >>> class Counting(Study):
    ...     name, title, question = "counting", "Counting", "How many networks were given?"
    ...
    ...     def run(self, *, networks=(), **options):
    ...         table = pd.DataFrame({"n": [len(networks)]})
    ...         return StudyResult(self.name, {"count": table}, {"n": "Number of networks."})
    >>> Counting().run(networks=["pixels"]).tables["count"].n.item()
    1
    >>> print(Counting().describe())
    Counting: How many networks were given?
    """

    name: ClassVar[str]
    title: ClassVar[str]
    question: ClassVar[str]
    citation: ClassVar[Citation | None] = None
    durations: ClassVar[Mapping[str, str]] = MappingProxyType({})

    def describe(self) -> str:
        """Return the title with the question, and the publication."""
        cited = [] if self.citation is None else [f"{self.citation.text} {self.citation.link}"]
        return "\n".join([f"{self.title}: {self.question}", *cited])

    @abstractmethod
    def run(
        self,
        *,
        data: Sequence[str | Path | Dataset] = (),
        networks: Sequence[Any] = (),
        scale: str = "small",
        atlas: Atlas | str | Path | None = None,
        progress: bool = False,
        **options: Any,
    ) -> StudyResult:
        """Answer the question.

        Parameters
        ----------
        data
            Names, files or `Dataset` objects; by default those of the scale.
        networks
            Names, modules or `murine.Network` objects; by default those of the scale.
        scale
            One of `SCALES`: ``tiny`` tries everything in minutes, ``small`` takes the data and networks at hand in an
            hour, ``full`` is the whole of the published work.
        atlas
            Where results are kept and found again, so that a study goes on where it stopped; None to keep none.
        progress
            Whether progress is shown on standard error.
        options
            Options of `murine.compare`, as ``n_bootstraps``.

        Raises
        ------
        MurineError
            If the data, the networks or an option cannot be used.
        """


def options_for(dataset: Dataset, metrics: Sequence[str]) -> dict[str, Any]:
    """Return the options ``metric`` and ``normalise`` of `murine.compare` that a data set allows.

    Recordings take all metrics and both matched treatments. Matrices hold no single neurons: they take the metrics of
    representational similarity alone, and cannot be z-scored.
    """
    from murine.cortex.rdms import NeuralRDMs

    if isinstance(dataset.responses, NeuralRDMs):
        return {"metric": [metric for metric in metrics if metric.startswith("rsa-")], "normalise": "none"}
    return {"metric": list(metrics), "normalise": "both"}


def find_study(name: str) -> Study:
    """Return a study by its name.

    Raises
    ------
    MurineError
        If there is no such study, or a plug-in registers something else.
    """
    study: object = studies[name]
    if not isinstance(study, Study):
        raise MurineError(f"the study {name!r} is {study!r}; expected an object of a class derived from Study.")
    return study
