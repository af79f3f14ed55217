"""Plots of scores with Matplotlib: by depth of the layer, and the ranking of networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_depth_profile(rows: pd.DataFrame, axes: Axes | None = None) -> Axes:
    """Draw the scores of all layers of one network by their depth: a line and a 95 % band for each site.

    The share of the noise ceiling is drawn where every site has a ceiling, else the raw score. Layers without a score
    leave a gap.

    Parameters
    ----------
    rows
        Rows of one network by one metric under one treatment, as `murine.atlas.scores.Scores.rows`.
    """
    axes = axes or _new_axes()
    layers = rows[(rows.split == "all") & (rows.stimuli == "all")]
    has_ceiling = bool(layers.loc[layers.score.notna(), "ceiled"].notna().all())
    column = "ceiled" if has_ceiling else "score"
    ends = ("ceiled_low", "ceiled_high") if has_ceiling else ("low", "high")
    for site, mine in layers.groupby("site", sort=True):
        mine = mine.sort_values("layer_index")
        (line,) = axes.plot(mine.depth, mine[column], marker=".", label=str(site))
        axes.fill_between(mine.depth, mine[ends[0]], mine[ends[1]], color=line.get_color(), alpha=0.15, linewidth=0)
    if has_ceiling:
        axes.axhline(1, color="grey", linewidth=0.8, linestyle="--")
    axes.set_xlabel("Relative depth of the layer")
    axes.set_ylabel("Score, share of the noise ceiling" if has_ceiling else "Score")
    axes.set_title(_title(rows), parse_math=False, fontsize="medium")
    axes.legend(frameon=False)
    return axes


def plot_ranking(board: pd.DataFrame, axes: Axes | None = None) -> Axes:
    """Draw the value of every ranked network with its 95 % interval, the best above.

    Parameters
    ----------
    board
        One set of comparable results, as `murine.atlas.leaderboard.ranked` returns it.
    """
    axes = axes or _new_axes()
    order = board.sort_values("value", kind="stable")
    places = np.arange(len(order))
    values = order.value.to_numpy()
    errors = np.stack([values - order.value_low, order.value_high - values])
    axes.errorbar(values, places, xerr=np.clip(errors, 0, None), fmt="o", capsize=2)
    names = [f"{n}@{w}" if w != "none" else n for n, w in zip(order.network, order.weights, strict=True)]
    axes.set_yticks(places, names, parse_math=False)
    axes.set_xlabel(f"Score, {order.unit.iloc[0]}")
    axes.set_title(f"{order.cortex.iloc[0]}, {order.metric.iloc[0]}, {order.treatment.iloc[0]}", parse_math=False)
    return axes


def _title(rows: pd.DataFrame) -> str:
    row = rows.iloc[0]
    weights = "" if row.weights == "none" else f" ({row.weights})"
    return f"{row.network}{weights}\n{row.cortex}, {row.metric}, {row.treatment}"


def _new_axes() -> Axes:
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1]
