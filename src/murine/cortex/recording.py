"""Recording: labelled single-trial responses of many neurons to a set of stimuli."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from murine.cortex.allen.hdf5 import foreign_format, look_through
from murine.errors import MurineError, nearest, some
from murine.files import appearing
from murine.fingerprints import Fingerprint, fingerprint
from murine.isolation import read_apart
from murine.labels import as_labels
from murine.masks import unmasked

log = logging.getLogger(__name__)

#: Neurons whose responses are stored together: about 0.8 MB of the 119 conditions and 50 repetitions of one session.
_STORED_TOGETHER = 32

#: More than the labels of a million neurons take.
_MOST_LABELS = 256 << 20

#: Files that were looked through in a process of their own, and nothing came of it.
_harmless: set[Fingerprint] = set()

Halves = tuple[Float[np.ndarray, "n_neuroids n_stimuli"], Float[np.ndarray, "n_neuroids n_stimuli"]]


@dataclass(frozen=True)
class Site:
    """A named group of neurons: what a network is compared with.

    Attributes
    ----------
    name
        For example ``VISp`` or ``VISp 2/3``.
    labels
        The coordinate values that its neurons share, for example ``{"area": "VISp", "layer": "2/3"}``.
    """

    name: str
    labels: Mapping[str, str] = field(hash=False)

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> Site:
        return cls(" ".join(labels.values()), dict(labels))


class Recording:
    """Single-trial responses with labels.

    Parameters
    ----------
    dataset
        Holds ``responses`` with dimensions ``neuroid, stimulus, repetition`` (a missing trial is NaN) and 1-D
        coordinates along them. ``neuroid_id`` and ``stimulus_id`` are required and must be unique; they become text, so
        that ``7``, ``7.0`` and ``b"7"`` are one id. Of the others ``area`` is always there ('' where unknown).
        `Recording.from_arrays` builds one.
    name
        What the data are called in tables; no part of the digest.
    """

    def __init__(self, dataset: xr.Dataset, name: str = "recording") -> None:
        self.dataset = dataset
        self.name = name
        if "responses" not in dataset or set(dataset["responses"].dims) != {
            "neuroid",
            "stimulus",
            "repetition",
        }:
            raise MurineError(
                f"{name!r} needs a variable 'responses' with dimensions neuroid, stimulus, repetition; found "
                f"{ {str(k): v.dims for k, v in dataset.data_vars.items()} }."
            )
        for dimension in ("neuroid", "stimulus"):
            key = f"{dimension}_id"
            if key not in dataset.coords:
                raise MurineError(f"{name!r} has no coordinate {key!r}: responses without labels cannot be matched.")
            given = dataset[key].values
            ids = as_labels(given, f"{key} of {name!r}")
            if len(set(ids)) != len(ids):
                unique, counts = np.unique(ids, return_counts=True)
                raise MurineError(f"{key} must be unique in {name!r}; repeated: {some(unique[counts > 1])}.")
            if given.dtype.kind in "bcSf" or tuple(given) != ids:
                self.dataset = self.dataset.assign_coords({key: (dimension, np.array(ids, dtype=str))})

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
                coords[key] = (dimension, _column(key, values))
        coords.setdefault("area", ("neuroid", np.full(array.shape[0], "")))
        coords["repetition"] = ("repetition", np.arange(array.shape[2]))
        data = (("neuroid", "stimulus", "repetition"), array.astype(np.float32, copy=False))
        return cls(xr.Dataset({"responses": data}, coords=coords), name)

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

    @classmethod
    def read(cls, file: str | Path, *, isolated: bool = True) -> Recording:
        """Open a NetCDF file written by `write`; responses are read when needed.

        Parameters
        ----------
        isolated
            Look through the file in a process of its own first, because a damaged file can make the HDF5 library crash
            or never end; costs a quarter of a second, once as long as the file stays as it is. False for files that
            are known to be whole.

        Raises
        ------
        MurineError
            If there is no such file, it is of another format (the message says which), damaged, or no recording.
        """
        path = Path(file)
        if not path.is_file():
            raise MurineError(f"there is no file {str(file)!r}; expected a recording written by Recording.write.")
        refusal = f"{str(file)!r} is no readable NetCDF file of a recording"
        if foreign := foreign_format(path):
            raise MurineError(f"{refusal}: it {foreign}.")
        dataset = None
        try:
            if isolated:
                _look_through_apart(path)
            else:
                look_through(path, _MOST_LABELS)
            dataset = xr.open_dataset(path, engine="h5netcdf", phony_dims="access")
            return cls(dataset, path.stem)
        except Exception as error:  # of what xarray raises for damage there is no end
            if dataset is not None:
                dataset.close()
            advice = "" if isinstance(error, MurineError) else "; it may be truncated"
            raise MurineError(f"{refusal} ({str(error).rstrip('.')}){advice}.") from error

    def write(self, file: str | Path) -> None:
        """Write to a NetCDF-4 file (compressed), which appears whole or not at all.

        Responses are stored by blocks of neurons, so that a choice of neurons can be read without the rest.
        """
        n_stored = (min(_STORED_TOGETHER, max(1, self.n_neuroids)), max(1, self.n_stimuli), max(1, self.n_repetitions))
        dims = ("neuroid", "stimulus", "repetition")
        chunks = tuple(dict(zip(dims, n_stored, strict=True))[str(d)] for d in self.dataset["responses"].dims)
        encoding = {"responses": {"zlib": True, "complevel": 4, "shuffle": True, "chunksizes": chunks}}
        plain = self.dataset.copy()
        for variable in plain.variables.values():
            variable.encoding = {}  # of the file it was read from
        with appearing(Path(file)) as partial:
            plain.to_netcdf(partial, engine="h5netcdf", encoding=encoding)

    def __repr__(self) -> str:
        areas = pd.Series(self["area"]).value_counts().to_dict()
        return (
            f"<Recording {self.name}: {self.n_neuroids} neuroids x {self.n_stimuli} stimuli x "
            f"{self.n_repetitions} repetitions; {areas}>"
        )

    def __getitem__(self, coordinate: str) -> np.ndarray:
        """Return a coordinate as an array; an unknown one raises with the nearest names."""
        if coordinate not in self.dataset.coords:
            known = [str(c) for c in self.dataset.coords]
            raise MurineError(
                f"{self.name!r} has no coordinate {coordinate!r}{nearest(coordinate, known) or '.'} "
                f"It has {', '.join(known)}."
            )
        with self._reading(coordinate):
            values = np.asarray(self.dataset[coordinate].values)
        return _column(coordinate, values) if values.dtype.kind in "OS" and values.ndim == 1 else values

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        """Responses and labels are read from the file when they are needed: what damage raises then is one error."""
        try:
            yield
        except (OSError, RuntimeError, ValueError, TypeError, KeyError, IndexError, MemoryError) as error:
            source = self.dataset.encoding.get("source", self.name)
            raise MurineError(f"{what} of {str(source)!r} cannot be read ({error}): the file is damaged.") from error

    @property
    def n_neuroids(self) -> int:
        return int(self.dataset.sizes["neuroid"])

    @property
    def n_stimuli(self) -> int:
        return int(self.dataset.sizes["stimulus"])

    @property
    def n_repetitions(self) -> int:
        return int(self.dataset.sizes["repetition"])

    @property
    def stimulus_ids(self) -> tuple[str, ...]:
        return tuple(self["stimulus_id"].astype(str))

    @cached_property
    def responses(self) -> Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"]:
        """The single trials; NaN where there was none."""
        with self._reading("responses"):
            self.dataset["responses"].load()  # kept there: a selection of what was read is not read again
            return np.asarray(self.dataset["responses"].transpose("neuroid", "stimulus", "repetition").values)

    @cached_property
    def digest(self) -> str:
        """sha256 of ids, labels of the neurons and responses, sorted by id: the order of neurons and stimuli does not
        count.

        Labels are all coordinates of the neurons but measurements (floats): sites may be made of any of them.
        """
        neuroids = np.argsort(self["neuroid_id"].astype(str))
        stimuli = np.argsort(np.asarray(self.stimulus_ids))
        coords = self.dataset.coords.items()
        labels = sorted(str(key) for key, x in coords if x.dims == ("neuroid",) and x.dtype.kind != "f")
        total = hashlib.sha256()
        for key, order in (*((label, neuroids) for label in labels), ("stimulus_id", stimuli)):
            total.update("\0".join([key, *self[key].astype(str)[order]]).encode())
        for i in neuroids:
            total.update(np.ascontiguousarray(self.responses[i][stimuli]).tobytes())
        return total.hexdigest()

    def labelled(self, neuroid: Mapping[str, ArrayLike], name: str = "") -> Recording:
        """Return the same recording with coordinates of its neurons added or replaced, each of length n_neuroids."""
        for key, values in neuroid.items():
            if np.shape(values) != (self.n_neuroids,):
                raise MurineError(
                    f"coordinate {key!r} for {self.name!r} has shape {np.shape(values)}; expected "
                    f"({self.n_neuroids},), one value per neuron."
                )
        coords = {key: ("neuroid", _column(key, values)) for key, values in neuroid.items()}
        return Recording(self.dataset.assign_coords(coords), name or self.name)

    def _take(self, **indexers: Any) -> Recording:
        return Recording(self.dataset.isel(indexers), self.name)

    def select(
        self, *, min_reliability: float | None = None, stimuli: Iterable[object] | None = None, **labels: object
    ) -> Recording:
        """Return the neurons (and stimuli) that meet every condition.

        Parameters
        ----------
        min_reliability
            Keep neurons whose split-half reliability (Spearman-Brown, 100 splits, seed 0) is at least this; those whose
            reliability is not defined are left out. A coordinate ``reliability`` is used where there is one.
        stimuli
            Ids to keep, in this order.
        labels
            A coordinate of the neurons and a value or list of values: ``area="VISp"``, ``layer=["4", "5"]``.

        Raises
        ------
        MurineError
            If a coordinate or value does not exist, or nothing is left.
        """
        keep = np.ones(self.n_neuroids, dtype=bool)
        for key, wanted in labels.items():
            values = self[key]
            if values.shape != (self.n_neuroids,):
                raise MurineError(f"{key!r} is no coordinate of the neurons of {self.name!r}.")
            several = isinstance(wanted, (list, tuple, set, frozenset, np.ndarray))
            options = as_labels(tuple(wanted) if several else (wanted,), key)  # type: ignore[arg-type]
            if values.dtype.kind == "f":  # 175, 175.0 and "175.0" are one depth
                values = np.array(as_labels(values, key, missing="nan"), dtype=str)
                options = tuple(_as_number(option) for option in options)
            values = values.astype(str)
            for option in options:
                if option not in values:
                    known = sorted(set(values))
                    raise MurineError(
                        f"no neuron of {self.name!r} has {key} {option!r}{nearest(option, known) or '.'} "
                        f"Values: {some(known, 30)}."
                    )
            keep &= np.isin(values, options)
        chosen = self if keep.all() else self._take(neuroid=np.flatnonzero(keep))
        if min_reliability is not None and chosen.n_neuroids:
            if "reliability" in self.dataset.coords:
                reliability = chosen["reliability"]
            else:
                from murine.cortex.reliability import split_half

                reliability = split_half(chosen.responses)
            chosen = chosen._take(neuroid=np.flatnonzero(reliability >= min_reliability))
        if not chosen.n_neuroids:
            asked = {**labels, **({} if min_reliability is None else {"min_reliability": min_reliability})}
            raise MurineError(f"no neuron of {self.name!r} meets {asked}.")
        if stimuli is not None:
            stimuli = as_labels(tuple(stimuli), "stimuli")
            position = {stimulus: i for i, stimulus in enumerate(self.stimulus_ids)}
            missing = [stimulus for stimulus in stimuli if stimulus not in position]
            if missing:
                raise MurineError(
                    f"{self.name!r} has no responses to {some(missing)}; it has responses to "
                    f"{some(self.stimulus_ids, 3)}."
                )
            chosen = chosen._take(stimulus=[position[stimulus] for stimulus in stimuli])
        return chosen

    def sites(self, *coordinates: str, min_neuroids: int = 2) -> dict[Site, Int[np.ndarray, " n_members"]]:
        """Group the neurons by coordinates, for example ``sites("area", "layer")``.

        Without coordinates a site is an area; a recording that names no area is one site.

        Returns sites in sorted order with the positions of their neurons. Neurons with an empty label belong to no
        site; groups of fewer than ``min_neuroids`` are left out.
        """
        if not coordinates and not any(self["area"].astype(str)) and self.n_neuroids >= min_neuroids:
            return {Site("all neurons", {}): np.arange(self.n_neuroids)}
        table = pd.DataFrame({c: self[c].astype(str) for c in coordinates or ("area",)})
        sites: dict[Site, Int[np.ndarray, " n_members"]] = {}
        for values, rows in sorted(table.groupby(list(table.columns)).indices.items(), key=lambda kv: str(kv[0])):
            labels = dict(zip(table.columns, values if isinstance(values, tuple) else (values,), strict=True))
            if all(labels.values()) and len(rows) >= min_neuroids:
                sites[Site.of(labels)] = np.asarray(rows)
        if not sites:
            raise MurineError(
                f"{self.name!r} has no group of at least {min_neuroids} neurons by {', '.join(table.columns)}."
            )
        return sites

    def unseen(self) -> tuple[str, ...]:
        """Return the ids of the stimuli to which no neuron has a valid trial (finite)."""
        seen = np.isfinite(self.responses).any(axis=(0, 2))
        return tuple(i for i, known in zip(self.stimulus_ids, seen, strict=True) if not known)

    def usable(self) -> tuple[Recording, dict[str, tuple[str, ...]]]:
        """Leave out neurons that cannot be compared, and say which and why.

        A neuron goes if some stimulus has no valid trial for it (NaN or infinite), or if its mean response is the
        same to every stimulus. Returns the rest and the ids of the others by reason."""
        means = self.mean()
        known = np.isfinite(means)
        finite = known.all(axis=1)
        with np.errstate(invalid="ignore"):
            varying = np.where(finite, np.ptp(means, axis=1) > 0, True)
        ids = self["neuroid_id"].astype(str)
        left_out = {"missing responses": tuple(ids[~finite]), "constant responses": tuple(ids[~varying])}
        left_out = {reason: names for reason, names in left_out.items() if names}
        # Which stimuli, the most frequent first: one that was never shown leaves out every neuron.
        n_lacking = (~known).sum(axis=0)
        lacking = [self.stimulus_ids[i] for i in np.argsort(-n_lacking, kind="stable") if n_lacking[i]]
        where = {"missing responses": f" (no valid trial of {some(lacking)})"}
        for reason, names in left_out.items():
            told = some(names) + where.get(reason, "")
            log.warning("%s: %d neurons left out for %s: %s", self.name, len(names), reason, told)
        keep = np.flatnonzero(finite & varying)
        if not len(keep):
            reasons = "; ".join(f"{len(names)} with {why}{where.get(why, '')}" for why, names in left_out.items())
            unseen = self.unseen()
            advice = (
                f" Leave out the stimuli that no neuron has seen: Recording.select(stimuli=...) without {some(unseen)}."
                if unseen and len(unseen) < self.n_stimuli
                else ""
            )
            raise MurineError(f"no neuron of {self.name!r} can be used: {reasons}.{advice}")
        return (self if not left_out else self._take(neuroid=keep)), left_out

    def mean(self, repetitions: Sequence[int] | slice = slice(None)) -> Float[np.ndarray, "n_neuroids n_stimuli"]:
        """Return the mean over repetitions (float64); infinite trials count as missing, NaN where none is left."""
        trials = self.responses[:, :, repetitions]
        valid = np.isfinite(trials)
        count = valid.sum(axis=2)
        total = np.where(valid, trials, 0).sum(axis=2, dtype=np.float64)
        return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)

    def odd_even(self) -> Halves:
        """Return the means over the 1st, 3rd, 5th ... and over the 2nd, 4th, 6th ... repetition."""
        if self.n_repetitions < 2:
            raise MurineError(
                f"{self.name!r} has {self.n_repetitions} repetition; halves and ceilings need at least 2."
            )
        return self.mean(slice(0, None, 2)), self.mean(slice(1, None, 2))


def join(recordings: Sequence[Recording], name: str = "recording") -> Recording:
    """Join recordings into one with all of their neurons, by ``neuroid_id``.

    Parameters
    ----------
    recordings
        With responses to the same stimuli, in any order.
    name
        Of the result.

    Returns
    -------
    joined
        Neurons in the order in which they first occur, stimuli in that of the first recording. A neuron that occurs
        again has the repetitions of both, in the order of the recordings; its labels that are ids are joined by ``+``
        where they differ, and its other labels and measurements are those of its first occurrence. Repetitions that a
        neuron has fewer than others are NaN; a label that a recording lacks is '' or NaN.

    Raises
    ------
    MurineError
        If there is none, or their stimuli differ.
    """
    if not recordings:
        raise MurineError("there are no recordings to join.")
    stimuli = recordings[0].stimulus_ids
    for other in recordings[1:]:
        odd = set(stimuli) ^ set(other.stimulus_ids)
        if odd:
            raise MurineError(
                f"{other.name!r} and {recordings[0].name!r} cannot be joined: only one of them has {some(sorted(odd))}."
            )
    labels = [_labels(recording) for recording in recordings]
    everything = pd.concat(labels, ignore_index=True)
    for column in everything.select_dtypes(object).columns:
        everything[column] = everything[column].where(everything[column].notna(), "")
    rows, neuroid_ids = pd.factorize(everything["neuroid_id"])  # row in the result of every row that is joined
    sizes = np.repeat([r.n_repetitions for r in recordings], [len(table) for table in labels])
    starts = pd.Series(sizes).groupby(rows).cumsum().to_numpy() - sizes
    n_repetitions = int((starts + sizes).max(initial=0))
    responses = np.full((len(neuroid_ids), len(stimuli), n_repetitions), np.nan, np.float32)
    first = 0
    for recording, table in zip(recordings, labels, strict=True):
        position = {stimulus: i for i, stimulus in enumerate(recording.stimulus_ids)}
        order = [position[stimulus] for stimulus in stimuli]
        members = slice(first, first + len(table))
        for start in np.unique(starts[members]):
            new = np.flatnonzero(starts[members] == start)
            responses[rows[members][new], :, start : start + recording.n_repetitions] = recording.responses[new][
                :, order
            ]
        first += len(table)
    once = everything.drop_duplicates("neuroid_id")
    for column in (
        [c for c in everything.columns if c.endswith("_id") and c != "neuroid_id"] if len(once) < len(rows) else []
    ):
        together = everything.groupby(rows, sort=True)[column].agg(
            lambda ids: "+".join(filter(None, dict.fromkeys(ids)))
        )
        once = once.assign(**{column: together.to_numpy()})
    about_stimuli = {
        str(key): values.values for key, values in recordings[0].dataset.coords.items() if values.dims == ("stimulus",)
    }
    return Recording.from_arrays(
        responses, {str(column): once[column].to_numpy() for column in once}, about_stimuli, name=name
    )


def _labels(recording: Recording) -> pd.DataFrame:
    """The coordinates of the neurons as a table; ids and texts as plain strings."""
    coords = recording.dataset.coords.items()
    table = pd.DataFrame({str(key): recording[str(key)] for key, values in coords if values.dims == ("neuroid",)})
    for column in table.columns:
        if column.endswith("_id") or table[column].dtype.kind not in "fiub":
            table[column] = table[column].astype(str).astype(object)
    return table


def _column(key: str, values: ArrayLike) -> np.ndarray:
    """Return a coordinate as an array: ids and texts as text, '' where missing; numbers as they are.

    The ids of neurons and stimuli may not be missing.
    """
    column = values if np.ma.isMaskedArray(values) else np.asarray(values)
    if key.endswith("_id") or column.dtype.kind in "OUS":
        missing = None if key in ("neuroid_id", "stimulus_id") else ""
        given = values if isinstance(values, list | tuple) else column  # an array of a mixture has it as text already
        return np.array(as_labels(given, key, missing=missing), dtype=str)
    return unmasked(column)


def _as_number(label: str) -> str:
    """Return the label of the number that a text names, or the text."""
    try:
        return as_labels((float(label),), "numbers", missing="nan")[0]
    except ValueError:
        return label


def _look_through_apart(file: Path) -> None:
    now = fingerprint(file)
    if now not in _harmless:
        read_apart(file, look_through, file, _MOST_LABELS)
        if now is not None:
            _harmless.add(now)
