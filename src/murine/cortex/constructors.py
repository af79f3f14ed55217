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
            (n_neuroids, n_stimuli, n_repetitions), or (n_neuroids, n_stimuli) if each stimulus was shown once or only
            the mean is known. Real numbers in any unit; stored as float32. A missing trial is NaN or masked.
        neuroid
            Labels of the neurons by name, each of length n_neuroids. ``neuroid_id`` is required; other usual labels are
            ``area, layer, depth_um, cre_line, cell_class, session_id, donor``. A sequence instead of a mapping is used
            as the ids. Ids are converted to text. A missing text becomes ''.
        stimulus
            Labels of the stimuli by name, each of length n_stimuli; ``stimulus_id``, the name of the image, is
            required. A sequence instead of a mapping is used as the ids.
        name
            What the data are called in tables.

        Raises
        ------
        MurineError
            If shapes do not fit, responses are not real numbers, or ids are missing or repeated.

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
            The column that distinguishes the trials of one neuron and stimulus. Default: the column ``repetition`` if
            there is one; otherwise the trials of each neuron and stimulus are counted in the order of the rows. All
            rows with the same stimulus and repetition should belong to the same presentation.
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
            An array with the dimensions ``neuroid`` and ``stimulus``, with or without ``repetition``; or an assembly
            with the dimensions ``presentation`` and ``neuroid``, which has a row for each presentation of a stimulus.
            Dimensions may be in any order; other dimensions must have size 1. Coordinates may be in a MultiIndex.
            Missing trials are NaN.
        variable
            The variable of a Dataset that holds the responses. Default: the only one with these dimensions. Its
            variables of one dimension are labels.
        stimulus, neuroid
            The coordinates with the ids. Default: ``stimulus_id`` and ``neuroid_id``, else the index of the dimension.
        repetition
            For an assembly, the coordinate that distinguishes the presentations of a stimulus. Default: ``repetition``
            if there is one; otherwise presentations are counted in their order.
        name
            What the data are called in tables. Default: ``attrs["identifier"]``, else ``recording``.

        Returns
        -------
        recording
            A recording with all one-dimensional coordinates as labels. Labels that differ between the presentations of
            a stimulus cannot be stored in a recording; they are left out and logged.

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
            Source of the responses: the path of the units or of the series inside the file, or the end of this path,
            for example ``units`` or ``DfOverF/RoiResponseSeries``. Required if the file has several.
        stimulus_table
            Path or name of the table of presentations, for example ``natural_scenes_presentations``. Required if the
            file has several tables of intervals.
        stimulus_column
            Column of this table with the ids of the stimuli. Required if several columns could contain them.
        window
            Start and end in seconds after onset; None for the end of the presentation (``stop_time``). A spike or
            sample at the start counts, one at the end does not.
        area
            The column of the units or ROIs with their area. Default: a column ``area``; else the ``location`` of the
            electrodes of a unit, or of the imaging plane of a ROI.
        isolated
            Whether to read in a separate process, because a damaged file can make the HDF5 library crash or hang. This
            takes half a second.

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
            If the file is damaged or not NWB 2, its columns do not fit each other, or it has no signal or table of
            stimuli, or several (then the message lists them and names the parameter that selects one).

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
