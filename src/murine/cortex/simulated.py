"""A simulated cortex: three areas of model neurons with exactly known responses and noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from murine.cortex.recording import Recording
from murine.errors import MurineError, some
from murine.filters import convolve, gabor_bank, gaussian
from murine.io.array_cache import ArrayCache, Arrays
from murine.scenes import synthetic_scenes
from murine.stimuli import StimulusSet

N_ORIENTATIONS = 8
SEMISATURATION = 0.03  # of the normalisation, as an amplitude of contrast where black to white is 0.5


@dataclass(frozen=True)
class AreaPlan:
    """The parameters in which areas differ; lengths are shares of the shorter side of the image."""

    wavelengths: tuple[float, float]
    pooling: float  # standard deviation of the window over which energies are pooled
    simple: float  # share of rectified linear neurons; the others are energy neurons
    n_parts: int  # places and orientations that an energy neuron combines
    spread: float  # standard deviation of the distance of its parts from its centre


AREAS = {
    "SIMp": AreaPlan((0.08, 0.11), pooling=0.02, simple=0.5, n_parts=1, spread=0.0),
    "SIMl": AreaPlan((0.11, 0.16), pooling=0.05, simple=0.3, n_parts=3, spread=0.08),
    "SIMam": AreaPlan((0.16, 0.22), pooling=0.07, simple=0.1, n_parts=5, spread=0.14),
}


class Area(nn.Module):
    """The neurons of one area: grey images (n, 1, height, width) to noise-free responses (n, n_neuroids).

    The image is filtered by Gabor pairs (even, odd). Both, and sqrt(even^2 + odd^2) after pooling, are
    divided by the root of the local energy over all orientations. A neuron is a weighted sum of a few of
    these values, rectified smoothly (so that none is quite silent) and raised to a power. A ``simple``
    neuron sums cos(phase) even + sin(phase) odd at one place, with a random phase; an ``energy`` neuron
    sums pooled energies at ``n_parts`` places and orientations with rectified random weights. An
    excitatory one sees one orientation at each place and has a high threshold and power; an inhibitory
    one sees all of them, unequally, and has a low threshold and a high gain. ``cell_class`` and ``kind``
    tell which neuron is which.
    """

    bank: Tensor
    surround: Tensor
    window: Tensor
    index: Tensor
    weight: Tensor
    threshold: Tensor
    power: Tensor
    gain: Tensor

    def __init__(self, plan: AreaPlan, size: tuple[int, int], n_neuroids: int, rng: np.random.Generator) -> None:
        super().__init__()
        side = min(size)
        wavelengths = [side * w for w in plan.wavelengths]
        self.stride = max(1, round(wavelengths[0] / 4))
        # A matching grating of amplitude a drives a filter of unit norm to 1.25 * wavelength * a.
        units = 1.25 * torch.tensor(wavelengths).repeat_interleave(2 * N_ORIENTATIONS).view(-1, 1, 1, 1)
        self.register_buffer("bank", gabor_bank(wavelengths, N_ORIENTATIONS) / units)
        self.register_buffer("surround", gaussian(wavelengths[1] / self.stride))
        self.register_buffer("window", gaussian(side * plan.pooling / self.stride))

        inhibitory = rng.permutation(n_neuroids) < round(0.3 * n_neuroids)
        simple = rng.permutation(n_neuroids) < round(plan.simple * n_neuroids)
        self.cell_class = np.where(inhibitory, "inhibitory", "excitatory")
        self.kind = np.where(simple, "simple", "energy")
        parameters = {
            # The drive of simple neurons lies around 0, that of energy neurons above it.
            "threshold": np.where(inhibitory, -0.2, rng.uniform(-0.3, -0.1, n_neuroids)) + 0.3 * ~simple,
            "power": np.where(inhibitory, 1.0, rng.uniform(1.0, 1.3, n_neuroids)),
            "gain": np.where(inhibitory, 4.0, 1.0) * rng.lognormal(0, 0.3, n_neuroids),
        }
        for key, values in parameters.items():
            self.register_buffer(key, torch.tensor(values, dtype=torch.float32))

        grid = -(-np.array(size) // self.stride)
        spread = plan.spread * side / self.stride
        kinds = zip(simple.tolist(), inhibitory.tolist(), strict=True)
        inputs = [_inputs(grid, s, i, plan.n_parts, spread, rng) for s, i in kinds]
        for key, lists in zip(("index", "weight"), zip(*inputs, strict=True), strict=True):
            tensors = [torch.from_numpy(values) for values in lists]
            # Shorter lists end in value 0 with weight 0.
            self.register_buffer(key, nn.utils.rnn.pad_sequence(tensors, batch_first=True))

    def forward(self, grey: Float[Tensor, "n 1 height width"]) -> Float[Tensor, "n n_neuroids"]:
        maps = convolve(grey, self.bank, stride=self.stride)
        pairs = maps.view(len(maps), 2, N_ORIENTATIONS, 2, *maps.shape[2:])
        even, odd = pairs.unbind(3)  # (n, scale, orientation, row, column)
        square = even.square() + odd.square()
        local = convolve(square.mean(dim=2).flatten(0, 1)[:, None], self.surround).view_as(square[:, :, 0])
        norm = (local + SEMISATURATION**2).sqrt()[:, :, None]
        pooled = convolve(square.sqrt().flatten(0, 2)[:, None], self.window).view_as(square)
        values = torch.stack([even / norm, odd / norm, pooled / norm], dim=1).flatten(1)
        drive = (values[:, self.index] * self.weight).sum(dim=2)
        return self.gain * F.softplus(drive - self.threshold, beta=10) ** self.power


def _inputs(
    grid: np.ndarray, simple: bool, inhibitory: bool, n_parts: int, spread: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw which values (even | odd | energy, scale, orientation, row, column) a neuron sums, and how."""
    shape = (3, 2, N_ORIENTATIONS, *grid)
    orientations = np.arange(N_ORIENTATIONS)
    centre = rng.uniform(0.15, 0.85, 2) * grid
    strengths = np.maximum(rng.normal(size=1 if simple else n_parts), 0)
    strengths[0] = 1.0  # not all of them may be zero
    indices, weights = [], []
    for strength in strengths / strengths.sum():
        offset = spread * rng.normal(size=2) if len(strengths) > 1 else 0
        row, column = np.clip(np.rint(centre + offset).astype(int), 0, grid - 1)
        scale, preferred, phase = rng.integers(2), rng.integers(N_ORIENTATIONS), rng.uniform(0, 2 * np.pi)
        tuning = (orientations == preferred).astype(float)
        if inhibitory:
            broad = 1 + 0.5 * np.cos(2 * np.pi * (orientations - preferred) / N_ORIENTATIONS)
            tuning = broad / broad.sum()
        for part, factor in ((0, np.cos(phase)), (1, np.sin(phase))) if simple else ((2, 1.0),):
            indices.append(np.ravel_multi_index((part, scale, orientations, row, column), shape))
            weights.append(strength * factor * tuning)
    index, weight = np.concatenate(indices), np.concatenate(weights).astype(np.float32)
    return index[weight != 0], weight[weight != 0]


class CorticalModel(nn.Module):
    """The generating model of a simulated cortex; no parameter is learned.

    The submodules ``areas.SIMp``, ``areas.SIMl`` and ``areas.SIMam`` give the noise-free responses (n,
    n_neuroids) of their neurons, so capturing one of these layers captures the population itself. From
    the first to the last, receptive fields and invariance to phase and position grow.

    Parameters
    ----------
    size
        Of the images, in pixels: one number, or height and width; at least 32. Receptive fields grow with it.
    n_neuroids
        In each area; at least 4, three in ten of them inhibitory.
    seed
        Draws every neuron.
    """

    def __init__(self, size: int | tuple[int, int] = 64, n_neuroids: int = 120, seed: int = 0) -> None:
        super().__init__()
        self.size = (size, size) if isinstance(size, int) else size
        if min(self.size) < 32 or n_neuroids < 4:
            raise MurineError(
                f"no cortex can be simulated with {n_neuroids} neurons in each area for images of "
                f"{self.size[0]} x {self.size[1]} px; expected at least 4 neurons and 32 px."
            )
        # The input in timm's terms: values between 0 and 1, as they are.
        unchanged = {"mean": (0.0,) * 3, "std": (1.0,) * 3, "interpolation": "bilinear", "crop_pct": 1.0}
        self.default_cfg = self.pretrained_cfg = {"input_size": (3, *self.size), **unchanged}
        self.areas = nn.ModuleDict()
        for name, plan in AREAS.items():
            rng = np.random.default_rng([seed, *name.encode()])
            self.areas[name] = Area(plan, self.size, n_neuroids, rng)

    def forward(self, images: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n n_neuroids_of_all_areas"]:
        """Return the responses of all areas, one after the other, to images (grey or RGB) in [0, 1]."""
        if images.ndim != 4 or images.shape[1] not in (1, 3) or tuple(images.shape[2:]) != self.size:
            raise MurineError(
                f"the simulated cortex was given images of shape {tuple(images.shape)}; expected (n, 1 or 3, "
                f"{self.size[0]}, {self.size[1]})."
            )
        grey = images.mean(dim=1, keepdim=True)
        return torch.cat([area(grey) for area in self.areas.values()], dim=1)


@dataclass(frozen=True, eq=False)
class SimulatedCortex:
    """A recording of simulated neurons, with the truth behind it.

    Attributes
    ----------
    stimuli, model
        What was shown, and the model that responded.
    recording
        The noisy trials. Coordinates of the neurons: ``neuroid_id, area, layer`` (always ''), ``cell_class``,
        ``true_reliability``; of the stimuli: ``stimulus_id, group``.
    true_responses
        (n_neuroids, n_stimuli) without noise, float64, arbitrary units of rate.
    noise_sd
        (n_neuroids,) standard deviation of the noise of one trial, same units.
    """

    stimuli: StimulusSet
    model: CorticalModel
    recording: Recording
    true_responses: Float[np.ndarray, "n_neuroids n_stimuli"]
    noise_sd: Float[np.ndarray, " n_neuroids"]

    def redraw(self, noise_seed: int) -> SimulatedCortex:
        """Return the same neurons and stimuli with other noise, as if the experiment were done again."""
        trials = _trials(self.true_responses, self.noise_sd, self.recording.n_repetitions, noise_seed)
        dimensions = ("neuroid", "stimulus", "repetition")
        dataset = self.recording.dataset.assign(responses=(dimensions, trials))
        return replace(self, recording=Recording(dataset, self.recording.name))


def simulate(
    stimuli: StimulusSet | None = None,
    *,
    n_neuroids: int = 120,
    n_repetitions: int = 20,
    reliability: float = 0.7,
    seed: int = 0,
    noise_seed: int | None = None,
    kept: ArrayCache | None = None,
) -> SimulatedCortex:
    """Show stimuli to a `CorticalModel` and record noisy trials.

    The noise of a trial is Gaussian and independent, with the variance that gives every neuron the same

        reliability = signal variance / (signal variance + noise variance / n_repetitions)

    The signal variance is that of the true response over the stimuli with divisor n_stimuli - 1, as sample
    variances have; so the variance of a trial average over these stimuli is the denominator in expectation.

    Parameters
    ----------
    stimuli
        Default: 100 `synthetic_scenes` of 64 px drawn with ``seed``.
    n_neuroids
        Number of neurons in each of the three areas.
    n_repetitions
        Number of trials of each stimulus.
    reliability
        Reliability of every neuron, above 0 and at most 1; 1 means no noise.
    seed
        Seed of the neurons, and of the default stimuli.
    noise_seed
        Seed of the noise; default ``seed``.
    kept
        Cache for default stimuli and true responses between runs.

    Raises
    ------
    MurineError
        If a number is out of range, or a neuron responds the same to all stimuli: it can have no reliability.

    Examples
    --------
    >>> cortex = simulate(n_neuroids=10, n_repetitions=4)
    >>> cortex.recording
    <Recording simulated cortex 0: 30 neuroids x 100 stimuli x 4 repetitions; {'SIMp': 10, 'SIMl': 10, 'SIMam': 10}>
    >>> cortex.true_responses.shape
    (30, 100)
    """
    if not 0 < reliability <= 1 or n_repetitions < 1:
        raise MurineError(
            f"reliability {reliability} with {n_repetitions} repetitions cannot be simulated; expected a "
            "reliability above 0 and at most 1, and at least 1 repetition."
        )
    stimuli = synthetic_scenes(seed=seed, kept=kept) if stimuli is None else stimuli
    height, width = stimuli.images.shape[1:3]
    model = CorticalModel((height, width), n_neuroids, seed).eval()

    def respond() -> Arrays:
        images = torch.tensor(stimuli.images.reshape(stimuli.n_stimuli, height, width, -1)).permute(0, 3, 1, 2)
        with torch.inference_mode():  # in batches, for the maps of an image take a hundred times its memory
            batches = [model(batch.float() / 255) for batch in torch.split(images, 16)]
        return {"true": torch.cat(batches).numpy().T.astype(np.float64)}

    about = {"stimuli": stimuli.digest, "n_neuroids": n_neuroids, "seed": seed}
    true = (kept or ArrayCache()).arrays(about, respond)["true"]

    ids = np.array([f"{name}_{i:03d}" for name in AREAS for i in range(n_neuroids)])
    # In float32, the variation of a constant is rounding, not signal.
    constant = np.ptp(true, axis=1) <= 1e-5 * np.abs(true).max(axis=1)
    if constant.any():
        raise MurineError(
            f"{constant.sum()} of {len(true)} simulated neurons respond the same to all {stimuli.n_stimuli} "
            f"stimuli of {stimuli.name!r}: {some(ids[constant])}. Use at least 2 different images with "
            "contrast everywhere."
        )
    noise_sd = np.sqrt(n_repetitions * true.var(axis=1, ddof=1) * (1 - reliability) / reliability)
    recording = Recording.from_arrays(
        _trials(true, noise_sd, n_repetitions, seed if noise_seed is None else noise_seed),
        {
            "neuroid_id": ids,
            "area": np.repeat(list(AREAS), n_neuroids),
            "layer": np.full(len(ids), ""),
            "cell_class": np.concatenate([area.cell_class for area in model.areas.values()]),
            "true_reliability": np.full(len(ids), float(reliability)),
        },
        {"stimulus_id": stimuli.ids, "group": stimuli.groups or ("",) * stimuli.n_stimuli},
        name=f"simulated cortex {seed}",
    )
    return SimulatedCortex(stimuli, model, recording, true, noise_sd)


def _trials(
    true: Float[np.ndarray, "n_neuroids n_stimuli"],
    noise_sd: Float[np.ndarray, " n_neuroids"],
    n_repetitions: int,
    noise_seed: int,
) -> Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"]:
    noise = np.random.default_rng([noise_seed, *b"noise"]).standard_normal((*true.shape, n_repetitions))
    return (true[:, :, None] + noise_sd[:, None, None] * noise).astype(np.float32)
