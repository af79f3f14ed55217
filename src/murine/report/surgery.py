"""The picture of what surgery does: brain scores after against before, with the diagonal."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from murine.errors import MurineError
from murine.report.palette import GROUND_LIGHT, LIGHT, MARKERS
from murine.studies.surgery_effect import ALL_SITES

_SMALL = 7  # font size
_SIDE = 2.1  # of a panel, in inches

#: Panels that a picture has room for, in a row and in a column.
MOST = (6, 6)


def effects_figure(table: pd.DataFrame) -> Figure:
    """Draw scores after surgery against those before; what lies above the diagonal got more like cortex.

    A panel for each variant and metric. Small dots are sites of networks, large marks networks in the mean over sites,
    with their 95 % intervals before and after (that of the difference, which is shorter, is in the table).

    Parameters
    ----------
    table
        As of `murine.studies.surgery_effect.effects`, of one cortex and input size.

    Raises
    ------
    MurineError
        More panels than there is room for.
    """
    own = table[table.n_networks == 1]
    variants, metrics = list(dict.fromkeys(own.variant)), list(dict.fromkeys(own.metric))
    if len(variants) > MOST[0] or len(metrics) > MOST[1]:
        raise MurineError(
            f"the picture has room for {MOST[0]} variants and {MOST[1]} metrics, not for {len(variants)} and "
            f"{len(metrics)}; ask for fewer."
        )
    size = (_SIDE * len(variants) + 0.5, (_SIDE + 0.25) * len(metrics) + 0.3)
    figure = Figure(figsize=(max(size[0], 3.2), size[1]), layout="constrained")
    grid = figure.subplots(len(metrics), len(variants), squeeze=False)
    for i, metric in enumerate(metrics):
        mine = own[own.metric == metric]
        for j, variant in enumerate(variants):
            axes = grid[i, j]
            _scatter(axes, mine[mine.variant == variant], _limits(mine), mine.ceiling.notna().any())
            axes.set_title(f"{variant}\n{metric}", fontsize=_SMALL, loc="left", parse_math=False)
            if j:
                axes.set_ylabel("")
                axes.tick_params(labelleft=False)
            if i < len(metrics) - 1:
                axes.set_xlabel("")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside upper left",
        ncols=len(labels),
        fontsize=_SMALL,
        title=str(own.cortex.iloc[0]),
        title_fontsize=_SMALL + 1,
        alignment="left",
        frameon=False,
    )
    return figure


def _scatter(axes: Axes, rows: pd.DataFrame, limits: tuple[float, float], ceiled: bool) -> None:
    axes.plot(limits, limits, color=GROUND_LIGHT["quiet"], linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
    for role, marker in MARKERS.items():
        mine = rows[rows.role == role]
        sites, means = mine[mine.site != ALL_SITES], mine[mine.site == ALL_SITES]
        colour = LIGHT[role]
        axes.plot(sites.before, sites.after, ".", color=colour, markersize=4, alpha=0.35, markeredgewidth=0)
        if len(means):
            axes.hlines(means.after, means.before_low, means.before_high, color=colour, linewidth=0.7, alpha=0.6)
            axes.vlines(means.before, means.after_low, means.after_high, color=colour, linewidth=0.7, alpha=0.6)
            axes.plot(means.before, means.after, marker, color=colour, markersize=5, mec="white", label=role, zorder=3)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    of_ceiling = ", share of ceiling" if ceiled else ""
    axes.set_xlabel(f"before{of_ceiling}", fontsize=_SMALL)
    axes.set_ylabel(f"after{of_ceiling}", fontsize=_SMALL)
    axes.tick_params(labelsize=_SMALL - 1, length=2.5)
    axes.spines[["top", "right"]].set_visible(False)


def _limits(rows: pd.DataFrame) -> tuple[float, float]:
    """From the smallest to the largest that is drawn; intervals of single sites are not."""
    means = rows[rows.site == ALL_SITES]
    ends = means[["before_low", "before_high", "after_low", "after_high"]].to_numpy(dtype=np.float64)
    values = np.concatenate([rows[["before", "after"]].to_numpy(dtype=np.float64).ravel(), ends.ravel()])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = max(0.04 * (high - low), 1e-3)
    return low - margin, high + margin
