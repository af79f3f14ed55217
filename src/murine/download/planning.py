"""The plan of a download: which files are present, which are missing, and whether the disk has room for them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from murine.download.http import Check, Transfer
from murine.download.ledger import existing_folder, verified, worth_checking
from murine.download.transfer import partial_size
from murine.errors import MurineError, some


@dataclass(frozen=True)
class TransferPlan:
    """What `murine.download.fetch` will do.

    Attributes
    ----------
    present
        Verified files, which are not fetched.
    unchecked
        Files of the right size without a valid record. They will be read and compared.
    missing
        Files to fetch.
    n_bytes
        Number of bytes to fetch, without those left by an interrupted download. Files of unknown size count as 0.
    free
        Free bytes on the disk; the smallest number if there are several disks.
    """

    present: tuple[Transfer, ...]
    unchecked: tuple[Transfer, ...]
    missing: tuple[Transfer, ...]
    n_bytes: int
    free: int


def plan(transfers: Sequence[Transfer], *, check: Check = "etag") -> TransferPlan:
    """Return which files are present and which are missing. Reads only file names, sizes and records.

    Raises
    ------
    MurineError
        If two transfers have the same local file.

    Examples
    --------
    >>> from pathlib import Path
    >>> from murine.download import Remote, Transfer
    >>> remote = Remote("https://example.org/a.nc", size=3)
    >>> plan([Transfer(remote, Path("a-file-that-is-not-there.nc"))]).n_bytes
    3
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
        elif worth_checking(file, remote, check):
            unchecked.append(transfer)
        else:
            missing.append(transfer)
            n_bytes += max(0, (remote.size or 0) - partial_size(transfer))
    free = min((shutil.disk_usage(folder).free for folder in {existing_folder(file) for file in files}), default=0)
    return TransferPlan(tuple(present), tuple(unchecked), tuple(missing), n_bytes, free)


def require_disk_space(plan: TransferPlan, workers: int, kept: bool) -> None:
    """Refuse a plan that does not fit on the disk; `murine.download.fetch` explains the arguments."""
    if kept:
        needed, what = plan.n_bytes, "there are"
    else:  # one file in use, one that waits for it, and one in every worker
        sizes = sorted((transfer.remote.size or 0 for transfer in plan.missing), reverse=True)
        needed, what = min(plan.n_bytes, sum(sizes[: workers + 2])), f"with {workers} at a time there are"
    if needed > plan.free:
        folders = sorted({str(existing_folder(transfer.file)) for transfer in plan.missing})
        raise MurineError(
            f"the disk of {some(folders, 1)} has {plan.free / 1e6:,.1f} MB free, and {what} {needed / 1e6:,.1f} MB to "
            "fetch. Make room, ask for less, or choose another folder."
        )
