"""Recordings from tables of trials: one row for each trial of each neuron."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from murine.cortex.presentations import repetition_positions, same_labels
from murine.cortex.recording import Recording
from murine.errors import MurineError, nearest, reason_of, some
from murine.io.files import read_table
from murine.io.isolation import read_apart
from murine.io.labels import as_labels

log = logging.getLogger(__name__)

#: The most that responses may take, with a place for every neuron, stimulus and repetition.
_MOST_BYTES = 8 << 30


def recording_of_trials(
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
    """Make a recording of a table of trials; `Recording.from_frame` documents the parameters."""
    if not isinstance(frame, pd.DataFrame):
        raise MurineError(f"the trials of {name!r} are a {type(frame).__name__}; expected a pandas DataFrame.")
    columns = [str(column) for column in frame.columns]
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise MurineError(f"the table of {name!r} has several columns with one name: {some(twice)}. Rename them.")
    table = frame.set_axis(columns, axis="columns").reset_index(drop=True)
    repetition = repetition or ("repetition" if "repetition" in table else None)
    area = area or ("area" if "area" in table else None)
    used = {"neuroid": neuroid, "stimulus": stimulus, "response": response, "repetition": repetition, "area": area}
    for parameter, column in used.items():
        if column is not None and column not in table:
            levels = [str(level) for level in frame.index.names if level is not None]
            inside = f" Its index has {', '.join(levels)}: call reset_index() first." if levels else ""
            option = f"{parameter}=COLUMN (--{parameter} COLUMN of `murine data import`)"
            raise MurineError(_no_column(table, name, column, option) + inside)
    if table.empty:
        raise MurineError(f"the table of {name!r} has no rows; expected one for each trial of each neuron.")
    neuron, neuron_ids = _ids(table, neuroid, name)
    shown, stimulus_ids = _ids(table, stimulus, name)
    trials = _numbers(table, response, name)
    position = _positions(table, repetition, neuron, shown, len(stimulus_ids), name)
    _refuse_twice(neuron_ids[neuron], stimulus_ids[shown], position, repetition, name)
    chosen = [column for column in columns if column not in used.values()] if labels is None else list(labels)
    about_neurons, about_stimuli = _labels(table, chosen, area, neuron, neuron_ids, shown, name)
    shape = (len(neuron_ids), len(stimulus_ids), int(position.max()) + 1)
    if 4 * np.prod(shape, dtype=np.float64) > _MOST_BYTES:
        raise MurineError(
            f"the {len(table)} rows of {name!r} name {shape[0]} neurons, {shape[1]} stimuli and {shape[2]} "
            f"repetitions, which is more than {_MOST_BYTES >> 30} GiB of responses. Is {stimulus!r} the column of "
            f"stimulus ids, and {neuroid!r} that of the neurons?"
        )
    responses = np.full(shape, np.nan, np.float32)
    with np.errstate(over="ignore"):  # what no float32 holds becomes infinite, which is missing
        responses[neuron, shown, position] = trials
    return Recording.from_arrays(
        responses,
        {"neuroid_id": neuron_ids, **about_neurons},
        {"stimulus_id": stimulus_ids, **about_stimuli},
        name=name,
    )


def read_trials(
    file: str | Path,
    *,
    stimulus: str = "stimulus",
    neuroid: str = "neuroid",
    response: str = "response",
    repetition: str | None = None,
    area: str | None = None,
    labels: Sequence[str] | None = None,
) -> Recording:
    """Read a table of trials from a ``.csv`` file (commas, UTF-8, a header) or a ``.parquet`` file.

    The parameters are those of `Recording.from_frame`. Ids in a csv file are read as text, so ``001`` stays ``001``;
    ``7.0`` is ``7``, as everywhere in murine.

    Raises
    ------
    MurineError
        If the file is missing or damaged, or its table does not fit.
    """
    path = Path(file)
    if path.suffix.lower() == ".parquet":
        frame = read_apart(path, _read_parquet, path)
    else:
        frame = read_table(path, (), text=(stimulus, neuroid))
        if len(frame.columns) == 1 and (separator := re.search(r"[;\t|]", frame.columns[0])):
            raise MurineError(
                f"the columns of {str(file)!r} are separated by {separator[0]!r}; expected commas. Write the table "
                "with pandas.DataFrame.to_csv, or export it with commas."
            )
        frame = frame.loc[:, [not column.startswith("Unnamed: ") for column in frame.columns]]  # an index of pandas
        for column in {stimulus, neuroid} & {*frame.columns}:
            frame[column] = frame[column].str.replace(r"^(-?\d+)\.0$", r"\1", regex=True)
    return recording_of_trials(
        frame,
        stimulus=stimulus,
        neuroid=neuroid,
        response=response,
        repetition=repetition,
        area=area,
        labels=labels,
        name=path.stem,
    )


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise MurineError(f"there is no file {str(path)!r}.") from None
    except Exception as error:  # of what pyarrow raises for damage there is no end
        raise MurineError(
            f"{str(path)!r} is no readable Parquet table ({reason_of(error)}); it may be truncated."
        ) from error


def _no_column(table: pd.DataFrame, name: str, column: str, option: str) -> str:
    return (
        f"the table of {name!r} has no column {column!r}{nearest(column, table.columns) or '.'} It has "
        f"{some(table.columns, 20) or 'none'}; say with {option} which one it is."
    )


def _rows(positions: Iterable[int]) -> str:
    """Rows of a table in words, counted from 1."""
    return some([int(position) + 1 for position in positions])


def _ids(table: pd.DataFrame, column: str, name: str) -> tuple[Int[np.ndarray, " n_rows"], np.ndarray]:
    """The ids of a column: for each row the position of its id, and the ids in the order of their first row."""
    texts = np.array(as_labels(table[column], f"column {column!r} of {name!r}", missing=""), dtype=str)
    lacking = np.flatnonzero(texts == "")
    if len(lacking):
        raise MurineError(
            f"the column {column!r} of {name!r} has no value in {len(lacking)} of {len(table)} rows: row "
            f"{_rows(lacking)} (the first one below the header is 1). Each trial needs a neuron and a stimulus: fill "
            "in the ids, or leave these rows out."
        )
    positions, ids = pd.factorize(texts)
    return positions, np.asarray(ids, dtype=str)


def _numbers(table: pd.DataFrame, column: str, name: str) -> Float[np.ndarray, " n_rows"]:
    """The responses; NaN where there is none."""
    given = table[column]
    if given.dtype.kind in "mMc":
        raise MurineError(f"the column {column!r} of {name!r} holds {given.dtype}; expected responses as real numbers.")
    values = pd.to_numeric(given, errors="coerce")
    odd = np.flatnonzero(values.isna() & given.notna())
    if len(odd):
        found = ", ".join(repr(given.iloc[i]) for i in odd[:3])
        raise MurineError(
            f"the column {column!r} of {name!r} holds {found} in row {_rows(odd)} (the first one below the header is "
            "1); expected numbers. A missing trial is empty or NaN."
        )
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def _positions(
    table: pd.DataFrame,
    repetition: str | None,
    neuron: Int[np.ndarray, " n_rows"],
    shown: Int[np.ndarray, " n_rows"],
    n_stimuli: int,
    name: str,
) -> Int[np.ndarray, " n_rows"]:
    """The position of each row along the repetitions."""
    if repetition is None:
        return repetition_positions(None, neuron * n_stimuli + shown)
    given = table[repetition]
    lacking = np.flatnonzero(given.isna())
    if len(lacking):
        raise MurineError(
            f"the column {repetition!r} of {name!r} has no value in {len(lacking)} of {len(table)} rows: row "
            f"{_rows(lacking)} (the first one below the header is 1). Fill them in, or drop the column: then the "
            "trials of each neuron and stimulus are counted in the order of the rows."
        )
    positions = repetition_positions(np.asarray(given), shown)
    n_total, n_most = len(np.unique(positions)), pd.Series(positions).groupby(shown).nunique().max()
    if n_total > 2 * n_most:
        raise MurineError(
            f"the column {repetition!r} of {name!r} has {n_total} different values, but no stimulus has more than "
            f"{n_most}: it counts the trials of a session, not the repetitions of a stimulus. Number them from 0 for "
            "each stimulus, or drop the column: then the trials of each neuron and stimulus are counted in the order "
            "of the rows."
        )
    return positions


def _refuse_twice(
    neuron: np.ndarray, shown: np.ndarray, position: Int[np.ndarray, " n_rows"], repetition: str | None, name: str
) -> None:
    places = pd.DataFrame({"neuron": neuron, "stimulus": shown, "repetition": position})
    twice = np.flatnonzero(places.duplicated(keep=False))
    if len(twice):
        first = places.iloc[twice[0]]
        same = twice[(places.iloc[twice] == first).all(axis=1)]
        raise MurineError(
            f"{name!r} has several rows for one trial: neuron {first.neuron!r}, stimulus {first.stimulus!r} and one "
            f"{repetition!r} are in row {_rows(same)} (the first one below the header is 1); {len(twice)} rows are "
            "like that. Keep one row for each trial, or number the repetitions."
        )


def _labels(
    table: pd.DataFrame,
    chosen: Sequence[str],
    area: str | None,
    neuron: Int[np.ndarray, " n_rows"],
    neuron_ids: np.ndarray,
    shown: Int[np.ndarray, " n_rows"],
    name: str,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Labels of neurons and of stimuli; what is neither is refused."""
    of_neuron, of_stimulus = (np.unique(positions, return_index=True)[1] for positions in (neuron, shown))
    about_neurons, about_stimuli = {}, {}
    for column in [*([] if area is None else [area]), *(column for column in chosen if column != area)]:
        if column not in table:
            raise MurineError(
                _no_column(table, name, column, "labels=COLUMNS (--labels COLUMNS of `murine data import`)")
            )
        key = "area" if column == area else column
        if key in about_neurons or key in ("neuroid_id", "stimulus_id", "repetition"):
            raise MurineError(f"the column {column!r} of {name!r} has a name that another column takes: rename it.")
        values = _plain(table[column])
        if same_labels(values, values[of_neuron][neuron]):
            about_neurons[key] = values[of_neuron]
        elif key != "area" and same_labels(values, values[of_stimulus][shown]):
            about_stimuli[key] = values[of_stimulus]
        else:
            odd = next(i for i, first in enumerate(of_neuron[neuron]) if not same_labels(values[[i]], values[[first]]))
            members = pd.unique(table[column][neuron == neuron[odd]])
            raise MurineError(
                f"the column {column!r} of {name!r} differs between trials of neuron {str(neuron_ids[neuron[odd]])!r}: "
                f"{some(members)}. A label of neurons must be the same in all rows of a neuron. Correct it, or name "
                "the columns to keep with labels=[...] (--labels A,B of `murine data import`; '' for none)."
            )
    return about_neurons, about_stimuli


def _plain(column: pd.Series) -> np.ndarray:
    """A column as an array of NumPy's own types; numbers of pandas that may be missing become floats."""
    if isinstance(column.dtype, np.dtype):
        return column.to_numpy()
    if pd.api.types.is_numeric_dtype(column) and not isinstance(column.dtype, pd.CategoricalDtype):
        return (
            column.to_numpy(dtype=np.float64, na_value=np.nan) if column.isna().any() else np.asarray(column.tolist())
        )
    return column.astype(object).where(column.notna(), np.nan).to_numpy()
