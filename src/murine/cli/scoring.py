"""Commands that score networks and show results."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from murine.atlas.limits import TIME_LIMIT
from murine.cli.common import (
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
    OneSide,
    PermutationsOption,
    QuietOption,
    SeedOption,
    SelectOption,
    SplitsOption,
    StimuliOption,
    TimeLimitOption,
    TwinsOption,
    WeightsOption,
    asked,
    isolated,
    limited,
    names,
    pairs,
    quieten,
    report_outcomes,
    sizes,
    treatments,
)
from murine.cli.registry_help import CommandWithNames
from murine.cli.tables import Format, show
from murine.cli.units import Over
from murine.errors import MurineError, nearest, some
from murine.limits import COUNT

if TYPE_CHECKING:
    import pandas as pd

    from murine.atlas.sweep import NetworkResult, SweepSettings
    from murine.networks.spec import NetworkSpec

app = typer.Typer()


class ScoreProtocol(StrEnum):
    """Sets of choices."""

    murine = "murine"
    conwell2021 = "conwell2021"


class ResultView(StrEnum):
    """Which results."""

    leaderboard = "leaderboard"
    sites = "sites"
    layers = "layers"
    metrics = "metrics"
    agreement = "agreement"
    treatments = "treatments"
    failures = "failures"


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
    from murine.atlas.store import Atlas
    from murine.studies.demonstration import choices, plan

    quieten(quiet)
    atlas = Atlas(out / "atlas")
    _sweep_andshow(choices(), [plan(seed)], atlas, jobs, Format.table, quiet, TIME_LIMIT)
    _write_report(atlas, out / "report.html", None, None, quiet)


@app.command(cls=CommandWithNames)
def score(
    networks: NetworksArgument,
    against: Annotated[
        str, typer.Option("--against", help="Cortex: a name of `murine data list`, or a .nc or .npz file.")
    ] = "simulated",
    weights: WeightsOption = "",
    twins: TwinsOption = 0,
    no_controls: Annotated[bool, typer.Option("--no-controls", help="Leave pixels, gabor and neurn out.")] = False,
    input_size: InputSizeOption = None,
    layers: LayersOption = "own",
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            help="{metrics}, or all; may be given several times.",
        ),
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
    over: Annotated[
        Over | None,
        typer.Option("--over", help="Intervals not only over new stimuli, but over new neurons, animals or both, too."),
    ] = None,
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
    from murine.atlas.identity import CortexSettings
    from murine.atlas.store import Atlas
    from murine.atlas.sweep import SweepSettings
    from murine.networks.spec import NetworkSpec, controls
    from murine.scoring.settings import ScoreSettings

    quieten(quiet)
    if protocol is not ScoreProtocol.murine:
        _refuse_changes(protocol, metric, normalise, normalise_neurons, normalise_features, dissimilarity)
        metric = [protocol.value]
    choices = asked(networks, weights, twins)
    if not no_controls:
        choices += [NetworkSpec(name) for name in controls]
    cortex = CortexSettings(
        cortex=against,
        by=names(by),
        select=pairs(select or []),
        min_reliability=min_reliability,
        dissimilarity=dissimilarity,
        n_splits=splits,
    )
    plans = [
        SweepSettings(
            cortex,
            tuple(dict.fromkeys(metric or ["rsa-pearson"])),
            layers,
            size,
            ScoreSettings(
                bootstraps,
                permutations,
                seed,
                "" if over is None else over.value,
                layer_choice="held-out" if protocol is ScoreProtocol.murine else "naive",
            ),
            data,
            stimuli,
            batch_size,
            device,
            treatments(normalise, normalise_neurons, normalise_features),
        )
        for size in sizes(input_size)
    ]
    _sweep_andshow(list(dict.fromkeys(choices)), plans, Atlas(atlas), jobs, format, quiet, time_limit)


def _refuse_changes(
    protocol: ScoreProtocol,
    metric: Sequence[str] | None,
    normalise: NormaliseChoice,
    neurons: OneSide | None,
    features: OneSide | None,
    dissimilarity: str,
) -> None:
    """A published protocol with another metric or treatment is not that protocol."""
    changed = {
        "--metric": bool(metric),
        "--normalise": normalise is not NormaliseChoice.none,
        "--normalise-neurons": neurons is not None,
        "--normalise-features": features is not None,
        "--dissimilarity": dissimilarity != "pearson",
    }
    if given := [name for name, is_given in changed.items() if is_given]:
        raise MurineError(
            f"--protocol {protocol.value} fixes the metrics and how both sides are treated; it cannot be combined with "
            f"{', '.join(given)}. Leave one of them out."
        )


@app.command()
def results(
    view: Annotated[
        ResultView,
        typer.Option(
            "--view",
            help="leaderboard; sites: the chosen layers of every site; layers: every layer; metrics: "
            "networks by metrics; agreement: how scores of "
            "networks by one metric go with those by another; treatments: trained minus random networks under every "
            "treatment of neurons and features; failures: networks that could not be scored, and why.",
        ),
    ] = ResultView.leaderboard,
    atlas: AtlasOption = Path("atlas"),
    network: Annotated[str | None, typer.Option("--network", help="Name, wildcards allowed.")] = None,
    cortex: Annotated[str | None, typer.Option("--cortex", help="Only this cortex.")] = None,
    metric: Annotated[str | None, typer.Option("--metric", help="Only this metric.")] = None,
    site: Annotated[str | None, typer.Option("--site", help="Only this site, wildcards allowed.")] = None,
    layer: Annotated[str | None, typer.Option("--layer", help="Only these layers, wildcards allowed.")] = None,
    sort: Annotated[str | None, typer.Option("--sort", help="Column; -COLUMN for descending order.")] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", callback=limited("--limit", COUNT), help="At most so many rows.")
    ] = None,
    sql: Annotated[
        str | None,
        typer.Option(
            "--sql",
            help="DuckDB over the tables leaderboard (one row a network, ranked only with what it can be compared "
            "with), scores (every layer, naive and held-out rows, groups of images), matches and maps.",
        ),
    ] = None,
    format: FormatOption = Format.table,
) -> None:
    """Query the atlas: filters, sorting, SQL.

    Examples:

    `murine results`

    `murine results --view agreement --format markdown`

    `murine results --view sites --cortex allen-2p --site 'VISp*' --sort -ceiled`

    `murine results --sql "SELECT network, value, unit FROM leaderboard WHERE metric = 'rsa-pearson'" --format csv`
    """
    from murine.atlas.leaderboard import across_metrics, ask, described, leaderboards, only
    from murine.atlas.store import Atlas
    from murine.atlas.tables import DRAWS

    store = Atlas(atlas)
    headings = None
    if sql is not None:
        table = ask(store, sql)
    elif view is ResultView.failures:
        table = store.failures()
        headings = {name: name.replace("_", " ") for name in ("work", "network", "weights", "cortex", "reason", "time")}
    elif view is ResultView.leaderboard:
        table = leaderboards(store, cortex=cortex, metric=metric)
    elif view is ResultView.metrics:
        table = across_metrics(leaderboards(store, cortex=cortex, metric=metric))
        headings = {c: c for c in table if not c.endswith(("_low", "_high"))}
    elif view is ResultView.treatments:
        from murine.atlas.treatment_differences import trained_minus_random

        table = trained_minus_random(store, cortex=cortex, metric=metric)
        headings = {c: c.replace("_", " ") for c in table if not c.endswith(("_low", "_high"))}
    elif view is ResultView.agreement:
        from murine.atlas.agreement import agreement

        table = agreement(store, cortex=cortex)
        if metric is not None:
            table = table[(table.metric == metric) | (table.other_metric == metric)]
        headings = {
            "cortex": "cortex",
            "treatment": "treatment",
            "setting": "setting",
            "metric": "metric",
            "other_metric": "other metric",
            "n_networks": "networks",
            "r": "r [95 %]",
            "rho": "Spearman's rho [95 %]",
        }
    else:
        # A site without a chosen layer is not left out: one of its rows says why there is none.
        which = (
            "chosen <> '' OR starts_with(site_flag, flag) AND flag <> '' QUALIFY chosen <> '' OR "
            "row_number() OVER (PARTITION BY task, site, stimuli, chosen ORDER BY layer_index) = 1"
            if view is ResultView.sites
            else "split = 'all'"
        )
        table = store.query(
            f"SELECT * EXCLUDE ({', '.join(DRAWS)}) FROM scores WHERE {which} ORDER BY network, site, layer_index"
        )
        table = described(store, only(table, cortex=cortex, metric=metric))
    table = _filtered(table, {"network": network, "site": site, "layer": layer})
    if sort is not None:
        column = sort.removeprefix("-")
        if column not in table:
            raise MurineError(f"there is no column {column!r}; columns are {', '.join(table.columns)}.")
        table = table.sort_values(column, ascending=not sort.startswith("-"), kind="stable")
    show(table if limit is None else table.head(limit), format, compact=sql is None, headings=headings)


@app.command()
def report(
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file to write.")] = Path("murine_report.html"),
    atlas: AtlasOption = Path("atlas"),
    cortex: Annotated[str | None, typer.Option("--cortex", help="Only this cortex.")] = None,
    metric: Annotated[str | None, typer.Option("--metric", help="Only this metric.")] = None,
    figures: Annotated[
        Path | None, typer.Option("--figures", help="Also write ranking and heat map as PDF and PNG to this folder.")
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Write one self-contained HTML page that works offline: leaderboard, heat map, depth profiles, provenance.

    Example: `murine report --atlas atlas --out report.html --figures figures`
    """
    from murine.atlas.store import Atlas

    _write_report(Atlas(atlas), out, cortex, metric, quiet)
    if figures is not None:
        from murine.progress import progress_bars
        from murine.report.figures import write_figures

        with progress_bars(not quiet) as progress, progress.task("drawing figures", None):
            files = write_figures(Atlas(atlas), figures, cortex=cortex, metric=metric)
        if not quiet:
            print(f"{len(files)} figures are in {figures}", file=sys.stderr)


def _sweep_andshow(
    choices: Sequence[NetworkSpec],
    plans: Sequence[SweepSettings],
    atlas: Any,
    jobs: int,
    format: Format,
    quiet: bool,
    time_limit: float,
) -> None:
    """Run sweeps, print the leaderboard of what was asked for, and fail if a network did."""
    from murine.atlas.leaderboard import leaderboards
    from murine.atlas.sweep import sweep
    from murine.progress import progress_bars

    outcomes: list[NetworkResult] = []
    with progress_bars(not quiet) as progress:
        for plan in plans:
            outcomes += sweep(
                choices, plan, atlas, jobs=jobs, isolated=isolated(), time_limit=time_limit, progress=progress
            )
        tasks = {task for outcome in outcomes for task in outcome.tasks}
        with progress.task("ranking networks", None):
            table = leaderboards(atlas, tasks=tasks) if tasks else None
    if table is not None:
        _show_leaderboards(table, format)
    report_outcomes(outcomes, atlas.folder, quiet)


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


def _write_report(atlas: Any, out: Path, cortex: str | None, metric: str | None, quiet: bool) -> None:
    from murine.progress import progress_bars
    from murine.report.page import write_report

    with progress_bars(not quiet) as progress, progress.task("writing the report", None):
        written = write_report(atlas, out, cortex=cortex, metric=metric)
    if not quiet:
        print(f"the report is in {written}", file=sys.stderr)


def _filtered(table: pd.DataFrame, patterns: dict[str, str | None]) -> pd.DataFrame:
    import fnmatch

    for column, pattern in patterns.items():
        if pattern is None:
            continue
        if column not in table:
            raise MurineError(f"this view has no column {column!r}; `--view sites` or `--view layers` has.")
        matching = table[[fnmatch.fnmatch(str(value), pattern) for value in table[column]]]
        if matching.empty and len(table):
            known = sorted({str(value) for value in table[column]})
            near = nearest(pattern, known) or "."
            raise MurineError(f"no result has {column} {pattern!r}{near} There are: {some(known)}.")
        table = matching
    return table
