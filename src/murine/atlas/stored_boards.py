"""Leaderboards of the last time, so that only sets of results that changed are ranked again.

Ranking ten thousand results reads a gigabyte of bootstrap draws. The boards of an atlas lie in the cache of the user,
each under a digest of all that it depends on: the results with the checksums of their files, the smallest ceiling, and
the program. The file may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import pandas as pd

from murine.errors import MurineError
from murine.io.files import atomic_write, cache_folder
from murine.io.software import program_state

log = logging.getLogger(__name__)

#: The column of the file that says which board a row belongs to, and the key of the columns in its metadata.
_BOARD, _COLUMNS = "murine board", b"murine.columns"


def board_digest(results: Sequence[tuple[str, str]], min_ceiling: float) -> str:
    """Return the name of the board of some results, given as (digest, checksum of the file)."""
    content = json.dumps([sorted(results), min_ceiling, _program()])
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def read_boards(atlas: Path) -> dict[str, pd.DataFrame]:
    """Return the stored boards of an atlas by name; none where there are none or the file is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = _file(atlas)
    if not file.exists():
        return {}
    try:
        table = pq.read_table(file)
        columns: dict[str, list[str]] = json.loads((table.schema.metadata or {})[_COLUMNS])
        rows = table.to_pandas()
        return {
            str(name): own[columns[str(name)]].reset_index(drop=True) for name, own in rows.groupby(_BOARD, sort=False)
        }
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        log.debug("the stored leaderboards cannot be read: %s", error)
        return {}


def write_boards(atlas: Path, boards: Mapping[str, pd.DataFrame]) -> None:
    """Store all boards of an atlas. An error in writing is ignored: they are ranked again."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole = [board.assign(**{_BOARD: name}) for name, board in boards.items() if len(board)]
    if not whole:
        return
    table = pa.Table.from_pandas(pd.concat(whole, ignore_index=True), preserve_index=False)
    columns = json.dumps({name: list(board.columns) for name, board in boards.items()})
    try:
        with atomic_write(_file(atlas)) as partial:
            pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), _COLUMNS: columns}), partial)
    except MurineError as error:
        log.debug("leaderboards are not stored: %s", error)


def _file(atlas: Path) -> Path:
    name = hashlib.sha256(os.fsencode(atlas.resolve())).hexdigest()[:32]
    return cache_folder() / "boards" / f"{name}.parquet"


@cache
def _program() -> str:
    return hashlib.sha256(json.dumps(program_state()).encode()).hexdigest()
