"""Single neurons against single units of every layer of a network: correlations and maps, as rows.

The rows are one per layer, neuron and size of maps. `by_site` turns them into a table of sites."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from murine.cortex.natural_scenes import BLANK
from murine.cortex.recording import Recording
from murine.cortex.reliability import split_half
from murine.cortex.response_maps import SIDE
from murine.encoding.prediction_scores import correlations
from murine.errors import MurineError, some
from murine.networks.capture import Features, Reducer, capture
from murine.networks.memory import freed_memory_kept
from murine.networks.network import Network
from murine.progress import Progress
from murine.statistics.bootstrap import interval
from murine.statistics.crossed_bootstrap import OVER, neuron_counts
from murine.stimuli import StimulusSet, matched
from murine.units.maps import Nearest, NearestMaps, comparable
from murine.units.matching import Search, activations_of, assign, shuffled

#: What a network saw and how maps were made, where rows are of several kinds.
SETTINGS = ("input_size", "side", "unit_maps", "normalisation", "centred")

#: What rows tell of a neuron: coordinates of the recording, '' where it has none.
ABOUT_NEURONS = {
    "neuroid_id": "neuroid_id",
    "area": "area",
    "cortical_layer": "layer",
    "cell_class": "cell_class",
    "cre_line": "cre_line",
    "donor": "donor",
}


def match_layers(
    network: Network,
    stimuli: StimulusSet,
    recording: Recording,
    *,
    layers: str = "all",
    batch_size: int | None = None,
    n_shuffles: int = 1,
    n_candidates: int = 0,
    overlap: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Find the best unit of every neuron in every layer on odd repetitions, and score it on even ones.

    Parameters
    ----------
    stimuli, recording
        Matched by id. The blank screen is left out.
    layers, batch_size
        As in `murine.networks.capture.capture`.
    n_shuffles
        How often the search is repeated with the stimuli of each neuron relabelled: how well the best of as many units
        does by chance. Each costs as much as the search itself.
    n_candidates
        If above 0, also give each neuron a unit of its own, of so many of its best (`assign`); and do the same for the
        neurons of each shuffle.
    overlap
        Whether to compute the overlap of the densities of activations and responses.
    seed
        Of the relabelling.

    Returns
    -------
    rows
        One per layer x neuron (in the order of their ids); layers with the output of an earlier one have none. Columns:

        * ``network, weights, layer, layer_index, depth, n_units`` (that take part)
        * ``neuroid_id, area, cortical_layer, cell_class, cre_line, donor``
        * ``best_unit``: its number in the C order of the shape of the layer's output, -1 without one
        * ``r_train, r_test``: Pearson's r over stimuli with the mean responses of odd and of even repetitions; scale r
        * ``r_train_shuffled, r_test_shuffled``: the same with shuffled stimuli, each with its own best unit; means over
          shuffles. The halves share the stimuli, so ``r_test_shuffled`` is above 0: what is above it is not chance.
        * ``ceiling``: of ``r_test``, the r of a unit without noise; NaN where reliability is not above 0
        * ``overlap, overlap_shuffled``; ``assigned_unit, assigned_r_train, assigned_r_test, assigned_gap`` if asked
          for, with ``assigned_r_train_shuffled, assigned_r_test_shuffled``: means over shuffles of the same assignment
          of units to neurons whose stimuli are shuffled
        * ``flag``: '' or why there is no unit

    Raises
    ------
    MurineError
        Where images and responses do not match, there are fewer than 2 repetitions, or `capture` refuses.
    """
    images, seen = aligned(stimuli, recording)
    train, test = seen.odd_even()
    own = Search(train, test, n_candidates=n_candidates, overlap=overlap)
    relabelled = shuffled(train, test, n_shuffles, seed)
    chance = Search(*relabelled, n_candidates=n_candidates, overlap=overlap)

    def matches(features: Features) -> dict[str, Any]:
        found, by_chance = own(features), chance(features)
        columns: dict[str, Any] = {
            "n_units": found.n_units,
            "best_unit": found.unit,
            "r_train": found.r_train,
            "r_test": found.r_test,
            "r_train_shuffled": _over_shuffles(by_chance.r_train, n_shuffles),
            "r_test_shuffled": _over_shuffles(by_chance.r_test, n_shuffles),
        }
        if found.overlap is not None and by_chance.overlap is not None:
            columns["overlap"] = found.overlap
            columns["overlap_shuffled"] = _over_shuffles(by_chance.overlap, n_shuffles)
        if n_candidates:
            given = assign(found.candidates, found.candidate_r, found.n_units)
            columns |= {"assigned_unit": given.unit, "assigned_r_train": given.r, "assigned_gap": given.gap}
            columns["assigned_r_test"] = correlations(activations_of(features, given.unit), test)
            # Each shuffled population has units of its own, as the neurons have.
            parts = np.arange(n_shuffles * len(test)).reshape(n_shuffles, len(test))
            drawn = [assign(by_chance.candidates[i], by_chance.candidate_r[i], by_chance.n_units) for i in parts]
            units = np.concatenate([np.empty(0, dtype=int), *(each.unit for each in drawn)])
            r_train = np.concatenate([np.empty(0), *(each.r for each in drawn)])
            columns["assigned_r_train_shuffled"] = _over_shuffles(r_train, n_shuffles)
            r_test = correlations(activations_of(features, units), relabelled[1])
            columns["assigned_r_test_shuffled"] = _over_shuffles(r_test, n_shuffles)
        return {**columns, "flag": found.flags}

    reliability = split_half(seen.responses)
    # Of one half of the repetitions: the whole's follows from it by Spearman-Brown.
    of_half = np.where(reliability > 0, reliability / (2 - reliability), np.nan)
    about = _about_neurons(seen).assign(ceiling=np.sqrt(of_half))
    return _rows(network, images, about, matches, layers, batch_size, progress)


def map_layers(
    network: Network,
    stimuli: StimulusSet,
    recording: Recording,
    *,
    sides: Sequence[int] = (SIDE,),
    unit_maps: str = "activation",
    normalisation: str = "l2",
    centred: bool = True,
    layers: str = "all",
    batch_size: int | None = None,
    n_shuffles: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Compare the response-weighted map of every neuron with the map of every channel of every layer.

    Parameters
    ----------
    stimuli, recording
        Matched by id. The blank screen is left out; responses are means over repetitions.
    sides, unit_maps, normalisation, centred
        As in `murine.units.maps.NearestMaps`.
    layers, batch_size
        As in `murine.networks.capture.capture`.
    n_shuffles
        How many maps of shuffled responses stand beside each neuron's own.
    seed
        Of the relabelling.

    Returns
    -------
    rows
        One per layer x size of maps x neuron (in the order of their ids); layers with the output of an earlier one have
        none. Columns:

        * ``network, weights, layer, layer_index, depth``
        * ``side, unit_maps, normalisation, centred, n_units`` (channels that have a map)
        * ``neuroid_id, area, cortical_layer, cell_class, cre_line, donor``
        * ``best_unit``: number of the nearest channel, -1 without one
        * ``rmse_best, rmse_mean``: to that channel, and the mean over channels; scale distance. Of ``l2`` maps it
          shrinks as 1 / side (`murine.units.maps.comparable`)
        * ``rmse_best_shuffled, rmse_mean_shuffled``: the same with the stimuli of the responses shuffled; means over
          shuffles
        * ``p_value``: (1 + number of shuffles that come at least as near) / (1 + n_shuffles); NaN without shuffles
        * ``flag``: '' or why there is none: ``no map``, ``no channels``, ``no unit``, or ``not finite`` (a neuron
          without a response to some stimulus) or ``no response``

    Raises
    ------
    MurineError
        Where images and responses do not match, an option is unknown, or `capture` refuses.
    """
    images, seen = aligned(stimuli, recording)
    responses = seen.mean()
    relabelled, _ = shuffled(responses, responses, n_shuffles, seed)
    everything = np.concatenate([responses, relabelled])
    compare = NearestMaps(
        everything, images, sides=sides, unit_maps=unit_maps, normalisation=normalisation, centred=centred
    )
    n = len(responses)
    finite = np.isfinite(responses).all(axis=1)
    about = _about_neurons(seen).assign(unit_maps=unit_maps, normalisation=normalisation, centred=centred)

    def maps(features: Features) -> list[dict[str, Any]]:
        return [{"side": side, **columns(found)} for side, found in compare(features).items()]

    def columns(found: Nearest) -> dict[str, Any]:
        reached = (found.best[n:].reshape(n_shuffles, n) <= found.best[:n]).sum(axis=0)
        known = (found.unit[:n] >= 0) & (n_shuffles > 0)
        of_neurons = np.where(finite, "no response", "not finite")
        return {
            "n_units": found.n_units,
            "best_unit": found.unit[:n],
            "rmse_best": found.best[:n],
            "rmse_mean": found.mean[:n],
            "rmse_best_shuffled": _over_shuffles(found.best[n:], n_shuffles),
            "rmse_mean_shuffled": _over_shuffles(found.mean[n:], n_shuffles),
            "p_value": np.where(known, (1 + reached) / (1 + n_shuffles), np.nan),
            "flag": np.where(found.unit[:n] >= 0, "", found.flag or of_neurons),
        }

    return _rows(network, images, about, maps, layers, batch_size, progress)


def by_site(
    rows: pd.DataFrame,
    by: Sequence[str] = ("area",),
    *,
    over: str = "neurons",
    n_bootstraps: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Means over the neurons of each site, with 95 % intervals.

    Of correlations (`match_layers`), each neuron's layer is the one that is best on odd repetitions, and its score the
    one on even repetitions; shuffled neurons choose in the same way. Of maps (`map_layers`), each site's layer is the
    one with the least mean RMSE of its neurons, and for shuffled responses the least of theirs: both minima are over
    the same layers, so what chance gives is chosen alike. Intervals are those of other neurons (and animals) seeing the
    same stimuli; how a site would come out with other stimuli, they do not tell.

    Parameters
    ----------
    rows
        Of one or more networks.
    by
        Columns of the rows that make sites, labels of neurons: ``area``, ``cell_class``, ``cre_line`` ... Neurons with
        an empty label are left out.
    over
        What the bootstrap draws: ``neurons``, ``animals`` (the column ``donor``; neurons without one are left out) or
        ``both``, as in `murine.statistics.crossed_bootstrap.neuron_counts`.

    Returns
    -------
    table
        One row per network x site (x size of maps): ``n_neuroids``, those with a score, and ``n_animals``; for
        correlations ``r_test, r_test_shuffled, above_chance`` (their difference), each with ``_low`` and ``_high``,
        ``ceiling`` (mean), ``r_train``, ``layer`` (the one that most neurons choose) and, where known, ``overlap,
        overlap_shuffled`` and ``assigned_r_test, assigned_r_test_shuffled`` (each in the layer where the neuron's
        assigned unit is best on odd repetitions); for maps ``rmse_best, rmse_best_shuffled, below_chance``,
        ``rmse_mean, rmse_mean_shuffled, median, layer`` and ``layer_shuffled``; all RMSE times
        `murine.units.maps.comparable`, so that sizes of maps can be compared. Intervals over animals are NaN where
        all neurons are of one.

    Raises
    ------
    MurineError
        If the rows have no such column, it is no label of neurons, or no neuron has a score.
    """
    if over not in OVER:
        raise MurineError(f"a bootstrap over {over!r} is not known; expected one of {', '.join(OVER)}.")
    keys = [*(c for c in ("network", "weights", *SETTINGS) if c in rows), *by]
    missing = [key for key in (*by, "donor") if key not in rows]
    if missing or not by:
        raise MurineError(
            f"the rows have no column {', '.join(missing) or '(none given)'}; they have {some(rows, 30)}."
        )
    varying = [key for key in by if rows.groupby("neuroid_id")[key].nunique().gt(1).any()]
    if varying:
        raise MurineError(
            f"{', '.join(varying)} cannot make sites: it differs between the rows of one neuron. Labels of neurons are "
            f"{', '.join(ABOUT_NEURONS)}."
        )
    labels = [*by] if over == "neurons" else [*by, "donor"]
    labelled = rows[(rows[labels].astype(str) != "").all(axis=1)]
    of_correlations = "r_test" in rows
    table = []
    for values, site in labelled.groupby(keys, sort=True, observed=True):
        neurons, told = _best_matches(site) if of_correlations else _best_maps(site)
        if neurons.empty:
            continue
        names = list(neurons.columns[:3])
        animals = neurons.pop("donor").to_numpy()
        sizes = {"n_neuroids": len(neurons), "n_animals": len({animal for animal in animals if animal})}
        low = high = np.full(len(names), np.nan)
        if over == "neurons" or sizes["n_animals"] > 1:
            counts = neuron_counts(animals, n_bootstraps, seed, over)
            low, high = interval(counts / counts.sum(axis=1, keepdims=True) @ neurons[names].to_numpy(np.float64))
        row: dict[str, Any] = {**dict(zip(keys, values, strict=True)), **sizes, **told}
        for name, least, most in zip(names, low, high, strict=True):
            row |= {name: neurons[name].mean(), f"{name}_low": float(least), f"{name}_high": float(most)}
        table.append(row)
    if not table:
        raise MurineError(
            f"no neuron has a score and a label {', '.join(labels)}; flags: {some(rows['flag'].unique()) or 'none'}."
        )
    return pd.DataFrame(table)


def _best_matches(site: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Each neuron's r in the layer that is best in the other half, its own and shuffled."""
    best, chance = best_layers(site), best_layers(site, "_shuffled")
    neurons = pd.DataFrame({"r_test": best.r_test, "r_test_shuffled": chance.r_test_shuffled.reindex(best.index)})
    neurons["above_chance"] = neurons.r_test - neurons.r_test_shuffled
    neurons["donor"] = best.donor
    told = {
        "layer": best.layer.mode().iloc[0] if len(best) else "",
        "r_train": best.r_train.mean(),
        "ceiling": best.ceiling.mean(),
    }
    if "overlap" in site:
        told |= {"overlap": best.overlap.mean(), "overlap_shuffled": chance.overlap_shuffled.mean()}
    if "assigned_r_test" in site and site.assigned_r_test.notna().any():
        for of in ("", "_shuffled"):
            name = f"assigned_r_test{of}"
            told[name] = best_layers(site, of, "assigned_r")[name].mean()
    return neurons, told


def best_layers(rows: pd.DataFrame, of: str = "", score: str = "r") -> pd.DataFrame:
    """Of the rows of one network, those of the layer in which each neuron's training r is best, by ``neuroid_id``.

    Parameters
    ----------
    of
        ``_shuffled`` for the layers that neurons with shuffled stimuli choose.
    score
        ``r``: of the best unit; ``assigned_r``: of the unit that is the neuron's own.
    """
    found = rows[rows[f"{score}_test{of}"].notna() & rows[f"{score}_train{of}"].notna()]
    return found.loc[found.groupby("neuroid_id")[f"{score}_train{of}"].idxmax()].set_index("neuroid_id")


def _best_maps(site: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The neurons' RMSE in the layer that is nearest to them on the average, their own and shuffled."""
    found = site[site.rmse_best.notna()]
    if found.empty:
        return pd.DataFrame(), {}
    found = found.assign(
        **(found.filter(like="rmse_") * comparable(int(found.side.iloc[0]), str(found.normalisation.iloc[0])))
    )
    layer, layer_shuffled = nearest_layer(found), nearest_layer(found, "_shuffled")
    best = found[found.layer == layer].set_index("neuroid_id")
    chance = found[found.layer == layer_shuffled].set_index("neuroid_id")
    neurons = best[["rmse_best"]].assign(rmse_best_shuffled=chance.rmse_best_shuffled)
    neurons["below_chance"] = neurons.rmse_best_shuffled - neurons.rmse_best
    neurons["donor"] = best.donor
    told = {"layer": layer, "layer_shuffled": layer_shuffled, "median": best.rmse_best.median()}
    return neurons, {**told, "rmse_mean": best.rmse_mean.mean(), "rmse_mean_shuffled": chance.rmse_mean_shuffled.mean()}


def nearest_layer(rows: pd.DataFrame, of: str = "") -> str:
    """Of the rows of one network, site and size, the layer with the least mean RMSE; ``_shuffled`` as above.

    Where there are no shuffles, the neurons' own.
    """
    means = rows.groupby("layer", sort=False)[f"rmse_best{of}"].mean()
    return str(means.idxmin()) if means.notna().any() else nearest_layer(rows)


def aligned(stimuli: StimulusSet, recording: Recording) -> tuple[StimulusSet, Recording]:
    """Images and responses in the order of the ids, without the blank screen.

    Neurons too: what relabelling each gets depends on its place."""
    ids = [stimulus for stimulus in recording.stimulus_ids if stimulus != BLANK]
    if BLANK in stimuli.ids:
        stimuli = stimuli.select([stimulus for stimulus in stimuli.ids if stimulus != BLANK])
    images = matched(stimuli, ids)
    order = np.argsort(recording["neuroid_id"].astype(str))
    ordered = Recording(recording.dataset.isel(neuroid=order), recording.name)
    return images, ordered.select(stimuli=images.ids)


def _rows(
    network: Network,
    images: StimulusSet,
    about: pd.DataFrame,
    reducer: Reducer,
    layers: str,
    batch_size: int | None,
    progress: Progress | None,
) -> pd.DataFrame:
    """Capture with a reducer that gives columns over neurons, or several sets of them; put them below each other."""
    device = next(chain(network.module.parameters(), network.module.buffers()), torch.empty(0)).device
    shown = network.preprocessing.apply(images).to(device)
    with freed_memory_kept():
        captured = capture(
            network.module, shown, layers=layers, batch_size=batch_size, progress=progress, reducer=reducer
        )
    frames = []
    for i, layer in enumerate(captured):
        if layer.same_as or layer.reduced is None:
            continue
        place = {"network": network.name, "weights": network.weights, "layer": layer.name, "layer_index": i}
        for columns in layer.reduced if isinstance(layer.reduced, list) else [layer.reduced]:
            frames.append(about.assign(**place, depth=layer.depth, **columns))
    if not frames:
        raise MurineError(f"no layer of {network.name} chosen by {layers!r} has features.")
    return pd.concat(frames, ignore_index=True)


def _about_neurons(recording: Recording) -> pd.DataFrame:
    known = recording.dataset.coords
    n = recording.n_neuroids
    columns = {
        name: recording[key].astype(str).astype(object) if key in known else np.full(n, "", dtype=object)
        for name, key in ABOUT_NEURONS.items()
    }
    return pd.DataFrame(columns)


def _over_shuffles(values: Float[np.ndarray, " n_rows"], n_shuffles: int) -> Float[np.ndarray, " n_neuroids"] | float:
    """Mean over shuffles of one value after the other for the whole population; NaN where one is."""
    return values.reshape(n_shuffles, -1).mean(axis=0) if n_shuffles else float("nan")
