"""Files: written completely or not at all, and read without running code that is in them.

`atomic_write` creates files, `read_npz`, `read_json` and `read_table` read them and refuse damaged ones, and `Tree`
reads HDF5. `Isolated` and `read_apart` run a function in a process of its own, under limits of time and memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from murine.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from murine.io.array_cache import ArrayCache as ArrayCache
    from murine.io.files import atomic_write as atomic_write
    from murine.io.files import cache_folder as cache_folder
    from murine.io.files import read_json as read_json
    from murine.io.files import read_npz as read_npz
    from murine.io.files import read_table as read_table
    from murine.io.fingerprints import fingerprint as fingerprint
    from murine.io.hdf5 import Tree as Tree
    from murine.io.image_files import read_picture as read_picture
    from murine.io.isolation import Isolated as Isolated
    from murine.io.isolation import read_apart as read_apart
    from murine.io.labels import as_labels as as_labels
    from murine.io.masked_arrays import unmasked as unmasked
    from murine.io.software import program_state as program_state

__getattr__, __dir__, __all__ = lazy_exports(__name__)
