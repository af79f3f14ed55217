"""Contrasts: the difference between two groups of networks that differ in one factor, with paired intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from murine.atlas.leaderboard import BLANKS, MIN_CEILING, RAW_SCORE, SHARE, comparable_sets, treatment_of
from murine.atlas.trained_against_random import ALL_SITES, SIGN_DEPENDS, sign_depends
from murine.errors import MurineError
from murine.networks.sources.source import full_name
from murine.networks.spec import NetworkSpec, is_user_file
from murine.scoring.score_sample import ScoreSample

#: Columns of the table of contrasts, in order, with their meaning.
COLUMNS = {
    "cortex": "Name of the data set.",
    "metric": "Metric.",
    "treatment": "How neurons and features were treated.",
    "setting": "What else tells results of one data set apart; empty where nothing does.",
    "factor": "What differs between the two sides.",
    "contrast": "What is compared, first - second.",
    "site": "Site, or all sites for their mean.",
    "first": "Networks of the first side.",
    "second": "Networks of the second side.",
    "difference": "Mean score of the first side minus that of the second; empty where a network has no score.",
    "low": "Lower end of the 95 % interval of the difference, over new stimuli.",
    "high": "Upper end of the 95 % interval of the difference, over new stimuli.",
    "n_first": "Number of networks of the first side.",
    "n_second": "Number of networks of the second side.",
    "unit": "share of the ceiling, or raw score where there is no ceiling.",
    "note": "What to keep in mind; empty where there is nothing.",
}


@dataclass(frozen=True)
class Side:
    """One side of a contrast: networks whose mean score is compared.

    Attributes
    ----------
    networks
        Names as in `murine.networks.spec.NetworkSpec.parse`. A name without weights stands for every trained network of
        this name.
    input_size
        Height and width of the images, for example ``64x64``; '' for any size (the results must then have only one
        size).
    """

    networks: tuple[str, ...]
    input_size: str = ""

    def __str__(self) -> str:
        size = f" at {self.input_size} px" if self.input_size else ""
        names = self.networks[0] if len(self.networks) == 1 else f"mean of {len(self.networks)}: {self.networks[0]} ..."
        return f"{names}{size}"


@dataclass(frozen=True)
class Contrast:
    """Two sides that differ in one factor.

    Attributes
    ----------
    factor
        The factor that differs, for example ``training`` or ``task``.
    name
        The comparison in words.
    first, second
        The difference is the mean of the first minus the mean of the second.
    note
        Other differences between the two sides, in one sentence; '' if there are none.
    """

    factor: str
    name: str
    first: Side
    second: Side
    note: str = ""


def contrast_table(rows: pd.DataFrame, contrasts: Iterable[Contrast], min_ceiling: float = MIN_CEILING) -> pd.DataFrame:
    """Compare the sides of contrasts, by site and over all sites.

    Scores are those of a leaderboard: shares of the ceiling where there is one, with layers chosen on other images
    where there are such scores. Draws are paired: every network saw the same bootstrap samples of images.

    Parameters
    ----------
    rows
        Rows of scores with draws and the columns of `murine.atlas.leaderboard.described`.
    contrasts
        What is compared.
    min_ceiling
        Sites with a lower ceiling are left out. Sites without a ceiling have rows of raw scores, and count in the mean
        over sites where no site has a ceiling.

    Returns
    -------
    table
        A row for each set of comparable results, contrast and site (`ALL_SITES` for their mean). ``difference, low,
        high``: first minus second with its 95 % interval over new stimuli; NaN where a network of a side has no score,
        and ``note`` says which. ``unit`` is ``share of the ceiling`` or ``raw score``.

    Raises
    ------
    MurineError
        If there are no rows.
    """
    if rows.empty:
        raise MurineError("there are no scores to contrast.")
    asked = list(contrasts)  # every set of results is asked for all of them
    found: list[dict[str, Any]] = []
    for board in comparable_sets(rows.fillna(BLANKS)):
        samples = _samples(board, min_ceiling)
        about = {
            **{name: board[name].iloc[0] for name in ("cortex", "metric", "setting")},
            "treatment": treatment_of(board.iloc[0]),
        }
        ceilings = board[board.stimuli == "all"].groupby("site").ceiling.max()
        units = {site: SHARE if np.isfinite(ceiling) else RAW_SCORE for site, ceiling in ceilings.items()}
        units[ALL_SITES] = SHARE if SHARE in units.values() else RAW_SCORE
        for contrast in asked:
            own = _contrast_rows(contrast, samples)
            found += [{**about, **row, "unit": units[row["site"]]} for row in own]
    return pd.DataFrame(found, columns=list(COLUMNS))


def spread(rows: pd.DataFrame, networks: Side, min_ceiling: float = MIN_CEILING) -> pd.DataFrame:
    """Return how much the scores of equivalent networks differ: the standard deviation over seeds or trainings.

    Parameters
    ----------
    rows, min_ceiling
        As in `contrast_table`.
    networks
        Networks that differ only by chance: random twins, or several trainings.

    Returns
    -------
    table
        A row for each set of comparable results: ``cortex, metric, treatment, setting, networks, spread, n_networks``.
        ``spread`` is the standard deviation (n - 1) of the mean over sites; NaN with fewer than two networks.

    Raises
    ------
    MurineError
        If there are no rows.
    """
    if rows.empty:
        raise MurineError("there are no scores to contrast.")
    found = []
    for board in comparable_sets(rows.fillna(BLANKS)):
        samples = _samples(board, min_ceiling)
        known, _ = _members(networks, samples)
        values = [samples[key][ALL_SITES].value for key in known if ALL_SITES in samples[key]]
        found.append(
            {
                **{name: board[name].iloc[0] for name in ("cortex", "metric")},
                "treatment": treatment_of(board.iloc[0]),
                "setting": board.setting.iloc[0],
                "networks": str(networks),
                "spread": float(np.std(values, ddof=1)) if len(values) > 1 else np.nan,
                "n_networks": len(values),
            }
        )
    return pd.DataFrame(found)


def sign_changes(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of contrasts with a note where two treatments differ in sign and one interval excludes zero.

    Parameters
    ----------
    table
        What `contrast_table` returns.
    """
    key = ["cortex", "metric", "setting", "factor", "contrast", "site"]
    noted = table.copy()
    for _, own in table.groupby(key, sort=False):
        if sign_depends(list(own[["difference", "low", "high"]].itertuples(index=False, name=None))):
            noted.loc[own.index, "note"] = [f"{note} {SIGN_DEPENDS}".strip() for note in own.note]
    return noted


_Key = tuple[str, str, str]  # network, weights, input size


def _samples(board: pd.DataFrame, min_ceiling: float) -> dict[_Key, dict[str, ScoreSample]]:
    """Return the sample of each network at each site, and of their mean."""
    whole = board[board.stimuli == "all"]
    selection = "nested" if (whole.chosen == "nested").any() else "naive"
    chosen = whole[(whole.chosen == selection) & ~(whole.ceiling < min_ceiling)].sort_values("site", kind="stable")
    has_ceiling = chosen.ceiling.notna()
    counted = set(chosen.site[has_ceiling] if has_ceiling.any() else chosen.site)
    found: dict[_Key, dict[str, ScoreSample]] = {}
    for row in chosen.to_dict("records"):
        own = found.setdefault((row["network"], row["weights"], row["input_size"]), {})
        own[row["site"]] = ScoreSample.of_row(row)
    for sites in found.values():
        if own_counted := [sample for site, sample in sites.items() if site in counted]:
            sites[ALL_SITES] = ScoreSample.mean(own_counted)
    return found


def _members(side: Side, samples: Mapping[_Key, object]) -> tuple[list[_Key], list[str]]:
    """Return the networks of a side that have scores, and the names of those that have none."""
    known: list[_Key] = []
    missing: list[str] = []
    for text in side.networks:
        spec = NetworkSpec.parse(text)
        name = NetworkSpec(_name_in_rows(spec.name), "", spec.variant).full_name
        own = [
            key
            for key in samples
            if key[0] == name and side.input_size in ("", key[2]) and _has_weights(key[1], spec.weights)
        ]
        known += own
        missing += [] if own else [text]
    return known, missing


def _name_in_rows(name: str) -> str:
    """Rows name a user's file without its folder."""
    return Path(name).name if is_user_file(name) else full_name(name)


def _has_weights(weights: str, asked: str) -> bool:
    if asked:
        return weights == asked or (weights.startswith(f"{asked}:") and asked == "pretrained")
    return not weights.startswith("random:")


def _contrast_rows(contrast: Contrast, samples: Mapping[_Key, Mapping[str, ScoreSample]]) -> Iterable[dict[str, Any]]:
    (first, lacking), (second, also) = (_members(side, samples) for side in (contrast.first, contrast.second))
    about = {
        "factor": contrast.factor,
        "contrast": contrast.name,
        "first": str(contrast.first),
        "second": str(contrast.second),
        "n_first": len(first),
        "n_second": len(second),
    }
    if missing := [*lacking, *also]:
        nothing = {"site": ALL_SITES, "difference": np.nan, "low": np.nan, "high": np.nan}
        yield {**about, **nothing, "note": f"no score of {', '.join(missing)}"}
        return
    every: Sequence[Mapping[str, ScoreSample]] = [samples[key] for key in (*first, *second)]
    for site in every[0]:
        if any(site not in own for own in every):
            continue
        sides = [ScoreSample.mean([samples[key][site] for key in keys]) for keys in (first, second)]
        difference = sides[0] - sides[1]
        low, high = difference.interval()
        yield {**about, "site": site, "difference": difference.value, "low": low, "high": high, "note": contrast.note}
