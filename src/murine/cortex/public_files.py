"""Public data sets that are a few files with known addresses, as on Zenodo, OSF or figshare."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pandas as pd

from murine import download
from murine.cortex.public_data import DataAccess, DownloadPlan, DownloadResult, Listing, PublicDataset, Settings
from murine.download import Remote, Transfer
from murine.download.ledger import existing_folder
from murine.errors import MurineError, nearest
from murine.io.files import cache_folder

if TYPE_CHECKING:
    from murine.progress import AnyProgress


class PublicFiles(PublicDataset):
    """A data set of a few files: a subclass names them, and implements `build` and `images`.

    Files are kept in a folder of the cache that has the name of the data set. With another endpoint they are expected
    there under their names, ``ENDPOINT/NAME``.

    Attributes
    ----------
    files
        The files with their addresses and, best, their sizes and SHA-256 digests. Each is named by the end of its
        address. Without a digest and an ETag of one, fetch with ``check="size"``.
    """

    files: tuple[Remote, ...] = ()

    def folder(self, access: DataAccess) -> Path:
        """Return the folder of the files."""
        return cache_folder(access.cache) / self.name

    def file(self, access: DataAccess, name: str) -> Path:
        """Return the path of a file that was fetched.

        Raises
        ------
        MurineError
            If it is not here, or is none of the data set.
        """
        names = [_name(remote) for remote in self.files]
        if name not in names:
            raise MurineError(
                f"{self.name} has no file {name!r}{nearest(name, names) or '.'} It has {', '.join(names)}."
            )
        path = self.folder(access) / name
        if not path.exists():
            raise MurineError(f"{str(path)!r} is not here; `murine data fetch {self.name}` fetches it.")
        return path

    def list(self, access: DataAccess, settings: Settings, *, progress: AnyProgress | None = None) -> Listing:
        """List the files, with their sizes in bytes (empty where unknown), and whether they are here."""
        rows = [
            {
                "file": _name(remote),
                "size": "" if remote.size is None else remote.size,
                "here": "yes" if (self.folder(access) / _name(remote)).exists() else "no",
            }
            for remote in self.files
        ]
        return Listing(pd.DataFrame(rows, columns=["file", "size", "here"]), note=self.about)

    def plan(self, access: DataAccess, settings: Settings, *, progress: AnyProgress | None = None) -> DownloadPlan:
        """Tell which files are not here."""
        transfers = [Transfer(self._at(remote, access), self.folder(access) / _name(remote)) for remote in self.files]
        plan = download.plan(transfers, check=access.check)
        n_missing = len(plan.missing)
        lines = [f"{len(transfers) - n_missing} of {len(transfers)} files are here, {n_missing} to fetch"]
        if n_missing:
            known = all(transfer.remote.size is not None for transfer in plan.missing)
            lines.append(f"{plan.n_bytes / 1e6:,.1f} MB to come" if known else "their sizes are not known")
            free = shutil.disk_usage(existing_folder(self.folder(access) / "file")).free
            lines.append(f"{free / 1e9:,.1f} GB free in {self.folder(access)}")
        return DownloadPlan(tuple(lines), bool(n_missing), access, transfers)

    def fetch(self, plan: DownloadPlan, *, progress: AnyProgress | None = None) -> DownloadResult:
        """Fetch the files that are not here, and compare each with its digest."""
        access = plan.access
        results = download.fetch(
            plan.work,
            workers=access.workers,
            timeout=access.timeout,
            retries=access.retries,
            check=access.check,
            progress=progress,
        )
        failed = [f"{one.transfer.file.name}: {one.reason}" for one in results if one.state == "failed"]
        n_fetched = sum(one.state == "fetched" for one in results)
        summary = f"{n_fetched} of {len(results)} files fetched now; they are in {self.folder(access)}"
        return DownloadResult(summary, failure="; ".join(failed), can_build=len(failed) < len(results))

    def _at(self, remote: Remote, access: DataAccess) -> Remote:
        """The file on the server that was asked for."""
        if not access.endpoint:
            return remote
        return replace(remote, url=f"{access.endpoint.rstrip('/')}/{_name(remote)}", mirrors=())


def _name(remote: Remote) -> str:
    return PurePosixPath(urlsplit(remote.url).path).name
