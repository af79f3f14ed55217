"""Bootstrap over stimuli and over neurons or animals, alone and together, and the variance that both have in common.

A score would come out otherwise with other stimuli and with other animals. Resampling both at once counts their
interaction, and the noise, three times, so its variance is too large; resampling one alone leaves out the other. From
all three follows the right one (Schuett et al. 2023, eLife 12:e82566)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt16

from murine.errors import MurineError
from murine.statistics.bootstrap import percentile_interval

#: What a bootstrap over neurons draws.
SUBJECTS = ("neurons", "animals", "both")

#: A draw is NaN where more than this share of its neurons has no score in it.
LARGEST_LOSS = 0.05

NeuronCounts = UInt16[np.ndarray, "n_draws n_neuroids"]


def animal_counts(n_animals: int, n_bootstraps: int, seed: int) -> UInt16[np.ndarray, "n_draws n_animals"]:
    """How often each animal is drawn in each bootstrap sample, the same for the same seed.

    Raises
    ------
    MurineError
        With fewer than two animals: one says nothing about others.
    """
    if n_animals < 2:
        raise MurineError(f"a bootstrap over {n_animals} animal says nothing about others; at least 2 are needed.")
    generator = np.random.default_rng([seed, n_animals, 2])
    return _multinomial(generator, np.full(n_bootstraps, n_animals), n_animals)


def neuron_counts(animals: Sequence[str] | np.ndarray, n_bootstraps: int, seed: int, over: str) -> NeuronCounts:
    """How often each neuron is in each bootstrap sample, the same for the same seed.

    Parameters
    ----------
    animals
        Which animal each neuron is of.
    over
        ``neurons``: as many neurons as there are, whichever animal they are of (the animals are these). ``animals``:
        whole animals, as `animal_counts` draws them. ``both``: animals, then within each as many neurons as it has for
        every time it was drawn.
    """
    if over not in SUBJECTS:
        raise MurineError(f"a bootstrap over {over!r} is not known; expected one of {', '.join(SUBJECTS)}.")
    names, which = np.unique(np.asarray(animals).astype(str), return_inverse=True)
    if over == "neurons":
        return _multinomial(_generator(seed, len(which)), np.full(n_bootstraps, len(which)), len(which))
    return expand_animal_counts(which, animal_counts(len(names), n_bootstraps, seed), seed, over)


def expand_animal_counts(
    which: Int[np.ndarray, " n_neuroids"], drawn: UInt16[np.ndarray, "n_draws n_animals"], seed: int, over: str
) -> NeuronCounts:
    """How often each neuron is in each sample, where it is known how often each animal was drawn.

    Parameters
    ----------
    which
        The animal of each neuron, a column of ``drawn``.
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
    """The variance of a score over new stimuli and new subjects, from the variances of three bootstraps.

    2 (stimuli + subjects) - both; with ``sizes``, the numbers of stimuli and of subjects, in the form for small
    numbers, which also makes up for a bootstrap's variance being too small by (n - 1) / n. Never below what one factor
    gives alone (so somewhat too large where interaction outweighs both), nor above ``both``. The same as rsatoolbox's
    ``eval_dual_bootstrap``.
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
    """Draws of scores under three bootstraps with the same samples.

    Attributes
    ----------
    both, stimuli, subjects
        (n_draws, ...): resampled over both, over stimuli alone, over subjects (neurons or animals) alone. Paired: draw
        b has the same stimuli in ``both`` and ``stimuli``, the same subjects in ``both`` and ``subjects``.
    sizes
        Numbers of stimuli and of subjects.
    """

    both: Float[np.ndarray, "n_draws ..."]
    stimuli: Float[np.ndarray, "n_draws ..."]
    subjects: Float[np.ndarray, "n_draws ..."]
    sizes: tuple[int, int]

    def variance(self) -> Float[np.ndarray, "..."]:
        """Corrected (`dual_variance`); NaN where more than one draw in twenty is."""
        return dual_variance(_variance(self.both), _variance(self.stimuli), _variance(self.subjects), self.sizes)

    def parts(self) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
        """Variances over stimuli alone and over subjects alone, made up for small numbers as in `dual_variance`."""
        a, b = (n / (n - 1) for n in self.sizes)
        return np.asarray(a * _variance(self.stimuli)), np.asarray(b * _variance(self.subjects))

    def corrected(self, at_least: Float[np.ndarray, "..."] | float = 0.0) -> Float[np.ndarray, "n_draws ..."]:
        """The draws over both, drawn together around their mean until they have the corrected variance.

        To be used as the draws of any other bootstrap. Differences of two scores have a correction of their own: take
        `difference` first.

        Parameters
        ----------
        at_least
            A variance that they are to have at least.
        """
        spread = _variance(self.both)
        factor = np.sqrt(
            np.divide(np.maximum(self.variance(), at_least), spread, out=np.ones_like(spread), where=spread > 0)
        )
        told = np.isfinite(self.both)
        centre = np.where(told, self.both, 0).sum(axis=0) / np.maximum(told.sum(axis=0), 1)
        return centre + (self.both - centre) * factor

    def interval(self, level: float = 0.95) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
        """Percentile interval of the corrected draws."""
        return percentile_interval(self.corrected(), level)

    def difference(self, other: CrossedDraws) -> CrossedDraws:
        """The draws of the difference to other scores from the same samples."""
        if self.sizes != other.sizes or len(self.both) != len(other.both):
            raise MurineError(
                f"draws over {self.sizes} and over {other.sizes} stimuli and subjects are not of the same samples."
            )
        both, stimuli, subjects = self.both - other.both, self.stimuli - other.stimuli, self.subjects - other.subjects
        return CrossedDraws(both, stimuli, subjects, self.sizes)


def _variance(draws: np.ndarray) -> np.ndarray:
    told = np.isfinite(draws)
    n = told.sum(axis=0)
    centre = np.where(told, draws, 0).sum(axis=0) / np.maximum(n, 1)
    square = (np.where(told, draws - centre, 0) ** 2).sum(axis=0) / np.maximum(n - 1, 1)
    return np.where(n >= max(2, 0.95 * len(draws)), square, np.nan)


def mean_over_neurons(
    scores: Float[np.ndarray, "... n_neuroids"],
    draws: Float[np.ndarray, "n_draws ... n_neuroids"],
    counts: NeuronCounts,
    sizes: tuple[int, int],
) -> CrossedDraws:
    """Draws of the mean score over neurons, under resampled stimuli and neurons.

    Parameters
    ----------
    scores
        Of every neuron, for example (n_layers, n_neuroids).
    draws
        The same under resampled stimuli.
    counts
        Of `neuron_counts`, as many draws.
    sizes
        Numbers of stimuli and of subjects: of animals where these were resampled, else of neurons.

    Raises
    ------
    MurineError
        If a neuron has no score: leave it out, knowingly. One that has none in a draw (all of its stimuli were alike)
        is left out of that draw; where that takes more than one in twenty, the draw is NaN.
    """
    if np.isnan(scores).any():
        lost = np.isnan(scores).reshape(-1, scores.shape[-1]).any(axis=0).sum()
        raise MurineError(f"{lost} of {scores.shape[-1]} neurons have no score (NaN); leave them out of the mean.")
    if len(draws) != len(counts):
        raise MurineError(f"{len(draws)} draws over stimuli and {len(counts)} over neurons cannot be paired.")
    weights = counts.astype(np.float64)
    told = np.isfinite(draws)
    filled = np.where(told, draws, 0)

    def mean(weights: np.ndarray) -> np.ndarray:
        kept = np.einsum("b...n,bn->b...", told, weights)
        total = weights.sum(axis=1).reshape(-1, *(1,) * (kept.ndim - 1))
        enough = kept >= (1 - LARGEST_LOSS) * total
        return np.einsum("b...n,bn->b...", filled, weights) / np.where(enough, kept, np.nan)

    subjects = np.moveaxis(scores @ (weights / weights.sum(axis=1, keepdims=True)).T, -1, 0)
    return CrossedDraws(mean(weights), mean(np.ones_like(weights)), subjects, sizes)
