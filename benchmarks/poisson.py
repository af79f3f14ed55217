"""A population of Poisson neurons whose truth is known, and two models of it that are exactly exchangeable.

Images are points in a space of 15 latent dimensions, drawn anew in every experiment. The rate of a neuron is the
exponential of a linear function of them. Single trials share a gain and noise in three dimensions; both change from
trial to trial, for all neurons together. Base rates are log-normal. Some trials may be missing, others in each image.

Both models see the latents through the same linear units, each with noise of its own. Their features of an image have
the same distribution, so that over new images their true scores are equal, whatever the metric is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from murine.cortex.recording import Recording
from murine.networks.capture import CapturedLayer
from murine.networks.layer_kernel import LayerKernel

N_LATENTS, N_SHARED, N_UNITS = 15, 3, 200


@dataclass(frozen=True)
class Case:
    """One kind of experiment.

    Attributes
    ----------
    repetitions
        Fewest and most trials of an image; the number of each image is drawn between them, all neurons alike.
    tuning, gain, shared
        SDs of the logarithm of a rate over images, of the logarithm of the gain of a trial, and of the noise that
        trials share in three dimensions.
    rate
        Median over neurons of the mean count in a trial.
    """

    name: str
    n_scenes: int = 100
    n_neurons: int = 200
    repetitions: tuple[int, int] = (10, 10)
    tuning: float = 0.5
    gain: float = 0.2
    shared: float = 0.2
    rate: float = 2.0
    rate_spread: float = 1.0

    @property
    def seed(self) -> int:
        """Of the neurons and of the models; cases of as many neurons have the same ones."""
        return self.n_neurons


CASES = (
    Case("10 repetitions"),
    Case("4 repetitions", repetitions=(4, 4)),
    Case("3 repetitions", repetitions=(3, 3)),
    Case("2 repetitions", repetitions=(2, 2)),
    Case("3 to 10 repetitions", repetitions=(3, 10)),
    Case("2 to 10 repetitions", repetitions=(2, 10)),
    Case("20 scenes", n_scenes=20),
    Case("500 scenes", n_scenes=500, repetitions=(4, 4)),
    Case("4 repetitions, heavy shared noise", repetitions=(4, 4), shared=0.6, gain=0.4),
    Case("20 neurons", n_neurons=20),
    Case("5,000 neurons", n_neurons=5000, repetitions=(4, 4)),
    Case("low rates", rate=0.3, rate_spread=1.5),
)


@dataclass(frozen=True, eq=False)
class World:
    """The neurons and the models of a case.

    Attributes
    ----------
    case
        What the experiments are like.
    tuning
        (n_neurons, N_LATENTS): weights of the latents in the logarithm of the rate.
    sharing
        (n_neurons, N_SHARED): weights of the noise that trials share.
    rates
        (n_neurons,): mean counts in a trial where latents and noise are 0.
    readout
        (N_LATENTS, N_UNITS): weights of the units of both models.
    """

    case: Case
    tuning: np.ndarray
    sharing: np.ndarray
    rates: np.ndarray
    readout: np.ndarray

    @classmethod
    def of(cls, case: Case) -> World:
        rng = np.random.default_rng([case.seed, 1])
        n = case.n_neurons
        tuning = rng.normal(size=(n, N_LATENTS)) * case.tuning / np.sqrt(N_LATENTS)
        sharing = rng.normal(size=(n, N_SHARED)) * case.shared / np.sqrt(N_SHARED)
        rates = case.rate * np.exp(case.rate_spread * rng.normal(size=n))
        return cls(case, tuning, sharing, rates, rng.normal(size=(N_LATENTS, N_UNITS)) / np.sqrt(N_LATENTS))


@dataclass(frozen=True, eq=False)
class Experiment:
    """New images, the responses to them, and what both models make of them.

    Attributes
    ----------
    trials
        (n_neurons, n_scenes, n_repetitions): counts; NaN where a trial is missing.
    true
        (n_neurons, n_scenes): expected counts.
    layers
        The two models.
    """

    trials: np.ndarray
    true: np.ndarray
    layers: tuple[CapturedLayer, CapturedLayer]

    @classmethod
    def draw(cls, world: World, seed: Any) -> Experiment:
        case = world.case
        rng = np.random.default_rng(seed)
        latents = rng.normal(size=(case.n_scenes, N_LATENTS))
        most = case.repetitions[1]
        shape = case.n_scenes, most
        log_rates = np.log(world.rates)[:, None] + world.tuning @ latents.T
        shared = np.tensordot(world.sharing, rng.normal(size=(N_SHARED, *shape)), 1) + case.gain * rng.normal(
            size=shape
        )
        variance = (world.sharing**2).sum(axis=1) + case.gain**2
        trials = rng.poisson(np.exp(log_rates[:, :, None] + shared)).astype(np.float32)
        numbers = rng.integers(case.repetitions[0], most + 1, size=case.n_scenes)
        trials[:, np.arange(most) >= numbers[:, None]] = np.nan
        layers = tuple(_model(world, latents, rng, name) for name in ("one model", "the other"))
        return cls(trials, np.exp(log_rates + variance[:, None] / 2), (layers[0], layers[1]))

    def recording(self) -> Recording:
        """The trials as users have them, as one area."""
        n_neurons, n_scenes, _ = self.trials.shape
        neuroid = {"neuroid_id": np.arange(n_neurons).astype(str), "area": np.full(n_neurons, "area")}
        stimulus = {"stimulus_id": [f"{i:04d}" for i in range(n_scenes)]}
        return Recording.from_arrays(self.trials, neuroid, stimulus)


def _model(world: World, latents: np.ndarray, rng: np.random.Generator, name: str) -> CapturedLayer:
    seen = latents + 0.7 * rng.normal(size=latents.shape)
    units = seen @ world.readout + 0.3 * rng.normal(size=(len(latents), N_UNITS))
    kernel = LayerKernel.of(units)
    return CapturedLayer(name, 0.5, (N_UNITS,), kernel, flag=kernel.flag)
