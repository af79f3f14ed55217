"""Examples are files beside the package: here they are loaded by name."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def load_example() -> Callable[[str], ModuleType]:
    """Load an example by its name, the way murine does: from its path, without registering it as a module."""

    def load(name: str) -> ModuleType:
        file = Path(__file__).resolve().parents[2] / "examples" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
