"""Agreement of metrics: correlations, over networks, between the scores by two metrics."""

from __future__ import annotations

from collections.abc import Collection
from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import rankdata

from murine.atlas.leaderboard import MIN_CEILING, leaderboards
from murine.atlas.store import Atlas
from murine.errors import MurineError
from murine.statistics.bootstrap import percentile_interval

#: Fewest networks for a correlation.
MIN_NETWORKS = 4

#: Columns that identify one network and one cortex in a leaderboard, for every metric.
_NETWORK = ["network", "weights", "input_size", "network_digest"]


def agreement(
    atlas: Atlas,
    *,
    cortex: str | None = None,
    tasks: Collection[str] | None = None,
    min_ceiling: float = MIN_CEILING,
    n_bootstraps: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Correlate, over networks, the scores of every two metrics.

    Scores are those of `leaderboards`: means over sites, with layers chosen on other stimuli. Intervals are over
    networks and stimuli: each draw resamples networks with replacement, and takes their scores for one bootstrap sample
    of stimuli, which is the same for all metrics. Networks are treated as independent. Twins, and sizes of one
    architecture, are not independent, so intervals are somewhat too narrow.

    Parameters
    ----------
    cortex, tasks, min_ceiling
        As in `leaderboards`.
    n_bootstraps, seed
        Of the samples of networks.

    Returns
    -------
    table
        One row per cortex, treatment, setting and pair of metrics: ``cortex, treatment, setting, metric,
        other_metric, n_networks``, ``r, r_low, r_high`` (Pearson) and ``rho, rho_low, rho_high`` (Spearman) with 95 %
        intervals.

    Raises
    ------
    MurineError
        If no two metrics have four networks in common.
    """
    board = leaderboards(atlas, cortex=cortex, tasks=tasks, min_ceiling=min_ceiling)
    rows = atlas.query("SELECT task, site, chosen, ceiling, draws FROM scores WHERE chosen <> '' AND stimuli = 'all'")
    table = []
    for (name, treatment, setting), mine in board.groupby(["cortex", "treatment", "setting"], sort=True):
        scores: dict[str, pd.DataFrame] = {
            str(metric): part.drop_duplicates(_NETWORK).set_index(_NETWORK) for metric, part in mine.groupby("metric")
        }
        for metric, other in combinations(scores, 2):
            shared = scores[metric].index.intersection(scores[other].index, sort=False)
            if len(shared) < MIN_NETWORKS:
                continue
            values, samples = [], []
            for chosen in (scores[metric].loc[shared], scores[other].loc[shared]):
                values.append(chosen.value.to_numpy())
                samples.append(_draws(rows, chosen, min_ceiling))
            row = {
                "cortex": name,
                "treatment": treatment,
                "setting": setting,
                "metric": metric,
                "other_metric": other,
                "n_networks": len(shared),
            }
            table.append(row | _correlations(values, samples, n_bootstraps, seed))
    if not table:
        raise MurineError(
            f"no two metrics have scores of {MIN_NETWORKS} networks in common; score more networks with "
            "--metric several times."
        )
    return pd.DataFrame(table)


def _draws(rows: pd.DataFrame, board: pd.DataFrame, min_ceiling: float) -> Float[np.ndarray, "n_draws n_networks"]:
    """Draws of the mean over the sites that count, for each network of a board."""
    found = []
    for task, selection in zip(board.task, board.selection, strict=True):
        mine = rows[(rows.task == task) & (rows.chosen == selection)]
        if mine.ceiling.notna().any():
            mine = mine[mine.ceiling >= min_ceiling]
        found.append(np.mean(np.stack(list(mine.draws)), axis=0))
    return np.stack(found, axis=1)


def _correlations(
    values: list[Float[np.ndarray, " n_networks"]],
    samples: list[Float[np.ndarray, "n_draws n_networks"]],
    n_bootstraps: int,
    seed: int,
) -> dict[str, float]:
    n = len(values[0])
    generator = np.random.default_rng([seed, n])
    networks = generator.integers(n, size=(n_bootstraps, n))
    stimuli = np.arange(n_bootstraps) % min(len(sample) for sample in samples)
    drawn = [np.take_along_axis(sample[stimuli], networks, axis=1) for sample in samples]
    row: dict[str, float] = {}
    for name, transform in (("r", np.asarray), ("rho", lambda x: rankdata(x, axis=-1))):
        low, high = percentile_interval(_pearson(*(transform(x) for x in drawn))[:, None])
        value = _pearson(*(transform(x[None]) for x in values))[0]
        row |= {name: float(value), f"{name}_low": float(low[0]), f"{name}_high": float(high[0])}
    return row


def _pearson(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = (x - x.mean(axis=-1, keepdims=True) for x in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((a * b).sum(axis=-1) / np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1)))
