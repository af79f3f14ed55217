"""Files: they appear whole or not at all, and are read without running anything that is in them."""

from __future__ import annotations

import errno
import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from murine.errors import MurineError
from murine.io.temporary import create_beside, remove_abandoned

if TYPE_CHECKING:
    import zipfile

    import pandas as pd

#: No byte of a deflated stream becomes more bytes than this.
_DEFLATE = 1032


def cache_folder(given: Path | None = None) -> Path:
    """Return the folder of fetched data and of what is kept between runs.

    That is the given one, else ``$MURINE_CACHE``, else this system's, as ``~/.cache/murine``.
    """
    import platformdirs

    chosen = given or os.environ.get("MURINE_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("murine")


def meaning(error: OSError) -> str:
    """What an error of the system means."""
    reasons: dict[int | None, str] = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the quota is used up",
        errno.EFBIG: "the file would be too large",
        errno.EACCES: "writing is not allowed",
        errno.EPERM: "writing is not allowed",
        errno.EROFS: "the file system is read-only",
        errno.ENOTDIR: "a part of its path is a file, not a folder",
        errno.EEXIST: "a part of its path is a file, not a folder",
        errno.EISDIR: "there is a folder of that name",
        errno.ELOOP: "there is a symbolic link of that name, which may lead anywhere",
    }
    return reasons.get(error.errno, str(error))


@contextmanager
def atomic_write(file: Path) -> Iterator[Path]:
    """Create a temporary file to write into; the file appears whole at the end, or not at all.

    What processes that were killed have left in the folder is removed first (`murine.io.temporary`).
    """
    partial = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(file.parent)
        partial = create_beside(file)
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(partial, file)
    except OSError as error:
        raise MurineError(
            f"{str(file)!r} could not be written: {meaning(error)}. What was written before is whole; the same "
            "command goes on from there."
        ) from error
    finally:
        if partial is not None:
            with suppress(OSError):
                partial.unlink()


def read_npz(file: str | Path, *, max_bytes: int = 8 << 30) -> dict[str, NDArray[np.generic]]:
    """Read all arrays of an npz file; nothing in it is ever unpickled.

    Every array's declared size is held against the archive, and against what its compressed bytes can hold, before
    memory is taken for it.

    Raises
    ------
    MurineError
        If the file is missing, damaged, holds pickled objects, or more than ``max_bytes`` of arrays.
    """
    import warnings
    import zipfile

    try:
        with open(file, "rb") as opened, zipfile.ZipFile(opened) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy's about headers of other versions
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if size > max_bytes:
                raise ValueError(f"its arrays would take {size:,} bytes, more than {max_bytes:,}")
            if sum(member.compress_size for member in members) > os.fstat(opened.fileno()).st_size:
                raise ValueError("its members overlap")
            return {member.filename.removesuffix(".npy"): _read_npy(archive, member) for member in members}
    except FileNotFoundError:
        raise MurineError(f"there is no file {str(file)!r}.") from None
    except Exception as error:  # of what zipfile, zlib, struct, tokenize and NumPy raise there is no end
        raise MurineError(
            f"{str(file)!r} is no readable npz file ({error}). It may be truncated, or hold pickled objects, which "
            "are never loaded."
        ) from error


def _read_npy(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[np.generic]:
    with archive.open(member) as stream:
        if member.file_size > _DEFLATE * member.compress_size + 1024:
            raise ValueError(f"{member.filename}: {member.compress_size:,} bytes hold no {member.file_size:,}")
        major, _ = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(stream)
        declared = math.prod(shape) * dtype.itemsize
        if not dtype.hasobject and declared != member.file_size - stream.tell():
            raise ValueError(f"{member.filename}: {shape} of {dtype} do not fit its {member.file_size:,} bytes")
    with archive.open(member) as stream:
        array: NDArray[np.generic] = np.lib.format.read_array(stream, allow_pickle=False)
        if stream.read(1):  # also makes zipfile compare the checksum
            raise ValueError(f"{member.filename} is longer than its array")
    return array


def read_json(file: str | Path, *, max_bytes: int = 1 << 30) -> Any:
    """Read a JSON file (UTF-8); a missing, damaged or oversized one is a MurineError.

    What JSON does not know, NaN and infinity, is damage.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    try:
        if (size := Path(file).stat().st_size) > max_bytes:
            raise ValueError(f"it has {size:,} bytes, more than {max_bytes:,}")
        text = Path(file).read_text("utf-8-sig")
        content = json.loads(text, parse_constant=refuse)
        if re.search(r"\\u[dD][89a-fA-F]", text):
            json.dumps(content, ensure_ascii=False).encode()  # raises for half of a character, which nothing can print
        return content
    except FileNotFoundError:
        raise MurineError(f"there is no file {str(file)!r}.") from None
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        raise MurineError(f"{str(file)!r} is no readable JSON ({error}); it may be truncated.") from error


def read_table(file: Path, columns: tuple[str, ...], *, text: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read a csv file; a missing, broken or incomplete one is a MurineError.

    Parameters
    ----------
    columns
        Columns that the table must have.
    text
        Columns that stay text even if they look like numbers: ``001`` is not 1.
    """
    import pandas as pd

    try:
        if not file.read_bytes().endswith(b"\n"):
            raise MurineError(
                f"{str(file)!r} does not end with a line break: its last row may be cut off. If it is whole, add a "
                "line break at its end."
            )
        types = dict.fromkeys(text, str)
        table = pd.read_csv(file, low_memory=False, dtype=types)  # types of whole columns, not of pieces of them
    except FileNotFoundError:
        raise MurineError(f"there is no file {str(file)!r}.") from None
    except MurineError:
        raise
    except (OSError, ValueError, ArithmeticError, MemoryError) as error:
        raise MurineError(f"{str(file)!r} is no readable csv table ({error}).") from error
    missing = [c for c in columns if c not in table]
    if missing:
        raise MurineError(f"{str(file)!r} has no column {', '.join(missing)}; it has {', '.join(table.columns)}.")
    return table
