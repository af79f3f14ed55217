"""The single neurons of a cortex, and the response patterns computed from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from murine.networks.layer_kernel import LayerKernel
from murine.statistics.random_halves import SplitKeys, count_trials
from murine.statistics.standardisation import zscore


@dataclass(frozen=True, eq=False)
class Population:
    """Single neurons of all sites.

    Attributes
    ----------
    responses
        (n_neuroids, n_all_stimuli, n_repetitions); NaN where a trial is missing. Selections share them.
    stimuli
        Positions of the selected stimuli.
    members
        Positions of the neurons of each site.
    normalise
        ``none`` or ``zscore``: the treatment of responses before patterns are computed.
    keys
        Random orders of the trials of all stimuli, which define the halves; empty if there is one repetition.
    neuroid_ids, donors
        Id and animal of every neuron; '' for an animal that is not known.
    source
        The population that this selection was taken from. It computes the mean responses once for all selections.
    """

    responses: Float[np.ndarray, "n_neuroids n_all_stimuli n_repetitions"]
    stimuli: Int[np.ndarray, " n_stimuli"]
    members: tuple[Int[np.ndarray, " _"], ...]
    normalise: str
    keys: SplitKeys
    neuroid_ids: tuple[str, ...]
    donors: tuple[str, ...]
    source: Population | None = None

    @cached_property
    def all_means(self) -> Float[np.ndarray, "n_neuroids n_all_stimuli"]:
        """Mean responses to all stimuli, selected or not."""
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
        """Return the mean responses of a site's neurons, standardised where ``normalise`` says so."""
        means = self.means[self.members[site]]
        return zscore(means) if self.normalise == "zscore" else means

    def of_neurons(
        self, neurons: Int[np.ndarray, " n_chosen"]
    ) -> Float[np.ndarray, "n_chosen n_stimuli n_repetitions"]:
        """Return the responses of some neurons without copying those of all."""
        return _chosen(self.responses[neurons], self.stimuli)

    def select(self, stimuli: Int[np.ndarray, " n_chosen"]) -> Population:
        """Return the same neurons for some of the stimuli (positions)."""
        source = self.source or self
        return replace(self, stimuli=self.stimuli[stimuli], keys=self.keys[:, stimuli], source=source)


@dataclass(frozen=True, eq=False)
class PatternScale:
    """Make patterns from responses: as they are, or standardised by a mean and an SD for each neuron.

    Halves are standardised by the mean and SD of all trials. With the mean and SD of each half, the weights of neurons
    would differ between halves."""

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
        """Return the products of the population patterns of every two stimuli."""
        return LayerKernel.of(self.patterns(responses))

    def agreement(self, first: np.ndarray, second: np.ndarray, centre: bool) -> Float[np.ndarray, " n_stimuli"]:
        """Return the cosine between two patterns of each stimulus; 0 where one has no length."""
        one, other = self.patterns(first), self.patterns(second)
        if centre:
            one, other = (x - x.mean(axis=1, keepdims=True) for x in (one, other))
        lengths = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
        return np.divide((one * other).sum(axis=1), lengths, out=np.zeros(len(one)), where=lengths > 0)


def single_trial_share(trials: Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"]) -> float:
    """Return the share of mean responses that are of a single trial, which is then in both halves."""
    return float((count_trials(trials) < 2).mean())


def mean_responses(
    trials: Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"],
) -> Float[np.ndarray, "n_neuroids n_stimuli"]:
    """Return mean responses over the trials that are not missing."""
    valid = np.isfinite(trials)
    return np.asarray(np.where(valid, trials, 0.0).sum(axis=2, dtype=np.float64) / valid.sum(axis=2))


def _chosen(
    responses: Float[np.ndarray, "n_neuroids n_all_stimuli n_repetitions"], stimuli: Int[np.ndarray, " n_stimuli"]
) -> Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"]:
    """Return responses to some stimuli. If these are all, in order, nothing is copied: the array may be very large."""
    everything = np.array_equal(stimuli, np.arange(responses.shape[1]))
    return responses if everything else responses[:, stimuli]
