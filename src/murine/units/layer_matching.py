"""Tables of single neurons against single units: the best unit of every neuron in every layer of a network.

`murine.units.site_tables.summarise_sites` turns them into a table of sites.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from murine.cortex.recording import Recording
from murine.cortex.reliability import split_half
from murine.encoding.prediction_scores import correlations
from murine.networks.capture import Features
from murine.networks.network import Network
from murine.progress import Progress
from murine.stimuli import StimulusSet
from murine.units.assignment import assign_units
from murine.units.matching import UnitSearch, shuffle_stimuli, unit_activations
from murine.units.neuron_rows import align_stimuli, capture_rows, mean_over_shuffles, neuron_labels


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
    """Find the best unit of every neuron in every layer on odd repetitions, and score it on even repetitions.

    Parameters
    ----------
    network
        The network, for example from `murine.networks.zoo.load`.
    stimuli, recording
        Images and responses, matched by id. The blank screen is left out.
    layers, batch_size
        As in `murine.networks.capture.capture`.
    n_shuffles
        How often the search is repeated with the stimuli of each neuron relabelled. This shows how well the best of as
        many units does by chance. Each repetition costs as much as the search itself.
    n_candidates
        If above 0, also give each neuron a unit of its own, from so many of its best units
        (`murine.units.assignment.assign_units`). The same is done for the neurons of each shuffle.
    overlap
        Whether to compute the overlap of the densities of activations and responses.
    seed
        Seed of the relabelling.
    progress
        Shows the progress of the capture.

    Returns
    -------
    rows
        One row per layer and neuron, in the order of the ids of neurons. A layer with the same output as an earlier one
        has no rows. Columns:

        * ``network, weights, layer, layer_index, depth``, and ``n_units`` that take part
        * ``neuroid_id, area, cortical_layer, cell_class, cre_line, donor``
        * ``best_unit``: its number in the C order of the shape of the output of the layer; -1 without one
        * ``r_train, r_test``: Pearson's r over stimuli with the mean responses of odd and of even repetitions; scale r
        * ``r_train_shuffled, r_test_shuffled``: the same with shuffled stimuli, each with its own best unit; means over
          shuffles. Both halves share the stimuli, so ``r_test_shuffled`` is above 0. The difference to it is not
          chance.
        * ``ceiling``: the ceiling of ``r_test``, the r of a unit without noise; NaN where the reliability is not above
        0
        * ``overlap, overlap_shuffled``, if asked for
        * ``assigned_unit, assigned_r_train, assigned_r_test, assigned_gap``, if asked for, and
          ``assigned_r_train_shuffled, assigned_r_test_shuffled``: means over shuffles of the same assignment of units
          to neurons whose stimuli are shuffled
        * ``flag``: '' or why there is no unit

    Raises
    ------
    MurineError
        If images and responses do not match, there are fewer than 2 repetitions, or `murine.networks.capture.capture`
        raises.

    Examples
    --------
    >>> from murine.cortex.simulated import simulate
    >>> from murine.networks import zoo
    >>> from murine.scenes import synthetic_scenes
    >>> cortex = simulate(synthetic_scenes(12, seed=0), n_neuroids=4, n_repetitions=4)
    >>> rows = match_layers(zoo.load("pixels", input_size=16), cortex.stimuli, cortex.recording)
    >>> rows[["layer", "best_unit", "r_test"]].shape  # 3 areas with 4 neurons each
    (12, 3)
    """
    images, seen = align_stimuli(stimuli, recording)
    train, test = seen.odd_even()
    own = UnitSearch(train, test, n_candidates=n_candidates, overlap=overlap)
    relabelled = shuffle_stimuli(train, test, n_shuffles, seed)
    chance = UnitSearch(*relabelled, n_candidates=n_candidates, overlap=overlap)

    def matches(features: Features) -> dict[str, Any]:
        found, by_chance = own(features), chance(features)
        columns: dict[str, Any] = {
            "n_units": found.n_units,
            "best_unit": found.unit,
            "r_train": found.r_train,
            "r_test": found.r_test,
            "r_train_shuffled": mean_over_shuffles(by_chance.r_train, n_shuffles),
            "r_test_shuffled": mean_over_shuffles(by_chance.r_test, n_shuffles),
        }
        if found.overlap is not None and by_chance.overlap is not None:
            columns["overlap"] = found.overlap
            columns["overlap_shuffled"] = mean_over_shuffles(by_chance.overlap, n_shuffles)
        if n_candidates:
            given = assign_units(found.candidates, found.candidate_r, found.n_units)
            columns |= {"assigned_unit": given.unit, "assigned_r_train": given.r, "assigned_gap": given.gap}
            columns["assigned_r_test"] = correlations(unit_activations(features, given.unit), test)
            # Units are assigned within each shuffled population.
            parts = np.arange(n_shuffles * len(test)).reshape(n_shuffles, len(test))
            drawn = [assign_units(by_chance.candidates[i], by_chance.candidate_r[i], by_chance.n_units) for i in parts]
            units = np.concatenate([np.empty(0, dtype=int), *(each.unit for each in drawn)])
            r_train = np.concatenate([np.empty(0), *(each.r for each in drawn)])
            columns["assigned_r_train_shuffled"] = mean_over_shuffles(r_train, n_shuffles)
            r_test = correlations(unit_activations(features, units), relabelled[1])
            columns["assigned_r_test_shuffled"] = mean_over_shuffles(r_test, n_shuffles)
        return {**columns, "flag": found.flags}

    reliability = split_half(seen.responses)
    # The reliability of one half of the repetitions, by Spearman-Brown from that of the whole.
    of_half = np.where(reliability > 0, reliability / (2 - reliability), np.nan)
    about = neuron_labels(seen).assign(ceiling=np.sqrt(of_half))
    return capture_rows(network, images, about, matches, layers, batch_size, progress)
