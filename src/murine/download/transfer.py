"""The transfer of one file: resumed after every interruption, until it is complete and has the expected digest."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from typing import TYPE_CHECKING, Any

from murine.download.http import (
    Check,
    Client,
    PermanentError,
    Remote,
    StoppedError,
    TemporaryError,
    Transfer,
    all_urls,
    error_of_answer,
    is_weak,
    normalised_etag,
    seconds_until_retry,
    times,
)
from murine.download.ledger import (
    Digests,
    beside,
    compared_with,
    delete_leftovers,
    digest_of,
    mismatch,
    open_without_links,
    read_json,
    require_checkable,
    sync_folder,
    write_json,
    write_record,
)

if TYPE_CHECKING:
    import httpx2

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TransferSettings:
    """Timeout, number of repetitions, pause and check of transfers; see `murine.download.fetch`."""

    timeout: float
    retries: int
    pause: float
    check: Check


def transfer_file(partial: PartialFile, client: Client, settings: TransferSettings, stop: threading.Event) -> None:
    """Fetch the missing bytes of a file from the first server that provides it, check them and give the file its name.

    Raises
    ------
    PermanentError
        If no server provides the file. The message gives the reason for each address.
    StoppedError
        If ``stop`` was set.
    OSError
        If the file cannot be written.
    """
    require_checkable(partial.remote, settings.check)
    reasons = []
    for url in all_urls(partial.remote):
        try:
            _transfer_from(url, partial, client, settings, stop)
            return
        except PermanentError as refusal:
            reasons.append(f"{refusal} ({url})")
    raise PermanentError("; ".join(reasons))


def _transfer_from(
    url: str, partial: PartialFile, client: Client, settings: TransferSettings, stop: threading.Event
) -> None:
    failures = furthest = 0
    wrong: set[str] = set()
    partial.open(url, stop)
    furthest = partial.size
    while True:
        try:
            if partial.size != partial.expected:
                _receive(url, partial, client, stop)
            if partial.size != partial.expected:
                raise TemporaryError(f"the answer ended after {partial.size} bytes of {partial.expected}")
            problem = mismatch(partial.path, partial.digests, partial.remote, settings.check, stop)
            if not problem:
                partial.finish(url, compared_with(partial.remote, settings.check))
                return
            _log.warning("%s: %s; fetching it again from the start", partial.file, problem)
            digest = partial.digests.sha256
            partial.restart()
            if digest in wrong:
                raise PermanentError(
                    f"{problem}, and the same bytes came twice: the server has another file than expected"
                )
            wrong.add(digest)
            if len(wrong) > settings.retries:
                raise PermanentError(f"{problem} ({times(len(wrong))}, with other bytes each time)")
            furthest = 0
            raise TemporaryError(problem)
        except TemporaryError as setback:
            if stop.is_set():
                raise StoppedError from None
            # Only new bytes are progress; otherwise a server that restarts every time would be asked forever.
            failures = 0 if partial.size > furthest else failures + 1
            furthest = max(furthest, partial.size)
            if failures > settings.retries:
                raise PermanentError(f"{setback} ({times(failures)}, and no new byte)") from None
            _log.info("%s: %s; trying again from byte %d", partial.file, setback, partial.size)
            if stop.wait(seconds_until_retry(failures, settings.pause, setback.wait)):
                raise StoppedError from None


def _receive(url: str, partial: PartialFile, client: Client, stop: threading.Event) -> None:
    """Request the missing bytes of a file and append them."""
    position, remote = partial.size, partial.remote
    listed = remote.etag if url == remote.url and not is_weak(remote.etag) else ""
    tag = listed or partial.tag(url)
    headers = {"Range": f"bytes={position}-"} if position else {}
    headers |= {"If-Match": f'"{tag}"'} if tag else {}
    with client.get(url, headers, stop) as answer:
        code, current = answer.status_code, normalised_etag(answer.headers.get("etag", ""))
        if code == 412 or (code in (200, 206) and tag and current and current != tag):
            if listed:
                raise PermanentError("it changed on the server after it was listed; run the same command again")
            partial.restart()
            raise TemporaryError("it has changed on the server")
        if code == 416:
            partial.restart()
            raise TemporaryError(f"the server has no bytes after the first {position}")
        if code not in (200, 206):
            raise error_of_answer(answer)
        size = _size_of(answer, position)
        if remote.size is not None and size is not None and size > remote.size:
            raise PermanentError(f"it has {size} bytes there, not {remote.size} as listed")
        strong = "" if is_weak(current) else current
        partial.begin(url, strong, size if remote.size is None else remote.size)
        skip = position if code == 200 else 0  # a server without range requests sends the file from its start
        for chunk in client.body(answer, stop):
            part = chunk[skip:]
            skip -= len(chunk) - len(part)
            if partial.expected is not None and partial.size + len(part) > partial.expected:
                problem = f"more than {partial.expected} bytes came"
                partial.restart()
                raise TemporaryError(problem)
            partial.write(part)
        if partial.expected is None:  # the server did not announce the size, but the answer ended properly
            partial.begin(url, strong, partial.size)


def _size_of(answer: httpx2.Response, position: int) -> int | None:
    """Return the size of the whole file according to an answer; None if the answer does not say it."""
    if answer.status_code == 200:
        length = answer.headers.get("content-length", "")
        return int(length) if length.isdecimal() else None
    given = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("content-range", ""))
    if not given or int(given[1]) != position:
        raise TemporaryError(f"asked for bytes from {position}, got {answer.headers.get('content-range', 'others')!r}")
    return int(given[2]) if given[2] != "*" else None


# ------------------------------------------------------------------------- partly transferred files


def partial_size(transfer: Transfer) -> int:
    """Return how many bytes of a file an interrupted download left that can be used."""
    remote = transfer.remote
    about = read_json(beside(transfer.file, "partial.json"))
    try:
        size = beside(transfer.file, "partial").stat().st_size
    except OSError:
        return 0
    if remote.size is not None and size > remote.size:
        return 0
    return size if any(_same_file(about, remote, url) for url in all_urls(remote)) else 0


class PartialFile:
    """A file that has been received in part: its bytes under a temporary name, and a description of them beside it.

    Attributes
    ----------
    digests
        Digests of the bytes on disk.
    expected
        Size of the complete file in bytes; None while it is unknown.
    received
        Number of bytes written by this process.
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

    def __enter__(self) -> PartialFile:
        return self

    def __exit__(self, *_: object) -> None:
        if self._opened:
            self._opened.close()
            self._opened = None

    @property
    def size(self) -> int:
        """Number of bytes on disk."""
        return self.digests.size

    def open(self, url: str, stop: threading.Event) -> None:
        """Continue with the bytes on disk if they belong to the file at this address; otherwise start from zero."""
        first = self._opened is None
        if first:
            self._opened = FileIO(self.path, "a", opener=open_without_links)
            self._about = read_json(self._about_path) if partial_size(self._transfer) else {}
        if not _same_file(self._about, self.remote, url):
            self.restart()
        elif first:
            self.digests = digest_of(self.path, stop)
            size = self._about.get("size")
            if self.expected is None and isinstance(size, int) and size >= self.size:
                self.expected = size
        self._count(self.size)

    def restart(self) -> None:
        """Delete all bytes on disk."""
        self._open_file().truncate(0)
        self.digests = Digests()
        self.expected = self.remote.size
        self._about = {}
        self._about_path.unlink(missing_ok=True)
        self._count(0)

    def tag(self, url: str) -> str:
        """Return the ETag that the server at this address sent with the bytes on disk; '' if there is none."""
        tag = self._about.get("tag", "") if self._about.get("url") == url and self.size else ""
        return tag if isinstance(tag, str) else ""

    def begin(self, url: str, tag: str, expected: int | None) -> None:
        """Describe on disk which file the next bytes belong to, before they are written."""
        self.expected = expected
        about = {"url": url, "tag": tag, "etag": self.remote.etag, "sha256": self.remote.sha256, "size": expected}
        if about != self._about:
            write_json(self._about_path, about)
            self._about = about

    def write(self, block: bytes) -> None:
        """Append bytes."""
        file, rest = self._open_file(), memoryview(block)
        while rest:
            n = file.write(rest)  # may write only a part when the disk becomes full
            self.digests.update(rest[:n])
            self.received += n
            rest = rest[n:]
        self._count(self.size)

    def finish(self, url: str, checked: str) -> None:
        """Write the record, then rename the file: every fetched file has a record, even after a crash."""
        file = self._open_file()
        os.fsync(file.fileno())
        file.close()
        self._opened = None
        mtime_ns = self.path.stat().st_mtime_ns
        write_record(self.file, self.digests, mtime_ns, url, self.remote.etag, checked)
        os.replace(self.path, self.file)
        sync_folder(self.file.parent)
        delete_leftovers(self.file)

    def _open_file(self) -> FileIO:
        if self._opened is None:
            raise RuntimeError(f"{self.path} is not open")
        return self._opened


def _same_file(about: dict[str, Any], remote: Remote, url: str) -> bool:
    """Return whether the bytes on disk and the bytes at an address belong to the same file."""
    if remote.sha256:
        return about.get("sha256") == remote.sha256
    if remote.etag:
        return about.get("etag") == remote.etag and remote.size in (None, about.get("size"))
    return about.get("url") == url and bool(about.get("tag"))
