"""Imports go one way, as ARCHITECTURE.md draws it: nothing imports from a room to its right."""

from __future__ import annotations

import ast
from pathlib import Path

import jaxtyping
import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "murine"

#: Rooms from left to right; all modules that are not in a folder are used everywhere.
ROOMS = ("download", "cortex", "networks", "comparison", "atlas", "generalization", "studies", "report", "cli")
FILES = sorted(file.relative_to(SOURCE) for file in SOURCE.rglob("*.py") if file.name != "__main__.py")


def room(module: str) -> int:
    """Where a module is: -1 for those used everywhere."""
    first = module.split(".")[1] if "." in module else ""
    return ROOMS.index(first) if first in ROOMS else -1


def imported(file: Path) -> set[str]:
    """Modules of murine that a file imports, at once or later."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.startswith("murine.")}


@pytest.mark.parametrize("file", FILES, ids=str)
def test_nothing_is_imported_from_the_right(file):
    if file.parts[0] in ("__init__.py", "interchange"):  # what the package offers; another way in and out
        return
    here = room("murine." + ".".join(file.with_suffix("").parts)) if len(file.parts) > 1 else -1
    wrong = {name for name in imported(SOURCE / file) if room(name) > here}
    if here == ROOMS.index("networks"):
        wrong |= {name for name in imported(SOURCE / file) if room(name) == ROOMS.index("cortex")}
    assert not wrong


@pytest.mark.parametrize("file", FILES, ids=str)
def test_shapes_are_written_as_strings(file):
    """``Float[np.ndarray, ...]`` is no shape: jaxtyping lets a function with such an annotation pass unchecked."""
    wrong = [
        ast.unparse(node)
        for node in ast.walk(ast.parse((SOURCE / file).read_text("utf-8")))
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and isinstance(getattr(jaxtyping, node.value.id, None), type)
        and not (
            isinstance(node.slice, ast.Tuple)
            and isinstance(node.slice.elts[-1], ast.Constant)
            and isinstance(node.slice.elts[-1].value, str)
        )
    ]
    assert not wrong
