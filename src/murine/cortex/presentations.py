"""Presentations: single trials as rows, as other tools store responses."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import ArrayLike

from murine.cortex.recording import Recording
from murine.errors import MurineError, nearest, some
from murine.io.labels import as_labels
from murine.io.masked_arrays import unmasked

log = logging.getLogger(__name__)

#: Presentations that can be left out: those without a valid trial of any neuron, those that not all neurons have, none.
DROPS = ("empty", "incomplete", "none")


@dataclass(frozen=True, eq=False)
class Presentations:
    """Responses with a row for each presentation of a stimulus.

    Attributes
    ----------
    responses
        (n_presentations, n_neuroids); a missing trial is NaN.
    presentation
        Labels of the rows: ``stimulus_id``, ``repetition`` and what else is known, each of length n_presentations.
    neuroid
        Labels of the columns: ``neuroid_id`` and what else is known, each of length n_neuroids.
    """

    responses: Float[np.ndarray, "n_presentations n_neuroids"]
    presentation: Mapping[str, np.ndarray]
    neuroid: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, recording: Recording, drop: str = "empty") -> Presentations:
        """Split a recording into presentations, by stimulus and then by repetition; infinite trials become NaN.

        Parameters
        ----------
        drop
            One of ``DROPS``. With ``empty`` nothing is lost.

        Raises
        ------
        MurineError
            If a stimulus would be left without presentations.
        """
        if drop not in DROPS:
            raise MurineError(f"drop is {drop!r}; expected one of {', '.join(DROPS)}.")
        trials = recording.responses.transpose(1, 2, 0).reshape(-1, recording.n_neuroids)
        valid = np.isfinite(trials)
        keep = {"empty": valid.any(axis=1), "incomplete": valid.all(axis=1)}.get(drop, np.ones(len(trials), bool))
        stimulus = np.repeat(np.arange(recording.n_stimuli), recording.n_repetitions)[keep]
        lost = np.setdiff1d(np.arange(recording.n_stimuli), stimulus)
        if len(lost):
            raise MurineError(
                f"no presentation of {some(recording.stimulus_ids[i] for i in lost)} in {recording.name!r} has valid "
                f"trials of {'all' if drop == 'incomplete' else 'any'} neurons. Choose neurons that were recorded "
                "together or other stimuli (Recording.select), or keep missing trials as NaN (drop='none')."
            )
        about_stimuli = {key: values[stimulus] for key, values in _along(recording, "stimulus").items()}
        repetition = np.tile(np.arange(recording.n_repetitions), recording.n_stimuli)[keep]
        return cls(
            np.where(valid[keep], trials[keep], np.float32("nan")),
            {**about_stimuli, "repetition": repetition},
            _along(recording, "neuroid"),
        )

    @classmethod
    def labelled(
        cls,
        responses: ArrayLike,
        presentation: Mapping[str, ArrayLike],
        neuroid: Mapping[str, ArrayLike],
        *,
        stimulus: str,
        repetition: str | None,
        neuroid_id: str,
        name: str,
    ) -> Presentations:
        """Check rows and columns of other tools, and rename their ids to murine's names.

        Parameters
        ----------
        stimulus, repetition, neuroid_id
            The labels that tell stimuli, repetitions and neurons apart. Without a repetition (None), ``repetition`` if
            there is one.

        Raises
        ------
        MurineError
            If these are missing, or anything is of another size.
        """
        array = unmasked(responses)
        if array.ndim != 2 or not (np.issubdtype(array.dtype, np.number) and np.isrealobj(array)):
            raise MurineError(
                f"{name!r} has shape {array.shape} and dtype {array.dtype}; expected real numbers (n_presentations, "
                "n_neuroids). Average over time or choose one bin first."
            )
        found = []
        for what, size, given in (("presentation", len(array), presentation), ("neuroid", array.shape[1], neuroid)):
            labels = {str(key): column(values, f"{key!r} of {name!r}") for key, values in given.items()}
            odd = [f"{key} {values.shape}" for key, values in labels.items() if values.shape != (size,)]
            if odd:
                raise MurineError(f"{name!r} needs one label per {what}, ({size},); found {some(odd)}.")
            found.append(labels)
        rows, columns = found
        ids = required(rows, stimulus, f"the presentations of {name!r}", "stimulus=...")
        numbers = (
            rows.pop("repetition", None)
            if repetition is None
            else required(rows, repetition, f"the presentations of {name!r}", "repetition=...")
        )
        neuroids = required(columns, neuroid_id, f"the neuroids of {name!r}", "neuroid=...")
        rows = {key: values for key, values in rows.items() if key not in (stimulus, repetition)}
        columns = {key: values for key, values in columns.items() if key != neuroid_id}
        both = sorted({*rows, "repetition", "stimulus_id"} & set(columns))
        if both:
            raise MurineError(f"{name!r} has {some(both)} for presentations and for neuroids: rename one of them.")
        counted = {} if numbers is None else {"repetition": numbers}
        return cls(array, {**rows, "stimulus_id": ids, **counted}, {"neuroid_id": neuroids, **columns})

    def recording(self, name: str = "recording") -> Recording:
        """Make a recording of the presentations, with stimuli in the order in which they first occur.

        Repetitions are put in the order of their numbers; where they have no numbers, in that in which they occur.
        Labels that differ between presentations of a stimulus have no place in a recording: they are left out and
        logged.

        Raises
        ------
        MurineError
            If ids are missing, or two rows are the same repetition of a stimulus.
        """
        labels = dict(self.presentation)
        ids = labels.pop("stimulus_id")
        for what, values in (("stimulus", ids), ("neuron", self.neuroid["neuroid_id"])):
            unnamed = [i for i, label in enumerate(as_labels(values, f"{what} ids", missing="")) if not label]
            if unnamed:
                raise MurineError(f"{name!r} has no {what} id at {some(unnamed)}: what has no id cannot be matched.")
        ids = np.array(as_labels(ids, "stimulus ids"), dtype=str)
        stimulus, stimuli = pd.factorize(ids)
        repetition = repetition_positions(labels.pop("repetition", None), stimulus)
        places = pd.DataFrame({"stimulus": stimulus, "repetition": repetition})
        twice = np.flatnonzero(places.duplicated())
        if len(twice):
            raise MurineError(
                f"{name!r} has several rows for the same repetition of {some(dict.fromkeys(ids[twice]))}: their "
                "'repetition' must differ, or be left out to be counted."
            )
        first = places.drop_duplicates("stimulus").index.to_numpy()
        varying = [key for key, values in labels.items() if not same_labels(values, values[first][stimulus])]
        if varying:
            log.warning("%s: labels that differ between repetitions are left out: %s", name, some(varying, 10))
        shape = (len(stimuli), int(repetition.max(initial=-1)) + 1, len(self.neuroid["neuroid_id"]))
        trials = np.full(shape, np.nan, np.float32)
        with np.errstate(over="ignore"):  # what no float32 holds becomes infinite, which is missing
            trials[stimulus, repetition] = self.responses
        about_stimuli = {key: values[first] for key, values in labels.items() if key not in varying}
        return Recording.from_arrays(
            trials.transpose(2, 0, 1), self.neuroid, {"stimulus_id": stimuli, **about_stimuli}, name=name
        )


def column(values: ArrayLike, what: str) -> np.ndarray:
    """Return labels as an array, which keeps its mask; refuse anything but a plain list of labels."""
    try:
        return np.asanyarray(values) if np.ma.isMaskedArray(values) else np.asarray(values)
    except ValueError as error:
        raise MurineError(f"{what} are no plain labels ({error}).") from error


def required(labels: Mapping[str, np.ndarray], key: str, what: str, option: str) -> np.ndarray:
    """Return a required label; the error names the labels that exist."""
    if key not in labels:
        raise MurineError(
            f"{what} have no {key!r}{nearest(key, labels) or '.'} They have {', '.join(labels) or 'no labels'}; say "
            f"with {option} which of them it is, or add it."
        )
    return labels[key]


def _along(recording: Recording, dimension: str) -> dict[str, np.ndarray]:
    """The coordinates along a dimension; texts as plain strings."""
    found = {}
    for key, coordinate in recording.dataset.coords.items():
        if coordinate.dims == (dimension,):
            values = recording[str(key)]
            found[str(key)] = values if values.dtype.kind in "biuf" else values.astype(str)
    return found


def repetition_positions(labels: np.ndarray | None, group: np.ndarray) -> np.ndarray:
    """Return the position of each row along the dimension of repetitions, from 0.

    Parameters
    ----------
    labels
        (n_rows,): numbers are put in their order, text in the order in which it first occurs. None: the rows of a
        group are counted in their order.
    group
        (n_rows,): what is repeated, as whole numbers: the stimulus, or the pair of neuron and stimulus.
    """
    if labels is None:
        return pd.Series(group).groupby(group).cumcount().to_numpy()
    if labels.dtype.kind in "biuf":
        return np.unique(labels, return_inverse=True)[1]
    return pd.factorize(labels.astype(str))[0]


def same_labels(values: np.ndarray, others: np.ndarray) -> bool:
    """Return whether two columns of labels are equal, row by row; a missing label equals a missing label."""
    return bool(((values == others) | (pd.isna(values) & pd.isna(others))).all())
