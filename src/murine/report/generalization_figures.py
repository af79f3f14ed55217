"""Figures of the page on domains, as Plotly takes them: a dictionary with ``data`` and ``layout`` for each."""

# ruff: noqa: RUF001 (dashes and signs are meant)

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from murine.generalization import summary
from murine.generalization.summary import UNSEEN


def target_names(cells: pd.DataFrame) -> list[str]:
    """Return the names of the domains, without those that are corrupted copies."""
    return [str(name) for name in cells[~cells.corruption].target.unique()]


def percent_text(cell: pd.Series, value: str) -> tuple[str, str]:
    """Return a value in per cent, with a star where it is significant, and its interval in brackets."""
    middle, low, high = (100 * float(cell[name]) for name in (value, f"{value}_low", f"{value}_high"))
    if math.isnan(middle):
        return "diverged", ""
    star = "*" if "p_adjusted" in cell.index and cell.p_adjusted < 0.05 else ""
    sign = "+" if value == "difference" else ""
    return f"{middle:{sign}.1f}{star}".replace("-", "−"), f"[{low:.1f}, {high:.1f}]".replace("-", "−")


def heat(cells: pd.DataFrame) -> dict[str, Any]:
    """Variants by targets."""
    targets = target_names(cells)
    variants = [str(name) for name in cells.variant.unique()]
    table = cells.set_index(["variant", "target"])
    values = [[_number(table.accuracy.get((v, t)), 100) for t in targets] for v in variants]
    there = set(table.index)
    texts = [
        ["<br>".join(percent_text(table.loc[(v, t)], "accuracy")) if (v, t) in there else "" for t in targets]
        for v in variants
    ]
    trace = {
        "type": "heatmap",
        "x": targets,
        "y": variants,
        "z": values,
        "text": texts,
        "zmin": 0,
        "zmax": 100,
        "texttemplate": "%{text}",
        "hovertemplate": "%{y} on %{x}: %{text} %<extra></extra>",
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
    }
    layout = {"yaxis": {"autorange": "reversed"}, "xaxis": {"side": "top"}, "height": 110 + 52 * len(variants)}
    return {"data": [trace], "layout": layout}


def difference_dots(differences: pd.DataFrame) -> dict[str, Any]:
    """Differences to the reference with their intervals: one row of dots per target."""
    targets = target_names(differences)
    variants = [str(name) for name in differences.variant.unique()]
    traces = []
    for i, variant in enumerate(variants):
        mine = differences[differences.variant == variant].set_index("target").reindex(targets)
        shift = 0.7 * ((i + 0.5) / len(variants) - 0.5)
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": variant,
                "x": _numbers(100 * mine.difference),
                "y": [j + shift for j in range(len(targets))],
                "text": targets,
                "error_x": _error(mine, "difference"),
                "marker": {"size": 8, "symbol": ["circle" if p < 0.05 else "circle-open" for p in mine.p_adjusted]},
                "hovertemplate": "%{text}: %{x:+.1f} points<extra></extra>",
            }
        )
    layout = {
        "xaxis": {"title": {"text": "percentage points"}, "zeroline": True, "zerolinewidth": 2},
        "yaxis": {
            "tickvals": list(range(len(targets))),
            "ticktext": targets,
            "autorange": "reversed",
            "zeroline": False,
        },
        "height": 140 + len(targets) * (22 + 12 * len(variants)),
        "legend": {"orientation": "h", "y": -0.15},
    }
    return {"data": traces, "layout": layout, "coloured": variants}


def brain_scatter(brains: pd.DataFrame) -> dict[str, Any]:
    """Change in accuracy on unseen domains against change in brain score: means with intervals, and single seeds."""
    variants = [str(name) for name in brains.variant.unique()]
    traces = []
    for variant in variants:
        mine = brains[brains.variant == variant]
        for rows, whole in ((mine[mine.model_seed >= 0], False), (mine[mine.model_seed < 0], True)):
            trace: dict[str, Any] = {
                "type": "scatter",
                "mode": "markers",
                "name": variant,
                "legendgroup": variant,
                "showlegend": whole,
                "x": _numbers(100 * rows.brain_difference),
                "y": _numbers(100 * rows.accuracy_difference),
                "opacity": 1.0 if whole else 0.45,
                "marker": {"size": 11 if whole else 5},
                "hovertemplate": "brain score %{x:+.1f}, accuracy %{y:+.1f} points<extra>"
                + (variant if whole else f"{variant}, one seed")
                + "</extra>",
            }
            if whole:
                trace |= {"error_x": _error(rows, "brain_difference"), "error_y": _error(rows, "accuracy_difference")}
            traces.append(trace)
    zero = {"zeroline": True, "zerolinewidth": 2}
    layout = {
        "xaxis": {"title": {"text": "brain score, % of ceiling"}, **zero},
        "yaxis": {"title": {"text": "accuracy, percentage points"}, **zero},
        "height": 520,
        "legend": {"orientation": "h", "y": -0.2},
    }
    return {"data": traces, "layout": layout, "coloured": variants}


def _error(rows: pd.DataFrame, name: str) -> dict[str, Any]:
    """The interval of a column in per cent, as error bars."""
    middle = rows[name]
    return {
        "type": "data",
        "symmetric": False,
        "array": _numbers(100 * (rows[f"{name}_high"] - middle)),
        "arrayminus": _numbers(100 * (middle - rows[f"{name}_low"])),
        "thickness": 1.5,
        "width": 0,
    }


def strengths(cells: pd.DataFrame) -> dict[str, Any] | None:
    """Draw accuracy against the strength of corruptions, one panel for each; None if there are no corruptions."""
    there = cells[cells.corruption]
    if there.empty:
        return None
    steps = there.target.str.rpartition("+")[2].str.partition(":")
    there = there.assign(kind=steps[0], strength=steps[2].astype(int))
    kinds, variants = list(there.kind.unique()), [str(name) for name in there.variant.unique()]
    n = len(kinds)
    traces, headings = [], []
    layout: dict[str, Any] = {"height": 320, "legend": {"orientation": "h", "y": -0.25}}
    for i, kind in enumerate(kinds):
        axis = "" if i == 0 else str(i + 1)
        for variant in variants:
            mine = there[(there.kind == kind) & (there.variant == variant)].sort_values("strength")
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": variant,
                    "legendgroup": variant,
                    "showlegend": i == 0,
                    "x": mine.strength.tolist(),
                    "y": _numbers(100 * mine.accuracy),
                    "error_y": _error(mine, "accuracy"),
                    "xaxis": f"x{axis}",
                    "yaxis": f"y{axis}",
                    "hovertemplate": f"{kind} %{{x}}: %{{y:.1f}} %<extra>{variant}</extra>",
                }
            )
        domain = [i / n + 0.012, (i + 1) / n - 0.012]
        layout[f"xaxis{axis}"] = {"domain": domain, "anchor": f"y{axis}", "dtick": 1, "title": {"text": "strength"}}
        layout[f"yaxis{axis}"] = {
            "anchor": f"x{axis}",
            "range": [0, 101],
            "showticklabels": i == 0,
            "title": {"text": "accuracy, %" if i == 0 else ""},
        }
        headings.append(_heading(kind, sum(domain) / 2))
    return {"data": traces, "layout": {**layout, "annotations": headings}, "coloured": variants}


def confusions(rows: pd.DataFrame, cells: pd.DataFrame) -> dict[str, Any]:
    """True against given classes, by target, of the first variant and the best other; shares of a true class."""
    rows = rows[~rows.corruption]
    first, *others = [str(name) for name in cells.variant.unique()]
    unseen = summary.over_unseen(cells).set_index("variant").accuracy.reindex(others).dropna()
    variants = [first, *([str(unseen.idxmax())] if len(unseen) else [])]
    targets = target_names(rows)
    n_classes = 1 + max(int(max(labels)) for labels in rows.labels)
    traces, headings = [], []
    layout: dict[str, Any] = {"height": 40 + 230 * len(variants)}
    for i, variant in enumerate(variants):
        for j, target in enumerate(targets):
            mine = rows[(rows.variant == variant) & (rows.target == target)]
            counts = summary.confusion(mine, n_classes)
            share = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
            axis = "" if i == j == 0 else str(i * len(targets) + j + 1)
            traces.append(
                {
                    "type": "heatmap",
                    "z": np.round(share, 1).tolist(),
                    "zmin": 0,
                    "zmax": 100,
                    "showscale": False,
                    "xaxis": f"x{axis}",
                    "yaxis": f"y{axis}",
                    "hovertemplate": f"{variant}, {target}: %{{y}} taken for %{{x}}, %{{z:.1f}} %<extra></extra>",
                }
            )
            across = [j / len(targets) + 0.01, (j + 1) / len(targets) - 0.01]
            up = [1 - (i + 1) / len(variants) + 0.03, 1 - i / len(variants) - 0.03]
            ticks = {"dtick": 1, "tickfont": {"size": 9}, "showgrid": False}
            layout[f"xaxis{axis}"] = {**ticks, "domain": across, "anchor": f"y{axis}"}
            layout[f"yaxis{axis}"] = {
                **ticks,
                "domain": up,
                "anchor": f"x{axis}",
                "autorange": "reversed",
                "title": {"text": f"{variant}: true" if j == 0 else ""},
            }
            if i == 0:
                headings.append(_heading(target, sum(across) / 2))
    return {"data": traces, "layout": {**layout, "annotations": headings}}


def calibration(cells: pd.DataFrame) -> dict[str, Any]:
    """Expected calibration error by target and variant."""
    targets = [name for name in target_names(cells) if name != UNSEEN]
    variants = [str(name) for name in cells.variant.unique()]
    traces = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": variant,
            "x": targets,
            "marker": {"size": 10},
            "y": _numbers(cells[cells.variant == variant].set_index("target").ece.reindex(targets)),
            "hovertemplate": "%{x}: %{y:.3f}<extra>" + variant + "</extra>",
        }
        for variant in variants
    ]
    layout = {
        "yaxis": {"title": {"text": "expected calibration error"}, "rangemode": "tozero"},
        "height": 340,
        "legend": {"orientation": "h", "y": -0.15},
    }
    return {"data": traces, "layout": layout, "coloured": variants}


def training_curves(curves: pd.DataFrame) -> dict[str, Any]:
    """Loss on training images and accuracy on the source's validation images, every seed a line."""
    variants = [str(name) for name in curves.variant.unique()]
    traces = []
    for variant, mine in curves.groupby("variant", sort=False):
        for n, (_, run) in enumerate(mine.groupby("model_seed", sort=True)):
            for axis, column in (("", "loss"), ("2", "validation_accuracy")):
                traces.append(
                    {
                        "type": "scatter",
                        "mode": "lines+markers",
                        "name": variant,
                        "legendgroup": variant,
                        "showlegend": n == 0 and not axis,
                        "marker": {"size": 4},
                        "line": {"width": 1.5},
                        "x": run.epoch.tolist(),
                        "y": _numbers(run[column] * (100 if axis else 1)),
                        "xaxis": f"x{axis}",
                        "yaxis": f"y{axis}",
                    }
                )
    layout = {
        "xaxis": {"domain": [0, 0.46], "title": {"text": "epoch"}},
        "yaxis": {"title": {"text": "training loss"}, "rangemode": "tozero"},
        "xaxis2": {"domain": [0.54, 1], "anchor": "y2", "title": {"text": "epoch"}},
        "yaxis2": {"anchor": "x2", "title": {"text": "validation accuracy, %"}},
        "height": 390,
        "legend": {"orientation": "h", "y": -0.35},
    }
    return {"data": traces, "layout": layout, "coloured": variants}


def _heading(text: str, at: float) -> dict[str, Any]:
    return {
        "text": text,
        "x": at,
        "y": 1.0,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "center",
        "yanchor": "bottom",
        "showarrow": False,
    }


def _number(value: Any, by: float = 1.0) -> float | None:
    return None if value is None or not math.isfinite(value) else round(by * float(value), 4)


def _numbers(values: pd.Series) -> list[float | None]:
    return [_number(value) for value in values]
