"""Single neurons and single units: the best unit of each neuron, one unit for each, and how alike matched ones are.

The best of many units correlates well with any neuron by chance, so units are chosen on one half of the repetitions
and scored on the other. That takes away what noise in the responses adds, but not what chance agreement over these
very stimuli adds: the halves share them. Responses whose stimuli are shuffled, alike in both halves, show how much
that is; they are matched as further neurons (`shuffled`)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from murine.encoding.prediction_scores import correlations
from murine.encoding.ridge import unit_length
from murine.errors import MurineError
from murine.statistics.bootstrap import MIN_STIMULI
from murine.statistics.permutation import permutations

if TYPE_CHECKING:
    from torch import Tensor

    from murine.networks.capture import Features

#: Correlations of units this close are ties, of which the lowest unit is taken: what float32 products can tell.
TIE = 1e-6

#: Units multiplied at once, and neurons: their correlations take 16 MB.
BLOCK, NEURONS = 2048, 2048

#: A unit whose deviations are this small beside its largest value is constant but for rounding, by type of number.
CONSTANT = {4: 1e-6, 8: 1e-12}

#: A neuron left without a unit counts as much less than any unit would, -1 to 1: as many as can be have one.
WITHOUT = -2.0

Responses = Float[np.ndarray, "n_neuroids n_stimuli"]


@dataclass(frozen=True, eq=False)
class Matches:
    """The best unit of every neuron.

    Attributes
    ----------
    unit
        (n_neuroids,) number of the unit; -1 where there is none.
    r_train
        (n_neuroids,) Pearson's r over stimuli with the training responses; NaN where there is no unit.
    r_test
        (n_neuroids,) r of the same unit with the test responses; NaN also where these are constant or not finite.
    overlap
        (n_neuroids,) `density_overlap` of the unit's activations and the test responses, both standardised; None
        unless asked for.
    flags
        (n_neuroids,) '' or why there is no unit: training responses ``not finite`` or ``constant``, or ``no unit``.
    n_units
        How many units took part; those constant over stimuli, or not finite, did not.
    n_constant, n_not_finite
        How many units these were.
    candidates, candidate_r
        (n_neuroids, n_candidates): the best units of every neuron, best first, and their r; -1 and NaN where there
        are fewer. For `assign`; no columns unless asked for.
    """

    unit: Int[np.ndarray, " n_neuroids"]
    r_train: Float[np.ndarray, " n_neuroids"]
    r_test: Float[np.ndarray, " n_neuroids"]
    overlap: Float[np.ndarray, " n_neuroids"] | None
    flags: tuple[str, ...]
    n_units: int
    n_constant: int
    n_not_finite: int
    candidates: Int[np.ndarray, "n_neuroids n_candidates"]
    candidate_r: Float[np.ndarray, "n_neuroids n_candidates"]


def best_units(
    features: Float[np.ndarray, "n_stimuli n_units"],
    train: Responses,
    test: Responses,
    *,
    n_candidates: int = 0,
    overlap: bool = False,
) -> Matches:
    """Find the unit that correlates best with each neuron's training responses, and score it on its test responses.

    As `Search` does within `murine.networks.capture.capture`.

    Parameters
    ----------
    features
        float32 or float64, any unit. NaN or infinite ones exclude their unit.
    """
    import torch

    from murine.networks.capture import Features

    return Search(train, test, n_candidates=n_candidates, overlap=overlap)(Features("", torch.from_numpy(features)))


class Search:
    """Neurons whose best units are looked for in one layer after the other: a reducer for `capture`.

    Units are compared by Pearson's r over stimuli, with its sign: one that responds the other way round is no match.
    All r are products of standardised numbers in float32, by blocks, where the features are (a GPU, or the CPU); of
    units that are within 1e-6 of the best, the lowest in C order of the layer's shape is taken. What is reported of the
    chosen ones is computed in float64. Nothing of the size of a layer is made.

    Parameters
    ----------
    train, test
        Responses of the same neurons to the same stimuli, for example the means of odd and of even repetitions.
    n_candidates
        How many units of each neuron to keep for `assign`.
    overlap
        Whether to compute the overlap of densities.

    Raises
    ------
    MurineError
        Where shapes do not fit, or there are fewer than 4 stimuli.
    """

    def __init__(self, train: Responses, test: Responses, *, n_candidates: int = 0, overlap: bool = False) -> None:
        if train.shape != test.shape or train.ndim != 2:
            raise MurineError(
                f"training responses of shape {train.shape} and test responses of shape {test.shape}; expected the "
                "same (n_neuroids, n_stimuli)."
            )
        if train.shape[1] < MIN_STIMULI:
            raise MurineError(f"{train.shape[1]} stimuli are too few to match; at least {MIN_STIMULI} are needed.")
        if n_candidates < 0:
            raise MurineError(f"{n_candidates} candidates were asked for; expected 0 or more.")
        self.train, self.test = train, test
        self.n_candidates, self.overlap = n_candidates, overlap

    @cached_property
    def _standardised(self) -> Float[np.ndarray, "n_usable n_stimuli"]:
        return unit_length(self.train)

    def __call__(self, features: Features) -> Matches:
        if len(features.tensor) != self.train.shape[1]:
            raise MurineError(
                f"features of {features.name!r} are of {len(features.tensor)} stimuli, responses of "
                f"{self.train.shape[1]}; expected the same, in the same order."
            )
        usable = np.flatnonzero(np.isfinite(self._standardised).all(axis=1))
        found = _Best(self._standardised[usable], self.n_candidates, features.tensor.device)
        for start, block in features.blocks(BLOCK):
            found.add(start, block)
        unit = np.full(len(self.train), -1)
        unit[usable] = found.unit.cpu().numpy()
        candidates = np.full((len(unit), self.n_candidates), -1)
        candidates[usable] = found.candidates.cpu().numpy()
        candidate_r = self._correlations(features, candidates)
        order = np.lexsort((candidates, np.where(np.isnan(candidate_r), np.inf, -candidate_r)), axis=1)
        activations = activations_of(features, unit)
        finite = np.isfinite(self.train).all(axis=1)
        flags = np.where(unit >= 0, "", np.where(~finite, "not finite", "constant"))
        flags[usable[unit[usable] < 0]] = "no unit"
        return Matches(
            unit,
            correlations(activations, self.train),
            correlations(activations, self.test),
            density_overlap(unit_length(activations), unit_length(self.test)) if self.overlap else None,
            tuple(str(flag) for flag in flags),
            found.n_units,
            found.n_constant,
            found.n_not_finite,
            np.take_along_axis(candidates, order, axis=1),
            np.take_along_axis(candidate_r, order, axis=1),
        )

    def _correlations(
        self, features: Features, units: Int[np.ndarray, "n_neuroids n_candidates"]
    ) -> Float[np.ndarray, "n_neuroids n_candidates"]:
        """r of every neuron's training responses with units of its own, in float64."""
        r = np.full(units.shape, np.nan)
        for i in range(0, len(units) if units.size else 0, 256):
            part = units[i : i + 256]
            there = part >= 0
            activations = unit_length(features.units(part[there]).T)
            responses = np.repeat(self._standardised[i : i + 256], there.sum(axis=1), axis=0)
            r[i : i + 256][there] = np.einsum("ij,ij->i", activations, responses)
        return r


def activations_of(features: Features, units: Int[np.ndarray, " n_neuroids"]) -> Responses:
    """The activation curves of the units of neurons, (n_neuroids, n_stimuli) float64; NaN where the unit is -1.

    Inside a reducer, which alone sees features."""
    curves = np.full((len(units), len(features.tensor)), np.nan)
    there = units >= 0
    curves[there] = features.units(units[there]).T
    return curves


class _Best:
    """The best unit of every neuron so far, and the best few."""

    def __init__(self, standardised: Float[np.ndarray, "n_usable n_stimuli"], n_candidates: int, device: object):
        import torch

        self.torch = torch
        self.neurons = torch.from_numpy(standardised.astype(np.float32)).to(device)  # type: ignore[call-overload]
        n = len(standardised)
        self.r = self.neurons.new_full((n,), -np.inf)
        self.unit = torch.full((n,), -1, device=self.neurons.device)
        self.candidate_r = self.neurons.new_full((n, n_candidates), -np.inf)
        self.candidates = torch.full((n, n_candidates), -1, device=self.neurons.device)
        self.n_units = self.n_constant = self.n_not_finite = 0

    def add(self, start: int, block: Tensor) -> None:
        """Take a block of units, of which the first is number ``start``, into account."""
        torch = self.torch
        activations = block.double()
        largest = activations.abs().amax(dim=0)
        finite = torch.isfinite(largest)
        relative = activations - activations.mean(dim=0)
        lengths = relative.square().sum(dim=0).sqrt()
        varying = lengths > CONSTANT[block.element_size()] * len(block) ** 0.5 * largest
        usable = (finite & varying).nonzero()[:, 0]
        self.n_units += len(usable)
        self.n_not_finite += int((~finite).sum())
        self.n_constant += int((finite & ~varying).sum())
        if not len(usable):
            return
        units = (relative[:, usable] / lengths[usable]).float()
        for i in range(0, len(self.neurons), NEURONS):
            part = slice(i, i + NEURONS)
            r = self.neurons[part] @ units
            highest = r.amax(dim=1)
            self._add_best(part, r, highest, usable + start)
            if self.candidates.shape[1]:
                self._add_candidates(part, r, highest, usable + start)

    def _add_best(self, part: slice, r: Tensor, highest: Tensor, numbers: Tensor) -> None:
        better = (highest > self.r[part] + TIE).nonzero()[:, 0]
        if len(better):
            alike = r[better] >= highest[better, None] - TIE
            first = alike.int().argmax(dim=1)
            self.r[part][better] = r[better, first]
            self.unit[part][better] = numbers[first]

    def _add_candidates(self, part: slice, r: Tensor, highest: Tensor, numbers: Tensor) -> None:
        k = self.candidates.shape[1]
        better = (highest > self.candidate_r[part][:, -1]).nonzero()[:, 0]
        if len(better):
            values, places = r[better].topk(min(k, r.shape[1]), dim=1)
            values = self.torch.cat([self.candidate_r[part][better], values], dim=1)
            units = self.torch.cat([self.candidates[part][better], numbers[places]], dim=1)
            values, places = values.topk(k, dim=1)
            self.candidate_r[part][better] = values
            self.candidates[part][better] = units.gather(1, places)


def shuffled(
    train: Responses, test: Responses, n_shuffles: int = 1, seed: int = 0
) -> tuple[Float[np.ndarray, "n_rows n_stimuli"], Float[np.ndarray, "n_rows n_stimuli"]]:
    """Both halves with the stimuli of each neuron relabelled in its own way, one copy of the population after another.

    (n_shuffles * n_neuroids, n_stimuli) each. The halves of a neuron have the same labels, so it is as reliable as it
    was, and only what it has to do with the images is lost. One relabelling for all would leave chance in their mean,
    for what one neuron gains by it, those like it gain too."""
    orders = permutations(train.shape[1], n_shuffles * len(train), seed)
    rows = np.tile(np.arange(len(train)), n_shuffles)
    return np.take_along_axis(train[rows], orders, axis=1), np.take_along_axis(test[rows], orders, axis=1)


@dataclass(frozen=True, eq=False)
class Assignment:
    """One unit for each neuron, no unit twice, with the largest sum of correlations.

    Attributes
    ----------
    unit
        (n_neuroids,) -1 where none of its candidates is left for a neuron.
    r
        (n_neuroids,) of the pairs; NaN without one.
    gap
        How much larger the sum could at most be if every unit were a candidate of every neuron (a neuron without a
        unit counting as -2).
    """

    unit: Int[np.ndarray, " n_neuroids"]
    r: Float[np.ndarray, " n_neuroids"]
    gap: float

    @property
    def exact(self) -> bool:
        """Whether it is proved that no assignment to any units has a larger sum."""
        return self.gap <= 1e-9 * len(self.unit)


def assign(
    candidates: Int[np.ndarray, "n_neuroids n_candidates"],
    candidate_r: Float[np.ndarray, "n_neuroids n_candidates"],
    n_units: int,
) -> Assignment:
    """Give each neuron a unit of its own, of its candidates, so that the sum of correlations is as large as can be.

    As many neurons as can be get one. The sum is the largest over these candidates (a sparse Jonker-Volgenant
    algorithm); ``gap`` tells how far that may be from the largest over all units. By duality: let a unit's price be
    what the others lose for its being taken, and a neuron's profit its r less the price. If no neuron would profit more
    from a unit that is no candidate, the assignment is the best of all; and such a unit has at most the r of the last
    candidate, and a price of at least 0. So the gap is the sum of what profits are below that r. It is always 0 with
    as many candidates as neurons, or all units; usually with far fewer.

    Parameters
    ----------
    candidates, candidate_r
        The best units of every neuron, in any order, and their r (`Matches`); -1 where there are fewer. (Lists are made
        from float32 products: the proof is as good as these, 1e-6.)
    n_units
        How many units the candidates were chosen from.

    Raises
    ------
    MurineError
        Where shapes do not fit, or there are no candidates.

    References
    ----------
    Jonker & Volgenant 1987, Computing 38:325.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    if candidates.shape != candidate_r.shape or candidates.ndim != 2 or not candidates.shape[1]:
        raise MurineError(
            f"candidates of shape {candidates.shape} and correlations of shape {candidate_r.shape}; expected the same "
            "(n_neuroids, n_candidates), at least one candidate: ask for some (n_candidates)."
        )
    there = (candidates >= 0) & np.isfinite(candidate_r)
    complete = there.sum(axis=1) >= n_units
    last = np.where(there, candidate_r, np.inf).min(axis=1)
    taking_part = np.flatnonzero(there.any(axis=1))
    n = len(taking_part)
    unit, r = np.full(len(candidates), -1), np.full(len(candidates), np.nan)
    if not n:
        return Assignment(unit, r, 0.0)
    numbers, column = np.unique(candidates[there], return_inverse=True)
    row = np.repeat(np.arange(n), there[taking_part].sum(axis=1))
    value = candidate_r[there]
    # A column of its own for each neuron: to be left without a unit.
    row, column = np.append(row, np.arange(n)), np.append(column, len(numbers) + np.arange(n))
    value = np.append(value, np.full(n, WITHOUT))
    # Weights must not be 0, which is no edge.
    weights = csr_array((value + 1 - WITHOUT, (row, column)), shape=(n, len(numbers) + n))
    _, chosen = min_weight_full_bipartite_matching(weights, maximize=True)
    mine = chosen[row] == column
    gain = np.empty(n)
    gain[row[mine]] = value[mine]
    profit = _profits(row, column, value, chosen, gain)
    lost = np.where(complete[taking_part], 0, np.maximum(last[taking_part] - profit, 0))
    matched = chosen < len(numbers)
    unit[taking_part[matched]] = numbers[chosen[matched]]
    r[taking_part[matched]] = gain[matched]
    return Assignment(unit, r, float(lost.sum()))


def _profits(
    row: np.ndarray, column: np.ndarray, value: np.ndarray, chosen: np.ndarray, gain: np.ndarray
) -> Float[np.ndarray, " n_neuroids"]:
    """Each neuron's r less the price of its unit, at the lowest prices at which none prefers another unit.

    Prices rise from 0 until that is so (Bellman-Ford; the assignment is optimal, so they stop rising)."""
    order = np.argsort(column, kind="stable")
    row, column, value = row[order], column[order], value[order]
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    held = column[starts]
    price = np.zeros(column.max() + 1)
    for _ in range(len(gain) + 1):
        profit = gain - price[chosen]
        offered = np.maximum.reduceat(value - profit[row], starts)
        if (offered <= price[held] + 1e-12).all():
            break
        price[held] = np.maximum(price[held], offered)
    return gain - price[chosen]


def density_overlap(
    a: Float[np.ndarray, "n_pairs n_a"], b: Float[np.ndarray, "n_pairs n_b"], n_points: int = 512
) -> Float[np.ndarray, " n_pairs"]:
    """Overlap coefficient of two densities, the integral of min(p, q): 1 for the same, 0 where they do not meet.

    Densities are Gaussian kernel estimates with Scott's bandwidth, n^(-1/5) standard deviations (as SciPy's
    ``gaussian_kde``), of samples spread linearly over a grid and smoothed by Fourier transform; the result is within
    1e-3 of the integral of the plain estimates. Where values are not standardised the overlap also tells differences of
    mean and spread.

    Parameters
    ----------
    a, b
        Samples, for example the activations of a unit and the responses of its neuron, each standardised.

    Returns
    -------
    overlap
        NaN for a pair of which one is constant or not finite, or whose spreads differ so much that the grid (n_points
        over the range of both) does not resolve the narrower.

    References
    ----------
    Qazi, Jalil & Iqbal 2025, arXiv 2505.06886, panels of single units.
    """
    if len(a) != len(b) or min(a.shape[1], b.shape[1]) < 2:
        raise MurineError(
            f"samples of shapes {a.shape} and {b.shape}; expected as many rows, of at least 2 values each."
        )
    overlap = np.full(len(a), np.nan)
    pairs = np.flatnonzero(np.isfinite(a).all(axis=1) & np.isfinite(b).all(axis=1))
    for i in range(0, len(pairs), 1024):
        part = pairs[i : i + 1024]
        overlap[part] = _overlap(a[part], b[part], n_points)
    return overlap


def _overlap(a: np.ndarray, b: np.ndarray, n_points: int) -> np.ndarray:
    widths = [x.std(axis=1, ddof=1) * x.shape[1] ** -0.2 for x in (a, b)]
    margin = 4 * np.maximum(*widths)
    low = np.minimum(a.min(axis=1), b.min(axis=1)) - margin
    step = (np.maximum(a.max(axis=1), b.max(axis=1)) + margin - low) / (n_points - 1)
    resolved = np.minimum(*widths) > np.maximum(step, 0)
    step = np.where(resolved, step, 1.0)
    densities = []
    for x, width in zip((a, b), widths, strict=True):
        place = np.where(resolved[:, None], (x - low[:, None]) / step[:, None], 0)
        left = np.minimum(place.astype(int), n_points - 2)
        share = place - left
        flat = left + n_points * np.arange(len(x))[:, None]
        counts = np.bincount(flat.ravel(), (1 - share).ravel(), minlength=len(x) * n_points)
        counts += np.bincount(flat.ravel() + 1, share.ravel(), minlength=len(x) * n_points)
        frequency = 2 * np.pi * np.fft.rfftfreq(n_points)
        smoothing = np.exp(-0.5 * (frequency * (width / step)[:, None]) ** 2)
        density = np.fft.irfft(np.fft.rfft(counts.reshape(len(x), n_points)) * smoothing, n_points)
        densities.append(np.maximum(density, 0) / x.shape[1])
    return np.where(resolved, np.minimum(*densities).sum(axis=1), np.nan)
