"""Rooms offer their public names without importing torch, and only names that exist."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

ROOMS = ("networks", "domains", "generalization", "io")


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_exists_and_is_no_module(room):
    package = importlib.import_module(f"murine.{room}")
    assert dir(package)
    for name in dir(package):
        assert getattr(package, name).__class__.__name__ != "module"
    with pytest.raises(AttributeError, match=f"murine.{room}.*'nonsense'"):
        _ = package.nonsense


def test_rooms_import_no_torch():
    rooms = ", ".join(f"murine.{room}" for room in (*ROOMS, "networks.sources", "networks.spec", "download"))
    code = f"import sys, {rooms}; sys.exit('torch' in sys.modules or 'timm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
