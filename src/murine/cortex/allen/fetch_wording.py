"""Plans and results of a fetch from the public bucket, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from murine.cortex.allen.archive import Archive
from murine.cortex.allen.fetch_plan import FetchPlan, FetchReport, Session
from murine.cortex.public_data import DataAccess, DownloadPlan, DownloadResult


@dataclass(frozen=True)
class ArchiveWork:
    """The work of a fetch: the plan, the measures of the recordings, and whether raw files are kept."""

    plan: FetchPlan
    measures: Sequence[Any]
    keep_raw: bool | None


def download_plan(
    archive: Archive,
    sessions: Sequence[Session],
    access: DataAccess,
    keep_raw: bool | None,
    measures: Sequence[Any],
    *,
    with_images: bool = False,
) -> DownloadPlan:
    """Plan the fetch of sessions (`Archive.plan`), and put it into words.

    Parameters
    ----------
    keep_raw
        As for `Archive.fetch`.
    measures
        Definitions of the responses of the recordings.
    with_images
        Whether the images that were shown will be fetched too.
    """
    if access.refresh and not access.dry_run:
        archive.forget_verdicts(sessions)
    plan = archive.plan(sessions, keep_raw=keep_raw)
    lines = _lines(plan, archive, keep_raw, with_images)
    needs_consent = bool(plan.n_files or (keep_raw is False and plan.leftovers))
    return DownloadPlan(lines, needs_consent, access, ArchiveWork(plan, measures, keep_raw))


def _lines(plan: FetchPlan, archive: Archive, keep_raw: bool | None, with_images: bool) -> tuple[str, ...]:
    transfers, n_sessions = plan.transfers, len(plan.sessions)
    lines = [f"{counted(n_sessions + plan.done, 'session')}: {plan.done} done, {n_sessions} to do"]
    if plan.n_files or transfers.unchecked:
        lines.append(f"{counted(plan.n_files, 'file')} to fetch, {_size(plan.n_bytes)}")
        lines[-1] += f"; {len(transfers.unchecked)} here to be checked" if transfers.unchecked else ""
    if with_images:
        lines.append("the 118 images that were shown, some 0.13 GB")
    if plan.n_files or with_images:
        lines.append(f"{_size(plan.free)} free in {archive.place}")
    if n_sessions or plan.leftovers:
        what = {True: "raw files are kept", False: "raw files are deleted, also those that were kept before"}
        default = "raw files that are fetched are deleted when their recordings are made (--keep-raw keeps them)"
        lines.append(what[keep_raw] if keep_raw is not None else default)
    if plan.absent:
        lines.append(f"the bucket does not have {', '.join(map(str, plan.absent))}")
    if plan.without:
        lines.append(f"the bucket does not have {', '.join(plan.without)}: no recordings of those events")
    return tuple(lines)


def download_result(report: FetchReport, plan: FetchPlan, archive: Archive) -> DownloadResult:
    """Describe the result of a fetch in words."""
    impossible = [
        f"no recording of session {file.with_suffix('').stem}: {reason}" for file, reason in report.impossible.items()
    ]
    parts = [f"{counted(len(report.made), 'session')} done now, {plan.done} before"]
    if report.impossible:
        parts.append(f"{counted(len(report.impossible), 'recording')} impossible (--refresh tries again)")
    if report.failed:
        parts.append(f"{len(report.failed)} failed")
    summary = f"{', '.join(parts)}; recordings are in {archive.place / 'recordings'}"
    notes = (*report.notes, *impossible)
    return DownloadResult(summary, notes, report.failure(), can_build=bool(report.made or plan.done))


def counted(n: int, one: str) -> str:
    """``counted(2, "file")`` -> ``2 files``"""
    return f"{n:,} {one}{'s'[: n != 1]}"


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.2f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.1f} MB"
