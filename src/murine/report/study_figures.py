"""Figures of studies: each draws the rows of one table, at the width of one or two columns of a journal.

Every function takes Axes and rows, draws, and returns the Axes; `figure_kinds` names them for `draw`. Colours are those
of `murine.report.palette`, so that one thing has one colour in all figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from murine.errors import MurineError, nearest
from murine.report.palette import CATEGORIES, GROUND_LIGHT, LIGHT
from murine.report.short_names import shortened
from murine.report.study_panels import IN_A_ROW, density_panels, map_pictures

#: Widths of figures in inches.
ONE_COLUMN, TWO_COLUMNS = 3.5, 7.2

_SMALL = 7  # font size
_LETTERS_AN_INCH = 15  # of a title
_LONGEST = 44  # letters of a label
_INK, _QUIET, _LINE = GROUND_LIGHT["ink"], GROUND_LIGHT["quiet"], GROUND_LIGHT["line-strong"]


def intervals(
    axes: Axes,
    rows: pd.DataFrame,
    *,
    label: str = "label",
    value: str = "value",
    group: str = "",
    unit: str = "",
    zero: bool = True,
    bands: Sequence[tuple[float, str]] = (),
) -> Axes:
    """Draw a forest plot: a line for each label, with its interval and a mark for each group.

    Parameters
    ----------
    rows
        Columns ``label`` and ``value``, and ``low`` and ``high`` where intervals are known; NaN is left out.
    label, value, group
        Names of the columns of labels, of values, and of what is told apart by colour ('' for nothing).
    unit
        Below the axis.
    zero
        Whether zero is marked.
    bands
        Yardsticks: half the width of a band around zero, in the unit of the values, and what it is. The first two are
        drawn, one filled and one as lines; a width of NaN or zero is left out.
    """
    labels = list(dict.fromkeys(rows[label]))
    groups = list(dict.fromkeys(rows[group])) if group else [""]
    _bands(axes, bands)
    if zero:
        axes.axvline(0, color=_QUIET, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
    for i, name in enumerate(groups):
        own = rows[rows[group] == name] if group else rows
        shift = (i - (len(groups) - 1) / 2) * 0.7 / len(groups)
        heights = np.array([labels.index(text) for text in own[label]]) + shift
        colour = _colour(name, i)
        if {"low", "high"} <= set(own.columns):
            axes.hlines(heights, own.low, own.high, color=colour, linewidth=1.2)
        axes.plot(own[value], heights, "o", color=colour, markersize=3.6, mec="white", mew=0.4, label=name or None)
    axes.set_yticks(range(len(labels)), [_wrapped(text) for text in labels], fontsize=_SMALL, parse_math=False)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(unit, fontsize=_SMALL)
    _legend(axes, len(groups) > 1 or any(half > 0 for half, _ in bands))
    return axes


def _bands(axes: Axes, bands: Sequence[tuple[float, str]]) -> None:
    for i, (half, what) in enumerate(bands[:2]):
        if not half > 0:
            continue
        if i == 0:
            axes.axvspan(-half, half, color=GROUND_LIGHT["line"], linewidth=0, zorder=0, label=what)
        else:
            for j, place in enumerate((-half, half)):
                line = axes.axvline(place, color=LIGHT["as built"], linewidth=0.9, zorder=1)
                line.set_label(what if j == 0 else "_")  # a name that begins so has no place in the legend


def beside_published(axes: Axes, rows: pd.DataFrame, *, unit: str = "") -> Axes:
    """Draw our values against the published ones, with the diagonal where they are equal.

    Parameters
    ----------
    rows
        Columns ``item, published, ours``, and ``low`` and ``high`` of ours where intervals are known.
    """
    both = rows[rows.published.notna() & rows.ours.notna()]
    if {"low", "high"} <= set(both.columns):
        axes.vlines(both.published, both.low, both.high, color=LIGHT["trained"], linewidth=0.8, alpha=0.6)
    axes.plot(both.published, both.ours, "o", color=LIGHT["trained"], markersize=4, mec="white", mew=0.4)
    _diagonal(axes, both[["published", "ours"]].to_numpy(dtype=np.float64))
    _labels(axes, both.published, both.ours, both["item"])
    axes.set_xlabel(f"published{f', {unit}' if unit else ''}", fontsize=_SMALL)
    axes.set_ylabel(f"ours{f', {unit}' if unit else ''}", fontsize=_SMALL)
    return axes


def paired(
    axes: Axes, rows: pd.DataFrame, *, first: str = "first", second: str = "second", unit: str = "", group: str = ""
) -> Axes:
    """Draw a second value against a first one, with the diagonal and a label for each point.

    Parameters
    ----------
    rows
        Columns ``label``, and those that ``first`` and ``second`` name; ``group`` is told apart by colour.
    """
    groups = list(dict.fromkeys(rows[group])) if group else [""]
    for i, name in enumerate(groups):
        own = rows[rows[group] == name] if group else rows
        axes.plot(
            own[first], own[second], "o", color=_colour(name, i), markersize=4, mec="white", mew=0.4, label=name or None
        )
    _diagonal(axes, rows[[first, second]].to_numpy(dtype=np.float64))
    _labels(axes, rows[first], rows[second], rows["label"])
    axes.set_xlabel(f"{first}{f', {unit}' if unit else ''}", fontsize=_SMALL, parse_math=False)
    axes.set_ylabel(f"{second}{f', {unit}' if unit else ''}", fontsize=_SMALL, parse_math=False)
    _legend(axes, len(groups) > 1)
    return axes


def violins(axes: Axes, rows: pd.DataFrame, *, label: str = "label", value: str = "value", unit: str = "") -> Axes:
    """Draw the distribution of each label as a violin with its quartiles, lowest median first.

    Parameters
    ----------
    rows
        Columns ``label`` and ``value``, a row for each observation. ``published``, where it is there, is a mark beside
        the violin: the published median.
    """
    known = rows[rows[value].notna()]
    order = known.groupby(label)[value].median().sort_values().index.tolist()
    samples = [known[known[label] == name][value].to_numpy(dtype=np.float64) for name in order]
    drawn = [i for i, sample in enumerate(samples) if len(np.unique(sample)) > 1]
    if drawn:
        parts = axes.violinplot([samples[i] for i in drawn], drawn, widths=0.8, showextrema=False)
        for body in parts["bodies"]:  # type: ignore[attr-defined]
            body.set(facecolor=LIGHT["trained"], alpha=0.35, linewidth=0)
    for i, sample in enumerate(samples):
        low, median, high = np.percentile(sample, [25, 50, 75])
        axes.vlines(i, low, high, color=_INK, linewidth=2.2)
        axes.plot(i, median, "o", color="white", mec=_INK, markersize=3.4)
    if "published" in known:
        published = [known[known[label] == name].published.iloc[0] for name in order]
        axes.plot(
            range(len(order)), published, "_", color=LIGHT["random"], markersize=9, mew=1.6, label="published median"
        )
        _legend(axes, True)
    axes.set_xticks(
        range(len(order)), [_short(text) for text in order], fontsize=_SMALL, rotation=60, ha="right", parse_math=False
    )
    axes.set_ylabel(unit, fontsize=_SMALL)
    return axes


def relation(
    axes: Axes, rows: pd.DataFrame, *, x: str, y: str, x_unit: str = "", y_unit: str = "", group: str = ""
) -> Axes:
    """Draw one quantity of networks against another, a mark for each, coloured by group."""
    groups = list(dict.fromkeys(rows[group])) if group else [""]
    for i, name in enumerate(groups):
        own = rows[rows[group] == name] if group else rows
        axes.plot(own[x], own[y], "o", color=_colour(name, i), markersize=4, mec="white", mew=0.4, label=name or None)
    if "label" in rows:
        _labels(axes, rows[x], rows[y], rows["label"])
    axes.set_xlabel(x_unit or x, fontsize=_SMALL, parse_math=False)
    axes.set_ylabel(y_unit or y, fontsize=_SMALL, parse_math=False)
    _legend(axes, len(groups) > 1)
    return axes


def heat(axes: Axes, rows: pd.DataFrame, *, row: str, column: str, value: str = "value", unit: str = "") -> Axes:
    """Draw a matrix of values as colours with the numbers in them; what is missing is hatched."""
    names, columns = (list(dict.fromkeys(rows[key])) for key in (row, column))
    table = rows.pivot_table(index=row, columns=column, values=value, sort=False).reindex(index=names, columns=columns)
    values = table.to_numpy(dtype=np.float64)
    axes.patch.set(hatch="////", facecolor="white", edgecolor=_LINE)
    bound = float(np.nanmax(np.abs(values), initial=1e-9))
    signed = bool(np.nanmin(values, initial=0) < 0)
    limits = {"vmin": -bound if signed else 0.0, "vmax": bound}
    image = axes.imshow(values, cmap="RdBu_r" if signed else "YlGnBu", aspect="auto", **limits)  # type: ignore[arg-type]
    if values.size <= 200:
        for i, j in np.argwhere(np.isfinite(values)):
            dark = abs(values[i, j]) > 0.6 * bound
            text = f"{values[i, j]:.2f}" if bound < 10 else f"{values[i, j]:.0f}"
            axes.text(j, i, text, ha="center", va="center", fontsize=_SMALL - 1, color="white" if dark else _INK)
    size = _SMALL if max(values.shape) <= 25 else _SMALL - 3
    axes.set_xticks(
        range(len(columns)),
        [_short(text) for text in columns],
        fontsize=size,
        rotation=60,
        ha="right",
        parse_math=False,
    )
    axes.set_yticks(range(len(names)), [_short(text) for text in names], fontsize=size, parse_math=False)
    figure = axes.get_figure()
    if figure is not None:
        bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02)
        bar.set_label(unit, fontsize=_SMALL)
        bar.ax.tick_params(labelsize=_SMALL - 1)
    return axes


def curves(axes: Axes, rows: pd.DataFrame, *, x: str, y: str, group: str, x_unit: str = "", y_unit: str = "") -> Axes:
    """Draw a line for each group, as densities or time courses, in the order of the rows."""
    for i, name in enumerate(dict.fromkeys(rows[group])):
        own = rows[rows[group] == name]
        axes.plot(own[x], own[y], color=_colour(name, i), linewidth=1.2, label=_short(name))
        if {"low", "high"} <= set(own.columns):
            axes.fill_between(own[x], own.low, own.high, color=_colour(name, i), alpha=0.15, linewidth=0)
    axes.set_xlabel(x_unit or x, fontsize=_SMALL)
    axes.set_ylabel(y_unit or y, fontsize=_SMALL)
    _legend(axes, True)
    return axes


#: Figures by name; each takes Axes, rows and its own options.
figure_kinds: dict[str, Callable[..., Axes]] = {
    kind.__name__: kind
    for kind in (
        *(intervals, beside_published, paired, violins, relation, heat, curves),
        *(map_pictures, density_panels),
    )
}


def draw(kind: str, rows: pd.DataFrame, title: str = "", *, width: float = TWO_COLUMNS, **options: Any) -> Figure:
    """Draw a figure of a study.

    Parameters
    ----------
    kind
        A key of `figure_kinds`.
    rows
        What is drawn.
    title
        Above the axes.
    width
        In inches: `ONE_COLUMN` or `TWO_COLUMNS`.
    options
        Of the kind.

    Raises
    ------
    MurineError
        If there is no such kind, or nothing to draw.
    """
    if kind not in figure_kinds:
        raise MurineError(f"there is no figure {kind!r}{nearest(kind, figure_kinds) or '.'}")
    if rows.empty:
        raise MurineError(f"the figure {title or kind!r} has no rows: there is nothing to draw.")
    figure = Figure(figsize=(width, _height(kind, rows, width, options)), layout="constrained")
    axes = figure.add_subplot()
    axes.tick_params(labelsize=_SMALL - 1, length=2.5)
    axes.spines[["top", "right"]].set_visible(False)
    figure_kinds[kind](axes, rows, **options)
    if title:
        figure.suptitle(
            fill(title, int(_LETTERS_AN_INCH * width)), fontsize=_SMALL + 1, x=0.01, ha="left", parse_math=False
        )
    return figure


def _height(kind: str, rows: pd.DataFrame, width: float, options: Mapping[str, Any]) -> float:
    """Tall enough for its labels."""
    if kind == "intervals":
        lines = rows[options.get("label", "label")].nunique()
        groups = rows[options["group"]].nunique() if options.get("group") else 1
        rows_of_text = max(_wrapped(text).count("\n") + 1 for text in rows[options.get("label", "label")])
        return 0.9 + lines * max(0.19, 0.1 * groups, 0.12 * rows_of_text)
    if kind == "heat":
        return max(2.2, min(1.2 + 0.2 * rows[options["row"]].nunique(), 9.0))
    if kind == "density_panels":
        return 0.6 + 1.0 * -(-rows.panel.nunique() // IN_A_ROW)
    if kind == "map_pictures":
        return 0.5 + rows.of.nunique() * width * 0.85 / rows.panel.nunique()
    return min(0.75 * width, 4.2)


def _colour(name: str, i: int) -> str:
    """What a network is has its own colour; other groups are told apart by the categories, in turn."""
    return LIGHT.get(str(name), CATEGORIES[i % len(CATEGORIES)])


def _wrapped(text: object) -> str:
    """The whole text, on several lines if it is long."""
    return fill(str(text), _LONGEST)


def _short(text: object) -> str:
    return shortened(str(text), _LONGEST)


def _diagonal(axes: Axes, values: np.ndarray) -> None:
    if not np.isfinite(values).any():
        return
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = max(0.06 * (high - low), 1e-6)
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color=_QUIET, linewidth=0.8, linestyle=(0, (3, 2)), zorder=0)
    axes.set(xlim=limits, ylim=limits)


def _labels(axes: Axes, x: pd.Series, y: pd.Series, names: pd.Series) -> None:
    """Write names beside points; where points are many, only those that stand apart have room."""
    taken: list[tuple[float, float]] = []
    left, right = axes.get_xlim()
    low, high = axes.get_ylim()
    for at, height, name in zip(x, y, names, strict=True):
        place = ((at - left) / (right - left or 1), (height - low) / (high - low or 1))
        if not np.isfinite(place).all() or any(
            abs(place[0] - a) < 0.16 and abs(place[1] - b) < 0.035 for a, b in taken
        ):
            continue
        taken.append(place)
        axes.annotate(
            _short(name),
            (at, height),
            xytext=(3, 2),
            textcoords="offset points",
            fontsize=_SMALL - 2,
            color=_QUIET,
            parse_math=False,
        )


def _legend(axes: Axes, wanted: bool) -> None:
    if wanted:
        above = axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, fontsize=_SMALL - 1, frameon=False)
        above.set_zorder(5)  # above the axes, where it hides nothing
