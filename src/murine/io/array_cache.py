"""A cache of arrays that take long to compute, kept on disk between runs.

The name of a file is the digest of everything that its arrays depend on, including the program, so it is never out of
date. The oldest files are deleted when the cache is full. Damaged files are detected, and their arrays computed again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from murine.errors import MurineError
from murine.io.files import atomic_write, read_npz
from murine.io.software import program_state

log = logging.getLogger(__name__)

Arrays = Mapping[str, np.ndarray]

#: Seconds of computation from which on arrays are stored.
WORTH = 0.1

#: Largest size of all files together in bytes.
MOST_BYTES = 4 << 30


@dataclass(frozen=True)
class ArrayCache:
    """A folder of arrays.

    Attributes
    ----------
    folder
        Folder of the files; None: nothing is stored.
    about
        All values that every array depends on, as plain values.

    Examples
    --------
    >>> import numpy as np
    >>> cache = ArrayCache(Path("cache"), about={"method": 1})
    >>> cache.arrays({"size": 3}, lambda: {"ones": np.ones(3)})["ones"]
    array([1., 1., 1.])
    """

    folder: Path | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    def arrays(self, about: Mapping[str, Any], compute: Callable[[], Arrays]) -> Arrays:
        """Return stored arrays, or compute and store them.

        Parameters
        ----------
        about
            All values that these arrays depend on, in addition to ``self.about``, as plain values.
        compute
            A function that computes the arrays. It must depend only on these values.
        """
        if self.folder is None:
            return compute()
        key = json.dumps([self.about, about, program_state()], sort_keys=True)
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        file = self.folder / f"{digest[:32]}.npz"
        if (found := _read(file, digest)) is not None:
            return found
        begin = time.process_time()
        computed = compute()
        if time.process_time() - begin >= WORTH:
            _write(file, digest, computed)
        return computed


def _read(file: Path, digest: str) -> Arrays | None:
    if not file.is_file():
        return None
    try:
        arrays = read_npz(file)
    except MurineError as error:
        log.warning("%s It is computed again.", error)
        return None
    if str(arrays.pop("_digest", "")) != digest:
        return None
    with suppress(OSError):
        os.utime(file)  # the oldest files are deleted first
    return arrays


def _write(file: Path, digest: str, arrays: Arrays) -> None:
    """Store arrays. An error is only logged, because the arrays themselves are there."""
    content: dict[str, Any] = {"_digest": np.array(digest), **arrays}
    try:
        with atomic_write(file) as partial, partial.open("wb") as opened:
            np.savez(opened, **content)
        _make_room(file.parent)
    except MurineError as error:
        log.info("%s", error)


def _make_room(folder: Path) -> None:
    with suppress(OSError):
        files = sorted(((f.stat().st_mtime_ns, f.stat().st_size, f) for f in folder.glob("*.npz")), reverse=True)
        total = 0
        for _, size, file in files:
            total += size
            if total > MOST_BYTES:
                file.unlink(missing_ok=True)
