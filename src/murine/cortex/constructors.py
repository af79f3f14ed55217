"""Constructors of `Recording` from a user's data: arrays, tables, labelled arrays, NWB files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from murine.errors import MurineError
from murine.io.labels import as_labels
from murine.io.masked_arrays import unmasked

if TYPE_CHECKING:
    from murine.cortex.recording import Recording


class Constructors:
    """The constructors of `Recording`, which inherits them."""

    @classmethod
    def from_arrays(
        cls,
        responses: ArrayLike,
        neuroid: Mapping[str, ArrayLike] | ArrayLike,
        stimulus: Mapping[str, ArrayLike] | ArrayLike,
        *,
        name: str = "recording",
    ) -> Recording:
        """Make a recording of an array of responses.

        Parameters
        ----------
        responses
            (n_neuroids, n_stimuli, n_repetitions), or (n_neuroids, n_stimuli) where each stimulus was shown once or
            only the mean is known; any real numbers, in any unit. A missing trial is NaN, or masked. Kept as float32.
        neuroid
            Labels of the neurons by name, each of length n_neuroids; ``neuroid_id`` is required, usual ones are
            ``area, layer, depth_um, cre_line, cell_class, session_id, donor``. A sequence is taken for the ids. Ids
            become text. A missing text becomes ''.
        stimulus
            Labels of the stimuli by name, each of length n_stimuli; ``stimulus_id`` is required. A sequence is taken
            for the ids: the names of the images.
        name
            What the data are called in tables.

        Raises
        ------
        MurineError
            If shapes do not fit, responses are no real numbers, or ids are missing or repeated.

        Examples
        --------
        >>> rates = [[[1.0, 2.0], [0.0, 0.5]], [[3.0, 3.5], [4.0, float("nan")]]]
        >>> from murine.cortex.recording import Recording
        >>> Recording.from_arrays(rates, {"neuroid_id": ["u1", "u2"], "area": ["VISp", "VISl"]}, ["cat", "dog"])
        <Recording recording: 2 neuroids x 2 stimuli x 2 repetitions; {'VISp': 1, 'VISl': 1}>
        """
        array = unmasked(responses)
        if array.ndim not in (2, 3) or not (np.issubdtype(array.dtype, np.number) and np.isrealobj(array)):
            raise MurineError(
                f"responses of {name!r} have shape {array.shape} and dtype {array.dtype}; expected real numbers "
                "(n_neuroids, n_stimuli, n_repetitions) or (n_neuroids, n_stimuli)."
            )
        array = array.reshape((*array.shape, 1)[:3])
        coords: dict[str, tuple[str, Any]] = {}
        for dimension, size, given in (
            ("neuroid", array.shape[0], neuroid),
            ("stimulus", array.shape[1], stimulus),
        ):
            labels = given if isinstance(given, Mapping) else {f"{dimension}_id": given}
            for key, values in labels.items():
                if np.shape(values) != (size,):
                    raise MurineError(
                        f"coordinate {key!r} of {name!r} has shape {np.shape(values)}; expected ({size},), one value "
                        f"per {dimension}."
                    )
                coords[key] = (dimension, coordinate_values(key, values))
        coords.setdefault("area", ("neuroid", np.full(array.shape[0], "")))
        coords["repetition"] = ("repetition", np.arange(array.shape[2]))
        data = (("neuroid", "stimulus", "repetition"), array.astype(np.float32, copy=False))
        return cast("type[Recording]", cls)(xr.Dataset({"responses": data}, coords=coords), name)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        stimulus: str = "stimulus",
        neuroid: str = "neuroid",
        response: str = "response",
        repetition: str | None = None,
        area: str | None = None,
        labels: Sequence[str] | None = None,
        name: str = "recording",
    ) -> Recording:
        """Make a recording of a table with one row for each trial of each neuron.

        Parameters
        ----------
        frame
            Rows in any order; the index is ignored.
        stimulus, neuroid
            The columns with the ids of the stimuli and of the neurons. Neurons and stimuli are kept in the order in
            which they first occur.
        response
            The column with the responses: real numbers in any unit. NaN is a missing trial, as is a row that is not
            there.
        repetition
            The column that tells the trials of one neuron and stimulus apart. Default: the column ``repetition`` if
            there is one; otherwise the trials of each neuron and stimulus are counted in the order of the rows. Rows
            with one repetition of one stimulus should be of one presentation.
        area
            The column with the area of the neurons. Default: the column ``area`` if there is one.
        labels
            The other columns to keep. Default: all. A label that is the same in all rows of each neuron becomes a
            label of the neurons, one that is the same in all rows of each stimulus a label of the stimuli.
        name
            What the data are called in tables.

        Raises
        ------
        MurineError
            If a column is missing, an id is missing, a response is no number, two rows are the same trial, or a label
            differs between the rows of a neuron.

        Examples
        --------
        >>> rows = {"neuroid": ["a", "a", "b", "b"], "stimulus": [1, 2, 1, 2], "response": [0.5, 1.0, 3.0, 2.0]}
        >>> from murine.cortex.recording import Recording
        >>> Recording.from_frame(pd.DataFrame(rows)).responses[:, :, 0].tolist()
        [[0.5, 1.0], [3.0, 2.0]]
        """
        from murine.cortex.trial_tables import recording_of_trials

        return recording_of_trials(
            frame,
            stimulus=stimulus,
            neuroid=neuroid,
            response=response,
            repetition=repetition,
            area=area,
            labels=labels,
            name=name,
        )

    @classmethod
    def from_xarray(
        cls,
        data: xr.DataArray | xr.Dataset,
        *,
        variable: str | None = None,
        stimulus: str | None = None,
        neuroid: str | None = None,
        repetition: str | None = None,
        name: str = "",
    ) -> Recording:
        """Make a recording of labelled arrays.

        Parameters
        ----------
        data
            With dimensions ``neuroid`` and ``stimulus``, with or without ``repetition``; or ``presentation`` and
            ``neuroid``, which is called an assembly: a row for each presentation of a stimulus. Dimensions are in any
            order; further ones must have size 1. Coordinates may be gathered in a MultiIndex. Missing trials are NaN.
        variable
            The variable of a Dataset that holds the responses. Default: the only one with these dimensions. Its
            variables of one dimension are labels.
        stimulus, neuroid
            The coordinates with the ids. Default: ``stimulus_id`` and ``neuroid_id``, else the index of the dimension.
        repetition
            Of an assembly, the coordinate that tells the presentations of a stimulus apart. Default: ``repetition`` if
            there is one; otherwise they are counted in their order.
        name
            What the data are called in tables. Default: ``attrs["identifier"]``, else ``recording``.

        Returns
        -------
        recording
            With all one-dimensional coordinates as labels. Labels of presentations that differ between the
            presentations of a stimulus have no place in a recording: they are left out and logged.

        Raises
        ------
        MurineError
            If dimensions or ids are missing, repeated or do not fit.

        Examples
        --------
        >>> rates = xr.DataArray(
        ...     [[1.0, 2.0, 4.0], [0.0, 3.0, 1.0]],
        ...     {"stimulus": ["cat", "dog"], "neuroid": ["a", "b", "c"]},
        ...     ("stimulus", "neuroid"),
        ... )
        >>> from murine.cortex.recording import Recording
        >>> Recording.from_xarray(rates)
        <Recording recording: 3 neuroids x 2 stimuli x 1 repetitions; {'': 3}>
        """
        from murine.cortex.labelled_arrays import recording_of_xarray

        return recording_of_xarray(
            data, variable=variable, stimulus=stimulus, neuroid=neuroid, repetition=repetition, name=name
        )

    @classmethod
    def from_nwb(
        cls,
        file: str | Path,
        *,
        signal: str | None = None,
        stimulus_table: str | None = None,
        stimulus_column: str | None = None,
        window: tuple[float, float | None] = (0.0, None),
        area: str | None = None,
        isolated: bool = True,
    ) -> Recording:
        """Read an NWB 2 file (HDF5): spike rates of units, or mean traces of ROIs, in a window of each presentation.

        Parameters
        ----------
        file
            A file with sorted units (``Units`` with ``spike_times``) or traces (``RoiResponseSeries``), and a table of
            the stimuli that were shown (``TimeIntervals`` with ``start_time`` and ``stop_time``).
        signal
            What the responses are made of: the path of the units or of the series inside the file, or its end, as
            ``units`` or ``DfOverF/RoiResponseSeries``. Needed where the file has several.
        stimulus_table
            The table of presentations, by path or name, as ``natural_scenes_presentations``. Needed where the file has
            several tables of intervals.
        stimulus_column
            Its column with the ids of the stimuli. Needed where the table has several columns that could hold them.
        window
            Seconds after onset, from the first to the second; None: until the stimulus goes (``stop_time``). A spike
            or sample at the first limit counts, one at the second does not.
        area
            The column of the units or ROIs with their area. Default: a column ``area``; else the ``location`` of the
            electrodes of a unit, or of the imaging plane of a ROI.
        isolated
            Read in a process of its own, because a damaged file can make the HDF5 library crash or never end; costs
            half a second.

        Returns
        -------
        recording
            Responses in spikes per second, or in the unit of the series. Columns of one value for each unit or ROI are
            labels. Repetitions are in order of time. Presentations without a stimulus id (NaN, -1 or empty: blank
            screens) are left out and counted in a note. NaN where a unit or series was not recorded (``obs_intervals``,
            or outside the timestamps), where the series has NaN, and where a presentation touches
            ``/intervals/invalid_times``.

        Raises
        ------
        MurineError
            If the file is damaged or not NWB 2, has none or several of what is needed (the message lists them and
            names the parameter that chooses), or its columns do not fit each other.

        Notes
        -----
        Source of the format: NWB Format Specification, version 2 (Rübel et al. 2022).
        """
        from murine.cortex.nwb.reading import read_nwb

        return read_nwb(
            file,
            signal=signal,
            stimulus_table=stimulus_table,
            stimulus_column=stimulus_column,
            window=window,
            area=area,
            isolated=isolated,
        )


def coordinate_values(key: str, values: ArrayLike) -> np.ndarray:
    """Return a coordinate as an array: ids and texts as text, '' where missing; numbers as they are.

    The ids of neurons and stimuli may not be missing.
    """
    column = values if np.ma.isMaskedArray(values) else np.asarray(values)
    if key.endswith("_id") or column.dtype.kind in "OUS":
        missing = None if key in ("neuroid_id", "stimulus_id") else ""
        given = values if isinstance(values, list | tuple) else column  # an array of a mixture has it as text already
        return np.array(as_labels(given, key, missing=missing), dtype=str)
    return unmasked(column)
