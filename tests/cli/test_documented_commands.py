"""Every command line of README.md, docs/ and help texts is one that murine understands."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import typer
from test_terminal import COMMANDS, QUICK

from murine.cli.application import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

#: Made once: Typer needs 65 ms for it.
MURINE = typer.main.get_command(app)

#: Words of a shell, which do nothing here; `murine` tells its arguments.
SHELL = """
PATH=/nowhere
for name in make pip python export cd; do eval "$name() { :; }"; done
murine() { printf '%s\\0' "$@"; printf '\\1'; }
"""


def blocks(text: str) -> list[str]:
    """Blocks of commands: between fences, or indented by four blanks; without prompts."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    fenced = [block for language, block in fences if language in ("", "sh", "bash", "console")]
    rest = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    indented = [
        re.sub("^    ", "", block, flags=re.MULTILINE) for block in re.findall(r"(?:^    .*\n)+", rest, re.MULTILINE)
    ]
    found = [re.sub(r"^\$ ", "", block, flags=re.MULTILINE) for block in (*fenced, *indented)]
    return [block for block in found if re.search(r"^\s*murine ", block, re.MULTILINE)]


def called(block: str) -> list[list[str]]:
    """What a block calls murine with, as a shell understands it: loops, variables, quotes and comments."""
    ran = subprocess.run(["bash", "-c", SHELL + block], capture_output=True, text=True, timeout=60)
    return [line.split("\0")[:-1] for line in ran.stdout.split("\1") if line]


def parsed(arguments: list[str]) -> str:
    """Parse a command line to its end, without running it; the name of the command."""
    command, context, names = MURINE, None, []
    rest = [word for word in arguments if word != "--help"]  # which would print and end
    if not rest:
        return ""
    while True:
        name = names[-1] if names else "murine"
        context = command.make_context(
            name, rest, parent=context, allow_interspersed_args=not hasattr(command, "resolve_command")
        )
        if not hasattr(command, "resolve_command"):
            return " ".join(names)
        rest = [*context._protected_args, *context.args]
        if not rest:  # a group that does something by itself
            return " ".join(names)
        name, command, rest = command.resolve_command(context, rest)
        names.append(name)


IN_BLOCKS = [
    (page.relative_to(ROOT).as_posix(), arguments)
    for page in PAGES
    for block in blocks(page.read_text("utf-8"))
    for arguments in called(block)
]


@pytest.mark.parametrize(("page", "arguments"), IN_BLOCKS, ids=lambda value: str(value)[:60])
def test_a_command_of_the_documentation_is_understood(page, arguments):
    parsed(arguments)


def test_the_pages_are_read():
    """Variables are carried out; no line that calls murine is missed."""
    readme = [arguments for page, arguments in IN_BLOCKS if page == "README.md"]
    assert ["score", "resnet18@random:0", "--input-size", "64"] in readme
    variables = [arguments for arguments in readme if "examples/trained_networks.py:squeezenet" in arguments]
    assert [arguments[arguments.index("--against") + 1] for arguments in variables] == ["allen-2p", "allen-neuropixels"]
    text = (ROOT / "README.md").read_text("utf-8")
    lines = sum(len(re.findall(r"^\s*murine ", block, re.MULTILINE)) for block in blocks(text))
    assert len(readme) == lines
    assert {page for page, _ in IN_BLOCKS} > {"README.md", "docs/neurn.md", "docs/zoo.md", "docs/interchange.md"}


def test_every_command_of_the_readme_is_run_by_a_test():
    readme = {parsed(arguments) for page, arguments in IN_BLOCKS if page == "README.md"}
    assert readme - {""} <= set(COMMANDS) | set(QUICK)


def test_options_that_are_named_in_sentences_exist():
    """`murine score ... --option` in the middle of a text has placeholders, but its options must exist."""
    unknown = []
    for page in PAGES:
        text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        for told in re.findall(r"`murine ([^`]+)`", text):
            words = told.split()
            command, known = MURINE, []
            for word in words:
                if not hasattr(command, "commands") or word not in command.commands:
                    break
                command = command.commands[word]
                known.append(word)
            members = [command, *getattr(command, "commands", {}).values()]  # a group may have a command of its own
            parameters = [own for member in members for own in member.params]
            options = {name for own in parameters for name in (*own.opts, *own.secondary_opts)} | {"--help"}
            wrong = [word for word in words if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in options]
            if wrong or not (known or words[0].startswith("-")):
                unknown.append(f"{page.name}: murine {told}")
    assert not unknown


def every_command(command: object, names: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], object]]:
    """Commands with their names, groups taken apart."""
    inner = getattr(command, "commands", {})
    found = [] if names == () and inner else [(names, command)]
    return [*found, *(pair for name, own in inner.items() for pair in every_command(own, (*names, name)))]


@pytest.mark.parametrize(
    ("names", "command"),
    every_command(MURINE),
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_the_examples_of_a_help_text_are_understood(names, command):
    examples = [text for text in re.findall(r"`(murine [^`]+)`", command.help or "") if " ".join(names) in text]
    for example in examples:
        for arguments in called(" ".join(example.split())):
            assert parsed(arguments).startswith(" ".join(names[:1]))
