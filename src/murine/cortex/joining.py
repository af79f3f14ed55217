"""Recordings of the same stimuli joined into one with all of their neurons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from murine.cortex.recording import Recording
from murine.errors import MurineError, some


def join(recordings: Sequence[Recording], name: str = "recording") -> Recording:
    """Join recordings into one with all of their neurons, by ``neuroid_id``.

    Parameters
    ----------
    recordings
        Recordings with responses to the same stimuli, in any order.
    name
        Name of the result.

    Returns
    -------
    joined
        Neurons in the order of their first occurrence, and stimuli in the order of the first recording. A neuron that
        is in several recordings has the repetitions of all of them, in the order of the recordings. Its ids are joined
        by ``+`` if they differ; its other labels and measurements are those of its first occurrence. Repetitions that a
        neuron lacks are NaN; a label that a recording lacks is '' or NaN.

    Raises
    ------
    MurineError
        If there are no recordings, or their stimuli differ.

    Examples
    --------
    >>> from murine.cortex import simulate
    >>> from murine.scenes import synthetic_scenes
    >>> images = synthetic_scenes(20, size=32)
    >>> first = simulate(images, n_neuroids=4, n_repetitions=2, seed=0).recording
    >>> second = simulate(images, n_neuroids=4, n_repetitions=2, seed=1).recording
    >>> join([first.select(area="SIMp"), second.select(area="SIMl")], name="two areas")
    <Recording two areas: 8 neuroids x 20 stimuli x 2 repetitions; {'SIMp': 4, 'SIMl': 4}>
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
