"""Does the depth of the best layer follow the order of cortical areas?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from murine.errors import MurineError
from murine.statistics.order_test import MIN_GROUPS, order_test

#: What results have in common that are tested together.
_KEY = ["cortex", "metric", "treatment", "setting", "role"]

#: Columns of the table, with their meaning.
COLUMNS = {
    "cortex": "Name of the data set.",
    "metric": "Metric.",
    "treatment": "How neurons and features were treated.",
    "setting": "What else tells results of one data set apart; empty where nothing does.",
    "role": "trained, random, control or as built: what the networks are.",
    "n_networks": "Number of networks.",
    "n_areas": "Number of areas.",
    "depths": "Mean relative depth of the chosen layer of each area, in the order that is tested.",
    "order_rho": "Spearman's correlation of the depth with the order of areas.",
    "order_p": "One-sided p: share of all orders of the areas with at least this correlation.",
}


def depth_order(table: pd.DataFrame, areas: Sequence[str]) -> pd.DataFrame:
    """Test whether the depth of the best layer rises along an order of areas.

    The depth of an area is the mean over networks, and over sites of the area where it has several (as layers of
    cortex). Areas are exchanged for p (`murine.statistics.order_test.order_test`), since all networks are scored
    against the same areas.

    Parameters
    ----------
    table
        `murine.atlas.scores.Scores.table`: a row for each network, metric, treatment and site, with ``depth``. A site
        belongs to the area that its name starts with.
    areas
        Names of areas from the first to the last. Areas of which no site has a score are left out.

    Returns
    -------
    table
        A row for each set of comparable results and each role of networks, with the columns that `COLUMNS` describes.
        Controls, which have a single layer, are left out.

    Raises
    ------
    MurineError
        If fewer than three of the areas have a score.

    Examples
    --------
    >>> import murine
    >>> scores = murine.compare(["resnet10t@random:0"], input_size=32, n_bootstraps=10, n_permutations=0)
    >>> depth_order(scores.table, ["SIMp", "SIMl", "SIMam"])[["role", "n_networks", "n_areas"]].values.tolist()
    [['random', 1, 3]]
    """
    places = {area: i for i, area in enumerate(areas)}
    rows = table.assign(area=[re.split(r"[ ,]", site)[0] for site in table.site])
    rows = rows[rows.area.isin(places) & rows.depth.notna() & (rows.role != "control")]
    found: list[dict[str, Any]] = []
    for key, own in rows.groupby(_KEY, sort=False):
        depths = own.groupby("area").depth.mean()
        depths = depths.loc[sorted(depths.index, key=places.__getitem__)]
        if len(depths) < MIN_GROUPS:
            continue
        test = order_test(depths.tolist())
        found.append(
            {
                **dict(zip(_KEY, key, strict=True)),
                "n_networks": len(own[["network", "weights", "input_size"]].drop_duplicates()),
                "n_areas": len(depths),
                "depths": ", ".join(f"{area} {depth:.2f}" for area, depth in depths.items()),
                "order_rho": test.rho,
                "order_p": test.p,
            }
        )
    if not found:
        raise MurineError(
            f"fewer than {MIN_GROUPS} of the areas {', '.join(areas)} have a score; an order has no test."
        )
    return pd.DataFrame(found, columns=list(COLUMNS))
