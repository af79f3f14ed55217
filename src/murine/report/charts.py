"""The data of the page's charts, compact and plain enough for JSON; ``templates/page.js`` draws them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from murine.report.leaderboard_view import Board, Interval

#: Layer scores are written as whole numbers of this fraction.
STEP = 1e-4

_TEXTS = (
    ["site", "area", "cortical_layer", "layer", "stimuli", "split", "chosen", "scale", "task"],
    ["n_neuroids", "n_repetitions", "depth", "n_units", "n_stimuli", "score", "low", "high"],
    ["ceiling", "ceiling_low", "ceiling_high", "ceiled", "ceiled_low", "ceiled_high", "p_value"],
)


def chart_data(board: Board) -> dict[str, Any]:
    """All that the page's script needs of a board.

    Returns
    -------
    data
        ``networks`` and ``sites`` as lists of records; ``rows``, the chosen layers by column (see `columns`);
        ``depth``, the scores of all layers; ``twins``.
    """
    ranked = set(board.ranked.index)
    families: dict[tuple[str, str], int] = {}
    networks = []
    for i, row in enumerate(board.networks.to_dict("records")):
        family = -1
        if row["role"] != "control":
            family = families.setdefault((row["network"], row["input_size"]), len(families))
        about = {k: row[k] for k in ("label", "network", "weights", "role", "input_size", "network_digest")}
        numbers = [rounded(row.get(k, math.nan)) for k in ("value", "value_low", "value_high", "score")]
        networks.append({**about, "band": int(row["band"]) if i in ranked else 0, "family": family, "score": numbers})
    return {
        "name": board.name,
        "cortex": board.cortex,
        "metric": board.metric,
        "selection": board.selection,
        "ceiled": board.has_ceiling,
        "networks": networks,
        "sites": [
            {
                **{k: row[k] for k in ("site", "area", "label")},
                "ceiling": rounded(row["ceiling"]),
                "counted": bool(row["counted"]),
            }
            for row in board.sites.to_dict("records")
        ],
        "rows": columns(board.chosen),
        "depth": _depth(board),
        "twins": [
            {
                "trained": pair.trained,
                "random": pair.random,
                "mean": _triple(pair.mean),
                "sites": [_triple(pair.sites[s]) if s in pair.sites else None for s in board.sites.site],
            }
            for pair in board.twins
        ],
    }


def columns(rows: pd.DataFrame) -> dict[str, Any]:
    """A table by column: numbers with four digits, texts as ``{"levels": [...], "codes": [...]}``."""
    texts, *numbers = _TEXTS
    out: dict[str, Any] = {"entry": [int(entry) for entry in rows.entry]}
    for name in texts:
        codes, levels = pd.factorize(rows[name])
        out[name] = {"levels": [str(level) for level in levels], "codes": codes.tolist()}
    for name in [name for names in numbers for name in names]:
        out[name] = [rounded(value) for value in rows[name]]
    return out


def _depth(board: Board) -> dict[str, Any]:
    """Scores of all layers; networks with the same layers share one list of their names and depths."""
    place = {site: i for i, site in enumerate(board.sites.site)}
    lists: dict[tuple[tuple[str, ...], tuple[float, ...]], int] = {}
    networks: list[dict[str, Any] | None] = [None] * len(board.networks)
    for entry, mine in board.layers.groupby("entry", sort=True):
        about = mine.drop_duplicates("layer").sort_values(["depth", "layer_index"], kind="stable")
        names = tuple(str(layer) for layer in about.layer)
        depths = tuple(round(float(depth), 4) for depth in about.depth)
        scores = np.full((len(place), len(names)), np.nan)
        at = {name: i for i, name in enumerate(names)}
        scores[mine.site.map(place), mine.layer.map(at)] = mine.score
        networks[int(str(entry))] = {
            "layers": lists.setdefault((names, depths), len(lists)),
            "scores": [[None if math.isnan(v) else round(v / STEP) for v in row] for row in scores.tolist()],
        }
    return {
        "step": STEP,
        "layers": [{"names": list(names), "depths": list(depths)} for names, depths in lists],
        "networks": networks,
    }


def _triple(values: Interval) -> list[float | None]:
    return [rounded(value) for value in values]


def rounded(value: Any) -> float | int | None:
    """Return four significant digits; whole numbers are not changed; None if there is no number."""
    if pd.isna(value) or not math.isfinite(value):
        return None
    if isinstance(value, (int, np.integer)):
        return int(value)
    return float(f"{value:.4g}")


def extent(values: Iterable[float]) -> tuple[float, float]:
    """Ends of an axis from at most zero to at least a little, at round numbers, that holds all values."""
    known = [value for value in values if math.isfinite(value)]
    low, high = min([0.0, *known]), max([0.0, *known])
    span = max(high - low, 0.05)
    step = 10 ** math.floor(math.log10(span))
    step *= next(factor for factor in (0.2, 0.5, 1.0) if span / (step * factor) <= 5 or factor == 1.0)
    return math.floor(low / step + 1e-9) * step, math.ceil(max(high, low + span) / step - 1e-9) * step
