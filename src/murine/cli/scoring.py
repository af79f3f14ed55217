"""Commands that score networks and show results."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from murine.atlas.limits import TIME_LIMIT
from murine.cli.common import (
    count_results,
    isolated,
    quieten,
    report_outcomes,
    selected,
    sizes,
)
from murine.cli.options import (
    AgainstOption,
    AtlasOption,
    BatchSizeOption,
    BootstrapsOption,
    ByOption,
    DataOption,
    DeviceOption,
    FormatOption,
    InputSizeOption,
    JobsOption,
    LayersOption,
    MinReliabilityOption,
    NetworksArgument,
    NormaliseChoice,
    NormaliseFeaturesOption,
    NormaliseNeuronsOption,
    NormaliseOption,
    OverImagesOption,
    PermutationsOption,
    QuietOption,
    SeedOption,
    SelectOption,
    SplitsOption,
    StimuliOption,
    TimeLimitOption,
    TwinsOption,
    WeightsOption,
)
from murine.cli.registry_help import CommandWithNames
from murine.cli.results import write_report
from murine.cli.tables import Format, show

if TYPE_CHECKING:
    import pandas as pd

    from murine.atlas.scores import Scores

app = typer.Typer()


class ScoreProtocol(StrEnum):
    """Sets of choices."""

    murine = "murine"
    conwell2021 = "conwell2021"


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the atlas and the report.")] = Path("demo"),
    jobs: JobsOption = 1,
    seed: SeedOption = 0,
    quiet: QuietOption = False,
) -> None:
    """Score a few networks against a simulated cortex and write a report: no network, no data, a minute.

    The simulated cortex has three areas whose true responses are known. The network that generates them should reach
    its noise ceiling; random networks and the controls should not.

    Example: `murine demo --out demo`
    """
    from murine.api import compare
    from murine.studies.demonstration import INPUT_SIZE, networks

    quieten(quiet)
    atlas = out / "atlas"
    scores = compare(
        networks(),
        "simulated",
        input_size=INPUT_SIZE,
        seed=seed,
        atlas=atlas,
        jobs=jobs,
        isolated=isolated(),
        progress=not quiet,
    )
    _show_scores(scores, atlas, Format.table, quiet)
    write_report(atlas, out / "report.html", None, None, quiet)


@app.command(cls=CommandWithNames)
def score(
    networks: NetworksArgument,
    against: AgainstOption = "simulated",
    weights: WeightsOption = "",
    twins: TwinsOption = 0,
    no_controls: Annotated[bool, typer.Option("--no-controls", help="Leave pixels, gabor and neurn out.")] = False,
    input_size: InputSizeOption = None,
    layers: LayersOption = "own",
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", help="{metrics}, or all; may be given several times."),
    ] = None,
    protocol: Annotated[
        ScoreProtocol,
        typer.Option(
            "--protocol",
            help="murine: the options as given, layers chosen on other images than they are scored on. conwell2021: "
            "the published protocol of Conwell et al. (2021): everything as it is, rsa-pearson, rsa-reweighted, and "
            "ridge with the best layer of every neuron; layers chosen and scored on the same images.",
        ),
    ] = ScoreProtocol.murine,
    by: ByOption = "",
    select: SelectOption = None,
    min_reliability: MinReliabilityOption = None,
    normalise: NormaliseOption = NormaliseChoice.none,
    normalise_neurons: NormaliseNeuronsOption = None,
    normalise_features: NormaliseFeaturesOption = None,
    dissimilarity: Annotated[
        str, typer.Option("--dissimilarity", help="What RDMs are made of: pearson, cosine or euclidean.")
    ] = "pearson",
    stimuli: StimuliOption = None,
    data: DataOption = None,
    atlas: AtlasOption = Path("atlas"),
    bootstraps: BootstrapsOption = 1000,
    over: OverImagesOption = None,
    permutations: PermutationsOption = 1000,
    splits: SplitsOption = 100,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    jobs: JobsOption = 1,
    time_limit: TimeLimitOption = TIME_LIMIT,
    batch_size: BatchSizeOption = None,
    format: FormatOption = Format.table,
    quiet: QuietOption = False,
) -> None:
    """Score networks against cortex: every layer, every site, with ceilings and intervals.

    Results go into the atlas; what is there already is not computed again. The controls (pixels, Gabor energy, NeuRN
    of the pixels) are added unless told otherwise.

    Examples:

    `murine score resnet18@random:0 'mobilenetv3_small*@random:0' --input-size 64`

    `murine score examples/trained_networks.py:squeezenet --twins 1 --against allen-neuropixels --input-size 64`

    `murine score resnet50 --against allen-2p --metric rsa-pearson --metric rsa-spearman`

    `murine score 'resnet18*' --twins 1 --against allen-neuropixels --normalise both`

    `murine score 'resnet18*' --against allen-neuropixels --over animals`

    `murine score net.py:build@weights.safetensors --against mine.nc --stimuli images/`

    `murine score resnet18@random:0 --against allen-neuropixels --metric all`

    `murine score resnet18@random:0 --against allen-neuropixels --protocol conwell2021`
    """
    from murine.api import compare

    quieten(quiet)
    with _failures_counted(atlas, quiet):
        scores = compare(
            networks,
            against,
            metric=metric or "",
            by=by,
            select=selected(select or []),
            min_reliability=min_reliability,
            weights=weights,
            twins=twins,
            controls=not no_controls,
            input_size=sizes(input_size),
            layers=layers,
            protocol=protocol.value,
            normalise=normalise.value,
            normalise_neurons=normalise_neurons and normalise_neurons.value,
            normalise_features=normalise_features and normalise_features.value,
            dissimilarity=dissimilarity,
            stimuli=stimuli,
            data_folder=data,
            n_bootstraps=bootstraps,
            n_permutations=permutations,
            n_splits=splits,
            over="" if over is None else over.value,
            seed=seed,
            atlas=atlas,
            device=device,
            batch_size=batch_size,
            jobs=jobs,
            isolated=isolated(),
            time_limit=time_limit,
            progress=not quiet,
        )
    _show_scores(scores, atlas, format, quiet)


@contextmanager
def _failures_counted(folder: Path, quiet: bool) -> Iterator[None]:
    """End in words and with exit code 1 where no network could be scored."""
    from murine.atlas.scoring_run import NothingScoredError

    try:
        yield
    except NothingScoredError as error:
        report_outcomes(error.results, folder, quiet)


def _show_scores(scores: Scores, folder: Path, format: Format, quiet: bool) -> None:
    """Print the ranking of what was asked for, and fail if a network did."""
    from murine.progress import progress_bars

    with progress_bars(not quiet) as progress, progress.task("ranking networks", None):
        table = scores.leaderboard
    _show_leaderboards(table, format)
    count_results(scores.results, folder, quiet)
    if scores.failures:  # which `compare` has told
        raise typer.Exit(1)


def _show_leaderboards(table: pd.DataFrame, format: Format) -> None:
    from murine.atlas.leaderboard import MIN_CEILING

    show(table, format)
    if table.empty:
        print(
            f"murine: no site has a noise ceiling of {MIN_CEILING} or more, so networks are not ranked; `murine "
            "results --view sites` shows the raw scores. More neurons or more sessions raise the ceiling.",
            file=sys.stderr,
        )
    elif over := sorted(set(table.over) - {""}):
        told = {"neurons": "neurons", "animals": "animals", "both": "animals and their neurons"}
        beside = ", or ".join(told[name] for name in over)
        print(f"murine: intervals and bands are over new images and new {beside}.", file=sys.stderr)
