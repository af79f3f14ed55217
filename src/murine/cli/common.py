"""What commands share: options, and how they are read."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from murine.cli.tables import Format
from murine.errors import MurineError
from murine.limits import (
    BATCH_SIZE,
    BOOTSTRAPS,
    INPUT_SIZE,
    JOBS,
    PERMUTATIONS,
    RELIABILITY,
    SECONDS,
    SEED,
    SPLITS,
    Limits,
)

if TYPE_CHECKING:
    from murine.atlas.sweep import NetworkResult
    from murine.networks.spec import NetworkSpec
    from murine.scoring.treatments import Treatment


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


def quieten(quiet: bool) -> None:
    """Print notes on standard error, or errors only."""
    log = logging.getLogger("murine")
    log.handlers = [_Notes()]
    log.setLevel(logging.ERROR if quiet else logging.WARNING)


class _Notes(logging.Handler):
    """Prints on what standard error is at the moment: while bars are shown, notes must pass above them."""

    def emit(self, record: logging.LogRecord) -> None:
        print(f"murine: {self.format(record)}", file=sys.stderr)


def treatments(normalise: NormaliseChoice, neurons: OneSide | None, features: OneSide | None) -> tuple[Treatment, ...]:
    """The treatments that options ask for."""
    from murine.scoring.treatments import chosen_treatments

    return chosen_treatments(normalise, neurons, features)


def asked(networks: Sequence[str], weights: str, twins: int) -> list[NetworkSpec]:
    """The networks that were named, each once, and random twins of those that are trained."""
    from murine.networks.spec import expand, twin

    choices = expand(networks, weights)
    with_twins = [*choices, *(twin(choice, seed) for choice in choices for seed in range(twins))]
    return list(dict.fromkeys(choice for choice in with_twins if choice is not None))


def names(text: str) -> tuple[str, ...]:
    """``area, layer`` -> (area, layer)"""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def pairs(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """``area=VISp`` -> (area, VISp), in order."""
    from murine.networks.option_parser import key_value_pairs

    return tuple(sorted(key_value_pairs(texts, "--select", "area=VISp")))


def sizes(texts: Sequence[str] | None) -> list[int | tuple[int, int] | None]:
    """Each once: ``native`` -> None, ``64`` -> 64, ``64x80`` -> (64, 80)."""
    return [_size(text) for text in dict.fromkeys(texts or ["native"])]


def _size(text: str) -> int | tuple[int, int] | None:
    if text == "native":
        return None
    parts = [whole_number(part) for part in text.lower().split("x")]
    height, width = parts[0], parts[-1]
    if len(parts) > 2 or height is None or width is None:
        raise MurineError(f"--input-size {text!r} is not understood; expected 64, 64x80 (height x width) or native.")
    for part in (height, width):
        INPUT_SIZE.check("--input-size", part)
    return height if len(parts) == 1 else (height, width)


def whole_number(text: str) -> int | None:
    """``64`` -> 64; None for what is no number in the digits 0 to 9, of at most 18."""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def isolated() -> bool:
    """Whether networks run in processes of their own. MURINE_IN_PROCESS=1 runs them in that of the command: for a
    debugger, and for tests."""
    return os.environ.get("MURINE_IN_PROCESS", "") in ("", "0")


def selected(texts: Sequence[str]) -> dict[str, list[str]]:
    """``area=VISp, area=VISl`` -> {area: [VISp, VISl]}"""
    found: dict[str, list[str]] = {}
    for key, value in pairs(texts):
        found.setdefault(key, []).append(value)
    return found


def report_outcomes(results: Sequence[NetworkResult], folder: Path, quiet: bool) -> None:
    """Print how many results there are and why networks failed; end with exit code 1 if one failed."""
    from murine.atlas.scoring_run import failures_in_words

    count_results(results, folder, quiet)
    if any(result.state == "failed" for result in results):
        print(f"murine: {failures_in_words(results)}", file=sys.stderr)
        raise typer.Exit(1)


def count_results(results: Sequence[NetworkResult], folder: Path, quiet: bool) -> None:
    """Print how many results there are."""
    if quiet:
        return
    counts = {state: sum(result.state == state for result in results) for state in ("computed", "done", "failed")}
    print(
        f"{counts['computed']} computed, {counts['done']} done before, {counts['failed']} failed; results are in "
        f"{folder}",
        file=sys.stderr,
    )
