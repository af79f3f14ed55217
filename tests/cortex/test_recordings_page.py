"""docs/recordings.md: its code and its commands run in their order and say what the page shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from nwb_files import Spikes, add_presentations, add_units, empty, save, shown

from murine.scenes import synthetic_scenes

PAGE = Path(__file__).parents[2] / "docs" / "recordings.md"


def one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.usefixtures("unchecked")
def test_the_code_and_the_commands_of_the_page(tmp_path, monkeypatch, murine):
    monkeypatch.chdir(tmp_path)
    ids = synthetic_scenes(24, 40).ids
    nwb = empty()
    add_presentations(nwb, shown([*ids, ""], n_repetitions=4))
    add_presentations(nwb, shown(ids, n_repetitions=2), "gratings_presentations", "orientation")
    times = [np.sort(np.random.default_rng(i).uniform(0, 60, 3000)) for i in range(12)]
    add_units(nwb, Spikes(times, ["VISp"] * 6 + ["VISl"] * 6))
    save(nwb, tmp_path / "mouse.nwb")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert [kind for kind, _ in blocks].count("console") >= 10
    names: dict = {}
    ran = None
    for i, (kind, block) in enumerate(blocks):
        if kind == "python":
            exec(compile(block, str(PAGE), "exec"), names)
        elif kind == "console":
            (line,) = block.strip().splitlines()
            ran = murine(*shlex.split(line)[1:])
            following, told = blocks[i + 1] if i + 1 < len(blocks) else ("", "")
            done = following != "text" or ".nc: <Recording" in told
            assert ran.code == (0 if done else 2), ran.err
        else:  # what the command before it told; progress may stand between its lines
            for part in re.split(r"\n(?=\S+\.nc: )", block.strip()):
                assert one_line(part) in one_line(ran.told)
