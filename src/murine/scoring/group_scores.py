"""The scores of all layers at all sites for one group of stimuli, as arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Int

from murine.networks.capture import CapturedLayer
from murine.scoring.encoding_metrics import EncodingMetric
from murine.scoring.held_out import Choices, choose
from murine.scoring.metric import Metric
from murine.scoring.site_benchmark import GroupBenchmark
from murine.scoring.subject_bootstrap import SubjectDraws


class GroupScores:
    """Scores, draws and null distributions of all layers at all sites for one group of stimuli.

    What takes time is computed when it is first asked for.
    """

    def __init__(self, metric: Metric, layers: Sequence[CapturedLayer], benchmark: GroupBenchmark) -> None:
        self.metric, self.benchmark = metric, benchmark
        self._pairs: dict[tuple[str, int, int], np.ndarray] = {}
        self.kernels = [layer.kernel.select(benchmark.members) for layer in layers if layer.kernel is not None]
        self.layers, self.defined = metric.prepare(self.kernels, benchmark.site_data)
        self.scores = np.where(self.defined[:, None], metric.score(self.layers, benchmark.sites), np.nan)

    def choose(self) -> Choices | None:
        """Choose layers on halves of the stimuli; return None if there are too few stimuli or no layers."""
        if self.benchmark.splits is None or not len(self.layers):
            return None
        return choose(self.metric, self.kernels, self.layers, self.defined, self.scores, self.benchmark.splits)

    def over_subjects(
        self, best: Int[np.ndarray, " n_sites"], choices: Choices | None
    ) -> tuple[SubjectDraws | None, SubjectDraws | None]:
        """Return draws of the scores of chosen layers under resampled subjects, if they are requested."""
        subjects = self.benchmark.subjects
        return (None, None) if subjects is None else subjects.run(self.layers, best, choices)

    @cached_property
    def draws(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Draws of every layer, and its scores without each stimulus."""
        return self.resampled(np.arange(len(self.layers)))

    @cached_property
    def null(self) -> np.ndarray:
        """Scores of every layer with the stimuli of the sites relabelled. Costly metrics do not use this."""
        return self.permuted(np.arange(len(self.layers)))

    @cached_property
    def plain(self) -> np.ndarray:
        """Scores of every layer without the correction for chance; NaN for metrics that have no such correction."""
        found = np.full(self.scores.shape, np.nan)
        if isinstance(self.metric, EncodingMetric) and self.defined.any():
            found[self.defined] = self.metric.plain(self.layers[self.defined], self.benchmark.sites)
        return found

    def chance(self, layers: Int[np.ndarray, " n_rows"], sites: Int[np.ndarray, " n_rows"]) -> np.ndarray:
        """Return the mean plain score of each pair of a layer and a site if they share nothing."""
        found = np.full(len(layers), np.nan)
        if isinstance(self.metric, EncodingMetric):
            for k in np.flatnonzero((layers >= 0) & self.defined[layers]):
                found[k] = self.of_pair(self.metric.chance, int(layers[k]), int(sites[k]))[0, 0]
        return found

    def held_out_null(self, choices: Choices) -> np.ndarray:
        """Return scores of the chosen layers with the stimuli relabelled; for costly metrics, of one layer per site."""
        if not self.metric.costly_permutations:
            return choices.averaged(self.null)
        (first, _), _ = choices.ranked
        pairs = zip(first.tolist(), range(len(first)), strict=True)
        return np.stack([self.of_pair(self.metric.permute, max(i, 0), s)[:, 0, 0] for i, s in pairs], axis=1)

    def of_pair(self, compute: Callable[..., np.ndarray], layer: int, site: int) -> np.ndarray:
        """Return what relabelled stimuli give for one layer at one site.

        It is computed once: the best layer of a site on all stimuli is mostly the one that halves choose, too, and some
        metrics are fitted anew for each relabelling.
        """
        key = compute.__name__, layer, site
        if key not in self._pairs:
            self._pairs[key] = compute(self.layers[[layer]], self.benchmark.sites[[site]], self.benchmark.relabellings)
        return self._pairs[key]

    def resampled(self, which: Int[np.ndarray, " _"]) -> tuple[np.ndarray, np.ndarray | None]:
        """Return draws of some layers, and their scores without each stimulus."""
        metric, benchmark, layers = self.metric, self.benchmark, self.layers[which]
        lost = ~self.defined[which, None]
        draws = np.where(lost, np.float32("nan"), metric.resample(layers, benchmark.sites, benchmark.counts))
        if not metric.over_pairs:
            return draws, None
        without = metric.leave_one_out(layers, benchmark.sites, len(benchmark.members))
        return draws, np.where(lost, np.float32("nan"), without)

    def permuted(self, which: Int[np.ndarray, " _"]) -> np.ndarray:
        """Scores of some layers with the stimuli of the sites relabelled."""
        return self.metric.permute(self.layers[which], self.benchmark.sites, self.benchmark.relabellings)
