"""Differences between trained and random networks for every treatment of neurons and features."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from murine.atlas.comparability import SETTINGS, TREATMENT, add_setting
from murine.atlas.leaderboard import BLANKS, MIN_CEILING, only
from murine.atlas.store import Atlas
from murine.errors import MurineError
from murine.scoring.score_sample import ScoreSample
from murine.scoring.treatments import CHOICES, Treatment

#: In the column ``site`` of the mean over sites.
ALL_SITES = "all sites"

#: In the column ``network`` of the mean over networks.
ALL_NETWORKS = "all networks"

#: Columns that must be equal in scores that are compared across treatments.
_SHARED = ["cortex", "metric", "input_size", "setting", *SETTINGS]

#: In the column ``note`` where the sign of a difference depends on the treatment.
SIGN_DEPENDS = "the sign depends on the treatment"


def trained_minus_random(
    atlas: Atlas, *, cortex: str | None = None, metric: str | None = None, min_ceiling: float = MIN_CEILING
) -> pd.DataFrame:
    """Return the scores of trained minus random networks of the same architecture, for every treatment.

    Scores are those of a leaderboard (`murine.atlas.leaderboard.leaderboards`), paired over the same stimuli. With
    several random networks of an architecture, their mean is subtracted.

    Parameters
    ----------
    cortex, metric
        Only these.
    min_ceiling
        Sites with a lower ceiling have rows, but no part in means over sites.

    Returns
    -------
    table
        One row per ``cortex, metric, input_size, setting, network, site``; ``site`` is `ALL_SITES` for the mean over
        sites, ``network`` is `ALL_NETWORKS` for the mean over networks. For every treatment in the atlas a column named
        by its words (``both as they are``) with the difference, and the same with ``_low`` and ``_high``: the 95 %
        interval over new stimuli. NaN where the treatment was not computed. ``note`` is `SIGN_DEPENDS` where two
        treatments differ in sign and the interval of one of them excludes zero, else ''.

    Raises
    ------
    MurineError
        If no result has the cortex or the metric, or no trained network has a random network of the same architecture
        beside it.

    Examples
    --------
    >>> import murine
    >>> from torch import nn
    >>> about = {"name": "net", "mean": 0.5, "std": 0.25, "input_size": 16}
    >>> pair = [
    ...     murine.load_network(nn.Conv2d(3, 8, 5, stride=2), weights=weights, **about)
    ...     for weights in ("my training", "random:0")
    ... ]
    >>> scores = murine.compare(pair, controls=False, n_bootstraps=20, atlas="results")
    >>> table = trained_minus_random(Atlas("results"))
    >>> table.site.tolist()
    ['SIMam', 'SIMl', 'SIMp', 'all sites']
    >>> "both as they are" in table
    True
    """
    rows = atlas.query("SELECT * FROM scores WHERE chosen <> '' AND stimuli = 'all'")
    rows = add_setting(atlas, only(rows.fillna(BLANKS), cortex=cortex, metric=metric))
    found: dict[tuple[Any, ...], dict[str, ScoreSample]] = {}
    for shared, own in rows.groupby([*_SHARED, *TREATMENT], sort=True):
        *_, neurons, features = shared
        if not neurons:
            continue  # rows from before treatments were recorded
        words = Treatment(neurons, features).words
        for key, difference in _differences(own, min_ceiling):
            found.setdefault((*shared[: len(_SHARED)], *key), {})[words] = difference
    if not found:
        raise MurineError(
            "no trained network has a random network of the same architecture beside it; `murine score NETWORK "
            "--twins 1 --normalise both` makes both."
        )
    order = [treatment.words for treatment in CHOICES["all"]]
    present = [words for words in order if any(words in samples for samples in found.values())]
    return pd.DataFrame([_row(key, samples, present) for key, samples in found.items()])


def _differences(rows: pd.DataFrame, min_ceiling: float) -> Iterable[tuple[tuple[str, str], ScoreSample]]:
    """Network and site, with the difference; then means."""
    selection = "nested" if (rows.chosen == "nested").any() else "naive"
    rows = rows[rows.chosen == selection].drop_duplicates(["network", "weights", "role", "site"])
    every: dict[str, list[ScoreSample]] = {}
    for network, own in rows.groupby("network", sort=True):
        trained, random = own[own.role == "trained"], own[own.role == "random"]
        for weights in sorted(set(trained.weights)):
            first = trained[trained.weights == weights].set_index("site")
            counted = []
            for site in first.index:
                twins = random[random.site == site]
                if twins.empty:
                    continue
                trained_score = ScoreSample.of_row(first.loc[site].to_dict())
                difference = trained_score - ScoreSample.mean(
                    [ScoreSample.of_row(row) for row in twins.to_dict("records")]
                )
                every.setdefault(site, []).append(difference)
                yield (network, site), difference
                if not first.ceiling.notna().any() or first.ceiling[site] >= min_ceiling:
                    counted.append(difference)
            if len(counted) > 1:
                mean = ScoreSample.mean(counted)
                every.setdefault(ALL_SITES, []).append(mean)
                yield (network, ALL_SITES), mean
    for site, differences in every.items():
        if len(differences) > 1:
            yield (ALL_NETWORKS, site), ScoreSample.mean(differences)


def _row(key: tuple[Any, ...], samples: dict[str, ScoreSample], present: list[str]) -> dict[str, Any]:
    about = dict(zip([*_SHARED, "network", "site"], key, strict=True))
    numbers: dict[str, float] = {}
    ends = []
    for words in present:
        value, low, high = np.nan, np.nan, np.nan
        if words in samples:
            value, (low, high) = samples[words].value, samples[words].interval()
            ends.append((value, low, high))
        numbers |= {words: value, f"{words}_low": low, f"{words}_high": high}
    return {
        **{name: about[name] for name in ("cortex", "metric", "input_size", "setting", "network", "site")},
        **numbers,
        "note": SIGN_DEPENDS if sign_depends(ends) else "",
    }


def sign_depends(found: list[tuple[float, float, float]]) -> bool:
    """Return whether two values differ in sign and the interval of one of them excludes zero.

    Parameters
    ----------
    found
        Value, low and high of each treatment.
    """
    signs = {np.sign(value) for value, *_ in found if np.isfinite(value) and value != 0}
    return len(signs) == 2 and any(low > 0 or high < 0 for _, low, high in found)
