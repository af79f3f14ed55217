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

from murine.cortex.constructors import Constructors, coordinate_values
from murine.cortex.recording_files import open_dataset, write_dataset
from murine.errors import MurineError, nearest, some
from murine.io.labels import as_labels

log = logging.getLogger(__name__)

Halves = tuple[Float[np.ndarray, "n_neuroids n_stimuli"], Float[np.ndarray, "n_neuroids n_stimuli"]]


@dataclass(frozen=True)
class Site:
    """A named group of neurons that a network is compared with.

    Attributes
    ----------
    name
        For example ``VISp`` or ``VISp 2/3``.
    labels
        The coordinate values that its neurons share, for example ``{"area": "VISp", "layer": "2/3"}``.

    Examples
    --------
    >>> Site.of({"area": "VISp", "layer": "2/3"}).name
    'VISp 2/3'
    """

    name: str
    labels: Mapping[str, str] = field(hash=False)

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> Site:
        return cls(" ".join(labels.values()), dict(labels))


class Recording(Constructors):
    """Single-trial responses with labels.

    Parameters
    ----------
    dataset
        Contains ``responses`` with dimensions ``neuroid, stimulus, repetition`` (a missing trial is NaN) and 1-D
        coordinates along them. ``neuroid_id`` and ``stimulus_id`` are required and must be unique; they become text, so
        that ``7``, ``7.0`` and ``b"7"`` are the same id. The coordinate ``area`` is always there ('' if unknown).
        `Recording.from_arrays` builds such a dataset.
    name
        Name of the data in tables; it is not part of the digest.

    Raises
    ------
    MurineError
        If ``dataset`` has no such variable, or ids are missing or repeated.

    Examples
    --------
    >>> from murine.cortex import simulate
    >>> recording = simulate(n_neuroids=10, n_repetitions=4).recording
    >>> recording
    <Recording simulated cortex 0: 30 neuroids x 100 stimuli x 4 repetitions; {'SIMp': 10, 'SIMl': 10, 'SIMam': 10}>
    >>> recording.select(area="SIMp").n_neuroids
    10
    >>> [site.name for site in recording.sites("area")]
    ['SIMam', 'SIMl', 'SIMp']
    >>> recording.write("mine.nc")
    >>> Recording.read("mine.nc").responses.shape
    (30, 100, 4)
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
    def read(cls, file: str | Path, *, isolated: bool = True) -> Recording:
        """Open a NetCDF file written by `write`; responses are read when needed.

        Parameters
        ----------
        isolated
            Whether to check the file in a separate process first, because a damaged file can make the HDF5 library
            crash or hang. This takes a quarter of a second, once for each version of a file. Use False for files that
            are known to be intact.

        Raises
        ------
        MurineError
            If there is no such file, it has another format (the message names it), is damaged, or contains no
            recording.
        """
        path = Path(file)
        return open_dataset(path, lambda dataset: cls(dataset, path.stem), isolated=isolated)

    def write(self, file: str | Path) -> None:
        """Write to a compressed NetCDF-4 file, which appears only when it is complete.

        Responses are stored in blocks of neurons, so that some neurons can be read without the others.
        """
        write_dataset(self.dataset, Path(file))

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
        return coordinate_values(coordinate, values) if values.dtype.kind in "OS" and values.ndim == 1 else values

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
        """The sha256 of ids, labels of the neurons and responses.

        It does not depend on the order of neurons and stimuli.

        Labels are all coordinates of the neurons except measurements (floats), because any label may define sites.
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
        coords = {key: ("neuroid", coordinate_values(key, values)) for key, values in neuroid.items()}
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
            Keep neurons whose split-half reliability (Spearman-Brown, 100 splits, seed 0) is at least this number.
            Neurons with undefined reliability are left out. If there is a coordinate ``reliability``, it is used
            instead.
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
        """Return the recording without neurons that cannot be compared, and the left-out neurons with the reasons.

        A neuron is left out if it has no valid (finite) trial of some stimulus, or if its mean response is the same for
        every stimulus. The ids of these neurons are returned by reason."""
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
        """Return the mean over repetitions (float64).

        Infinite trials count as missing; the mean is NaN if no valid trial is left.
        """
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


def _as_number(label: str) -> str:
    """Return the label of the number that a text names, or the text."""
    try:
        return as_labels((float(label),), "numbers", missing="nan")[0]
    except ValueError:
        return label
