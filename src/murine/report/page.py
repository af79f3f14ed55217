"""The report: one HTML file that holds all of its data, needs no other file, and can be sent to a colleague."""

# ruff: noqa: RUF001 (dashes and signs are meant)

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from murine.atlas.leaderboard import MIN_CEILING
from murine.atlas.store import Atlas
from murine.report import methods, palette
from murine.report import wording as texts
from murine.report.charts import chart_data, extent
from murine.report.leaderboard_view import AREAS, Board, read_boards
from murine.report.page_shell import filled, json_text, save

#: Names of the areas that the Allen Institute abbreviates, as physiologists call them.
_AREA_NAMES = {
    "VISp": "primary (V1)",
    "VISl": "lateral (LM)",
    "VISrl": "rostrolateral (RL)",
    "VISal": "anterolateral (AL)",
    "VISpm": "posteromedial (PM)",
    "VISam": "anteromedial (AM)",
}
_SELECTIONS = {
    "nested": "layers chosen on one half of the images and scored on the other",
    "naive": "layer chosen and scored on the same data: optimistic",
}


def write_report(
    atlas: Atlas,
    file: str | Path,
    *,
    cortex: str | None = None,
    metric: str | None = None,
    title: str = "How mouse-like are these networks?",
) -> Path:
    """Write a report of all results of an atlas, as one HTML file that works offline.

    Parameters
    ----------
    atlas
        The results.
    file
        The file to write; its folder is made. It appears only when it is complete.
    cortex, metric
        Only these.
    title
        The heading of the page.

    Returns
    -------
    file
        The path that was written.

    Raises
    ------
    MurineError
        If there are no results, the cortex or metric is unknown, nothing can be ranked, or the file cannot be written.

    Examples
    --------
    >>> import murine
    >>> scores = murine.compare(["pixels", "gabor"], controls=False, n_bootstraps=20, atlas="results")
    >>> write_report(Atlas("results"), "report.html").name
    'report.html'
    """
    return save(render(atlas, read_boards(atlas, cortex=cortex, metric=metric), title), file)


def render(atlas: Atlas, boards: Sequence[Board], title: str) -> str:
    """The page as text."""
    return filled(
        "page.html.j2",
        title,
        summary=_summary(boards),
        roles=palette.ROLES,
        boards=[_board(atlas, board, f"b{i}", boards) for i, board in enumerate(boards)],
    )


def _summary(boards: Sequence[Board]) -> str:
    cortices = {board.cortex for board in boards}
    measures = {board.metric for board in boards}
    digests = {digest for board in boards for digest in board.networks.network_digest}
    return ", ".join(
        [
            texts.count(len(digests), "network"),
            texts.count(len(cortices), "cortex", "cortices"),
            texts.count(len(measures), "metric"),
        ]
    )


def _board(atlas: Atlas, board: Board, identity: str, boards: Sequence[Board]) -> dict[str, Any]:
    """All that the template tells of a board."""
    ranked = len(board.ranked) > 0
    labels = [str(label) for label in board.networks.label]
    sections = [
        ("leaderboard", "Leaderboard"),
        ("ranking", "Ranking"),
        ("sites", "Networks and sites"),
        ("depth", "Depth"),
        ("twins", "Trained minus random"),
        ("flags", "Flags"),
        ("method", "Data and method"),
        ("provenance", "Provenance"),
    ]
    low, high = (
        extent([*board.ranked.value_low, *board.ranked.value_high, *board.ranked.value]) if ranked else (0.0, 1.0)
    )
    return {
        "id": identity,
        "name": board.name,
        "finding": f"{texts.finding(board)} {texts.treatment(board, boards)}",
        "counts": texts.counts(board),
        "contents": [s for s in sections if ranked or s[0] in ("flags", "method", "provenance")],
        "has_ceiling": board.has_ceiling,
        "nested": board.selection == "nested",
        "groups": board.groups,
        "roles": [role for role in palette.ROLES if (board.ranked.role == role).any()],
        "score_name": "Score, % of ceiling" if board.has_ceiling else "Score (raw)",
        "points": "points of per cent of the ceiling" if board.has_ceiling else "raw scores",
        "axis": _axis(low, high, board),
        "rows": _leaderboard(board, low, high),
        "leaderboard_text": _leaderboard_text(board),
        "selection_note": f"{board.selection}: {_SELECTIONS[board.selection]}." if board.selection else "",
        "not_ranked": ", ".join(label for label, band in zip(labels, board.networks.band, strict=True) if not band),
        "ranking_caption": _ranking_caption(board),
        "heat_caption": _heat_caption(board),
        "depth_flags": _depth_flags(board),
        "twins": _twins(board),
        "flagged": [{**row, "label": labels[row["entry"]]} for row in board.flagged.to_dict("records")],
        "above": _above(board),
        "sites": _sites(board),
        "areas": _areas(board),
        "methods": [asdict(topic) for topic in methods.methods(board)],
        "references": [asdict(reference) for reference in methods.references(board)],
        "provenance": _provenance(atlas, board),
        "file": "murine-" + re.sub(r"[^A-Za-z0-9]+", "-", board.name).strip("-") + ".csv",
        "data": json_text(chart_data(board)),
    }


def _cell(value: float, text: str) -> dict[str, str]:
    """A cell of a sortable table: the shown text, and the number to sort by ('' if there is none)."""
    return {"v": f"{value:.6g}" if math.isfinite(value) else "", "text": text}


def _leaderboard(board: Board, low: float, high: float) -> list[dict[str, Any]]:
    rows = []
    before = 0
    for entry, row in enumerate(board.ranked.to_dict("records")):
        naive = row["naive" if board.has_ceiling else "naive_score"]
        rows.append(
            {
                **{k: row[k] for k in ("band", "label", "network", "weights", "role", "input_size", "selection")},
                "entry": entry,
                "detail": _detail(row),
                "first": row["band"] != before,
                "value": _cell(row["value"], texts.share(row["value"], board)),
                "interval": texts.between(row["value_low"], row["value_high"], board),
                "whisker": _whisker(row["value"], row["value_low"], row["value_high"], row["role"], low, high),
                "score": _cell(row["score"], texts.number(row["score"])),
                "naive": _cell(naive, texts.share(naive, board)),
                "within": [_cell(row[f"within {g}"], texts.number(row[f"within {g}"])) for g in board.groups],
                "p_max": _cell(row["p_max"], texts.p_value(row["p_max"])),
                "n_sites": int(row["n_sites"]),
                "n_sites_all": int(row["n_sites_all"]),
                "selection_text": _SELECTIONS[row["selection"]],
            }
        )
        before = row["band"]
    return rows


def _detail(row: Mapping[Any, Any]) -> str:
    """What the label of a network leaves out of its name and weights."""
    weights = "" if row["role"] == "control" or row["weights"] in row["label"] else row["weights"]
    return " · ".join(part for part in ("" if row["network"] in row["label"] else row["network"], weights) if part)


def _whisker(value: float, low: float, high: float, role: str, start: float, end: float) -> Markup:
    """A bar from zero with its interval, on the common axis from ``start`` to ``end``."""
    zero, at = (200 * (x - start) / (end - start) for x in (0.0, value))
    kind = role if role in palette.ROLES else "control"
    ends = ""
    if math.isfinite(low) and math.isfinite(high):
        a, b = (200 * (x - start) / (end - start) for x in (low, high))
        ends = f'<line class="span" x1="{a:.1f}" x2="{b:.1f}" y1="10" y2="10"/>'
    return Markup(
        f'<svg class="whisker {kind}" viewBox="0 0 200 20" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="body" x="{min(zero, at):.1f}" y="5" width="{abs(at - zero):.1f}" height="10"/>'
        f'<line class="grid" x1="{zero:.1f}" x2="{zero:.1f}" y1="0" y2="20"/>{ends}'
        f'<rect x="{at - 1.5:.1f}" y="4" width="3" height="12"/></svg>'
    )


def _axis(low: float, high: float, board: Board) -> Markup:
    """The axis of the whiskers: its ends, and zero if that is another."""
    ticks = sorted({low, 0.0, high})
    marks = []
    for i, tick in enumerate(ticks):
        at = 100 * (tick - low) / (high - low)
        anchor = "start" if i == 0 else "end" if i == len(ticks) - 1 else "middle"
        text = texts.share(tick, board, 0) + (" %" if board.has_ceiling else "")
        marks.append(f'<text x="{at:.1f}%" y="11" text-anchor="{anchor}">{text}</text>')
    return Markup(f'<svg class="axis" aria-hidden="true">{"".join(marks)}</svg>')


def _leaderboard_text(board: Board) -> str:
    what = "ceiling-normalised score" if board.has_ceiling else "raw score (no site has a ceiling)"
    return (
        f"Mean {what} of the chosen layers over {texts.count(len(board.counted), 'site')}, with 95 % "
        f"intervals over resampled {methods.resampled(board)}. Networks in one band cannot be told apart from the best "
        "one of the band."
    )


def _ranking_caption(board: Board) -> str:
    limit = " 100 % is the score that noise in the data would allow a perfect model." if board.has_ceiling else ""
    return f"Bars are 95 % intervals; shading separates rank bands.{limit}"


def _heat_caption(board: Board) -> str:
    numbers = "Per cent of the ceiling" if board.has_ceiling else "Raw scores"
    parts = [f"{numbers}, of the layer chosen at each site; networks in the order of the leaderboard."]
    if (board.official.ceiled > 1).any():
        parts.append("▲ above the ceiling.")
    if len(board.counted) < len(board.sites):
        parts.append(f"† not counted: no ceiling of at least {MIN_CEILING:g}.")
    if len(board.official[board.official.entry < len(board.ranked)]) < len(board.ranked) * len(board.sites):
        parts.append("× no score.")
    return " ".join(parts)


def _depth_flags(board: Board) -> str:
    flagged = board.flagged[board.flagged.stimuli == "all"]
    if flagged.empty:
        return ""
    labels = board.networks.label
    counts = flagged.groupby("entry").layer.nunique()
    own = [f"{n} of {labels[int(str(entry))]}" for entry, n in counts.items()]
    which = ", ".join(own) if len(own) <= 3 else f"{counts.sum()} of {len(own)} networks"
    return f"Not drawn are flagged layers, listed below: {which}."


def _twins(board: Board) -> list[dict[str, Any]]:
    labels = board.networks.label
    pairs = []
    for pair in board.twins:
        values = [pair.mean, *(pair.sites.get(str(site), (math.nan,) * 3) for site in board.sites.site)]
        cells = [
            {
                "text": texts.share(value, board),
                "interval": texts.between(low, high, board) if math.isfinite(value) else "",
            }
            for value, low, high in values
        ]
        pairs.append({"trained": labels[pair.trained], "random": labels[pair.random], "cells": cells})
    return pairs


def _above(board: Board) -> list[dict[str, Any]]:
    return [
        {
            **{k: row[k] for k in ("site", "stimuli", "split", "layer", "n_layers")},
            "label": board.networks.label[row["entry"]],
            "score": texts.number(row["score"]),
            "ceiling": texts.number(row["ceiling"]),
            "ceiled": texts.number(row["ceiled"], 2),
            "interval": _brackets(row["ceiled_low"], row["ceiled_high"], 2),
        }
        for row in board.above.to_dict("records")
    ]


def _brackets(low: float, high: float, digits: int = 3) -> str:
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"[{texts.number(low, digits)},\N{NO-BREAK SPACE}{texts.number(high, digits)}]"


def _sites(board: Board) -> list[dict[str, Any]]:
    return [
        {
            "site": row["site"],
            "area": row["area"],
            "layer": row["cortical_layer"] or "–",
            "neuroids": row["n_neuroids"] or "not known",
            "repetitions": row["n_repetitions"] or "not known",
            "ceiling": texts.number(row["ceiling"]),
            "interval": _brackets(row["ceiling_low"], row["ceiling_high"]),
            "counted": bool(row["counted"]),
        }
        for row in board.sites.to_dict("records")
    ]


def _areas(board: Board) -> str:
    here = set(board.sites.area)
    names = [f"{area} {_AREA_NAMES[area]}" for area in AREAS if area in here]
    return f"Visual areas: {', '.join(names)}." if names else ""


def _provenance(atlas: Atlas, board: Board) -> list[dict[str, Any]]:
    entries = []
    chosen = dict(iter(board.chosen.groupby("entry")))
    official = dict(iter(board.official.groupby("entry")))
    for entry, row in enumerate(board.networks.to_dict("records")):
        tasks = []
        for digest in board.tasks[entry]:
            told = atlas.about(digest)
            configuration = json.dumps(told["task"], indent=2, ensure_ascii=False)
            tasks.append(
                {
                    "digest": digest,
                    "configuration": configuration,
                    "versions": sorted(told["provenance"].items()),
                }
            )
        reached = (
            f"{texts.share(row['value'], board)}{' %' if board.has_ceiling else ''}" if row["band"] else "not ranked"
        )
        entries.append(
            {
                **{k: row[k] for k in ("label", "network", "weights", "role", "network_digest")},
                "entry": entry,
                "summary": f"{row['input_size']} · {reached}",
                "sites": _site_rows(board, chosen.get(entry, board.chosen[:0]), official.get(entry, board.chosen[:0])),
                "tasks": tasks,
            }
        )
    return entries


def _site_rows(board: Board, mine: pd.DataFrame, official: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what a network reached at each site, with the layers that were chosen.

    Parameters
    ----------
    mine, official
        Rows of `Board.chosen` and `Board.official` of this network.
    """
    naive = mine[(mine.chosen == "naive") & (mine.stimuli == "all")].set_index("site")
    within = mine[(mine.chosen == board.selection) & (mine.stimuli != "all")].set_index(["site", "stimuli"]).score
    rows = []
    for row in official.to_dict("records"):
        site = row["site"]
        ceiled, low, high = (row[name] for name in ("ceiled", "ceiled_low", "ceiled_high"))
        naive_ceiled = _at(naive.ceiled if board.has_ceiling else naive.score, site)
        rows.append(
            {
                "site": site,
                "layer": row["layer"]
                + (f" | {other}" if (other := row["other_layer"] or "") not in ("", row["layer"]) else ""),
                "depth": texts.number(row["depth"], 2),
                "score": texts.number(row["score"]),
                "interval": _brackets(row["low"], row["high"]),
                "ceiling": texts.number(row["ceiling"]),
                "ceiled": texts.share(ceiled, board),
                "ceiled_interval": texts.between(low, high, board) if math.isfinite(ceiled) else "",
                "p": texts.p_value(row["p_value"]),
                "naive_layer": naive.layer.get(site, "–"),
                "naive": texts.share(naive_ceiled, board),
                "within": [texts.number(_at(within, (site, group))) for group in board.groups],
            }
        )
    return rows


def _at(values: pd.Series, key: Any) -> float:
    return float(values.get(key, math.nan))
