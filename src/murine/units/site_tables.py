"""Tables of sites: means over the neurons of an area, a cell class or another label, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from murine.errors import MurineError, some
from murine.statistics.bootstrap import percentile_interval
from murine.statistics.crossed_bootstrap import check_subjects, neuron_counts
from murine.units.maps import rmse_scale
from murine.units.neuron_rows import NEURON_COLUMNS

#: Columns with settings of the network and of the maps: rows with different settings are summarised apart.
SETTINGS = ("input_size", "side", "unit_maps", "normalisation", "centred")


def summarise_sites(
    rows: pd.DataFrame,
    by: Sequence[str] = ("area",),
    *,
    over: str = "neurons",
    n_bootstraps: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return means over the neurons of each site, with 95 % intervals.

    For correlations (`murine.units.layer_matching.match_layers`), the layer of each neuron is its best layer on odd
    repetitions, and its score is the one on even repetitions. Shuffled neurons select their layers in the same way. For
    maps (`murine.units.layer_maps.map_layers`), the layer of a site is the one with the least mean RMSE of its neurons,
    and for shuffled responses the least of theirs. So chance is selected like the data. Intervals describe other
    neurons (and animals) that see the same stimuli; they do not describe other stimuli.

    Parameters
    ----------
    rows
        Rows of one or more networks.
    by
        Columns that define sites; they must be labels of neurons: ``area``, ``cell_class``, ``cre_line`` and others.
        Neurons with an empty label are left out.
    over
        What the bootstrap draws: ``neurons``, ``animals`` (column ``donor``; neurons without one are left out) or
        ``both``, as in `murine.statistics.crossed_bootstrap.neuron_counts`.
    n_bootstraps, seed
        Number and seed of the bootstrap samples.

    Returns
    -------
    table
        One row per network and site (and size of maps): ``n_neuroids`` with a score, and ``n_animals``. For
        correlations: ``r_test, r_test_shuffled, above_chance`` (their difference), each with ``_low`` and ``_high``;
        ``ceiling`` (mean), ``r_train``, ``layer`` (that most neurons select) and, where known, ``overlap,
        overlap_shuffled`` and ``assigned_r_test, assigned_r_test_shuffled`` (each in the layer where the assigned unit
        of the neuron is best on odd repetitions). For maps: ``rmse_best, rmse_best_shuffled, below_chance``, each with
        ``_low`` and ``_high``; ``rmse_mean, rmse_mean_shuffled, median, layer`` and ``layer_shuffled``. All RMSE are
        multiplied by `murine.units.maps.rmse_scale`, so that sizes of maps can be compared. Intervals over animals are
        NaN where all neurons are from one animal.

    Raises
    ------
    MurineError
        If the rows lack a column, a column is no label of neurons, or no neuron has a score.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame(
    ...     {
    ...         "network": "n", "weights": "w", "layer": "l", "neuroid_id": ["1", "2"],
    ...         "area": "VISp", "donor": ["a", "b"], "ceiling": 0.8, "flag": "",
    ...         "r_train": [0.6, 0.4], "r_test": [0.5, 0.3], "r_train_shuffled": 0.2, "r_test_shuffled": 0.1,
    ...     }
    ... )
    >>> summarise_sites(rows, n_bootstraps=100)[["area", "n_neuroids", "r_test", "above_chance"]]
       area  n_neuroids  r_test  above_chance
    0  VISp           2     0.4           0.3
    """
    check_subjects(over)
    keys = [*(c for c in ("network", "weights", *SETTINGS) if c in rows), *by]
    missing = [key for key in (*by, "donor") if key not in rows]
    if missing or not by:
        raise MurineError(
            f"the rows have no column {', '.join(missing) or '(none given)'}; they have {some(rows, 30)}."
        )
    varying = [key for key in by if rows.groupby("neuroid_id")[key].nunique().gt(1).any()]
    if varying:
        raise MurineError(
            f"{', '.join(varying)} cannot define sites: it differs between the rows of one neuron. Labels of neurons "
            f"are {', '.join(NEURON_COLUMNS)}."
        )
    labels = [*by] if over == "neurons" else [*by, "donor"]
    labelled = rows[(rows[labels].astype(str) != "").all(axis=1)]
    of_correlations = "r_test" in rows
    table = []
    for values, site in labelled.groupby(keys, sort=True, observed=True):
        neurons, columns = _best_matches(site) if of_correlations else _best_maps(site)
        if neurons.empty:
            continue
        names = list(neurons.columns[:3])
        animals = neurons.pop("donor").to_numpy()
        sizes = {"n_neuroids": len(neurons), "n_animals": len({animal for animal in animals if animal})}
        low = high = np.full(len(names), np.nan)
        if over == "neurons" or sizes["n_animals"] > 1:
            counts = neuron_counts(animals, n_bootstraps, seed, over)
            low, high = percentile_interval(
                counts / counts.sum(axis=1, keepdims=True) @ neurons[names].to_numpy(np.float64)
            )
        row: dict[str, Any] = {**dict(zip(keys, values, strict=True)), **sizes, **columns}
        for name, least, most in zip(names, low, high, strict=True):
            row |= {name: neurons[name].mean(), f"{name}_low": float(least), f"{name}_high": float(most)}
        table.append(row)
    if not table:
        raise MurineError(
            f"no neuron has a score and a label {', '.join(labels)}; flags: {some(rows['flag'].unique()) or 'none'}."
        )
    return pd.DataFrame(table)


def _best_matches(site: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the r of each neuron in the layer that is best in the other half, measured and shuffled."""
    best, chance = best_layer_rows(site), best_layer_rows(site, "_shuffled")
    neurons = pd.DataFrame({"r_test": best.r_test, "r_test_shuffled": chance.r_test_shuffled.reindex(best.index)})
    neurons["above_chance"] = neurons.r_test - neurons.r_test_shuffled
    neurons["donor"] = best.donor
    columns = {
        "layer": best.layer.mode().iloc[0] if len(best) else "",
        "r_train": best.r_train.mean(),
        "ceiling": best.ceiling.mean(),
    }
    if "overlap" in site:
        columns |= {"overlap": best.overlap.mean(), "overlap_shuffled": chance.overlap_shuffled.mean()}
    if "assigned_r_test" in site and site.assigned_r_test.notna().any():
        for of in ("", "_shuffled"):
            name = f"assigned_r_test{of}"
            columns[name] = best_layer_rows(site, of, "assigned_r")[name].mean()
    return neurons, columns


def best_layer_rows(rows: pd.DataFrame, of: str = "", score: str = "r") -> pd.DataFrame:
    """Return the rows of the layer in which the training r of each neuron is best, indexed by ``neuroid_id``.

    Parameters
    ----------
    rows
        Rows of one network.
    of
        ``_shuffled`` for the layers that neurons with shuffled stimuli select.
    score
        ``r``: of the best unit; ``assigned_r``: of the unit assigned to the neuron.
    """
    found = rows[rows[f"{score}_test{of}"].notna() & rows[f"{score}_train{of}"].notna()]
    return found.loc[found.groupby("neuroid_id")[f"{score}_train{of}"].idxmax()].set_index("neuroid_id")


def _best_maps(site: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the RMSE of the neurons in the layer that is nearest to them on average, measured and shuffled."""
    found = site[site.rmse_best.notna()]
    if found.empty:
        return pd.DataFrame(), {}
    found = found.assign(
        **(found.filter(like="rmse_") * rmse_scale(int(found.side.iloc[0]), str(found.normalisation.iloc[0])))
    )
    layer, layer_shuffled = nearest_layer(found), nearest_layer(found, "_shuffled")
    best = found[found.layer == layer].set_index("neuroid_id")
    chance = found[found.layer == layer_shuffled].set_index("neuroid_id")
    neurons = best[["rmse_best"]].assign(rmse_best_shuffled=chance.rmse_best_shuffled)
    neurons["below_chance"] = neurons.rmse_best_shuffled - neurons.rmse_best
    neurons["donor"] = best.donor
    columns = {"layer": layer, "layer_shuffled": layer_shuffled, "median": best.rmse_best.median()}
    return neurons, {
        **columns,
        "rmse_mean": best.rmse_mean.mean(),
        "rmse_mean_shuffled": chance.rmse_mean_shuffled.mean(),
    }


def nearest_layer(rows: pd.DataFrame, of: str = "") -> str:
    """Return the layer with the least mean RMSE.

    Parameters
    ----------
    rows
        Rows of one network, site and size of maps.
    of
        ``_shuffled`` for shuffled responses. Without shuffles, the layer of the measured responses is returned.
    """
    means = rows.groupby("layer", sort=False)[f"rmse_best{of}"].mean()
    return str(means.idxmin()) if means.notna().any() else nearest_layer(rows)
