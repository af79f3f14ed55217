"""A score with its draws: the source of intervals of scores, of differences and of means.

Code for resampled subjects is imported only if there are some, so that leaderboards are quick."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from murine.statistics.bootstrap import percentile_interval
from murine.statistics.variance_correction import correct_for_pairs

if TYPE_CHECKING:
    from murine.statistics.crossed_bootstrap import CrossedDraws


@dataclass(frozen=True, eq=False)
class ScoreSample:
    """A score, or a difference or mean of scores, with its draws. Intervals and ranks are made from these.

    Attributes
    ----------
    value
        The score.
    draws
        Under resampled stimuli.
    without_one
        The score without each stimulus, where scores are over pairs of stimuli
        (`murine.statistics.bootstrap.correct_for_pairs`).
    both, subjects
        Under resampled stimuli and subjects, paired with the first of ``draws``; under resampled subjects alone. None
        where subjects were not resampled.
    sizes
        Numbers of stimuli and of subjects.
    """

    value: float
    draws: Float[np.ndarray, " n_draws"]
    without_one: Float[np.ndarray, " n_stimuli"] | None = None
    both: Float[np.ndarray, " n_both"] | None = None
    subjects: Float[np.ndarray, " n_both"] | None = None
    sizes: tuple[int, int] = (0, 0)

    @classmethod
    def of_row(cls, row: Mapping[Any, Any]) -> ScoreSample:
        """Return the ceiled score of a chosen row of `score_layers`; the raw score where there is no ceiling."""
        value = row["score"] if np.isnan(row["ceiled"]) else row["ceiled"]
        columns = ("draws", "without_one", "draws_both", "draws_subjects")
        found = [
            None if row.get(name) is None or not np.ndim(row[name]) else np.asarray(row[name], np.float64)
            for name in columns
        ]
        draws, without, both, subjects = found
        sizes = (0, 0)
        if both is not None:
            sizes = int(row["n_stimuli"]), int(row["n_neuroids" if row["over"] == "neurons" else "n_animals"])
        return cls(float(value), np.empty(0) if draws is None else draws, without, both, subjects, sizes)

    @classmethod
    def mean(cls, samples: Sequence[ScoreSample]) -> ScoreSample:
        """Return the mean over sites. Its number of subjects is that of the largest site; there may be more."""

        def mean(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
            known = [part for part in parts if part is not None]
            return np.mean(known, axis=0) if len(known) == len(parts) else None

        return cls(
            float(np.mean([sample.value for sample in samples])),
            np.mean([sample.draws for sample in samples], axis=0),
            mean([sample.without_one for sample in samples]),
            mean([sample.both for sample in samples]),
            mean([sample.subjects for sample in samples]),
            (samples[0].sizes[0], max(sample.sizes[1] for sample in samples)),
        )

    def __sub__(self, other: ScoreSample) -> ScoreSample:
        def difference(mine: np.ndarray | None, theirs: np.ndarray | None) -> np.ndarray | None:
            return None if mine is None or theirs is None else mine - theirs

        return ScoreSample(
            self.value - other.value,
            self.draws - other.draws,
            difference(self.without_one, other.without_one),
            difference(self.both, other.both),
            difference(self.subjects, other.subjects),
            (min(self.sizes[0], other.sizes[0]), min(self.sizes[1], other.sizes[1])),
        )

    def over_stimuli(self) -> Float[np.ndarray, " n_draws"]:
        """Return draws with the variance over new stimuli."""
        return self.draws if self.without_one is None else correct_for_pairs(self.draws, self.without_one)

    def over_both(self) -> Float[np.ndarray, " n_both"]:
        """Return draws with the variance over new stimuli and new subjects, centred at the score.

        Where subjects were not resampled, they are those over stimuli.
        """
        two = self._two_way()
        if two is None:
            return self.over_stimuli()
        draws = two.corrected(_least(two))
        told = np.isfinite(draws)
        return draws + (self.value - draws[told].mean()) if told.any() else draws

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the interval over new stimuli: percentiles; with resampled subjects, over both by Student's t."""
        two = self._two_way()
        if two is None:
            low, high = percentile_interval(self.over_stimuli()[:, None], level)
            return float(low[0]), float(high[0])
        return self._student(float(np.maximum(two.variance(), _least(two))), two.parts(), level)

    def subjects_interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the interval over new subjects with these stimuli, by Student's t; NaN where none were resampled."""
        two = self._two_way()
        if two is None:
            return np.nan, np.nan
        variance = two.parts()[1]
        return self._student(float(variance), (0.0 * variance, variance), level)

    def _student(self, variance: float, parts: tuple[Any, Any], level: float) -> tuple[float, float]:
        """Return the interval of a score whose variance has a part from few stimuli and a part from few subjects.

        The degrees of freedom are those of Welch and Satterthwaite.
        """
        from scipy.special import stdtrit

        squares = sum(float(part) ** 2 / (n - 1) for part, n in zip(parts, self.sizes, strict=True))
        freedom = float(sum(parts)) ** 2 / squares if squares > 0 else np.inf
        reach = float(stdtrit(freedom, (1 + level) / 2)) * variance**0.5
        return self.value - reach, self.value + reach

    def _two_way(self) -> CrossedDraws | None:
        """Return draws over both. For scores over pairs, the part of stimuli is scaled as over stimuli alone."""
        if self.both is None or self.subjects is None:
            return None
        from murine.statistics.crossed_bootstrap import CrossedDraws

        factor = _ratio(self.over_stimuli(), self.draws)
        both = self.subjects + factor * (self.both - self.subjects)
        return CrossedDraws(both, factor * self.draws[: len(both)], self.subjects, self.sizes)


def _least(two: CrossedDraws) -> Float[np.ndarray, "..."]:
    """Return the variance that one factor alone gives. Plain draws over both are no bound: they vary too little."""
    return np.asarray(np.max(two.parts(), axis=0))


def samples(
    values: ArrayLike,
    draws: Float[np.ndarray, "n_draws n_rows"] | None,
    without_one: Float[np.ndarray, "n_stimuli n_rows"] | None,
    both: Float[np.ndarray, "n_both n_rows"],
    subjects: Float[np.ndarray, "n_both n_rows"],
    sizes: Sequence[tuple[int, int]],
) -> list[ScoreSample]:
    """Return one sample per column."""
    columns = [[None] * len(sizes) if x is None else list(x.T) for x in (draws, without_one, both, subjects)]
    found = zip(np.asarray(values, np.float64), *columns, sizes, strict=True)
    return [ScoreSample(float(value), *own) for value, *own in found]


def _ratio(corrected: np.ndarray, draws: np.ndarray) -> float:
    spread = float(np.nanstd(draws)) if np.isfinite(draws).any() else 0.0
    return float(np.nanstd(corrected)) / spread if spread > 0 else 1.0
