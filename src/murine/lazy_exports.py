"""Public names of a package that are imported when they are first used.

``import murine.units`` must not take the second that torch takes. A package lists its public names by module, and also
imports them under ``TYPE_CHECKING``, for type checkers and editors::

    if TYPE_CHECKING:
        from murine.units.maps import MapSearch as MapSearch

    __getattr__, __dir__, __all__ = lazy_exports(__name__, {"maps": ["MapSearch"]})
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy_exports(
    package: str, modules: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` of a package whose names are imported on first use (PEP 562).

    Parameters
    ----------
    package
        ``__name__`` of the package.
    modules
        Modules of the package, each with the public names that it defines.
    """
    homes = {name: module for module, names in modules.items() for name in names}

    def getattribute(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    def directory() -> list[str]:
        return sorted(homes)

    return getattribute, directory, sorted(homes)
