"""Interchange: the formats of other tools, in and out, with labels checked.

`to_rdms`, `from_rdms`, `to_dataset` and `from_dataset` exchange matrices and trials with rsatoolbox, and `to_assembly`
makes the presentation x neuroid arrays of Brain-Score. Labels that do not fit are refused, never reordered in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from murine.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from murine.interchange.assembly import to_assembly as to_assembly
    from murine.interchange.rsatoolbox import from_dataset as from_dataset
    from murine.interchange.rsatoolbox import from_rdms as from_rdms
    from murine.interchange.rsatoolbox import layer_rdms as layer_rdms
    from murine.interchange.rsatoolbox import to_dataset as to_dataset
    from murine.interchange.rsatoolbox import to_rdms as to_rdms

__getattr__, __dir__, __all__ = lazy_exports(__name__)
