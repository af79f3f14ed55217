"""Data sets from names, files and objects in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from murine.cortex.dataset import Dataset
from murine.cortex.datasets import load_cortex
from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Recording
from murine.errors import MurineError
from murine.stimuli import StimulusSet


def load_dataset(source: Any, *, stimuli: str | Path | StimulusSet | None = None, root: Path | None = None) -> Dataset:
    """Load a data set from a name, a file or responses in memory.

    Parameters
    ----------
    source
        A registered name, a file, a `Dataset`, `Recording`, `NeuralRDMs`, or an xarray object with dimensions
        ``neuroid, stimulus, repetition``.
    stimuli
        The images, for data that bring none: a folder, an ``.npz`` file or a `StimulusSet`.
    root
        The folder of named data sets.

    Raises
    ------
    MurineError
        If there is no such data set or file, images are missing, or ids do not match.
    """
    if isinstance(source, (str, Path)):
        if isinstance(stimuli, StimulusSet):
            from murine.cortex.datasets import load_responses

            return Dataset(stimuli, load_responses(str(source), root=root))
        return Dataset(*load_cortex(str(source), root=root, stimuli=None if stimuli is None else Path(stimuli)))
    if isinstance(source, Dataset):
        if stimuli is not None:
            raise MurineError(f"{source!r} brings its own images; leave stimuli out.")
        return source
    responses = source if isinstance(source, (Recording, NeuralRDMs)) else _from_xarray(source)
    if stimuli is None:
        raise MurineError(f"{responses!r} came without images; give them with stimuli=.")
    return Dataset(_images(stimuli), responses)


def _from_xarray(source: Any) -> Recording:
    import xarray as xr

    if isinstance(source, xr.Dataset):
        return Recording(source)
    if isinstance(source, xr.DataArray):
        return Recording(source.to_dataset(name="responses"))
    raise MurineError(
        f"the data are a {type(source).__name__}; expected a name, a file, a Recording, NeuralRDMs or an xarray "
        "object. Recording.from_arrays makes a recording of arrays."
    )


def _images(stimuli: str | Path | StimulusSet) -> StimulusSet:
    if isinstance(stimuli, StimulusSet):
        return stimuli
    return StimulusSet.from_npz(stimuli) if str(stimuli).endswith(".npz") else StimulusSet.from_folder(stimuli)
