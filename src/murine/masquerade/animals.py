"""The animals of a recording, one array of units for each animal and area, and their similarities."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from murine.cortex.recording import Recording
from murine.errors import MurineError, some
from murine.io.array_cache import ArrayCache, Arrays
from murine.similarity.population_kernels import MIN_STIMULI, N_SPLITS, PopulationKernel, noisy_kernel
from murine.similarity.population_kernels import unbiased_cka_matrix as similarities
from murine.statistics.animal_test import MIN_ANIMALS

log = logging.getLogger(__name__)

#: Fewer units of an animal have a norm that is too unsure.
MIN_UNITS = 20

#: A norm is reported if its splits vary by more than this share.
MOST_SCATTER = 0.25

#: Recordings whose units vary together more than this (`shared_noise`) share trials. In the Allen recording, arrays of
#: one animal have 0.14 to 0.72, arrays of two animals at most 0.05.
MOST_SHARED_NOISE = 0.1

#: Standard errors above zero from which on shared noise is no chance, where there are few trials.
_CERTAIN = 6.0

#: Labels of neurons that name the animal; the first that the recording has is used.
ANIMAL_LABELS = ("animal", "donor")

#: Parts of the stimuli: all, the first half and the second half in the order of their ids.
PARTS = ("all", "first half", "second half")

#: The kernels of one array, one for each part of the stimuli.
Kernels = list[PopulationKernel]

Trials = Float[np.ndarray, "n_units n_stimuli n_repetitions"]

Matrix = Float[np.ndarray, "n_arrays n_arrays"]


@dataclass(frozen=True, eq=False, repr=False)
class AnimalArrays:
    """Arrays of units: one for each animal and area that can be used.

    Attributes
    ----------
    areas, animals
        Area and animal of each array.
    kernels
        For each part of the stimuli (`PARTS`), the kernel of each array.
    stimulus_ids
        In the order of the kernels.
    left_out
        Arrays that cannot be used, ``area animal``, and why.
    label
        The label of neurons that names the animal.

    Examples
    --------
    >>> from murine.cortex.simulated import simulate
    >>> recording = simulate(n_neuroids=120).recording
    >>> mice = [f"mouse {i % 5}" for i in range(recording.n_neuroids)]
    >>> arrays = load_animals(recording.labelled({"donor": mice}))
    >>> arrays.testable_areas, len(arrays.members("SIMp"))
    (('SIMam', 'SIMl', 'SIMp'), 5)
    """

    areas: tuple[str, ...]
    animals: tuple[str, ...]
    kernels: tuple[tuple[PopulationKernel, ...], ...]
    stimulus_ids: tuple[str, ...]
    left_out: dict[str, str]
    label: str

    def __repr__(self) -> str:
        n_animals, n_areas = len(set(self.animals)), len(set(self.areas))
        return f"<AnimalArrays: {len(self.areas)} arrays of {n_animals} animals in {n_areas} areas>"

    def members(self, area: str, part: int = 0) -> list[int]:
        """Return the positions of the arrays of an area whose norm is above 0."""
        return [i for i, name in enumerate(self.areas) if name == area and self.kernels[part][i].is_defined]

    @cached_property
    def testable_areas(self) -> tuple[str, ...]:
        """Areas with at least five animals, in sorted order."""
        return tuple(a for a in sorted(set(self.areas)) if len(self.members(a)) >= MIN_ANIMALS)

    def between(self, part: int = 0) -> Matrix:
        """Return the similarities of all arrays; NaN between arrays of one animal, which are never compared."""
        found = similarities(self.kernels[part], self.kernels[part])
        return np.where(self.same_animal, np.nan, found)

    @cached_property
    def same_animal(self) -> Bool[np.ndarray, "n_arrays n_arrays"]:
        """Whether two arrays are of one animal: they share trials, and the noise of trials."""
        names = np.array(self.animals)
        return names[:, None] == names


def load_animals(
    recording: Recording,
    *,
    min_units: int = MIN_UNITS,
    n_splits: int = N_SPLITS,
    seed: int = 0,
    kept: ArrayCache | None = None,
) -> AnimalArrays:
    """Make an array of the units of each animal in each area.

    Parameters
    ----------
    recording
        With single trials and a label ``animal`` or ``donor`` of the neurons. Stimuli are put in the order of their
        ids. Neurons without an animal or area are left out.
    min_units
        An animal with fewer units that vary in an area is left out there.
    n_splits, seed
        Random halves of the trials.
    kept
        Cache for kernels, which depend only on the arguments.

    Raises
    ------
    MurineError
        If no label names the animals, there are single repetitions only, two animals share trials, or no area has five
        animals.

    Examples
    --------
    >>> from murine.cortex.simulated import simulate
    >>> recording = simulate(n_neuroids=120).recording
    >>> mice = [f"mouse {i % 6}" for i in range(recording.n_neuroids)]
    >>> load_animals(recording.labelled({"donor": mice}))
    <AnimalArrays: 18 arrays of 6 animals in 3 areas>
    """
    label, animals = _animals_of(recording)
    if recording.n_repetitions < 2:
        raise MurineError(
            f"{recording.name!r} has one repetition; whether a network can be told from an animal needs at least two, "
            "because noise is measured between halves of the trials."
        )
    if recording.n_stimuli < 2 * MIN_STIMULI:
        raise MurineError(f"{recording.name!r} has {recording.n_stimuli} stimuli; expected at least {2 * MIN_STIMULI}.")
    order = np.argsort(np.asarray(recording.stimulus_ids))
    areas = recording["area"].astype(str)
    names = [(a, m) for a, m in sorted(set(zip(areas.tolist(), animals.tolist(), strict=True))) if a and m]

    def compute() -> Arrays:
        trials = [recording.responses[(areas == area) & (animals == animal)][:, order] for area, animal in names]
        found = _stored([_usable(array, min_units, n_splits, seed) for array in trials])
        return {**found, "noise": shared_noise(trials)}

    about = {"data": recording.digest, "label": label, "units": min_units, "splits": n_splits, "seed": seed}
    arrays = (kept or ArrayCache()).arrays(about, compute)
    _refuse_shared_trials(np.asarray(arrays["noise"]), recording.n_stimuli * recording.n_repetitions, names)
    found = _restored(arrays)
    left_out = {f"{a} {m}": x for (a, m), x in zip(names, found, strict=True) if isinstance(x, str)}
    whole = {name: x for name, x in zip(names, found, strict=True) if not isinstance(x, str)}
    ids = tuple(recording.stimulus_ids[i] for i in order)
    parts = tuple(tuple(kernels[part] for kernels in whole.values()) for part in range(len(PARTS)))
    loaded = AnimalArrays(tuple(a for a, _ in whole), tuple(m for _, m in whole), parts, ids, left_out, label)
    _tell(recording.name, loaded)
    return loaded


def _animals_of(recording: Recording) -> tuple[str, np.ndarray]:
    for label in ANIMAL_LABELS:
        if label in recording.dataset.coords:
            names = recording[label].astype(str)
            if names.shape == (recording.n_neuroids,) and (names != "").any():
                return label, names
    raise MurineError(
        f"no neuron of {recording.name!r} tells its animal; a label {' or '.join(map(repr, ANIMAL_LABELS))} is needed, "
        "because an animal is what a network is compared with (Recording.labelled adds one)."
    )


def shared_noise(trials: Sequence[np.ndarray]) -> Float[np.ndarray, "n_arrays n_arrays"]:
    """Return how much arrays of units vary together from trial to trial, above what stimuli do.

    Each unit is scaled, and its mean response to the stimulus and its mean in the repetition are subtracted. The
    correlation is between the means over units of these deviations, over the trials that both arrays have. For
    recordings of different animals it is only sampling noise. For two recordings of one animal it is not, even with
    different units.

    Parameters
    ----------
    trials
        (n_units, n_stimuli, n_repetitions) for each array, with the same stimuli and repetitions; missing ones are NaN.
    """
    means = np.stack([_mean_deviation(array) for array in trials])
    known = np.isfinite(means)
    filled = np.where(known, means, 0.0)
    power = filled**2 @ known.T
    with np.errstate(invalid="ignore", divide="ignore"):
        return filled @ filled.T / np.sqrt(power * power.T)


def _mean_deviation(trials: Trials) -> Float[np.ndarray, " n_trials"]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # means of no trial are NaN, as they should
        deviations = trials - np.nanmean(trials, axis=2, keepdims=True)
        # Slow changes over a session, the same for all stimuli, can be alike in two animals.
        deviations = deviations - np.nanmean(deviations, axis=1, keepdims=True)
        scale = np.nanstd(deviations, axis=(1, 2), keepdims=True)
        scaled = deviations / np.where(scale > 0, scale, np.nan)
        return np.asarray(np.nanmean(scaled, axis=0).ravel(), dtype=np.float64)


def _refuse_shared_trials(noise: np.ndarray, n_trials: int, names: Sequence[tuple[str, str]]) -> None:
    animals = np.array([animal for _, animal in names])
    noise = np.where(animals[:, None] == animals, 0.0, noise)
    if not len(noise) or not noise.max() > max(MOST_SHARED_NOISE, _CERTAIN / np.sqrt(n_trials)):
        return
    i, j = divmod(int(np.nanargmax(noise)), len(noise))
    raise MurineError(
        f"{' '.join(names[i])!r} and {' '.join(names[j])!r} vary together from trial to trial (correlation "
        f"{noise[i, j]:.2f}): they share trials, so one animal is there twice. Give both the same animal label, or "
        "leave one out."
    )


def _usable(trials: Trials, min_units: int, n_splits: int, seed: int) -> Kernels | str:
    """Return the kernels of an array for each part of the stimuli, or why it cannot be used."""
    if len(trials) < min_units:
        return f"{len(trials)} units, fewer than {min_units}"
    valid = np.isfinite(trials)
    trials = trials[:, :, valid.any(axis=(0, 1))]  # without repetitions that this animal did not see
    trials = trials[(np.isfinite(trials).sum(axis=2) >= 2).all(axis=1)]
    try:
        kernels = [noisy_kernel(trials[:, part], n_splits=n_splits, seed=seed) for part in part_slices(trials.shape[1])]
    except MurineError as error:
        return str(error).rstrip(".") if len(trials) else "no unit has two trials of every stimulus"
    if kernels[0].n_units < min_units:
        return f"{kernels[0].n_units} units that vary and have two trials of every stimulus, fewer than {min_units}"
    return kernels if kernels[0].is_defined else "its units share less than noise"


def part_slices(n_stimuli: int) -> Sequence[slice]:
    """Return the stimuli of each of `PARTS`."""
    return slice(None), slice(None, n_stimuli // 2), slice(n_stimuli // 2, None)


def _stored(found: Sequence[Kernels | str]) -> Arrays:
    whole = [kernels for kernels in found if not isinstance(kernels, str)]
    arrays = {"reasons": np.array([x if isinstance(x, str) else "" for x in found], dtype=str)}
    for part in range(len(PARTS) if whole else 0):
        numbers = [[k[part].norm, k[part].scatter, k[part].n_units] for k in whole]
        arrays |= {f"numbers{part}": np.array(numbers), f"kernels{part}": np.stack([k[part].kernel for k in whole])}
    return arrays


def _restored(arrays: Arrays) -> list[Kernels | str]:
    reasons = [str(reason) for reason in arrays["reasons"]]
    whole = iter(range(reasons.count("")))
    return [reason or _restored_array(arrays, next(whole)) for reason in reasons]


def _restored_array(arrays: Arrays, i: int) -> Kernels:
    found = []
    for part in range(len(PARTS)):
        norm, scatter, n_units = arrays[f"numbers{part}"][i]
        found.append(
            PopulationKernel(np.asarray(arrays[f"kernels{part}"][i]), float(norm), float(scatter), int(n_units))
        )
    return found


def _tell(name: str, arrays: AnimalArrays) -> None:
    if arrays.left_out:
        texts = [f"{array} ({reason})" for array, reason in arrays.left_out.items()]
        log.warning("%s: %d arrays of animals are left out: %s.", name, len(texts), some(texts))
    unsure = [
        f"{area} {animal}"
        for area, animal, kernel in zip(arrays.areas, arrays.animals, arrays.kernels[0], strict=True)
        if kernel.scatter > MOST_SCATTER
    ]
    if unsure:
        log.warning("%s: norms of %s differ by more than a quarter between halves of trials.", name, some(unsure))
    if arrays.testable_areas:
        return
    counts = [f"{area}: {len(arrays.members(area))}" for area in sorted(set(arrays.areas))]
    raise MurineError(
        f"no area of {name!r} has {MIN_ANIMALS} animals of enough units and trials ({some(counts) or 'none at all'}); "
        f"{MIN_ANIMALS} are needed in an area, because the unit of the test is the animal."
    )
