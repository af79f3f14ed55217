"""Data sets from names, files and objects in memory."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from murine.cortex.data_files import kind_of, read_responses
from murine.cortex.dataset import Dataset
from murine.cortex.dataset_registry import datasets
from murine.cortex.file_names import SUFFIXES, is_data_file
from murine.cortex.natural_scenes import BLANK
from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Recording
from murine.errors import MurineError, some
from murine.stimuli import StimulusSet, matched

log = logging.getLogger(__name__)

#: Names of the blank screen in other software, for example AllenSDK.
_BLANK_ELSEWHERE = ("-1", "blank", "blank screen", "blank_sweep", "grey", "gray", "grey screen", "gray screen", "nan")


def load_dataset(source: Any, *, stimuli: str | Path | StimulusSet | None = None, root: Path | None = None) -> Dataset:
    """Load a data set from a name, a file or responses in memory.

    Parameters
    ----------
    source
        A registered name; a file of responses that `murine.cortex.data_files.read_responses` reads without options (a
        recording, labelled arrays, a table of trials, an array with ids, matrices, an NWB 2 file); a `Dataset`,
        `Recording`, `NeuralRDMs`, an xarray object that `Recording.from_xarray` takes, or a table of trials that
        `Recording.from_frame` takes without options.
    stimuli
        The images, for data that bring none: a folder, an ``.npz`` file or a `StimulusSet`. Responses to ``blank`` need
        no image and are left out, as are stimuli without a single valid trial.
    root
        The folder of named data sets.

    Raises
    ------
    MurineError
        If there is no such data set or file, images are missing, or ids do not match.

    Examples
    --------
    >>> from murine.cortex import simulate
    >>> from murine.scenes import synthetic_scenes
    >>> cortex = simulate(synthetic_scenes(20, size=32), n_neuroids=10, n_repetitions=4)
    >>> cortex.recording.write("mine.nc")
    >>> load_dataset("mine.nc", stimuli=cortex.stimuli)
    <Dataset mine: 20 images, 30 neurons in 3 areas>
    """
    if isinstance(source, Dataset):
        if stimuli is not None:
            raise MurineError(f"{source!r} brings its own images; leave stimuli out.")
        return source
    if isinstance(source, (str, Path)) and not isinstance(stimuli, StimulusSet):
        return _by_name(str(source), root, None if stimuli is None else Path(stimuli))
    responses = _responses(source, root)
    if stimuli is None:
        raise MurineError(f"{responses!r} came without images; give them with stimuli=.")
    images = stimuli if isinstance(stimuli, StimulusSet) else read_stimuli(Path(stimuli))
    responses = matched_to(images, responses)
    matched(images, responses.stimulus_ids)  # refuses ids that differ
    return Dataset(images, responses)


def _by_name(name: str, root: Path | None, stimuli: Path | None) -> Dataset:
    """Load a data set that is named, or that is in a file."""
    if _is_own_file(name):
        if stimuli is None:
            kind_of(Path(name))  # what is no file of responses is told first
            raise MurineError(f"{name!r} came without images; give them with --stimuli FOLDER or FILE.npz.")
        images = read_stimuli(stimuli)
        return Dataset(images, matched_to(images, read_responses(name)))
    load = datasets[name]
    if stimuli is not None:
        raise MurineError(
            f"{name!r} brings its own images, so --stimuli {str(stimuli)!r} would be ignored. Leave it out, or name a "
            f"file of responses ({', '.join(SUFFIXES)})."
        )
    return load(root)


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
    """Return the responses in an object, or in the file or data set that a text names."""
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


def load_responses(name: str, *, root: Path | None = None) -> Recording | NeuralRDMs:
    """Load the responses of a data set by name or from a file; a user's own file needs no images for this.

    Raises
    ------
    MurineError
        If there is no such data set or file, or the file cannot be read.

    Examples
    --------
    >>> load_responses("simulated").responses.shape
    (360, 100, 20)
    """
    return read_responses(name) if _is_own_file(name) else datasets[name](root).responses


def _is_own_file(name: str) -> bool:
    """Whether a name is a user's file: by its ending, or because no data set is called so and it looks like a file."""
    return is_data_file(name) or (name not in datasets and (Path(name).exists() or Path(name).suffix != ""))


def read_stimuli(path: Path) -> StimulusSet:
    """Read a user's images: an npz file, or a folder of image files."""
    return StimulusSet.from_npz(path) if path.suffix == ".npz" else StimulusSet.from_folder(path)


def matched_to(images: StimulusSet, responses: Recording | NeuralRDMs) -> Recording | NeuralRDMs:
    """Return a recording without the blank screen, if it has no image, and without stimuli that have no valid trial.

    Raises
    ------
    MurineError
        If another stimulus has no image, and that may be the blank screen under another name.
    """
    if not isinstance(responses, Recording):
        return responses
    return _without_unseen(without_blank(images, responses))


def without_blank(images: StimulusSet, recording: Recording) -> Recording:
    """Return the responses without the blank screen, if there is no image of it that networks could see."""
    if BLANK in recording.stimulus_ids and BLANK not in images.ids:
        recording = recording.select(stimuli=[i for i in recording.stimulus_ids if i != BLANK])
    missing = sorted(set(recording.stimulus_ids) - set(images.ids))
    if len(missing) == 1 or any(i.strip().lower() in _BLANK_ELSEWHERE for i in missing):
        raise MurineError(
            f"{len(missing)} of {recording.n_stimuli} stimuli have no image in {images.name!r}: {some(missing)}. It "
            f"has {images.n_stimuli}: {some(images.ids, 3)}. If that is the blank screen, call it {BLANK!r} in "
            f"{recording.name!r}: responses to it are left out. Else add the image, or leave the responses out "
            "(Recording.select(stimuli=...))."
        )
    return recording


def _without_unseen(recording: Recording) -> Recording:
    """Leave out stimuli that were never shown, as far as the responses tell, and say which."""
    unseen = recording.unseen()
    if not unseen or len(unseen) == recording.n_stimuli:
        return recording
    log.warning(
        "%s: %d of %d stimuli are left out, since no neuron has a valid trial of them: %s",
        recording.name,
        len(unseen),
        recording.n_stimuli,
        some(unseen),
    )
    return recording.select(stimuli=[i for i in recording.stimulus_ids if i not in set(unseen)])
