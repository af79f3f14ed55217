"""The score of a layer that was chosen on other stimuli than those it is scored on.

Stimuli are halved at random. Each site's layer is chosen by its score within one half, and judged on the other one, in
both directions. The halves share neither stimuli nor noise, so nothing of the optimism of choosing among many layers
is left (`murine.comparison.choice`). It needs no repetitions, so matrices have it, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from murine.comparison.choice import Choice, choose
from murine.comparison.inference import Counts, folds, permutations
from murine.comparison.metrics import MAX_REFITS, Metric, Stack
from murine.comparison.targets import Targets
from murine.networks.kernel import LayerKernel

Orders = Int[np.ndarray, "n_relabellings n_members"]

#: Fewer stimuli in a half do not choose a layer.
MIN_HALF = 10


@dataclass(frozen=True, eq=False)
class Half:
    """Half of the stimuli: positions, sites, resampled and relabelled stimuli."""

    targets: Targets
    members: Int[np.ndarray, " n_members"]
    sites: Any
    counts: Counts
    relabellings: Orders


@dataclass(frozen=True, eq=False)
class Nested:
    """Scores of sites with their layers chosen on other stimuli.

    Attributes
    ----------
    choice
        Layers and scores; fold k chooses in half k and scores in the other.
    draws, without_one
        (n_draws, n_sites) of ``scores``, the layers as they are; the score without each stimulus, None where the metric
        is not over pairs.
    scores
        (n_sites,): what `choice` says, or that of predictions which are those of either layer.
    null
        (n_relabellings, n_sites), with the stimuli of the sites relabelled.
    """

    choice: Choice
    scores: Float[np.ndarray, " n_sites"]
    draws: Float[np.ndarray, "n_draws n_sites"]
    without_one: Float[np.ndarray, "n_stimuli n_sites"] | None
    null: Float[np.ndarray, "n_relabellings n_sites"]

    @property
    def layers(self) -> Int[np.ndarray, " n_sites"]:
        """The layer that stands for both choices of a site: that of the first half, if it has one; -1 without."""
        return np.where(self.choice.layers[0] >= 0, self.choice.layers[0], self.choice.layers[1])


def halves(
    metric: Metric, targets: Targets, counts: Counts, n_permutations: int, seed: int
) -> tuple[Half, Half] | None:
    """Two halves of the stimuli, the same for the same seed; None where the metric does not choose, or with too few."""
    if metric.combines_layers or targets.n_stimuli // 2 < max(MIN_HALF, metric.min_stimuli):
        return None
    first, second = folds(targets.n_stimuli, 2, seed)
    n = min(n_permutations, MAX_REFITS) if metric.costly_permutations else n_permutations

    def half(members: Int[np.ndarray, " _"], k: int) -> Half:
        own = targets.without_parts().select(members)
        orders = permutations(len(members), n, seed + k)
        return Half(own, members, metric.of_sites(own), counts[:, members], orders)

    return half(first, 0), half(second, 1)


def nest(
    metric: Metric,
    layers: Sequence[LayerKernel],
    stack: Stack,
    sites: Any,
    parts: tuple[Half, Half],
    counts: Counts,
    relabellings: Orders,
) -> Nested:
    """Choose each site's layer on one half of the stimuli and score it on the other.

    Where a metric predicts stimulus by stimulus, either layer predicts the stimuli of the half it was not chosen on,
    as it does when fitted to all other stimuli, and one score of all predictions is the result; it is the mean of the
    scores of both halves otherwise.

    Parameters
    ----------
    layers
        Kernels of all stimuli.
    stack, sites
        What the metric makes of them for all stimuli.
    counts, relabellings
        Of all stimuli.
    """
    stacks, scores = [], []
    for half in parts:
        within, defined = metric.prepare([layer.select(half.members) for layer in layers], half.targets)
        stacks.append(within)
        scores.append(np.where(defined[:, None], metric.score(within, half.sites), np.nan))
    choice = choose(np.stack(scores), np.stack(scores[::-1]))
    if metric.predicts:
        return _stitched(metric, choice, stack, sites, parts, counts, relabellings)
    draws, without, null = [], [], []
    for half, within, chosen in zip(parts[::-1], stacks[::-1], choice.layers, strict=True):
        which, place = np.unique(np.maximum(chosen, 0), return_inverse=True)
        own, at = within[which], np.arange(len(chosen))
        draws.append(metric.resample(own, half.sites, half.counts)[:, place, at])
        if metric.over_pairs:
            left = np.tile(metric.score(own, half.sites)[place, at], (counts.shape[1], 1))
            left[half.members] = metric.leave_one_out(own, half.sites, len(half.members))[:, place, at]
            without.append(left)
        if not metric.costly_permutations:
            null.append(metric.permute(own, half.sites, half.relabellings)[:, place, at])
        else:
            alone = [metric.permute(own[[i]], half.sites[[s]], half.relabellings)[:, 0, 0] for s, i in enumerate(place)]
            null.append(np.stack(alone, axis=1))
    none = np.isnan(choice.nested)
    return Nested(
        choice,
        choice.nested,
        _mean(draws, none),
        _mean(without, none) if without else None,
        _mean(null, none),
    )


def _mean(found: list[np.ndarray], none: np.ndarray) -> np.ndarray:
    return np.where(none, np.nan, np.mean(found, axis=0))


def _stitched(
    metric: Metric,
    choice: Choice,
    stack: Stack,
    sites: Any,
    parts: tuple[Half, Half],
    counts: Counts,
    relabellings: Orders,
) -> Nested:
    n_sites = choice.layers.shape[1]
    none = (choice.layers < 0).any(axis=0)
    scores, draws, null = np.empty(n_sites), np.empty((len(counts), n_sites)), np.empty((len(relabellings), n_sites))
    for s in range(n_sites):
        stitched, site = stack[[max(choice.layers[0, s], 0)]].copy(), sites[[s]]
        mine = parts[0].members  # predicted by the layer that was chosen in the other half
        stitched[0, mine] = stack[max(choice.layers[1, s], 0), mine]
        scores[s] = metric.score(stitched, site)[0, 0]
        draws[:, s] = metric.resample(stitched, site, counts)[:, 0, 0]
        null[:, s] = metric.permute(stitched, site, relabellings)[:, 0, 0]
    return Nested(
        choice,
        np.where(none, np.nan, scores),
        np.where(none, np.nan, draws),
        None,
        np.where(none, np.nan, null),
    )
