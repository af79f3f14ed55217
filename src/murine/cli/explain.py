"""The command that asks whether architecture explains representation and brain score."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from murine.cli.common import quieten
from murine.cli.options import AtlasOption, FormatOption, QuietOption, SeedOption, VocabularyOption, limited
from murine.cli.pictures import check_pictures, tell_picture
from murine.cli.tables import Format, show
from murine.limits import BOOTSTRAPS, PERMUTATIONS

app = typer.Typer()


class Role(StrEnum):
    """Whose architecture is to explain something."""

    trained = "trained"
    as_built = "as built"
    random = "random"


class Method(StrEnum):
    """Correlations over pairs."""

    spearman = "spearman"
    pearson = "pearson"


@app.command()
def explain(
    atlas: AtlasOption = Path("atlas"),
    cortex: Annotated[str | None, typer.Option("--cortex", help="Results against this cortex.")] = None,
    metric: Annotated[str | None, typer.Option("--metric", help="Results by this metric.")] = None,
    role: Annotated[
        Role,
        typer.Option(
            "--role", help="Networks that are trained, as their functions built them, or with random weights."
        ),
    ] = Role.trained,
    input_size: Annotated[str | None, typer.Option("--input-size", help="Results at this size, as 64x64.")] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option("--file", help="Python file that networks of the atlas were built by; repeat for several."),
    ] = None,
    one_per_family: Annotated[
        bool, typer.Option("--one-per-family", help="Of each family (EfficientNets, VGGs ...) only the first network.")
    ] = False,
    vocabulary: VocabularyOption = "fine",
    method: Annotated[Method, typer.Option("--method", help="Correlation over pairs of networks.")] = Method.spearman,
    permutations: Annotated[
        int,
        typer.Option(
            "--permutations",
            callback=limited("--permutations", PERMUTATIONS._replace(least=99)),
            help="Relabellings of networks.",
        ),
    ] = 9999,
    bootstraps: Annotated[
        int,
        typer.Option(
            "--bootstraps",
            callback=limited("--bootstraps", BOOTSTRAPS._replace(least=0)),
            help="Samples of networks for intervals.",
        ),
    ] = 1000,
    figure: Annotated[
        Path | None, typer.Option("--figure", help="Picture of all pairs of networks (.png, .pdf, .svg).")
    ] = None,
    seed: SeedOption = 0,
    format: FormatOption = Format.table,
    quiet: QuietOption = False,
) -> None:
    """Ask whether architecture explains representation and brain score, over the networks of an atlas.

    Networks that are alike in architecture: are their layers alike (CKA, RSA, at the same relative depths), and are
    their brain scores? Mantel tests over pairs of networks, plain and with the lengths of the layer sequences held
    constant; then whether representation explains brain score. ``score`` is the difference of the means over sites,
    ``profile`` the difference over sites, one by one. q is p adjusted for the whole table (false discovery rate).

    p is by relabelling networks. The interval of r is over networks drawn anew, and wide enough never to exclude 0
    where p is above 0.05. Fewer than 20 networks tell little, which is said.

    Examples:

    `murine explain --atlas atlas --role random --one-per-family --figure explained.png`

    `murine explain --cortex allen-neuropixels --metric rsa-pearson --file examples/trained_networks.py`
    """
    from murine.atlas.store import Atlas
    from murine.progress import progress_bars
    from murine.studies import architectures

    quieten(quiet)
    check_pictures(figure)
    with progress_bars(not quiet) as progress:
        found = architectures.explain(
            Atlas(atlas),
            cortex=cortex,
            metric=metric,
            role=role.value,
            input_size=input_size,
            files=file or [],
            one_per_family=one_per_family,
            vocabulary=vocabulary,
            method=method.value,
            n_permutations=permutations,
            n_bootstraps=bootstraps,
            seed=seed,
            progress=progress,
        )
        if figure is not None:
            from murine.report.architectures import relations_figure, write

            with progress.task("drawing", None):
                write(relations_figure(found.distances, found.relations), figure)
    table = found.relations
    headings = None
    if format in (Format.table, Format.markdown):
        # Of p, the least is 1 / (permutations + 1): three digits would make it zero.
        table = table.assign(p=table.p.map("{:.2g}".format), q=table.q.map("{:.2g}".format))
        table = table.rename(columns={"low": "r_low", "high": "r_high"})
        headings = {name: name for name in ("first", "second", "given", "r", "p", "q")}
    if format is Format.table:
        networks = found.networks
        n = architectures.ENOUGH
        few = f"; fewer than {n} networks are too few for a conclusion" if len(networks) < n else ""
        print(
            f"{len(networks)} {role.value} networks of {networks.layers.min()} to {networks.layers.max()} layers, "
            f"{found.cortex}, {found.metric}; {method.value}, {table.n_permutations.iloc[0]} permutations"
            f"{few}\n"
        )
    show(table, format, compact=False, headings=headings)
    open_ones = found.relations[(found.relations.p <= 0.05) & (found.relations.low <= 0) & (found.relations.high >= 0)]
    if format is Format.table and len(open_ones):
        print(
            f"\n{len(open_ones)} rows have p up to 0.05 and an interval that holds 0: p asks whether networks go "
            "together at all, the interval what r other networks would have."
        )
    if figure is not None:
        tell_picture(figure, quiet)
