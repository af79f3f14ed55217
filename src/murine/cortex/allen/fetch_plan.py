"""The plan of a fetch of sessions, and its report."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from murine import download
from murine.cortex.allen.raw_files import verdict_of
from murine.download import Transfer
from murine.errors import MurineError


@dataclass(frozen=True)
class Session:
    """One session, with its raw files and its recordings.

    Attributes
    ----------
    id
        Its number in the data set.
    keys
        Keys of its raw files in the bucket, the main one first.
    optional
        Those of the keys without which some recordings can still be made.
    recordings
        Files that are made of the raw ones.
    """

    id: int
    keys: tuple[str, ...]
    recordings: tuple[Path, ...]
    optional: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[Path, ...]:
        """Recordings that do not exist yet and are not known to be impossible."""
        return tuple(file for file in self.recordings if not (file.exists() or verdict_of(file).exists()))


@dataclass(frozen=True)
class FetchPlan:
    """The plan of a fetch.

    Attributes
    ----------
    sessions
        Sessions that are not complete, each with the files to fetch.
    done
        Number of sessions that have all their recordings.
    leftovers
        Raw files of complete sessions that are still on the disk, or that have a mark there.
    absent
        Ids of sessions that the bucket does not have.
    without
        Keys of optional files that the bucket does not have.
    transfers
        The files to fetch, and the disk space that they need.
    free
        Free bytes on the disk.
    """

    sessions: tuple[tuple[Session, tuple[Transfer, ...]], ...]
    done: int
    leftovers: tuple[Path, ...]
    absent: tuple[int, ...]
    without: tuple[str, ...]
    transfers: download.TransferPlan
    free: int

    @property
    def n_files(self) -> int:
        return len(self.transfers.missing)

    @property
    def n_bytes(self) -> int:
        return self.transfers.n_bytes


@dataclass
class FetchReport:
    """The report of a fetch.

    Attributes
    ----------
    made
        Ids of the sessions that are now complete.
    failed
        Ids of the other sessions, with reasons.
    impossible
        Recordings that cannot be made from their raw files, with reasons.
    notes
        Notes on the recordings that were made.
    """

    made: list[int] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)
    impossible: dict[Path, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def failure(self) -> str:
        """Return every session that failed, and why; '' if none did."""
        if not self.failed:
            return ""
        lines = "".join(f"\n  {number}: {reason}" for number, reason in sorted(self.failed.items()))
        return (
            f"{len(self.failed)} session{'s'[: len(self.failed) != 1]} could not be had:{lines}\nThe others are "
            "complete; the same command goes on from there."
        )

    def require_all(self) -> None:
        """Raise a MurineError that names every session that failed, and why."""
        if failure := self.failure():
            raise MurineError(failure)
