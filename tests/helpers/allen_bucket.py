"""The Allen Brain Observatory's public bucket on loopback, small: both data sets, filled once for all tests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import allen_files
import neuropixels_files
import numpy as np
import pytest
from public_bucket import BucketServer, PublicBucket

from murine.cortex.allen.archive import BUCKET
from murine.download import Bucket

PREFIX = "visual-coding-2p"
NEUROPIXELS_PREFIX = "visual-coding-neuropixels/ecephys-cache"

NO_EVENTS, NO_DEMIXED, FAILED, TAGGED = 503019999, 507691476, 497256116, 500860585
"""Experiments without an events file, without the demixed series, of a failed container, of one with a tag."""
GONE = 503020123
"""An experiment that the catalogue lists and the bucket does not have."""
TWICE = (503019786, 503019999)
"""Two experiments of one container that saw one cell both."""


@dataclass(frozen=True, eq=False)
class SmallBucket:
    """What is in the bucket, and where."""

    public: PublicBucket
    tree: allen_files.Tree
    sessions: tuple[neuropixels_files.Session, ...]
    templates: np.ndarray
    """Of the Neuropixels sessions."""

    @property
    def bucket(self) -> Bucket:
        return self.at(self.public.endpoint)

    def at(self, endpoint: str) -> Bucket:
        """The bucket behind a proxy."""
        return Bucket(BUCKET, endpoint=endpoint)


_FILLED: dict[str, SmallBucket] = {}


def filled(server: BucketServer, folders: pytest.TempPathFactory) -> SmallBucket:
    """The bucket of a server, with both data sets; written once."""
    if server.url not in _FILLED:
        _FILLED[server.url] = _fill(server, folders.mktemp("bucket"))
    return _FILLED[server.url]


def _fill(server: BucketServer, root: Path) -> SmallBucket:
    experiments, containers = allen_files.standard_experiments()
    gone = replace(
        experiments[1], experiment=GONE, cells=4, nan_cell=None, constant_cell=None, missing_id=None, seed=11
    )
    gone = replace(gone, cell_ids=tuple(range(541100000, 541100004)), driver="Rbp4-Cre_KL100", area="VISpm")
    tree = allen_files.write_tree(
        root, [*experiments, replace(gone, container=511500999)], [*containers, allen_files.Container(511500999)]
    )
    tree.nwb(GONE).unlink()
    place = root / NEUROPIXELS_PREFIX
    sessions = tuple(neuropixels_files.small_session(i, number) for i, number in enumerate((715093703, 719161530)))
    neuropixels_files.write_tables(place, list(sessions))
    templates = neuropixels_files.write_templates(place / "natural_scene_templates")
    for session in sessions:
        file = place / f"session_{session.session_id}" / f"session_{session.session_id}.nwb"
        file.parent.mkdir()
        neuropixels_files.write_session(file, session)
    public = server.bucket(BUCKET)
    for file in sorted(file for file in root.rglob("*") if file.is_file()):
        public.put(file.relative_to(root).as_posix(), file.read_bytes())
    return SmallBucket(public, tree, sessions, templates)
