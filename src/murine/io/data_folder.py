"""The folder of named data: recordings, images, small trained networks."""

from __future__ import annotations

import os
from pathlib import Path

from murine.errors import MurineError


def data_folder(root: Path | None = None) -> Path:
    """Find the folder of data: ``root``, else ``$MURINE_SHARED``, else ``../shared``; itself or its subfolder
    ``data``.

    Raises
    ------
    MurineError
        If there is no such folder, or it does not hold ``allen_natural_scenes``.
    """
    given = root or Path(os.environ.get("MURINE_SHARED", "../shared"))
    for folder in (given / "data", given):
        if (folder / "allen_natural_scenes").is_dir():
            return folder
    raise MurineError(
        f"found no data in {str(given)!r}: expected a folder that holds allen_natural_scenes/. Give it with --data "
        "FOLDER or the environment variable MURINE_SHARED; `murine demo` and `--against simulated` need none."
    )
