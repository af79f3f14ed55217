"""Files of an atlas that can be trusted, and what results are of, without reading a file twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from murine.atlas.checksums import defect, seal_of
from murine.atlas.comparability import SETTINGS, TREATMENT
from murine.atlas.seal_memory import SealMemory

#: Columns that are the same in all rows of a result, and tell what it is of.
IDENTITY = ("task", "cortex", "metric", *SETTINGS, *TREATMENT)


class TrustedFiles:
    """Looks at the files of one atlas.

    Parameters
    ----------
    atlas
        The folder of the atlas.
    """

    def __init__(self, atlas: Path) -> None:
        self._memory = SealMemory(atlas)
        self._known: dict[Path, tuple[tuple[int, ...], str]] = {}

    def defect(self, file: Path) -> str:
        """Return why a file cannot be trusted, '' if it can. A file that does not change is read once.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        """
        stat = file.stat()
        version = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
        known = self._known.get(file)
        if known is not None and known[0] == version:
            return known[1]
        name = _name(file)
        reason = ""
        if self._memory.recall(name, stat) is None:
            reason = defect(file)
            if not reason:
                self._memory.remember(name, stat, {})
        self._known[file] = version, reason
        return reason

    def identity(self, file: Path) -> dict[str, Any] | None:
        """Return the values of `IDENTITY` of a file of scores that can be trusted, and its ``seal``.

        None if the file has no rows.
        """
        stat = file.stat()
        name = _name(file)
        about = self._memory.recall(name, stat) or {}
        if "identity" not in about:
            about = {"identity": _first_row(file), "seal": seal_of(file)}
            self._memory.remember(name, stat, about)
        if about["identity"] is None:
            return None
        return {**dict(zip(IDENTITY, about["identity"], strict=True)), "seal": about["seal"]}

    def save(self, files: Sequence[Path] = ()) -> None:
        """Remember what was seen, for later commands; ``files`` are all files of their folders."""
        folders: dict[str, set[str]] = {}
        for file in files:
            folders.setdefault(file.parent.name, set()).add(_name(file))
        self._memory.save(folders)


def _name(file: Path) -> str:
    return f"{file.parent.name}/{file.name}"


def _first_row(file: Path) -> list[Any] | None:
    """Return the values of `IDENTITY` in the first row; None where there are no rows or the file is not readable."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        opened = pq.ParquetFile(file)
        if opened.metadata.num_rows == 0:
            return None
        there = [name for name in IDENTITY if name in opened.schema_arrow.names]
        row = opened.read_row_group(0, columns=there).slice(0, 1).to_pylist()[0]
    except (pa.ArrowException, OSError):
        return None
    return [row.get(name) for name in IDENTITY]
