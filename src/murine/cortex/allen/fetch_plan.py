"""What a fetch of sessions will do, and what it did."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from murine import download
from murine.cortex.allen.raw_files import verdict_of
from murine.download import Transfer
from murine.errors import MurineError


@dataclass(frozen=True)
class Session:
    """What is measured at once.

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
        """Recordings that are neither there nor known to be impossible."""
        return tuple(file for file in self.recordings if not (file.exists() or verdict_of(file).exists()))


@dataclass(frozen=True)
class FetchPlan:
    """What a fetch will do.

    Attributes
    ----------
    sessions
        Those that are not done, each with what has to come.
    done
        How many sessions have all their recordings.
    leftovers
        Raw files of these that are still here, or of which a mark is.
    absent
        Ids of sessions that the bucket does not have.
    without
        Keys of optional files that the bucket does not have.
    transfers
        What has to come, and what that means for the disk.
    free
        Bytes that the disk has left.
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
    """What a fetch did.

    Attributes
    ----------
    made
        Ids of the sessions that are done now.
    failed
        Ids of those that are not, with reasons.
    impossible
        Recordings that cannot be made of their raw files, with reasons.
    notes
        What else there is to know of the recordings that were made.
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
