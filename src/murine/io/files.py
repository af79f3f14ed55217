"""Write files completely or not at all, and read npz, JSON and csv files without running code in them."""

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

#: Largest number of bytes that one byte of a deflated stream can become.
_DEFLATE = 1032


def cache_folder(given: Path | None = None) -> Path:
    """Return the folder of fetched data and cached results.

    It is the given folder, else ``$MURINE_CACHE``, else the cache folder of the system, such as ``~/.cache/murine``.

    Examples
    --------
    >>> cache_folder(Path("here")).name
    'here'
    """
    import platformdirs

    chosen = given or os.environ.get("MURINE_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("murine")


def meaning(error: OSError) -> str:
    """Return the meaning of an error of the operating system in words.

    Examples
    --------
    >>> meaning(OSError(errno.ENOSPC, "No space left on device"))
    'the disk is full'
    """
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
    """Yield the path of a temporary file, which becomes the file at the end of the block, unless an error occurs.

    Temporary files that killed processes left in the folder are removed first (`murine.io.temporary`).

    Raises
    ------
    MurineError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_write(folder / "numbers.json") as partial:
    ...     _ = partial.write_text("[1, 2]")
    >>> read_json(folder / "numbers.json")
    [1, 2]
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
            f"{str(file)!r} could not be written: {meaning(error)}. All files written before are complete; the same "
            "command goes on from there."
        ) from error
    finally:
        if partial is not None:
            with suppress(OSError):
                partial.unlink()


def read_npz(file: str | Path, *, max_bytes: int = 8 << 30) -> dict[str, NDArray[np.generic]]:
    """Return all arrays of an npz file. Pickled objects are never loaded.

    Before memory is allocated for an array, its declared size is compared with the archive and with the largest size
    that its compressed bytes can have.

    Parameters
    ----------
    file
        Path of the file.
    max_bytes
        Largest number of bytes of all arrays together.

    Raises
    ------
    MurineError
        If the file is missing or damaged, contains pickled objects, or has more than ``max_bytes`` of arrays.

    Examples
    --------
    >>> import numpy as np
    >>> np.savez("arrays.npz", rates=np.ones((3, 5)))
    >>> read_npz("arrays.npz")["rates"].shape
    (3, 5)
    """
    import warnings
    import zipfile

    try:
        with open(file, "rb") as opened, zipfile.ZipFile(opened) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy warns about headers of other versions
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if size > max_bytes:
                raise ValueError(f"its arrays would take {size:,} bytes, more than {max_bytes:,}")
            if sum(member.compress_size for member in members) > os.fstat(opened.fileno()).st_size:
                raise ValueError("its members overlap")
            return {member.filename.removesuffix(".npy"): _read_npy(archive, member) for member in members}
    except FileNotFoundError:
        raise MurineError(f"there is no file {str(file)!r}.") from None
    except Exception as error:  # zipfile, zlib, struct, tokenize and NumPy raise many types of exceptions
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
    """Return the content of a JSON file (UTF-8).

    Raises
    ------
    MurineError
        If the file is missing, damaged, larger than ``max_bytes``, or contains NaN or infinity, which JSON lacks.

    Examples
    --------
    >>> size = Path("about.json").write_text('{"n": 3}')
    >>> read_json("about.json")
    {'n': 3}
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    try:
        if (size := Path(file).stat().st_size) > max_bytes:
            raise ValueError(f"it has {size:,} bytes, more than {max_bytes:,}")
        text = Path(file).read_text("utf-8-sig")
        content = json.loads(text, parse_constant=refuse)
        if re.search(r"\\u[dD][89a-fA-F]", text):
            json.dumps(content, ensure_ascii=False).encode()  # raises for half of a surrogate pair
        return content
    except FileNotFoundError:
        raise MurineError(f"there is no file {str(file)!r}.") from None
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        raise MurineError(f"{str(file)!r} is no readable JSON ({error}); it may be truncated.") from error


def read_table(file: Path, columns: tuple[str, ...], *, text: tuple[str, ...] = ()) -> pd.DataFrame:
    """Return the table in a csv file.

    Parameters
    ----------
    file
        Path of the file.
    columns
        Columns that the table must have.
    text
        Columns that stay text even if they look like numbers: ``001`` is not 1.

    Raises
    ------
    MurineError
        If the file is missing, truncated or unreadable, or lacks one of the columns.

    Examples
    --------
    >>> import pandas as pd
    >>> pd.DataFrame({"mouse": ["001", "002"], "age": [90, 85]}).to_csv("mice.csv", index=False)
    >>> read_table(Path("mice.csv"), ("mouse", "age"), text=("mouse",)).mouse.tolist()
    ['001', '002']
    """
    import pandas as pd

    try:
        if not file.read_bytes().endswith(b"\n"):
            raise MurineError(
                f"{str(file)!r} does not end with a line break: its last row may be cut off. If it is whole, add a "
                "line break at its end."
            )
        types = dict.fromkeys(text, str)
        table = pd.read_csv(file, low_memory=False, dtype=types)  # the type of a column is that of all its values
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
