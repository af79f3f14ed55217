"""Registries: one name, one thing; outsiders come in by entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

import murine.registry
from murine.comparison.metrics import Metric, metrics
from murine.cortex.datasets import datasets
from murine.errors import MurineError, nearest, some
from murine.networks.zoo import controls
from murine.registry import Registry


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


def test_outsiders_come_in_by_entry_points_when_first_needed(fruit, monkeypatch):
    asked = []

    def entry_points(group):
        asked.append(group)
        return [EntryPoint("medlar", "math:pi", group)]

    monkeypatch.setattr(murine.registry, "entry_points", entry_points)
    assert fruit["apple"] == 1
    assert asked == []  # own names need no look at other packages
    assert fruit["medlar"] == pytest.approx(3.14159, abs=1e-5)
    assert set(fruit) == {"apple", "apricot", "medlar"}
    assert asked == ["murine.fruit"]


def test_an_outsider_cannot_replace_an_entry(fruit, monkeypatch):
    monkeypatch.setattr(murine.registry, "entry_points", lambda group: [EntryPoint("apple", "math:pi", group)])
    with pytest.raises(MurineError, match="registered already"):
        list(fruit)


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
