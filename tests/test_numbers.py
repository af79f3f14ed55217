"""The numbers of a small set of commands are those stored, and the tool that compares numbers finds each difference.

The stored file is from one machine. Another processor, BLAS or version of PyTorch rounds the float32 features
differently, and some metrics enlarge this: ranks swap, and ridge and PLS divide by small singular values. With SSE
instead of AVX2 in PyTorch, oneDNN and OpenBLAS, numbers change by up to 1e-5. A tolerance of 1e-6 would fail there, so
it is 1e-4. `tools/check_numbers.py` compares to the last bit, on one machine."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STORED = json.loads((ROOT / "tests/reference/numbers.json").read_text("utf-8"))
TOLERANCE = 1e-4

_specification = importlib.util.spec_from_file_location("check_numbers", ROOT / "tools/check_numbers.py")
check_numbers = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(check_numbers)


@pytest.mark.parametrize("group", check_numbers.SMALL)
def test_numbers_are_those_stored(murine, tmp_path, monkeypatch, group):
    monkeypatch.chdir(tmp_path)

    def run(arguments):
        ran = murine(*arguments)
        assert ran.code == 0, ran.err
        return ran.out

    tables = dict(check_numbers.tables_of(group, check_numbers.SMALL[group], tmp_path, run))
    stored = {name: table for name, table in STORED.items() if name.partition(":")[0] == group}
    assert stored
    numbers, _ = check_numbers.differences(stored, tables, TOLERANCE)
    assert not numbers, "\n".join(numbers)


def test_every_group_is_stored():
    assert {name.partition(":")[0] for name in STORED} == set(check_numbers.SMALL)


TABLE = 'network,task,score,draws,flag,above\na,1,0.1,"[0.5, nan]",,True\nb,2,,,dead,False\n'


def read(text: str) -> dict[str, dict[str, dict[str, object]]]:
    return {"table": check_numbers.read_table(text, ["network"])}


def test_tables_are_read_with_all_digits():
    table = read(TABLE)["table"]
    assert table["b"] == {"score": None, "draws": None, "flag": "dead", "above": False}
    assert table["a"]["score"] == 0.1
    assert table["a"]["draws"][0] == 0.5
    assert math.isnan(table["a"]["draws"][1])
    assert check_numbers.count_numbers(table) == 3


@pytest.mark.parametrize("tolerance", [0, 1e-6])
def test_equal_tables_have_no_differences(tolerance):
    stored = json.loads(json.dumps(read(TABLE)))
    other_task = TABLE.replace("a,1,", "a,3,")
    assert check_numbers.differences(stored, read(other_task), tolerance) == ([], [])


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("0.1,", f"{math.nextafter(0.1, 1)!r},", "table: score of a was 0.1, is 0.10000000000000002"),
        ("b,2,,", "b,2,nan,", "table: score of b was None, is nan"),
        ("0.5, nan", "nan, 0.5", "table: draws of a was [0.5, nan], is [nan, 0.5]"),
        ("0.5, nan", "0.5", "table: draws of a was [0.5, nan], is [0.5]"),
        ("True", "False", "table: above of a was True, is False"),
        ("dead", "", "table: flag of b was 'dead', is None"),
        ("b,2", "c,2", "table: the row b is gone"),
        ("score", "result", "table: the column score is gone"),
    ],
)
def test_each_difference_is_named(old, new, found):
    numbers, texts = check_numbers.differences(read(TABLE), read(TABLE.replace(old, new)))
    assert numbers[0] == found
    assert not texts


def test_only_differences_above_the_tolerance_count():
    for factor, different in ((1 + 0.9e-6, False), (1 + 1.1e-6, True)):
        stored, new = ({"table": {"row": {"score": score}}} for score in (50.0, 50.0 * factor))
        assert bool(check_numbers.differences(stored, new, 1e-6)[0]) is different
        assert check_numbers.differences(stored, new)[0]


def test_texts_that_differ_are_told_but_do_not_count():
    numbers, texts = check_numbers.differences(read(TABLE), read(TABLE.replace("dead", "constant")))
    assert (numbers, texts) == ([], ["table: flag was 'dead', is 'constant' (1 rows)"])


def test_renamed_columns_are_compared_with_their_old_names(monkeypatch):
    monkeypatch.setattr(check_numbers, "RENAMED", {"result": "score"})
    assert check_numbers.differences(read(TABLE), read(TABLE.replace("score", "result"))) == ([], [])


def test_rows_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two rows are named 'a': the columns network do not tell them apart"):
        read(TABLE.replace("b,2", "a,2"))
