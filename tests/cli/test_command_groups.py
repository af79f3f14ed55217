"""Commands that other packages add: they are in the help without an import, and run when they are called."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

GOOD = """
import typer
print("imported")
app = typer.Typer(help="Greetings.")

@app.command()
def hello(name: str, loud: bool = False) -> None:
    from murine.errors import MurineError
    if name == "nobody":
        raise MurineError("nobody cannot be greeted.")
    print(f"hello {name}{'!' if loud else ''}")

@app.command()
def bye() -> None:
    print("bye")

single = typer.Typer()

@single.command()
def only(times: int = 1) -> None:
    print("once " * times)
"""
POINTS = """[murine.command]
greet = greetings:app
alone = greetings:single
score = greetings:app
broken = broken_package:app
missing = no_such_package:app
number = math:pi
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run murine beside a package with commands, some of which cannot be loaded."""
    folder = tmp_path_factory.mktemp("packages")
    (folder / "greetings.py").write_text(GOOD)
    (folder / "broken_package.py").write_text("raise SystemExit('no licence')")
    about = folder / "greetings-2.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: greetings\nVersion: 2.0\n")
    (about / "entry_points.txt").write_text(POINTS)
    paths = [str(folder), *([os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else [])]
    surroundings = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "120"}

    def run(*arguments):
        command = [sys.executable, "-m", "murine", *arguments]
        done = subprocess.run(
            command, cwd=folder, env=surroundings, capture_output=True, text=True, timeout=100, check=False
        )
        assert "Traceback" not in done.stderr
        return done

    return run


def test_a_command_of_another_package_runs(run):
    done = run("greet", "hello", "mouse", "--loud")
    assert (done.returncode, done.stdout.split("\n")[1]) == (0, "hello mouse!")
    assert "Greetings." in run("greet", "--help").stdout
    done = run("greet", "hello", "nobody")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, "murine: nobody cannot be greeted.")
    assert "once once" in run("alone", "--times", "2").stdout
    assert "--bold" in run("greet", "hello", "mouse", "--bold").stderr


def test_the_help_lists_them_and_imports_none(run):
    done = run("--help")
    assert done.returncode == 0
    assert "imported" not in done.stdout
    assert done.stderr == "murine: commands of other packages are left out, since murine has these: score.\n"
    lines = [line.split()[1] for line in done.stdout.splitlines() if "A command of another package." in line]
    assert lines == ["greet", "alone", "broken", "missing", "number"]


def test_one_that_cannot_be_loaded_is_one_warning(run):
    done = run("broken", "--anything")
    assert done.returncode == 2
    said = [line for line in done.stderr.splitlines() if "broken" in line and line.startswith("murine: ")]
    assert len(said) == 1
    assert "the command 'broken' of the package greetings 2.0 is left out, since it cannot be loaded" in said[0]
    assert "the command 'broken' cannot be loaded." in " ".join(done.stderr.replace("│", " ").split())
    done = run("number")
    assert done.returncode == 2
    assert "the command 'number' is left out, since it cannot be used (TypeError: it is a float" in done.stderr


def test_others_cannot_take_a_name_of_ours_nor_slow_us_down(run):
    done = run("score", "--help")
    assert done.returncode == 0
    assert "imported" not in done.stdout
    assert "Score networks against cortex" in done.stdout
    done = run("scor")
    assert done.returncode == 2
    assert "imported" not in done.stdout
    assert "No such command 'scor'" in done.stderr
