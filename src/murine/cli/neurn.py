"""The command that scores networks before and after surgery."""

from __future__ import annotations

import logging
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from murine.atlas.limits import TIME_LIMIT
from murine.cli.common import (
    asked,
    isolated,
    names,
    pairs,
    quieten,
    report_outcomes,
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
from murine.cli.pictures import check_pictures, tell_picture
from murine.cli.registry_help import CommandWithNames
from murine.cli.tables import Format, show
from murine.errors import MurineError

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

app = typer.Typer()


class EffectView(StrEnum):
    """Which rows."""

    sites = "sites"
    networks = "networks"
    means = "means"


@app.command(cls=CommandWithNames)
def neurn(
    networks: NetworksArgument,
    against: AgainstOption = "simulated",
    layer: Annotated[
        list[str] | None,
        typer.Option(
            "--layer",
            help="Layer to insert: neurn(k=3), or for comparison instance-norm, local-contrast, sobel, divisive, "
            "lrn; repeat for several. [default: neurn(k=3)]",
        ),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(
            "--at",
            help="Place of the layer: input, image (before pixels are normalised), after:PATTERN, before:PATTERN, "
            "replace:PATTERN; "
            "repeat for several. [default: input]",
        ),
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", help="As for `murine score`; repeat for several.")
    ] = None,
    weights: WeightsOption = "",
    twins: TwinsOption = 0,
    input_size: InputSizeOption = None,
    layers: LayersOption = "own",
    by: ByOption = "",
    select: SelectOption = None,
    min_reliability: MinReliabilityOption = None,
    normalise: NormaliseOption = NormaliseChoice.none,
    normalise_neurons: NormaliseNeuronsOption = None,
    normalise_features: NormaliseFeaturesOption = None,
    stimuli: StimuliOption = None,
    data: DataOption = None,
    atlas: AtlasOption = Path("atlas"),
    bootstraps: BootstrapsOption = 1000,
    over: OverImagesOption = None,
    permutations: PermutationsOption = 0,
    splits: SplitsOption = 100,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    jobs: JobsOption = 1,
    time_limit: TimeLimitOption = TIME_LIMIT,
    batch_size: BatchSizeOption = None,
    view: Annotated[
        EffectView,
        typer.Option(
            "--view",
            help="sites: every network at every site; networks: mean over sites; means: mean over sites and networks "
            "of a role.",
        ),
    ] = EffectView.sites,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", help="Draw scores with the layer against scores without it (.png, .pdf, .svg)."),
    ] = None,
    format: FormatOption = Format.table,
    quiet: QuietOption = False,
) -> None:
    """Score networks with and without an inserted NeuRN: paired differences by site, with intervals.

    Every network is scored with and without the inserted layer, as in `murine score`: the best layer of each site,
    chosen on one half of the images and scored on the other, as a share of the noise ceiling. Both versions see the
    same resampled images, so the differences are paired. The inserted layer cannot be chosen as the best layer, unless
    you give `--layers all`: NeuRN of the pixels may be more like cortex than any layer of the network. Weights do not
    change, so trained weights were trained without the layer. Results are stored in the atlas; stored results are not
    computed again.

    Examples:

    `murine neurn resnet18@random:0 'vgg1?@random:0' --input-size 64 --figure neurn.png`

    `murine neurn examples/trained_networks.py:squeezenet --twins 1 --against allen-neuropixels --input-size 64`

    `murine neurn resnet50 --against allen-2p --layer 'neurn(k=3)' --layer sobel --layer instance-norm --at image`

    `murine neurn resnet18 --against mouse.nc --by area,cell_class --at after:layer1 --over animals`
    """
    from murine.atlas.identity import CortexSettings
    from murine.atlas.store import Atlas
    from murine.atlas.sweep import SweepSettings
    from murine.progress import progress_bars
    from murine.scoring.settings import ScoreSettings
    from murine.scoring.treatments import chosen_treatments
    from murine.studies.surgery_effect import operations
    from murine.studies.surgery_run import score_operations

    quieten(quiet)
    check_pictures(figure)
    if figure is not None and len(sizes(input_size)) > 1:
        raise MurineError("--figure is of one --input-size; ask for one at a time.")
    asked_for = operations(asked(networks, weights, twins), layer or ["neurn(k=3)"], at or ["input"])
    if view is EffectView.means and len({operation.before for operation in asked_for}) < 2:
        raise MurineError("--view means needs two networks at least, to have a mean; --view networks shows one.")
    cortex = CortexSettings(
        cortex=against,
        by=names(by),
        select=pairs(select or []),
        min_reliability=min_reliability,
        n_splits=splits,
    )
    settings = SweepSettings(
        cortex,
        tuple(dict.fromkeys(metric or ["rsa-pearson"])),
        layers,
        scoring=ScoreSettings(bootstraps, permutations, seed, "" if over is None else over.value),
        data=data,
        stimuli=stimuli,
        batch_size=batch_size,
        device=device,
        treatments=chosen_treatments(normalise, normalise_neurons, normalise_features),
    )
    store = Atlas(atlas)
    with progress_bars(not quiet) as progress:
        found = score_operations(
            asked_for,
            settings,
            sizes(input_size),
            store,
            progress,
            jobs=jobs,
            isolated=isolated(),
            time_limit=time_limit,
        )
    table = found.table
    if table is not None and figure is not None:
        from murine.report.architectures import write
        from murine.report.surgery import effects_figure

        write(effects_figure(table), figure)
    if table is not None:
        _show(table, view, format, quiet)
        if figure is not None:
            tell_picture(figure, quiet)
    report_outcomes(found.results, store.folder, quiet)


def _show(table: pd.DataFrame, view: EffectView, format: Format, quiet: bool) -> None:
    from murine.studies.surgery_effect import ALL_SITES

    shown = table
    if view is not EffectView.sites:
        shown = table[table.site == ALL_SITES]
    if view is EffectView.means:
        if (shown.n_networks > 1).any():
            shown = shown[shown.n_networks > 1]
        else:  # what was computed is told all the same
            log.warning("no two networks of one role have scores: there is no mean, and each is shown by itself.")
    told = [
        column for column in ("metric", "treatment", "variant", "input_size", "role") if shown[column].nunique() > 1
    ]
    numbers = ["before", "after", "difference"]
    columns = [*told, "network", "weights", *(["site"] if view is EffectView.sites else []), *numbers]
    if (shown.n_networks > 1).any():
        columns += ["higher", "lower"]
    same = [str(shown[c].iloc[0]) for c in ("cortex", "metric", "treatment", "variant") if shown[c].nunique() == 1]
    headings = {column: column.replace("_", " ") for column in columns}
    show(shown, format, headings=headings, title=", ".join(same), digits=(3, 3))
    single = table[(table.n_networks == 1) & (table.site != ALL_SITES)]
    if single.inserted.any() and not quiet:
        print(
            f"murine: in {single.inserted.sum()} of {len(single)} cases the best layer afterwards is the inserted one.",
            file=sys.stderr,
        )
