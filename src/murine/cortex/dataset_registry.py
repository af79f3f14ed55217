"""The data sets that murine knows by name. They are imported when they are first asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from murine.errors import MurineError
from murine.registry import Registry

if TYPE_CHECKING:
    from murine.cortex.dataset import Dataset

#: Names to functions that load a data set from the folder of data; best a `murine.cortex.DatasetSource`, which also
#: tells what the data are before they are loaded. Other packages add theirs through the entry-point group
#: ``murine.dataset``.
datasets: Registry[Callable[[Path | None], Dataset]] = Registry("dataset")

for _name in ("allen-neuropixels", "allen-2p", "allen", "simulated"):
    datasets.refer(_name, f"murine.cortex.built_in_datasets:{_name.replace('-', '_')}")


def data_folder(root: Path | None = None) -> Path:
    """Find the folder of data: ``root``, else ``$MURINE_SHARED``, else ``../shared``; itself or its subfolder
    ``data``.
    """
    given = root or Path(os.environ.get("MURINE_SHARED", "../shared"))
    for folder in (given / "data", given):
        if (folder / "allen_natural_scenes").is_dir():
            return folder
    raise MurineError(
        f"found no data in {str(given)!r}: expected a folder that holds allen_natural_scenes/. Give it with --data "
        "FOLDER or the environment variable MURINE_SHARED; `murine demo` and `--against simulated` need none."
    )
