"""The command that runs studies, as people call it."""

from __future__ import annotations

from io import StringIO

import pandas as pd
import pytest
from commands import run_here

import murine
from murine.studies import Claim, FigureSpec, Study, StudyResult
from murine.studies.study import studies

FEW = ("--bootstraps", "30", "--permutations", "10")


class Counting(Study):
    name, title, question = "counting", "Counting", "How many networks were given?"
    durations = {"tiny": "a second"}  # noqa: RUF012 (never changed)

    def run(self, *, data=(), networks=(), scale="small", atlas=None, progress=False, **options):
        table = pd.DataFrame({"network": list(networks), "n": range(len(networks))})
        figure = FigureSpec("counts", "intervals", table, "Counts", {"label": "network", "value": "n"})
        claim = Claim("There are two networks.", "reproduced", f"Scale {scale}, seed {options['seed']}.", 2, len(table))
        columns = {"network": "Name.", "n": "Number."}
        return StudyResult(self.name, {"counts": table}, columns, (figure,), (claim,), ("A note.",))


@pytest.fixture
def counting(monkeypatch):
    monkeypatch.setitem(studies._entries, "counting", Counting())


def test_studies_are_listed(capsys):
    assert run_here("study", "--format", "csv") == 0
    listed = pd.read_csv(StringIO(capsys.readouterr().out))
    assert set(murine.studies.names()) <= set(listed.name)


def test_a_study_writes_its_page_and_tells_its_claims(counting, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_here("study", "counting", "--scale", "tiny", "--network", "a", "--network", "b", "--seed", "3") == 0
    out, err = capsys.readouterr()
    assert out == "There are two networks. Published: 2; ours: 2: reproduced. Scale tiny, seed 3.\n"
    assert "How many networks were given? It took a second on two cores when it was measured." in err
    assert "murine: A note.\nthe page is study-counting/index.html\n" in err
    assert "\nstatement: 1 of 1 reproduced\n1 of 1 tested claims reproduced" in err
    assert (tmp_path / "study-counting" / "figures" / "counts.pdf").is_file()
    assert "scale tiny, seed 3" in (tmp_path / "study-counting" / "index.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("contrast",), "unknown study 'contrast'; did you mean contrasts"),
        (("contrasts", "--network", "pixels"), "brings its own networks; leave --network out"),
        (("contrasts", "--against", "nothing.nc", "--scale", "tiny"), "there is no file 'nothing.nc'"),
    ],
)
def test_what_cannot_be_is_refused(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_here("study", *arguments) == 2
    assert said in capsys.readouterr().err
