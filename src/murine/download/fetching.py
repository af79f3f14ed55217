"""Downloads of many files, several at a time, in threads that can be stopped at any moment.

`murine.download.transfer` resumes and verifies each file.
"""

from __future__ import annotations

import errno
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from murine.download.http import Check, Client, PermanentError, StoppedError, Transfer
from murine.download.ledger import (
    beside,
    compared_with,
    delete_leftovers,
    digest_of,
    mismatch,
    read_record,
    record_matches,
    verified,
    worth_checking,
    write_record,
)
from murine.download.planning import plan, require_disk_space
from murine.download.transfer import PartialFile, TransferSettings, transfer_file
from murine.errors import MurineError
from murine.io.files import meaning
from murine.progress import Bar, Silent, TransferProgress

if TYPE_CHECKING:
    from filelock import BaseFileLock

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TransferResult:
    """The result of one transfer.

    Attributes
    ----------
    state
        ``fetched``; ``present``: the file was there and agrees with the server; ``settled``: the file is no longer
        needed; or ``failed``.
    reason
        Why the transfer failed; '' otherwise.
    received
        Number of bytes received over the network.
    """

    transfer: Transfer
    state: Literal["fetched", "present", "settled", "failed"]
    reason: str = ""
    received: int = 0


def fetch(
    transfers: Sequence[Transfer],
    *,
    workers: int = 4,
    timeout: float = 30.0,
    retries: int = 5,
    pause: float = 0.5,
    check: Check = "etag",
    kept: bool = True,
    arrived: Callable[[TransferResult], None] | None = None,
    settled: Callable[[Transfer], bool] | None = None,
    progress: TransferProgress | None = None,
) -> list[TransferResult]:
    """Fetch files, several at a time, and check their content. Verified files and received parts are not fetched again.

    A file that cannot be fetched does not stop the others; a full disk does. The received part of a file is kept. The
    next call continues there, also after a KeyboardInterrupt, a crash or a kill.

    Parameters
    ----------
    transfers
        The files to fetch. Each needs a local path of its own.
    workers
        Number of files fetched at the same time.
    timeout
        Seconds without a byte, or without a connection, after which an attempt fails.
    retries
        Number of further attempts after one that brought no new byte or wrong content. Then the next mirror is tried.
    pause
        Seconds before the second attempt. The pause doubles with every attempt, up to a minute, and varies randomly by
        half. If the server says how long to wait, that is respected, up to a minute.
    check
        ``etag``: the content must agree with the ETag. ``size``: only the number of bytes is checked, for servers whose
        ETags are not digests. If a SHA-256 is known, it is used instead.
    kept
        Whether ``arrived`` leaves the files in place. If not, the disk needs room for only ``workers + 2`` files, and
        no more are fetched ahead.
    arrived
        Called in this thread with every result, also of failed transfers. Other processes do not touch the file until
        it returns. An exception that it raises ends the download.
    settled
        Called in other threads before a file is fetched, when no other process works on it. It returns whether the
        file is no longer needed, for example because another process has used it meanwhile.
    progress
        Shows the bytes of each file and of all files.

    Returns
    -------
    results
        One `TransferResult` for each transfer, in the same order.

    Raises
    ------
    MurineError
        If the disk has too little space, two transfers have the same local path, or a number is out of range. Nothing
        was fetched then.
    """
    if workers < 1 or retries < 0 or timeout <= 0 or pause < 0:
        raise MurineError(
            f"workers={workers}, retries={retries}, timeout={timeout}, pause={pause} cannot be used; expected at least "
            "1 worker, a timeout above 0, and no negative number."
        )
    planned = plan(transfers, check=check)
    require_disk_space(planned, workers, kept)
    shown = progress or Silent()
    sizes = [transfer.remote.size for transfer in planned.missing]
    known = [size for size in sizes if size is not None]
    total = shown.transfer("all files", sum(known) if len(known) == len(sizes) else None) if sizes else None
    pool = _WorkerPool(transfers, TransferSettings(timeout, retries, pause, check), settled, shown, total)
    results: dict[Transfer, TransferResult] = {}
    try:
        pool.start(min(workers, len(transfers)))
        while len(results) < len(transfers):
            result, lock = pool.next()
            try:
                if arrived:
                    arrived(result)
            finally:
                lock.close()
            results[result.transfer] = result
    finally:
        pool.stop()
        if total:
            total.close()
    return [results[transfer] for transfer in transfers]


def require_all(results: Sequence[TransferResult]) -> None:
    """Raise a `MurineError` that names every failed file with its reason. Return if no transfer failed.

    Examples
    --------
    >>> from murine.download import Remote, Transfer, TransferResult
    >>> transfer = Transfer(Remote("https://example.org/a.nc"), Path("a.nc"))
    >>> require_all([TransferResult(transfer, "present")])
    >>> require_all([TransferResult(transfer, "failed", "it does not exist: HTTP 404")])
    Traceback (most recent call last):
    murine.errors.MurineError: 1 of 1 files could not be fetched:
      a.nc: it does not exist: HTTP 404
    The others are complete; the same command fetches the rest.
    """
    failed = [result for result in results if result.state == "failed"]
    if failed:
        lines = "".join(f"\n  {result.transfer.file.name}: {result.reason}" for result in failed)
        raise MurineError(
            f"{len(failed)} of {len(results)} files could not be fetched:{lines}\nThe others are complete; the same "
            "command fetches the rest."
        )


class _WorkerPool:
    """Threads that work through a list of transfers and can be stopped at any moment."""

    def __init__(
        self,
        transfers: Sequence[Transfer],
        settings: TransferSettings,
        settled: Callable[[Transfer], bool] | None,
        shown: TransferProgress,
        total: Bar | None,
    ) -> None:
        self._waiting = deque(transfers)
        self._settings, self._settled, self._shown, self._total = settings, settled, shown, total
        # Holds one result, so that the workers do not fetch far ahead of the caller who uses the files.
        self._done: queue.Queue[tuple[TransferResult, ExitStack] | BaseException] = queue.Queue(maxsize=1)
        self._stop = threading.Event()
        self._full = ""
        self._reported: set[Transfer] = set()
        self._clients: list[Client] = []
        self._threads: list[threading.Thread] = []

    def start(self, workers: int) -> None:
        for i in range(workers):
            client = Client(self._settings.timeout)
            thread = threading.Thread(target=self._work, args=(client,), name=f"fetch-{i}", daemon=True)
            self._clients.append(client)
            self._threads.append(thread)
            thread.start()

    def next(self) -> tuple[TransferResult, ExitStack]:
        done = self._done.get()
        if isinstance(done, BaseException):
            raise done
        return done

    def stop(self) -> None:
        """Interrupt and end all threads. They leave their partial files for the next download."""
        self._stop.set()
        end = time.monotonic() + 5
        for thread in self._threads:
            while thread.is_alive() and time.monotonic() < end:
                for client in self._clients:
                    client.interrupt()
                thread.join(0.05)
        with suppress(queue.Empty):
            done = self._done.get_nowait()
            if not isinstance(done, BaseException):
                done[1].close()

    def _work(self, client: Client) -> None:
        with client:
            while not self._stop.is_set():
                try:
                    transfer = self._waiting.popleft()
                except IndexError:
                    return
                held = ExitStack()
                try:
                    done: tuple[TransferResult, ExitStack] | BaseException = (
                        self._transfer(transfer, client, held),
                        held,
                    )
                except _LockedElsewhere:
                    if transfer not in self._reported:
                        _log.info("%s: waiting for another process that is fetching it", transfer.file)
                        self._reported.add(transfer)
                    self._waiting.append(transfer)
                    self._stop.wait(0.1)
                    continue
                except StoppedError:
                    held.close()
                    return
                except BaseException as error:
                    held.close()
                    done = error
                if not self._put_result(done):
                    held.close()
                    return

    def _put_result(self, done: tuple[TransferResult, ExitStack] | BaseException) -> bool:
        while not self._stop.is_set():
            with suppress(queue.Full):
                self._done.put(done, timeout=0.1)
                return True
        return False

    def _transfer(self, transfer: Transfer, client: Client, held: ExitStack) -> TransferResult:
        if self._full:
            return TransferResult(transfer, "failed", f"not tried, since {self._full}")
        meter = _ByteCounter(transfer, self._shown, self._total)
        partial = PartialFile(transfer, meter.at)
        try:
            unwritable = _lock(transfer.file, held)
            if self._settled and self._settled(transfer):
                return TransferResult(transfer, "settled")
            if _is_here(transfer, self._settings.check, self._stop, self._shown):
                return TransferResult(transfer, "present")
            if unwritable:
                raise unwritable
            with partial:
                transfer_file(partial, client, self._settings, self._stop)
            return TransferResult(transfer, "fetched", received=partial.received)
        except PermanentError as refusal:
            reason = str(refusal)
        except OSError as error:
            reason = f"it could not be written: {meaning(error)}"
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                self._full = meaning(error)
        finally:
            meter.close()
        return TransferResult(transfer, "failed", reason, partial.received)


class _LockedElsewhere(Exception):
    """Another process holds the lock of the file."""


def _lock(file: Path, held: ExitStack) -> OSError | None:
    """Lock a file against other processes. Return the error if the folder cannot be written."""
    from filelock import FileLock, Timeout

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # The lock is taken in one thread and given back in another.
        lock: BaseFileLock = FileLock(beside(file, "lock"), thread_local=False)
        lock.acquire(timeout=0)
    except Timeout:
        raise _LockedElsewhere from None
    except NotImplementedError:  # a file system without locks; a file damaged by two processes fails its check
        _log.warning("%s: its file system has no locks; let only one process fetch at a time", file)
        return None
    except OSError as error:
        return error
    held.callback(lock.release)
    return None


def _is_here(transfer: Transfer, check: Check, stop: threading.Event, shown: TransferProgress) -> bool:
    """Return whether a file need not be fetched. A file without a valid record is read, compared and gets a record."""
    file, remote = transfer.file, transfer.remote
    if verified(file, remote, check=check):
        delete_leftovers(file)
        return True
    if not worth_checking(file, remote, check):
        return False
    bar = shown.transfer(f"checking {file.name}", file.stat().st_size)
    try:
        found = digest_of(file, stop, bar.advance)
        record = read_record(file)
        same = record is not None and (found.md5, found.sha256) == (record.md5, record.sha256)
        if same and record is not None and record_matches(record, remote, check):
            compared = record.checked
        elif problem := mismatch(file, found, remote, check, stop):
            _log.warning("%s is not what the server has: %s; fetching it again", file, problem)
            return False
        else:
            compared = compared_with(remote, check)
    finally:
        bar.close()
    with suppress(OSError):  # in a read-only folder the file is compared again next time
        write_record(file, found, file.stat().st_mtime_ns, remote.url, remote.etag, compared)
        delete_leftovers(file)
    return True


class _ByteCounter:
    """Shows the bytes of one file on its own progress bar and on the bar of all files."""

    def __init__(self, transfer: Transfer, shown: TransferProgress, total: Bar | None) -> None:
        self._transfer, self._shown, self._total = transfer, shown, total
        self._bar: Bar | None = None
        self._at = 0

    def at(self, position: int) -> None:
        if self._bar is None:
            self._bar = self._shown.transfer(self._transfer.file.name, self._transfer.remote.size)
        for bar in (self._bar, self._total):
            if bar:
                bar.advance(position - self._at)
        self._at = position

    def close(self) -> None:
        if self._bar:
            self._bar.close()
