"""Plain arrays in NumPy's files: responses in ``.npy`` and ``.npz``, dissimilarity matrices in ``.npz``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from murine.cortex.file_names import files_beside
from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Recording, Site
from murine.errors import MurineError, some
from murine.io.files import read_npz, read_table
from murine.io.labels import as_labels


def read_array(
    file: str | Path, *, stimulus_ids: str | Path | None = None, neurons: str | Path | None = None
) -> Recording:
    """Read responses from a ``.npy`` file, with labels from text files.

    Parameters
    ----------
    file
        An array (n_neuroids, n_stimuli) or (n_neuroids, n_stimuli, n_repetitions) of real numbers; missing trials are
        NaN. Pickles are never loaded.
    stimulus_ids
        A ``.txt`` file with one stimulus id a line, or a ``.csv`` file with a column ``stimulus_id`` and any labels.
        Default: ``NAME_stimuli.txt`` or ``NAME_stimuli.csv`` beside ``NAME.npy``.
    neurons
        The same for the neurons, with ``neuroid_id``. Default: ``NAME_neurons.txt`` or ``NAME_neurons.csv`` beside it;
        without one, neurons are called ``0``, ``1``, ``2`` and so on.

    Raises
    ------
    MurineError
        If a file is missing or damaged, or there is not one label for each stimulus and neuron.
    """
    path = Path(file)
    array = _read_npy(path)
    beside = files_beside(path)
    named = {"stimulus": stimulus_ids or beside.get("stimulus"), "neuroid": neurons or beside.get("neuroid")}
    if array.ndim not in (2, 3):
        raise MurineError(
            f"{str(file)!r} holds an array of shape {array.shape}; expected (n_neuroids, n_stimuli) or (n_neuroids, "
            "n_stimuli, n_repetitions)."
        )
    if named["stimulus"] is None:
        raise MurineError(
            f"{str(file)!r} came without stimulus ids, so its responses cannot be matched to images. Write one id a "
            f"line into {str(path.with_name(path.stem + '_stimuli.txt'))!r}, or name such a file with "
            "stimulus_ids=FILE (--stimulus-ids FILE of `murine data import`)."
        )
    about: dict[str, Mapping[str, ArrayLike]] = {"neuroid": {"neuroid_id": np.arange(len(array))}}
    for axis, (dimension, labels) in enumerate(reversed(named.items())):
        if labels is None:
            continue
        about[dimension] = _read_labels(Path(labels), f"{dimension}_id")
        n_labels = len(np.asarray(about[dimension][f"{dimension}_id"]))
        if n_labels != array.shape[axis]:
            turned = array.ndim == 2 and n_labels == array.shape[1 - axis]
            advice = " The array seems to be transposed: the first axis is that of the neurons." if turned else ""
            raise MurineError(
                f"{str(labels)!r} has {n_labels} {dimension} ids; axis {axis} of {str(file)!r}, of shape "
                f"{array.shape}, has {array.shape[axis]}.{advice}"
            )
    return Recording.from_arrays(array, about["neuroid"], about["stimulus"], name=path.stem)


def _read_npy(path: Path) -> np.ndarray:
    try:
        # Mapped first: the size that the header declares is held against the file before memory is taken for it.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        return np.array(array)
    except FileNotFoundError:
        raise MurineError(f"there is no file {str(path)!r}.") from None
    except (OSError, ValueError, EOFError, MemoryError, SyntaxError) as error:
        pickled = "object" in str(error).lower()
        reason = (
            "it holds pickled objects, which may run anything and are never loaded. Save an array of numbers "
            "(numpy.save(..., array.astype(float)))"
            if pickled
            else f"{error}; it may be truncated"
        )
        raise MurineError(f"{str(path)!r} is no readable npy file ({reason}).") from error


def _read_labels(path: Path, key: str) -> Mapping[str, ArrayLike]:
    """Labels from a text file of ids, a line each, or a csv file with a column of ids."""
    if path.suffix.lower() == ".csv":
        table = read_table(path, (key,), text=(key,))
        return {str(column): table[column].to_numpy() for column in table}
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except FileNotFoundError:
        raise MurineError(f"there is no file {str(path)!r}; expected one {key} a line.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise MurineError(
            f"{str(path)!r} is no readable text in UTF-8 ({error}); expected one {key} a line."
        ) from error
    empty = [number for number, line in enumerate(lines, 1) if not line.strip()]
    if empty:
        raise MurineError(f"{str(path)!r} has no id in line {some(empty)}; expected one {key} a line.")
    return {key: [line.strip() for line in lines]}


def read_arrays(file: str | Path) -> Recording | NeuralRDMs:
    """Read responses or dissimilarity matrices from an ``.npz`` file.

    Parameters
    ----------
    file
        Either ``responses`` (n_neuroids, n_stimuli[, n_repetitions]) and ``stimulus_ids``, with or without
        ``neuroid_ids``; or ``matrices`` (n_sites, n_stimuli, n_stimuli; dissimilarities), ``sites`` (names) and
        ``stimulus_ids``, with or without ``reliability`` and ``reliability_sem``. Arrays ``label_NAME`` are labels of
        the neurons or of the sites, as ``label_area``.

    Raises
    ------
    MurineError
        If the file is missing or damaged, lacks an array, or shapes do not fit. Pickles are never loaded.
    """
    path = Path(file)
    arrays = read_npz(path)
    if "responses" not in arrays:
        return _rdms(path, arrays)
    _require(path, arrays, ("stimulus_ids",))
    labels = {key.removeprefix("label_"): values for key, values in arrays.items() if key.startswith("label_")}
    n_neuroids = len(arrays["responses"]) if arrays["responses"].ndim else 0
    ids = arrays.get("neuroid_ids", np.arange(n_neuroids))
    return Recording.from_arrays(
        arrays["responses"], {**labels, "neuroid_id": ids}, {"stimulus_id": arrays["stimulus_ids"]}, name=path.stem
    )


def _require(path: Path, arrays: Mapping[str, np.ndarray], keys: tuple[str, ...]) -> None:
    missing = [key for key in keys if key not in arrays]
    if missing:
        raise MurineError(f"{str(path)!r} has no array {', '.join(missing)}; it has {', '.join(arrays) or 'none'}.")


def _rdms(path: Path, arrays: Mapping[str, np.ndarray]) -> NeuralRDMs:
    _require(path, arrays, ("matrices", "sites", "stimulus_ids"))
    names = as_labels(arrays["sites"], f"sites of {str(path)!r}")
    labels: list[dict[str, str]] = [{} for _ in names]
    for key in (key for key in arrays if key.startswith("label_")):
        if arrays[key].shape != (len(names),):
            raise MurineError(f"{key} of {str(path)!r} has shape {arrays[key].shape}; expected one for each site.")
        for own, value in zip(labels, as_labels(arrays[key], key, missing=""), strict=True):
            own |= {key.removeprefix("label_"): value} if value else {}
    sites = tuple(Site(site, own or {"area": site}) for site, own in zip(names, labels, strict=True))
    unknown = np.full(len(sites), np.nan)
    return NeuralRDMs(
        np.asarray(arrays["matrices"], dtype=np.float64),
        sites,
        as_labels(arrays["stimulus_ids"], f"stimulus ids of {str(path)!r}"),
        np.asarray(arrays.get("reliability", unknown), dtype=np.float64),
        np.asarray(arrays.get("reliability_sem", unknown), dtype=np.float64),
        path.stem,
    )
