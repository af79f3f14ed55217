"""Records of what was found when a file was checked, kept beside it."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from murine.download.digests import MD5, Digests, digest_of
from murine.download.disk import beside, read_json, tidy, write_json
from murine.download.remote import Check, Remote
from murine.errors import MurineError
from murine.io.files import meaning


@dataclass(frozen=True)
class Record:
    """What was found when a file was checked, kept beside it.

    ``etag`` is the one that the listing told; ``checked`` tells what the content was compared with: ``sha256``,
    ``etag`` or, where there was nothing better, ``size``.
    """

    url: str
    size: int
    mtime_ns: int
    etag: str
    md5: str
    sha256: str
    checked: str


def read_record(file: Path) -> Record | None:
    """What is recorded of a file; None if nothing is, or nothing that makes sense."""
    given = read_json(beside(file, "verified.json"))
    kinds = {f.name: int if f.type == "int" else str for f in fields(Record)}
    if set(given) != set(kinds) or any(type(given[name]) is not kind for name, kind in kinds.items()):
        return None
    return Record(**given)


def write_record(file: Path, found: Digests, mtime_ns: int, url: str, etag: str, checked: str) -> None:
    """Record what a file is, after it was compared with what the server says."""
    record = Record(url, found.size, mtime_ns, etag, found.md5, found.sha256, checked)
    write_json(beside(file, "verified.json"), asdict(record))


def verified(file: Path, remote: Remote, *, check: Check = "etag") -> bool:
    """Whether a file is what the server has, by its record: it is not read.

    A file that was changed or copied since (its size or time differ from the record's) is not verified, nor is one
    whose object has another size or digest now.
    """
    record = read_record(file)
    return record is not None and _untouched(file, record) and vouches(record, remote, check)


def verify(file: Path) -> Record:
    """Read a file again and compare it with its record.

    Raises
    ------
    MurineError
        If the file or its record is missing, or they differ.
    """
    record = read_record(file)
    if record is None:
        raise MurineError(f"{str(file)!r} has no readable record of its digests; fetch it again.")
    try:
        found = digest_of(file)
    except FileNotFoundError:
        raise MurineError(f"there is no file {str(file)!r} any more, only its record; fetch it again.") from None
    except OSError as error:
        raise MurineError(f"{str(file)!r} cannot be read: {meaning(error)}.") from error
    if (found.size, found.md5, found.sha256) != (record.size, record.md5, record.sha256):
        raise MurineError(
            f"{str(file)!r} is not what was fetched: {found.size} bytes with SHA-256 {found.sha256}, recorded were "
            f"{record.size} with {record.sha256}. Delete it and fetch it again."
        )
    return record


def remove(file: Path) -> None:
    """Delete a file with its record and whatever a fetch has left of it.

    The file goes last, so that who is killed here finds what is left to do. The lock stays: another process may be
    waiting for it.
    """
    beside(file, "verified.json").unlink(missing_ok=True)
    tidy(file)
    file.unlink(missing_ok=True)


def vouches(record: Record, remote: Remote, check: Check) -> bool:
    """Whether what is recorded of a file is what the server has."""
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
    """What a file is compared with: ``sha256``, ``etag`` or ``size``."""
    return "sha256" if remote.sha256 else "etag" if remote.etag and check == "etag" else "size"


def may_adopt(file: Path, remote: Remote, check: Check) -> bool:
    """Whether it is worth reading a file to see if it is what the server has."""
    if not os.path.isfile(file) or remote.size not in (None, file.stat().st_size):
        return False
    record = read_record(file)
    if remote.sha256 or (check == "etag" and remote.etag):
        decided = bool(remote.sha256 or MD5.fullmatch(remote.etag))  # by the digests of the record alone
        return record is None or not (decided and _untouched(file, record))
    return check == "size" if record is None else vouches(record, remote, check)


def untouched(file: Path) -> bool:
    """Whether a file is as it was fetched and verified: it has a record, and size and time are those of the record."""
    record = read_record(file)
    return record is not None and _untouched(file, record)


def _untouched(file: Path, record: Record) -> bool:
    try:
        now = file.stat()
    except OSError:
        return False
    return (now.st_size, now.st_mtime_ns) == (record.size, record.mtime_ns)
