"""How well noisy RDMs and kernels agree with what they would be without noise, from halves of the trials.

Spearman-Brown, which takes noise to shrink with 1/n, is wrong for dissimilarities. Products of noise and noise shrink
with 1/n^2; and noise draws a correlation between two patterns towards zero, of the halves more than of the whole. With
two repetitions it said 0.81 where the truth was 0.85. Two things are better known. The covariance of two halves has no
noise in it, but that they are drawn towards zero. And the variance of the whole need not be predicted: the whole is
there. So the correlation with the truth is

    cov(whole, truth) / sd(whole) / sd(truth),

with the two covariances from two halves, freed of what noise draws them towards zero by. How much that is, the
agreement of both halves about the pattern of one stimulus tells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int
from scipy.stats import rankdata

from murine.similarity.weighted_correlation import weighted_correlations
from murine.statistics.bootstrap import Counts, pair_weights

#: An agreement of halves outside of these says nothing: noise would be infinite, or none at all.
LEAST_AGREEMENT, MOST_AGREEMENT = 0.05, 0.999

#: Noise of the whole, in noise of its halves: 1/4 where all is of products of noise and noise; somewhat more than 1/2,
#: which Spearman-Brown takes it to be, where noise changes the truth that the whole stands for, too.
LEAST_SHARE, LARGEST_SHARE = 0.2, 0.75

#: How much wider draws of a cosine's reliability are than pairs of resampled stimuli say: its SD over experiments was
#: 1.1 to 1.3 times theirs (benchmarks/intervals.py, Poisson neurons, seeds 0 to 59).
COSINE_SPREAD = 1.25

Pairs = Float[np.ndarray, "n_splits n_pairs"] | Float32[np.ndarray, "n_splits n_pairs"]
PerStimulus = Float[np.ndarray, " n_stimuli"]


@dataclass(frozen=True, eq=False)
class SplitHalfRDM:
    """The RDM of a site with those of random halves of its trials.

    Attributes
    ----------
    whole
        (n_pairs,): dissimilarities, of all trials.
    first, second
        Those of two halves, for every split.
    agreement
        The cosine between the patterns that both halves have of a stimulus, mean over splits; None where
        dissimilarities are not one less a cosine between patterns, so that noise does not draw them towards a value.
    power
        The squared length of the pattern of a stimulus, of all trials.
    n_trials
        Of a stimulus; where that differs between neurons, the harmonic mean.
    """

    whole: Float[np.ndarray, " n_pairs"]
    first: Pairs
    second: Pairs
    agreement: PerStimulus | None
    power: PerStimulus
    n_trials: PerStimulus

    def reliability(self, counts: Counts, *, ranks: bool) -> tuple[float, Float[np.ndarray, " n_draws"]]:
        """The squared correlation of the RDM with what it would be without noise, and draws of it.

        With ``ranks``, of normal scores of the dissimilarities: a squared correlation of which rank correlations follow
        (`murine.statistics.noise_ceiling.Ceiling.from_reliability`). Not below 0; NaN where a half is not defined."""
        everything = np.ones((1, counts.shape[1]), np.uint16)
        one, other, lessened = self._without_noise()
        found = self._reliability(one, other, lessened, np.concatenate([everything, counts]))
        # Of halves that noise draws towards zero as much as the whole: it changes ranks where stimuli differ in it.
        first, second = one * lessened, other * lessened
        halves = _correlation_samples(first, second, counts)
        share = noise_ratio(halves, found)
        if ranks:
            of_ranks = _correlation_samples(rankdata(first, axis=1), rankdata(second, axis=1), counts)
            halves = 2 * np.sin(np.pi / 6 * of_ranks)
        # Not the plain estimate: in data of nothing but noise it has no bound.
        found = whole_reliability(halves, share)
        return float(found[0]), found[1:]

    def _reliability(
        self, one: Pairs, other: Pairs, lessened: Float[np.ndarray, " n_pairs"], counts: Counts
    ) -> Float[np.ndarray, " n_samples"]:
        """The same, plainly, from what `_without_noise` returns."""
        whole = self.whole - self.whole.mean()
        truth = (one + other) / 2
        measured = truth * lessened
        product = (one * other).mean(axis=0)
        columns = np.stack([product, product * lessened, truth.mean(axis=0), measured.mean(axis=0), whole**2, whole])
        # Centred twice, so that the weighted moments lose no digits in float32.
        shifts = columns[2].mean(), columns[3].mean()
        columns[0] += shifts[0] ** 2 - 2 * shifts[0] * columns[2]
        columns[1] += shifts[0] * shifts[1] - shifts[1] * columns[2] - shifts[0] * columns[3]
        columns[2] -= shifts[0]
        columns[3] -= shifts[1]
        size = np.sqrt((columns**2).mean(axis=1, keepdims=True))
        size[size == 0] = 1
        weights = pair_weights(counts)
        weights /= weights.sum(axis=1, keepdims=True)
        true, shared, mean_truth, mean_measured, square, mean = (
            (weights @ (columns / size).T.astype(np.float32)).astype(np.float64) * size[:, 0]
        ).T
        true = true - mean_truth**2
        shared = shared - mean_truth * mean_measured
        variance = square - mean**2
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.where((true > 0) & (shared > 0), shared**2 / (true * variance), 0.0)
        return np.where(np.isnan(true) | ~(variance > 0), np.nan, np.clip(found, 0, 1))

    def _without_noise(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Similarities of both halves, not drawn towards zero, and what noise makes of such in the whole."""
        one, other = (1 - half.astype(np.float64) for half in (self.first, self.second))
        if self.agreement is None:
            return one, other, np.ones(len(self.whole))
        parts = self.n_trials // 2, self.n_trials - self.n_trials // 2
        noise = self._noise_of_trials(np.sqrt(parts[0] * parts[1]))
        rows, columns = np.triu_indices(len(noise), 1)
        halves = [np.sqrt(1 + noise / np.maximum(part, 1)) for part in parts]
        whole = 1 / np.sqrt(1 + noise / self.n_trials)
        one *= halves[0][rows] * halves[0][columns]
        other *= halves[1][rows] * halves[1][columns]
        return one, other, whole[rows] * whole[columns]

    def _noise_of_trials(self, part: PerStimulus) -> PerStimulus:
        """The noise of a single trial, in signal, of each stimulus.

        What one stimulus tells is mostly chance: agreements are smoothed over their lengths and numbers of trials."""
        if self.agreement is None or not np.isfinite(self.agreement).all():
            return np.zeros(len(part))
        told = np.clip(self.agreement, LEAST_AGREEMENT, MOST_AGREEMENT)
        known = np.stack([np.ones(len(told)), np.log(np.maximum(self.power, 1e-300)), 1 / np.maximum(part, 1)], axis=1)
        known[:, 1:] -= known[:, 1:].mean(axis=0)
        smooth = known @ np.linalg.lstsq(known, told, rcond=1e-6)[0]
        return (1 / np.clip(smooth, LEAST_AGREEMENT, MOST_AGREEMENT) - 1) * np.maximum(part, 1)


def _correlation_samples(first: Pairs, second: Pairs, counts: Counts) -> Float[np.ndarray, " n_samples"]:
    value, draws = split_half_correlation(first.astype(np.float32), second.astype(np.float32), counts)
    return np.concatenate([[value], draws])


def noise_ratio(half: Float[np.ndarray, "..."], whole: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """How much of the noise of its halves, in signal, the whole has, from the reliabilities of both.

    Within `LEAST_SHARE` and `LARGEST_SHARE`; NaN where one of them is not above 0 or not known."""
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (1 / whole - 1) / (1 / half - 1)
    share = np.where((half > 0) & (whole > 0) & (half < 1), share, np.nan)
    return np.clip(share, LEAST_SHARE, LARGEST_SHARE)


def whole_reliability(half: Float[np.ndarray, "..."], share: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """The reliability of the whole, from that of its halves and the `noise_ratio`; Spearman-Brown where that is NaN.

    0 where the halves' is not above 0."""
    share = np.where(np.isnan(share), 0.5, share)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = 1 / (1 + share * (1 / half - 1))
    return np.where(np.isnan(half), np.nan, np.where(half > 0, found, 0.0))


def cosine_reliability(
    whole: Float[np.ndarray, " n_pairs"], first: Pairs, second: Pairs, counts: Counts
) -> tuple[float, Float[np.ndarray, " n_draws"]]:
    """The squared cosine of a kernel with what it would be without noise, and draws of it over pairs of stimuli.

    Kernels centred without bias have no noise in expectation: their halves have the product of the truth with itself.
    The cosine of halves follows from it, and the noise that the whole has in that of the halves from squared lengths.
    NaN where a half is not defined. Draws are spread by `COSINE_SPREAD`."""
    scale = np.sqrt((whole**2).mean())
    one, other = (half.astype(np.float64) / (scale if scale > 0 else 1) for half in (first, second))
    columns = np.concatenate(
        [one * other, one**2, other**2, ((whole / (scale if scale > 0 else 1)) ** 2)[None]]
    ).astype(np.float32)
    weights = pair_weights(np.concatenate([np.ones((1, counts.shape[1]), np.uint16), counts]))
    weights /= weights.sum(axis=1, keepdims=True)
    moments = (weights @ columns.T).astype(np.float64)
    n = len(first)
    product, lengths = moments[:, :n], np.sqrt(moments[:, n : 2 * n] * moments[:, 2 * n : 3 * n])
    with np.errstate(invalid="ignore", divide="ignore"):
        half = (product / lengths).mean(axis=1)
        signal = product.mean(axis=1)
        share = (moments[:, -1] - signal) / (lengths.mean(axis=1) - signal)
    share = np.where(signal > 0, np.clip(share, LEAST_SHARE, LARGEST_SHARE), np.nan)
    found = whole_reliability(half, share)
    value, draws = float(found[0]), found[1:]
    return value, draws.mean() + COSINE_SPREAD * (draws - draws.mean())


def harmonic_mean(numbers: Int[np.ndarray, "n_neuroids n_stimuli"]) -> PerStimulus:
    """Of the numbers of trials of a stimulus, over neurons: the noise of their mean responses is that of this many."""
    return np.asarray(1 / (1 / np.maximum(numbers, 1)).mean(axis=0))


def split_half_correlation(
    first: Float[np.ndarray, "n_splits n_pairs"],
    second: Float[np.ndarray, "n_splits n_pairs"],
    counts: Counts,
) -> tuple[float, Float[np.ndarray, " n_draws"]]:
    """Mean Pearson correlation between the RDMs of two halves of the data, over splits, and its bootstrap draws.

    ``first[s]`` and ``second[s]`` are the RDM vectors of the two halves in split s. Give ranks for a ceiling of rank
    correlations. NaN where the RDM of a half is not defined, or the same for all pairs drawn."""

    def correlate(weights: np.ndarray) -> np.ndarray:
        weights = weights / weights.sum(axis=1, keepdims=True)
        a, b = (v - v.mean(axis=1, keepdims=True) for v in (first, second))
        with np.errstate(invalid="ignore"):  # NaN of a half that is the same for all pairs
            a, b = (v / np.sqrt((v**2).mean(axis=1, keepdims=True)) for v in (a, b))
        return np.asarray(weighted_correlations(a, b, weights).mean(axis=1))

    n_pairs = first.shape[1]
    value = correlate(np.ones((1, n_pairs)))[0]
    return float(value), correlate(pair_weights(counts))
