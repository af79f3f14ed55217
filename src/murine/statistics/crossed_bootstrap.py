"""Bootstrap over stimuli and over neurons or animals at once, with the variance corrected.

A score would change with other stimuli and with other animals. Resampling both at once counts their interaction and the
noise three times, so its variance is too large. Resampling one alone leaves the other out. The variances of the three
bootstraps together give the correct one (Schuett et al. 2023, eLife 12:e82566).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt16

from murine.errors import MurineError
from murine.statistics.bootstrap import percentile_interval

#: What a bootstrap over subjects draws.
SUBJECTS = ("neurons", "animals", "both")

#: A draw is NaN where more than this share of its neurons has no score.
MAX_MISSING = 0.05

NeuronCounts = UInt16[np.ndarray, "n_draws n_neuroids"]


def check_subjects(over: str) -> None:
    """Refuse a bootstrap over anything but ``SUBJECTS``."""
    if over not in SUBJECTS:
        raise MurineError(f"a bootstrap over {over!r} is not known; expected one of {', '.join(SUBJECTS)}.")


def animal_counts(n_animals: int, n_bootstraps: int, seed: int) -> UInt16[np.ndarray, "n_draws n_animals"]:
    """Draw bootstrap samples of the animals, as counts.

    Returns
    -------
    counts
        (n_bootstraps, n_animals): how often each animal is in each sample. The same seed gives the same samples.

    Raises
    ------
    MurineError
        If there are fewer than two animals: one animal says nothing about others.

    Examples
    --------
    >>> animal_counts(n_animals=4, n_bootstraps=100, seed=0).sum(axis=1)[:3]
    array([4, 4, 4], dtype=uint64)
    """
    if n_animals < 2:
        raise MurineError(f"{n_animals} animals are too few for a bootstrap over animals; at least 2 are needed.")
    generator = np.random.default_rng([seed, n_animals, 2])
    return _multinomial(generator, np.full(n_bootstraps, n_animals), n_animals)


def neuron_counts(animals: Sequence[str] | np.ndarray, n_bootstraps: int, seed: int, over: str) -> NeuronCounts:
    """Draw bootstrap samples of the neurons, as counts.

    Parameters
    ----------
    animals
        The animal of each neuron.
    n_bootstraps
        Number of samples.
    seed
        The same seed gives the same samples.
    over
        ``neurons``: draw as many neurons as there are, from all animals together. ``animals``: draw whole animals, as
        `animal_counts` does. ``both``: draw animals, then draw neurons within each drawn animal.

    Returns
    -------
    counts
        (n_bootstraps, n_neuroids).

    Raises
    ------
    MurineError
        If ``over`` is unknown, or if animals are drawn and there are fewer than two.

    Examples
    --------
    >>> counts = neuron_counts(["a", "a", "b"], n_bootstraps=5, seed=0, over="animals")
    >>> bool((counts[:, 0] == counts[:, 1]).all())  # neurons of one animal are drawn together
    True
    """
    check_subjects(over)
    names, which = np.unique(np.asarray(animals).astype(str), return_inverse=True)
    if over == "neurons":
        return _multinomial(_generator(seed, len(which)), np.full(n_bootstraps, len(which)), len(which))
    return expand_animal_counts(which, animal_counts(len(names), n_bootstraps, seed), seed, over)


def expand_animal_counts(
    which: Int[np.ndarray, " n_neuroids"], drawn: UInt16[np.ndarray, "n_draws n_animals"], seed: int, over: str
) -> NeuronCounts:
    """Return how often each neuron is in each sample, given how often each animal was drawn.

    Parameters
    ----------
    which
        (n_neuroids,): the animal of each neuron, as a column of ``drawn``.
    drawn
        (n_draws, n_animals), from `animal_counts`.
    seed
        Seed of the draws of neurons within animals; used for ``both`` only.
    over
        ``animals`` or ``both``, as in `neuron_counts`.
    """
    if over == "animals":
        return drawn[:, which]
    generator = _generator(seed, len(which))
    counts = np.empty((len(drawn), len(which)), np.uint16)
    for animal in range(drawn.shape[1]):
        members = np.flatnonzero(which == animal)
        if len(members):
            counts[:, members] = _multinomial(generator, drawn[:, animal] * len(members), len(members))
    return counts


def _generator(seed: int, n_neuroids: int) -> np.random.Generator:
    return np.random.default_rng([seed, n_neuroids, 3])


def _multinomial(generator: np.random.Generator, numbers: np.ndarray, size: int) -> UInt16[np.ndarray, "n_draws size"]:
    return generator.multinomial(numbers.astype(np.int64), np.full(size, 1 / size)).astype(np.uint16)


def dual_variance(
    both: Float[np.ndarray, "..."],
    stimuli: Float[np.ndarray, "..."],
    subjects: Float[np.ndarray, "..."],
    sizes: tuple[int, int] | None = None,
) -> Float[np.ndarray, "..."]:
    """Return the variance of a score over new stimuli and new subjects, from the variances of three bootstraps.

    The formula is 2 (stimuli + subjects) - both. The result is never below the variance of one factor alone and never
    above ``both``. Where the interaction outweighs both factors, it is therefore somewhat too large. It equals
    rsatoolbox's ``eval_dual_bootstrap``.

    Parameters
    ----------
    both, stimuli, subjects
        Variances when both factors, stimuli alone and subjects alone are resampled; any one shape.
    sizes
        Numbers of stimuli and of subjects. With these, the formula for small numbers is used: it also corrects that the
        variance of a bootstrap is too small by (n - 1) / n.

    Returns
    -------
    variance
        The shape of the input; NaN where an input is NaN.

    Raises
    ------
    MurineError
        If one of the sizes is below 2.

    References
    ----------
    Schuett et al. 2023, eLife 12:e82566.

    Examples
    --------
    >>> import numpy as np
    >>> float(dual_variance(np.array(5.0), np.array(2.0), np.array(1.0)))
    2.0
    """
    if sizes is None:
        corrected = 2 * (stimuli + subjects) - both
    else:
        if min(sizes) < 2:
            raise MurineError(
                f"{sizes[0]} stimuli and {sizes[1]} subjects leave no variance; expected at least 2 each."
            )
        a, b = (n / (n - 1) for n in sizes)
        stimuli, subjects, interaction = a * stimuli, b * subjects, a * b * (both - stimuli - subjects)
        corrected = stimuli + subjects - interaction
    return np.asarray(np.minimum(np.maximum(np.maximum(corrected, stimuli), subjects), both))


@dataclass(frozen=True, eq=False)
class CrossedDraws:
    """Draws of scores under three bootstraps: over both factors, over stimuli alone, over subjects alone.

    Attributes
    ----------
    both, stimuli, subjects
        (n_draws, ...). Draw b has the same stimuli in ``both`` and ``stimuli``, and the same subjects (neurons or
        animals) in ``both`` and ``subjects``.
    sizes
        Numbers of stimuli and of subjects.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> stimuli, subjects = rng.normal(size=(2, 1000))
    >>> draws = CrossedDraws(stimuli + subjects, stimuli, subjects, sizes=(50, 8))
    >>> bool(draws.variance() < draws.both.var() * 1.2)
    True
    """

    both: Float[np.ndarray, "n_draws ..."]
    stimuli: Float[np.ndarray, "n_draws ..."]
    subjects: Float[np.ndarray, "n_draws ..."]
    sizes: tuple[int, int]

    def variance(self) -> Float[np.ndarray, "..."]:
        """Return the corrected variance (`dual_variance`); NaN where more than 5 % of the draws are NaN."""
        return dual_variance(_variance(self.both), _variance(self.stimuli), _variance(self.subjects), self.sizes)

    def parts(self) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
        """Return the variances over stimuli alone and over subjects alone.

        They are corrected for small numbers, as in `dual_variance`.
        """
        a, b = (n / (n - 1) for n in self.sizes)
        return np.asarray(a * _variance(self.stimuli)), np.asarray(b * _variance(self.subjects))

    def corrected(self, at_least: Float[np.ndarray, "..."] | float = 0.0) -> Float[np.ndarray, "n_draws ..."]:
        """Return the draws over both factors, scaled around their mean to the corrected variance.

        They can be used like the draws of any other bootstrap. The difference of two scores needs its own correction:
        take `difference` first.

        Parameters
        ----------
        at_least
            Lower bound of the variance.
        """
        spread = _variance(self.both)
        factor = np.sqrt(
            np.divide(np.maximum(self.variance(), at_least), spread, out=np.ones_like(spread), where=spread > 0)
        )
        finite = np.isfinite(self.both)
        centre = np.where(finite, self.both, 0).sum(axis=0) / np.maximum(finite.sum(axis=0), 1)
        return centre + (self.both - centre) * factor

    def interval(self, level: float = 0.95) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
        """Return the percentile interval of the corrected draws."""
        return percentile_interval(self.corrected(), level)

    def difference(self, other: CrossedDraws) -> CrossedDraws:
        """Return the draws of the difference to other scores from the same samples.

        Raises
        ------
        MurineError
            If the numbers of stimuli, subjects or draws differ.
        """
        if self.sizes != other.sizes or len(self.both) != len(other.both):
            raise MurineError(
                f"draws over {self.sizes} and over {other.sizes} stimuli and subjects are not from the same samples."
            )
        both, stimuli, subjects = self.both - other.both, self.stimuli - other.stimuli, self.subjects - other.subjects
        return CrossedDraws(both, stimuli, subjects, self.sizes)


def _variance(draws: np.ndarray) -> np.ndarray:
    finite = np.isfinite(draws)
    n = finite.sum(axis=0)
    centre = np.where(finite, draws, 0).sum(axis=0) / np.maximum(n, 1)
    square = (np.where(finite, draws - centre, 0) ** 2).sum(axis=0) / np.maximum(n - 1, 1)
    return np.where(n >= max(2, 0.95 * len(draws)), square, np.nan)


def mean_over_neurons(
    scores: Float[np.ndarray, "... n_neuroids"],
    draws: Float[np.ndarray, "n_draws ... n_neuroids"],
    counts: NeuronCounts,
    sizes: tuple[int, int],
) -> CrossedDraws:
    """Return draws of the mean score over neurons, under resampled stimuli and resampled neurons.

    Parameters
    ----------
    scores
        (..., n_neuroids), for example (n_layers, n_neuroids).
    draws
        (n_draws, ..., n_neuroids): the same scores under resampled stimuli.
    counts
        (n_draws, n_neuroids), from `neuron_counts`.
    sizes
        Numbers of stimuli and of subjects: of animals where animals were resampled, otherwise of neurons.

    Returns
    -------
    draws
        `CrossedDraws` of the shape of ``scores`` without neurons. A neuron without a score in a draw (all its stimuli
        were the same) is left out of that draw. Where that affects more than 5 % of the neurons, the draw is NaN.

    Raises
    ------
    MurineError
        If a neuron has no score at all, or the numbers of draws differ.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> scores = rng.normal(0.3, 0.1, size=20)
    >>> draws = scores + rng.normal(0, 0.05, size=(100, 20))
    >>> counts = neuron_counts(["a"] * 10 + ["b"] * 10, 100, seed=0, over="neurons")
    >>> mean_over_neurons(scores, draws, counts, sizes=(50, 20)).both.shape
    (100,)
    """
    if np.isnan(scores).any():
        lost = np.isnan(scores).reshape(-1, scores.shape[-1]).any(axis=0).sum()
        raise MurineError(f"{lost} of {scores.shape[-1]} neurons have no score (NaN); leave these neurons out.")
    if len(draws) != len(counts):
        raise MurineError(f"{len(draws)} draws over stimuli and {len(counts)} over neurons cannot be paired.")
    weights = counts.astype(np.float64)
    finite = np.isfinite(draws)
    filled = np.where(finite, draws, 0)

    def mean(weights: np.ndarray) -> np.ndarray:
        kept = np.einsum("b...n,bn->b...", finite, weights)
        total = weights.sum(axis=1).reshape(-1, *(1,) * (kept.ndim - 1))
        enough = kept >= (1 - MAX_MISSING) * total
        return np.einsum("b...n,bn->b...", filled, weights) / np.where(enough, kept, np.nan)

    subjects = np.moveaxis(scores @ (weights / weights.sum(axis=1, keepdims=True)).T, -1, 0)
    return CrossedDraws(mean(weights), mean(np.ones_like(weights)), subjects, sizes)
