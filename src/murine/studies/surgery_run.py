"""Networks scored before and after surgery, and their paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from murine.atlas.store import Atlas
from murine.atlas.sweep import NetworkResult, SweepSettings, sweep
from murine.progress import Progress
from murine.studies.surgery_effect import Operation, effects, in_order, pairs


@dataclass
class SurgeryScores:
    """What a run of surgery found.

    Attributes
    ----------
    results
        What became of each network, before and after, at each size.
    table
        The table of `murine.studies.surgery_effect.effects`; None where no network has scores before and after.
    """

    results: list[NetworkResult] = field(default_factory=list)
    table: pd.DataFrame | None = None


def score_operations(
    operations: Sequence[Operation],
    settings: SweepSettings,
    sizes: Sequence[int | tuple[int, int] | None],
    atlas: Atlas,
    progress: Progress,
    *,
    jobs: int,
    isolated: bool,
    time_limit: float,
) -> SurgeryScores:
    """Score networks as they are and after operations, and compare.

    Parameters
    ----------
    operations
        As `murine.studies.surgery_effect.operations` makes them.
    settings
        How everything is scored, at each of the ``sizes`` of images; None is a network's own.
    jobs, isolated, time_limit
        As for `murine.atlas.sweep.sweep`.

    Raises
    ------
    MurineError
        If the data set or a metric cannot be had.
    """
    scores, found = SurgeryScores(), []
    for size in sizes:
        swept = sweep(
            in_order(operations),
            replace(settings, input_size=size),
            atlas,
            jobs=jobs,
            isolated=isolated,
            time_limit=time_limit,
            progress=progress,
        )
        scores.results += swept
        found += pairs(operations, swept)
    with progress.task("comparing before and after", None):
        if found:
            scores.table = effects(atlas, found)
    return scores
