"""Figures of studies that have a small panel for each of several neurons: maps as pictures, and densities."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from scipy.stats import gaussian_kde

from murine.report.palette import CATEGORIES, GROUND_LIGHT
from murine.report.short_names import shortened
from murine.report.units import DIVERGING

_SMALL = 6  # font size
_LONGEST = 24  # letters of a name

#: Panels of densities in a row.
IN_A_ROW = 5


def map_pictures(axes: Axes, rows: pd.DataFrame, *, unit: str = "") -> Axes:
    """Draw maps as pictures: a column for each panel, a row for each kind of map, one range of colours for a map.

    Parameters
    ----------
    rows
        A row for each cell: ``panel`` (what the column is), ``of`` (the kind of map), ``row, column, value``.
    unit
        What the colours mean, in words, below.
    """
    axes.set_axis_off()
    panels, kinds = (list(dict.fromkeys(rows[name])) for name in ("panel", "of"))
    colours = LinearSegmentedColormap.from_list("diverging", DIVERGING)
    left, top = 0.1, 0.1  # shares of the axes, for the names
    width, height = (1 - left) / len(panels), (1 - top - 0.06) / len(kinds)
    for i, kind in enumerate(kinds):
        low = 1 - top - (i + 1) * height
        axes.text(left - 0.01, low + height / 2, kind, fontsize=_SMALL + 1, ha="right", va="center", parse_math=False)
        for j, panel in enumerate(panels):
            own = rows[(rows.panel == panel) & (rows.of == kind)]
            if own.empty:
                continue
            picture = own.pivot_table(index="row", columns="column", values="value").to_numpy()
            bound = float(np.nanmax(np.abs(picture), initial=1e-12))
            part = axes.inset_axes((left + j * width, low, 0.92 * width, 0.92 * height))
            part.imshow(picture, cmap=colours, vmin=-bound, vmax=bound, interpolation="nearest")
            part.set(xticks=[], yticks=[])
            part.spines[:].set(color=GROUND_LIGHT["line-strong"], linewidth=0.6, visible=True)
            if i == 0:
                part.set_title(_two_lines(panel), fontsize=_SMALL, pad=3, parse_math=False)
    axes.text(left, 0.0, unit, fontsize=_SMALL + 1, color=GROUND_LIGHT["quiet"], parse_math=False)
    return axes


def density_panels(axes: Axes, rows: pd.DataFrame, *, unit: str = "") -> Axes:
    """Draw a small panel for each pair, with a density for each kind of map (Gaussian kernels, Scott's bandwidth).

    Parameters
    ----------
    rows
        A row for each value: ``panel``, ``of`` (the kind of map, told apart by colour) and ``value``.
    unit
        Of the values, below the lowest panels.
    """
    axes.set_axis_off()
    panels, kinds = (list(dict.fromkeys(rows[name])) for name in ("panel", "of"))
    n_rows = math.ceil(len(panels) / IN_A_ROW)
    for k, (panel, place) in enumerate(zip(panels, _places(len(panels)), strict=True)):
        part = axes.inset_axes(place)
        own = rows[rows.panel == panel]
        grid = np.linspace(own.value.min(), own.value.max(), 200)
        for colour, kind in zip(CATEGORIES, kinds, strict=False):
            values = own[own.of == kind].value.dropna().to_numpy()
            if len(np.unique(values)) > 1:
                part.plot(grid, gaussian_kde(values)(grid), color=colour, linewidth=1, label=kind)
        part.set_yticks([])
        part.tick_params(labelsize=_SMALL - 1, length=2)
        part.spines[["top", "right", "left"]].set_visible(False)
        part.set_title(_two_lines(panel), fontsize=_SMALL, pad=2, parse_math=False)
        if k // IN_A_ROW == n_rows - 1:
            part.set_xlabel(unit, fontsize=_SMALL, labelpad=1)
        if k == 0:
            handles, labels = part.get_legend_handles_labels()
            axes.legend(
                handles, labels, loc="lower right", bbox_to_anchor=(1, 1), ncols=3, fontsize=_SMALL, frameon=False
            )
    return axes


def _places(n: int) -> Iterator[tuple[float, float, float, float]]:
    n_rows = math.ceil(n / IN_A_ROW)
    width, height = 1 / IN_A_ROW, 1 / n_rows
    for k in range(n):
        row, column = divmod(k, IN_A_ROW)
        yield column * width, 1 - (row + 1) * height + 0.3 * height, 0.9 * width, 0.5 * height


def _two_lines(text: str) -> str:
    return "\n".join(shortened(line, _LONGEST) for line in str(text).split("\n"))
