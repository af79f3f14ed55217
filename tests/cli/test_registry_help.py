"""Help texts that list registered names."""

from __future__ import annotations

import pytest

from murine.cli.registry_help import REGISTRIES
from murine.cortex.dataset_registry import datasets

AGAINST = ("score", "models plan", "neurn", "match", "maps", "masquerade", "generalize", "verify", "study")
NAMING_DATA = ("data show", "data export")
OTHERS = ("data list", "data fetch", "data build")


@pytest.mark.parametrize("command", [*AGAINST, *NAMING_DATA])
def test_help_lists_the_data_sets(murine, command):
    told = murine(*command.split(), "--help").out
    described = told.partition(" Arguments ")[2] or told.partition(" Options ")[2]  # not the examples
    assert [name for name in datasets.names() if name not in described] == []


@pytest.mark.parametrize("command", [*AGAINST, *NAMING_DATA, *OTHERS])
def test_no_help_shows_a_placeholder(murine, command):
    """A command shows the placeholder itself if it is not a `CommandWithNames`."""
    told = murine(*command.split(), "--help").out
    assert [placeholder for placeholder in REGISTRIES if placeholder in told] == []
