"""Commands that write data in the formats of other tools, and read theirs."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from murine.cli.common import DataOption, MinReliabilityOption, QuietOption, SelectOption, pairs, quieten
from murine.errors import MurineError

app = typer.Typer()


class Kind(StrEnum):
    """Formats of other tools."""

    assembly = "assembly"
    rsatoolbox = "rsatoolbox"


class Drop(StrEnum):
    """Presentations to leave out."""

    empty = "empty"
    incomplete = "incomplete"
    none = "none"


#: How files of each kind end.
_SUFFIXES = {Kind.assembly: (".nc",), Kind.rsatoolbox: (".h5", ".hdf5")}


@app.command("export")
def data_export(
    name: Annotated[str, typer.Argument(help="A name of `murine data list`, or a .nc or .npz file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: .nc for an assembly, .h5 for rsatoolbox.")],
    kind: Annotated[
        Kind,
        typer.Option(
            "--as",
            help="assembly: presentation x neuroid (xarray, NetCDF); rsatoolbox: a Dataset of a recording, RDMs of "
            "matrices (HDF5).",
        ),
    ] = Kind.assembly,
    drop: Annotated[
        Drop,
        typer.Option(
            "--drop", help="Presentations to leave out: of no valid trial, of a missing trial of any neuron, or none."
        ),
    ] = Drop.empty,
    select: SelectOption = None,
    min_reliability: MinReliabilityOption = None,
    data: DataOption = None,
    quiet: QuietOption = False,
) -> None:
    """Write responses for other tools, with all their labels.

    Examples:

    `murine data export allen-neuropixels --select area=VISp --out visp.nc`

    `murine data export mouse.nc --as rsatoolbox --drop incomplete --out mouse.h5`

    `murine data export allen-2p --as rsatoolbox --out rdms.h5`
    """
    from murine.cortex.datasets import load_responses
    from murine.cortex.recording import Recording
    from murine.interchange import assembly, rsatoolbox
    from murine.progress import progress_bars

    quieten(quiet)
    if out.suffix not in _SUFFIXES[kind]:
        raise MurineError(f"--out {str(out)!r} has to end with {' or '.join(_SUFFIXES[kind])} for --as {kind}.")
    with progress_bars(not quiet) as progress, progress.task("reading responses", None):
        cortex = load_responses(name, root=data)
    if not isinstance(cortex, Recording):
        if kind is Kind.assembly or select or min_reliability is not None:
            raise MurineError(
                f"{name!r} comes as matrices of whole sites: it has no presentations and no neurons. Export it with "
                "--as rsatoolbox, without --select and --min-reliability."
            )
        rsatoolbox.write(cortex, out)
    else:
        labels: dict[str, list[str]] = {}
        for key, value in pairs(select or []):
            labels.setdefault(key, []).append(value)
        cortex = cortex.select(min_reliability=min_reliability, **labels)
        if kind is Kind.assembly:
            assembly.write(cortex, out, drop=drop.value)
        else:
            rsatoolbox.write(cortex, out, drop=drop.value)
    if not quiet:
        loader = "xarray.open_dataarray"
        if kind is Kind.rsatoolbox:
            loader = "rsatoolbox." + ("data.load_dataset" if isinstance(cortex, Recording) else "rdm.load_rdm")
        print(f'`{loader}("{out}")` opens it in Python.', file=sys.stderr)


@app.command("import")
def data_import(
    file: Annotated[
        Path,
        typer.Argument(
            help="HDF5 file of a Dataset or of RDMs, as rsatoolbox saves them, or a NetCDF file of an assembly "
            "(presentation x neuroid)."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: .nc of single trials, .npz of RDMs.")],
    stimulus: Annotated[
        str | None,
        typer.Option(
            "--stimulus",
            help="Descriptor of observations, patterns or presentations with the ids of the stimuli. "
            "[default: stimulus; of an assembly stimulus_id]",
        ),
    ] = None,
    repetition: Annotated[
        str | None,
        typer.Option("--repetition", help="Descriptor of observations that tells those of one stimulus apart."),
    ] = None,
    neuroid: Annotated[
        str, typer.Option("--neuroid", help="Descriptor of channels with the ids of the neurons.")
    ] = "neuroid_id",
    site: Annotated[str, typer.Option("--site", help="Descriptor of RDMs that names them.")] = "site",
    quiet: QuietOption = False,
) -> None:
    """Read a file of another tool, check its labels, and write what `--against` takes.

    Without a descriptor `repetition`, observations of a stimulus are counted in their order. rsatoolbox itself is not
    needed. What `murine data export` wrote needs no import: `--against` reads it, too.

    Examples:

    `murine data import lab.h5 --stimulus image --repetition run --out lab.nc`

    `murine data import rdms.h5 --site subject --out rdms.npz`

    `murine data import assembly.nc --stimulus image_id --out lab.nc`
    """
    from murine.cortex.rdms import NeuralRDMs
    from murine.cortex.recording import Recording
    from murine.interchange import assembly, rsatoolbox
    from murine.progress import progress_bars

    quieten(quiet)
    if out.suffix not in (".nc", ".npz"):
        raise MurineError(f"--out {str(out)!r} has to end with .nc (single trials) or .npz (RDMs).")
    cortex: Recording | NeuralRDMs
    with progress_bars(not quiet) as progress, progress.task(f"reading {file.name}", None):
        if file.suffix == ".nc":
            if not assembly.is_assembly(file):
                Recording.read(file)  # tells what is wrong with it, if anything
                raise MurineError(f"{str(file)!r} is a recording of murine already: `--against {file}` takes it.")
            ids = stimulus or "stimulus_id"
            cortex = assembly.read(file, stimulus=ids, repetition=repetition, neuroid=neuroid)
        else:
            ids = stimulus or "stimulus"
            cortex = rsatoolbox.read(file, stimulus=ids, repetition=repetition, neuroid=neuroid, site=site)
    wanted = ".nc" if isinstance(cortex, Recording) else ".npz"
    if out.suffix != wanted:
        raise MurineError(f"--out {str(out)!r} has to end with {wanted}, for what {str(file)!r} holds.")
    cortex.write(out)
    if not quiet:
        sites = f"{len(cortex.sites)} sites" if not isinstance(cortex, Recording) else cortex
        print(f"{out}: {sites}", file=sys.stderr)
        print(f"`murine score NETWORK --against {out} --stimuli IMAGES` scores against it.", file=sys.stderr)
