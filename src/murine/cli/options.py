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


AtlasOption = Annotated[Path, typer.Option("--atlas", help="Folder of results; created if missing.")]
CacheOption = Annotated[
    Path | None, typer.Option("--cache", help="Folder of fetched data (default: $MURINE_CACHE, then the system's).")
]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Folder of data (default: $MURINE_SHARED, then ../shared).")
]
PublicDatasetArgument = Annotated[str, typer.Argument(help="A public data set: {public_datasets}.")]
EndpointOption = Annotated[
    str, typer.Option("--endpoint", help="Another server with the files, for example http://localhost:9000.")
]
RefreshOption = Annotated[
    bool, typer.Option("--refresh", help="Fetch newer tables, and retry recordings that could not be made.")
]
FormatOption = Annotated[Format, typer.Option("--format", help="How to print the result.")]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print only results and errors, without progress and notes.")
]
JobsOption = Annotated[
    int,
    typer.Option("--jobs", "-j", callback=limited("--jobs", JOBS), help="Number of processes that share the networks."),
]
SeedOption = Annotated[
    int,
    typer.Option(
        "--seed", callback=limited("--seed", SEED), help="Seed of resampling, permutations and random halves."
    ),
]
BootstrapsOption = Annotated[
    int,
    typer.Option(
        "--bootstraps",
        callback=limited("--bootstraps", BOOTSTRAPS),
        help="Number of bootstrap samples of stimuli, for intervals.",
    ),
]
PermutationsOption = Annotated[
    int,
    typer.Option(
        "--permutations", callback=limited("--permutations", PERMUTATIONS), help="Number of relabellings, for p-values."
    ),
]
SplitsOption = Annotated[
    int,
    typer.Option(
        "--splits", callback=limited("--splits", SPLITS), help="Number of random halves of repetitions, for ceilings."
    ),
]
TimeLimitOption = Annotated[
    float,
    typer.Option(
        "--time-limit",
        callback=limited("--time-limit", SECONDS),
        help="Stop a network after this many seconds without progress. A slow network that makes progress goes on.",
    ),
]
AgainstOption = Annotated[str, typer.Option("--against", help="Data set: {datasets}; or a file of responses.")]
NetworksArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="NETWORK...",
        help="timm name (wildcards allowed), path/to/file.py:factory (options in brackets: 'net.py:build(width=64)'), "
        "or a control (pixels, gabor, neurn); each optionally with @WEIGHTS.",
    ),
]
WeightsOption = Annotated[
    str, typer.Option("--weights", help="Weights of networks without @WEIGHTS: pretrained, random:SEED or a file.")
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
    typer.Option("--input-size", help="Image size: pixels (64), HEIGHTxWIDTH or native; may be given several times."),
]
LayersOption = Annotated[
    str,
    typer.Option("--layers", help="own (all except inserted layers), all, blocks, or names with wildcards."),
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
        help="Treatment of neurons and features. none: as they are (Conwell et al. 2021); zscore: each standardised "
        "over images; both: none and zscore; all: also the treatments that standardise only one side.",
    ),
]
NormaliseNeuronsOption = Annotated[
    OneSide | None, typer.Option("--normalise-neurons", help="Treatment of neurons only.")
]
NormaliseFeaturesOption = Annotated[
    OneSide | None, typer.Option("--normalise-features", help="Treatment of the features of networks only.")
]
ByOption = Annotated[
    str,
    typer.Option(
        "--by",
        help="Labels of neurons that define a site, joined by commas: area,layer (default: area; a recording without "
        "areas is one site).",
        show_default=False,
    ),
]
SelectOption = Annotated[
    list[str] | None,
    typer.Option("--select", help="Use only neurons with KEY=VALUE (area=VISp); repeat for more values."),
]
MinReliabilityOption = Annotated[
    float | None,
    typer.Option(
        "--min-reliability",
        callback=limited("--min-reliability", RELIABILITY),
        help="Use only neurons with at least this split-half reliability.",
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
        help="Number of images that pass together (default: all that fit).",
    ),
]


class Over(StrEnum):
    """What bootstrap samples are drawn of."""

    neurons = "neurons"
    animals = "animals"
    both = "both"


OverImagesOption = Annotated[
    Over | None,
    typer.Option("--over", help="Compute intervals over new neurons, animals or both, in addition to new stimuli."),
]
