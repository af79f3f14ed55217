"""Seals: every file of results contains the digest of its configuration and of its own bytes.

A seal is one line of text within the file: in the footer of a Parquet file, in the comment of an npz file. It is
written last, in place of a blank one of the same length. One flipped bit, a file cut short and a file under the name
of another are all found without understanding the format."""

from __future__ import annotations

import hashlib
import mmap
from pathlib import Path

from murine.errors import MurineError

_MARK = b"murine-seal-1 "
_BLANK = b"0" * 64


def blank_seal(file: Path) -> str:
    """Return the empty line of a file that `seal` fills in later."""
    return (_MARK + _name(file) + b" " + _BLANK).decode()


def seal(written: Path, file: Path) -> None:
    """Fill in the blank seal of a finished file.

    Parameters
    ----------
    written
        Where the file is now, under a temporary name.
    file
        Where it will be: a seal holds for this folder and name only.
    """
    with written.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as content:
        start = content.rfind(blank_seal(file).encode())
        if start < 0:
            raise RuntimeError(f"{written} has no blank seal")
        end = start + len(blank_seal(file))
        content[end - len(_BLANK) : end] = hashlib.sha256(content).hexdigest().encode()
        content.flush()


def defect(file: Path) -> str:
    """Return why a file cannot be trusted; '' if its seal is valid.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    """
    try:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _defect(memoryview(content), content.rfind(_MARK), file)
    except FileNotFoundError:
        raise
    except IsADirectoryError:
        return "it is a folder"
    except ValueError:  # nothing can be mapped
        return "it is empty"
    except OSError as error:
        return f"it cannot be read: {error.strerror}"


def check(file: Path) -> None:
    """Refuse a file without a valid seal.

    Raises
    ------
    MurineError
        That says why.
    FileNotFoundError
        If there is no such file.
    """
    if reason := defect(file):
        raise MurineError(f"{str(file)!r} cannot be used: {reason}.")


def seal_of(file: Path) -> str:
    """Return the checksum that a file states in its seal; '' if there is no seal."""
    content = file.read_bytes()
    start = content.rfind(_MARK)
    parts = content[start : start + 512].split(b" ", 2) if start >= 0 else []
    return parts[2][: len(_BLANK)].decode("ascii", "replace") if len(parts) == 3 else ""


def _defect(content: memoryview, start: int, file: Path) -> str:
    with content:
        if start < 0:
            return "it was not written by murine, is of an older version, or is cut off"
        expected = _MARK + _name(file) + b" "
        end = start + len(expected)
        if bytes(content[start:end]) != expected:
            return "it is a copy of another result, or damaged"
        total = hashlib.sha256(content[:end])
        total.update(_BLANK)
        total.update(content[end + len(_BLANK) :])
        same = bytes(content[end : end + len(_BLANK)]) == total.hexdigest().encode()
        return "" if same else "it is damaged: its checksum does not match"


def _name(file: Path) -> bytes:
    return f"{file.parent.name}/{file.stem}".encode("utf-8", "surrogateescape")
