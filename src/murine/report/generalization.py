"""The page on domains: matrices, differences, corruptions, pictures, confusions, calibration and training curves."""

# ruff: noqa: RUF001 (dashes and signs are meant)

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from murine.domains.domain import Domain
from murine.generalization import summary
from murine.generalization.summary import PLAIN, UNSEEN
from murine.report.page_shell import filled, json_text, save
from murine.studies.brain_vs_robustness import association

#: A picture is shown in pixels of this many.
_ZOOM = 2


def write_page(
    rows: pd.DataFrame,
    curves: pd.DataFrame,
    domains: Sequence[Domain],
    file: str | Path,
    *,
    reference: str = PLAIN,
    brains: pd.DataFrame | None = None,
    recipes: Sequence[str] = (),
    title: str = "What becomes of accuracy on domains never seen?",
) -> Path:
    """Write a page on a matrix, as one HTML file that works offline.

    Parameters
    ----------
    rows
        As `murine.generalization.matrix.compute` returns them.
    curves
        Of `murine.generalization.matrix.curves`: one row per run and epoch.
    domains
        Of which examples are shown, before and after NeuRN.
    reference
        The variant that the others are compared with.
    brains
        Of `murine.studies.brain_vs_robustness.shifts`: changes in brain score beside those in accuracy.
    recipes
        How networks were trained, as JSON: told at the end.

    Returns
    -------
    file
        The path that was written.

    Raises
    ------
    MurineError
        The file cannot be written.
    """
    page = filled(
        "generalization.html.j2",
        title,
        boards=[
            board(
                mine,
                summary.of_matrix(curves, key),
                f"m{i}",
                summary.of_matrix(brains, key) if brains is not None else None,
                reference,
            )
            for i, (key, mine) in enumerate(_matrices(rows))
        ],
        examples=[{"name": domain.name, "picture": examples(domain)} for domain in domains],
        recipes=[json.dumps(json.loads(text), indent=1) for text in recipes],
    )
    return save(page, file)


def _matrices(rows: pd.DataFrame) -> list[tuple[tuple[Any, ...], pd.DataFrame]]:
    return [(tuple(key), mine) for key, mine in rows.groupby(summary.MATRIX, sort=False)]


def board(
    rows: pd.DataFrame,
    curves: pd.DataFrame,
    name: str,
    brains: pd.DataFrame | None = None,
    reference: str = PLAIN,
) -> dict[str, Any]:
    """All that the page tells of one source and network."""
    cells, differences = summary.cells(rows), summary.differences(rows, reference)
    first = rows.iloc[0]
    figures = {
        "heat": heat(cells),
        "differences": difference_dots(differences) if len(differences) else None,
        "brain": brain_scatter(brains) if brains is not None and len(brains) else None,
        "strength": strengths(cells),
        "confusion": confusions(rows, cells),
        "calibration": calibration(cells),
        "curves": training_curves(curves),
    }
    for figure in figures.values():
        if figure is not None and "coloured" in figure:
            figure["coloured"] = [str(name) for name in cells.variant.unique()]  # a variant's colour is one everywhere
    n_seeds, n_networks = int(cells.n_seeds.max()), int(rows.task.nunique())
    diverged = cells[cells.diverged > 0].drop_duplicates("variant")
    return {
        "id": name,
        "name": f"{first.network}{' (pretrained)' if first.pretrained else ''} trained on {first.source}",
        "finding": _finding(differences, reference),
        "reference": reference,
        "brain": _brain_finding(brains) if brains is not None and len(brains) else "",
        "about": f"{n_networks} network{'s' if n_networks != 1 else ''}, {n_seeds} "
        f"seed{'s' if n_seeds != 1 else ''} per variant, {int(first.n_train):,} training and "
        f"{int(first.n_validation):,} validation images",
        "targets": list(_domains(cells)),
        "table": _table(cells, "accuracy"),
        "differences": _table(differences, "difference"),
        "over": "new seeds and new images" if n_seeds > 1 else "new images only: one seed says nothing of other seeds",
        "at_chance": summary.at_chance_text(cells),
        "no_claim": _no_claim(differences),
        "diverged": ", ".join(f"{row.diverged} of {row.variant}" for row in diverged.itertuples()),
        "figures": {key: json_text(figure) for key, figure in figures.items() if figure is not None},
    }


def _finding(differences: pd.DataFrame, reference: str) -> str:
    """The largest change of the mean over unseen domains that is told from chance, or that there is none."""
    mean = summary.over_unseen(differences) if len(differences) else differences
    if mean.empty:
        return f"There is nothing to compare with {reference}."
    on = "the mean over unseen domains" if mean.target.iloc[0] == UNSEEN else f"accuracy on {mean.target.iloc[0]}"
    mean = mean[mean.no_claim == ""]
    if mean.empty:
        return f"Nothing can be concluded about {on}: {_no_claim(differences)}."
    sure = mean[mean.p_adjusted < 0.05]
    among = mean if sure.empty else sure
    best = among.loc[among.difference.abs().idxmax()]
    size = f"{100 * best.difference:+.1f} points [{100 * best.difference_low:.1f}, {100 * best.difference_high:.1f}]"
    p = f"p {best.p_adjusted:.2g}" + (f" after Holm's adjustment over {len(mean)} variants" if len(mean) > 1 else "")
    if sure.empty:
        return f"No variant is told from {reference} by {on}; the largest change, {best.variant}: {size}, {p}."
    others = f" Told from {reference}: {', '.join(sure.variant)}." if len(sure) > 1 else ""
    return f"{best.variant} changes {on} by {size}, {p}.{others}"


def _no_claim(differences: pd.DataFrame) -> str:
    """Why nothing can be concluded from some comparisons; '' where all support a conclusion."""
    return "; ".join(dict.fromkeys(part for text in differences.no_claim if text for part in text.split("; ")))


def _brain_finding(brains: pd.DataFrame) -> str:
    """What cortex and metric, and whether what gains the one gains the other."""
    found, first = association(brains).iloc[0], brains[brains.model_seed == -1].iloc[0]
    reached = f"{100 * first.brain_before:.1f} % of the noise ceiling"
    about = f"Against {first.cortex}, {first.metric}: plain networks reach {reached}."
    without = brains[(brains.model_seed == -1) & (brains.no_claim != "")]
    if len(without):
        about += f" Nothing is concluded from {', '.join(without.variant)}: {_no_claim(without)}."
    if found.n_variants < 3:
        return about
    rho = f"{found.rho:+.2f}".replace("-", "−")
    return (
        f"{about} Spearman's correlation of the two changes over {found.n_variants} variants is {rho}, "
        f"p {found.p_value:.2g} if variants were independent, which relatives are not."
    )


def _domains(cells: pd.DataFrame) -> list[str]:
    return [str(name) for name in cells[~cells.corruption].target.unique()]


def _table(cells: pd.DataFrame, value: str) -> list[dict[str, Any]]:
    """Rows of variants with a text for each target."""
    found = []
    for variant, mine in cells.groupby("variant", sort=False):
        by_target = mine.set_index("target")
        texts = [
            _text(by_target.loc[name], value) if name in by_target.index else ("–", "") for name in _domains(cells)
        ]
        mark = " (at chance on its source)" if "at_chance" in mine and mine.at_chance.any() else ""
        found.append({"variant": f"{variant}{mark}", "cells": texts})
    return found


def _text(cell: pd.Series, value: str) -> tuple[str, str]:
    middle, low, high = (100 * float(cell[name]) for name in (value, f"{value}_low", f"{value}_high"))
    if math.isnan(middle):
        return "diverged", ""
    star = "*" if "p_adjusted" in cell.index and cell.p_adjusted < 0.05 else ""
    sign = "+" if value == "difference" else ""
    return f"{middle:{sign}.1f}{star}".replace("-", "−"), f"[{low:.1f}, {high:.1f}]".replace("-", "−")


# --------------------------------------------------------------------------------- figures, as plotly takes them


def heat(cells: pd.DataFrame) -> dict[str, Any]:
    """Variants by targets."""
    targets = _domains(cells)
    variants = [str(name) for name in cells.variant.unique()]
    table = cells.set_index(["variant", "target"])
    values = [[_number(table.accuracy.get((v, t)), 100) for t in targets] for v in variants]
    there = set(table.index)
    texts = [
        ["<br>".join(_text(table.loc[(v, t)], "accuracy")) if (v, t) in there else "" for t in targets]
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
    targets = _domains(differences)
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
    """Accuracy against the strength of corruptions, one panel each; None where there are none."""
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
    targets = _domains(rows)
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
    targets = [name for name in _domains(cells) if name != UNSEEN]
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


# --------------------------------------------------------------------------------- pictures


def example_grid(domain: Domain, kernel_size: int = 3) -> UInt8[np.ndarray, "height width 3"]:
    """The first image of every class, above what NeuRN makes of it."""
    import torch

    from murine.networks.surgery.neurn import neurn

    first = [int(np.flatnonzero(domain.labels == label)[0]) for label in np.unique(domain.labels)]
    images = domain.images[first]
    pixels = torch.from_numpy(images.copy()).permute(0, 3, 1, 2).float() / 255
    contrast = np.rint(255 * neurn(pixels, kernel_size).permute(0, 2, 3, 1).numpy()).astype(np.uint8)
    return np.concatenate([np.concatenate(list(row), axis=1) for row in (images, contrast)], axis=0)


def examples(domain: Domain) -> str:
    """`example_grid` as the address of a PNG that is in the page itself."""
    from PIL import Image

    grid = example_grid(domain)
    picture = Image.fromarray(grid).resize((grid.shape[1] * _ZOOM, grid.shape[0] * _ZOOM), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
