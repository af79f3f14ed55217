"""Names of files with responses: which names are files, and which files lie beside one. Imports nothing heavy."""

from __future__ import annotations

import os
from pathlib import Path

#: The endings of the files that are accepted.
SUFFIXES = (".nc", ".npz", ".npy", ".csv", ".parquet", ".nwb", ".h5", ".hdf5")

#: Endings of the names of label files next to ``NAME.npy``, without file type: ``NAME_stimuli.txt`` or ``.csv``, and so
#: on.
_BESIDE = {"stimulus": "_stimuli", "neuroid": "_neurons"}


def files_beside(file: Path) -> dict[str, Path]:
    """Return the files of labels beside a ``.npy`` file, by the dimension that they label; of two, the ``.csv``."""
    found = {}
    for dimension, ending in _BESIDE.items():
        for suffix in (".txt", ".csv"):
            if (labels := file.with_name(file.stem + ending + suffix)).is_file():
                found[dimension] = labels
    return found


def is_data_file(name: str) -> bool:
    """Return whether a text names a file of responses: it has such an ending, or contains a folder."""
    return Path(name).suffix.lower() in SUFFIXES or os.sep in name


def files_read(name: str) -> list[Path]:
    """Return all files that `read_responses` reads for a file of responses: itself, and those with its labels."""
    path = Path(name)
    return [path, *(files_beside(path).values() if path.suffix.lower() == ".npy" else ())]
