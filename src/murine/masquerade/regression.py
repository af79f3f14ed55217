"""Regression between animals and a network, in both directions: a description beside the test, never a test.

A network and an animal cannot be compared at equal numbers of units: 1,500 units of a whole map predict more than 50 of
them, and the units of a probe are at one place. So these numbers give no p-value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from murine.cortex.recording import Recording
from murine.io.array_cache import ArrayCache
from murine.masquerade.animals import AnimalArrays
from murine.statistics.folds import kfold
from murine.statistics.random_halves import half_means

#: Units of the source where numbers are matched, and units of a network that are predicted.
MATCHED, PREDICTED = 50, 200

#: Penalties as shares of the mean eigenvalue.
_PENALTIES = np.logspace(-3, 4, 15)

_N_FOLDS = 6

Units = Float[np.ndarray, "n_units n_stimuli"]

#: Responses to two halves of the trials.
HalfUnits = tuple[np.ndarray, np.ndarray]

#: The same of several arrays, each with its own number of units.
Halves = Sequence[HalfUnits]


def predictability(source: HalfUnits, target: HalfUnits, seed: int = 0) -> float:
    """Return how well a source predicts a target by ridge regression on new stimuli, without the noise of both.

    The map is fitted with one half of the trials of both; its predictions for stimuli that it was not fitted to are
    correlated with the other half of the target. That is divided by the root of the reliabilities (Spearman-Brown) of
    the target and of the predictions, for each unit of the target.

    Parameters
    ----------
    source, target
        Mean responses to two halves of the trials, each (n_units, n_stimuli). A source without noise is there twice.
        Units of the source are scaled by their standard deviation over all stimuli.
    seed
        Draws six folds of the stimuli.

    Returns
    -------
    r
        Median over the target's units. Units without a reliability above 0 are left out; NaN if none is left.
    """
    predictions = [_predict(s, t, seed) for s, t in zip(source, target, strict=True)]
    r = (_correlate(predictions[0], target[1]) + _correlate(predictions[1], target[0])) / 2
    reliability = _spearman_brown(_correlate(*target)) * _spearman_brown(_correlate(*predictions))
    with np.errstate(invalid="ignore", divide="ignore"):
        corrected = np.where(reliability > 0, r / np.sqrt(reliability), np.nan)
    return float(np.nanmedian(corrected)) if np.isfinite(corrected).any() else float("nan")


def _predict(
    source: Float[np.ndarray, "n_sources n_stimuli"], target: Units, seed: int
) -> Float[np.ndarray, "n_units n_stimuli"]:
    """Return predictions of the target for each stimulus, from a map that was fitted without its fold.

    The mean response that each map was fitted to is subtracted, because it is negatively correlated with the responses
    to the left-out stimuli.
    """
    scale = source.std(axis=1, keepdims=True)
    units = source[scale[:, 0] > 0] / scale[scale[:, 0] > 0]
    gram = units.T @ units / max(len(units), 1)
    found = np.empty(target.shape)
    for test in kfold(gram.shape[0], _N_FOLDS, seed):
        train = np.setdiff1d(np.arange(len(gram)), test)
        found[:, test] = _fit(gram, target[:, train], train, test)
    return found


def _fit(
    gram: Float[np.ndarray, "n n"], target: Units, train: np.ndarray, test: np.ndarray
) -> Float[np.ndarray, "n_units n_test"]:
    """Predict with ridge regression in the form of products of stimuli; each unit has the penalty of its best
    leave-one-out error."""
    within, across = gram[np.ix_(train, train)], gram[np.ix_(test, train)]
    means, mean = within.mean(axis=0), within.mean()
    centred = within - means - means[:, None] + mean
    across = across - across.mean(axis=1, keepdims=True) - means + mean
    values, vectors = np.linalg.eigh(centred)
    values = np.maximum(values, 0)
    shift = target.mean(axis=1, keepdims=True)
    rotated = (target - shift) @ vectors
    least = np.full(len(target), np.inf)
    weights = np.zeros_like(rotated)
    for penalty in _PENALTIES * values.mean():
        shrink = values / (values + penalty)
        own = 1 - (vectors**2) @ shrink - 1 / len(train)
        errors = (((target - shift - (rotated * shrink) @ vectors.T) / own) ** 2).sum(axis=1)
        better = errors < least
        weights[better] = rotated[better] / (values + penalty)
        least = np.minimum(errors, least)
    return weights @ vectors.T @ across.T


def _correlate(one: Units, other: Units) -> Float[np.ndarray, " n_units"]:
    one, other = (x - x.mean(axis=1, keepdims=True) for x in (one, other))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (one * other).sum(axis=1) / np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))


def _spearman_brown(r: Float[np.ndarray, " n_units"]) -> Float[np.ndarray, " n_units"]:
    return 2 * r / (1 + r)


def animal_halves(recording: Recording, animals: AnimalArrays, seed: int = 0) -> list[HalfUnits]:
    """Return the mean responses of each array to two halves of the trials; units that lack trials are left out."""
    order = [recording.stimulus_ids.index(name) for name in animals.stimulus_ids]
    areas, names = recording["area"].astype(str), recording[animals.label].astype(str)
    found = []
    for area, animal in zip(animals.areas, animals.animals, strict=True):
        trials = recording.responses[(areas == area) & (names == animal)][:, order]
        trials = trials[(np.isfinite(trials).sum(axis=2) >= 2).all(axis=1)]
        keys = np.random.default_rng(seed).random((1, 1, trials.shape[2]), np.float32)
        found.append(next(half_means(trials, np.broadcast_to(keys, (1, *trials.shape[1:])))))
    return found


def between_animals(
    halves: Halves, animals: AnimalArrays, seed: int = 0, kept: ArrayCache | None = None
) -> Float[np.ndarray, "n_arrays n_arrays"]:
    """Return how well each array predicts each other array of its area; NaN elsewhere and between arrays of one animal.

    Parameters
    ----------
    halves
        From `animal_halves`.
    kept
        Where the numbers are kept between runs: they take a minute.
    """

    def compute() -> Mapping[str, np.ndarray]:
        found = np.full((len(halves), len(halves)), np.nan)
        for area in animals.testable_areas:
            members = animals.members(area)
            for i in members:
                for j in members:
                    if not animals.same_animal[i, j]:
                        found[i, j] = predictability(halves[i], halves[j], seed)
        return {"r": found}

    about = {"kernels": [float(kernel.norm) for kernel in animals.kernels[0]], "seed": seed}
    return np.asarray((kept or ArrayCache()).arrays({**about, "what": "regression"}, compute)["r"])


def regression_table(
    chosen: Mapping[str, np.ndarray],
    halves: Halves,
    animals: AnimalArrays,
    between: Float[np.ndarray, "n_arrays n_arrays"],
    seed: int = 0,
) -> pd.DataFrame:
    """Return a row for each area: the network to mice, mice to the network, and mice to mice.

    Parameters
    ----------
    chosen
        Area to the units of the network's candidate there.
    halves, between
        From `animal_halves` and `between_animals`.

    Returns
    -------
    table
        ``area, mice_to_mice, mice_sd`` (over mice, of the mean over the others), ``network_to_mice, network_matched``
        (50 of its units, mean of five draws), ``mice_to_network``.
    """
    rows = []
    for area, units in chosen.items():
        members = animals.members(area)
        mice = [halves[i] for i in members]
        rng = np.random.default_rng(seed)
        draws = [_drawn(units, MATCHED, rng) for _ in range(5)]
        target = _drawn(units, PREDICTED, rng)
        of_mice = [np.nanmean(between[members, i]) for i in members]
        rows.append(
            {
                "area": area,
                "mice_to_mice": float(np.mean(of_mice)),
                "mice_sd": float(np.std(of_mice, ddof=1)),
                "network_to_mice": _mean_predictability([units], mice, seed),
                "network_matched": _mean_predictability(draws, mice, seed),
                "mice_to_network": float(np.nanmean([predictability(m, (target, target), seed) for m in mice])),
            }
        )
    return pd.DataFrame(rows)


def _mean_predictability(sources: Sequence[np.ndarray], mice: Halves, seed: int) -> float:
    return float(np.nanmean([predictability((units, units), mouse, seed) for units in sources for mouse in mice]))


def _drawn(units: Units, n: int, rng: np.random.Generator) -> Float[np.ndarray, "n_drawn n_stimuli"]:
    varying = units[units.std(axis=1) > 0]
    return varying[rng.permutation(len(varying))[:n]]
