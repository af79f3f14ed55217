"""The 118 natural scenes of the Allen Institute: the names of their presentations."""

from __future__ import annotations

import numpy as np

N_SCENES = 118

#: Names of the scenes; the number is the frame by which the files refer to them.
SCENE_IDS = tuple(f"scene_{frame:03d}" for frame in range(N_SCENES))

#: Id of the stimulus that is no image but the grey screen (frame -1).
BLANK = "blank"

#: First scene of each group of one real resolution, in order.
_GROUPS = ((0, "enlarged fourfold"), (59, "full resolution"), (102, "enlarged"))


def scene_groups() -> tuple[str, ...]:
    """Return the group of each scene, by its real resolution, in order."""
    starts = [start for start, _ in _GROUPS]
    return tuple(_GROUPS[group - 1][1] for group in np.searchsorted(starts, np.arange(N_SCENES), side="right"))
