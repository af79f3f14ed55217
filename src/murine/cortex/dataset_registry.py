"""The data sets that murine knows by name. They are imported when they are first asked for.

docs/extending.md tells how to add one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from murine.registry import Registry

if TYPE_CHECKING:
    from murine.cortex.dataset import Dataset

#: Functions, by name, that load a data set from the folder of data. A `murine.cortex.DatasetSource` is best, because
#: its description is known before the data are loaded. Other packages add data sets through the entry-point group
#: ``murine.dataset``.
datasets: Registry[Callable[[Path | None], Dataset]] = Registry("dataset")

for _name in ("allen-neuropixels", "allen-2p", "allen", "primate-92", "simulated"):
    datasets.refer(_name, f"murine.cortex.built_in_datasets:{_name.replace('-', '_')}")
