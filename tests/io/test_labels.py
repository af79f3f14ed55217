"""Labels of every type become the same text, and what is no label is refused."""

from __future__ import annotations

import unicodedata

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from murine.errors import MurineError
from murine.io.labels import as_labels

WAYS = {
    "texts": ["7", "10", "é"],
    "bytes": [b"7", b"10", "é".encode()],
    "text and bytes": ["7", b"10", "é".encode()],
    "numbers and text": [7, 10.0, "é"],
    "NumPy texts": np.array(["7", "10", "é"]),
    "NumPy bytes": np.array([b"7", b"10", "é".encode()]),
    "objects": np.array(["7", b"10", "é"], dtype=object),
    "pandas strings": pd.Series(["7", "10", "é"], dtype="string"),
    "Series": pd.Series(["7", "10", "é"]),
    "Index of bytes": pd.Index([b"7", b"10", "é".encode()]),
    "category": pd.Series(["7", "10", "é"], dtype="category"),
    "DataArray": xr.DataArray(["7", "10", "é"], dims="stimulus"),
    "masked without a mask": np.ma.masked_array(["7", "10", "é"]),
    "generator": (str(value) for value in ("7", "10", "é")),
}


@pytest.mark.parametrize("way", WAYS)
def test_labels_are_the_same_text_whatever_type_they_came_in(way):
    found = as_labels(WAYS[way])
    assert found == ("7", "10", "é")
    assert {type(label) for label in found} == {str}


@pytest.mark.parametrize(
    "dtype", ["int64", "uint8", "float32", "float64", "Int64", "Float64", "float16", "int64[pyarrow]"]
)
def test_whole_numbers_have_no_decimals(dtype):
    assert as_labels(pd.Series([0, 7, 117], dtype=dtype)) == ("0", "7", "117")


def test_other_numbers_are_as_numpy_prints_them():
    assert as_labels(np.array([0.1, 2.5], np.float32)) == ("0.1", "2.5")
    assert as_labels([1e300, 2.0**53, float("inf"), True]) == ("1e+300", "9007199254740992.0", "inf", "True")


@pytest.mark.parametrize(
    "values",
    [
        ["a", None],
        [0.0, float("nan")],
        np.array(["2020-01-01", "NaT"], "datetime64[D]"),
        np.ma.masked_array([1, 2], mask=[False, True]),
        np.ma.masked_array(["a", "b"], mask=[False, True]),
        pd.Series([1, None], dtype="Int64"),
        pd.Series(["a", None], dtype="string"),
        pd.Series(pd.to_datetime(["2020-01-01", None])),
    ],
    ids=["None", "NaN", "NaT", "masked number", "masked text", "NA", "NA text", "pandas NaT"],
)
def test_missing_labels_are_refused_or_get_the_text_that_was_asked_for(values):
    with pytest.raises(MurineError, match="ids of stimuli have a missing value at position 1"):
        as_labels(values, "ids of stimuli")
    assert as_labels(values, missing="")[1] == ""


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("abc", "one text 'abc'"),
        (b"abc", "one text"),
        ([b"\xff\xfe"], "not text in UTF-8"),
        (np.array([["a", "b"]]), r"shape \(1, 2\)"),
        (np.array("a"), r"shape \(\)"),
    ],
)
def test_what_is_no_sequence_of_labels_is_refused(values, message):
    with pytest.raises(MurineError, match=message):
        as_labels(values)


@pytest.mark.parametrize("kind", [list, np.array, lambda texts: [text.encode() for text in texts]])
def test_accents_have_one_spelling(kind):
    """A Mac names files with accents apart from their letters."""
    apart, together = unicodedata.normalize("NFD", "für"), unicodedata.normalize("NFC", "für")
    assert apart != together
    assert as_labels(kind([apart, together])) == (together, together)
