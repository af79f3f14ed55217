"""Noise ceilings, typed by the scale of the score they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from murine.errors import MurineError
from murine.statistics.bootstrap import percentile_interval

SCALES = ("r", "r2", "tau-a")


#: The scale of scores that fall as likeness grows.
DISTANCE = "distance"


@dataclass(frozen=True, eq=False)
class Ceiling:
    """The best score that noise in the data allows, for one or more sites.

    A score that correlates a prediction with noisy data cannot be expected to exceed the square root of the
    reliability of these data (scale ``r``); its square cannot exceed the reliability itself (scale ``r2``). Mixing
    the two up inflates or deflates every ceiled score, so a ceiling knows its scale and is refused by scores of
    another.

    Of scores on scale ``distance``, where less is better, the ceiling is a *floor*: the distance that noise leaves
    between the data and their own truth (`Ceiling.from_floor`). It is subtracted, not divided by: its zero is not
    "nothing shared", and it tends to 0 as data get better. What is left is the distance in excess of the floor: 0 as
    good as noise allows, below 0 kept. Where noise adds to the distance (squared Euclidean), that is the distance of
    the noise-free data in expectation; where it adds to its square (root mean squares), it is at most that.

    Attributes
    ----------
    value
        (n_sites,); 0 where the reliability is not above zero, NaN where it is not known: nothing can be said there (see
        ``flags``).
    draws
        (n_draws, n_sites): the ceiling under resampled stimuli, paired with the draws of the scores. NaN in a sample
        where it is not defined; NaN in all where the ceiling comes without an error: it is then held fixed, and ceiled
        draws vary as the scores do.
    scale
        One of ``SCALES``, or ``distance``.
    notes
        What else is to be said of each site's ceiling, '' for nothing; part of ``flags``.
    """

    value: Float[np.ndarray, " n_sites"]
    draws: Float[np.ndarray, "n_draws n_sites"]
    scale: str
    notes: tuple[str, ...] = ()

    @classmethod
    def from_reliability(
        cls,
        reliability: Float[np.ndarray, " n_sites"],
        draws: Float[np.ndarray, "n_draws n_sites"],
        scale: str,
        *,
        ranks: bool = False,
    ) -> Ceiling:
        """Turn the reliability of the data into the ceiling of a score on ``scale``.

        ``r``: sqrt(reliability). ``r2``: the reliability. ``tau-a``: 2 / pi * asin(r), Greiner's relation, exact for
        bivariate normal dissimilarities and an approximation otherwise. With ``ranks``, ``r`` is Spearman's, by the
        same approximation 6 / pi * asin(r / 2), and ``r2`` its square: the root of how well two sets of noisy ranks
        correlate would be too high.
        """
        if scale not in SCALES:
            raise MurineError(f"no ceiling of scale {scale!r} is known; scales are {', '.join(SCALES)}.")

        def convert(x: np.ndarray) -> np.ndarray:
            x = np.clip(x, 0, 1)  # NaN, not known, stays
            if ranks and scale != "tau-a":
                x = (6 / np.pi * np.arcsin(np.sqrt(x) / 2)) ** 2
            if scale == "r2":
                return x
            return np.sqrt(x) if scale == "r" else 2 / np.pi * np.arcsin(np.sqrt(x))

        return cls(convert(reliability), convert(draws), scale)

    @classmethod
    def from_floor(cls, floor: Float[np.ndarray, " n_sites"], draws: Float[np.ndarray, "n_draws n_sites"]) -> Ceiling:
        """The floor of distances: how far data are from their own truth because of noise.

        Two independent halves of the data, say, are farther apart than that: by twice the squared distance for squared
        distances. It is for the caller to take that into account. NaN where it is not defined.
        """
        return cls(floor, draws, DISTANCE)

    @classmethod
    def unknown(cls, n_sites: int, n_draws: int, scale: str) -> Ceiling:
        """No ceiling: scores stay raw."""
        return cls(np.full(n_sites, np.nan), np.full((n_draws, n_sites), np.nan), scale)

    @property
    def fixed(self) -> Bool[np.ndarray, " n_sites"]:
        """Where the ceiling is known, but not its error."""
        return np.isfinite(self.value) & ~np.isfinite(self.draws).any(axis=0) & (len(self.draws) > 0)

    @property
    def flags(self) -> tuple[str, ...]:
        """Why a site has no ceiled score, or what its interval lacks; '' where there is nothing to say."""
        if self.scale == DISTANCE:
            return tuple("" if x else "floor not defined" for x in np.isfinite(self.value))
        notes = self.notes or ("",) * len(self.value)
        return tuple(map(_flag, self.value.tolist(), self.fixed.tolist(), notes))

    def exceeds(self, ceiled: Float[np.ndarray, "*shape"]) -> Bool[np.ndarray, "*shape"]:
        """Which ceiled scores are better than noise allows: above 1, or below 0 for distances. Kept, and flagged."""
        return ceiled < 0 if self.scale == DISTANCE else ceiled > 1

    def mean_over(self, groups: Sequence[Int[np.ndarray, " _"]]) -> Ceiling:
        """The ceiling of scores averaged over groups of sites (of neurons, say): the average of their ceilings.

        A mean score over its mean ceiling stays finite where single neurons have none above zero: these count as 0,
        with the scores they have. Dividing neuron by neuron first would let the worst ones decide. Estimates below zero
        were cut off at zero, so with many neurons without signal the average is somewhat too high, and ceiled scores
        too low. Neurons whose ceiling is not known, in all or in a draw, are left out of it: they are taken to be as
        reliable as the others. NaN, of floors, are not averaged out.
        """
        if self.scale == DISTANCE:
            value = np.array([self.value[members].mean() for members in groups])
            return Ceiling(
                value, np.stack([self.draws[:, members].mean(axis=1) for members in groups], axis=1), DISTANCE
            )
        value = np.array([mean_of_known(self.value[members], 0) for members in groups])
        draws = np.stack([mean_of_known(self.draws[:, members], 1) for members in groups], axis=1)
        n_known = [int(np.isfinite(self.value[members]).sum()) for members in groups]
        notes = [
            f"ceiling of {n} of {len(members)} neurons" if n < len(members) else ""
            for n, members in zip(n_known, groups, strict=True)
        ]
        return Ceiling(value, draws, self.scale, tuple(notes))

    def fill_unknown(self, group: Int[np.ndarray, " n_members"]) -> Ceiling:
        """The ceilings of a group's neurons; one that is not known is the mean of the others, as in `mean_over`."""
        value, draws = self.value[group], self.draws[:, group]
        unknown = np.isnan(value)
        value = np.where(unknown, mean_of_known(value, 0), value)
        draws = np.where(unknown, mean_of_known(draws, 1)[:, None], draws)
        return Ceiling(value, draws, self.scale)

    def interval(self) -> tuple[Float[np.ndarray, " n_sites"], Float[np.ndarray, " n_sites"]]:
        return percentile_interval(self.draws)

    def _check_scale(self, scale: str) -> None:
        if scale != self.scale:
            raise MurineError(f"a ceiling of scale {self.scale!r} cannot be applied to scores of scale {scale!r}.")

    def apply(self, scores: Float[np.ndarray, "n_layers n_sites"], scale: str) -> Float[np.ndarray, "n_layers n_sites"]:
        """Divide scores by the ceiling; subtract the floor from distances. Values above 1 are kept; NaN where the
        ceiling is zero or not known.

        Raises
        ------
        MurineError
            If the scores are on another scale than the ceiling.
        """
        self._check_scale(scale)
        if scale == DISTANCE:
            return scores - self.value
        return scores / np.where(self.value > 0, self.value, np.nan)

    def apply_draws(
        self, draws: Float[np.ndarray, "n_draws n_layers n_sites"], scale: str
    ) -> Float[np.ndarray, "n_draws n_layers n_sites"]:
        """The same draw by draw (both must come from the same resampled stimuli), so that both uncertainties are
        carried. A ceiling without an error is the same in every draw.
        """
        self._check_scale(scale)
        own = np.where(self.fixed, self.value, self.draws)
        if scale == DISTANCE:
            return draws - own[:, None]
        return draws / np.where(own > 0, own, np.nan)[:, None]


def _flag(value: float, fixed: bool, note: str) -> str:
    if np.isnan(value):
        return "ceiling not known"
    if value <= 0:
        return "ceiling not above zero"
    return note or ("ceiling without an error" if fixed else "")


def mean_of_known(values: Float[np.ndarray, "..."], axis: int) -> Float[np.ndarray, "..."]:
    """Return the mean of what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    if known.all():
        return np.asarray(values.mean(axis=axis))
    n = known.sum(axis=axis)
    return np.where(n > 0, np.where(known, values, 0).sum(axis=axis) / np.maximum(n, 1), np.nan)
