"""Transfers, several at a time."""

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

from murine.download.attempts import Manner, obtain
from murine.download.digests import digest_of, mismatch
from murine.download.disk import beside, tidy
from murine.download.line import Client, Refusal, Stopped
from murine.download.partial import Partial
from murine.download.planning import plan, require_room
from murine.download.records import (
    compared_with,
    may_adopt,
    read_record,
    verified,
    vouches,
    write_record,
)
from murine.download.remote import Check, Transfer
from murine.errors import MurineError
from murine.io.files import meaning
from murine.progress import Bar, Silent, TransferProgress

if TYPE_CHECKING:
    from filelock import BaseFileLock

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TransferResult:
    """How a transfer ended.

    ``state`` is ``fetched``, ``present`` (it was here, and is what the server has), ``settled`` (nobody needs it any
    more) or ``failed``, for a ``reason``; ``received`` counts the bytes of the file that came over the line.
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
    """Bring files here, several at a time, and check them; what was fetched before, or in part, is not fetched again.

    A file that cannot be had does not stop the others (a full disk does). What has come of it is kept, and the next
    fetch goes on from there; so it does after a KeyboardInterrupt, a crash or a kill.

    Parameters
    ----------
    transfers
        What to fetch; every one with a file of its own.
    workers
        How many at a time.
    timeout
        Seconds without a byte, or without a connection, after which an attempt is given up.
    retries
        How often to try again when no new byte came, or the content was wrong, before giving a place up.
    pause
        Seconds before the first of these; they double every time, up to a minute, and vary by half. A server that
        tells how long to wait is obeyed, up to a minute.
    check
        ``etag``: the content has to agree with the ETag. ``size``: only the number of bytes, for servers whose ETags
        are no digests. Where a SHA-256 is known, it alone counts.
    kept
        Whether ``arrived`` leaves the files where they are. If it does not, the disk needs room for ``workers + 2`` of
        them; no more is fetched ahead.
    arrived
        Called in this thread with every outcome as it comes, failed ones too. Until it returns, no other process
        touches the file; what it raises ends the fetch.
    settled
        Asked, when no other process works on a file, whether it is still needed: one that waited may find that the
        other has made use of it. Called in other threads.
    progress
        Shows the bytes of every file and of all.

    Returns
    -------
    outcomes
        In the order of the transfers.

    Raises
    ------
    MurineError
        If the disk has too little room, or two transfers have the same file. Nothing was fetched then.
    """
    if workers < 1 or retries < 0 or timeout <= 0 or pause < 0:
        raise MurineError(
            f"workers={workers}, retries={retries}, timeout={timeout}, pause={pause} cannot be used; expected at least "
            "1 worker, a timeout above 0, and no negative number."
        )
    planned = plan(transfers, check=check)
    require_room(planned, workers, kept)
    shown = progress or Silent()
    sizes = [transfer.remote.size for transfer in planned.missing]
    known = [size for size in sizes if size is not None]
    total = shown.transfer("all files", sum(known) if len(known) == len(sizes) else None) if sizes else None
    pool = _Pool(transfers, Manner(timeout, retries, pause, check), settled, shown, total)
    outcomes: dict[Transfer, TransferResult] = {}
    try:
        pool.start(min(workers, len(transfers)))
        while len(outcomes) < len(transfers):
            outcome, lock = pool.next()
            try:
                if arrived:
                    arrived(outcome)
            finally:
                lock.close()
            outcomes[outcome.transfer] = outcome
    finally:
        pool.stop()
        if total:
            total.close()
    return [outcomes[transfer] for transfer in transfers]


def require_all(outcomes: Sequence[TransferResult]) -> None:
    """Raise a MurineError that names every file that could not be had, and why; return if there is none."""
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    if failed:
        lines = "".join(f"\n  {outcome.transfer.file.name}: {outcome.reason}" for outcome in failed)
        raise MurineError(
            f"{len(failed)} of {len(outcomes)} files could not be fetched:{lines}\nThe others are complete; the same "
            "command goes on from there."
        )


class _Pool:
    """Threads that work through transfers, and can be stopped at any moment."""

    def __init__(
        self,
        transfers: Sequence[Transfer],
        manner: Manner,
        settled: Callable[[Transfer], bool] | None,
        shown: TransferProgress,
        total: Bar | None,
    ) -> None:
        self._waiting = deque(transfers)
        self._manner, self._settled, self._shown, self._total = manner, settled, shown, total
        # Holds one, so that no more is fetched ahead of whoever makes use of the files.
        self._done: queue.Queue[tuple[TransferResult, ExitStack] | BaseException] = queue.Queue(maxsize=1)
        self._stop = threading.Event()
        self._full = ""
        self._told: set[Transfer] = set()
        self._clients: list[Client] = []
        self._threads: list[threading.Thread] = []

    def start(self, workers: int) -> None:
        for i in range(workers):
            client = Client(self._manner.timeout)
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
        """Wake up and end all threads; they leave their files so that the next fetch goes on with them."""
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
                        self._outcome(transfer, client, held),
                        held,
                    )
                except _Busy:
                    if transfer not in self._told:
                        _log.info("%s: waiting for another process that is fetching it", transfer.file)
                        self._told.add(transfer)
                    self._waiting.append(transfer)
                    self._stop.wait(0.1)
                    continue
                except Stopped:
                    held.close()
                    return
                except BaseException as error:
                    held.close()
                    done = error
                if not self._hand_over(done):
                    held.close()
                    return

    def _hand_over(self, done: tuple[TransferResult, ExitStack] | BaseException) -> bool:
        while not self._stop.is_set():
            with suppress(queue.Full):
                self._done.put(done, timeout=0.1)
                return True
        return False

    def _outcome(self, transfer: Transfer, client: Client, held: ExitStack) -> TransferResult:
        if self._full:
            return TransferResult(transfer, "failed", f"not tried, since {self._full}")
        meter = _Meter(transfer, self._shown, self._total)
        partial = Partial(transfer, meter.at)
        try:
            unwritable = _hold(transfer.file, held)
            if self._settled and self._settled(transfer):
                return TransferResult(transfer, "settled")
            if _is_here(transfer, self._manner.check, self._stop, self._shown):
                return TransferResult(transfer, "present")
            if unwritable:
                raise unwritable
            with partial:
                obtain(partial, client, self._manner, self._stop)
            return TransferResult(transfer, "fetched", received=partial.received)
        except Refusal as refusal:
            reason = str(refusal)
        except OSError as error:
            reason = f"it could not be written: {meaning(error)}"
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                self._full = meaning(error)
        finally:
            meter.close()
        return TransferResult(transfer, "failed", reason, partial.received)


class _Busy(Exception):
    """Another process works on the file."""


def _hold(file: Path, held: ExitStack) -> OSError | None:
    """Keep other processes away from a file; where nothing can be written, tell why."""
    from filelock import FileLock, Timeout

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # The lock is taken in one thread and given back in another.
        lock: BaseFileLock = FileLock(beside(file, "lock"), thread_local=False)
        lock.acquire(timeout=0)
    except Timeout:
        raise _Busy from None
    except NotImplementedError:  # a file system without locks; a file that two processes spoil does not verify
        _log.warning("%s: its file system has no locks; let only one process fetch at a time", file)
        return None
    except OSError as error:
        return error
    held.callback(lock.release)
    return None


def _is_here(transfer: Transfer, check: Check, stop: threading.Event, shown: TransferProgress) -> bool:
    """Whether a file need not be fetched; one without a record, or with another's time, is read and gets one."""
    file, remote = transfer.file, transfer.remote
    if verified(file, remote, check=check):
        tidy(file)
        return True
    if not may_adopt(file, remote, check):
        return False
    bar = shown.transfer(f"checking {file.name}", file.stat().st_size)
    try:
        found = digest_of(file, stop, bar.advance)
        record = read_record(file)
        same = record is not None and (found.md5, found.sha256) == (record.md5, record.sha256)
        if same and record is not None and vouches(record, remote, check):
            compared = record.checked
        elif problem := mismatch(file, found, remote, check, stop):
            _log.warning("%s is not what the server has: %s; fetching it again", file, problem)
            return False
        else:
            compared = compared_with(remote, check)
    finally:
        bar.close()
    with suppress(OSError):  # in a folder that can only be read, it is compared again the next time
        write_record(file, found, file.stat().st_mtime_ns, remote.url, remote.etag, compared)
        tidy(file)
    return True


class _Meter:
    """Counts what is there of a file, on its bar and on that of all."""

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
