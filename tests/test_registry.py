"""Registries: one name, one thing; outsiders come in by entry points."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import murine
from murine.cortex.dataset_registry import datasets
from murine.errors import MurineError, nearest, some
from murine.networks.zoo import controls
from murine.registry import Registry
from murine.scoring.metric import Metric, metrics


@pytest.fixture
def fruit():
    registry = Registry("fruit")
    registry.register("apple")(1)
    registry.register("apricot")(2)
    return registry


def test_entries_are_found_by_name_in_order(fruit):
    assert fruit["apple"] == 1
    assert (list(fruit), len(fruit)) == (["apple", "apricot"], 2)
    assert "apple" in fruit
    assert "pear" not in fruit

    @fruit.register("pear")
    def pear():
        return 3

    assert fruit["pear"] is pear
    assert pear() == 3


def test_a_name_is_used_once(fruit):
    with pytest.raises(MurineError, match="the fruit 'apple' is registered already"):
        fruit.register("apple")(3)
    assert fruit["apple"] == 1


def test_an_unknown_name_suggests_the_nearest(fruit):
    with pytest.raises(MurineError, match=r"unknown fruit 'aple'; did you mean apple.*Known: apple, apricot"):
        fruit["aple"]
    with pytest.raises(MurineError, match=r"unknown fruit 'zzz'\. Known"):
        fruit["zzz"]


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a small package: its source, and its entry points by group."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def add(name, source, **groups):
        (tmp_path / f"{name}.py").write_text(source)
        folder = tmp_path / f"{name}-1.2.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        lines = [line for group, points in groups.items() for line in (f"[murine.{group}]", *points)]
        (folder / "entry_points.txt").write_text("\n".join(lines) + "\n")

    return add


def test_outsiders_come_in_by_entry_points_when_first_needed(fruit, install):
    install("medlars", "print('imported')\nmedlar = 3", fruit=["medlar = medlars:medlar"], cheese=["brie = math:pi"])
    assert fruit["apple"] == 1
    assert "medlars" not in sys.modules  # own names need no look at other packages
    assert "apple" in fruit
    assert "medlars" not in sys.modules
    assert fruit["medlar"] == 3
    assert list(fruit) == ["apple", "apricot", "medlar"]


def test_names_are_listed_without_an_import(fruit, install):
    install("figs", "raise RuntimeError('imported')", fruit=["sycamore = figs:fig", "apple = figs:fig"])
    assert fruit.names() == ["apple", "apricot", "sycamore"]
    assert "figs" not in sys.modules
    assert list(fruit) == fruit.names() == ["apple", "apricot"]  # once it is known that it cannot be loaded


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("def broken(:", "SyntaxError"),
        ("import a_package_nobody_has", "No module named 'a_package_nobody_has'"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("class E(BaseException):\n    def __str__(self): raise ValueError\nraise E", "text cannot be read"),
        ("other = 1", "AttributeError"),
    ],
)
def test_a_broken_outsider_is_one_warning_that_names_its_package(source, reason, fruit, install, caplog):
    install("sour", source, fruit=["sloe = sour:sloe"])
    install("sweet", "fig = 7", fruit=["fig = sweet:fig"])
    assert fruit["fig"] == 7
    with pytest.raises(MurineError, match="unknown fruit 'sloe'"):
        fruit["sloe"]
    assert list(fruit) == ["apple", "apricot", "fig"]
    (record,) = caplog.records
    assert "the fruit 'sloe' of the package sour 1.2 is left out" in record.getMessage()
    assert reason in record.getMessage()
    assert "\n" not in record.getMessage()
    sys.modules.pop("sour", None)
    sys.modules.pop("sweet", None)


def test_a_broken_list_of_entry_points_is_that_of_its_package_alone(fruit, install, caplog):
    install("garbled", "", fruit=["no equals sign"])
    install("whole", "fig = 8", fruit=["fig = whole:fig"])
    assert fruit["fig"] == 8
    assert "garbled 1.2" in caplog.text


def test_a_name_that_is_taken_stays_and_the_package_is_named(fruit, install, caplog):
    install("thief", "apple = 9\nplum = 1", fruit=["apple = thief:apple", "plum = thief:plum"])
    install("late", "plum = 2", fruit=["plum = late:plum"])
    assert set(fruit) == {"apple", "apricot", "plum"}
    assert fruit["apple"] == 1
    taken = sorted(record.getMessage() for record in caplog.records)
    assert len(taken) == 2
    assert "'apple' of the package thief 1.2 is left out, since murine has one" in taken[0]
    first, second = ("thief", "late") if fruit["plum"] == 1 else ("late", "thief")
    assert f"'plum' of the package {second} 1.2 is left out, since {first} 1.2 has one" in taken[1]


def test_our_own_entry_replaces_an_outsider_that_came_first(fruit, install, caplog):
    install("early", "pear = 4", fruit=["pear = early:pear"])
    assert fruit["pear"] == 4
    fruit.register("pear")(5)
    assert fruit["pear"] == 5
    assert "early 1.2" in caplog.text


def test_a_place_is_imported_when_it_is_asked_for(fruit, install):
    install("orchard", "quince = 6")
    fruit.refer("quince", "orchard:quince")
    assert list(fruit) == ["apple", "apricot", "quince"]
    assert "quince" in fruit
    assert "orchard" not in sys.modules
    assert fruit["quince"] == 6
    assert list(fruit) == ["apple", "apricot", "quince"]
    with pytest.raises(MurineError, match="registered already"):
        fruit.refer("quince", "orchard:quince")


def test_kinds_can_be_groups_of_entry_points():
    """setuptools refuses groups that are not words joined by dots."""
    sources = [file.read_text("utf-8") for file in Path(murine.__file__).parent.rglob("*.py")]
    kinds = {kind for source in sources for kind in re.findall(r'Registry\(\s*"([^"]*)"', source)}
    assert {"metric", "dataset", "control", "layer_scheme", "kernel_metric", "architecture_similarity"} <= kinds
    assert all(re.fullmatch(r"\w+", kind) for kind in kinds)
    with pytest.raises(ValueError, match="cannot be part of the name"):
        Registry("two words")


@pytest.mark.parametrize("registry", [metrics, datasets, controls], ids=lambda r: r.kind)
def test_the_registries_of_murine_hold_what_they_say(registry):
    for name in registry:
        assert callable(registry[name]) or isinstance(registry[name], Metric)
        with pytest.raises(MurineError, match=f"did you mean.*{name}"):
            registry[name[:-1] + "§"]


def test_lists_in_messages_are_short():
    assert some("abc") == "a, b, c"
    assert some(range(9), 3) == "0, 1, 2 and 6 more"
    assert nearest("resnet18x", ["resnet18", "vgg11"]) == "; did you mean resnet18?"
    assert nearest("qqqq", ["resnet18", "vgg11"]) == ""
