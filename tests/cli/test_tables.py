"""Tables as commands print them: a row a line, at every width."""

from __future__ import annotations

import re
import sys

import pandas as pd
import pytest

from murine.cli.common import quieten
from murine.cli.tables import Format, show

LINES = ["Cux2-CreERT2;Camk2a-tTA;Ai93", "Slc17a7-IRES2-Cre;Camk2a-tTA;Ai93", "Sst-IRES-Cre", "雪-Cre"]


@pytest.fixture
def table() -> pd.DataFrame:
    """As `murine match --by cre_line` makes it, and wider."""
    values = {f"number {i}": [0.5 + i, -0.25, float("nan"), 1e3] for i in range(12)}
    ends = {"number 0_low": [0.4] * 4, "number 0_high": [0.6] * 4}
    return pd.DataFrame({"network": ["a" * 40, "b", "c", "d"], "cre_line": LINES, **values, **ends})


HEADINGS = {"network": "network", "cre_line": "cre_line", **{f"number {i}": f"number {i}" for i in range(12)}}


def test_in_a_pipe_a_row_is_a_line_and_whole(table, capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    show(table, Format.table, headings=HEADINGS)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(table)
    for line, name in zip(lines[1:], LINES, strict=True):
        assert name in line
    assert "a" * 40 in lines[1]
    assert "0.500 [0.40, 0.60]" in lines[1]
    assert lines[0].split()[-1] == "11"


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("terminal", [True, False])
def test_where_columns_are_few_a_row_is_still_a_line(table, capsys, monkeypatch, width, terminal):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    quieten(False)
    show(table, Format.table, headings=HEADINGS)
    out, err = capsys.readouterr()
    lines = re.sub(r"\x1b\[[0-9;]*m", "", out).splitlines()
    assert len(lines) == 1 + len(table)
    assert max(map(len, lines)) <= width
    assert "Sst-IRES-Cre" in lines[3]
    assert ("no room for" in err) == ("number 11" not in lines[0])
    if width == 80:
        assert lines[1].startswith("aaaaaa…aaaaa ")
        assert "0.500 [0.40, 0.60]" in lines[1]  # numbers lose nothing


def test_quiet_says_nothing_of_columns(table, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    quieten(True)
    show(table, Format.table, headings=HEADINGS)
    assert capsys.readouterr().err == ""


def test_other_formats_are_whole_at_every_width(table, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    for format in (Format.csv, Format.json, Format.markdown):
        show(table, format, headings=HEADINGS)
        out = capsys.readouterr().out
        assert all(name in out for name in ("a" * 40, *LINES[:3], "number 11"))


@pytest.mark.parametrize("format", [Format.table, Format.markdown])
def test_what_cannot_be_ranked_together_has_a_table_of_its_own(capsys, format):
    rows = [("rsa-pearson", "by area", "a", 1), ("rsa-pearson", "by layer", "a", 1), ("cka", "", "b", 1)]
    boards = pd.DataFrame(rows, columns=["metric", "setting", "network", "band"]).assign(
        cortex="mouse", treatment="both as they are", score=0.25
    )
    show(boards, format)
    text = capsys.readouterr().out
    titles = ("mouse, rsa-pearson, both as they are, by area", "by layer", "mouse, cka, both as they are")
    places = [text.index(title) for title in titles]
    assert places == sorted(places)
    assert text.count("band") == 3
    show(boards[:1], format)
    assert capsys.readouterr().out.count("band") == 1
