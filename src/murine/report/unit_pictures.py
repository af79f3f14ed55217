"""Pictures of single neurons beside their units. Features are not kept, so the network is shown the images again, with
hooks on the few layers that are drawn."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from murine.atlas.store import Atlas
from murine.atlas.sweep import NetworkResult
from murine.atlas.unit_sweep import MapComparison, Matching, NeuronData, with_labels
from murine.cortex.response_maps import SIDE
from murine.networks.capture import Features, capture
from murine.networks.network import Network
from murine.report.units import (
    Distributions,
    MapPair,
    PairOfPictures,
    distributions_figure,
    maps_figure,
    pairs_figure,
)
from murine.units.maps import MapSearch, nearest_units, rmse_scale
from murine.units.matching import shuffle_stimuli
from murine.units.site_tables import best_layer_rows, nearest_layer

#: Sites in one picture of single pairs; further sites have further pictures.
SITES_PER_PICTURE = 6


def pictures(
    runner: Matching | MapComparison, outcome: NetworkResult, atlas: Atlas, labels: pd.DataFrame
) -> Iterator[tuple[str, Figure]]:
    """Draw the comparison of one network with neurons.

    Parameters
    ----------
    labels
        As in `murine.atlas.unit_sweep.site_table`.

    Returns
    -------
    figures
        With names for their files. Of matches ``pairs-...``: of each site the pair that is best on odd repetitions, the
        one that is farthest above what shuffled stimuli give there, and that of the median neuron; ``r-...``:
        distributions over neurons. Of maps, for each size, ``maps-...``: the nearest, the median and the farthest
        neuron of each site with their units, and the median one of those whose stimuli were shuffled; ``rmse-...``:
        distributions. Where there are more than `SITES_PER_PICTURE` sites, pairs and maps have several pictures:
        ``pairs-...``, ``pairs-...-2`` and so on.
    """
    network = runner.settings.load(outcome.spec)
    table = "matches" if isinstance(runner, Matching) else "maps"
    for task in outcome.tasks:
        rows = with_labels(atlas.read_units(table, task), labels)
        sites = _sites(rows, labels)
        name, title = _names(rows, network)
        if isinstance(runner, Matching):
            yield from _numbered(f"pairs-{name}", _pairs(runner, network, sites, title))
            yield f"r-{name}", _r_distributions(sites, network, title)
        else:
            side = int(rows.side.iloc[0])
            how = "centred" if runner.centred else "plain"
            kind = f"{side}-{how}-{runner.unit_maps}-{runner.normalisation}"
            about = f"{title}\nmaps of {side} x {side}, {how}, {runner.normalisation}, unit maps by {runner.unit_maps}"
            yield from _numbered(f"maps-{name}-{kind}", _map_pairs(runner, network, sites, side, about))
            yield f"rmse-{name}-{kind}", _rmse_distributions(sites, network, about, side, runner.normalisation)


def _sites(rows: pd.DataFrame, labels: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each site that have a score, in order."""
    score = rows["r_test" if "r_test" in rows else "rmse_best"]
    known = rows[score.notna() & (rows[list(labels)] != "").all(axis=1)]
    return {" ".join(map(str, site)): members for site, members in known.groupby(list(labels), sort=True)}


def _numbered(name: str, figures: Iterable[Figure]) -> Iterator[tuple[str, Figure]]:
    for i, figure in enumerate(figures, 1):
        yield name if i == 1 else f"{name}-{i}", figure


def _names(rows: pd.DataFrame, network: Network) -> tuple[str, str]:
    short = network.name.rpartition(":")[2]
    size = rows.input_size.iloc[0]
    file = re.sub(r"[^A-Za-z0-9_.]+", "-", f"{rows.cortex.iloc[0]}-{short}-{network.weights}-{size}").strip("-")
    weights = "" if network.role == "control" else f" ({network.weights})"
    return file, f"{rows.cortex.iloc[0]}, {short}{weights} at {size}"


def _pairs(runner: Matching, network: Network, sites: dict[str, pd.DataFrame], title: str) -> Iterator[Figure]:
    columns: dict[str, list[pd.DataFrame]] = {}
    for site, rows in sites.items():
        best = best_layer_rows(rows).sort_values("r_train", kind="stable")
        chance = best_layer_rows(rows, "_shuffled").reindex(best.index)
        # Of sparse responses, the best unit is often as good by chance: the second choice tells where it is not.
        above = int(np.argmax((best.r_train - chance.r_train_shuffled).fillna(-np.inf)))
        choices = {
            "best on odd repetitions": len(best) - 1,
            "farthest above shuffled, odd": above,
            "median neuron, odd": len(best) // 2,
        }
        best = best.assign(site=site, r_shuffled=chance.r_test_shuffled).reset_index()
        for heading, i in choices.items():
            columns.setdefault(heading, []).append(best.iloc[[i]])
    even = _responses(runner.neurons, runner.neurons.recording.odd_even()[1])
    chosen = pd.concat([row for rows in columns.values() for row in rows], ignore_index=True)
    wanted = {layer: np.unique(rows.best_unit) for layer, rows in chosen.groupby("layer")}

    def curves(features: Features) -> dict[int, tuple[str, np.ndarray]]:
        units = wanted[features.name]
        places = np.array(np.unravel_index(units, features.shape or (1,))).T
        texts = [", ".join(map(str, place)) for place in places]
        return dict(zip(units.tolist(), zip(texts, features.units(units).T, strict=True), strict=True))

    found = _reduced(runner, network, wanted, curves)

    def pair(row: Any) -> PairOfPictures:
        place, activations = found[row.layer][row.best_unit]
        unit = f"{row.layer} [{place}]"
        r = (float(row.r_test), float(row.r_shuffled))
        scores = (*r, float(row.overlap), float(row.r_train))
        return PairOfPictures(row.site, row.neuroid_id, unit, even[row.neuroid_id], activations, *scores)

    drawn = {heading: [pair(row) for row in pd.concat(rows).itertuples()] for heading, rows in columns.items()}
    for start in range(0, max(len(sites), 1), SITES_PER_PICTURE):
        page = slice(start, start + SITES_PER_PICTURE)
        yield pairs_figure(title, {heading: pairs[page] for heading, pairs in drawn.items()}, network.role)


def _r_distributions(sites: dict[str, pd.DataFrame], network: Network, title: str) -> Figure:
    drawn = []
    for site, rows in sites.items():
        own, chance = best_layer_rows(rows).r_test, best_layer_rows(rows, "_shuffled").r_test_shuffled
        drawn.append(Distributions(site, {"r": own.to_numpy()}, {"r": chance.to_numpy()}))
    return distributions_figure(title, drawn, "r of the best unit on even repetitions", network.role)


def _map_pairs(
    runner: MapComparison, network: Network, sites: dict[str, pd.DataFrame], side: int, title: str
) -> Iterator[Figure]:
    recording, plan = runner.neurons.recording, runner.settings
    responses = recording.mean()
    relabelled, _ = shuffle_stimuli(responses, responses, 1, plan.seed)
    compare = MapSearch(
        np.concatenate([responses, relabelled]),
        runner.neurons.images,
        sides=(side,),
        unit_maps=runner.unit_maps,
        normalisation=runner.normalisation,
        centred=runner.centred,
    )
    ids = recording["neuroid_id"].astype(str)
    place = dict(zip(ids, range(len(ids)), strict=True))
    chosen: list[tuple[str, str, int]] = []  # site, layer, row of the map: its own, or that of shuffled stimuli
    for site, rows in sites.items():
        near = rows[rows.layer == nearest_layer(rows)].sort_values("rmse_best", kind="stable")
        by_chance = rows[rows.layer == nearest_layer(rows, "_shuffled")].sort_values("rmse_best_shuffled")
        own = [near.iloc[i] for i in (0, len(near) // 2, len(near) - 1)]
        chosen += [(site, row.layer, place[row.neuroid_id]) for row in own]
        other = by_chance.iloc[len(by_chance) // 2]
        chosen.append((site, other.layer, len(ids) + place[other.neuroid_id]))
    wanted = {layer: np.unique([i for _, at, i in chosen if at == layer]) for _, layer, _ in chosen}

    def pairs(features: Features) -> dict[int, MapPair]:
        units = compare.units(features, side)
        if units is None:
            return {}
        neurons = compare.neurons[side][wanted[features.name]]
        found = nearest_units(neurons, units)
        members = zip(wanted[features.name], neurons, found.unit, found.best, strict=True)
        return {
            int(i): MapPair(
                str(ids[i % len(ids)]),
                f"{features.name} [{unit}]",
                neuron.reshape(side, side),
                units[unit].reshape(side, side),
                float(best) * rmse_scale(side, runner.normalisation),
            )
            for i, neuron, unit, best in members
        }

    found = _reduced(runner, network, wanted, pairs)
    drawn: dict[str, list[MapPair]] = {}
    for site, layer, i in chosen:
        drawn.setdefault(site, []).append(found[layer][i])
    headings = ("nearest neuron", "median neuron", "farthest neuron", "stimuli shuffled, median")
    for start in range(0, max(len(drawn), 1), SITES_PER_PICTURE):
        page = dict(list(drawn.items())[start : start + SITES_PER_PICTURE])
        yield maps_figure(title, page, headings)


def _rmse_distributions(
    sites: dict[str, pd.DataFrame], network: Network, title: str, side: int, normalisation: str
) -> Figure:
    drawn, factor = [], rmse_scale(side, normalisation)
    for site, rows in sites.items():
        own, chance = rows[rows.layer == nearest_layer(rows)], rows[rows.layer == nearest_layer(rows, "_shuffled")]
        scores = {"nearest unit": "rmse_best", "mean of all units": "rmse_mean"}
        drawn.append(
            Distributions(
                site,
                {text: factor * own[column].to_numpy() for text, column in scores.items()},
                {text: factor * chance[f"{column}_shuffled"].to_numpy() for text, column in scores.items()},
            )
        )
    axis = "RMSE of maps" + (f" x {side} / {SIDE} (comparable between sizes of maps)" if factor != 1 else "")
    return distributions_figure(title, drawn, axis, network.role)


def _responses(neurons: NeuronData, values: np.ndarray) -> dict[str, np.ndarray]:
    """Rows of an array over neurons, by their ids."""
    return dict(zip(neurons.recording["neuroid_id"].astype(str), values, strict=True))


def _reduced(
    runner: Matching | MapComparison, network: Network, wanted: dict[str, Any], reducer: Callable[[Features], Any]
) -> dict[str, Any]:
    """Return the results of a reducer for the wanted layers, by name."""
    device = next(chain(network.module.parameters(), network.module.buffers()), torch.empty(0)).device
    # Calls and members of outputs are named after their module (`capture`).
    modules = {re.sub(r"(:\d+)?(\[[^\[\]]*\])*$", "", layer) for layer in wanted}
    captured = capture(
        network.module,
        network.preprocessing.apply(runner.neurons.images).to(device),
        layers=",".join(sorted(map(glob.escape, modules))),
        batch_size=runner.settings.batch_size,
        reducer=lambda features: reducer(features) if features.name in wanted else None,
    )
    return {layer.name: layer.reduced for layer in captured if layer.name in wanted}
