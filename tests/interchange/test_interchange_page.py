"""docs/interchange.md: its code runs, in its order, in an empty folder."""

from __future__ import annotations

import re
import shlex
import warnings
from pathlib import Path

import pytest
from commands import run_here
from PIL import Image

from murine.cortex.recording import Recording
from murine.studies.reference_libraries import REFERENCES

PAGE = Path(__file__).parents[2] / "docs" / "interchange.md"

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the packages it imports
    pytest.importorskip("rsatoolbox")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:invalid value encountered in cast"
)
def test_the_code_and_commands_of_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    python = blocks("python")
    assert len(python) == 4
    names: dict = {}
    for block in python:
        exec(compile(block, str(PAGE), "exec"), names)
    scores = eval(capsys.readouterr().out)
    assert set(scores) > {"areas.SIMp", "areas.SIMl", "areas.SIMam"}
    assert (tmp_path / "mouse_assembly.nc").exists()
    mouse = names["mouse"]
    mouse.write("mouse.nc")
    Path("images").mkdir()
    stimuli = names["cortex"].stimuli
    for stimulus, image in zip(stimuli.ids, stimuli.images, strict=True):
        Image.fromarray(image).save(f"images/{stimulus}.png")
    commands = [shlex.split(line, comments=True) for line in blocks("console")[0].strip().splitlines()]
    assert len(commands) == 4
    for command in commands:
        assert run_here(*command[1:]) == 0
    assert Recording.read("again.nc").digest == mouse.digest


def test_the_table_of_the_page_has_every_reference():
    (table,) = blocks("text")
    for reference in REFERENCES:
        assert re.search(
            rf"^simulated +{re.escape(reference.metric)} +{reference.package} .* {re.escape(reference.function)} .* ok",
            table,
            re.MULTILINE,
        ), reference
