"""Public names of a package that are imported at their first use.

``import murine.units`` must not take the second that torch takes. So the ``__init__`` of a package imports its public
names for type checkers and editors only, and that block is also the list of what is imported on first use::

    if TYPE_CHECKING:
        from murine.units.maps import MapSearch as MapSearch

    __getattr__, __dir__, __all__ = lazy_exports(__name__)
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazy_exports(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` of a package whose names are imported on first use (PEP 562).

    Parameters
    ----------
    package
        ``__name__`` of the package. Its public names are those that its source imports under ``if TYPE_CHECKING:``.

    Examples
    --------
    >>> import murine.similarity
    >>> "pearson_rdm" in murine.similarity.__all__
    True
    """
    homes = {
        alias.name: statement.module
        for block in ast.parse(inspect.getsource(sys.modules[package])).body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for statement in block.body
        if isinstance(statement, ast.ImportFrom) and statement.module
        for alias in statement.names
    }

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(homes[name]), name)

    return get, lambda: sorted(homes), sorted(homes)
