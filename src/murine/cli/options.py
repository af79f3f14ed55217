"""Options that several commands share, each declared once."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from murine.cli.tables import Format
from murine.limits import (
    BATCH_SIZE,
    BOOTSTRAPS,
    JOBS,
    PERMUTATIONS,
    RELIABILITY,
    SECONDS,
    SEED,
    SPLITS,
    Limits,
)


def limited(name: str, limits: Limits) -> Callable[[Any], Any]:
    """Return a callback of an option that refuses numbers outside limits before anything runs."""

    def check(given: Any) -> Any:
        for value in given if isinstance(given, (list, tuple)) else [given]:
            limits.check(name, value)
        return given

    return check


AtlasOption = Annotated[Path, typer.Option("--atlas", help="Folder of results; made if missing.")]
CacheOption = Annotated[
    Path | None, typer.Option("--cache", help="Folder of fetched data (default: $MURINE_CACHE, then the system's).")
]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Folder of data (default: $MURINE_SHARED, then ../shared).")
]
PublicDatasetArgument = Annotated[str, typer.Argument(help="A public data set: {public_datasets}.")]
EndpointOption = Annotated[
    str, typer.Option("--endpoint", help="Another server with the files, as http://localhost:9000.")
]
RefreshOption = Annotated[
    bool, typer.Option("--refresh", help="Ask for newer tables, and try again what could not be made.")
]
FormatOption = Annotated[Format, typer.Option("--format", help="How to print the result.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no notes: results and errors only.")]
JobsOption = Annotated[
    int,
    typer.Option("--jobs", "-j", callback=limited("--jobs", JOBS), help="Processes; networks are shared among them."),
]
SeedOption = Annotated[
    int,
    typer.Option("--seed", callback=limited("--seed", SEED), help="Of resampling, permutations and random halves."),
]
BootstrapsOption = Annotated[
    int,
    typer.Option(
        "--bootstraps", callback=limited("--bootstraps", BOOTSTRAPS), help="Samples of stimuli for intervals."
    ),
]
PermutationsOption = Annotated[
    int,
    typer.Option("--permutations", callback=limited("--permutations", PERMUTATIONS), help="Relabellings for p-values."),
]
SplitsOption = Annotated[
    int,
    typer.Option("--splits", callback=limited("--splits", SPLITS), help="Random halves of repetitions for ceilings."),
]
TimeLimitOption = Annotated[
    float,
    typer.Option(
        "--time-limit",
        callback=limited("--time-limit", SECONDS),
        help="Seconds without any progress after which a network is given up. A slow one that goes on is not.",
    ),
]
AgainstOption = Annotated[
    str, typer.Option("--against", help="Cortex: a name of `murine data list`, or a file of responses.")
]
NetworksArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="NETWORK...",
        help="timm name (wildcards allowed), path/to/file.py:factory (options in brackets: 'net.py:build(width=64)'), "
        "or a control (pixels, gabor, neurn); each optionally with @WEIGHTS.",
    ),
]
WeightsOption = Annotated[
    str, typer.Option("--weights", help="For networks without @WEIGHTS: pretrained, random:SEED or a file.")
]
TwinsOption = Annotated[
    int,
    typer.Option(
        "--twins",
        callback=limited("--twins", Limits(0, 1000)),
        help="Add N random twins of every trained network.",
    ),
]
VocabularyOption = Annotated[
    str,
    typer.Option(
        "--vocabulary",
        help="Which layers get which letter: paper (modules, as published), keras (as Keras lists layers), fine "
        "(everything), or a .json file.",
    ),
]
InputSizeOption = Annotated[
    list[str] | None,
    typer.Option("--input-size", help="Pixels (64), HEIGHTxWIDTH or native; may be given several times."),
]
LayersOption = Annotated[
    str,
    typer.Option("--layers", help="own (all but what surgery put in), all, blocks, or names with wildcards."),
]


class NormaliseChoice(StrEnum):
    """Treatments of neurons and features (`murine.scoring.treatments.CHOICES`)."""

    none = "none"
    zscore = "zscore"
    both = "both"
    all = "all"


class OneSide(StrEnum):
    """The treatment of neurons or of features."""

    none = "none"
    zscore = "zscore"


NormaliseOption = Annotated[
    NormaliseChoice,
    typer.Option(
        "--normalise",
        help="Neurons and features alike: none, as they are (Conwell et al. 2021); zscore, each standardised over "
        "images; both: these two side by side; all: also those that treat one side only.",
    ),
]
NormaliseNeuronsOption = Annotated[
    OneSide | None, typer.Option("--normalise-neurons", help="The same for neurons alone.")
]
NormaliseFeaturesOption = Annotated[
    OneSide | None, typer.Option("--normalise-features", help="The same for the features of networks alone.")
]
ByOption = Annotated[
    str,
    typer.Option(
        "--by",
        help="What makes a site: coordinates of neurons with commas, as area,layer (default: area; a recording that "
        "names no area is one site).",
        show_default=False,
    ),
]
SelectOption = Annotated[
    list[str] | None, typer.Option("--select", help="Neurons with KEY=VALUE (area=VISp); repeat for more values.")
]
MinReliabilityOption = Annotated[
    float | None,
    typer.Option(
        "--min-reliability",
        callback=limited("--min-reliability", RELIABILITY),
        help="Neurons with at least this split-half reliability.",
    ),
]
StimuliOption = Annotated[
    Path | None, typer.Option("--stimuli", help="Images of your own data: a folder of image files, or an npz.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1 ... or auto.")]
BatchSizeOption = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        callback=limited("--batch-size", BATCH_SIZE),
        help="Images that pass together (default: all that fit).",
    ),
]


class Over(StrEnum):
    """What bootstrap samples are drawn of."""

    neurons = "neurons"
    animals = "animals"
    both = "both"


OverImagesOption = Annotated[
    Over | None,
    typer.Option("--over", help="Intervals not only over new stimuli, but over new neurons, animals or both, too."),
]
