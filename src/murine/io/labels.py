"""Labels as text: ids of stimuli and neurons, names of sites and areas."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import numpy as np

from murine.errors import MurineError

#: Whole numbers below this are exact as float64.
_EXACT = 2.0**53


def as_labels(values: Iterable[object], what: str = "ids", *, missing: str | None = None) -> tuple[str, ...]:
    """Return labels as text, so that the same label is the same text whatever type it came in.

    HDF5 and older NumPy files store text as bytes, and pandas stores a column of whole numbers with a gap as floats. So
    ``b"7"``, ``7``, ``7.0`` and ``"7"`` all become ``"7"``. Accents are joined with their letters (NFC), because file
    names on a Mac separate them.

    Parameters
    ----------
    values
        (n,): text, bytes in UTF-8, numbers, or a mixture; any sequence, array, Series or DataArray.
    what
        What the labels are, for messages.
    missing
        The text for labels that are missing (None, NaN, NaT, masked). Without it they are refused.

    Raises
    ------
    MurineError
        If a label is missing, or is bytes that are not UTF-8, or if ``values`` is one text or not one-dimensional.

    Examples
    --------
    >>> as_labels([b"im001", "im002", 3, 4.0])
    ('im001', 'im002', '3', '4')
    >>> as_labels([1.0, float("nan")], missing="")
    ('1', '')
    """
    if isinstance(values, str | bytes):
        raise MurineError(f"the {what} must be a sequence with one label for each item; got the one text {values!r}.")
    if hasattr(values, "dtype"):
        values = values if isinstance(values, np.ndarray) else np.asarray(values)
        if values.ndim != 1:
            raise MurineError(f"the {what} must be one-dimensional; got an array of shape {values.shape}.")
        if values.dtype.kind == "U" and not np.ma.isMaskedArray(values):
            return tuple(unicodedata.normalize("NFC", text) for text in values.tolist())
    texts = []
    for position, value in enumerate(values):
        if not _is_missing(value):
            texts.append(_text(value, what))
        elif missing is not None:
            texts.append(missing)
        else:
            raise MurineError(f"the {what} have a missing value at position {position}; each item needs a label.")
    return tuple(texts)


def _is_missing(value: object) -> bool:
    if value is None or value is np.ma.masked:
        return True
    if isinstance(value, float | np.floating):
        return bool(np.isnan(value))
    if isinstance(value, np.datetime64 | np.timedelta64):
        return bool(np.isnat(value))
    # pandas.NA and pandas.NaT, without importing pandas where nothing of it is here
    return type(value).__name__ in ("NAType", "NaTType")


def _text(value: object, what: str) -> str:
    if isinstance(value, bytes):
        try:
            return unicodedata.normalize("NFC", value.decode())
        except UnicodeDecodeError as error:
            raise MurineError(f"the {what} hold {value!r}, which is not text in UTF-8; decode it first.") from error
    if isinstance(value, float | np.floating):
        number = float(value)
        if number.is_integer() and abs(number) < _EXACT:
            return str(int(number))
    return unicodedata.normalize("NFC", str(value))
