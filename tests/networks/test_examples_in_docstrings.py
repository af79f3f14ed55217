"""The examples in the docstrings of downloads, networks, domains, generalisation and files run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

ROOMS = ("download", "networks", "domains", "generalization", "io")


def modules() -> list[str]:
    rooms = [importlib.import_module(f"murine.{room}") for room in ROOMS]
    return [found.name for room in rooms for found in pkgutil.walk_packages(room.__path__, f"{room.__name__}.")]


@pytest.mark.parametrize("name", modules())
def test_examples_run(name):
    assert not doctest.testmod(importlib.import_module(name)).failed


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_have_examples(room):
    tests = [doctest.DocTestFinder().find(importlib.import_module(name)) for name in modules() if f".{room}." in name]
    assert sum(bool(test.examples) for found in tests for test in found) > 1
