"""Files of responses: how the kind of a file is recognised by its content and ending, and how each kind is read."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from murine.cortex.array_files import read_array, read_arrays
from murine.cortex.file_names import SUFFIXES
from murine.cortex.joining import join
from murine.cortex.labelled_arrays import read_netcdf
from murine.cortex.nwb import read_nwb
from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Recording
from murine.cortex.trial_tables import read_trials
from murine.errors import MurineError, some
from murine.io.hdf5 import Tree, foreign_format
from murine.io.isolation import read_apart
from murine.progress import Progress, Silent
from murine.registry import Registry


@dataclass(frozen=True)
class FileKind:
    """A kind of file with responses.

    Attributes
    ----------
    about
        What such a file is, in words.
    read
        The function that reads it; takes the path, and the options by name.
    options
        The options that it takes.
    """

    about: str
    read: Callable[..., Recording | NeuralRDMs]
    options: tuple[str, ...] = ()


#: Readers of other tools' formats by name. They are imported when such a file is read.
foreign_readers: Registry[Callable[..., Recording | NeuralRDMs]] = Registry("file_reader")
foreign_readers.refer("rsatoolbox", "murine.interchange.rsatoolbox_files:read")


def _read_rsatoolbox(file: Path, **options: Any) -> Recording | NeuralRDMs:
    return foreign_readers["rsatoolbox"](file, **options)


#: What is accepted, in words.
ACCEPTED = (
    "a recording of murine (.nc), labelled arrays of xarray (.nc), a table of trials (.csv, .parquet), an array with "
    "stimulus ids (.npy, .npz), dissimilarity matrices (.npz), an NWB 2 file (.nwb) or a file of rsatoolbox (.h5)"
)

RECORDING = FileKind("a recording of murine", Recording.read)
XARRAY = FileKind("labelled arrays of xarray", read_netcdf, ("variable", "stimulus", "neuroid", "repetition"))
TRIALS = FileKind("a table of trials", read_trials, ("stimulus", "neuroid", "response", "repetition", "area", "labels"))
NWB = FileKind("an NWB 2 file", read_nwb, ("signal", "stimulus_table", "stimulus_column", "window", "area"))
ARRAY = FileKind("an array of NumPy", read_array, ("stimulus_ids", "neurons"))
ARRAYS = FileKind("an archive of NumPy arrays", read_arrays)
RSATOOLBOX = FileKind("a file of rsatoolbox", _read_rsatoolbox, ("stimulus", "neuroid", "repetition", "site"))


def read_responses(file: str | Path, **options: Any) -> Recording | NeuralRDMs:
    """Read responses from a file of any kind that murine knows.

    Parameters
    ----------
    file
        The kind of the file is recognised by its content: a recording that murine wrote, labelled arrays
        (`Recording.from_xarray`), a table of trials (`Recording.from_frame`), an array with ids
        (`murine.cortex.array_files`), an NWB 2 file (`Recording.from_nwb`), or a Dataset or RDMs that rsatoolbox saved.
    options
        Options of the function that reads this kind of file; None is the default. An option that this function does not
        have is refused.

    Returns
    -------
    responses
        A recording of single trials, or matrices.

    Raises
    ------
    MurineError
        If there is no such file, its kind is unknown, it is damaged, or its content does not fit.
    """
    path = Path(file)
    kind = kind_of(path)
    given = {key: value for key, value in options.items() if value is not None}
    odd = sorted(set(given) - set(kind.options))
    if odd:
        raise MurineError(
            f"{some(odd)} does not apply to {str(file)!r}, which is {kind.about}; "
            + (f"it takes {', '.join(kind.options)}." if kind.options else "it takes no options.")
        )
    return kind.read(path, **given)


def read_together(
    files: Sequence[Path],
    *,
    shared_ids: str | None = None,
    name: str = "recording",
    progress: Progress | None = None,
    **options: Any,
) -> Recording | NeuralRDMs:
    """Read files and join their neurons; the files need the same stimuli.

    Parameters
    ----------
    files
        As for `read_responses`. One file may hold matrices; several must hold recordings.
    shared_ids
        Meaning of an id that is in several files: ``same`` neuron (repetitions are joined) or ``different`` neurons
        (all neurons are renamed to ``FILE/ID``). None: repeated ids are refused.
    name
        Of the recording that is joined.
    options
        As for `read_responses`, for every file.

    Raises
    ------
    MurineError
        If a file cannot be read, one of several files contains matrices, or stimuli or ids do not fit.
    """
    if shared_ids not in (None, "same", "different"):
        raise MurineError(f"shared_ids is {shared_ids!r}; expected same, different or None.")
    read = []
    with (progress or Silent()).task("reading responses", len(files)) as bar:
        for file in files:
            read.append(read_responses(file, **options))
            bar.advance(done=file.name)
    if len(read) == 1:
        return read[0]
    recordings = [each for each in read if isinstance(each, Recording)]
    if len(recordings) < len(read):
        raise MurineError("only recordings of single trials can be joined; read files with matrices one by one.")
    if shared_ids == "different":
        recordings = _renamed(files, recordings)
    counts = Counter(own for each in recordings for own in each["neuroid_id"].tolist())
    shared = [own for own, count in counts.items() if count > 1]
    if shared and shared_ids is None:
        raise MurineError(
            f"{len(shared)} neurons have the same id in several files: {some(shared)}. Say with shared_ids "
            "(--shared-ids same) that they are the same neurons, recorded again, or (--shared-ids different) that they "
            "are not."
        )
    return join(recordings, name)


def _renamed(files: Sequence[Path], recordings: Sequence[Recording]) -> list[Recording]:
    """Recordings whose neurons are called FILE/ID."""
    stems = [file.stem for file in files]
    if len(set(stems)) < len(stems):
        raise MurineError(f"files with one name cannot tell their neurons apart: {some(stems)}. Rename one of them.")
    return [
        each.labelled({"neuroid_id": [f"{stem}/{own}" for own in each["neuroid_id"]]})
        for stem, each in zip(stems, recordings, strict=True)
    ]


def kind_of(path: Path) -> FileKind:
    """Return which kind of file with responses a file is.

    Raises
    ------
    MurineError
        If it is not a file of responses. The message says what it looks like and what is accepted.
    """
    if not path.is_file():
        found = f"{str(path)!r} is a folder" if path.is_dir() else f"there is no file {str(path)!r}"
        zarr = any((path / name).exists() for name in (".zgroup", ".zattrs", "zarr.json"))
        advice = " Folders of Zarr are not read: save the file as HDF5 or NetCDF-4." if zarr else ""
        raise MurineError(f"{found}; expected a file of responses: {ACCEPTED}.{advice}")
    with path.open("rb") as opened:
        start = opened.read(4096)
    suffix = path.suffix.lower()
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return read_apart(path, _kind_of_hdf5, path)
    if start.startswith(b"\x93NUMPY"):
        return ARRAY
    if start.startswith(b"PAR1"):
        return TRIALS
    if start.startswith(b"PK\x03\x04") and any(name.endswith(".npy") for name in _members(path)):
        return ARRAYS
    if suffix == ".csv" and _is_text(start):
        return TRIALS
    raise MurineError(
        f"{str(path)!r} is no file of responses that murine knows: it {_look(path, start)}. Expected {ACCEPTED}."
    )


def _kind_of_hdf5(path: Path) -> FileKind:
    with Tree(path) as tree:
        names = tree.names("/")
        if tree.nwb_2() or "nwb_version" in names:
            return NWB
        if "measurements" in names or "dissimilarities" in names:
            return RSATOOLBOX
        if "presentation" not in names and {"responses", "neuroid_id", "stimulus_id"} <= {*names}:
            return RECORDING
        if "neuroid" in names or path.suffix.lower() == ".nc":
            return XARRAY
    raise MurineError(
        f"{str(path)!r} is no file of responses that murine knows: it is an HDF5 file with "
        f"{some(names, 8) or 'nothing'}. Expected {ACCEPTED}. `Recording.from_arrays` takes arrays that you read "
        "yourself."
    )


def _members(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return ["truncated.npy"] if path.suffix.lower() == ".npz" else []  # whoever reads it tells what is wrong


def _is_text(start: bytes) -> bool:
    """Whether bytes are the beginning of a text; the last character may be cut."""
    return bool(start) and b"\0" not in start and not start.startswith((b"\xff\xfe", b"\xfe\xff"))


def _look(path: Path, start: bytes) -> str:
    """Return the probable kind of a file in words."""
    if not start:
        return "is empty"
    if start.startswith(b"PK\x03\x04") and "[Content_Types].xml" in _members(path):
        return "is an Office document. Save the sheet with the trials as .csv"
    if start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05":
        return "looks like a pickle, which may run anything and is never loaded. Save it as .csv, .npz or .nc"
    if foreign := foreign_format(path):
        return foreign
    if _is_text(start):
        line = start.decode("utf-8", "replace").splitlines()[0]
        shown = "".join(character if character.isprintable() else " " for character in line[:60])
        return f"looks like text that begins {shown!r}; a table of trials ends with .csv and has commas"
    damaged = "; it may be damaged" if path.suffix.lower() in SUFFIXES else ""
    return f"begins with the bytes {start[:8].hex(' ')}, which are of no format that murine knows{damaged}"
