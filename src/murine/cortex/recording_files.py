"""Files of recordings (NetCDF): opened only after they were looked through, and written completely or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import xarray as xr

from murine.errors import MurineError
from murine.io.files import atomic_write
from murine.io.fingerprints import Fingerprint, fingerprint
from murine.io.hdf5 import foreign_format, look_through
from murine.io.isolation import read_apart

T = TypeVar("T")

#: Neurons whose responses are stored together: about 0.8 MB of the 119 conditions and 50 repetitions of one session.
_STORED_TOGETHER = 32

#: Limit of the bytes of labels: the labels of a million neurons take less.
_MOST_LABELS = 256 << 20

#: Files that were checked in a separate process without a fault.
_harmless: set[Fingerprint] = set()


def open_dataset(file: Path, make: Callable[[xr.Dataset], T], *, isolated: bool) -> T:
    """Open a file and return what ``make`` returns for its content; responses are read when they are needed.

    Parameters
    ----------
    file
        A file that `write_dataset` wrote.
    make
        A function of the opened dataset. If it raises, the file is closed.
    isolated
        As in `murine.Recording.read`.

    Raises
    ------
    MurineError
        As in `murine.Recording.read`.
    """
    if not file.is_file():
        raise MurineError(f"there is no file {str(file)!r}; expected a recording written by Recording.write.")
    refusal = f"{str(file)!r} is no readable NetCDF file of a recording"
    if foreign := foreign_format(file):
        raise MurineError(f"{refusal}: it {foreign}.")
    dataset = None
    try:
        if isolated:
            _look_through_apart(file)
        else:
            look_through(file, _MOST_LABELS)
        dataset = xr.open_dataset(file, engine="h5netcdf", phony_dims="access")
        return make(dataset)
    except Exception as error:  # xarray raises many types of exceptions for damaged files
        if dataset is not None:
            dataset.close()
        advice = "" if isinstance(error, MurineError) else "; it may be truncated"
        raise MurineError(f"{refusal} ({str(error).rstrip('.')}){advice}.") from error


def write_dataset(dataset: xr.Dataset, file: Path) -> None:
    """Write a dataset to a compressed NetCDF-4 file, in blocks of neurons."""
    sizes = {name: max(1, dataset.sizes[name]) for name in ("neuroid", "stimulus", "repetition")}
    sizes["neuroid"] = min(_STORED_TOGETHER, sizes["neuroid"])
    chunks = tuple(sizes[str(name)] for name in dataset["responses"].dims)
    encoding = {"responses": {"zlib": True, "complevel": 4, "shuffle": True, "chunksizes": chunks}}
    plain = dataset.copy()
    for variable in plain.variables.values():
        variable.encoding = {}  # of the file it was read from
    with atomic_write(file) as partial:
        plain.to_netcdf(partial, engine="h5netcdf", encoding=encoding)


def _look_through_apart(file: Path) -> None:
    now = fingerprint(file)
    if now not in _harmless:
        read_apart(file, look_through, file, _MOST_LABELS)
        if now is not None:
            _harmless.add(now)
