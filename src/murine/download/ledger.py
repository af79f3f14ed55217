"""Digests of files, records of checked files, and the small files that a download keeps beside each file."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from murine.download.http import Check, PermanentError, Remote, StoppedError
from murine.errors import MurineError
from murine.io.files import meaning


@dataclass(frozen=True)
class Record:
    """The record of a checked file, which is stored beside the file.

    Attributes
    ----------
    url
        The address that the file came from.
    size, mtime_ns
        Size in bytes and time of the last change in nanoseconds, when the file was checked.
    etag
        The ETag in the listing.
    md5, sha256
        Digests of the content, in hexadecimal digits.
    checked
        What the content was compared with: ``sha256``, ``etag``, or ``size`` if neither was known.
    """

    url: str
    size: int
    mtime_ns: int
    etag: str
    md5: str
    sha256: str
    checked: str


def read_record(file: Path) -> Record | None:
    """Return the record of a file; None if there is no record or it cannot be understood."""
    given = read_json(beside(file, "verified.json"))
    kinds = {f.name: int if f.type == "int" else str for f in fields(Record)}
    if set(given) != set(kinds) or any(type(given[name]) is not kind for name, kind in kinds.items()):
        return None
    return Record(**given)


def write_record(file: Path, found: Digests, mtime_ns: int, url: str, etag: str, checked: str) -> None:
    """Write the record of a file that was compared with what the server says about it."""
    record = Record(url, found.size, mtime_ns, etag, found.md5, found.sha256, checked)
    write_json(beside(file, "verified.json"), asdict(record))


def verified(file: Path, remote: Remote, *, check: Check = "etag") -> bool:
    """Return whether a file is the one on the server, according to its record. The file itself is not read.

    A file is not verified if its size or time differs from its record (it was changed or copied), or if the file on
    the server has another size or digest now.
    """
    record = read_record(file)
    return record is not None and _untouched(file, record) and record_matches(record, remote, check)


def verify(file: Path) -> Record:
    """Read a file, compare it with its record, and return the record.

    Raises
    ------
    MurineError
        If the file or its record is missing, if the file cannot be read, or if its size or digests differ from the
        record.
    """
    record = read_record(file)
    if record is None:
        raise MurineError(f"{str(file)!r} has no readable record of its digests; fetch it again.")
    try:
        found = digest_of(file)
    except FileNotFoundError:
        raise MurineError(f"the file {str(file)!r} is missing, only its record exists; fetch it again.") from None
    except OSError as error:
        raise MurineError(f"{str(file)!r} cannot be read: {meaning(error)}.") from error
    if (found.size, found.md5, found.sha256) != (record.size, record.md5, record.sha256):
        raise MurineError(
            f"{str(file)!r} is not what was fetched: it has {found.size} bytes with SHA-256 {found.sha256}; its record "
            f"says {record.size} bytes with SHA-256 {record.sha256}. Delete it and fetch it again."
        )
    return record


def remove(file: Path) -> None:
    """Delete a file, its record, and what an interrupted download left beside it.

    The file is deleted last: if the process is killed before, the file is still there and a second call finishes the
    work. The lock file stays, because another process may be waiting for it.
    """
    beside(file, "verified.json").unlink(missing_ok=True)
    delete_leftovers(file)
    file.unlink(missing_ok=True)


def record_matches(record: Record, remote: Remote, check: Check) -> bool:
    """Return whether the record of a file agrees with what is known about the file on the server."""
    if remote.size not in (None, record.size):
        return False
    if remote.sha256:
        return record.sha256 == remote.sha256
    if check == "etag" and MD5.fullmatch(remote.etag):
        return record.md5 == remote.etag
    if check == "etag" and remote.etag:
        return record.etag == remote.etag and record.checked == "etag"
    return record.etag == remote.etag or not (record.etag and remote.etag)


def compared_with(remote: Remote, check: Check) -> str:
    """Return what a file is compared with: ``sha256``, ``etag`` or ``size``."""
    return "sha256" if remote.sha256 else "etag" if remote.etag and check == "etag" else "size"


def worth_checking(file: Path, remote: Remote, check: Check) -> bool:
    """Return whether a file could be the one on the server, so that it should be read and compared."""
    if not os.path.isfile(file) or remote.size not in (None, file.stat().st_size):
        return False
    record = read_record(file)
    if remote.sha256 or (check == "etag" and remote.etag):
        # Whether the digests in the record decide without reading the file.
        decided = bool(remote.sha256 or MD5.fullmatch(remote.etag))
        return record is None or not (decided and _untouched(file, record))
    return check == "size" if record is None else record_matches(record, remote, check)


def untouched(file: Path) -> bool:
    """Return whether a file is as it was when it was verified: it has a record with the same size and time."""
    record = read_record(file)
    return record is not None and _untouched(file, record)


def _untouched(file: Path, record: Record) -> bool:
    try:
        now = file.stat()
    except OSError:
        return False
    return (now.st_size, now.st_mtime_ns) == (record.size, record.mtime_ns)


# ------------------------------------------------------------------------------------------ digests


MD5 = re.compile(r"[0-9a-f]{32}")
MD5_OF_PARTS = re.compile(r"([0-9a-f]{32})-([1-9][0-9]{0,4})")

_BLOCK = 2**20
_MOST_PART_SIZES = 64


class Digests:
    """The digests of a stream of bytes, updated block by block.

    Examples
    --------
    >>> digests = Digests()
    >>> digests.update(b"abc")
    >>> digests.size, digests.md5
    (3, '900150983cd24fb0d6963f7d28e17f72')
    """

    def __init__(self) -> None:
        self.size = 0
        self._md5, self._sha256 = _md5(), hashlib.sha256()

    def update(self, block: bytes | memoryview) -> None:
        """Add more bytes."""
        self.size += len(block)
        self._md5.update(block)
        self._sha256.update(block)

    @property
    def md5(self) -> str:
        """The MD5 of all bytes so far, in hexadecimal digits."""
        return str(self._md5.hexdigest())

    @property
    def sha256(self) -> str:
        """The SHA-256 of all bytes so far, in hexadecimal digits."""
        return self._sha256.hexdigest()


def _md5() -> Any:
    return hashlib.md5(usedforsecurity=False)


def digest_of(file: Path, stop: threading.Event | None = None, counted: Callable[[int], None] | None = None) -> Digests:
    """Read a file and return its digests. ``counted`` is called with the size of every block; ``stop`` interrupts."""
    digests = Digests()
    for block in blocks(file, stop):
        digests.update(block)
        if counted:
            counted(len(block))
    return digests


def blocks(file: Path, stop: threading.Event | None) -> Iterator[bytes]:
    """Yield the blocks of a file; raise `StoppedError` once ``stop`` is set."""
    with file.open("rb", buffering=0) as opened:
        while block := opened.read(_BLOCK):
            if stop is not None and stop.is_set():
                raise StoppedError
            yield block


def mismatch(path: Path, found: Digests, remote: Remote, check: Check, stop: threading.Event) -> str:
    """Return how a file differs from what is known about the file on the server; '' if it does not differ."""
    if remote.size not in (None, found.size):
        return f"it has {found.size} bytes, not {remote.size}"
    if remote.sha256:
        return "" if found.sha256 == remote.sha256 else f"its SHA-256 is {found.sha256}, not {remote.sha256}"
    if check == "size" or not remote.etag:
        return ""
    if MD5.fullmatch(remote.etag):
        return "" if found.md5 == remote.etag else f"its MD5 is {found.md5}, not {remote.etag} as its ETag says"
    parts = MD5_OF_PARTS.fullmatch(remote.etag)
    if not parts:
        return _uncheckable(remote)
    sizes = part_sizes(found.size, int(parts[2]))
    for start in range(0, len(sizes), 8):
        if parts[1] in digests_of_parts(path, sizes[start : start + 8], stop):
            return ""
    return f"the MD5 of its {parts[2]} parts is not {parts[1]} as its ETag says, with any of {len(sizes)} part sizes"


def require_checkable(remote: Remote, check: Check) -> None:
    """Refuse a file whose content cannot be checked after the download, because its ETag is not a digest."""
    known = remote.sha256 or check == "size" or not remote.etag
    if not (known or MD5.fullmatch(remote.etag) or MD5_OF_PARTS.fullmatch(remote.etag)):
        raise PermanentError(_uncheckable(remote))


def _uncheckable(remote: Remote) -> str:
    return f"its ETag {remote.etag!r} is no MD5, so its content cannot be checked; choose to check only the size"


def part_sizes(size: int, parts: int) -> list[int]:
    """Return the part sizes that an upload of a file may have used, the most common ones first.

    All parts but the last have the same size. Nearly every program uses whole MiB; some use MB or equal parts.

    Examples
    --------
    >>> part_sizes(20 * 2**20, 3)[0] == 8 * 2**20
    True
    """
    least = math.ceil(size / parts)
    if parts == 1:
        return [size]
    most = (size - 1) // (parts - 1)
    mib, mb = 2**20, 10**6
    whole = [n * mib for n in range(math.ceil(least / mib), most // mib + 1)]
    decimal = [n * mb for n in range(math.ceil(least / mb), most // mb + 1)]
    if least > most:
        return []

    def rank(n: int) -> tuple[int, int]:
        if n % mib == 0:
            count = n // mib
            return (0 if count & (count - 1) == 0 else 1 if count % 5 == 0 else 2, n)
        return (1 if (n // mb) % 5 == 0 else 3, n)

    usual = sorted({*whole, *decimal}, key=rank)
    return [*usual[: _MOST_PART_SIZES - 1], least] if least not in usual else usual[:_MOST_PART_SIZES]


def digests_of_parts(path: Path, sizes: Sequence[int], stop: threading.Event) -> list[str]:
    """Return the MD5 of the MD5s of the parts of a file for each part size. The file is read once."""
    whole = [_md5() for _ in sizes]
    parts = [_md5() for _ in sizes]
    position = 0
    for block in blocks(path, stop):
        for i, size in enumerate(sizes):
            start = 0
            while start < len(block):
                room = size - (position + start) % size
                parts[i].update(memoryview(block)[start : start + room])
                start += room
                if (position + min(start, len(block))) % size == 0:
                    whole[i].update(parts[i].digest())
                    parts[i] = _md5()
        position += len(block)
    for i, size in enumerate(sizes):
        if position % size or not position:
            whole[i].update(parts[i].digest())
    return [digest.hexdigest() for digest in whole]


# ------------------------------------------------------------------------------ files beside a file


_LARGEST_JSON = 2**20

#: Small files that a killed download may leave beside a file.
_LEFTOVERS = ("partial.json", "partial.json.new", "verified.json.new")


def beside(file: Path, end: str) -> Path:
    """Return the path of a hidden file that belongs to another file.

    Examples
    --------
    >>> beside(Path("a.nc"), "lock").name
    '.a.nc.lock'
    """
    return file.with_name(f".{file.name}.{end}")


def read_json(file: Path) -> dict[str, Any]:
    """Return the content of one of murine's small JSON files; {} if it is missing, damaged or not a JSON object."""
    try:
        with file.open("rb") as opened:
            given = json.loads(opened.read(_LARGEST_JSON))
    except (OSError, ValueError, RecursionError):
        return {}
    return given if isinstance(given, dict) else {}


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Write a small JSON file completely or not at all. The caller holds the lock of the file that it belongs to."""
    new = file.with_name(f"{file.name}.new")
    with open(new, "w", encoding="utf-8", opener=open_without_links) as opened:
        opened.write(json.dumps(content, indent=1) + "\n")
    os.replace(new, file)


def open_without_links(path: str | Path, flags: int) -> int:
    """Open a file for writing and refuse symbolic links: others can guess the name and could put a link there."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def has_leftovers(file: Path) -> bool:
    """Return whether a killed download left files beside a file that no later download can use."""
    return not beside(file, "partial").exists() and any(beside(file, end).exists() for end in _LEFTOVERS)


def delete_leftovers(file: Path) -> None:
    """Delete what a killed download left beside a complete file. The caller holds the file's lock."""
    for end in ("partial", *_LEFTOVERS):
        with suppress(OSError):
            beside(file, end).unlink(missing_ok=True)


def existing_folder(file: Path) -> Path:
    """Return the folder of a file, or the nearest folder above it that exists."""
    # Path.is_dir raises if a folder above cannot be accessed; os.path.isdir does not.
    return next((folder for folder in file.absolute().parents if os.path.isdir(folder)), Path("/"))


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk, so that they survive a power failure."""
    with suppress(OSError):  # some systems cannot open folders
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
