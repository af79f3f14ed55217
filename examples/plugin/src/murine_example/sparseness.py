"""A group of commands: how sparse the responses of neurons are, by the measure of Vinje and Gallant (2000)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from murine.cli.options import DataOption, FormatOption, StimuliOption
from murine.cli.tables import Format, show

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

app = typer.Typer(no_args_is_help=True, help="How sparse the responses of neurons are.")

NameArgument = Annotated[str, typer.Argument(help="A name of `murine data list`, or a file of responses.")]


@app.command()
def neurons(
    name: NameArgument,
    stimuli: StimuliOption = None,
    data: DataOption = None,
    format: FormatOption = Format.table,
) -> None:
    """List the lifetime sparseness of every neuron: 0 for equal responses to all images, 1 for a response to one.

    Example: `murine sparseness neurons tuned-neurons --format csv`
    """
    show(sparseness(name, stimuli, data), format)


@app.command()
def sites(
    name: NameArgument,
    by: Annotated[str, typer.Option("--by", help="A label of neurons that makes a site.")] = "area",
    stimuli: StimuliOption = None,
    data: DataOption = None,
    format: FormatOption = Format.table,
) -> None:
    """Show the median sparseness of the neurons of each site.

    Example: `murine sparseness sites tuned-neurons`
    """
    table = sparseness(name, stimuli, data, by)
    show(
        table.groupby(by, as_index=False).agg(neurons=("neuroid_id", "size"), sparseness=("sparseness", "median")),
        format,
    )


def sparseness(name: str, stimuli: Path | None, data: Path | None, *labels: str) -> pd.DataFrame:
    """Return a row for each neuron; sparseness is NaN where a mean response is negative, or all are 0."""
    import numpy as np
    import pandas as pd

    import murine

    recording = murine.load_data(name, stimuli=stimuli, data=data).responses
    if not isinstance(recording, murine.Recording):
        raise murine.MurineError(f"{name} comes as matrices; sparseness needs the responses of single neurons.")
    means = np.where((recording.mean() < 0).any(axis=1, keepdims=True), np.nan, recording.mean())
    with np.errstate(invalid="ignore"):
        values = (1 - means.mean(axis=1) ** 2 / (means**2).mean(axis=1)) / (1 - 1 / means.shape[1])
    columns = {label: recording[label] for label in ("neuroid_id", *labels)}
    return pd.DataFrame({**columns, "sparseness": values})
