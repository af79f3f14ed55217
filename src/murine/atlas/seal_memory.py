"""Memory of files whose seals were valid, so that a command does not read gigabytes again.

A file is known by its size, the times of its last change and its number on the disk (inode). The time of the last
change of the inode (``ctime``) is set by the system alone, so a file that was written to is always read again. What is
remembered lies in the cache of the user (`murine.io.files.cache_folder`), one file for each atlas; it may be deleted at
any time. ``murine atlas check`` never uses it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from murine.errors import MurineError
from murine.io.files import atomic_write, cache_folder, read_json

log = logging.getLogger(__name__)

#: Seconds for which a file is not remembered after its last change: it could change again within one tick of its clock.
SETTLED = 2.0

#: Rises when the remembered values mean something else.
_FORMAT = 1


class SealMemory:
    """What is known of the files of one atlas.

    Parameters
    ----------
    folder
        Of the atlas.
    """

    def __init__(self, folder: Path) -> None:
        name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:32]
        self._file = cache_folder() / "seals" / f"{name}.json"
        self._found: dict[str, list[Any]] | None = None
        self._changed = False

    def recall(self, name: str, stat: os.stat_result) -> Any:
        """Return what was remembered of a file, or None if nothing was or the file changed since."""
        entry = self._entries.get(name)
        return entry[1] if entry is not None and entry[0] == _version(stat) else None

    def remember(self, name: str, stat: os.stat_result, about: Any) -> None:
        """Remember a file with a valid seal; ``about`` is plain values, and not None."""
        if abs(time.time() - max(stat.st_mtime, stat.st_ctime)) > SETTLED:
            self._entries[name] = [_version(stat), about]
            self._changed = True

    def save(self, folders: Mapping[str, set[str]] = MappingProxyType({})) -> None:
        """Write what is new. An error in writing is ignored: the files are read again.

        Parameters
        ----------
        folders
            All names in some folders: files there that are gone are forgotten.
        """
        if not self._changed or self._found is None:
            return
        self._found = {
            name: entry for name, entry in self._found.items() if name in folders.get(name.partition("/")[0], {name})
        }
        self._changed = False
        try:
            with atomic_write(self._file) as partial:
                text = json.dumps({"format": _FORMAT, "files": self._found}, separators=(",", ":"))
                partial.write_text(text, encoding="utf-8")
        except (MurineError, UnicodeError) as error:
            log.debug("seals are not remembered: %s", error)

    @property
    def _entries(self) -> dict[str, list[Any]]:
        if self._found is None:
            self._found = _read(self._file)
        return self._found


def _read(file: Path) -> dict[str, list[Any]]:
    if not file.exists():
        return {}
    try:
        content = read_json(file)
        return dict(content["files"]) if content["format"] == _FORMAT else {}
    except (MurineError, KeyError, TypeError, ValueError):
        return {}


def _version(stat: os.stat_result) -> list[int]:
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
