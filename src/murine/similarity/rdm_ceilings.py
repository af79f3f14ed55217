"""Noise ceilings of RDMs and kernels, from random halves of the trials.

A ceiling is the correlation of the measured RDM with the RDM without noise. Spearman-Brown assumes that noise shrinks
with 1/n. This is wrong for dissimilarities: products of noise with noise shrink with 1/n^2, and noise pulls
correlations between patterns towards zero, more in halves than in the whole. With two repetitions, Spearman-Brown gave
0.81 where the truth was 0.85. Two other quantities are known better. The covariance of two halves contains no noise,
except that both are pulled towards zero. The variance of the whole need not be predicted, because the whole is
measured. So the correlation with the truth is

    cov(whole, truth) / sd(whole) / sd(truth),

with both covariances estimated from two halves and corrected for the pull towards zero. The size of that pull follows
from how well both halves agree about the pattern of a single stimulus.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int
from scipy.stats import rankdata

from murine.similarity.weighted_correlation import weighted_correlations
from murine.statistics.bootstrap import Counts, pair_weights

#: Bounds of the agreement of two halves. Beyond them the estimated noise would be infinite or zero.
MIN_AGREEMENT, MAX_AGREEMENT = 0.05, 0.999

#: Bounds of the noise of the whole over that of its halves. The ratio is 1/4 where noise with noise dominates,
#: 1/2 by Spearman-Brown, and somewhat more than 1/2 where noise also changes what the whole measures.
MIN_NOISE_RATIO, MAX_NOISE_RATIO = 0.2, 0.75

#: Factor by which the draws of the reliability of a cosine are widened. Over simulated experiments its SD was 1.1 to
#: 1.3 times that of resampled stimuli (benchmarks/intervals.py, Poisson neurons, seeds 0 to 59).
COSINE_SPREAD = 1.25

Pairs = Float[np.ndarray, "n_splits n_pairs"] | Float32[np.ndarray, "n_splits n_pairs"]
PerStimulus = Float[np.ndarray, " n_stimuli"]


@dataclass(frozen=True, eq=False)
class SplitHalfRDM:
    """The RDM of a site, with the RDMs of random halves of its trials.

    Attributes
    ----------
    whole
        (n_pairs,): dissimilarities from all trials.
    first, second
        (n_splits, n_pairs): dissimilarities from the two halves, for every random split.
    agreement
        (n_stimuli,): the cosine between the patterns of a stimulus in both halves, averaged over splits. None where the
        dissimilarity is not one less a cosine between patterns; noise then does not pull it towards a value.
    power
        (n_stimuli,): the squared length of the pattern of a stimulus, from all trials.
    n_trials
        (n_stimuli,): number of trials; where it differs between neurons, the harmonic mean (`harmonic_mean`).

    Examples
    --------
    >>> import numpy as np
    >>> from murine.statistics.bootstrap import bootstrap_counts
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.normal(size=190)  # 20 stimuli; the noise of the whole has half the variance of that of the halves
    >>> first, second = truth + rng.normal(size=(2, 10, 190))
    >>> whole = truth + rng.normal(size=190) / np.sqrt(2)
    >>> rdm = SplitHalfRDM(whole, first, second, None, np.ones(20), np.full(20, 10.0))
    >>> value, draws = rdm.reliability(bootstrap_counts(20, 100, seed=0), ranks=False)
    >>> 0.5 < value < 0.8  # the truth is 2/3
    True
    """

    whole: Float[np.ndarray, " n_pairs"]
    first: Pairs
    second: Pairs
    agreement: PerStimulus | None
    power: PerStimulus
    n_trials: PerStimulus

    def reliability(self, counts: Counts, *, ranks: bool) -> tuple[float, Float[np.ndarray, " n_draws"]]:
        """Return the squared correlation of the RDM with the RDM without noise, and its bootstrap draws.

        Parameters
        ----------
        counts
            (n_draws, n_stimuli): how often each stimulus is in each bootstrap sample.
        ranks
            Use normal scores of the dissimilarities: a squared correlation from which rank correlations follow
            (`murine.statistics.noise_ceiling.Ceiling.from_reliability`).

        Returns
        -------
        value, draws
            A number and (n_draws,); never below 0; NaN where a half is undefined.
        """
        everything = np.ones((1, counts.shape[1]), np.uint16)
        one, other, pull = self._without_noise()
        found = self._reliability(one, other, pull, np.concatenate([everything, counts]))
        # Pull the halves towards zero as much as the whole is: this changes ranks where stimuli differ in their noise.
        first, second = one * pull, other * pull
        halves = _correlation_samples(first, second, counts)
        share = noise_ratio(halves, found)
        if ranks:
            of_ranks = _correlation_samples(rankdata(first, axis=1), rankdata(second, axis=1), counts)
            halves = 2 * np.sin(np.pi / 6 * of_ranks)
        # The plain estimate is not used: it has no bound in data that are only noise.
        found = whole_reliability(halves, share)
        return float(found[0]), found[1:]

    def _reliability(
        self, one: Pairs, other: Pairs, pull: Float[np.ndarray, " n_pairs"], counts: Counts
    ) -> Float[np.ndarray, " n_samples"]:
        """Return the plain estimate of the reliability, from what `_without_noise` returns."""
        whole = self.whole - self.whole.mean()
        truth = (one + other) / 2
        measured = truth * pull
        product = (one * other).mean(axis=0)
        columns = np.stack([product, product * pull, truth.mean(axis=0), measured.mean(axis=0), whole**2, whole])
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
        """Return the similarities of both halves, corrected for the pull towards zero, and the pull in the whole."""
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
        """Return the ratio of noise to signal of a single trial, for each stimulus.

        The agreement of a single stimulus is mostly chance, so agreements are smoothed by a regression on the length of
        the pattern and on the number of trials.
        """
        if self.agreement is None or not np.isfinite(self.agreement).all():
            return np.zeros(len(part))
        agreement = np.clip(self.agreement, MIN_AGREEMENT, MAX_AGREEMENT)
        design = np.stack([np.ones(len(part)), np.log(np.maximum(self.power, 1e-300)), 1 / np.maximum(part, 1)], axis=1)
        design[:, 1:] -= design[:, 1:].mean(axis=0)
        smooth = design @ np.linalg.lstsq(design, agreement, rcond=1e-6)[0]
        return (1 / np.clip(smooth, MIN_AGREEMENT, MAX_AGREEMENT) - 1) * np.maximum(part, 1)


def _correlation_samples(first: Pairs, second: Pairs, counts: Counts) -> Float[np.ndarray, " n_samples"]:
    """Return the correlation of two halves in the data, followed by its draws under resampled stimuli."""
    value, draws = split_half_correlation(first.astype(np.float32), second.astype(np.float32), counts)
    return np.concatenate([[value], draws])


def noise_ratio(half: Float[np.ndarray, "..."], whole: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Return the noise-to-signal ratio of the whole over that of its halves, from the reliabilities of both.

    Between `MIN_NOISE_RATIO` and `MAX_NOISE_RATIO`; NaN where a reliability is not above 0 or unknown.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (1 / whole - 1) / (1 / half - 1)
    share = np.where((half > 0) & (whole > 0) & (half < 1), share, np.nan)
    return np.clip(share, MIN_NOISE_RATIO, MAX_NOISE_RATIO)


def whole_reliability(half: Float[np.ndarray, "..."], share: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Return the reliability of the whole from that of its halves and the `noise_ratio`.

    Where the ratio is NaN, this is Spearman-Brown (ratio 1/2). 0 where the reliability of the halves is not above 0.
    """
    share = np.where(np.isnan(share), 0.5, share)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = 1 / (1 + share * (1 / half - 1))
    return np.where(np.isnan(half), np.nan, np.where(half > 0, found, 0.0))


def cosine_reliability(
    whole: Float[np.ndarray, " n_pairs"], first: Pairs, second: Pairs, counts: Counts
) -> tuple[float, Float[np.ndarray, " n_draws"]]:
    """Return the squared cosine of a kernel with the kernel without noise, and its draws under resampled stimuli.

    Kernels that are centred without bias contain no noise in expectation, so the product of two halves estimates the
    product of the truth with itself. The cosine of the halves follows from it. The ratio of the noise of the whole to
    that of the halves follows from the squared lengths. Draws are widened by `COSINE_SPREAD`.

    Parameters
    ----------
    whole
        (n_pairs,): the upper triangle of the U-centred kernel (`murine.similarity.kernel_similarity.u_centre_kernels`).
    first, second
        (n_splits, n_pairs): those of two halves, for every random split.
    counts
        (n_draws, n_stimuli): how often each stimulus is in each bootstrap sample.

    Returns
    -------
    value, draws
        A number and (n_draws,); NaN where a half is undefined.

    Examples
    --------
    >>> import numpy as np
    >>> from murine.statistics.bootstrap import bootstrap_counts
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.normal(size=190)  # 20 stimuli
    >>> first, second = truth + rng.normal(size=(2, 10, 190))
    >>> value, draws = cosine_reliability(truth + rng.normal(size=190) / 2, first, second, bootstrap_counts(20, 50, 0))
    >>> 0.5 < value < 1
    True
    """
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
    share = np.where(signal > 0, np.clip(share, MIN_NOISE_RATIO, MAX_NOISE_RATIO), np.nan)
    found = whole_reliability(half, share)
    value, draws = float(found[0]), found[1:]
    return value, draws.mean() + COSINE_SPREAD * (draws - draws.mean())


def harmonic_mean(numbers: Int[np.ndarray, "n_neuroids n_stimuli"]) -> PerStimulus:
    """Return the harmonic mean over neurons of the numbers of trials of each stimulus.

    The noise of mean responses equals that of this number of trials.
    """
    return np.asarray(1 / (1 / np.maximum(numbers, 1)).mean(axis=0))


def split_half_correlation(
    first: Float[np.ndarray, "n_splits n_pairs"],
    second: Float[np.ndarray, "n_splits n_pairs"],
    counts: Counts,
) -> tuple[float, Float[np.ndarray, " n_draws"]]:
    """Return the mean Pearson correlation between the RDMs of two halves of the data, and its bootstrap draws.

    Parameters
    ----------
    first, second
        (n_splits, n_pairs): RDM vectors of both halves, for every random split. Give ranks for rank correlations.
    counts
        (n_draws, n_stimuli): how often each stimulus is in each bootstrap sample.

    Returns
    -------
    value, draws
        A number and (n_draws,); NaN where a half is undefined or does not vary among the pairs drawn.

    Examples
    --------
    >>> import numpy as np
    >>> from murine.statistics.bootstrap import bootstrap_counts
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.normal(size=190)  # 20 stimuli
    >>> first, second = truth + rng.normal(size=(2, 10, 190))
    >>> value, draws = split_half_correlation(first, second, bootstrap_counts(20, 50, seed=0))
    >>> round(value, 1), draws.shape
    (0.5, (50,))
    """

    def correlate(weights: np.ndarray) -> np.ndarray:
        weights = weights / weights.sum(axis=1, keepdims=True)
        a, b = (v - v.mean(axis=1, keepdims=True) for v in (first, second))
        with np.errstate(invalid="ignore"):  # NaN where a half is the same for all pairs
            a, b = (v / np.sqrt((v**2).mean(axis=1, keepdims=True)) for v in (a, b))
        return np.asarray(weighted_correlations(a, b, weights).mean(axis=1))

    n_pairs = first.shape[1]
    value = correlate(np.ones((1, n_pairs)))[0]
    return float(value), correlate(pair_weights(counts))
