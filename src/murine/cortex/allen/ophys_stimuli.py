"""Which images a two-photon experiment showed, and when."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd

from murine.io.hdf5 import Tree

log = logging.getLogger(__name__)

#: Share of sweeps that cannot be: more is damage.
_MOST_LOST = 0.01


def presentations(tree: Tree, stimulus: str) -> list[str]:
    """Return the names that a stimulus has in the file: none where it was not shown."""
    names = tree.names("stimulus/presentation")
    return [name for name in (stimulus, f"{stimulus}_stimulus") if name in names]


def stimulus_table(tree: Tree, stimulus: str, n_frames: int) -> pd.DataFrame:
    """Read when which image was shown, as `murine.cortex.allen.ophys.Experiment.stimulus_table` returns it."""
    found = presentations(tree, stimulus)
    if len(found) != 1:
        shown = ", ".join(tree.names("stimulus/presentation")) or "nothing"
        tree.refuse(
            "stimulus/presentation",
            f"{' and '.join(found)}, which are one stimulus" if found else shown,
            f"{stimulus}_stimulus, once (of the three sessions of a container only B shows natural scenes)",
        )
    path = f"stimulus/presentation/{found[0]}"
    images = tree.array(f"{path}/data", (None,))
    frames = tree.array(f"{path}/frame_duration", (len(images), 2))
    for part, values in (("data", images), ("frame_duration", frames)):
        if not np.isfinite(values).all() or (np.abs(values) > 2**53).any():
            tree.refuse(f"{path}/{part}", "values that are no whole numbers", "whole numbers")
    if (images != np.trunc(images)).any() or (images < -1).any():
        tree.refuse(f"{path}/data", f"images {images.min()} to {images.max()}", "-1 for blank, or 0, 1, ...")
    table = pd.DataFrame(
        {
            "frame": images.astype(np.int64),
            "start": frames[:, 0].astype(np.int64),
            "end": frames[:, 1].astype(np.int64),
        }
    )
    wrong = ((table.start < 0) | (table.end <= table.start) | (table.start >= n_frames)).to_numpy()
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        odd = f"frames {table.start[row]} to {table.end[row]} in row {row}"
        expected = f"start before end within the {n_frames} frames"
        if wrong.sum() > max(1, _MOST_LOST * len(table)) or wrong.all():
            tree.refuse(f"{path}/frame_duration", f"{odd}, one of {wrong.sum()} such rows", expected)
        log.warning(
            "%s, %s: %d of %d sweeps are left out: %s; expected %s",
            tree.file,
            path,
            wrong.sum(),
            len(table),
            odd,
            expected,
        )
        table = table[~wrong]
    return table.sort_values(["start", "end"], kind="stable")
