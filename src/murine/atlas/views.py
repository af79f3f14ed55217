"""Views of an atlas: the tables that `murine results` prints."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from typing import NamedTuple

import pandas as pd

from murine.atlas.leaderboard import across_metrics, described, leaderboards, only
from murine.atlas.store import Atlas
from murine.atlas.tables import DRAWS
from murine.errors import MurineError, nearest, some


class View(NamedTuple):
    """A table with the columns to show and their headings; None for the default columns."""

    table: pd.DataFrame
    headings: Mapping[str, str] | None = None


def read_view(
    atlas: Atlas,
    view: str = "leaderboard",
    *,
    cortex: str | None = None,
    metric: str | None = None,
    network: str | None = None,
    site: str | None = None,
    layer: str | None = None,
) -> View:
    """Read one of the tables of an atlas.

    Parameters
    ----------
    view
        ``leaderboard``; ``sites``: the chosen layers of every site; ``layers``: every layer; ``metrics``: a row for
        each network, a column for each metric; ``agreement``: correlations over networks between the scores by two
        metrics; ``treatments``: trained minus random networks under every treatment; ``failures``: networks that could
        not be scored, and why.
    cortex, metric
        Only results against this data set, or by this metric.
    network, site, layer
        Only rows whose value matches; wildcards are allowed.

    Raises
    ------
    MurineError
        If there is no such view, there are no such results, or the view has no such column.

    Examples
    --------
    >>> import murine
    >>> scores = murine.score("pixels", "simulated", n_bootstraps=20, n_permutations=20, atlas="results")
    >>> view = read_view(Atlas("results"), "sites", site="SIM[lp]", network="pix*")
    >>> sorted(set(view.table.site))
    ['SIMl', 'SIMp']
    """
    if view not in _VIEWS:
        raise MurineError(f"there is no view {view!r}{nearest(view, _VIEWS) or '.'} Known: {', '.join(_VIEWS)}.")
    found = _VIEWS[view](atlas, cortex, metric)
    return found._replace(table=matching(found.table, {"network": network, "site": site, "layer": layer}))


def matching(table: pd.DataFrame, patterns: Mapping[str, str | None]) -> pd.DataFrame:
    """Return the rows whose columns match patterns with wildcards; None matches everything.

    Raises
    ------
    MurineError
        If a column does not exist, or no row matches.
    """
    for column, pattern in patterns.items():
        if pattern is None:
            continue
        if column not in table:
            raise MurineError(f"this view has no column {column!r}; `--view sites` or `--view layers` has.")
        found = table[[fnmatch.fnmatch(str(value), pattern) for value in table[column]]]
        if found.empty and len(table):
            known = sorted({str(value) for value in table[column]})
            near = nearest(pattern, known) or "."
            raise MurineError(f"no result has {column} {pattern!r}{near} There are: {some(known)}.")
        table = found
    return table


def ordered(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Sort by a column; ``-COLUMN`` for descending order.

    Raises
    ------
    MurineError
        If there is no such column.
    """
    name = column.removeprefix("-")
    if name not in table:
        raise MurineError(f"there is no column {name!r}; columns are {', '.join(table.columns)}.")
    return table.sort_values(name, ascending=not column.startswith("-"), kind="stable")


def _leaderboard(atlas: Atlas, cortex: str | None, metric: str | None) -> View:
    return View(leaderboards(atlas, cortex=cortex, metric=metric))


def _sites(atlas: Atlas, cortex: str | None, metric: str | None) -> View:
    # A site without a chosen layer is not left out: one of its rows says why there is none.
    condition = (
        "chosen <> '' OR starts_with(site_flag, flag) AND flag <> '' QUALIFY chosen <> '' OR "
        "row_number() OVER (PARTITION BY task, site, stimuli, chosen ORDER BY layer_index) = 1"
    )
    return _rows(atlas, condition, cortex, metric)


def _layers(atlas: Atlas, cortex: str | None, metric: str | None) -> View:
    return _rows(atlas, "split = 'all'", cortex, metric)


def _rows(atlas: Atlas, condition: str, cortex: str | None, metric: str | None) -> View:
    """Return rows of scores without their draws."""
    sql = f"SELECT * EXCLUDE ({', '.join(DRAWS)}) FROM scores WHERE {condition} ORDER BY network, site, layer_index"
    return View(described(atlas, only(atlas.query(sql), cortex=cortex, metric=metric)))


def _metrics(atlas: Atlas, cortex: str | None, metric: str | None) -> View:
    table = across_metrics(leaderboards(atlas, cortex=cortex, metric=metric))
    return View(table, {name: name for name in table if not name.endswith(("_low", "_high"))})


def _treatments(atlas: Atlas, cortex: str | None, metric: str | None) -> View:
    from murine.atlas.trained_against_random import trained_minus_random

    table = trained_minus_random(atlas, cortex=cortex, metric=metric)
    return View(table, {c: c.replace("_", " ") for c in table if not c.endswith(("_low", "_high"))})


def _agreement(atlas: Atlas, cortex: str | None, metric: str | None) -> View:
    from murine.atlas.agreement import agreement

    table = agreement(atlas, cortex=cortex)
    if metric is not None:
        table = table[(table.metric == metric) | (table.other_metric == metric)]
    headings = {
        "cortex": "cortex",
        "treatment": "treatment",
        "setting": "setting",
        "metric": "metric",
        "other_metric": "other metric",
        "n_networks": "networks",
        "r": "r [95 %]",
        "rho": "Spearman's rho [95 %]",
    }
    return View(table, headings)


def _failures(atlas: Atlas, cortex: str | None, metric: str | None) -> View:
    names = ("work", "network", "weights", "cortex", "reason", "time")
    return View(atlas.failures(), {name: name.replace("_", " ") for name in names})


#: Names of views, and what reads them.
_VIEWS: dict[str, Callable[[Atlas, str | None, str | None], View]] = {
    "leaderboard": _leaderboard,
    "sites": _sites,
    "layers": _layers,
    "metrics": _metrics,
    "agreement": _agreement,
    "treatments": _treatments,
    "failures": _failures,
}

#: Names of views, in the order of help texts.
VIEWS = tuple(_VIEWS)
