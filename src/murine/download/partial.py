"""Files that have come in part."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from io import FileIO
from typing import Any

from murine.download.digests import Digests, digest_of
from murine.download.disk import beside, read_json, sync_folder, tidy, unlinked, write_json
from murine.download.records import write_record
from murine.download.remote import Remote, Transfer, places


def left_over(transfer: Transfer) -> int:
    """How many bytes of a file an interrupted fetch has left, that need not be fetched again."""
    remote = transfer.remote
    about = read_json(beside(transfer.file, "partial.json"))
    try:
        size = beside(transfer.file, "partial").stat().st_size
    except OSError:
        return 0
    if remote.size is not None and size > remote.size:
        return 0
    return size if any(_belongs(about, remote, url) for url in places(remote)) else 0


class Partial:
    """What has come of a file: bytes under a temporary name, and beside them what they are bytes of.

    ``digests`` are always those of the bytes on disk; ``expected`` is the size of the whole, None while unknown;
    ``received`` counts what was written in this process.
    """

    def __init__(self, transfer: Transfer, count: Callable[[int], None]) -> None:
        self.file, self.remote = transfer.file, transfer.remote
        self.path = beside(self.file, "partial")
        self.digests = Digests()
        self.expected: int | None = self.remote.size
        self.received = 0
        self._transfer, self._count = transfer, count
        self._about_path = beside(self.file, "partial.json")
        self._about: dict[str, Any] = {}
        self._opened: FileIO | None = None

    def __enter__(self) -> Partial:
        return self

    def __exit__(self, *_: object) -> None:
        if self._opened:
            self._opened.close()
            self._opened = None

    @property
    def size(self) -> int:
        """Bytes that have come."""
        return self.digests.size

    def open(self, url: str, stop: threading.Event) -> None:
        """Go on with what is here if it belongs to the bytes at a place, else from the start."""
        first = self._opened is None
        if first:
            self._opened = FileIO(self.path, "a", opener=unlinked)
            self._about = read_json(self._about_path) if left_over(self._transfer) else {}
        if not _belongs(self._about, self.remote, url):
            self.restart()
        elif first:
            self.digests = digest_of(self.path, stop)
            told = self._about.get("size")
            if self.expected is None and isinstance(told, int) and told >= self.size:
                self.expected = told
        self._count(self.size)

    def restart(self) -> None:
        """Throw away what is here."""
        self._written_to().truncate(0)
        self.digests = Digests()
        self.expected = self.remote.size
        self._about = {}
        self._about_path.unlink(missing_ok=True)
        self._count(0)

    def tag(self, url: str) -> str:
        """The ETag that a place told with the bytes that are here."""
        tag = self._about.get("tag", "") if self._about.get("url") == url and self.size else ""
        return tag if isinstance(tag, str) else ""

    def begin(self, url: str, tag: str, expected: int | None) -> None:
        """Note what the next bytes are bytes of, before they come."""
        self.expected = expected
        about = {"url": url, "tag": tag, "etag": self.remote.etag, "sha256": self.remote.sha256, "size": expected}
        if about != self._about:
            write_json(self._about_path, about)
            self._about = about

    def write(self, block: bytes) -> None:
        """Append bytes."""
        file, rest = self._written_to(), memoryview(block)
        while rest:
            n = file.write(rest)  # less than all of it, where the disk gets full
            self.digests.update(rest[:n])
            self.received += n
            rest = rest[n:]
        self._count(self.size)

    def finish(self, url: str, checked: str) -> None:
        """Give the file its name, and put the record beside it; first, so that no file that was fetched lacks one."""
        file = self._written_to()
        os.fsync(file.fileno())
        file.close()
        self._opened = None
        mtime_ns = self.path.stat().st_mtime_ns
        write_record(self.file, self.digests, mtime_ns, url, self.remote.etag, checked)
        os.replace(self.path, self.file)
        sync_folder(self.file.parent)
        tidy(self.file)

    def _written_to(self) -> FileIO:
        if self._opened is None:
            raise RuntimeError(f"{self.path} is not open")
        return self._opened


def _belongs(about: dict[str, Any], remote: Remote, url: str) -> bool:
    """Whether bytes that came before and bytes from a place are of the same file."""
    if remote.sha256:
        return about.get("sha256") == remote.sha256
    if remote.etag:
        return about.get("etag") == remote.etag and remote.size in (None, about.get("size"))
    return about.get("url") == url and bool(about.get("tag"))
