"""The public names of each room: documented, and with examples that run."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

#: Rooms whose ``__init__`` lists public names. Each of these names has an example.
ROOMS = (
    "architecture",
    "atlas",
    "cortex",
    "domains",
    "encoding",
    "generalization",
    "interchange",
    "io",
    "literature",
    "masquerade",
    "networks",
    "report",
    "scoring",
    "similarity",
    "statistics",
    "studies",
    "sweeps",
    "units",
)

#: Modules that must not be imported by ``import murine.<room>``: each takes a large part of a second.
SLOW = ("numba", "torch", "scipy", "sklearn", "pandas", "xarray")

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


SOURCE = Path(__file__).resolve().parents[1] / "src"


def modules_with_examples():
    """Every module whose source holds an example; finding them imports nothing."""
    for file in sorted(SOURCE.rglob("*.py")):
        if ">>> " in file.read_text("utf-8"):
            yield ".".join(file.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("module", list(modules_with_examples()))
def test_examples_in_docstrings_run(module, shared_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(module), optionflags=OPTIONS)
    assert result.failed == 0


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_it_is_for_in_three_sentences(room):
    text = " ".join(importlib.import_module(f"murine.{room}").__doc__.split())
    text = text.replace("et al.", "et al")
    assert len(re.findall(r"[.?](?= |$)", text)) == 3, text
    assert text.endswith(".")


@pytest.mark.parametrize("room", ROOMS)
def test_public_names_are_sorted_and_exist(room):
    package = importlib.import_module(f"murine.{room}")
    assert list(package.__all__) == sorted(package.__all__)
    assert set(package.__all__) <= set(dir(package))
    for name in package.__all__:
        assert getattr(package, name) is not None


@pytest.mark.parametrize("room", ROOMS)
def test_no_public_name_is_that_of_a_module(room):
    """Importing the module would replace the public name."""
    package = importlib.import_module(f"murine.{room}")
    assert not set(package.__all__) & {module.name for module in pkgutil.iter_modules(package.__path__)}


@pytest.mark.parametrize("package", ["murine", *(f"murine.{room}" for room in ROOMS)])
def test_public_functions_and_classes_have_an_example_that_runs(package):
    """doctest does not look into what a decorator has wrapped, so an example can be there and never run."""
    found = importlib.import_module(package)
    public = [getattr(found, name) for name in found.__all__]
    public = [thing for thing in public if inspect.isfunction(inspect.unwrap(thing)) or inspect.isclass(thing)]
    finder = doctest.DocTestFinder(exclude_empty=True)
    homes = {thing.__module__ for thing in public}
    run = {test.name for home in homes for test in finder.find(importlib.import_module(home)) if test.examples}
    assert [thing.__name__ for thing in public if f"{thing.__module__}.{thing.__qualname__}" not in run] == []


@pytest.mark.parametrize("room", ROOMS)
def test_importing_a_room_is_quick(room):
    code = f"import sys, murine.{room}; print([name for name in {SLOW} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
