"""Help texts name everything that is registered: what a registry gains must be told there."""

from __future__ import annotations

import re
from importlib import import_module

import pytest
import typer.main

from murine.cli.application import app
from murine.generalization.variants import variants

COMMANDS = typer.main.get_command(app)
NAMED = [
    ("generalize", "--network", "murine.generalization.architectures:architectures"),
    ("generalize", "--protocol", "murine.generalization.protocol:protocols"),
    ("generalize", "--recipe", "murine.generalization.recipe:recipes"),
    ("align", "--vocabulary", "murine.architecture.vocabulary:vocabularies"),
    ("align", "--similarity", "murine.architecture.sequence_similarity:similarities"),
]
LISTED = [
    ("data fetch", "murine.cortex.public_data:public_datasets"),
    ("data build", "murine.cortex.selection:selections"),
    ("score", "murine.scoring.metric_registry:metrics"),
]


def registered(place: str) -> list[str]:
    module, attribute = place.split(":")
    return list(getattr(import_module(module), attribute))


def help_of(command: str, option: str) -> str:
    (text,) = [own.help for own in COMMANDS.commands[command].params if option in own.opts]
    return text


@pytest.mark.parametrize(("command", "option", "registry"), NAMED)
def test_a_text_of_ours_names_what_is_registered(command, option, registry):
    words = set(re.findall(r"[\w-]+", help_of(command, option)))
    assert set(registered(registry)) <= words


def test_variants_are_named_by_their_kinds():
    """``neurn3 (4, 5)`` stands for three of them."""
    text = help_of("generalize", "--variants")
    assert {name for name in variants if re.sub(r"[45](?=-|$)", "3", name) not in text} == set()


@pytest.mark.parametrize(("command", "registry"), LISTED)
def test_a_list_comes_from_the_registry(murine, monkeypatch, command, registry):
    monkeypatch.setenv("COLUMNS", "400")
    told = " ".join(murine(*command.split(), "--help").out.replace("│", " ").split())
    assert ", ".join(registered(registry)) in told
    assert "{" + registry.split(":")[1] + "}" not in told
