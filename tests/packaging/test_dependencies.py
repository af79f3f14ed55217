"""pyproject.toml names what murine imports: a package that only comes along with another may leave with it."""

from __future__ import annotations

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

#: Imported where somebody asks for them; a message says what to install.
ASKED_FOR = {"dask_jobqueue", "distributed", "himalaya", "rsatoolbox"}


def imported() -> set[str]:
    """Top-level names that the package imports from elsewhere, at once or later."""
    names = set()
    for file in (ROOT / "src/murine").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"murine"}


@pytest.fixture(scope="module")
def declared():
    return {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}


def test_what_is_imported_is_declared(declared):
    distributions = packages_distributions()
    found = {name: {canonicalize_name(d) for d in distributions.get(name, [name])} for name in imported()}
    assert {"numpy", "PIL", "sklearn"} <= set(found)
    assert {name for name, names in found.items() if not names & declared} == ASKED_FOR


def test_what_is_asked_for_is_there_in_the_tests():
    tested = {canonicalize_name(Requirement(text).name) for text in PROJECT["optional-dependencies"]["test"]}
    assert tested >= {canonicalize_name(name) for name in ASKED_FOR}


def test_what_is_declared_is_used(declared):
    """h5netcdf is xarray's engine for NetCDF files, which murine names and never imports."""
    distributions = packages_distributions()
    used = {canonicalize_name(d) for name in imported() for d in distributions.get(name, [])}
    assert declared - used == {"h5netcdf"}
