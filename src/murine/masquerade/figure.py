"""Figures of animals and networks: one panel for each area."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from murine.errors import MurineError, nearest
from murine.masquerade.placing import ALL_AREAS
from murine.masquerade.verdict_table import NETWORK
from murine.statistics.animal_verdicts import PIXELS, SHUFFLED, TWIN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from murine.masquerade.result import MasqueradeResult

#: Rows of a panel from top to bottom, with their colours and markers.
_ANIMALS, _POOLS = "mice", "other areas' mice, pooled"
_STYLES = {
    _ANIMALS: ("#1c2228", "o"),
    _POOLS: ("#8c6d4f", "x"),
    NETWORK: ("#0072b2", "D"),
    TWIN: ("#d55e00", "^"),
    PIXELS: ("#6b7280", "s"),
    SHUFFLED: ("#b4bac0", "v"),
}


def plot_area(
    result: MasqueradeResult, area: str | None = None, windows: str | None = None, axes: Axes | None = None
) -> Axes:
    """Draw T of the animals of one area as points, and that of the network, its controls and pools of other animals.

    The red line is the T below which a candidate is rejected, the pale one that of Student's test alone; the dotted
    line is the T that is rejected in 80 % of cases.

    Parameters
    ----------
    result
        The answer.
    area, windows
        By default the first area, and windows as asked for.
    axes
        Where to draw; by default new axes.

    Raises
    ------
    MurineError
        If there is no such area.
    """
    known = result.areas.area.tolist()
    area = known[0] if area is None else area
    if area not in known:
        raise MurineError(f"there is no area {area!r}{nearest(area, known) or '.'} There are {', '.join(known)}.")
    windows = windows or str(result.verdicts.windows.iloc[-1])
    if axes is None:
        from matplotlib import pyplot

        _, axes = pyplot.subplots(figsize=(6, 3))
    about = result.areas.set_index("area").loc[area]
    rows = result.table[(result.table.area == area) & (result.table.windows == windows)]
    values = {name: rows.typicality[rows.role == name].to_numpy(float) for name in (NETWORK, TWIN, PIXELS, SHUFFLED)}
    own = result.animals
    values[_ANIMALS] = own.typicality[(own.area == area) & (own.true_area == area)].to_numpy(float)
    pools = result.pools[result.pools.area == area]
    values[_POOLS] = pools.typicality.to_numpy(float)
    for place, (name, (colour, marker)) in enumerate(_STYLES.items()):
        found = values[name]
        heights = np.full(len(found), -float(place))
        axes.scatter(found, heights, c=colour, marker=marker, s=36, alpha=0.85, zorder=3, label=name)
    _label_pools(axes, pools)
    axes.axvline(about.rejected_by_student, color="#e8b4ae", linewidth=1)
    axes.axvline(about.rejected_below, color="#c0392b", linewidth=1)
    axes.axvline(about.found_below, color="#c0392b", linewidth=1, linestyle=":")
    axes.set_yticks([-i for i in range(len(_STYLES))], list(_STYLES))
    axes.set_ylim(-len(_STYLES) + 0.4, 0.6)
    axes.set_xlim(left=min(0.0, *(float(v.min()) for v in values.values() if len(v))) - 0.02)
    verdict = result.verdicts[(result.verdicts.area == area) & (result.verdicts.windows == windows)].iloc[0]
    axes.set_title(f"{area}, {int(about.n_animals)} mice: {verdict.verdict}", parse_math=False, fontsize="medium")
    axes.set_xlabel("T: mean CKA* with the other mice")
    return axes


def _label_pools(axes: Axes, pools: pd.DataFrame) -> None:
    """Write the area beside each pool of mice, above and below in turn, so that neighbours do not overlap."""
    height = -float(list(_STYLES).index(_POOLS))
    for i, row in enumerate(pools.sort_values("typicality").itertuples()):
        axes.annotate(
            str(row.true_area),
            (float(row.typicality), height),
            xytext=(0, -10 if i % 2 else 4),
            textcoords="offset points",
            ha="center",
            fontsize=6,
        )


def draw_areas(result: MasqueradeResult, windows: str | None = None) -> Figure:
    """Draw a panel for each area.

    Parameters
    ----------
    windows
        As in `plot_area`.
    """
    from matplotlib.figure import Figure

    areas = [area for area in result.areas.area if area != ALL_AREAS]
    n_columns = min(2, len(areas))
    n_rows = -(-len(areas) // n_columns)
    figure = Figure(figsize=(6.2 * n_columns, 2.7 * n_rows + 0.5), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axes, area in zip(panels, areas, strict=False):
        plot_area(result, area, windows, axes)
    for axes in panels[len(areas) :]:
        axes.set_axis_off()
    shown = windows or str(result.verdicts.windows.iloc[-1])
    candidates = "layers and windows of their maps" if shown == "thirds" else "layers"
    figure.suptitle(
        f"{result.name}: the best of its {candidates} among the mice of {result.cortex}\n"
        f"red: what is to the left is rejected at {result.alpha:g} (pale: by Student's test alone); dotted: what is "
        "there is rejected in 80 % of cases",
        fontsize="medium",
        parse_math=False,
    )
    return figure
