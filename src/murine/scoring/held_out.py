"""Held-out scores: a layer is chosen on one half of the stimuli and scored on the other half.

The best of many layers, scored on the stimuli it was chosen on, scores too high, even if all layers are noise. The two
halves share neither stimuli nor noise, so the optimism of the choice is gone. Odd and even repetitions share the
stimuli: a layer that fits the responses to these very images by chance does so in both, and a part of the optimism
stays. Halves of the stimuli need no repetitions, so matrices have held-out scores as well.

One random half says little: the score would change with the seed. So the choice is repeated over `N_SPLITS` random
halves, in both directions. With l(h) the layer chosen on half h, the held-out score of a site is

    mean over h of [score of l(h) on all stimuli]
      + growth x mean over h of [score of l(h) on the half that is not h - mean score of l(h) over all halves]

The second line is the optimism of the choice (zero or less, but for sampling error). Both scores in its brackets have
half the stimuli, so a metric whose value depends on the number of stimuli is compared at equal numbers. For a network
of one layer it is zero, and the held-out score is the score on all stimuli, to the last bit.

Differences between layers may be larger with all stimuli than with half of them: predictions learn from twice as many,
and fit by chance better, too. ``growth`` is the slope of the scores of all layers on all stimuli over their mean scores
on halves. Among 300 random layers and 100 stimuli it is 1.0 for RSA and 1.7 for ridge, and without it the held-out
score of ridge was 0.014 too high.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from murine.networks.layer_kernel import LayerKernel
from murine.scoring.metric import Metric, Stack
from murine.scoring.site_data import SiteData
from murine.statistics.layer_selection import best_layer

#: Random splits of the stimuli into two halves. Each half chooses once.
N_SPLITS = 50

#: A half of the stimuli with fewer members chooses no layer.
MIN_HALF = 10

#: Bounds of the growth of differences between layers from half the stimuli to all, and the fewest layers to fit it.
GROWTH, MIN_LAYERS = (1.0, 2.0), 5


@dataclass(frozen=True, eq=False)
class Half:
    """One half of the stimuli: positions of its members, and the sites for these stimuli."""

    site_data: SiteData
    members: Int[np.ndarray, " n_members"]
    sites: Any


@dataclass(frozen=True, eq=False)
class Splits:
    """Random splits of the stimuli into halves, the same for every network.

    Attributes
    ----------
    halves
        Both halves of every split.
    drawn, left_out
        (n_draws, n_splits) and (n_stimuli, n_splits): weights of the splits in each bootstrap draw and in the score
        without each stimulus. Each row sums to 1. With these weights, intervals include the variation over random
        splits.
    """

    halves: tuple[tuple[Half, Half], ...]
    drawn: Float[np.ndarray, "n_draws n_splits"]
    left_out: Float[np.ndarray, "n_stimuli n_splits"]


def random_splits(metric: Metric, site_data: SiteData, n_draws: int, seed: int) -> Splits | None:
    """Split the stimuli at random, the same way for the same seed; None where no layer is chosen.

    No layer is chosen where a metric combines all layers, or with fewer than twice `MIN_HALF` stimuli.
    """
    n = site_data.n_stimuli
    if metric.combines_layers or n // 2 < max(MIN_HALF, metric.min_stimuli):
        return None
    site_data = site_data.without_halves()

    def half(members: Int[np.ndarray, " _"]) -> Half:
        own = site_data.select(np.sort(members))
        return Half(own, np.sort(members), metric.of_sites(own))

    generator = np.random.default_rng([seed, n, 2])
    n_splits = metric.n_splits or N_SPLITS
    orders = [generator.permutation(n) for _ in range(n_splits)]
    halves = tuple((half(order[: n // 2]), half(order[n // 2 :])) for order in orders)
    drawn, left_out = (generator.multinomial(n_splits, [1 / n_splits] * n_splits, size) for size in (n_draws, n))
    # The jackknife multiplies the variance of its rows by n - 1; that of the splits must come out once.
    shares = 1 / n_splits + (left_out / n_splits - 1 / n_splits) / np.sqrt(n - 1)
    return Splits(halves, drawn / n_splits, shares)


@dataclass(frozen=True, eq=False)
class Choices:
    """The layers that the halves chose, and their scores on the other halves.

    Attributes
    ----------
    layers
        (n_splits, 2, n_sites): the layer that each half chose; -1 where no layer has a score in every half.
    tested
        (n_splits, n_sites): score of the chosen layer on the other half, mean over both directions.
    on_halves
        (n_splits, n_layers, n_sites): score of every layer on a half, mean over both; NaN where a layer has no score
        in some half.
    growth
        (n_sites,): how much larger differences between layers are with all stimuli.
    """

    layers: Int[np.ndarray, "n_splits 2 n_sites"]
    tested: Float[np.ndarray, "n_splits n_sites"]
    on_halves: Float[np.ndarray, "n_splits n_layers n_sites"]
    growth: Float[np.ndarray, " n_sites"]

    def shares(self, site: int) -> tuple[Int[np.ndarray, " n_chosen"], Float[np.ndarray, "n_splits n_chosen"]]:
        """Return the layers chosen for a site, the most frequent first, and the share of each in every split."""
        chosen = self.layers[:, :, site]
        if (chosen < 0).any():
            return np.empty(0, int), np.empty((len(chosen), 0))
        which, counts = np.unique(chosen, return_counts=True)
        which = which[np.argsort(-counts, kind="stable")]
        return which, (chosen[:, :, None] == which).mean(axis=1)

    def mixed(
        self, scores: Float[np.ndarray, "n_draws n_layers n_sites"], splits: Float[np.ndarray, "n_draws n_splits"]
    ) -> Float[np.ndarray, "n_draws n_sites"]:
        """Return held-out scores from scores of all layers on all stimuli.

        Parameters
        ----------
        scores
            Of every layer, one set for each draw.
        splits
            Shares of the splits in each draw; each row sums to 1.

        Returns
        -------
        held_out
            NaN where no layer is chosen.
        """
        # As precise as the scores: percentiles of float32 numbers would come out otherwise in float64.
        out = np.full((len(scores), scores.shape[2]), np.nan, scores.dtype)
        for s in range(scores.shape[2]):
            which, shares = self.shares(s)
            if len(which) == 1:  # nothing to choose: no rounding either
                out[:, s] = scores[:, which[0], s]
            elif len(which):
                weights = splits @ shares
                optimism = splits @ self.tested[:, s] - (weights * (splits @ self.on_halves[:, which, s])).sum(axis=1)
                out[:, s] = (weights * scores[:, which, s]).sum(axis=1) + self.growth[s] * optimism
        return out

    def scores(self, scores: Float[np.ndarray, "n_layers n_sites"]) -> Float[np.ndarray, " n_sites"]:
        """Return the held-out score of every site from scores of all layers on all stimuli."""
        n_splits = len(self.layers)
        return self.mixed(scores[None], np.full((1, n_splits), 1 / n_splits))[0]

    @property
    def every(self) -> Int[np.ndarray, " n_chosen"]:
        """The layers that some half chose for some site, ascending."""
        return np.unique(self.layers[self.layers >= 0])

    def averaged(
        self,
        scores: Float[np.ndarray, "n_draws n_members n_sites"],
        members: Int[np.ndarray, " n_members"] | None = None,
    ) -> Float[np.ndarray, "n_draws n_sites"]:
        """Return the mean score of the chosen layers, each as often as it was chosen, without the optimism.

        Parameters
        ----------
        scores
            Of every layer, or of ``members``, which are ascending and hold all that was chosen.
        """
        members = np.arange(scores.shape[1]) if members is None else members
        out = np.full((len(scores), scores.shape[2]), np.nan)
        for s in range(scores.shape[2]):
            which, shares = self.shares(s)
            if len(which):
                out[:, s] = scores[:, np.searchsorted(members, which), s] @ shares.mean(axis=0)
        return out

    @property
    def ranked(self) -> tuple[Int[np.ndarray, "2 n_sites"], Float[np.ndarray, " n_sites"]]:
        """The layers chosen most often and second most often (-1 for none), and the share of the first."""
        n_sites = self.layers.shape[2]
        pair, share = np.full((2, n_sites), -1), np.full(n_sites, np.nan)
        for s in range(n_sites):
            which, shares = self.shares(s)
            pair[: len(which[:2]), s] = which[:2]
            share[s] = shares[:, 0].mean() if len(which) else np.nan
        return pair, share


def choose(
    metric: Metric,
    layers: Sequence[LayerKernel],
    stack: Stack,
    defined: Bool[np.ndarray, " n_layers"],
    scores: Float[np.ndarray, "n_layers n_sites"],
    splits: Splits,
) -> Choices:
    """Choose each site's layer on every half of the stimuli, and score it on the other half.

    Parameters
    ----------
    layers
        Kernels of all stimuli. A layer that is constant in some half has no score there and is not chosen.
    stack, defined
        What the metric makes of them, and which layers have a score (`murine.scoring.metric.Metric.prepare`).
    scores
        Of every layer on all stimuli.
    """
    n_sites = len(splits.halves[0][0].site_data.sites)
    found = np.empty((len(splits.halves), 2, len(layers), n_sites))
    for k, pair in enumerate(splits.halves):
        for d, half in enumerate(pair):
            found[k, d] = metric.score_within(layers, stack, half.members, half.site_data, half.sites)
    found = np.where(np.isnan(found).any(axis=(0, 1)) | ~defined[:, None], np.nan, found)
    chosen = best_layer(found)
    other = np.take_along_axis(found[:, ::-1], np.maximum(chosen, 0)[:, :, None], axis=2)[:, :, 0]
    on_halves = found.mean(axis=1)
    growth = _growth(scores, on_halves.mean(axis=0))
    return Choices(chosen, np.where(chosen < 0, np.nan, other).mean(axis=1), on_halves, growth)


def _growth(
    scores: Float[np.ndarray, "n_layers n_sites"], on_halves: Float[np.ndarray, "n_layers n_sites"]
) -> Float[np.ndarray, " n_sites"]:
    """Return the slope of one over the other, by site, within `GROWTH`; 1 where there are too few layers."""
    told = np.isfinite(scores) & np.isfinite(on_halves)
    n = np.maximum(told.sum(axis=0), 1)
    whole, half = (np.where(told, x, 0) for x in (scores, on_halves))
    whole, half = (np.where(told, x - x.sum(axis=0) / n, 0) for x in (whole, half))
    variance = (half**2).sum(axis=0)
    slope = np.divide((whole * half).sum(axis=0), variance, out=np.ones_like(variance), where=variance > 0)
    return np.where(n < MIN_LAYERS, 1.0, np.clip(slope, *GROWTH))
