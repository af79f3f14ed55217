"""Commands that list, show and fetch domains of images."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from murine.cli.common import quieten
from murine.cli.options import CacheOption, DataOption, FormatOption, QuietOption, limited
from murine.cli.tables import Format, show
from murine.limits import Limits

if TYPE_CHECKING:
    from murine.domains.preparation import Preparation

app = typer.Typer(
    no_args_is_help=True,
    help="Domains of images for generalisation: list, show and fetch them.\n\n"
    "A name is one of `murine domains list` or `folder:PATH`; corruptions follow the name: `mnist+noise:3`.",
)


class Fit(StrEnum):
    """What becomes of the shape of an image."""

    stretch = "stretch"
    crop = "crop"
    pad = "pad"
    place = "place"


class Framing(StrEnum):
    """What becomes of the margin of ink on plain ground."""

    as_is = "as-is"
    mnist = "mnist"


class Polarity(StrEnum):
    """What becomes of the polarity of ink on plain ground."""

    as_is = "as-is"
    white_on_black = "white-on-black"
    black_on_white = "black-on-white"


class Interpolation(StrEnum):
    """Filter of resizing."""

    bilinear = "bilinear"
    bicubic = "bicubic"
    lanczos = "lanczos"
    nearest = "nearest"


SizeOption = Annotated[
    int, typer.Option("--size", callback=limited("--size", Limits(8, 1024)), help="Side of prepared images in pixels.")
]
FitOption = Annotated[Fit, typer.Option("--fit", help="stretch, crop, pad, or place (like pad, but never enlarged).")]
FramingOption = Annotated[
    Framing, typer.Option("--framing", help="mnist: ink in 20/28 of the side, centred by mass, as in MNIST.")
]
PolarityOption = Annotated[
    Polarity, typer.Option("--polarity", help="Polarity of images with ink on a plain background.")
]
InterpolationOption = Annotated[Interpolation, typer.Option("--interpolation", help="Filter of resizing.")]


def preparation_of(
    size: int, fit: Fit, framing: Framing, polarity: Polarity, interpolation: Interpolation
) -> Preparation:
    """The record that options ask for."""
    from murine.domains.preparation import Preparation

    return Preparation(
        size=size, fit=fit.value, framing=framing.value, polarity=polarity.value, interpolation=interpolation.value
    )


@app.command(name="list")
def list_domains(
    data: DataOption = None,
    cache: CacheOption = None,
    format: FormatOption = Format.table,
) -> None:
    """List the known domains, where they come from, and whether they are on this machine.

    Examples:

    `murine domains list`

    `murine domains list --format csv`
    """
    import pandas as pd

    from murine.domains.catalogue import DataFolders, domains, is_here

    places = DataFolders(data, cache)
    rows = [
        {
            "domain": name,
            "about": source.about,
            "kind": source.kind,
            "here": "yes" if is_here(name, places) else "no",
            "train": "" if source.n_train is None else source.n_train,
            "test": "" if source.n_test is None else source.n_test,
            "licence": source.licence,
        }
        for name, source in ((name, domains[name]) for name in domains)
    ]
    show(pd.DataFrame(rows), format, headings={column: column for column in rows[0]})


@app.command(name="show")
def show_domains(
    names: Annotated[list[str], typer.Argument(metavar="DOMAIN...", help="Names of domains: usps, mnist+noise:3 ...")],
    size: SizeOption = 32,
    fit: FitOption = Fit.stretch,
    framing: FramingOption = Framing.as_is,
    polarity: PolarityOption = Polarity.as_is,
    interpolation: InterpolationOption = Interpolation.bilinear,
    data: DataOption = None,
    cache: CacheOption = None,
    format: FormatOption = Format.table,
) -> None:
    """Load domains and print what they contain; json and csv also give the files with their digests.

    `light` is the share of images whose outermost pixels are light. Do not train on images of a group (a typeface, or
    an MNIST image and the images made from it) in one domain and test on images of the same group in another; `shared
    groups` counts the groups that also occur in another of the domains.

    Examples:

    `murine domains show mnist mnist-m usps`

    `murine domains show fonts --polarity white-on-black --framing mnist`

    `murine domains show folder:photos mnist+blur:5 --format json`
    """
    import pandas as pd

    from murine.domains.catalogue import load_domain, require_name
    from murine.domains.domain import common_classes
    from murine.domains.summary import summarise_domains

    for name in names:
        require_name(name)
    preparation = preparation_of(size, fit, framing, polarity, interpolation)
    rows, emptied = summarise_domains(
        names, lambda name: load_domain(name, preparation=preparation, data=data, cache=cache)
    )
    plain = ("domain", "classes", "train", "test", "groups", "shared groups", "mean", "light", "digest")
    show(pd.DataFrame(rows), format, headings={column: column for column in plain}, digits=(2, 2))
    common_classes(emptied)


@app.command()
def fetch(
    names: Annotated[list[str], typer.Argument(metavar="DOMAIN...", help="Names of domains of the kind `fetched`.")],
    cache: CacheOption = None,
    mirror: Annotated[
        list[str] | None,
        typer.Option("--mirror", help="Folder on a server that is tried first; repeat for more. Digests are checked."),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Fetch domains from their official addresses, and compare every file with its published digest.

    Nothing is fetched twice; after an interruption, the same command continues.

    Examples:

    `murine domains fetch svhn mnist-official`

    `murine domains fetch syndigits --mirror https://files.lab.org/digits`
    """
    from murine.domains.archives import FILES, fetch_domain, require_fetchable
    from murine.progress import progress_bars

    quieten(quiet)
    for name in names:
        require_fetchable(name)
    with progress_bars(not quiet) as progress:
        for name in names:
            files = fetch_domain(name, cache=cache, mirrors=mirror or (), progress=progress)
            if not quiet:
                print(f"{name}: {len(FILES[name])} files in {files[0].parent}, as published", file=sys.stderr)
