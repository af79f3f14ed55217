"""The command that runs a study: a paper's figures and tables, or a question, from one recipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from murine.cli.common import quieten
from murine.cli.options import FormatOption, JobsOption, QuietOption, SeedOption, StimuliOption, limited
from murine.cli.registry_help import CommandWithNames
from murine.cli.tables import Format, show
from murine.limits import BOOTSTRAPS, PERMUTATIONS, Limits

app = typer.Typer()


def _optional(name: str, limits: Limits) -> Callable[[int | None], int | None]:
    """As `limited`, for an option that may be left out."""
    check = limited(name, limits)
    return lambda given: given if given is None else check(given)


class Scale(StrEnum):
    """How much of a study is done."""

    tiny = "tiny"
    small = "small"
    full = "full"


def data_sets(names: Sequence[str], stimuli: Path | None) -> list[Any]:
    """Return names as they are; with images of one's own, the data sets themselves."""
    if stimuli is None:
        return list(names)
    import murine

    return [murine.load_data(name, stimuli=stimuli) for name in names]


@app.command("study", cls=CommandWithNames)
def run_study(
    name: Annotated[str, typer.Argument(help="A study: {studies}. Without a name, they are listed.")] = "",
    scale: Annotated[
        Scale,
        typer.Option(
            "--scale",
            help="tiny: a trial of every step, in minutes; small: the data and networks that are available; full: the "
            "whole published work.",
        ),
    ] = Scale.small,
    against: Annotated[
        list[str] | None,
        typer.Option("--against", help="Data set: {datasets}; or a file; repeat. [default: by scale]"),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option("--network", help="Network, for studies that take networks; repeat. [default: by scale]"),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the page. [default: study-NAME]")] = None,
    atlas: Annotated[
        Path | None, typer.Option("--atlas", help="Folder of results; made if missing. [default: OUT/atlas]")
    ] = None,
    bootstraps: Annotated[
        int | None,
        typer.Option("--bootstraps", callback=_optional("--bootstraps", BOOTSTRAPS), help="Samples for intervals."),
    ] = None,
    permutations: Annotated[
        int | None,
        typer.Option(
            "--permutations", callback=_optional("--permutations", PERMUTATIONS), help="Relabellings for p-values."
        ),
    ] = None,
    stimuli: StimuliOption = None,
    seed: SeedOption = 0,
    jobs: JobsOption = 1,
    format: FormatOption = Format.table,
    quiet: QuietOption = False,
) -> None:
    """Run a study: tables, figures, and what was published beside what is found here, on one page.

    Results go into an atlas as they are computed: after Ctrl-C or a crash the same command goes on from there. The
    folder gets index.html, figures (PDF and PNG), tables (CSV) and a contact sheet.

    Trained networks of the folder of data are found through MURINE_SHARED.

    Examples:

    `murine study`

    `murine study contrasts --scale tiny`

    `murine study contrasts --against allen-neuropixels --out contrasts --jobs 2`
    """
    import pandas as pd

    from murine.studies.study import find_study, studies

    quieten(quiet)
    if not name:
        rows = [(key, studies[key].title, studies[key].question) for key in sorted(studies)]
        show(pd.DataFrame(rows, columns=["name", "title", "question"]), format, compact=False)
        return
    study = find_study(name)
    folder = out or Path(f"study-{name}")
    if not quiet:
        duration = study.durations.get(scale.value)
        took = f" It took {duration} on two cores when it was measured." if duration else ""
        print(f"{study.title}: {study.question}{took}", file=sys.stderr)
    options: dict[str, Any] = {"seed": seed, "jobs": jobs}
    options |= {} if bootstraps is None else {"n_bootstraps": bootstraps}
    options |= {} if permutations is None else {"n_permutations": permutations}
    result = study.run(
        data=data_sets(against or (), stimuli),
        networks=network or (),
        scale=scale.value,
        atlas=atlas or folder / "atlas",
        progress=not quiet,
        **options,
    )
    from murine.report.study_page import shares_by_kind, summary, write_study

    page = write_study(study, result, folder, about=f"scale {scale.value}, seed {seed}")
    if format is Format.table:
        print("\n".join(map(str, result.claims)))
    else:
        show(result.verdicts(), format)
    if not quiet:
        for note in result.notes:
            print(f"murine: {note}", file=sys.stderr)
        print(f"the page is {page}", file=sys.stderr)
        for row in shares_by_kind(result).to_dict("records"):
            open_ones = f", {row['not_tested']} not tested" if row["not_tested"] else ""
            print(f"{row['kind']}: {row['reproduced']} of {row['tested']} reproduced{open_ones}", file=sys.stderr)
        print(summary(result), file=sys.stderr)
