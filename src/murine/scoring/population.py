"""The single neurons of a cortex, and what patterns are made of their responses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from murine.networks.layer_kernel import LayerKernel
from murine.similarity.rdm import zscore
from murine.statistics.random_halves import Keys, n_trials


@dataclass(frozen=True, eq=False)
class Population:
    """Single neurons of all sites.

    Attributes
    ----------
    responses
        (n_neuroids, n_all_stimuli, n_repetitions); NaN where a trial is missing. Selections share them.
    stimuli
        Which of the stimuli this is about, as positions.
    members
        The positions of the neurons of each site.
    normalise
        What is done to responses before patterns are made of them (`make_site_data`).
    keys
        Orders of the trials of all stimuli, by which they are halved; none where there is one repetition.
    neuroid_ids, donors
        Of every neuron: its id, and the animal it is of, '' where that is not known.
    source
        What this is a selection of: means over repetitions are taken once, when they are first asked for.
    """

    responses: Float[np.ndarray, "n_neuroids n_all_stimuli n_repetitions"]
    stimuli: Int[np.ndarray, " n_stimuli"]
    members: tuple[Int[np.ndarray, " _"], ...]
    normalise: str
    keys: Keys
    neuroid_ids: tuple[str, ...]
    donors: tuple[str, ...]
    source: Population | None = None

    @cached_property
    def all_means(self) -> Float[np.ndarray, "n_neuroids n_all_stimuli"]:
        """Mean responses to all stimuli, whichever of them were selected."""
        return mean_responses(self.responses) if self.source is None else self.source.all_means

    @property
    def trials(self) -> Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"]:
        """Responses to these stimuli."""
        return _chosen(self.responses, self.stimuli)

    @property
    def means(self) -> Float[np.ndarray, "n_neuroids n_stimuli"]:
        """Mean responses over repetitions."""
        return self.all_means[:, self.stimuli]

    def patterns(self, site: int) -> Float[np.ndarray, "n_members n_stimuli"]:
        """Mean responses of a site's neurons, as patterns are made of them."""
        means = self.means[self.members[site]]
        return zscore(means) if self.normalise == "zscore" else means

    def of_neurons(
        self, neurons: Int[np.ndarray, " n_chosen"]
    ) -> Float[np.ndarray, "n_chosen n_stimuli n_repetitions"]:
        """Responses of some neurons, without a copy of those of all."""
        return _chosen(self.responses[neurons], self.stimuli)

    def select(self, stimuli: Int[np.ndarray, " n_chosen"]) -> Population:
        """The same neurons' responses to some of the stimuli (positions)."""
        source = self.source or self
        return replace(self, stimuli=self.stimuli[stimuli], keys=self.keys[:, stimuli], source=source)


@dataclass(frozen=True, eq=False)
class PatternScale:
    """What patterns are made of: responses as they are, or less a mean and over an SD for each neuron.

    Halves have the scale of the whole: each with its own, they would weigh neurons otherwise than the whole does."""

    mean: Float[np.ndarray, "n_neuroids 1"]
    sd: Float[np.ndarray, "n_neuroids 1"]

    @classmethod
    def of(cls, means: Float[np.ndarray, "n_neuroids n_stimuli"], normalise: str) -> PatternScale:
        none = np.zeros((len(means), 1)), np.ones((len(means), 1))
        if normalise == "none":
            return cls(*none)
        mean, sd = means.mean(axis=1, keepdims=True), means.std(axis=1, keepdims=True)
        tiny = 1e-12 * np.abs(means).max(axis=1, keepdims=True, initial=0)
        return cls(mean, np.where(sd > tiny, sd, np.inf))  # a constant neuron becomes 0

    def patterns(self, responses: Float[np.ndarray, "n_neuroids n_stimuli"]) -> np.ndarray:
        return np.ascontiguousarray(((responses - self.mean) / self.sd).T)

    def kernel(self, responses: Float[np.ndarray, "n_neuroids n_stimuli"]) -> LayerKernel:
        """The products of population patterns of every two stimuli."""
        return LayerKernel.of(self.patterns(responses))

    def agreement(self, first: np.ndarray, second: np.ndarray, centre: bool) -> Float[np.ndarray, " n_stimuli"]:
        """The cosine between two patterns of each stimulus; 0 where one has no length."""
        one, other = self.patterns(first), self.patterns(second)
        if centre:
            one, other = (x - x.mean(axis=1, keepdims=True) for x in (one, other))
        lengths = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
        return np.divide((one * other).sum(axis=1), lengths, out=np.zeros(len(one)), where=lengths > 0)


def single_trial_share(trials: Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"]) -> float:
    """The share of mean responses that are single trials, which stand in for both halves."""
    return float((n_trials(trials) < 2).mean())


def mean_responses(
    trials: Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"],
) -> Float[np.ndarray, "n_neuroids n_stimuli"]:
    """Mean responses over the trials that are there."""
    valid = np.isfinite(trials)
    return np.asarray(np.where(valid, trials, 0.0).sum(axis=2, dtype=np.float64) / valid.sum(axis=2))


def _chosen(
    responses: Float[np.ndarray, "n_neuroids n_all_stimuli n_repetitions"], stimuli: Int[np.ndarray, " n_stimuli"]
) -> Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"]:
    """Responses to some stimuli; not copied where these are all, in order: they may be the largest array there is."""
    everything = np.array_equal(stimuli, np.arange(responses.shape[1]))
    return responses if everything else responses[:, stimuli]
