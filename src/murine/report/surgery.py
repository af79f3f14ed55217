"""The picture of the effect of surgery: brain scores after surgery against scores before, with the diagonal."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from murine.report.palette import GROUND_LIGHT, LIGHT, MARKERS
from murine.studies.surgery_effect import ALL_SITES

_SMALL = 7  # font size
_SIDE = 2.1  # of a panel, in inches

#: Panels in a row; further variants go on in the next.
_IN_A_ROW = 6


def effects_figure(table: pd.DataFrame) -> Figure:
    """Draw scores after surgery against scores before. Points above the diagonal became more similar to cortex.

    There is a panel for each variant, metric and treatment, at most six in a row. Small dots are sites of networks.
    Large marks are means over sites of networks, with their 95 % intervals before and after. The interval of the
    difference is shorter; it is in the table.

    Parameters
    ----------
    table
        Table of `murine.studies.surgery_effect.effects`, for one cortex and input size.

    Examples
    --------
    >>> import murine
    >>> from murine.networks import NetworkSpec
    >>> from murine.studies import effects, operations, pairs
    >>> asked = operations([NetworkSpec("pixels")], ["neurn(k=3)"], ["input"])
    >>> scores = murine.compare([asked[0].before, asked[0].after], controls=False, n_bootstraps=20, atlas="results")
    >>> table = effects(murine.Atlas("results"), pairs(asked, scores.results))
    >>> effects_figure(table).axes[0].get_xlabel()
    'before, share of ceiling'
    """
    own = table[table.n_networks == 1]
    variants = list(dict.fromkeys(own.variant))
    kinds = list(dict.fromkeys(zip(own.metric, own.treatment, strict=True)))
    several = own.treatment.nunique() > 1
    n_columns = min(len(variants), _IN_A_ROW)
    rows = [
        (kind, variants[start : start + n_columns]) for kind in kinds for start in range(0, len(variants), n_columns)
    ]
    size = (_SIDE * n_columns + 0.5, (_SIDE + 0.25) * len(rows) + 0.3)
    figure = Figure(figsize=(max(size[0], 3.2), size[1]), layout="constrained")
    grid = figure.subplots(len(rows), n_columns, squeeze=False)
    for i, ((metric, treatment), members) in enumerate(rows):
        mine = own[(own.metric == metric) & (own.treatment == treatment)]
        told = f"{metric}, {treatment}" if several else metric
        for j, axes in enumerate(grid[i]):
            if j >= len(members):
                axes.set_axis_off()
                continue
            _scatter(axes, mine[mine.variant == members[j]], _limits(mine), mine.ceiling.notna().any())
            axes.set_title(f"{members[j]}\n{told}", fontsize=_SMALL, loc="left", parse_math=False)
            if j:
                axes.set_ylabel("")
                axes.tick_params(labelleft=False)
            if i + 1 < len(rows) and j < len(rows[i + 1][1]):  # another panel stands below
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
