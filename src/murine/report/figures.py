"""Figures for papers: the ranking and the heat map of a board, drawn without pyplot and its global state."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from murine.atlas.store import Atlas
from murine.errors import MurineError
from murine.io.files import atomic_write
from murine.report.leaderboard_view import Board, read_boards
from murine.report.palette import GROUND_LIGHT, HEAT_LIGHT, LIGHT, MARKERS
from murine.report.short_names import shortened
from murine.report.wording import number

#: Width of a figure in inches: two columns of most journals.
WIDTH = 7.2

_SMALL = 7  # font size
_LONGEST = 40  # letters of a name


def write_figures(
    atlas: Atlas, folder: str | Path, *, cortex: str | None = None, metric: str | None = None
) -> list[Path]:
    """Write the ranking and the heat map of every board of an atlas, as PDF with editable text and as PNG.

    Returns
    -------
    files
        ``ranking-NAME.pdf``, ``heatmap-NAME.pdf`` and the same as ``.png`` (300 dpi), in ``folder``, which is
        made if needed.

    Raises
    ------
    MurineError
        As in `murine.report.page.write_report`.

    Examples
    --------
    >>> import murine
    >>> scores = murine.compare(["pixels", "gabor"], controls=False, n_bootstraps=20, atlas="results")
    >>> files = write_figures(Atlas("results"), "figures")
    >>> [file.name for file in files][:2]
    ['ranking-simulated-cortex-0-rsa-pearson.pdf', 'ranking-simulated-cortex-0-rsa-pearson.png']
    """
    files = []
    for board in read_boards(atlas, cortex=cortex, metric=metric):
        if board.ranked.empty:
            continue
        name = re.sub(r"[^A-Za-z0-9]+", "-", board.name).strip("-")
        for kind, figure in (("ranking", leaderboard_figure(board)), ("heatmap", heatmap_figure(board))):
            files += save(figure, folder, f"{kind}-{name}")
    return files


def save(figure: Figure, folder: str | Path, name: str) -> list[Path]:
    """Write a figure as NAME.pdf with editable text and as NAME.png (300 dpi) into a folder, made if needed."""
    files = []
    for ending in ("pdf", "png"):
        file = Path(folder) / f"{name}.{ending}"
        # Type 42 keeps letters as letters, so that a figure's text can be edited and searched.
        with atomic_write(file) as partial, matplotlib.rc_context({"pdf.fonttype": 42}):
            about = {"CreationDate": None} if ending == "pdf" else None
            figure.savefig(partial, format=ending, dpi=300, metadata=about)
        files.append(file)
    return files


def leaderboard_figure(board: Board) -> Figure:
    """Draw the score of every ranked network with its 95 % interval; bands are shaded in turn.

    Raises
    ------
    MurineError
        If no network is ranked.
    """
    ranked = _ranked(board)
    by = 100 if board.has_ceiling else 1
    figure, axes = _figure(0.2 * len(ranked) + 0.9)
    rows = ranked.to_dict("records")
    for band in range(1, int(ranked.band.max()) + 1, 2):
        members = np.flatnonzero(ranked.band == band)
        axes.axhspan(members[0] - 0.5, members[-1] + 0.5, color=GROUND_LIGHT["raised"], linewidth=0, zorder=0)
    for role, marker in MARKERS.items():
        mine = [i for i, row in enumerate(rows) if row["role"] == role]
        if not mine:
            continue
        values = by * np.array([[rows[i][k] for k in ("value", "value_low", "value_high")] for i in mine])
        axes.hlines(mine, values[:, 1], values[:, 2], color=LIGHT[role], linewidth=1.4)
        axes.plot(values[:, 0], mine, marker, color=LIGHT[role], markersize=4.5, markeredgecolor="white", label=role)
    _names(axes, [str(label) for label in ranked.label])
    if board.has_ceiling:
        axes.axvline(100, color=GROUND_LIGHT["quiet"], linewidth=0.8, linestyle=(0, (2, 2)))
    axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
    axes.set_xlabel("Score, % of noise ceiling" if board.has_ceiling else "Score", fontsize=_SMALL + 1)
    axes.set_title(board.name, fontsize=_SMALL + 1, loc="left", parse_math=False)
    axes.legend(fontsize=_SMALL, frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1, 1), borderpad=0)
    return figure


def heatmap_figure(board: Board) -> Figure:
    """Draw the scores of the chosen layers, networks by sites.

    Missing scores are hatched, scores above the ceiling carry a triangle, sites that do not count a dagger;
    those have no part in the range of colours.

    Raises
    ------
    MurineError
        If no network is ranked.
    """
    ranked = _ranked(board)
    by = 100 if board.has_ceiling else 1
    rows = board.official[board.official.entry < len(ranked)]
    place = {site: i for i, site in enumerate(board.sites.site)}
    values = np.full((len(ranked), len(place)), np.nan)
    values[rows.entry, rows.site.map(place)] = by * (rows.ceiled if board.has_ceiling else rows.score)
    figure, axes = _figure(0.2 * len(ranked) + 1.3)
    counted = values[:, board.sites.counted.to_numpy(dtype=bool)]
    colours = LinearSegmentedColormap.from_list("scores", HEAT_LIGHT)
    high = float(np.nanmax(counted, initial=0))
    low = min(0.0, float(np.nanmin(counted, initial=0)))
    axes.patch.set(hatch="////", facecolor="white", edgecolor=GROUND_LIGHT["line-strong"])
    image = axes.imshow(values, cmap=colours, vmin=low, vmax=max(high, low + 1e-6), aspect="auto")
    for i, j in np.argwhere(np.isfinite(values)):
        over = "▲" if board.has_ceiling and values[i, j] > 100 else ""
        shade = "white" if values[i, j] - low > 0.55 * (high - low) else GROUND_LIGHT["ink"]
        text = over + number(float(values[i, j]), 0 if board.has_ceiling else 2)
        axes.text(j, i, text, ha="center", va="center", fontsize=_SMALL - 1, color=shade)
    _names(axes, [str(label) for label in ranked.label])
    sites = zip(board.sites.site, board.sites.counted, strict=True)
    ticks = [str(site) if counts else f"{site} †" for site, counts in sites]
    axes.set_xticks(range(len(ticks)), ticks, fontsize=_SMALL, rotation=60, ha="right", parse_math=False)
    for tick in axes.get_xticklabels():
        tick.set_rotation_mode("anchor")
    axes.set_title(board.name, fontsize=_SMALL + 1, loc="left", parse_math=False)
    bar = figure.colorbar(image, ax=axes, shrink=min(1.0, 8 / len(ranked)), pad=0.015, aspect=18)
    bar.set_label("% of noise ceiling" if board.has_ceiling else "score", fontsize=_SMALL)
    bar.ax.tick_params(labelsize=_SMALL - 1)
    bar.outline.set_visible(False)
    return figure


def _ranked(board: Board) -> pd.DataFrame:
    if board.ranked.empty:
        raise MurineError(f"no network of {board.name!r} is ranked: there is nothing to draw.")
    return board.ranked


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    axes.tick_params(labelsize=_SMALL, length=2.5)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _names(axes: Axes, labels: list[str]) -> None:
    """Networks from top to bottom. Long names lose their middle; a dollar sign in one is no formula."""
    shown = [shortened(label, _LONGEST) for label in labels]
    axes.set_yticks(range(len(labels)), shown, fontsize=_SMALL, parse_math=False)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
