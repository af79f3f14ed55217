"""The command that writes data in the formats of other tools."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from murine.cli.common import pairs, quieten
from murine.cli.options import DataOption, MinReliabilityOption, QuietOption, SelectOption
from murine.cli.registry_help import CommandWithNames
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


@app.command("export", cls=CommandWithNames)
def data_export(
    name: Annotated[str, typer.Argument(help="Data set: {datasets}; or a file of responses.")],
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
            "--drop",
            help="Presentations to leave out: those without a valid trial, those with a missing trial of "
            "any neuron, or none.",
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
    from murine.cortex.loading import load_responses
    from murine.cortex.recording import Recording
    from murine.interchange import assembly, rsatoolbox_files
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
        rsatoolbox_files.write(cortex, out)
    else:
        labels: dict[str, list[str]] = {}
        for key, value in pairs(select or []):
            labels.setdefault(key, []).append(value)
        cortex = cortex.select(min_reliability=min_reliability, **labels)
        if kind is Kind.assembly:
            assembly.write(cortex, out, drop=drop.value)
        else:
            rsatoolbox_files.write(cortex, out, drop=drop.value)
    if not quiet:
        loader = "xarray.open_dataarray"
        if kind is Kind.rsatoolbox:
            loader = "rsatoolbox." + ("data.load_dataset" if isinstance(cortex, Recording) else "rdm.load_rdm")
        print(f'`{loader}("{out}")` opens it in Python.', file=sys.stderr)
