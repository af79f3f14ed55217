"""Assemblies: responses as ``presentation x neuroid`` arrays of xarray, as Brain-Score and its relatives hold them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import xarray as xr

from murine.cortex.recording import Recording
from murine.errors import MurineError
from murine.interchange.presentations import Presentations
from murine.io.files import atomic_write
from murine.io.hdf5 import Tree

DIMS = ("presentation", "neuroid")

#: The most that the responses of a file may take.
_MOST_BYTES = 8 << 30


def to_assembly(recording: Recording, *, drop: str = "empty", multi_index: bool = False) -> xr.DataArray:
    """Return single trials as presentation x neuroid.

    Parameters
    ----------
    drop
        Presentations to leave out: ``empty`` (no neuron has a valid trial), ``incomplete`` (some neuron has none) or
        ``none``. What is still missing is NaN.
    multi_index
        True: gather the coordinates of each dimension in a MultiIndex, as some tools ask for. They cannot be written to
        NetCDF then.

    Returns
    -------
    assembly
        (n_presentations, n_neuroids) float32. Coordinates of presentations: ``stimulus_id``, ``repetition`` (from 0)
        and those of the stimuli; of neuroids: all of the recording's. The name is in ``attrs["identifier"]``.
    """
    rows = Presentations.of(recording, drop)
    labels = dict(zip(DIMS, (rows.presentation, rows.neuroid), strict=True))
    coords = {key: (dim, values) for dim, about in labels.items() for key, values in about.items()}
    attrs = {**recording.dataset.attrs, "identifier": recording.name}
    assembly = xr.DataArray(rows.responses, coords, DIMS, name="responses", attrs=attrs)
    return assembly.set_index({dim: tuple(about) for dim, about in labels.items()}) if multi_index else assembly


def write(recording: Recording, file: str | Path, *, drop: str = "empty") -> None:
    """Write what `to_assembly` gives to a NetCDF-4 file (compressed), which appears whole or not at all.

    ``xarray.open_dataarray`` opens it."""
    assembly = to_assembly(recording, drop=drop)
    with atomic_write(Path(file)) as partial:
        compressed = {"zlib": True, "complevel": 4, "shuffle": True}
        assembly.to_netcdf(partial, engine="h5netcdf", encoding={assembly.name: compressed})


def from_assembly(
    assembly: xr.DataArray,
    *,
    stimulus: str = "stimulus_id",
    repetition: str | None = None,
    neuroid: str = "neuroid_id",
    name: str = "",
) -> Recording:
    """Make a recording of single trials as presentation x neuroid.

    Parameters
    ----------
    assembly
        With or without MultiIndex; further dimensions (``time_bin``) must have size 1.
    stimulus, repetition, neuroid
        The coordinates that tell stimuli, repetitions and neurons apart. Without a repetition (default: ``repetition``
        if there is one), presentations of a stimulus are counted in their order.
    name
        Default: ``attrs["identifier"]``.

    Raises
    ------
    MurineError
        If dimensions or ids are missing, repeated or do not fit.
    """
    name = name or str(assembly.attrs.get("identifier", "assembly"))
    extra = {str(dim): size for dim, size in assembly.sizes.items() if dim not in DIMS}
    if not set(DIMS) <= set(assembly.dims) or any(size != 1 for size in extra.values()):
        raise MurineError(
            f"{name!r} has dimensions {dict(assembly.sizes)}; expected presentation and neuroid, others of size 1. "
            "Average over time or choose one bin first."
        )
    flat = assembly.squeeze(list(extra), drop=True).transpose(*DIMS)
    gathered = [dim for dim in DIMS if isinstance(flat.indexes.get(dim), pd.MultiIndex)]
    flat = flat.reset_index(gathered)
    about = {
        dim: {str(key): values.values for key, values in flat.coords.items() if values.dims == (dim,) and key != dim}
        for dim in DIMS
    }
    return Presentations.labelled(
        flat.values, *about.values(), stimulus=stimulus, repetition=repetition, neuroid_id=neuroid, name=name
    ).recording(name)


def is_assembly(file: str | Path) -> bool:
    """Whether a file is NetCDF-4 with presentations; False for what cannot be read."""
    try:
        with Tree(file) as tree:
            return DIMS[0] in tree
    except MurineError:
        return False


def read(
    file: str | Path, *, stimulus: str = "stimulus_id", repetition: str | None = None, neuroid: str = "neuroid_id"
) -> Recording:
    """Read a NetCDF-4 file with one array of presentation x neuroid, as `write` writes it, into memory.

    The parameters are those of `from_assembly`.

    Raises
    ------
    MurineError
        If it is damaged, no assembly, or dimensions or ids are missing, repeated or do not fit.
    """
    path = Path(file)
    with Tree(path, max_bytes=_MOST_BYTES) as tree:
        for key in tree.names("/"):  # what lies in this file, of plausible size
            found = tree.dataset(key, None, "biufSO")
            if found.size * found.dtype.itemsize > _MOST_BYTES:
                tree.refuse(key, f"an array of shape {found.shape}", f"at most {_MOST_BYTES:,} bytes")
    try:
        with xr.open_dataset(path, engine="h5netcdf") as dataset:
            arrays = [array for array in dataset.data_vars.values() if set(DIMS) <= set(array.dims)]
            loaded = arrays[0].load() if len(arrays) == 1 else None
    except Exception as error:  # of what xarray raises for damage there is no end
        raise MurineError(f"{str(file)!r} is no readable NetCDF file ({error}); it may be truncated.") from error
    if loaded is None:
        raise MurineError(f"{str(file)!r} holds {len(arrays)} arrays of presentation x neuroid; expected one.")
    return from_assembly(loaded, stimulus=stimulus, repetition=repetition, neuroid=neuroid, name=path.stem)
