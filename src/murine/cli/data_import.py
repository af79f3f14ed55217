"""The command that turns files of a laboratory into one recording."""

from __future__ import annotations

import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from murine.cli.common import names, quieten
from murine.cli.options import QuietOption
from murine.errors import MurineError

app = typer.Typer()


class SharedIds(StrEnum):
    """What neurons are that have one id in several files."""

    same = "same"
    different = "different"


@app.command("import")
def data_import(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Table of trials (.csv, .parquet), NWB 2 file, labelled arrays of xarray (.nc), NumPy arrays (.npy, "
            ".npz), or a file of rsatoolbox (.h5). Several files are joined: they need the same stimuli.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: .nc of single trials, .npz of matrices.")],
    stimuli: Annotated[
        Path | None,
        typer.Option("--stimuli", help="The images (a folder or .npz): check that every stimulus has one."),
    ] = None,
    stimulus: Annotated[
        str | None,
        typer.Option(
            "--stimulus",
            help="Column, coordinate or descriptor with the ids of the stimuli. [default: stimulus; of labelled arrays "
            "stimulus_id]",
        ),
    ] = None,
    neuroid: Annotated[
        str | None,
        typer.Option("--neuroid", help="The same for the neurons. [default: neuroid; not of a table: neuroid_id]"),
    ] = None,
    response: Annotated[
        str | None, typer.Option("--response", help="Column of a table with the responses. [default: response]")
    ] = None,
    repetition: Annotated[
        str | None,
        typer.Option(
            "--repetition",
            help="What tells the trials of one stimulus apart. [default: repetition, if there is one; else trials are "
            "counted in their order]",
        ),
    ] = None,
    area: Annotated[
        str | None, typer.Option("--area", help="Column with the area of a neuron, in a table or an NWB file.")
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option("--labels", help="Other columns of a table to keep, with commas; '' for none. [default: all]"),
    ] = None,
    variable: Annotated[
        str | None, typer.Option("--variable", help="Variable of labelled arrays with the responses.")
    ] = None,
    signal: Annotated[
        str | None,
        typer.Option("--signal", help="Of an NWB file with several: units, or the path of a RoiResponseSeries."),
    ] = None,
    stimulus_table: Annotated[
        str | None,
        typer.Option("--stimulus-table", help="Table of an NWB file that tells when which stimulus was shown."),
    ] = None,
    stimulus_column: Annotated[
        str | None, typer.Option("--stimulus-column", help="Its column with the ids of the stimuli.")
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(
            "--window",
            help="Of an NWB file: seconds after onset as 0.05:0.25, or 0.05: until the stimulus goes. [default: 0:]",
        ),
    ] = None,
    stimulus_ids: Annotated[
        Path | None,
        typer.Option(
            "--stimulus-ids",
            help="For .npy: text file with one stimulus id a line, or .csv with a column stimulus_id. [default: "
            "NAME_stimuli.txt or .csv beside NAME.npy]",
        ),
    ] = None,
    neurons: Annotated[
        Path | None,
        typer.Option("--neurons", help="For .npy: the same with neuroid_id. [default: NAME_neurons.txt or .csv]"),
    ] = None,
    site: Annotated[
        str | None, typer.Option("--site", help="Descriptor of rsatoolbox RDMs that names them. [default: site]")
    ] = None,
    shared_ids: Annotated[
        SharedIds | None,
        typer.Option(
            "--shared-ids",
            help="Neurons with one id in several files are the same (their repetitions are joined), or different (they "
            "are renamed to FILE/ID). [default: refuse them]",
        ),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Read responses from files of any kind, check their labels, and write the one file that `--against` takes.

    `--against` reads such files directly, too, as far as they need no options. Ids, names and shapes are checked first;
    nothing is filled in. With `--stimuli`, responses to stimuli without an image are refused, those to `blank` left
    out.

    Examples:

    `murine data import trials.csv --out mine.nc --stimuli images/`

    `murine data import trials.parquet --neuroid unit --stimulus image --response rate --area region --out mine.nc`

    `murine data import day1.nwb day2.nwb --stimulus-table images --window 0.05:0.25 --shared-ids same --out mine.nc`

    `murine data import rates.npy --stimulus-ids ids.txt --neurons neurons.csv --out mine.nc`

    `murine data import assembly.nc --stimulus image_id --out mine.nc`

    `murine data import rdms.h5 --site subject --out rdms.npz`
    """
    from murine.cortex.data_files import RECORDING, kind_of, read_responses, read_together
    from murine.cortex.file_names import is_data_file
    from murine.cortex.loading import matched_to, read_stimuli
    from murine.cortex.recording import Recording
    from murine.progress import progress_bars

    quieten(quiet)
    if out.suffix not in (".nc", ".npz"):
        raise MurineError(f"--out {str(out)!r} has to end with .nc (single trials) or .npz (matrices).")
    options = {
        "stimulus": stimulus,
        "neuroid": neuroid,
        "response": response,
        "repetition": repetition,
        "area": area,
        "labels": None if labels is None else names(labels),
        "variable": variable,
        "signal": signal,
        "stimulus_table": stimulus_table,
        "stimulus_column": stimulus_column,
        "window": _window(window),
        "stimulus_ids": stimulus_ids,
        "neurons": neurons,
        "site": site,
    }
    if len(files) == 1 and stimuli is None and is_data_file(str(files[0])) and kind_of(files[0]) == RECORDING:
        read_responses(files[0])  # tells what is wrong with it, if anything
        raise MurineError(f"{str(files[0])!r} is a recording of murine already: `--against {files[0]}` takes it.")
    with progress_bars(not quiet) as progress:
        shared = None if shared_ids is None else shared_ids.value
        cortex = read_together(files, shared_ids=shared, name=out.stem, progress=progress, **options)
        if stimuli is not None:
            images = read_stimuli(stimuli)
            cortex = matched_to(images, cortex)
            images.select(cortex.stimulus_ids)  # refuses stimuli without an image
    wanted = ".nc" if isinstance(cortex, Recording) else ".npz"
    if out.suffix != wanted:
        raise MurineError(f"--out {str(out)!r} has to end with {wanted}, for what {str(files[0])!r} holds.")
    cortex.write(out)
    if not quiet:
        sites = f"{len(cortex.sites)} sites" if not isinstance(cortex, Recording) else cortex
        print(f"{out}: {sites}", file=sys.stderr)
        shown = stimuli or "IMAGES"
        print(f"`murine score NETWORK --against {out} --stimuli {shown}` scores against it.", file=sys.stderr)


def _window(text: str | None) -> tuple[float, float | None] | None:
    """``0.05:0.25`` -> (0.05, 0.25), ``0.05:`` -> (0.05, None)"""
    if text is None:
        return None
    number = r"[+-]?(?:\d+\.?\d*|\.\d+)"
    found = re.fullmatch(rf"({number}):({number})?", text)
    if found is None:
        raise MurineError(
            f"--window {text!r} is not understood; expected seconds after onset as 0.05:0.25, or 0.05: until the "
            "stimulus goes."
        )
    return float(found[1]), None if found[2] is None else float(found[2])
