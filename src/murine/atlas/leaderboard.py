"""Leaderboards: networks ranked by their score over sites, with intervals and bands.

`murine.atlas.paired_differences` compares every two of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from murine.atlas.comparability import SETTINGS, TREATMENT, add_setting
from murine.atlas.queries import answer, opened
from murine.atlas.store import Atlas
from murine.atlas.stored_boards import board_digest, read_boards, write_boards
from murine.errors import MurineError, nearest
from murine.scoring.score_sample import ScoreSample
from murine.scoring.treatments import Treatment
from murine.statistics.ranking import rank_bands, top_probability

#: Sites with a lower ceiling cannot rank networks and are left out (for example VISrl layer 5 of the two-photon
#: matrices: 0.36).
MIN_CEILING = 0.5

#: Columns that must be equal in comparable rows: the same neurons and sites, the same treatment of neurons and
#: features, the same candidate layers, and paired bootstrap draws. Draws are paired if the number of samples, the seed
#: and what is resampled are the same.
_BOARD = ["cortex", "metric", *SETTINGS, *TREATMENT]

#: Names of the quantity that networks are ranked by.
SHARE, RAW_SCORE = "share of the ceiling", "raw score"

#: Values of columns in rows that were written before the column existed.
BLANKS = {
    "over": "",
    "n_subject_draws": 0,
    "layer_choice": "held-out",
    **dict.fromkeys(TREATMENT, ""),
}

_NOTHING_CHOSEN = "no layer has a score: every one is flagged. `murine results --view layers` tells why."

_KEY = ["cortex", "metric", "network", "weights", "role", "input_size", "network_digest"]


def leaderboards(
    atlas: Atlas,
    *,
    cortex: str | None = None,
    metric: str | None = None,
    tasks: Collection[str] | None = None,
    min_ceiling: float = MIN_CEILING,
) -> pd.DataFrame:
    """Rank networks for every cortex and metric in the atlas.

    A network's score is the unweighted mean over sites of the score divided by the noise ceiling. Layers are chosen and
    scored on different stimuli (``selection`` is ``nested``, `murine.scoring.held_out`). With too few stimuli for this,
    the naive best layer counts (``naive``), which is optimistic for networks with many layers. Intervals, bands and
    probabilities come from bootstrap draws that are the same for all networks: over stimuli, and also over neurons or
    animals if ``over`` says so (`murine.scoring.subject_bootstrap`).

    Parameters
    ----------
    cortex, metric, tasks
        Use only results of this data set, by this metric, or with these digests of tasks.
    min_ceiling
        Sites with a lower ceiling, or without a ceiling, are left out of the mean. If no site has a ceiling, raw scores
        are ranked.

    Returns
    -------
    table
        One row per network: ``band`` (networks in one band cannot be told apart from its best), ``network, weights,
        role, input_size, treatment`` (`murine.scoring.treatments`), ``setting`` (what tells results of this cortex
        apart that are not ranked together, as ``by area``); ``value, value_low, value_high, unit``: what
        networks are ranked by, which is a ``share of the ceiling``, or the ``raw score`` where no site has a ceiling;
        ``ceiled, ceiled_low, ceiled_high``: the share of the ceiling, NaN without a ceiling; ``score``: the raw mean,
        ``score_low, score_high``: its interval, NaN with a ceiling; ``naive, naive_score``: the same two numbers of the
        naive best layers; ``optimism`` (mean over sites of what choosing and scoring on the same stimuli adds to the
        raw score); ``plain, chance`` (of `ridge` and `pls-*`: the mean r of plain predictions and its chance level, NaN
        for others); ``within GROUP`` (raw means of the same layers within groups of stimuli), ``p_max`` (largest p over
        sites), ``n_sites, n_sites_all, selection, top_probability`` (how often it is the best of the board in paired
        draws), ``layers`` (the chosen ones), ``over, task``; sorted by cortex, metric and value.

    Raises
    ------
    MurineError
        If there are no results, or none has the cortex or the metric.

    Examples
    --------
    >>> import murine
    >>> scores = murine.compare(["pixels", "gabor"], controls=False, n_bootstraps=20, atlas="results")
    >>> board = leaderboards(Atlas("results"))
    >>> print(board[["band", "network", "value", "unit"]].round(2).to_string(index=False))
     band network  value                 unit
        1   gabor   0.56 share of the ceiling
        2  pixels  -0.02 share of the ceiling
    """
    results = atlas.identities().fillna(BLANKS)
    if results.empty:
        atlas.query("SELECT 1 FROM scores")  # refuses an atlas without results
    results = only(results, cortex=cortex, metric=metric)
    n_comparable = results.groupby(_BOARD).task.transform("size")
    if tasks is not None:
        results = results[results.task.isin(list(tasks))]
    stored = read_boards(atlas.folder)
    boards: dict[str, pd.DataFrame | None] = {}
    whole: dict[str, pd.DataFrame] = {}
    for _, own in results.groupby(_BOARD, sort=True):
        name = board_digest(list(zip(own.task, own.seal, strict=True)), min_ceiling)
        board = boards[name] = stored[name] if name in stored else _read_board(list(own.file), min_ceiling)
        if board is not None and len(own) == n_comparable[own.index[0]]:
            whole[name] = board
    if not whole.keys() <= stored.keys():
        everything = cortex is None and metric is None and tasks is None
        write_boards(atlas.folder, whole if everything else {**stored, **whole})
    found = [board for board in boards.values() if board is not None]
    if not found:
        raise MurineError(_NOTHING_CHOSEN)
    table = pd.concat(found, ignore_index=True)
    if table.empty:
        return table
    return table.assign(setting=table.task.map(add_setting(atlas, results).set_index("task").setting))


def _read_board(files: list[Path], min_ceiling: float) -> pd.DataFrame | None:
    """Rank one set of comparable results; None if none of them has a chosen layer. Only their files are read."""
    with opened({"scores": files}) as connection:
        rows = answer(connection, "SELECT * FROM scores WHERE chosen <> ''").fillna(BLANKS)
    return None if rows.empty else _board(rows.assign(setting=""), min_ceiling)


def ranked(rows: pd.DataFrame, min_ceiling: float = MIN_CEILING) -> pd.DataFrame:
    """Rank the networks of chosen rows of scores, each set of comparable results by itself.

    Parameters
    ----------
    rows
        Rows of the table ``scores`` that name a chosen layer, with the column ``setting`` of `add_setting`.

    Returns
    -------
    table
        As `leaderboards`.

    Raises
    ------
    MurineError
        If there is no row.
    """
    if rows.empty:
        raise MurineError(_NOTHING_CHOSEN)
    return pd.concat([_board(rows, min_ceiling) for rows in comparable_sets(rows)], ignore_index=True)


def comparable_sets(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Split rows into sets of results that can be ranked together."""
    return [board for _, board in rows.groupby(_BOARD, sort=True)]


def only(rows: pd.DataFrame, **wanted: str | None) -> pd.DataFrame:
    """Return the rows with one value in each of some columns; of a column for which None is wanted, every value counts.

    Raises
    ------
    MurineError
        If no row has the value.
    """
    for column, value in wanted.items():
        if value is None:
            continue
        known = sorted(rows[column].unique())
        if value not in known:
            raise MurineError(
                f"no result has {column} {value!r}{nearest(value, known) or '.'} There are: {', '.join(known)}."
            )
        rows = rows[rows[column] == value]
    return rows


def ask(atlas: Atlas, sql: str) -> pd.DataFrame:
    """Run an SQL query as `Atlas.query` does, with one more table: ``leaderboard``.

    It holds the rows of `leaderboards`: one for each network in each set of results that can be ranked together.
    ``scores`` mixes metrics, groups of stimuli, naive and held-out rows, so a maximum over it compares what cannot be
    compared.

    Raises
    ------
    MurineError
        If there are no results, or DuckDB refuses the query.

    Examples
    --------
    >>> import murine
    >>> scores = murine.compare(["pixels", "gabor"], controls=False, n_bootstraps=20, atlas="results")
    >>> ask(Atlas("results"), "SELECT network FROM leaderboard WHERE value > 0.3").network.tolist()
    ['gabor']
    """
    asked = re.search(r"\bleaderboard\b", sql, re.IGNORECASE) is not None
    return atlas.query(sql, leaderboard=leaderboards(atlas)) if asked else atlas.query(sql)


def described(atlas: Atlas, rows: pd.DataFrame) -> pd.DataFrame:
    """Add columns ``treatment`` and ``setting`` to rows of scores, in words."""
    rows = add_setting(atlas, rows.fillna(BLANKS))
    return rows.assign(treatment=[treatment_of(row) for row in rows[TREATMENT].to_dict("records")])


def treatment_of(row: Mapping[Any, Any] | pd.Series) -> str:
    """Return the treatment of a row of scores in words; '' for rows from before it was recorded."""
    neurons, features = (row[name] for name in TREATMENT)
    return Treatment(neurons, features).words if neurons else ""


def across_metrics(board: pd.DataFrame) -> pd.DataFrame:
    """Return a leaderboard of several metrics, with a row per cortex, treatment, setting and network.

    Every metric has columns ``METRIC, METRIC_low, METRIC_high`` with shares of the ceiling; a metric that has no
    ceiling has ``METRIC (raw)`` and so on, with raw scores. NaN where a network has no score.
    """
    key = ["cortex", "network", "weights", "input_size", "treatment", "setting"]
    wide = pd.DataFrame({name: board[name] for name in key}).drop_duplicates().set_index(key)
    for (metric, unit), mine in board.groupby(["metric", "unit"], sort=False):
        own = mine.drop_duplicates(key).set_index(key)
        name = metric if unit == SHARE else f"{metric} (raw)"
        for end in ("", "_low", "_high"):
            wide[f"{name}{end}"] = own[f"value{end}"]
    return wide.reset_index()


def entries_and_samples(rows: pd.DataFrame, min_ceiling: float) -> tuple[list[dict[str, Any]], list[ScoreSample]]:
    """Return the row of each network of one set, without band and rank, and the sample of its mean over sites."""
    selection = "nested" if (rows.chosen == "nested").any() else "naive"
    whole = rows[rows.stimuli == "all"]
    if whole.ceiling.notna().any():
        whole = whole[whole.ceiling >= min_ceiling]
    groups = sorted(set(rows.stimuli) - {"all"})
    entries: list[dict[str, Any]] = []
    samples: list[ScoreSample] = []
    for key, mine in whole.groupby([*_KEY, "task"], sort=False, dropna=False):
        own = mine[mine.chosen == selection].sort_values("site")
        if own.empty:
            continue
        sample = ScoreSample.mean([ScoreSample.of_row(row) for row in own.to_dict("records")])
        low, high = sample.interval()
        naive = mine[mine.chosen == "naive"]
        has_ceiling = bool(own.ceiled.notna().all())
        ranked = dict(zip(("", "_low", "_high"), (sample.value, low, high), strict=True))
        same = rows[(rows.task == own.task.iloc[0]) & rows.site.isin(own.site) & (rows.chosen == selection)]
        within = {group: same[same.stimuli == group].score.mean() for group in groups}
        entries.append(
            {
                **dict(zip(_KEY, key[:-1], strict=True)),
                "treatment": treatment_of(own.iloc[0]),
                "setting": own.setting.iloc[0],
                **{f"value{end}": number for end, number in ranked.items()},
                "unit": SHARE if has_ceiling else RAW_SCORE,
                **{f"ceiled{end}": number if has_ceiling else np.nan for end, number in ranked.items()},
                **{f"score{end}": np.nan if has_ceiling else number for end, number in ranked.items()},
                "score": own.score.mean(),
                "naive": naive.ceiled.mean() if len(naive) and has_ceiling else np.nan,
                "naive_score": naive.score.mean() if len(naive) else np.nan,
                "optimism": own.optimism.mean(),
                "plain": own.plain.mean(),
                "chance": own.chance.mean(),
                **{f"within {group}": value for group, value in within.items()},
                "p_max": own.p_value.max(),
                "n_sites": own.site.nunique(),
                "n_sites_all": rows.site.nunique(),
                "selection": selection,
                "top_probability": np.nan,
                "layers": ", ".join(
                    f"{site}: {layer}" + (f" | {other}" if other and other != layer else "")
                    for site, layer, other in zip(own.site, own.layer, own.other_layer.fillna(""), strict=True)
                ),
                "over": own.over.iloc[0],
                "task": own.task.iloc[0],
            }
        )
        samples.append(sample)
    return entries, samples


def _board(rows: pd.DataFrame, min_ceiling: float) -> pd.DataFrame:
    """Rank the networks of one set of comparable results."""
    entries, samples = entries_and_samples(rows, min_ceiling)
    board = pd.DataFrame(entries)
    if board.empty:
        return board
    board.insert(0, "band", rank_bands(board.value.to_numpy(), lambda i, j: (samples[i] - samples[j]).interval()))
    paired = [sample.draws if sample.both is None else sample.over_both() for sample in samples]
    board["top_probability"] = top_probability(np.stack(paired, axis=1), 1)
    return board.sort_values(["value"], ascending=False, kind="stable")
