"""Where a result is from: the configuration and the software that are stored with its rows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from murine.atlas.checksums import check
from murine.atlas.tables import TABLES
from murine.errors import MurineError, some

#: The fewest letters that name a result.
_FEWEST = 4


def origin(folder: Path, digest: str) -> dict[str, Any]:
    """Return ``task``, the configuration of a result, and ``provenance``, the versions of the software.

    Parameters
    ----------
    folder
        Of the atlas.
    digest
        The digest of the result, or its first letters.

    Raises
    ------
    MurineError
        If there is no such result, there are several, or its file is damaged.
    """
    import pyarrow.parquet as pq

    if not re.fullmatch(f"[0-9a-f]{{{_FEWEST},}}", digest):
        raise MurineError(f"{digest!r} names no result; expected at least the first {_FEWEST} letters of a digest.")
    places = [folder / table for table in TABLES]
    files = [file for place in places if (file := place / f"{digest}.parquet").exists()]
    files = files or [file for place in places for file in sorted(place.glob(f"{digest}*.parquet"))]
    if not files:
        raise MurineError(f"there is no result {digest!r} in {str(folder)!r}.")
    if len(files) > 1:
        raise MurineError(f"{len(files)} results begin with {digest!r}: {some(file.stem for file in files)}.")
    (file,) = files
    check(file)
    metadata = pq.read_schema(file).metadata or {}
    if b"murine.task" not in metadata:
        raise MurineError(f"{str(file)!r} was not written by murine: it does not tell its configuration.")
    return {key: json.loads(metadata[f"murine.{key}".encode()]) for key in ("task", "provenance")}
