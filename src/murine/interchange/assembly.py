"""Assemblies: responses as ``presentation x neuroid`` arrays of xarray, as Brain-Score and its relatives hold them.

`Recording.from_xarray` is the way back."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from murine.cortex.presentations import Presentations
from murine.cortex.recording import Recording
from murine.io.files import atomic_write

DIMS = ("presentation", "neuroid")


def to_assembly(recording: Recording, *, drop: str = "empty", multi_index: bool = False) -> xr.DataArray:
    """Return single trials as presentation x neuroid.

    Parameters
    ----------
    drop
        Presentations to leave out: ``empty`` (no neuron has a valid trial), ``incomplete`` (some neuron has no valid
        trial) or ``none``. Other missing trials are NaN.
    multi_index
        True puts the coordinates of each dimension into a MultiIndex, which some tools require. Such an assembly cannot
        be written to NetCDF.

    Returns
    -------
    assembly
        (n_presentations, n_neuroids) float32. Coordinates of presentations: ``stimulus_id``, ``repetition`` (from 0)
        and those of the stimuli; of neuroids: all of the recording's. The name is in ``attrs["identifier"]``.

    Examples
    --------
    >>> from murine.cortex import simulate
    >>> from murine.scenes import synthetic_scenes
    >>> recording = simulate(synthetic_scenes(20, size=32), n_neuroids=10, n_repetitions=4).recording
    >>> assembly = to_assembly(recording)
    >>> assembly.dims, assembly.shape
    (('presentation', 'neuroid'), (80, 30))
    >>> Recording.from_xarray(assembly).responses.shape
    (30, 20, 4)
    """
    rows = Presentations.of(recording, drop)
    labels = dict(zip(DIMS, (rows.presentation, rows.neuroid), strict=True))
    coords = {key: (dim, values) for dim, about in labels.items() for key, values in about.items()}
    attrs = {**recording.dataset.attrs, "identifier": recording.name}
    assembly = xr.DataArray(rows.responses, coords, DIMS, name="responses", attrs=attrs)
    return assembly.set_index({dim: tuple(about) for dim, about in labels.items()}) if multi_index else assembly


def write(recording: Recording, file: str | Path, *, drop: str = "empty") -> None:
    """Write the result of `to_assembly` to a compressed NetCDF-4 file, completely or not at all.

    ``xarray.open_dataarray`` opens it."""
    assembly = to_assembly(recording, drop=drop)
    with atomic_write(Path(file)) as partial:
        compressed = {"zlib": True, "complevel": 4, "shuffle": True}
        assembly.to_netcdf(partial, engine="h5netcdf", encoding={assembly.name: compressed})
