"""Recordings from xarray: grids of neuroid x stimulus x repetition, and assemblies of presentation x neuroid."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from murine.cortex.presentations import Presentations, required
from murine.cortex.recording import Recording
from murine.errors import MurineError, some
from murine.io.hdf5 import look_through
from murine.io.isolation import read_apart

log = logging.getLogger(__name__)

#: The dimensions of a recording, and those of an assembly.
_GRID, _ROWS = ("neuroid", "stimulus", "repetition"), ("presentation", "neuroid")

#: The most that the arrays of a file may take.
_MOST_BYTES = 8 << 30


def recording_of_xarray(
    data: xr.DataArray | xr.Dataset,
    *,
    variable: str | None = None,
    stimulus: str | None = None,
    neuroid: str | None = None,
    repetition: str | None = None,
    name: str = "",
) -> Recording:
    """Make a recording of labelled arrays; `Recording.from_xarray` documents the parameters."""
    name = name or str(data.attrs.get("identifier", "recording"))
    array = _chosen(data, variable, name) if isinstance(data, xr.Dataset) else data
    dims = _ROWS if "presentation" in array.dims else _GRID
    needed = dims if dims == _ROWS else _GRID[:2]
    extra = {str(dim): size for dim, size in array.sizes.items() if dim not in dims}
    if not set(needed) <= set(array.dims) or any(size != 1 for size in extra.values()):
        raise MurineError(
            f"{name!r} has dimensions {dict(array.sizes)}; expected neuroid and stimulus, with or without repetition, "
            "or presentation and neuroid. All others must have size 1: average over time or choose one bin first. "
            "DataArray.rename gives dimensions these names."
        )
    array = array.squeeze(list(extra), drop=True)
    array = array.reset_index([dim for dim in array.dims if isinstance(array.indexes.get(dim), pd.MultiIndex)])
    labels: dict[str, dict[str, np.ndarray]] = {dim: {} for dim in dims}
    left_out = []
    for key, values in array.coords.items():
        if values.ndim == 1:
            labels[str(values.dims[0])][str(key)] = values.values
        elif values.ndim:
            left_out.append(key)
    if left_out:
        log.warning("%s: coordinates along several dimensions are left out: %s", name, some(left_out, 10))
    if dims == _ROWS:
        return _of_rows(array, labels, stimulus, neuroid, repetition, name)
    if repetition is not None:
        raise MurineError(
            f"{name!r} has no dimension 'presentation', so repetition={repetition!r} has no meaning: its repetitions "
            "are those of the dimension 'repetition'."
        )
    about = {
        dim: _with_ids(labels[dim], dim, given, name) for dim, given in (("neuroid", neuroid), ("stimulus", stimulus))
    }
    ordered = array.transpose(*(dim for dim in _GRID if dim in array.dims))
    return Recording.from_arrays(ordered.values, about["neuroid"], about["stimulus"], name=name)


def _chosen(data: xr.Dataset, variable: str | None, name: str) -> xr.DataArray:
    """The array of responses in a Dataset; variables of one dimension are labels."""
    flat = data.set_coords([key for key, values in data.data_vars.items() if values.ndim == 1])
    candidates = [
        str(key)
        for key, values in flat.data_vars.items()
        if "neuroid" in values.dims and {"stimulus", "presentation"} & set(values.dims)
    ]
    held = ", ".join(f"{key} {values.dims}" for key, values in data.data_vars.items()) or "nothing"
    if variable is not None and variable not in flat.data_vars:
        raise MurineError(f"{name!r} has no variable {variable!r} of responses. It holds {held}.")
    if variable is None and len(candidates) != 1:
        what = f"{len(candidates)} variables of responses" if candidates else "no variable of responses"
        advice = (
            "Say with variable=... (--variable NAME of `murine data import`) which one it is. " if candidates else ""
        )
        raise MurineError(
            f"{name!r} holds {what}; expected one with dimensions neuroid and stimulus (with or without repetition), "
            f"or presentation and neuroid. {advice}It holds {held}."
        )
    return flat[variable or candidates[0]]


def _of_rows(
    array: xr.DataArray,
    labels: dict[str, dict[str, np.ndarray]],
    stimulus: str | None,
    neuroid: str | None,
    repetition: str | None,
    name: str,
) -> Recording:
    about = [{key: values for key, values in labels[dim].items() if key != dim} for dim in _ROWS]
    return Presentations.labelled(
        array.transpose(*_ROWS).values,
        *about,
        stimulus=stimulus or "stimulus_id",
        repetition=repetition,
        neuroid_id=neuroid or "neuroid_id",
        name=name,
    ).recording(name)


def _with_ids(labels: dict[str, np.ndarray], dim: str, given: str | None, name: str) -> dict[str, np.ndarray]:
    """Labels along a dimension with the ids under their name; without being told, ``<dim>_id``, else the index."""
    key = given or (dim if f"{dim}_id" not in labels and dim in labels else f"{dim}_id")
    ids = required(labels, key, f"the {dim} labels of {name!r}", f"{dim}=...")
    return {f"{dim}_id": ids, **{own: values for own, values in labels.items() if own not in (key, dim, f"{dim}_id")}}


def read_netcdf(
    file: str | Path,
    *,
    variable: str | None = None,
    stimulus: str | None = None,
    neuroid: str | None = None,
    repetition: str | None = None,
) -> Recording:
    """Read a NetCDF-4 file of labelled arrays into memory; the parameters are those of `Recording.from_xarray`.

    Raises
    ------
    MurineError
        If the file is damaged, holds no or several arrays of responses, or dimensions or ids do not fit.
    """
    path = Path(file)
    read_apart(path, look_through, path, _MOST_BYTES)
    try:
        with xr.open_dataset(path, engine="h5netcdf", phony_dims="access") as opened:
            dataset = opened.load()
    except Exception as error:  # of what xarray raises for damage there is no end
        raise MurineError(f"{str(file)!r} is no readable NetCDF file ({error}); it may be truncated.") from error
    return recording_of_xarray(
        dataset, variable=variable, stimulus=stimulus, neuroid=neuroid, repetition=repetition, name=path.stem
    )
