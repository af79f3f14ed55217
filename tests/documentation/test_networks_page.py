"""docs/networks.md: every file, command, example and message of the page, in order."""

from __future__ import annotations

import re
import shlex
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

TEXT = (Path(__file__).resolve().parents[2] / "docs/networks.md").read_text("utf-8")

#: Blocks between fences, each with its language.
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)

#: Rows of the table of messages: a command, and how the message begins.
MESSAGES = re.findall(r"^\| `(murine score [^`]+)` \| `{1,2}(.+?)`{1,2} \|$", TEXT, re.MULTILINE)

#: The page shows what to type, not how to make a test quick.
QUICK = ("--no-controls", "--bootstraps", 20, "--permutations", 9, "--quiet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the files of the page."""
    folder = tmp_path_factory.mktemp("networks")
    for language, block in BLOCKS:
        if language == "python" and (name := re.match(r"# (\w+\.py)\n", block)):
            (folder / name[1]).write_text(block)
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    yield folder
    sys.modules.pop("net", None)  # the page imports it by this name


def arguments_of(line):
    _, *arguments = shlex.split(line, comments=True)
    return [*arguments, *(QUICK if arguments[0] == "score" else ())]


def test_the_page_runs_from_its_first_block_to_its_last(here, murine):
    printed, names = "", {"__name__": "__main__"}  # as in one notebook
    for language, block in BLOCKS:
        if language == "sh":
            for line in block.splitlines():
                ran = murine(*arguments_of(line))
                assert ran.code == 0, f"{line}: {ran.err}"
                assert ran.out
        elif language == "python" and not re.match(r"# \w+\.py\n", block):
            with redirect_stdout(StringIO()) as told:
                exec(compile(block, "networks.md", "exec"), names)
            printed = told.getvalue()
        elif language == "text":
            assert [line.rstrip() for line in printed.splitlines()] == block.splitlines()
    named = {name for name in ("net", "squared", "grey", "wrong") if (here / f"{name}.py").exists()}
    assert named == {"net", "squared", "grey", "wrong"}


@pytest.mark.parametrize(("line", "message"), MESSAGES, ids=[line for line, _ in MESSAGES])
def test_a_message_is_what_the_page_says(line, message, here, murine):
    if not (here / "weights.pth").exists():  # as the page makes it
        (made,) = (block for language, block in BLOCKS if language == "python" and "torch.save" in block)
        exec(compile(made, "networks.md", "exec"), {})
    ran = murine(*arguments_of(line))
    assert ran.code in (1, 2)
    assert message in " ".join(ran.err.split())


def test_the_table_of_messages_is_read():
    assert len(MESSAGES) == TEXT.partition("## Messages")[2].count("\n| `murine ")


def test_the_roles_are_those_of_the_table(here, murine):
    rows = re.findall(r"^\| (.+?) \| (`.+?`) \| (trained|random|as built) \|$", TEXT, re.MULTILINE)
    assert {role for *_, role in rows} == {"trained", "random", "as built"}
    weights = {}
    for name in ("net.py:build@weights.pth", "net.py:build@random:0", "squared.py:build"):
        murine("score", name, *QUICK)
    query = "SELECT DISTINCT weights, role FROM scores WHERE role <> 'control'"
    for row in murine("results", "--sql", query, "--format", "json").rows:
        weights[row["weights"]] = row["role"]
    told = {text.strip("`"): role for _, text, role in rows}
    assert weights.items() <= told.items()
    assert {"as built", "random:0", "file:weights.pth"} <= set(weights)
