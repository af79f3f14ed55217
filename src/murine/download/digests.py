"""Digests of files, and whether they are what a server says they are."""

from __future__ import annotations

import hashlib
import math
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from murine.download.line import Refusal, Stopped
from murine.download.remote import Check, Remote

MD5 = re.compile(r"[0-9a-f]{32}")
MD5_OF_PARTS = re.compile(r"([0-9a-f]{32})-([1-9][0-9]{0,4})")

_BLOCK = 2**20
_MOST_PART_SIZES = 64


class Digests:
    """The digests of what has come so far."""

    def __init__(self) -> None:
        self.size = 0
        self._md5, self._sha256 = _md5(), hashlib.sha256()

    def update(self, block: bytes | memoryview) -> None:
        """Go on with more bytes."""
        self.size += len(block)
        self._md5.update(block)
        self._sha256.update(block)

    @property
    def md5(self) -> str:
        """The MD5 of all bytes so far, as hexadecimal digits."""
        return str(self._md5.hexdigest())

    @property
    def sha256(self) -> str:
        """The SHA-256 of all bytes so far, as hexadecimal digits."""
        return self._sha256.hexdigest()


def _md5() -> Any:
    return hashlib.md5(usedforsecurity=False)


def digest_of(file: Path, stop: threading.Event | None = None, counted: Callable[[int], None] | None = None) -> Digests:
    """Read a file and digest it; every block is counted."""
    digests = Digests()
    for block in blocks(file, stop):
        digests.update(block)
        if counted:
            counted(len(block))
    return digests


def blocks(file: Path, stop: threading.Event | None) -> Iterator[bytes]:
    """Read a file in blocks, until told to stop."""
    with file.open("rb", buffering=0) as opened:
        while block := opened.read(_BLOCK):
            if stop is not None and stop.is_set():
                raise Stopped
            yield block


def mismatch(path: Path, found: Digests, remote: Remote, check: Check, stop: threading.Event) -> str:
    """How a file differs from what is known of it; empty if it does not."""
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
        return _undecidable(remote)
    sizes = part_sizes(found.size, int(parts[2]))
    for start in range(0, len(sizes), 8):
        if parts[1] in digests_of_parts(path, sizes[start : start + 8], stop):
            return ""
    return f"the MD5 of its {parts[2]} parts is not {parts[1]} as its ETag says, with any of {len(sizes)} part sizes"


def require_digest(remote: Remote, check: Check) -> None:
    """Refuse a file whose content could not be checked once it is here."""
    known = remote.sha256 or check == "size" or not remote.etag
    if not (known or MD5.fullmatch(remote.etag) or MD5_OF_PARTS.fullmatch(remote.etag)):
        raise Refusal(_undecidable(remote))


def _undecidable(remote: Remote) -> str:
    return f"its ETag {remote.etag!r} is no MD5, so that its content cannot be checked; check only the size to go on"


def part_sizes(size: int, parts: int) -> list[int]:
    """Sizes of parts that a file may have been uploaded in, usual ones first.

    All but the last part have the same size: whole MiB with nearly every program, MB or equal parts with some.
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
    """The MD5 of the MD5s of the parts of a file, for each size of parts, in one pass."""
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
