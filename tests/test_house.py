"""Rooms and what they import: one direction, no circle, as ARCHITECTURE.md draws it."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import jaxtyping
import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "murine"

#: From what everything may import to what nothing may import. Files and folders of the package, each once.
ROOMS = (
    *("errors", "lazy_exports", "literature", "limits", "registry", "progress", "compilation", "io", "download"),
    *("stimuli", "scenes", "filters", "statistics", "networks", "cortex"),
    *("similarity", "encoding", "units", "architecture", "scoring", "interchange"),
    *("atlas", "sweeps", "masquerade", "domains", "generalization", "studies", "report", "api", "cli"),
)
FILES = sorted(file.relative_to(SOURCE) for file in SOURCE.rglob("*.py") if file.name != "__main__.py")
MODULES = {".".join(("murine", *file.with_suffix("").parts)).removesuffix(".__init__"): file for file in FILES}


def imported(node: ast.AST, *, later: bool) -> set[str]:
    """Modules of murine that code imports: also inside functions and for types, or only when it is imported itself."""
    found: set[str] = set()
    for child in ast.iter_child_nodes(node):
        for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        if not later and (for_types or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))):
            continue
        if isinstance(child, ast.ImportFrom) and child.module and not child.level:
            names = {f"{child.module}.{alias.name}" for alias in child.names}
            found |= {name if name in MODULES else child.module for name in names}
        elif isinstance(child, ast.Import):
            found |= {alias.name for alias in child.names}
        else:
            found |= imported(child, later=later)
    return {name for name in found if name in MODULES}


def tree(file: Path) -> ast.Module:
    return ast.parse((SOURCE / file).read_text("utf-8"))


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_every_room_is_known():
    found = {file.parts[0].removesuffix(".py") for file in FILES} - {"__init__"}
    assert found == set(ROOMS)
    assert len(set(ROOMS)) == len(ROOMS)


@pytest.mark.parametrize("module", [m for m in MODULES if m != "murine"])
def test_nothing_is_imported_against_the_direction(module):
    here = ROOMS.index(room(module))
    wrong = {other for other in imported(tree(MODULES[module]), later=True) if room(other)}
    assert not {other for other in wrong if ROOMS.index(room(other)) > here}


def test_no_modules_import_each_other_in_a_circle():
    graph = {module: imported(tree(file), later=False) - {module} for module, file in MODULES.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_no_two_classes_share_a_name():
    places: dict[str, list[str]] = {}
    for module, file in MODULES.items():
        for node in tree(file).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(module)
    assert not {name: found for name, found in places.items() if len(found) > 1}


def test_no_module_is_too_long_to_read():
    lengths = {str(file): len((SOURCE / file).read_text("utf-8").splitlines()) for file in FILES}
    assert not {name: n for name, n in lengths.items() if n > (250 if name.startswith("cli") else 400)}


@pytest.mark.parametrize("file", FILES, ids=str)
def test_shapes_are_written_as_strings(file):
    """``Float[np.ndarray, ...]`` is no shape: jaxtyping lets a function with such an annotation pass unchecked."""
    wrong = [
        ast.unparse(node)
        for node in ast.walk(tree(file))
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
