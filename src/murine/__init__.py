"""murine: how mouse-like is a deep network, and does making it more mouse-like make it more robust?"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from murine.networks.surgery.insertion import insert
    from murine.networks.surgery.neurn import NeuRN, NeuRNTransform, neurn

__all__ = ["NeuRN", "NeuRNTransform", "insert", "neurn"]

# Imported when first asked for: ``import murine`` alone must not take the second that torch takes.
_HOMES = {
    **dict.fromkeys(("NeuRN", "NeuRNTransform", "neurn"), "murine.networks.surgery.neurn"),
    "insert": "murine.networks.surgery.insertion",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
