"""Data sets from names, files and objects in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from murine.cortex.dataset import Dataset
from murine.cortex.datasets import load_cortex, load_responses, matched_to, read_stimuli
from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Recording
from murine.errors import MurineError
from murine.stimuli import StimulusSet, matched


def load_dataset(source: Any, *, stimuli: str | Path | StimulusSet | None = None, root: Path | None = None) -> Dataset:
    """Load a data set from a name, a file or responses in memory.

    Parameters
    ----------
    source
        A registered name, a file, a `Dataset`, `Recording`, `NeuralRDMs`, an xarray object that
        `Recording.from_xarray` takes, or a table of trials that `Recording.from_frame` takes without options.
    stimuli
        The images, for data that bring none: a folder, an ``.npz`` file or a `StimulusSet`.
    root
        The folder of named data sets.

    Raises
    ------
    MurineError
        If there is no such data set or file, images are missing, or ids do not match.
    """
    if isinstance(source, Dataset):
        if stimuli is not None:
            raise MurineError(f"{source!r} brings its own images; leave stimuli out.")
        return source
    if isinstance(source, (str, Path)) and not isinstance(stimuli, StimulusSet):
        return Dataset(*load_cortex(str(source), root=root, stimuli=None if stimuli is None else Path(stimuli)))
    responses = _responses(source, root)
    if stimuli is None:
        raise MurineError(f"{responses!r} came without images; give them with stimuli=.")
    images = stimuli if isinstance(stimuli, StimulusSet) else read_stimuli(Path(stimuli))
    responses = matched_to(images, responses)
    matched(images, responses.stimulus_ids)  # refuses ids that differ
    return Dataset(images, responses)


def known_dataset(data: object) -> Dataset:
    """Return a data set as it is.

    Raises
    ------
    MurineError
        If it is something else: responses alone have no images.
    """
    if isinstance(data, Dataset):
        return data
    raise MurineError(
        f"the data are a {type(data).__name__}; expected a name, a file or a Dataset. "
        "murine.load_data(responses, stimuli=...) makes one."
    )


def _responses(source: Any, root: Path | None) -> Recording | NeuralRDMs:
    """Return responses from whatever holds them."""
    if isinstance(source, (Recording, NeuralRDMs)):
        return source
    if isinstance(source, (str, Path)):
        return load_responses(str(source), root=root)
    if isinstance(source, (xr.DataArray, xr.Dataset)):
        return Recording.from_xarray(source)
    if isinstance(source, pd.DataFrame):
        return Recording.from_frame(source)
    raise MurineError(
        f"the data are a {type(source).__name__}; expected a name, a file, a Recording, NeuralRDMs, an xarray "
        "object or a table of trials. Recording.from_arrays, from_frame and from_nwb make recordings."
    )
