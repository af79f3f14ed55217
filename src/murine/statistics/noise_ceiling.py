"""Noise ceilings: the best score that the noise in the data allows.

A ceiling knows the scale of the scores it belongs to. Ceilings are computed in `murine.similarity.rdm_ceilings` (RDMs)
and `murine.encoding.neuron_ceilings` (neurons).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from murine.errors import MurineError
from murine.statistics.bootstrap import percentile_interval

SCALES = ("r", "r2", "tau-a")


#: The scale of distances: less is better.
DISTANCE = "distance"


@dataclass(frozen=True, eq=False)
class Ceiling:
    """The noise ceilings of one or more sites, on the scale of the scores they belong to.

    A score that correlates a prediction with noisy data cannot be expected to exceed the square root of the reliability
    of the data (scale ``r``). The square of this score cannot exceed the reliability itself (scale ``r2``). Confusing
    the two makes every ceiled score too high or too low, so a ceiling refuses scores of another scale.

    For scores on the scale ``distance``, less is better, and the ceiling is a *floor*: the distance that noise leaves
    between the data and their own noise-free values (`Ceiling.from_floor`). The floor is subtracted from a score: 0 is
    as good as noise allows, and values below 0 are kept. For squared Euclidean distances, noise adds to the distance,
    and the result is the distance of the noise-free data in expectation. For root mean squares, noise adds to the
    square, and the result is at most that distance.

    Attributes
    ----------
    value
        (n_sites,): 0 where the reliability is not above zero; NaN where it is unknown. Neither allows a ceiled score
        (see ``flags``).
    draws
        (n_draws, n_sites): the ceiling under resampled stimuli, paired with the draws of the scores. NaN in a sample
        where the ceiling is undefined. NaN in all samples where the error of the ceiling is unknown: the ceiling is
        then kept fixed, and ceiled draws vary as the scores do.
    scale
        One of ``SCALES``, or ``distance``.
    notes
        A remark on the ceiling of each site, or ''; part of ``flags``.

    Examples
    --------
    >>> import numpy as np
    >>> ceiling = Ceiling.from_reliability(np.array([0.64, 0.0]), np.empty((0, 2)), "r")
    >>> ceiling.value
    array([0.8, 0. ])
    >>> ceiling.apply(np.array([[0.4, 0.1]]), "r")
    array([[0.5, nan]])
    >>> ceiling.flags
    ('', 'ceiling not above zero')
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

        ``r``: the square root of the reliability. ``r2``: the reliability. ``tau-a``: 2 / pi * asin(r), Greiner's
        relation, which is exact for bivariate normal dissimilarities and an approximation otherwise.

        Parameters
        ----------
        reliability, draws
            (n_sites,) and (n_draws, n_sites). Values below 0 count as 0 and values above 1 as 1; NaN stays NaN.
        ranks
            The scores are rank correlations. ``r`` is then Spearman's r by 6 / pi * asin(r / 2), and ``r2`` its square.
            The square root of the correlation between two sets of noisy ranks would be too high.

        Raises
        ------
        MurineError
            If the scale is unknown.
        """
        if scale not in SCALES:
            raise MurineError(f"scale {scale!r} has no known ceiling; expected one of {', '.join(SCALES)}.")

        def convert(x: np.ndarray) -> np.ndarray:
            x = np.clip(x, 0, 1)  # NaN stays NaN
            if ranks and scale != "tau-a":
                x = (6 / np.pi * np.arcsin(np.sqrt(x) / 2)) ** 2
            if scale == "r2":
                return x
            return np.sqrt(x) if scale == "r" else 2 / np.pi * np.arcsin(np.sqrt(x))

        return cls(convert(reliability), convert(draws), scale)

    @classmethod
    def from_floor(cls, floor: Float[np.ndarray, " n_sites"], draws: Float[np.ndarray, "n_draws n_sites"]) -> Ceiling:
        """Make the floor of distances: the distance between the data and their noise-free values, caused by noise.

        Two independent halves of the data are farther apart than this: for squared distances, by a factor of two. The
        caller must take this into account.

        Parameters
        ----------
        floor, draws
            (n_sites,) and (n_draws, n_sites), in the unit of the distances; NaN where undefined.
        """
        return cls(floor, draws, DISTANCE)

    @classmethod
    def unknown(cls, n_sites: int, n_draws: int, scale: str) -> Ceiling:
        """Make a placeholder for sites whose ceiling is unknown. All ceiled scores become NaN."""
        return cls(np.full(n_sites, np.nan), np.full((n_draws, n_sites), np.nan), scale)

    @property
    def fixed(self) -> Bool[np.ndarray, " n_sites"]:
        """Which sites have a known ceiling whose error is unknown."""
        return np.isfinite(self.value) & ~np.isfinite(self.draws).any(axis=0) & (len(self.draws) > 0)

    @property
    def flags(self) -> tuple[str, ...]:
        """Why a site has no ceiled score, or what its interval does not include; '' where there is nothing to say."""
        if self.scale == DISTANCE:
            return tuple("" if x else "floor not defined" for x in np.isfinite(self.value))
        notes = self.notes or ("",) * len(self.value)
        return tuple(map(_flag, self.value.tolist(), self.fixed.tolist(), notes))

    def exceeds(self, ceiled: Float[np.ndarray, "*shape"]) -> Bool[np.ndarray, "*shape"]:
        """Return which ceiled scores are better than noise allows: above 1, or below 0 for distances."""
        return ceiled < 0 if self.scale == DISTANCE else ceiled > 1

    def mean_over(self, groups: Sequence[Int[np.ndarray, " _"]]) -> Ceiling:
        """Return the ceiling of scores averaged over groups of sites, for example neurons: the mean of their ceilings.

        The mean score divided by the mean ceiling stays finite where single neurons have no ceiling above zero; these
        count as 0, and their scores count too. Dividing neuron by neuron first would let the worst neurons decide.
        Estimates below zero were set to zero, so with many neurons without signal the mean ceiling is somewhat too
        high, and ceiled scores are too low. Neurons whose ceiling is unknown are left out of the mean, which assumes
        that they are as reliable as the others. An unknown floor makes the mean NaN.

        Parameters
        ----------
        groups
            Positions of the members of each group.
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
        """Return the ceilings of the members of a group, where unknown ones are replaced by the mean of the others.

        This is the same assumption as in `mean_over`.
        """
        value, draws = self.value[group], self.draws[:, group]
        unknown = np.isnan(value)
        value = np.where(unknown, mean_of_known(value, 0), value)
        draws = np.where(unknown, mean_of_known(draws, 1)[:, None], draws)
        return Ceiling(value, draws, self.scale)

    def interval(self) -> tuple[Float[np.ndarray, " n_sites"], Float[np.ndarray, " n_sites"]]:
        """Return the 95 % percentile interval of the ceiling of each site."""
        return percentile_interval(self.draws)

    def _check_scale(self, scale: str) -> None:
        if scale != self.scale:
            raise MurineError(
                f"a ceiling on the scale {self.scale!r} cannot be applied to scores on the scale {scale!r}."
            )

    def apply(self, scores: Float[np.ndarray, "n_layers n_sites"], scale: str) -> Float[np.ndarray, "n_layers n_sites"]:
        """Divide scores by the ceiling, or subtract the floor from distances.

        Values above 1 are kept. The result is NaN where the ceiling is zero or unknown.

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
        """Apply the ceiling draw by draw, so that the uncertainty of both is carried.

        The draws of scores and of the ceiling must come from the same resampled stimuli. A ceiling whose error is
        unknown is the same in every draw. Errors are as in `apply`.
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
    """Return the mean of the values that are not NaN; NaN where all are NaN."""
    known = ~np.isnan(values)
    if known.all():
        return np.asarray(values.mean(axis=axis))
    n = known.sum(axis=axis)
    return np.where(n > 0, np.where(known, values, 0).sum(axis=axis) / np.maximum(n, 1), np.nan)
