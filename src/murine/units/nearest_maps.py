"""Map errors of single neurons in the layer nearest to their site, and how a change of the network moves them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from murine.errors import MurineError
from murine.statistics.bootstrap import percentile_interval
from murine.units.maps import rmse_scale
from murine.units.site_tables import nearest_layer


def neuron_map_errors(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Return the RMSE of each neuron to its nearest unit, in the layer that is nearest to the neuron's site.

    Parameters
    ----------
    rows
        Rows of `murine.units.layer_maps.map_layers` of one or more networks and one size of maps, with labels of
        neurons.
    by
        Columns that define sites; neurons with an empty label are left out.

    Returns
    -------
    errors
        A row for each network and neuron: ``network, weights, neuroid_id``, the columns of ``by``, ``layer``, ``rmse``
        and ``rmse_shuffled`` (with the stimuli of the responses shuffled, in the layer that is nearest to those).
        Both are times side / 11 for maps of unit length, as `murine.units.maps.rmse_scale` explains. Neurons without
        a map are left out.

    Raises
    ------
    MurineError
        If there are several sizes of maps, or no neuron has a map.
    """
    found = rows[rows.rmse_best.notna() & (rows[list(by)] != "").all(axis=1)]
    if found.empty:
        raise MurineError("no neuron has a map: there is nothing to compare.")
    if found.side.nunique() > 1:
        raise MurineError(f"there are maps of several sizes: {', '.join(map(str, sorted(set(found.side))))}.")
    scale = rmse_scale(int(found.side.iloc[0]), str(found.normalisation.iloc[0]))
    parts = []
    for _, site in found.groupby(["network", "weights", *by], sort=False):
        layer = nearest_layer(site)
        own = site[site.layer == layer].set_index("neuroid_id")
        chance = site[site.layer == nearest_layer(site, "_shuffled")].set_index("neuroid_id")
        parts.append(
            own[["network", "weights", *by, "layer"]]
            .assign(rmse=scale * own.rmse_best, rmse_shuffled=scale * chance.rmse_best_shuffled)
            .reset_index()
        )
    return pd.concat(parts, ignore_index=True)


def map_error_differences(
    before: pd.DataFrame, after: pd.DataFrame, by: Sequence[str], *, n_bootstraps: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Compare the map errors of the same neurons before and after a change of the networks.

    Parameters
    ----------
    before, after
        Tables of `neuron_map_errors`. The networks of both are paired in their order; the errors of a neuron are
        averaged over networks.
    by
        Columns that define sites.
    n_bootstraps, seed
        Samples of neurons for the intervals.

    Returns
    -------
    table
        A row for each site: the columns of ``by``, ``before, after`` (means over neurons), ``difference`` (after -
        before; below zero: the change brings units nearer) with its 95 % interval ``low, high`` over new neurons,
        ``n_neuroids`` and ``n_networks``. An interval of one neuron is NaN.

    Raises
    ------
    MurineError
        If both have no neuron in common.
    """
    key = ["neuroid_id", *by]
    means = [table.groupby(key, sort=False).rmse.mean() for table in (before, after)]
    paired = pd.concat(dict(zip(("before", "after"), means, strict=True)), axis=1, join="inner").reset_index()
    if paired.empty:
        raise MurineError("the networks before and after have no neuron in common.")
    rng = np.random.default_rng(seed)
    found = []
    for site, own in paired.groupby(list(by), sort=True):
        difference = (own.after - own.before).to_numpy()
        drawn = rng.integers(0, len(difference), (n_bootstraps, len(difference)))
        low, high = percentile_interval(difference[drawn].mean(axis=1)[:, None])
        alone = len(difference) < 2
        found.append(
            {
                **dict(zip(by, site, strict=True)),
                "before": own.before.mean(),
                "after": own.after.mean(),
                "difference": difference.mean(),
                "low": np.nan if alone else float(low[0]),
                "high": np.nan if alone else float(high[0]),
                "n_neuroids": len(difference),
                "n_networks": before[["network", "weights"]].drop_duplicates().shape[0],
            }
        )
    return pd.DataFrame(found)


def map_error_contrast(
    errors: pd.DataFrame, by: str, first: str, second: str, *, n_bootstraps: int = 1000, seed: int = 0
) -> dict[str, float | int]:
    """Compare the map errors of two groups of neurons, as excitatory with inhibitory ones.

    Parameters
    ----------
    errors
        What `neuron_map_errors` returns for sites of ``by``; the errors of a neuron are averaged over networks.
    by
        The column of groups, as ``cell_class``.
    first, second
        The two groups.
    n_bootstraps, seed
        Samples of neurons, drawn from each group by itself.

    Returns
    -------
    row
        ``difference``: mean RMSE of the first group minus that of the second; below zero, the first is nearer. ``low,
        high``: its 95 % interval over new neurons of both groups, of the same stimuli and networks. ``n_first,
        n_second``: numbers of neurons.

    Raises
    ------
    MurineError
        If a group has fewer than two neurons.

    Examples
    --------
    >>> errors = pd.DataFrame({"neuroid_id": list("abcd"), "cell_class": ["e", "e", "i", "i"], "rmse": [1, 2, 4, 5]})
    >>> map_error_contrast(errors, "cell_class", "e", "i")["difference"]
    -3.0
    """
    means = errors.groupby([by, "neuroid_id"], sort=True).rmse.mean()
    samples = [means[means.index.get_level_values(by) == group].to_numpy(np.float64) for group in (first, second)]
    for group, sample in zip((first, second), samples, strict=True):
        if len(sample) < 2:
            raise MurineError(f"{len(sample)} neurons have {by} {group!r}; at least 2 are needed to compare groups.")
    rng = np.random.default_rng(seed)
    drawn = [sample[rng.integers(0, len(sample), (n_bootstraps, len(sample)))].mean(axis=1) for sample in samples]
    low, high = percentile_interval((drawn[0] - drawn[1])[:, None])
    return {
        "difference": float(samples[0].mean() - samples[1].mean()),
        "low": float(low[0]),
        "high": float(high[0]),
        "n_first": len(samples[0]),
        "n_second": len(samples[1]),
    }
