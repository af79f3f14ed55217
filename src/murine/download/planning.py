"""What a fetch will do, told before it does it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from murine.download.disk import existing_folder
from murine.download.partial import left_over
from murine.download.records import may_adopt, verified
from murine.download.remote import Check, Transfer
from murine.errors import MurineError, some


@dataclass(frozen=True)
class TransferPlan:
    """What a fetch will do.

    Attributes
    ----------
    present
        Verified files.
    unchecked
        Files of the right size that still have to be read and compared.
    missing
        Files to fetch.
    n_bytes
        Bytes to come, without those that an interrupted fetch has left; files of unknown size count as none.
    free
        Bytes that the disk has left; the least, if there are several.
    """

    present: tuple[Transfer, ...]
    unchecked: tuple[Transfer, ...]
    missing: tuple[Transfer, ...]
    n_bytes: int
    free: int


def plan(transfers: Sequence[Transfer], *, check: Check = "etag") -> TransferPlan:
    """Tell what of the files is here already, and what a fetch will bring; looks at names and records only.

    Raises
    ------
    MurineError
        If two transfers have the same file.
    """
    files = {transfer.file.absolute() for transfer in transfers}
    if len(files) < len(transfers):
        raise MurineError("two transfers would write the same file; give every file a name of its own.")
    present, unchecked, missing = [], [], []
    n_bytes = 0
    for transfer in transfers:
        remote, file = transfer.remote, transfer.file
        if verified(file, remote, check=check):
            present.append(transfer)
        elif may_adopt(file, remote, check):
            unchecked.append(transfer)
        else:
            missing.append(transfer)
            n_bytes += max(0, (remote.size or 0) - left_over(transfer))
    free = min((shutil.disk_usage(folder).free for folder in {existing_folder(file) for file in files}), default=0)
    return TransferPlan(tuple(present), tuple(unchecked), tuple(missing), n_bytes, free)


def require_room(plan: TransferPlan, workers: int, kept: bool) -> None:
    """Refuse a plan that the disk has no room for; see `fetch` for the arguments."""
    if kept:
        needed, what = plan.n_bytes, "there are"
    else:  # one that is made use of, one that waits for it, and one in every worker
        sizes = sorted((transfer.remote.size or 0 for transfer in plan.missing), reverse=True)
        needed, what = min(plan.n_bytes, sum(sizes[: workers + 2])), f"with {workers} at a time there are"
    if needed > plan.free:
        folders = sorted({str(existing_folder(transfer.file)) for transfer in plan.missing})
        raise MurineError(
            f"the disk of {some(folders, 1)} has {plan.free / 1e6:,.1f} MB free, and {what} {needed / 1e6:,.1f} MB to "
            "fetch. Make room, ask for less, or choose another folder."
        )
