"""A folder with a part of the public bucket, and the recordings made from it.

A *session* is one measurement: a few raw files, from which one or more recordings are made. Raw files are large. Unless
the user wants to keep them, each is deleted when its recordings are complete. So a data set of half a terabyte needs
only a few gigabytes of the disk.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from murine import download
from murine.cortex.allen.fetch_plan import FetchPlan, FetchReport, Session
from murine.cortex.allen.raw_files import let_go, mark_as_passing, passing_mark, unless_used, verdict_of
from murine.cortex.allen.templates import Templates
from murine.download import Bucket, Remote, Transfer, TransferResult
from murine.download.ledger import delete_leftovers, existing_folder, has_leftovers
from murine.errors import MurineError, some
from murine.io.files import atomic_write, cache_folder, meaning
from murine.io.isolation import (
    Crashed,
    Isolated,
    could_not_read,
    reading_memory,
    reading_seconds,
    with_warnings,
)
from murine.progress import AnyProgress, Silent

if TYPE_CHECKING:
    from murine.cortex.recording import Recording

log = logging.getLogger(__name__)

BUCKET = "allen-brain-observatory"


def default_folder(cache: Path | None = None) -> Path:
    """The bucket's folder in a cache (`murine.io.files.cache_folder`)."""
    return cache_folder(cache) / BUCKET


#: Makes the recordings of a session of its raw files, in another process; returns why single ones cannot be made.
Reduction = Callable[[Session, Sequence[Path | None], Sequence[Path]], dict[Path, str]]


class Archive:
    """A folder with the layout of the bucket.

    Parameters
    ----------
    folder
        The folder of recordings; it is made at the first write. It can be moved.
    prefix
        Prefix of the keys of the data set.
    bucket
        Bucket that files are fetched from.
    check
        ``etag``, or ``size`` for servers whose ETags are no digests.
    timeout, retries
        Seconds without a byte after which an attempt is stopped; number of attempts without progress.
    """

    prefix = ""

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        bucket: Bucket | None = None,
        check: download.Check = "etag",
        timeout: float = 30.0,
        retries: int = 5,
    ) -> None:
        self.folder = default_folder() if folder is None else Path(folder)
        self.bucket = bucket or Bucket(BUCKET)
        self.check = check
        self.timeout, self.retries = timeout, retries

    @property
    def place(self) -> Path:
        """The folder of this data set."""
        return self.folder / self.prefix

    @property
    def templates(self) -> Templates:
        """The images that were shown, kept once."""
        return Templates(self.place)

    def recordings(self, measure: str) -> Path:
        """Return the folder of the recordings by a measure; its number is the version of the method that makes them."""
        return self.place / "recordings" / f"{measure}.v1"

    def ensure(self, keys: Sequence[str], *, refresh: bool = False, progress: AnyProgress | None = None) -> list[Path]:
        """Return the files of some keys (tables and the like), fetching those that are not here.

        Parameters
        ----------
        keys
            Below the prefix.
        refresh
            Ask the bucket for newer ones of those that are here.

        Raises
        ------
        MurineError
            If the bucket lacks one, or one cannot be fetched.
        """
        files = [self.place / key for key in keys]
        for file in files:
            if has_leftovers(file):
                unless_used(file, partial(delete_leftovers, file))
        missing = [key for key, file in zip(keys, files, strict=True) if not file.exists()]
        if not missing and not refresh:
            return files
        listed: dict[str, Remote] = {}
        for folder in sorted({key.rpartition("/")[0] for key in keys}):
            try:
                listed |= self._listed(f"{folder}/" if folder else "")
            except MurineError as error:
                why = f" Not here yet, in {str(self.place)!r}: {some(missing)}." if missing else ""
                raise MurineError(f"{error}{why}") from None
        absent = [key for key in keys if key not in listed]
        if absent:
            raise MurineError(f"{self.bucket.url} has no {some(absent)} under {self.prefix!r}; is it the right bucket?")
        transfers = [Transfer(listed[key], file) for key, file in zip(keys, files, strict=True)]
        download.require_all(self._fetch(transfers, progress=progress))
        return files

    def plan(self, sessions: Sequence[Session], *, keep_raw: bool | None = None) -> FetchPlan:
        """Return the plan of a fetch of sessions; this asks the bucket only if raw files must be fetched.

        Raises
        ------
        MurineError
            If the bucket cannot be listed.
        """
        todo = [session for session in sessions if session.missing or (keep_raw and not self._kept(session))]
        ids = {session.id for session in todo}
        done = [session for session in sessions if session.id not in ids]
        raw = [self.place / key for session in done for key in session.keys]
        leftovers = [file for file in raw if file.exists() or passing_mark(file).exists()]
        here = {key: remote for session in todo for key in session.keys if (remote := self._recorded(key))}
        listed: dict[str, Remote] = {}
        wanting = {key for session in todo for key in session.keys if any(k not in here for k in session.keys)}
        for folder in sorted({key.rpartition("/")[0] for key in wanting}):
            listed |= self._listed(f"{folder}/")
        there = {**here, **listed}
        work, absent, without = [], [], []
        for session in todo:
            lacking = [key for key in session.keys if key not in there]
            if set(lacking) - set(session.optional):
                absent.append(session.id)
                continue
            without += lacking
            keys = [key for key in session.keys if key in there]
            work.append((session, tuple(Transfer(there[key], self.place / key) for key in keys)))
        transfers = download.plan([transfer for _, needed in work for transfer in needed], check=self.check)
        free = shutil.disk_usage(existing_folder(self.place / "file")).free
        return FetchPlan(tuple(work), len(done), tuple(leftovers), tuple(absent), tuple(without), transfers, free)

    def fetch(
        self,
        plan: FetchPlan,
        reduction: Reduction,
        *,
        keep_raw: bool | None = None,
        workers: int = 4,
        progress: AnyProgress | None = None,
    ) -> FetchReport:
        """Carry out a plan: fetch raw files, and make the recordings of each session when its files are complete.

        A session that fails does not stop the others; its raw files are kept. After Ctrl-C or a crash, the same plan
        continues where it stopped.

        Parameters
        ----------
        reduction
            Function that makes the recordings; it is called in a separate process.
        keep_raw
            Whether to keep raw files whose recordings are complete. True keeps all, False deletes all. None deletes
            files that were fetched only to be reduced, and keeps files that were kept before or that the user put
            there.
        workers
            Number of files that are fetched at the same time.

        Raises
        ------
        MurineError
            If the disk has too little room.
        """
        report = FetchReport(failed=dict.fromkeys(plan.absent, "the bucket does not have it"))
        of = {transfer: (session, needed) for session, needed in plan.sessions for transfer in needed}
        waiting = {session.id: set(needed) for session, needed in plan.sessions}
        failures: dict[int, list[str]] = {}
        for file in plan.leftovers:
            unless_used(file, partial(let_go, file, keep_raw))
        bar = (progress or Silent()).task("making recordings", len(plan.sessions))
        with Isolated(reading_memory()) as isolated, bar:

            def arrived(outcome: TransferResult) -> None:
                session, needed = of[outcome.transfer]
                waiting[session.id].discard(outcome.transfer)
                if outcome.state == "failed":
                    failures.setdefault(session.id, []).append(f"{outcome.transfer.file.name}: {outcome.reason}")
                if waiting[session.id]:
                    return
                if session.id in failures:
                    report.failed[session.id] = "; ".join(failures[session.id])
                    return
                if session.missing:
                    try:
                        self._reduce(session, needed, reduction, isolated, report)
                    except MurineError as error:
                        report.failed[session.id] = str(error)
                        return
                report.made.append(session.id)
                bar.advance(done=f"session {session.id}")
                for transfer in needed:
                    let_go(transfer.file, keep_raw)

            def settled(transfer: Transfer) -> bool:
                if keep_raw:
                    return False
                if of[transfer][0].missing and not transfer.file.exists():
                    mark_as_passing(transfer.file)
                return not of[transfer][0].missing

            self._fetch(
                list(of), workers=workers, kept=keep_raw is True, arrived=arrived, settled=settled, progress=progress
            )
        return report

    def read(self, files: Sequence[Path], progress: AnyProgress | None = None) -> list[Recording]:
        """Open those of the requested recordings that exist; they are read when needed.

        Those that are not are told in the log.

        Raises
        ------
        MurineError
            If there is none.
        """
        from murine.cortex.recording import Recording

        there = [file for file in files if file.exists()]
        impossible = [file for file in files if not file.exists() and verdict_of(file).exists()]
        for file in impossible:
            log.warning("session %s left out: %s", file.stem, verdict_of(file).read_text(errors="replace").strip())
        if not there:
            made = sorted({file.parent.name.rpartition(".")[0] for file in self.place.glob("recordings/*/*.nc")})
            raise MurineError(
                f"none of these {len(files)} sessions is in {str(self.folder)!r} as "
                f"{files[0].parent.name.rpartition('.')[0] if files else 'a recording'}. Of any session there is "
                f"{', '.join(made) or 'nothing'}. `murine data fetch` with the same signal and window fetches them."
            )
        if n_missing := len(files) - len(there) - len(impossible):
            log.warning("%d of %d sessions are not fetched yet, and left out", n_missing, len(files))
        opened = []
        with (progress or Silent()).task("opening recordings", len(there)) as bar:
            for file in there:
                opened.append(Recording.read(file, isolated=False))  # murine made it
                bar.advance()
        return opened

    def forget_verdicts(self, sessions: Sequence[Session]) -> None:
        """Let the next fetch retry recordings that could not be made from the raw files of some sessions.

        Raises
        ------
        MurineError
            If the folder cannot be written to.
        """
        for verdict in [verdict_of(file) for session in sessions for file in session.recordings]:
            try:
                if verdict.exists():
                    verdict.unlink(missing_ok=True)
            except OSError as error:
                raise MurineError(f"{str(verdict)!r} could not be deleted: {meaning(error)}.") from error

    def _kept(self, session: Session) -> bool:
        return (self.place / session.keys[0]).exists()

    def _recorded(self, key: str) -> Remote | None:
        """What the bucket had when a raw file was fetched that is still here, unchanged."""
        file = self.place / key
        record = download.read_record(file)
        if record is None:
            return None
        remote = Remote(record.url, record.size, record.etag, key=key)
        return remote if download.verified(file, remote, check=self.check) else None

    def _listed(self, folder: str) -> dict[str, Remote]:
        """What the bucket has in a folder below the prefix, by key below the prefix."""
        start = f"{self.prefix}/{folder}"
        found = self.bucket.objects(start, timeout=self.timeout, retries=self.retries)
        return {remote.key.removeprefix(f"{self.prefix}/"): remote for remote in found}

    def _fetch(
        self,
        transfers: Sequence[Transfer],
        *,
        workers: int = 4,
        kept: bool = True,
        arrived: Callable[[TransferResult], None] | None = None,
        settled: Callable[[Transfer], bool] | None = None,
        progress: AnyProgress | None = None,
    ) -> list[TransferResult]:
        return download.fetch(
            transfers,
            workers=workers,
            timeout=self.timeout,
            retries=self.retries,
            check=self.check,
            kept=kept,
            arrived=arrived,
            settled=settled,
            progress=progress,
        )

    def _reduce(
        self,
        session: Session,
        needed: Sequence[Transfer],
        reduction: Reduction,
        isolated: Isolated,
        report: FetchReport,
    ) -> None:
        """Make the recordings of a session.

        If a recording can never be made, write a file with the reason in its place.
        """
        files = {transfer.file for transfer in needed}
        raw = [self.place / key if self.place / key in files else None for key in session.keys]
        for file in (name for made in session.recordings for name in (made, verdict_of(made))):
            # Temporary files of a killed process; no other process uses them, because this one has the session's lock.
            for stale in file.parent.glob(f".{file.name}.*.partial"):
                with suppress(OSError):
                    stale.unlink(missing_ok=True)
        try:
            seconds = reading_seconds(*files)
            impossible, notes = isolated.call(seconds, _with_notes, reduction, session, raw, session.missing)
        except Crashed as error:
            raise could_not_read(self.place / session.keys[0], error) from error
        except RuntimeError as error:
            log.error("session %d: %s", session.id, error)
            raise MurineError(
                f"{str(raw[0])!r} could not be read, by a mistake of murine: {str(error).strip().splitlines()[-1]}"
            ) from error
        for file, reason in impossible.items():
            with atomic_write(verdict_of(file)) as new:
                new.write_text(reason + "\n")
        report.impossible |= impossible
        report.notes += [f"session {session.id}: {note}" for note in notes]


def _with_notes(
    reduction: Reduction, session: Session, raw: Sequence[Path | None], missing: Sequence[Path]
) -> tuple[dict[Path, str], list[str]]:
    """Call a reduction, in another process, and return its warnings too; files are told by their names."""
    impossible, told = with_warnings(reduction, session, raw, missing)
    folders = {f"{file.parent}{os.sep}" for file in raw if file is not None}

    def shorter(text: str) -> str:
        for folder in folders:
            text = text.replace(folder, "")
        return text

    return {file: shorter(reason) for file, reason in impossible.items()}, [shorter(text) for _, text in told]
